import { sql, type RawBuilder } from 'kysely';
import type { Db } from '#db/database.ts';
import { UNMOVABLE } from './kept-rows.ts';
import type { Summary } from './summary.ts';

/** The statuses that the moves were started with. */
export interface Mapping {
  readonly pipelineId: string;
  readonly openStatusId: string;
  readonly closedStatusId: string;
}

/** The event is one of a move's own. */
const OF_A_MOVE = sql`e.data ? 'migrationId'`;

/**
 * Works out from the rows as they were (`chaos.kept`) what every conversation should be now, and compares. Where customers or agents wrote meanwhile, that has its say too: a
 * message opens what was closed, and who replies first may get what nobody had.
 */
export async function sayMoved(summary: Summary, db: Db, { pipelineId, openStatusId, closedStatusId }: Mapping): Promise<void> {
  const countOf = async (what: string, wrong: RawBuilder<unknown>, found?: string): Promise<void> => {
    const { rows } = await sql<{ count: number }>`select count(*)::int as count from (${wrong}) wrong`.execute(db);
    const count = rows[0]?.count ?? Number.NaN;
    summary.say(what, count === 0, `${found === undefined ? '' : `${found}, `}${count} otherwise`);
  };
  await sql`
    create table chaos.since as
    select k.id, exists (select from message m where m.conversation_id = k.id and m.arrival > o.arrival) as touched,
      exists (select from event e where e.conversation_id = k.id and e.kind = 'OWNER_CHANGED' and e.id > o.event and not (${OF_A_MOVE})) as passed_on
    from chaos.kept k, chaos.moment o`.execute(db);
  await sql`create unique index on chaos.since (id)`.execute(db);
  await sql`analyze chaos.since`.execute(db);
  const { rows } = await sql<{ all: number; kept: number; touched: number; passed_on: number }>`
    select (select count(*)::int from conversation) as all, count(*)::int as kept, count(*) filter (where touched)::int as touched,
      count(*) filter (where passed_on)::int as passed_on from chaos.since`.execute(db);
  const [counts] = rows;
  const said = `${counts?.kept} seeded (${counts?.touched} written in meanwhile, ${counts?.passed_on} given to somebody)`;

  await countOf(
    'every conversation is in the help desk, with a ticket',
    sql`select from conversation where place <> 'HELP_DESK' or ticket_id is null`,
    `${counts?.all} in all`,
  );
  await countOf(
    'with one ticket, and the ticket with one conversation',
    sql`select from conversation c left join ticket t on t.conversation_id = c.id group by c.id having count(t.id) <> 1 or min(t.id::text) <> min(c.ticket_id::text)`,
  );
  await countOf(
    'each was moved once, with the events of it once',
    sql`select from chaos.kept k left join event e on e.conversation_id = k.id and e.kind in ('PLACE_CHANGED', 'TICKET_CREATED') and ${OF_A_MOVE}
      left join lateral (select count(*) as rows from channel_migration_conversation m where m.conversation_id = k.id and m.how not in ('ARRIVED', 'GONE')) m on true
      group by k.id, k.ticket_id, m.rows
      having count(*) filter (where e.kind = 'PLACE_CHANGED') <> 1 or count(*) filter (where e.kind = 'TICKET_CREATED') <> (k.ticket_id is null)::int or m.rows <> 1`,
    said,
  );
  await countOf(
    'tickets that were there are as they were',
    sql`select from chaos.kept k join chaos.since s using (id) join conversation c using (id) left join ticket t on t.id = c.ticket_id
      where k.ticket_id is not null and ((t.id, t.number, t.name, t.pipeline_id, t.priority, t.source, t.created_at) is distinct from (k.ticket_id, k.number, k.name, k.pipeline_id, k.priority, k.source, k.created_at)
        or (not s.touched and (t.status_id, t.closed_at) is distinct from (k.status_id, k.ticket_closed_at))
        or (not s.passed_on and (t.owner_id, t.team_id) is distinct from (k.owner_id, k.team_id)))`,
  );
  const fresh = sql`chaos.kept k join chaos.since s using (id) join conversation c using (id) join ticket t on t.id = c.ticket_id`;
  await countOf(
    'new tickets are dated and named by their conversation',
    sql`select from ${fresh} where k.ticket_id is null and (t.created_at <> k.started_at or t.name <> k.words)`,
  );
  await countOf(
    'new tickets have the status of the mapping',
    sql`select from ${fresh} join ticket_status u on u.id = t.status_id where k.ticket_id is null and (t.pipeline_id <> ${pipelineId} or case when s.touched
        then u.category <> 'OPEN' or t.closed_at is not null
        else t.closed_at is distinct from k.closed_at or t.status_id <> case k.status when 'OPEN' then ${openStatusId}::uuid else ${closedStatusId}::uuid end end)`,
  );
  await countOf(
    'new tickets belong to whom they did, if they have access',
    sql`select from ${fresh} left join chaos.able a on a.user_id = k.owner_id
      where k.ticket_id is null and not s.passed_on and (t.owner_id is distinct from a.user_id
        or t.team_id is distinct from case when k.owner_id is null or a.user_id is not null then k.team_id end or c.owner_id is not null or c.team_id is not null)`,
  );
  await countOf(
    'new tickets have their channel and its defaults',
    sql`select from ${fresh} where k.ticket_id is null and (t.priority <> k.default_priority or (not s.touched and t.source <> k.channel_key))`,
  );
  await countOf(
    'every message that was there is there',
    sql`select from chaos.kept k cross join chaos.moment o left join message m on m.conversation_id = k.id and m.arrival <= o.arrival
      group by k.id, k.messages having count(m.id) <> k.messages`,
  );
}

/** That every ticket has the one goal that its own history gives it (MIG-20): to be closed within so many milliseconds. Asked after `sayMoved`. */
export async function sayGoals(summary: Summary, db: Db, promisedMs: number): Promise<void> {
  const due = sql`t.created_at + ${sql.lit(promisedMs)} * interval '1 ms'`;
  const { rows } = await sql<{ tickets: number; ended: number; overdue: number; wrong: number }>`
    select count(*)::int as tickets, count(*) filter (where t.closed_at is not null)::int as ended, count(*) filter (where g.state = 'OVERDUE')::int as overdue,
      count(*) filter (where g.ticket_id is null or (not s.touched and g.state <> case
        when t.closed_at is null then case when ${due} > now() then 'ACTIVE' when ${due} > now() - interval '10 min' then g.state else 'OVERDUE' end
        when t.closed_at <= ${due} then 'COMPLETED_ON_TIME' else 'COMPLETED_LATE' end))::int as wrong
    from chaos.since s join ticket t on t.conversation_id = s.id left join sla_goal g on g.ticket_id = t.id and g.kind = 'CLOSE' and g.round = 1`.execute(db);
  const [row] = rows;
  summary.say(
    'every moved ticket has the goal its history gives it',
    row?.wrong === 0,
    `${row?.tickets} tickets (${row?.ended} closed, ${row?.overdue} overdue), ${row?.wrong} otherwise`,
  );
}

/** What was listed as left over when the moves had ended; then it is mended. Returns its state before. */
export async function mendOne(db: Db, unmovableId: string): Promise<{ readonly reason: string | null; readonly place: string; readonly state: string | null }> {
  const { rows } = await sql<{ reason: string | null; place: string; state: string | null }>`
    select r.reason, c.place, g.state from conversation c left join channel_migration_remainder r on r.conversation_id = c.id left join channel_migration g on g.id = r.migration_id
    where c.id = ${unmovableId}`.execute(db);
  await sql`update conversation set subject = 'Mended' where id = ${unmovableId} and subject = ${UNMOVABLE}`.execute(db);
  await sql`update chaos.kept set words = 'Mended' where id = ${unmovableId}`.execute(db);
  return rows[0] ?? { reason: null, place: 'nowhere', state: null };
}

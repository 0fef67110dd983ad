import { sql } from 'kysely';
import { openDatabase, type Db } from '#db/database.ts';
import type { Copy, Order } from './migration-ground.ts';

/**
 * The move as somebody would write it by hand: one transaction of a few statements over all conversations at once. It writes the same rows and events as the workflow does,
 * but for the workflow's own progress. Returns milliseconds, from the first statement to the commit.
 */
export async function moveByHand({ url }: Copy, order: Order): Promise<number> {
  const db = openDatabase(url, { max: 1, name: 'bench-by-hand', transactionMs: 0 });
  try {
    // Connected before the clock runs.
    await sql`select 1`.execute(db);
    const started = performance.now();
    await db.transaction().execute(async (tx) => {
      const { channelId, helpDeskId, superAdminId, openStatusId, closedStatusId } = order;
      await sql`select pg_advisory_xact_lock(1, hashtext(${channelId}))`.execute(tx);
      const { rows } = await sql<{ id: string }>`
        insert into channel_migration (channel_id, history, pipeline_id, open_status_id, closed_status_id, muted, asked_by, state, phase, found, walked, started_at, ended_at)
          select ${channelId}, 'ALL', s.pipeline_id, ${openStatusId}, ${closedStatusId}, true, ${superAdminId}, 'COMPLETED', 'ENDED', n.count, n.count, now(), now()
          from ticket_status s, (select count(*) from conversation where channel_id = ${channelId} and place = 'INBOX') n where s.id = ${openStatusId} returning id`.execute(
        tx,
      );
      const id = rows[0]?.id ?? '';
      await sql`update channel set place = 'HELP_DESK', place_id = ${helpDeskId} where id = ${channelId}`.execute(tx);
      await sql`
        create temporary table moving on commit drop as
          select c.id, c.ticket_id, coalesce(c.ticket_id, uuidv7()) as new_id, c.ticket_id is null as fresh, c.place_id, c.status, c.owner_id, c.team_id, c.started_at,
            c.closed_at, coalesce(t.owner_id, c.owner_id) as holder, c.ticket_id is null and c.owner_id is not null and a.user_id is null as loses,
            case when c.ticket_id is null then coalesce(nullif(trim(c.subject), ''), (select nullif(left(trim(m.text), 120), '') from message m
              where m.conversation_id = c.id and m.direction <> 'COMMENT' order by m.occurred_at, m.arrival limit 1), '(no subject)') end as name
          from conversation c left join ticket t on t.id = c.ticket_id
          left join (select p.user_id from place_member p join app_user u on u.id = p.user_id where p.place_id = ${helpDeskId} and u.deactivated_at is null) a on a.user_id = c.owner_id
          where c.channel_id = ${channelId} and c.place = 'INBOX' order by c.id`.execute(tx);
      await sql`analyze moving`.execute(tx);
      await sql`
        insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, properties, source, owner_id, team_id, created_at, closed_at)
          select m.new_id, m.id, m.name, g.pipeline_id, case m.status when 'OPEN' then g.open_status_id else g.closed_status_id end, h.default_priority, h.default_properties, h.key,
            case when not m.loses then m.owner_id end, case when not m.loses then m.team_id end, m.started_at, m.closed_at
          from moving m, channel h, channel_migration g where m.fresh and h.id = ${channelId} and g.id = ${id}`.execute(tx);
      await sql`
        update conversation c set place = 'HELP_DESK', place_id = ${helpDeskId}, ticket_id = m.new_id, owner_id = null, team_id = null, version = c.version + 1
          from moving m where c.id = m.id`.execute(tx);
      await sql`
        insert into channel_migration_conversation (migration_id, conversation_id, how, new_ticket, owner_id, unassigned, from_place_id)
          select ${id}, m.id, 'WALKED', m.fresh, m.holder, m.loses, m.place_id from moving m`.execute(tx);
      await sql`
        insert into channel_migration_owner (migration_id, user_id, moved, assigned, unassigned)
          select ${id}, holder, count(*), count(*) filter (where fresh and not loses), count(*) filter (where loses) from moving where holder is not null group by holder`.execute(
        tx,
      );
      await sql`
        insert into event (kind, actor, actor_user_id, channel_id, place_id, why, data) values
          ('CHANNEL_CHANGED', 'USER', ${superAdminId}, ${channelId}, ${helpDeskId}, 'MOVED', jsonb_build_object('migrationId', ${id}::text)),
          ('MIGRATION_CHANGED', 'USER', ${superAdminId}, ${channelId}, null, 'STARTED', jsonb_build_object('migrationId', ${id}::text))`.execute(tx);
      await sql`
        insert into event (kind, actor, channel_id, conversation_id, ticket_id, place_id, why, data)
          select 'PLACE_CHANGED', 'SYSTEM', ${channelId}::uuid, m.id, m.new_id, ${helpDeskId}::uuid, 'MOVED',
            jsonb_build_object('migrationId', ${id}::text, 'from', m.place_id, 'to', ${helpDeskId}::text) from moving m
          union all
          select 'TICKET_CREATED', 'SYSTEM', ${channelId}, m.id, m.new_id, ${helpDeskId}, 'MOVED', jsonb_build_object('migrationId', ${id}::text) from moving m where m.fresh
          union all
          select 'OWNER_CHANGED', 'SYSTEM', ${channelId}, m.id, m.new_id, ${helpDeskId}, 'NO_ACCESS',
            jsonb_build_object('migrationId', ${id}::text, 'from', m.owner_id, 'to', null, 'fromTeam', m.team_id, 'toTeam', null) from moving m where m.loses`.execute(
        tx,
      );
      await sql`
        update channel_migration set walked_new = n.made, walked_nobodys = n.nobodys, walked_unassigned = n.unassigned
          from (select count(*) filter (where fresh) as made, count(*) filter (where fresh and (loses or holder is null)) as nobodys, count(*) filter (where loses) as unassigned
            from moving) n where id = ${id}`.execute(tx);
      await sql`insert into channel_migration_sla (migration_id, total) select ${id}, count(*) from moving`.execute(tx);
      await sql`
        insert into event (kind, actor, channel_id, why, data) values ('MIGRATION_CHANGED', 'SYSTEM', ${channelId}, 'ENDED', jsonb_build_object('migrationId', ${id}::text))`.execute(
        tx,
      );
    });
    return performance.now() - started;
  } finally {
    await db.destroy();
  }
}

/** What a move has written, counted: rows by all that tells them apart, and events by kind. What a workflow writes of its own progress is left out. */
export async function writtenBy(db: Db): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{ what: string; count: number }>`
    select 'conversation ' || concat_ws(' ', place, status, ticket_id is not null, owner_id is not null, team_id is not null) as what, count(*) from conversation group by 1
    union all
    select 'ticket ' || concat_ws(' ', s.category, s.name, t.priority, t.source, t.owner_id is not null, t.team_id is not null, t.closed_at is not null), count(*)
      from ticket t join ticket_status s on s.id = t.status_id group by 1
    union all
    select 'moved ' || concat_ws(' ', how, new_ticket, unassigned, owner_id is not null), count(*) from channel_migration_conversation group by 1
    union all
    select 'its counters', sum(found::bigint * 8009 + walked::bigint * 4001 + walked_new::bigint * 2003 + walked_nobodys::bigint * 1009 + walked_unassigned) from channel_migration
    union all
    select 'owner ' || user_id, sum(moved::bigint * 1000003 + assigned::bigint * 1009 + unassigned) from channel_migration_owner group by 1
    union all
    select 'event ' || concat_ws(' ', kind, why, place_id is not null, ticket_id is not null, user_id is not null), count(*) from event
      where kind <> 'MIGRATION_CHANGED' or why in ('STARTED', 'ENDED') group by 1
    union all
    select 'tickets, how they are called ' || left(name, 3), count(*) from ticket group by 1
    order by 1`.execute(db);
  return Object.fromEntries(rows.map(({ what, count }) => [what, Number(count)]));
}

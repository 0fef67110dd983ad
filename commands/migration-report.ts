import { sql, type RawBuilder } from 'kysely';
import type { Db } from '#db/database.ts';
import type { MigrationState } from '#db/schema.ts';
import { NotFound } from './refusals.ts';

/** How far a move is. */
export interface MigrationProgress {
  readonly state: MigrationState;
  /** WALKING: through the channel's conversations in the order of their ids; SWEEPING: again from the beginning, for what somebody held or what came. */
  readonly phase: 'WALKING' | 'SWEEPING' | 'ENDED';
  /** All it is to move, as known now: what the channel had at the start, and what joined it, without what left. */
  readonly found: number;
  readonly moved: number;
  /** Still to be moved. */
  readonly remaining: number;
  /** Of all, in whole percent; 100 once it is over. */
  readonly percent: number;
  /** What could not be moved. */
  readonly leftOver: number;
  /** What began in the help desk meanwhile. */
  readonly arrived: number;
  /** Conversations a second since the start, without the time it waited for live work; null: there is nothing to tell by yet. */
  readonly ratePerSecond: number | null;
  readonly secondsLeft: number | null;
  /** Milliseconds for which it let live work go first. */
  readonly waitedMs: number;
}

/** A report that adds up (MIG-21): found = movedWithTicket + movedWithNewTicket + leftOver. */
export interface MigrationReport {
  /** The channel's conversations at the start and what joined it while the move ran, without what left it before its turn. */
  readonly found: number;
  readonly joined: number;
  readonly gone: number;
  readonly movedWithTicket: number;
  readonly movedWithNewTicket: number;
  /** Of those moved: by a message, before their turn. */
  readonly pulledForward: number;
  readonly leftOver: number;
  /** New conversations meanwhile: they are none of the move's. */
  readonly arrived: number;
  /** What has come to the channel since the end, from an inbox. */
  readonly followed: number;
  /** Tickets that nobody has since, for their owner has no access to the help desk. */
  readonly unassigned: number;
  /** Runs of its workflow in which a cancel was asked for. */
  readonly cancelsSurvived: number;
  /** Runs that were begun because the one before had ended without an end. */
  readonly restarts: number;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  /** Conversations a second, without the time it waited. */
  readonly ratePerSecond: number | null;
  readonly waitedMs: number;
}

/** Seconds a recount may take: more than other reads, for it reads everything. */
const RECOUNT_LIMIT_SECONDS = 120;

/** What was counted again from the rows alone. */
export interface Recount {
  readonly movedWithTicket: number;
  readonly movedWithNewTicket: number;
  readonly leftOver: number;
  readonly unassigned: number;
  readonly arrived: number;
  /** Conversations that should be in the help desk by the move's own list and are not, or are there without a ticket; 0 where all is well. */
  readonly astray: number;
  /** Conversations of the channel that are in an inbox still, whatever the lists say. */
  readonly inInbox: number;
}

/** How far a move is, from its row and the few that are counted beside it. Throws `NotFound`. */
export async function readProgress(db: Db, migrationId: string): Promise<MigrationProgress> {
  return theOne(await progressOf(db, [migrationId]), migrationId);
}

/** The same of several, in one statement, by their ids. */
export async function progressOf(db: Db, migrationIds: readonly string[]): Promise<ReadonlyMap<string, MigrationProgress>> {
  const { rows } = await sql<{
    id: string;
    state: MigrationState;
    phase: MigrationProgress['phase'];
    found: number;
    moved: number;
    left_over: number;
    arrived: number;
    waited_ms: number;
    seconds: number | null;
  }>`
    select g.id, g.state, g.phase, g.found + ${joined()} - n.gone as found, g.walked + n.pulled as moved, (${leftOver()}) as left_over, n.arrived, g.waited_ms, ${seconds()} as seconds
    from channel_migration g cross join lateral ${beside()} n where g.id::text = any(${[...migrationIds]}::text[])`.execute(db);
  return new Map(
    rows.map((row) => {
      const remaining = row.state === 'RUNNING' ? Math.max(0, row.found - row.moved - row.left_over) : 0;
      const ratePerSecond = rateOf(row.moved, row.seconds);
      const secondsLeft = row.state !== 'RUNNING' || ratePerSecond === null || ratePerSecond === 0 ? null : Math.ceil(remaining / ratePerSecond);
      const { state, phase, found, moved, left_over: leftOver, arrived, waited_ms: waitedMs } = row;
      const done = moved + leftOver;
      const percent = phase === 'ENDED' ? 100 : Math.min(99, Math.floor((100 * done) / Math.max(1, done + remaining)));
      return [row.id, { state, phase, found, moved, remaining, percent, leftOver, arrived, ratePerSecond, secondsLeft, waitedMs }];
    }),
  );
}

/** What a move has done, from what it wrote while it did it. Throws `NotFound`. */
export async function readReport(db: Db, migrationId: string): Promise<MigrationReport> {
  return theOne(await reportsOf(db, [migrationId]), migrationId);
}

/** The same of several, in one statement, by their ids. */
export async function reportsOf(db: Db, migrationIds: readonly string[]): Promise<ReadonlyMap<string, MigrationReport>> {
  const { rows } = await sql<ReportRow & { readonly id: string }>`
    select g.id, g.found + ${joined()} - n.gone as found, ${joined()} as joined, n.gone, g.walked - g.walked_new + n.pulled - n.pulled_new as with_ticket, g.walked_new + n.pulled_new as with_new_ticket, n.pulled, (${leftOver()}) as left_over, n.arrived, n.followed,
      g.walked_unassigned + n.unassigned as unassigned, r.cancels, r.restarts, g.started_at, g.ended_at, ${seconds()} as seconds, g.waited_ms
    from channel_migration g cross join lateral ${beside()} n
    cross join lateral (
      select count(*) filter (where r.cancel_asked_at is not null)::int as cancels, count(*) filter (where r.how = 'RESTARTED')::int as restarts
      from channel_migration_run r where r.migration_id = g.id
    ) r where g.id::text = any(${[...migrationIds]}::text[])`.execute(db);
  return new Map(rows.map((row) => [row.id, reportOf(row)]));
}

interface ReportRow {
  readonly found: number;
  readonly joined: number;
  readonly gone: number;
  readonly with_ticket: number;
  readonly with_new_ticket: number;
  readonly pulled: number;
  readonly left_over: number;
  readonly arrived: number;
  readonly followed: number;
  readonly unassigned: number;
  readonly cancels: number;
  readonly restarts: number;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly seconds: number | null;
  readonly waited_ms: number;
}

function reportOf(row: ReportRow): MigrationReport {
  return {
    found: row.found,
    joined: row.joined,
    gone: row.gone,
    movedWithTicket: row.with_ticket,
    movedWithNewTicket: row.with_new_ticket,
    pulledForward: row.pulled,
    leftOver: row.left_over,
    arrived: row.arrived,
    followed: row.followed,
    unassigned: row.unassigned,
    cancelsSurvived: row.cancels,
    restarts: row.restarts,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    ratePerSecond: rateOf(row.with_ticket + row.with_new_ticket, row.seconds),
    waitedMs: row.waited_ms,
  };
}

/**
 * Counts again what a move has done, from the events that name it and from where conversations and tickets are now; what it lists itself is only held against that (MIG-21). Reads
 * all events, so it takes seconds where there are millions. Throws `NotFound`.
 */
export async function recount(db: Db, migrationId: string): Promise<Recount> {
  const move = await db
    .selectFrom('channel_migration')
    .select(['id', 'channel_id'])
    .where(sql<string>`id::text`, '=', migrationId)
    .executeTakeFirst();
  if (move === undefined) throw new NotFound('migration', migrationId);
  return db.transaction().execute(async (tx) => {
    await sql`set local transaction_timeout = ${sql.lit(`${RECOUNT_LIMIT_SECONDS}s`)}`.execute(tx);
    const { rows } = await sql<Recount>`
      with told as (
        select e.conversation_id, count(*) filter (where e.kind = 'PLACE_CHANGED') as placed, count(*) filter (where e.kind = 'TICKET_CREATED') as made,
          count(*) filter (where e.kind = 'OWNER_CHANGED') as lost
        from event e where e.kind in ('PLACE_CHANGED', 'TICKET_CREATED', 'OWNER_CHANGED') and e.data ->> 'migrationId' = ${move.id} group by e.conversation_id
      ), listed as (
        select m.conversation_id, m.how from channel_migration_conversation m where m.migration_id = ${move.id} and m.how <> 'GONE'
      ), each as (
        select coalesce(t.conversation_id, l.conversation_id) as conversation_id, coalesce(t.placed, 0) as placed, coalesce(t.made, 0) as made, coalesce(t.lost, 0) as lost, l.how
        from told t full join listed l on l.conversation_id = t.conversation_id
      )
      select count(*) filter (where placed = 1 and made = 0 and how is distinct from 'FOLLOWED')::int as "movedWithTicket",
        count(*) filter (where placed = 1 and made = 1 and how is distinct from 'FOLLOWED')::int as "movedWithNewTicket",
        count(*) filter (where lost > 0 and how is distinct from 'FOLLOWED')::int as unassigned,
        count(*) filter (where how = 'ARRIVED')::int as arrived,
        count(*) filter (where how is null or c.place <> 'HELP_DESK' or c.ticket_id is null or placed <> case how when 'ARRIVED' then 0 else 1 end or made > 1)::int as astray,
        (select count(*)::int from channel_migration_remainder r join conversation c on c.id = r.conversation_id and c.place = 'INBOX' where r.migration_id = ${move.id}) as "leftOver",
        (select count(*)::int from conversation c where c.channel_id = ${move.channel_id} and c.place = 'INBOX') as "inInbox"
      from each join conversation c on c.id = each.conversation_id`.execute(tx);
    const [row] = rows;
    if (row === undefined) throw new Error('a count without a row');
    return row;
  });
}

/** What was not walked to, counted by what became of it. Over `channel_migration g`. */
function beside(): RawBuilder<unknown> {
  return sql`(select count(*) filter (where m.how in ('PULLED_FORWARD', 'JOINED'))::int as pulled,
    count(*) filter (where m.how in ('PULLED_FORWARD', 'JOINED') and m.new_ticket)::int as pulled_new, count(*) filter (where m.how in ('PULLED_FORWARD', 'JOINED') and m.unassigned)::int as unassigned, count(*) filter (where m.how = 'JOINED')::int as joined,
    count(*) filter (where m.how = 'GONE')::int as gone, count(*) filter (where m.how = 'ARRIVED')::int as arrived, count(*) filter (where m.how = 'FOLLOWED')::int as followed
    from channel_migration_conversation m where m.migration_id = g.id and m.how <> 'WALKED')`;
}

/** Over `channel_migration g` and `beside` as n. */
function joined(): RawBuilder<number> {
  return sql<number>`(n.joined + (select count(*)::int from channel_migration_remainder r where r.migration_id = g.id and r.joined))`;
}

function leftOver(): RawBuilder<number> {
  return sql<number>`select count(*)::int from channel_migration_remainder r where r.migration_id = g.id`;
}

/** Seconds it has worked, without those it waited. */
function seconds(): RawBuilder<number | null> {
  return sql<number | null>`extract(epoch from coalesce(g.ended_at, clock_timestamp()) - g.started_at)::float8 - g.waited_ms / 1000.0`;
}

function rateOf(moved: number, seconds: number | null): number | null {
  return seconds === null || seconds <= 0 || moved === 0 ? null : Math.round((10 * moved) / seconds) / 10;
}

function theOne<Value>(found: ReadonlyMap<string, Value>, migrationId: string): Value {
  const value = found.get(migrationId);
  if (value === undefined) throw new NotFound('migration', migrationId);
  return value;
}

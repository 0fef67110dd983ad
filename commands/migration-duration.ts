import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { moveNext, nextOf, type Move } from './migration-conversations.ts';

/** How long a move would take, were it to start now. */
export interface MoveDuration {
  /** Conversations to move. */
  readonly count: number;
  /** Whose rate it was reckoned by: the last move's, or, where there was none, that of a thousand of them in temporary tables. */
  readonly basis: 'LAST_MOVE' | 'MEASURED' | 'NOTHING_TO_MOVE';
  /** The last move. */
  readonly migrationId: string | null;
  /** Conversations a second; null: there is nothing to move. */
  readonly ratePerSecond: number | null;
  readonly estimatedMs: number;
}

/** Rows a rate is measured on. */
const MEASURED_ROWS = 1_000;

/** The count by the rate (MIG-6). What it does for that is rolled back. */
export async function foretellDuration(db: Db, move: Omit<Move, 'migrationId'>, count: number): Promise<MoveDuration> {
  if (count === 0) return { count, basis: 'NOTHING_TO_MOVE', migrationId: null, ratePerSecond: null, estimatedMs: 0 };
  const last = await lastRate(db);
  const ratePerSecond = last?.ratePerSecond ?? (await measure(db, move, count));
  return {
    count,
    basis: last === undefined ? 'MEASURED' : 'LAST_MOVE',
    migrationId: last?.migrationId ?? null,
    ratePerSecond,
    estimatedMs: Math.ceil((count / ratePerSecond) * 1000),
  };
}

/** What the last move walked in a second, not counting what it waited for live work. One without history walked nothing. */
async function lastRate(db: Db): Promise<{ readonly migrationId: string; readonly ratePerSecond: number } | undefined> {
  const { rows } = await sql<{ migrationId: string; ratePerSecond: number }>`
    select g.id as "migrationId", g.walked * 1000.0::float8 / greatest(extract(epoch from g.ended_at - g.started_at)::float8 * 1000 - g.waited_ms, 1) as "ratePerSecond"
    from channel_migration g where g.state in ('COMPLETED', 'COMPLETED_WITH_REMAINDER') and g.walked > 0 order by g.ended_at desc limit 1`.execute(db);
  return rows[0];
}

/** What the statement that moves writes to, and its own move. */
const WRITTEN = ['conversation', 'ticket', 'event', 'channel_migration', 'channel_migration_conversation', 'channel_migration_owner'] as const;

/**
 * Moves the newest thousand of the channel, or as many copies of fewer, with the very statement of the walk, in temporary tables that hide the real ones: the same
 * columns, checks, indexes and rows. All of it is rolled back; no number of a ticket or an event is used up, for the temporary ones count for themselves.
 * Temporary tables write no log and ask no foreign keys: the real ones take up to twice as long.
 */
async function measure(db: Db, move: Omit<Move, 'migrationId'>, count: number): Promise<number> {
  const tx = await db.startTransaction().execute();
  try {
    await prepare(tx, move, count);
    const migrationId = newId();
    await sql`insert into channel_migration (id, channel_id, state, history, pipeline_id, open_status_id, closed_status_id, asked_by, started_at)
      select ${migrationId}, h.id, 'RUNNING', 'ALL', h.default_pipeline_id, h.default_status_id, h.default_status_id, ${newId()}, now()
      from channel h where h.id = ${move.channelId}`.execute(tx);
    const before = performance.now();
    const { moved } = await moveNext(tx, { ...move, migrationId }, nextOf({ ...move, migrationId }, NONE_YET, MEASURED_ROWS));
    return (Math.max(1, moved) * 1000) / Math.max(0.001, performance.now() - before);
  } finally {
    await tx.rollback().execute();
  }
}

const NONE_YET = '00000000-0000-0000-0000-000000000000';

async function prepare(tx: Tx, { channelId }: Omit<Move, 'migrationId'>, count: number): Promise<void> {
  const copies = Math.ceil(MEASURED_ROWS / Math.min(count, MEASURED_ROWS));
  // The rows are read before their tables are hidden.
  await sql`
    create temporary table measured as
    select to_jsonb(c) || jsonb_build_object('id', n.id, 'ticket_id', n.ticket_id) as conversation,
      case when c.ticket_id is not null then to_jsonb(t) || jsonb_build_object('id', n.ticket_id, 'conversation_id', n.id, 'number', row_number() over ()) end as ticket
    from (select * from conversation where channel_id = ${channelId} and place = 'INBOX' order by id desc limit ${sql.lit(MEASURED_ROWS)}) c
    cross join generate_series(1, ${sql.lit(copies)}) k
    cross join lateral (select case k when 1 then c.id else uuidv7() end as id, case when c.ticket_id is null then null when k = 1 then c.ticket_id else uuidv7() end as ticket_id) n
    left join ticket t on t.id = c.ticket_id
    limit ${sql.lit(MEASURED_ROWS)}`.execute(tx);
  for (const table of WRITTEN) await sql`create temporary table ${sql.id(table)} (like ${sql.id(table)} including all)`.execute(tx);
  await sql`select set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)`.execute(tx);
  // A rate measured on the real tables would be rolled back like this one, but people would wait for its locks.
  const { rows } = await sql<{ hidden: boolean }>`select c.relnamespace = pg_my_temp_schema() as hidden from unnest(${[...WRITTEN]}::regclass[]) as name (oid)
    join pg_class c on c.oid = name.oid`.execute(tx);
  if (rows.length !== WRITTEN.length || !rows.every(({ hidden }) => hidden)) throw new Error('the temporary tables of a preflight hide the real ones not');
  await sql`create temporary sequence measured_number start 1000001`.execute(tx);
  await sql`alter table pg_temp.ticket alter column number set default nextval('pg_temp.measured_number')`.execute(tx);
  await sql`insert into pg_temp.ticket select r.* from measured m cross join lateral jsonb_populate_record(null::pg_temp.ticket, m.ticket) r where m.ticket is not null`.execute(
    tx,
  );
  await sql`insert into pg_temp.conversation select r.* from measured m cross join lateral jsonb_populate_record(null::pg_temp.conversation, m.conversation) r`.execute(
    tx,
  );
  // What is not known to be a thousand rows is joined as if it were a few.
  await sql`analyze pg_temp.conversation, pg_temp.ticket`.execute(tx);
}

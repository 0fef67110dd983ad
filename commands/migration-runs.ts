import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { MigrationHistory, MigrationState } from '#db/schema.ts';
import { readProgress, type MigrationProgress } from './migration-report.ts';

/** What the workflow of a channel's move waits for and shows: ids, counts and moments. */
export interface MoveView {
  readonly migrationId: string;
  readonly state: MigrationState;
  readonly history: MigrationHistory;
  /** Milliseconds until it is to start, by PostgreSQL's clock; not past its hour: 0. */
  readonly startsInMs: number;
  readonly startAtIso: string;
  readonly progress: MigrationProgress;
}

/** The move of a channel that runs, else the one that is set for later, else the last one; null: there is none. */
export async function readMoveView(db: Db, channelKey: string): Promise<MoveView | null> {
  const { rows } = await sql<{ id: string; state: MigrationState; history: MigrationHistory; start_at: Date; ms: number }>`
    select g.id, g.state, g.history, g.start_at, greatest(0, extract(epoch from g.start_at - clock_timestamp()) * 1000)::float8 as ms
    from channel_migration g join channel h on h.id = g.channel_id where h.key = ${channelKey}
    order by array_position(array['RUNNING', 'SCHEDULED', 'COMPLETED_WITH_REMAINDER', 'COMPLETED', 'WITHDRAWN'], g.state), g.asked_at desc limit 1`.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  return {
    migrationId: row.id,
    state: row.state,
    history: row.history,
    startsInMs: Math.ceil(row.ms),
    startAtIso: row.start_at.toISOString(),
    progress: await readProgress(db, row.id),
  };
}

/** Keeps that a run of its workflow has begun. One that does not continue another, and is not the first, was begun because that one ended without an end (MIG-21). */
export async function noteRun(db: Db, migrationId: string, runId: string, continues: boolean): Promise<void> {
  await sql`
    insert into channel_migration_run (run_id, migration_id, how)
    select ${runId}, ${migrationId}, case when ${continues} then 'CONTINUED' when exists (select from channel_migration_run r where r.migration_id = ${migrationId}) then 'RESTARTED' else 'FIRST' end
    on conflict do nothing`.execute(db);
}

/** Keeps that a cancel was asked for in a run, which goes on (MIG-14). A run that a reset made has not said that it began. */
export async function noteCancelAsked(db: Db, migrationId: string, runId: string): Promise<void> {
  await sql`
    insert into channel_migration_run (run_id, migration_id, how, cancel_asked_at) values (${runId}, ${migrationId}, 'CONTINUED', now())
    on conflict (run_id) do update set cancel_asked_at = coalesce(channel_migration_run.cancel_asked_at, now())`.execute(db);
}

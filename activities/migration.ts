import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { sql } from 'kysely';
import { readLivePace } from '#commands/live-pace.ts';
import { noteCancelAsked, noteRun, readMoveView, type MoveView } from '#commands/migration-runs.ts';
import { endMove, noteWaited, retryRemainder, walkOn } from '#commands/migration-walk.ts';
import { startDue, type DueOutcome } from '#commands/migrations.ts';
import { BATCH_AIM_MS, LONGEST_WAIT_MS, mustWait } from '#domain/migration.ts';
import type { Engine } from './dependencies.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

export type { MoveView } from '#commands/migration-runs.ts';
export type { DueOutcome } from '#commands/migrations.ts';

/** Milliseconds between two looks at how live work is doing, between two tellings, and between two tries at what somebody holds. */
const LOOK_MS = 500;
const TELL_MS = 1_000;
const HELD_MS = 200;
/** Seconds back in which live work is measured. */
const LIVE_SECONDS = 10;

export function createMigrationActivities(engine: Engine) {
  return {
    /** What the move of a channel waits for, and how far it is; null: there is none. */
    async seeMove(channelKey: string): Promise<MoveView | null> {
      return readMoveView(engine.db, channelKey);
    },

    /** Starts the move whose hour has come (MIG-7). */
    async startDueMove(channelKey: string): Promise<DueOutcome> {
      const { value, wakes } = await startDue(engine.db, engine, channelKey);
      // Its own run goes on by itself.
      await wake(
        engine,
        wakes.filter(({ kind }) => kind !== 'channel-migration'),
      );
      return value;
    },

    /** Keeps that this run has begun; `continues`: the history of a longer one. */
    async beginRun(migrationId: string, continues: boolean): Promise<void> {
      await noteRun(engine.db, migrationId, runId(), continues);
    },

    /** Keeps that somebody asked to cancel this run. It goes on all the same (MIG-14). */
    async noteCancel(migrationId: string): Promise<void> {
      await noteCancelAsked(engine.db, migrationId, runId());
    },

    /**
     * Moves conversations, transaction by transaction, until all are in the help desk or ten seconds are over. Live work comes first: while it is slow, a transaction every
     * five seconds (MIG-19). Returns whether the move has ended.
     */
    async moveConversations(migrationId: string): Promise<MovedOn> {
      const context = Context.current();
      return moveOn(engine, migrationId, { beat: () => context.heartbeat(), stopped: () => context.cancellationSignal.aborted });
    },

    /** Tries once more what could not be moved (MIG-16). */
    async moveLeftOver(migrationId: string): Promise<{ readonly tried: number; readonly moved: number }> {
      const { value, wakes } = await retryRemainder(engine.db, migrationId);
      await wake(engine, wakes);
      return value;
    },
  };
}

function runId(): string {
  return Context.current().info.workflowExecution?.runId ?? '';
}

/** The pace of one call, and how it says that it lives. */
export interface MovingOn {
  beat(): void;
  stopped(): boolean;
  /** Milliseconds it goes on. */
  readonly forMs?: number;
}

export interface MovedOn {
  /** Whether the move has ended. */
  readonly ended: boolean;
  /** Whether it lets live work go first just now. */
  readonly waiting: boolean;
}

/** One call of the walk, also outside Temporal (tests). */
export async function moveOn(
  engine: Pick<Engine, 'db' | 'waker' | 'log'>,
  migrationId: string,
  { beat, stopped, forMs = LIMITS.drainMs }: MovingOn,
): Promise<MovedOn> {
  const end = performance.now() + forMs;
  const row = await engine.db
    .selectFrom('channel_migration')
    .select(['live_before_ms', sql<number>`extract(epoch from clock_timestamp() - progressed_at)::float8 * 1000`.as('sinceMs')])
    .where('id', '=', migrationId)
    .executeTakeFirstOrThrow();
  let [lookedAt, toldAt] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  // Also by another call: it is the steps that are five seconds apart at the most.
  let movedAt = performance.now() - row.sinceMs;
  let waiting = false;
  let waitedMs = 0;
  let aimMs: number = BATCH_AIM_MS.besideLiveWork;
  for (;;) {
    const now = performance.now();
    beat();
    if (now >= end || stopped()) {
      if (waitedMs > 0) await noteWaited(engine.db, migrationId, waitedMs);
      return { ended: false, waiting };
    }
    if (now - lookedAt >= LOOK_MS) {
      lookedAt = now;
      const pace = await readLivePace(engine.db, LIVE_SECONDS);
      waiting = mustWait(pace, row.live_before_ms);
      aimMs = pace.messages > 0 ? BATCH_AIM_MS.besideLiveWork : BATCH_AIM_MS.alone;
    }
    if (waiting && now - movedAt < LONGEST_WAIT_MS) {
      await sleep(HELD_MS);
      waitedMs += performance.now() - now;
      continue;
    }
    const tell = now - toldAt >= TELL_MS;
    if (tell) toldAt = now;
    const { value, wakes } = await walkOn(engine.db, migrationId, { waitedMs, tell, aimMs });
    movedAt = performance.now();
    waitedMs = 0;
    await wake(engine, wakes);
    if (value.state === 'OVER') return { ended: true, waiting: false };
    if (value.state === 'GOES_ON') continue;
    const ending = await endMove(engine.db, migrationId);
    await wake(engine, ending.wakes);
    if (ending.value) return { ended: true, waiting: false };
    await sleep(HELD_MS);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { readLivePace } from '#commands/live-pace.ts';
import { noteCancelAsked, noteRun, readMoveView, type MoveView } from '#commands/migration-runs.ts';
import { endMove, retryRemainder, walkOn } from '#commands/migration-walk.ts';
import { startDue, type DueOutcome } from '#commands/migrations.ts';
import { LONGEST_WAIT_MS, mustWait } from '#domain/migration.ts';
import type { Engine } from './dependencies.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

export type { MoveView } from '#commands/migration-runs.ts';
export type { DueOutcome } from '#commands/migrations.ts';

/** Milliseconds between two looks at how live work is doing, between two tellings, and between two tries at what somebody holds. */
const LOOK_MS = 500;
const TELL_MS = 1_000;
const HELD_MS = 200;

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
    async moveConversations(migrationId: string): Promise<{ readonly ended: boolean; readonly waiting: boolean }> {
      const context = Context.current();
      const end = performance.now() + LIMITS.drainMs;
      const { live_before_ms: before } = await engine.db
        .selectFrom('channel_migration')
        .select('live_before_ms')
        .where('id', '=', migrationId)
        .executeTakeFirstOrThrow();
      let lookedAt = Number.NEGATIVE_INFINITY;
      let toldAt = Number.NEGATIVE_INFINITY;
      let waitingSince: number | null = null;
      let movedAt = performance.now();
      let waitedMs = 0;
      for (;;) {
        const now = performance.now();
        context.heartbeat();
        if (now >= end || context.cancellationSignal.aborted) return { ended: false, waiting: waitingSince !== null };
        if (now - lookedAt >= LOOK_MS) {
          lookedAt = now;
          const slow = mustWait(await readLivePace(engine.db, 10), before);
          waitingSince = slow ? (waitingSince ?? now) : null;
        }
        if (waitingSince !== null && now - movedAt < LONGEST_WAIT_MS) {
          await sleep(HELD_MS);
          waitedMs += performance.now() - now;
          continue;
        }
        const tell = now - toldAt >= TELL_MS;
        if (tell) toldAt = now;
        const { value, wakes } = await walkOn(engine.db, migrationId, { waitedMs, tell });
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

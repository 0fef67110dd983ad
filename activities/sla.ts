import { Context } from '@temporalio/activity';
import { reevaluateBatch, takeOwedWakes, type ReevaluationProgress } from '#commands/sla-reevaluation.ts';
import type { Engine } from './dependencies.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

export type { ReevaluationProgress } from '#commands/sla-reevaluation.ts';

const AT_ONCE = 20;

export function createSlaActivities(engine: Engine) {
  return {
    /** Brings the next open tickets up to the policies, batch by batch, until all are or ten seconds are over (SLA-10). */
    async reevaluateTickets(reevaluationId: string): Promise<ReevaluationProgress> {
      const context = Context.current();
      const end = engine.now() + LIMITS.drainMs;
      for (;;) {
        const { value, wakes } = await reevaluateBatch(engine.db, reevaluationId);
        await wake(engine, wakes);
        context.heartbeat();
        if (value.done || engine.now() >= end || context.cancellationSignal.aborted) return value;
      }
    },

    /** Wakes tickets whose workflows do not know yet of a moment within the horizon, the soonest first (SLA-13). Returns how many; as many as `wakesPerCall`: there may be more. */
    async carryHorizon(): Promise<{ readonly woken: number; readonly more: boolean }> {
      const wakes = await takeOwedWakes(engine.db, LIMITS.wakesPerCall);
      // A few at a time: a server that starts dozens a second lets hundreds wait until they are given up.
      for (let start = 0; start < wakes.length; start += AT_ONCE) await wake(engine, wakes.slice(start, start + AT_ONCE));
      return { woken: wakes.length, more: wakes.length === LIMITS.wakesPerCall };
    },
  };
}

import { Context } from '@temporalio/activity';
import { migrationSlaBatch, type MigrationSlaProgress } from '#commands/migration-sla.ts';
import type { Engine } from './dependencies.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

export type { MigrationSlaProgress } from '#commands/migration-sla.ts';

export function createMigrationSlaActivities(engine: Engine) {
  return {
    /** Gives the next moved tickets their goals, batch by batch, until all have them or ten seconds are over (MIG-20). */
    async measureMoved(migrationId: string): Promise<MigrationSlaProgress> {
      const context = Context.current();
      const end = engine.now() + LIMITS.drainMs;
      for (;;) {
        const { value, wakes } = await migrationSlaBatch(engine.db, migrationId);
        await wake(engine, wakes);
        context.heartbeat();
        if (value.done || engine.now() >= end || context.cancellationSignal.aborted) return value;
      }
    },
  };
}

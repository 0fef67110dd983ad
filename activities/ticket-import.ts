import { Context } from '@temporalio/activity';
import { importBatch, type ImportProgress } from '#commands/ticket-import.ts';
import type { Engine } from './dependencies.ts';
import { wake } from './wakes.ts';

export type { ImportProgress } from '#commands/ticket-import.ts';

/** Milliseconds one call goes on before it gives an account of itself. */
const CALL_MS = 10_000;

export function createTicketImportActivities(engine: Engine) {
  return {
    /** Takes the next lines of an import in, batch by batch, until it is over or ten seconds are. */
    async importTickets(importId: string): Promise<ImportProgress> {
      const context = Context.current();
      const end = engine.now() + CALL_MS;
      for (;;) {
        const { value, wakes } = await importBatch(engine.db, importId);
        await wake(engine, wakes);
        context.heartbeat();
        if (value.state !== 'RUNNING' || engine.now() >= end || context.cancellationSignal.aborted) return value;
      }
    },
  };
}

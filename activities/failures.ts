import { randomUUID } from 'node:crypto';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { CompleteAsyncError } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { NotFound, NotPossible, Refusal } from '#commands/refusals.ts';
import type { ActivityLog } from './dependencies.ts';

/**
 * What leaves an activity as a failure goes into a history that anybody who operates Temporal may read: a refusal of ours passes with its class and
 * ids, all else becomes `Unexpected` with an error id and nothing more, for a unique violation's text holds the address. The id is in the log.
 */
export function failureInterceptor(log: ActivityLog): ActivityInterceptorsFactory {
  return (context) => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          if (error instanceof CancelledFailure || error instanceof CompleteAsyncError) throw error;
          throw redact(error, context.info.activityType, log);
        }
      },
    },
  });
}

/** The failure that may be shown for an error. */
export function redact(error: unknown, activity: string, log: ActivityLog): ApplicationFailure {
  if (error instanceof Refusal) return bare({ type: error.name, message: error.name, details: idsOf(error), nonRetryable: true });
  const errorId = randomUUID();
  log.error({ errorId, activity, error: classOf(error), ...codeOf(error) }, 'an activity failed');
  return bare({ type: 'Unexpected', message: `error ${errorId}: see the log`, details: [{ errorId }], nonRetryable: false });
}

function bare(options: { type: string; message: string; details: unknown[]; nonRetryable: boolean }): ApplicationFailure {
  const failure = ApplicationFailure.create(options);
  // A stack repeats a message in its first line, and names files of ours at best.
  failure.stack = '';
  return failure;
}

/** Only of the classes whose fields are ids and codes. */
function idsOf(error: Refusal): unknown[] {
  if (error instanceof NotFound) return [{ what: error.what, id: error.id }];
  if (error instanceof NotPossible) return [{ reason: error.reason }];
  return [];
}

function classOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

/** PostgreSQL's state or Node's code: letters, digits and underscores. */
function codeOf(error: unknown): { readonly code?: string } {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? { code } : {};
}

/** Whether PostgreSQL itself is away: nobody's fault, so it is no failed try of a delivery. */
export function isConnectionTrouble(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (typeof code !== 'string') return error instanceof Error && /connection|timeout|terminated/i.test(error.message);
  // Class 08: connection; 53: resources; 57: shut down or cancelled; 40: serialisation or deadlock; 25P04 and 55P03: a time limit of ours.
  return /^(08|53|57|40)/.test(code) || ['25P04', '55P03', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'].includes(code);
}

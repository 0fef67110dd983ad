import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
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
  log.error({ errorId, activity, ...inCodes(error) }, 'an activity failed');
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

/** Whether PostgreSQL itself can not be had: nobody's fault, and the next statement would fare no better. */
export function isAway(error: unknown): boolean {
  const code = stateOf(error);
  if (code === undefined) return error instanceof Error && /connection|timeout|terminated/i.test(error.message);
  // Class 08: connection; 53: resources; 57: shut down or cancelled.
  return /^(08|53|57)/.test(code) || NETWORK.has(code);
}

/** Whether the same statement may well succeed in a moment, so that it is no failed try of a delivery: PostgreSQL is away, or another transaction was in the way. */
export function isConnectionTrouble(error: unknown): boolean {
  const code = stateOf(error);
  // Class 40: serialisation or deadlock; 25P04 and 55P03: a time limit of ours.
  return isAway(error) || (code !== undefined && (code.startsWith('40') || code === '25P04' || code === '55P03'));
}

/** Whether PostgreSQL would not have a value: too large for an index, no such moment, against a constraint. Another one may well be kept. */
export function isOfTheValue(error: unknown): boolean {
  return /^(22|23|54)/.test(stateOf(error) ?? '') || error instanceof RangeError;
}

const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

function stateOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : undefined;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/** Does it, and again while it fails for trouble that passes; `goOn` is asked after each failure, with how many there were. */
export async function throughTrouble<Value>(work: () => Promise<Value>, goOn: (failures: number) => boolean): Promise<Value> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isConnectionTrouble(error) || !goOn(failures)) throw error;
      await sleep(Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS));
    }
  }
}

/** The same in words, for a row. Never the message: PostgreSQL's holds the values. */
export function classAndCode(error: unknown): string {
  const { code } = codeOf(error);
  return code === undefined ? classOf(error) : `${classOf(error)} ${code}`;
}

/** What a log may say of an error: its class and its code. */
export function inCodes(error: unknown): { readonly error: string; readonly code?: string } {
  return { error: classOf(error), ...codeOf(error) };
}

import type { Plugin } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import type { Keys } from '#commands/secrets.ts';
import type { Waker } from '#workflows/contract.ts';
import type { Bell } from './bell.ts';
import type { ParsePool } from './parse-pool.ts';

/** The part of a logger that is used here: fields of ids and codes, a fixed phrase. */
export interface ActivityLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Ends a workflow that a wake did not help; true where there was one. */
export interface WorkflowEnder {
  terminate(workflowId: string, reason: string): Promise<boolean>;
}

/** Everything activities need from outside, given once. */
export interface Dependencies {
  readonly db: Db;
  readonly keys: Keys;
  readonly plugins: readonly Plugin[];
  /** The config module's URL, for the parsing threads load it themselves. */
  readonly configUrl: string;
  readonly waker: Waker & WorkflowEnder;
  /** Tells a drain at once what came for its channel; without it, it looks every moment. */
  readonly bell?: Pick<Bell, 'wait'>;
  readonly log: ActivityLog;
  /** Where providers reach the account, without a slash at the end; plugins are told of their webhooks by it. */
  readonly publicUrl?: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What the activities share beside. */
export interface Engine extends Dependencies {
  readonly pool: ParsePool;
}

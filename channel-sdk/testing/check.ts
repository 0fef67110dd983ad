import type { Plugin } from '../index.ts';
import type { ConformanceSamples } from './samples.ts';

/** One thing a plugin must do. */
export interface ConformanceCheck {
  readonly name: string;
  /** The member of the contract it is about. */
  readonly rule: string;
  /** Rejects with an Error that says what is wrong, where, and how to mend it. */
  run(): Promise<void>;
}

/** What is checked. */
export interface Subject {
  readonly plugin: Plugin;
  readonly samples: ConformanceSamples;
}

/** Ends a check. */
export function fail(what: string, mend: string, cause?: unknown): never {
  throw new Error(`${what}\n  To mend it: ${mend}`, cause === undefined ? undefined : { cause });
}

/** Ends a check unless it holds. */
export function must(holds: boolean, what: string, mend: string): void {
  if (!holds) fail(what, mend);
}

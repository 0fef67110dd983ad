import type { Plugin } from '../index.ts';
import type { ConformanceSamples } from '../testing/index.ts';

/** A plugin, or samples, with one mistake. */
export interface Broken {
  readonly plugin?: Plugin;
  readonly samples?: ConformanceSamples;
  /** What the suite says of it. */
  readonly says: RegExp;
}

export function there<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the reference channel lacks a function');
  return value;
}

import { pino, type DestinationStream, type Logger } from 'pino';

import type { LogLevel } from './environment.ts';

export type { Logger } from 'pino';

/** What a logger is made of. */
export type LogOptions = {
  /** Which process speaks: `api`, `worker`, `start`. */
  readonly service: string;
  readonly level?: LogLevel;
  /** Where lines go; standard output unless given. */
  readonly destination?: DestinationStream;
};

/**
 * A logger of JSON lines. A line holds ids, counts and enumerated values, never a name, an address or a text of
 * a message; what a library throws is therefore reduced by {@link describeError}.
 */
export function createLogger({ service, level = 'info', destination }: LogOptions): Logger {
  const options = {
    level,
    base: { service, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError, error: describeError },
    redact: { paths: SECRET_PATHS, censor: '[hidden]' },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** What a log may say of an error. */
export type ErrorDescription = {
  readonly type: string;
  readonly code?: string;
  readonly constraint?: string;
  readonly errorId?: string;
  /** The frames alone; the first line of a stack repeats the message. */
  readonly frames?: readonly string[];
  readonly cause?: ErrorDescription;
};

/**
 * An error without its message: PostgreSQL's unique violation quotes the email address, a provider's answer quotes
 * the text. Class, code, constraint and stack frames are enough to find the place.
 */
export function describeError(error: unknown): ErrorDescription {
  return describe(error, 0);
}

function describe(error: unknown, depth: number): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = property(error, 'code');
  const constraint = property(error, 'constraint');
  const errorId = property(error, 'errorId');
  const frames = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 12)
    .map((line) => line.trim());
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    ...(constraint === undefined ? {} : { constraint }),
    ...(errorId === undefined ? {} : { errorId }),
    ...(frames.length === 0 ? {} : { frames }),
    ...(error.cause === undefined || depth >= 4 ? {} : { cause: describe(error.cause, depth + 1) }),
  };
}

function property(error: Error, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

// A second net: nobody should log these, and one day somebody will.
const SECRET_PATHS = ['authorization', 'secret', 'password', 'token', 'apiKey', 'databaseUrl'].flatMap((name) => [name, `*.${name}`]);

import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';

import type { TemporalSettings } from './environment.ts';

/** The oldest server whose features the engine uses. */
export const MINIMUM_SERVER = '1.28.0';

/** A Temporal server that cannot be used; the message says which and why. */
export class TemporalUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TemporalUnavailable';
  }
}

/** One that answers, but is older than {@link MINIMUM_SERVER}: to ask it again does not help. */
export class TemporalTooOld extends TemporalUnavailable {}

/** A checked connection. Whoever asked for it closes `connection`. */
export type TemporalClient = {
  readonly connection: Connection;
  readonly client: Client;
  /** Such as `1.29.1`. */
  readonly serverVersion: string;
};

/**
 * Connects and checks the server's version. Throws {@link TemporalUnavailable} when nothing answers within
 * `timeoutMs` milliseconds, {@link TemporalTooOld} when the server is older than {@link MINIMUM_SERVER}; never hangs.
 */
export async function connectClient(settings: TemporalSettings, timeoutMs = 10_000): Promise<TemporalClient> {
  const connection = await open(settings, timeoutMs);
  try {
    const serverVersion = await checkServer(connection, settings, timeoutMs);
    return { connection, client: new Client({ connection, namespace: settings.namespace }), serverVersion };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** What a worker's `NativeConnection.connect` takes for the same server. */
export function nativeConnectionOptions(settings: TemporalSettings): NativeConnectionOptions {
  return connectionOptions(settings);
}

/** Is version `a` (such as `1.29.1`, `1.30.0-148.4`) at least `b`? An unreadable one is not. */
export function atLeast(a: string, b: string): boolean {
  const left = numbers(a);
  const right = numbers(b);
  if (left === undefined || right === undefined) return false;
  for (const [index, wanted] of right.entries()) {
    const found = left[index] ?? 0;
    if (found !== wanted) return found > wanted;
  }
  return true;
}

function numbers(version: string): readonly number[] | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version);
  return match === null ? undefined : [match[1], match[2], match[3] ?? '0'].map(Number);
}

function connectionOptions(settings: TemporalSettings) {
  return {
    address: settings.address,
    // An API key is never sent over a connection that can be read.
    tls: settings.tls || settings.apiKey !== undefined,
    ...(settings.apiKey === undefined ? {} : { apiKey: settings.apiKey }),
  };
}

async function open(settings: TemporalSettings, timeoutMs: number): Promise<Connection> {
  const options: ConnectionOptions = { ...connectionOptions(settings), connectTimeout: timeoutMs };
  const connecting = Connection.connect(options);
  try {
    return await limit(connecting, timeoutMs + 500);
  } catch (cause) {
    // Should it answer after all, nobody is left to close it.
    connecting.then((connection) => connection.close()).catch(() => {});
    throw unreachable(settings, cause);
  }
}

async function checkServer(connection: Connection, settings: TemporalSettings, timeoutMs: number): Promise<string> {
  let version: string;
  try {
    const info = await limit(
      connection.withDeadline(Date.now() + timeoutMs, () => connection.workflowService.getSystemInfo({})),
      timeoutMs + 500,
    );
    version = info.serverVersion ?? '';
  } catch (cause) {
    throw unreachable(settings, cause);
  }
  if (!atLeast(version, MINIMUM_SERVER)) {
    throw new TemporalTooOld(
      `The Temporal server at ${settings.address} is version ${version || 'unknown'}; at least ${MINIMUM_SERVER} is needed. Upgrade it or point TEMPORAL_ADDRESS at another.`,
    );
  }
  return version;
}

function unreachable(settings: TemporalSettings, cause: unknown): TemporalUnavailable {
  const tls = settings.tls || settings.apiKey !== undefined ? 'with TLS' : 'without TLS';
  return new TemporalUnavailable(
    `No Temporal server answers at ${settings.address} (${tls}). Is it running, and are TEMPORAL_ADDRESS, TEMPORAL_TLS and TEMPORAL_API_KEY right?`,
    { cause },
  );
}

async function limit<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Client, Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { NativeConnection } from '@temporalio/worker';
import { inject } from 'vitest';

import type { TemporalSettings } from '#runtime/environment.ts';
import { connectClient, nativeConnectionOptions } from '#runtime/temporal.ts';
import { ensureTemporalSetup, RETENTION_DAYS } from '#runtime/temporal-setup.ts';
import { eventually } from './wait.ts';

/** A namespace nobody else uses, on the real server. */
export interface TestTemporal {
  readonly namespace: string;
  readonly settings: TemporalSettings;
  readonly client: Client;
  readonly connection: Connection;
  /** What a worker needs; made at the first call, closed by `close`. */
  nativeConnection(): Promise<NativeConnection>;
  close(): Promise<void>;
}

/** Claims a namespace with search attributes and retention in place. */
export async function testTemporal(): Promise<TestTemporal> {
  const { temporalAddress: address } = inject('servers');
  const claimed = claim();
  const namespace = claimed ?? `test-${randomBytes(6).toString('hex')}`;
  const settings: TemporalSettings = { address, namespace, tls: false, apiKey: undefined };
  const { client, connection } = await connectClient(settings);
  if (claimed === undefined) await register(connection, namespace);
  await ensureTemporalSetup(connection, namespace);
  let native: Promise<NativeConnection> | undefined;
  return {
    namespace,
    settings,
    client,
    connection,
    nativeConnection: () => (native ??= NativeConnection.connect(nativeConnectionOptions(settings))),
    async close() {
      await (await native)?.close();
      await connection.close();
    },
  };
}

/** The first namespace nobody has; undefined when all are taken. Making a directory either succeeds or does not. */
function claim(): string | undefined {
  const { namespaces, claims } = inject('servers');
  return namespaces.find((namespace) => {
    try {
      mkdirSync(join(claims, namespace));
      return true;
    } catch {
      return false;
    }
  });
}

/** Slower than a claim: a server learns of a new namespace only seconds later. */
async function register(connection: Connection, namespace: string): Promise<void> {
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: msToTs(RETENTION_DAYS * 86_400_000),
  });
  await eventually(() => connection.workflowService.listOpenWorkflowExecutions({ namespace }));
}

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import pg from 'pg';
import { migrateToLatest } from '#db/migrate.ts';
import { startThrowawayPostgres } from '#scripts/servers/postgres.ts';
import { startTemporal } from '#scripts/servers/temporal.ts';
import { ensureTemporalSetup } from '#runtime/temporal-setup.ts';

/** Real servers: those the environment names, else throwaway ones for this process. */
export interface Servers {
  /** Of a database on it; the name is replaced. */
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  stop(): Promise<void>;
}

let shared: Promise<Servers> | undefined;

/** Started once a process, however many ask. */
export function servers(): Promise<Servers> {
  return (shared ??= start());
}

async function start(): Promise<Servers> {
  const { TRUNKLINE_TEST_DATABASE_URL: databaseUrl, TRUNKLINE_TEST_TEMPORAL_ADDRESS: temporalAddress } = process.env;
  if (databaseUrl !== undefined && temporalAddress !== undefined) return { databaseUrl, temporalAddress, stop: async () => undefined };
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
  const [postgres, temporal] = await Promise.all([startThrowawayPostgres(), startTemporal({ directory, throwaway: true })]);
  return {
    databaseUrl: postgres.url,
    temporalAddress: temporal.address,
    async stop() {
      shared = undefined;
      await Promise.all([postgres.stop(), temporal.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A database of its own with the newest schema; its URL. */
export async function freshDatabase({ databaseUrl }: Servers): Promise<string> {
  const url = new URL(databaseUrl);
  const name = `t_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  url.pathname = name;
  await migrateToLatest(url.href);
  return url.href;
}

export interface Namespace {
  readonly address: string;
  readonly namespace: string;
  readonly connection: Connection;
  readonly client: Client;
}

/** A namespace of its own with the search attributes; the caller closes the connection. */
export async function freshNamespace({ temporalAddress: address }: Servers): Promise<Namespace> {
  const namespace = `t-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('30 days') });
  // A server learns of a new namespace a moment later.
  for (let attempt = 1; ; attempt += 1) {
    try {
      await ensureTemporalSetup(connection, namespace);
      break;
    } catch (error) {
      if (attempt >= 50) throw error;
      await sleep(200);
    }
  }
  return { address, namespace, connection, client: new Client({ connection, namespace }) };
}

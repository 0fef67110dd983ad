import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

import { migrateToLatest } from '#db/migrate.ts';
import { startThrowawayPostgres } from '#scripts/servers/postgres.ts';
import { createProgress, type Progress } from '#scripts/servers/progress.ts';
import { startTemporal } from '#scripts/servers/temporal.ts';

/** What every test file may use; plain data, for it goes to other processes. */
export type TestServers = {
  /** Of the server's maintenance database. */
  readonly databaseUrl: string;
  /** The name of a database with the newest schema, to be copied. Nobody connects to it. */
  readonly template: string;
  /** `host:port` */
  readonly temporalAddress: string;
  /** Namespaces the server was started with. */
  readonly namespaces: readonly string[];
  /** A directory in which whoever makes `<namespace>/` first has it. */
  readonly claims: string;
};

/** Variables that name servers which already run; then none is started. */
export const GIVEN = {
  databaseUrl: 'TRUNKLINE_TEST_DATABASE_URL',
  temporalAddress: 'TRUNKLINE_TEST_TEMPORAL_ADDRESS',
} as const;

const NAMESPACES = Array.from({ length: 80 }, (_, index) => `test-${index}`);

/** Starts throwaway servers for one run of the tests, or uses those the environment names. */
export async function startTestServers(progress: Progress = createProgress()) {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
  const claims = join(directory, 'claims');
  mkdirSync(claims);
  const closers: (() => Promise<void> | void)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const pids: number[] = [];
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  // Should the run be ended from outside, there is no time left to ask politely, and nothing to lose.
  const onExit = () => {
    for (const pid of pids) endNow(pid);
    rmSync(directory, { recursive: true, force: true });
  };
  process.once('exit', onExit);
  closers.push(() => void process.off('exit', onExit));

  try {
    const givenDatabase = process.env[GIVEN.databaseUrl];
    let databaseUrl = givenDatabase;
    if (databaseUrl === undefined) {
      const postgres = await startThrowawayPostgres(progress);
      pids.push(postgres.pid);
      closers.push(() => postgres.stop());
      databaseUrl = postgres.url;
    }
    const template = await makeTemplate(databaseUrl, progress);
    if (givenDatabase !== undefined) closers.push(() => dropDatabase(givenDatabase, template));

    let temporalAddress = process.env[GIVEN.temporalAddress];
    let namespaces: readonly string[] = [];
    if (temporalAddress === undefined) {
      namespaces = NAMESPACES;
      const temporal = await startTemporal({ directory, throwaway: true, namespaces, progress });
      pids.push(temporal.pid);
      closers.push(() => temporal.stop());
      temporalAddress = temporal.address;
    }
    const servers: TestServers = { databaseUrl, template, temporalAddress, namespaces, claims };
    return { servers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeTemplate(databaseUrl: string, progress: Progress): Promise<string> {
  const template = `trunkline_template_${process.pid}_${Date.now()}`;
  await administer(databaseUrl, `create database ${template}`);
  const url = new URL(databaseUrl);
  url.pathname = template;
  await progress.during('Making the schema of the tests', () => migrateToLatest(url.href));
  return template;
}

/** Removes a database, ending whoever still uses it. */
export function dropDatabase(databaseUrl: string, name: string, timeoutMs = 30_000): Promise<void> {
  return administer(databaseUrl, `drop database if exists ${name} with (force)`, timeoutMs);
}

/** Runs one statement that cannot stand in a transaction. */
export async function administer(databaseUrl: string, statement: string, timeoutMs = 60_000): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, statement_timeout: timeoutMs });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function endNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

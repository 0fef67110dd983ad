import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, inject, onTestFinished, test } from 'vitest';

import { FolderInUse } from '#scripts/servers/folder-lock.ts';
import { isAlive } from '#scripts/servers/process.ts';
import { startStack, type Stack, type StackOptions } from '#scripts/servers/stack.ts';
import { testTemporal } from '../support/temporal.ts';
import { administer, dropDatabase } from '../support/servers.ts';
import { testDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';

const entries = { api: new URL('fakes/api.ts', import.meta.url), worker: new URL('fakes/worker.ts', import.meta.url) };

/** A folder the database's user can reach, gone after the test. */
function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-stack-'));
  chmodSync(directory, 0o711);
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, '.trunkline');
}

async function start(options: StackOptions): Promise<Stack> {
  const stack = await startStack({ quiet: true, throwaway: true, entries, ...options });
  onTestFinished(() => stack.stop());
  return stack;
}

test('one start brings everything up, and one stop ends api, worker, Temporal and PostgreSQL in order [OPS-1]', async () => {
  const dataDirectory = folder();
  const log = join(dataDirectory, 'order.log');
  const stack = await start({ dataDirectory, environment: { FAKE_LOG: log } });
  const pids = Object.values(stack.pids());
  expect(pids).toHaveLength(4);
  const written: unknown = JSON.parse(readFileSync(join(dataDirectory, 'dev.json'), 'utf8'));
  expect(written).toMatchObject({ ...JSON.parse(JSON.stringify(stack.addresses)), token: stack.token });
  expect(stack.token).toMatch(/^tlk_/);
  for (const file of ['dev.json', 'secret', 'start.lock', 'api.log', 'temporal.db']) {
    expect(statSync(join(dataDirectory, file)).mode & 0o077, file).toBe(0);
  }

  await stack.stop();
  expect(pids.filter(isAlive)).toEqual([]);
  const stopped = readFileSync(log, 'utf8').trim().split('\n');
  expect(stopped.map((line) => line.replace(/.*\//, ''))).toEqual(['api.ts', 'worker.ts']);
  expect(existsSync(join(dataDirectory, 'start.lock'))).toBe(false);
});

test('a second start in the same folder is one clear error and harms nothing [OPS-1]', async () => {
  const dataDirectory = folder();
  const stack = await start({ dataDirectory });
  await expect(startStack({ quiet: true, throwaway: true, entries, dataDirectory })).rejects.toThrow(FolderInUse);
  expect((await fetch(`${stack.addresses.web}/readyz`)).ok).toBe(true);
  expect(Object.keys(stack.pids())).toHaveLength(4);
});

test('PostgreSQL and Temporal come back where they were after kill -9 [OPS-1]', async () => {
  const deaths: string[] = [];
  const stack = await start({ onDeath: (name) => deaths.push(name) });
  const before = stack.pids();
  await Promise.all([stack.killHard('postgres'), stack.killHard('temporal')]);
  await stack.startPostgres();
  await stack.startTemporal();
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  expect((await client.query<{ email: string }>('select email from app_user')).rows).toHaveLength(1);
  await client.end();
  expect(stack.pids().postgres).not.toBe(before.postgres);
  expect(stack.pids().api).toBe(before.api);
  // What was asked for is not reported as a death.
  expect(deaths).toEqual([]);
});

test('an unexpected end of a child is reported [OPS-1]', async () => {
  const deaths: string[] = [];
  const stack = await start({ onDeath: (name, how) => deaths.push(`${name}: ${how}`) });
  const { worker } = stack.pids();
  if (worker === undefined) throw new Error('no worker');
  process.kill(worker, 'SIGKILL');
  await eventually(() => deaths.length > 0);
  expect(deaths).toEqual(['worker: signal SIGKILL']);
  await stack.startWorker();
  expect(stack.pids().worker).not.toBe(worker);
});

test('a child that does not come up ends the start with its last lines, and nothing is left running [OPS-1]', async () => {
  const dataDirectory = folder();
  const broken = { ...entries, api: new URL('fakes/broken.ts', import.meta.url) };
  await expect(startStack({ quiet: true, throwaway: true, dataDirectory, entries: broken })).rejects.toThrow(
    /api did not become ready: it ended \(exit code 3\)[^]*this process is broken/,
  );
  expect(existsSync(join(dataDirectory, 'start.lock'))).toBe(false);
  expect(readFileSync(join(dataDirectory, 'postgres.log'), 'utf8')).toContain('database system is shut down');
});

test('with real servers given nothing embedded starts [OPS-2]', async () => {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  const temporal = await testTemporal();
  onTestFinished(() => temporal.close());
  const stack = await start({ databaseUrl: database.url, temporal: temporal.settings });
  expect(Object.keys(stack.pids()).toSorted()).toEqual(['api', 'worker']);
  expect(stack.environment['TEMPORAL_NAMESPACE']).toBe(temporal.namespace);
  expect(existsSync(join(stack.dataDirectory, 'postgres'))).toBe(false);
});

test('start names the migrations a given database lacks and runs them only when told [OPS-2]', async () => {
  const { databaseUrl } = inject('servers');
  const name = `bare_${process.pid}`;
  await administer(databaseUrl, `create database ${name}`);
  onTestFinished(() => dropDatabase(databaseUrl, name));
  const url = new URL(databaseUrl);
  url.pathname = name;
  const temporal = await testTemporal();
  onTestFinished(() => temporal.close());
  const given = { databaseUrl: url.href, temporal: temporal.settings };
  await expect(startStack({ quiet: true, throwaway: true, entries, ...given })).rejects.toThrow(/lacks schema migrations: 0001/);
  await start({ ...given, migrate: true });
});

test('production has no default credential [OPS-2]', async () => {
  const stack = await start({ mode: 'production' });
  expect(stack.token).toBeUndefined();
  expect(stack.environment['TRUNKLINE_MODE']).toBe('production');
});

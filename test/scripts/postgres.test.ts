import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, expect, onTestFinished, test } from 'vitest';

import { explainFailure, startPostgres, type PostgresOptions, type PostgresServer } from '#scripts/servers/postgres.ts';
import { portFinder } from '#scripts/servers/ports.ts';

let directory: string;
let options: PostgresOptions;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trunkline-pg-'));
  chmodSync(directory, 0o711);
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  options = { directory, port: await portFinder().any() };
});

async function start(further: Partial<PostgresOptions> = {}): Promise<PostgresServer> {
  const server = await startPostgres({ ...options, ...further });
  onTestFinished(() => server.stop());
  return server;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

test('keeps its data between starts, durably [OPS-1]', async () => {
  const first = await start();
  await query(first.url, 'create table kept as select 42 as number');
  await first.stop();
  const second = await start();
  expect(await query(second.url, 'select number from kept')).toEqual([{ number: 42 }]);
  expect(await query(second.url, 'show fsync')).toEqual([{ fsync: 'on' }]);
  expect(await query(second.url, 'show max_connections')).toEqual([{ max_connections: '200' }]);
});

test('comes back after kill -9 with what was committed [OPS-1]', async () => {
  const first = await start();
  await query(first.url, 'create table kept as select 42 as number');
  await first.kill();
  expect(existsSync(join(first.dataDirectory, 'postmaster.pid'))).toBe(true);
  const second = await start({ fixedPort: first.port });
  expect(second.port).toBe(first.port);
  expect(await query(second.url, 'select number from kept')).toEqual([{ number: 42 }]);
});

test('is not stopped by a stale postmaster.pid whose number another process has [OPS-1]', async () => {
  const first = await start();
  const file = join(first.dataDirectory, 'postmaster.pid');
  const text = readFileSync(file, 'utf8');
  await first.stop();
  // Of the same user: PostgreSQL itself knows that another user's process cannot be its own.
  const { uid, gid } = statSync(first.dataDirectory);
  const other = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' });
  onTestFinished(() => void other.kill());
  await once(other, 'spawn');
  writeFileSync(file, text.replace(/^\d+/, String(other.pid)));
  const second = await start();
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect(other.exitCode ?? other.signalCode).toBeNull();
});

test('ends the server a killed start left behind [OPS-1]', async () => {
  const orphan = await start();
  const next = await start();
  expect(await orphan.ended).toBe('exit code 0');
  expect(await query(next.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('starts anew after a first start that was cut off half way [OPS-1]', async () => {
  mkdirSync(join(directory, 'postgres.half'));
  writeFileSync(join(directory, 'postgres.half', 'PG_VERSION'), '18\n');
  const server = await start();
  expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('lets in nobody without its password, which only its owner can read [OPS-1]', async () => {
  const server = await start();
  expect(statSync(join(directory, 'postgres-password')).mode & 0o077).toBe(0);
  const url = new URL(server.url);
  url.password = 'wrong';
  await expect(query(url.href, 'select 1')).rejects.toThrow('password authentication failed');
});

test('a database without its password file is one clear error [OPS-1]', async () => {
  await (await start()).stop();
  rmSync(join(directory, 'postgres-password'));
  await expect(start()).rejects.toThrow('its password');
});

test.runIf(userInfo().uid === 0)('as root, a repository in a closed directory has its data elsewhere, and keeps it [OPS-1]', async () => {
  chmodSync(directory, 0o700);
  const inside = join(directory, 'repository', '.trunkline');
  mkdirSync(inside, { recursive: true });
  const fallback = mkdtempSync(join(tmpdir(), 'trunkline-fallback-'));
  chmodSync(fallback, 0o755);
  onTestFinished(() => rmSync(fallback, { recursive: true, force: true }));
  const first = await start({ directory: inside, fallback });
  expect(first.dataDirectory.startsWith(fallback)).toBe(true);
  await query(first.url, 'create table kept as select 42 as number');
  await first.stop();
  const second = await start({ directory: inside, fallback });
  expect(await query(second.url, 'select number from kept')).toEqual([{ number: 42 }]);
});

test.runIf(userInfo().uid === 0)('as root, a fallback others can write to is refused [OPS-1]', async () => {
  chmodSync(directory, 0o700);
  const fallback = mkdtempSync(join(tmpdir(), 'trunkline-fallback-'));
  chmodSync(fallback, 0o777);
  onTestFinished(() => rmSync(fallback, { recursive: true, force: true }));
  await expect(start({ fallback })).rejects.toThrow('others may write');
});

test.each([
  ['FATAL:  could not write to file "pg_wal/xlogtemp.1": No space left on device', 'no space left on the disk'],
  ['FATAL:  database files are incompatible with server', 'written by another version'],
  ['FATAL:  lock file "postmaster.pid" already exists', 'already running in this folder'],
  ['FATAL:  something new', 'FATAL:  something new'],
])('explains "%s" in one error [OPS-1]', (log, expected) => {
  expect(explainFailure(log, 'postgres.log').message).toContain(expected);
});

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { ensureDevelopmentAccount } from '#commands/development.ts';
import { transact } from '#commands/unit.ts';
import { createTicket } from '#commands/tickets.ts';
import { portFinder } from '#scripts/servers/ports.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase | undefined;
let child: ChildProcess | undefined;
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await database?.drop();
  child = database = undefined;
});

/** The process as an operator starts it, with a Temporal address where nothing answers. */
async function start(url: string, more: NodeJS.ProcessEnv = {}): Promise<{ readonly base: string; readonly output: () => string }> {
  const port = await portFinder().any();
  const running = spawn(process.execPath, [fileURLToPath(new URL('../../api/main.ts', import.meta.url))], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: url,
      TEMPORAL_ADDRESS: `127.0.0.1:${await portFinder().any()}`,
      PORT: String(port),
      SMTP_PORT: '0',
      TRUNKLINE_SECRET: 'cd'.repeat(32),
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = running;
  let output = '';
  running.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  running.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const base = `http://127.0.0.1:${port}`;
  await expect
    .poll(
      async () => {
        if (running.exitCode !== null) throw new Error(`ended at start:\n${output}`);
        return fetch(`${base}/healthz`).then(
          (response) => response.status,
          () => 0,
        );
      },
      { timeout: 200_000 },
    )
    .toBe(200);
  return { base, output: () => output };
}

test('with Temporal away the API starts, is ready and does its work; it names the workflows it could not wake, and nothing else [OPS-7] [OPS-10]', async () => {
  database = await testDatabase();
  const { token } = await ensureDevelopmentAccount(database.db);
  const { base, output } = await start(database.url);
  expect((await fetch(`${base}/readyz`)).status).toBe(200);
  const response = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: 'mutation { createTicket(input: {name: "Words nobody may log"}) { ... on Ticket { number } } }' }),
  });
  expect(await response.json()).toEqual({ data: { createTicket: { number: 1001 } } });
  await expect.poll(output, { timeout: 200_000 }).toContain('ticket/1001');
  expect(output()).not.toContain('Words nobody may log');
  expect(output()).not.toContain(token);
  // Production unless it is said to be development.
  expect((await fetch(`${base}/graphql`, { headers: { accept: 'text/html' } })).status).toBe(405);
  for (const path of ['/dev/mail', '/try/any']) expect(await (await fetch(base + path)).text(), path).toBe('404 Not Found');
});

test('in development, and only there, a page shows the account’s own mail [CH-12]', async () => {
  database = await testDatabase();
  const { base } = await start(database.url, { TRUNKLINE_MODE: 'development' });
  const response = await fetch(`${base}/dev/mail`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; style-src 'unsafe-inline'");
  expect(await response.text()).toContain('Nothing yet.');
  // The page to try a channel on is there, and knows no such channel.
  expect(await (await fetch(`${base}/try/any`)).text()).toBe('not found');
});

test('a database whose schema is not there yet: alive, not ready, and it says what to do [OPS-7] [OPS-8]', async () => {
  database = await testDatabase();
  const { rows } = await sql`delete from kysely_migration returning name`.execute(database.db);
  expect(rows.length).toBeGreaterThan(0);
  const { base } = await start(database.url);
  const response = await fetch(`${base}/readyz`);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain('npm run db:migrate');
});

test('asked to stop it ends its streams, closes in order and exits with 0 [OPS-7]', async () => {
  database = await testDatabase();
  const { token, userId } = await ensureDevelopmentAccount(database.db);
  const { base } = await start(database.url);
  const stream = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: 'subscription { events { ... on FeedItem { event { kind } } } }' }),
  });
  const text = stream.text().catch(() => 'cut');
  await transact(database.db, { actor: 'USER', userId }, (unit) => createTicket(unit, { name: 'x', source: 'API' }));
  const running = child;
  if (running === undefined) throw new Error('not started');
  const ended = once(running, 'exit');
  running.kill('SIGTERM');
  const [code] = await ended;
  expect(code).toBe(0);
  expect(await text).not.toBe('cut');
});

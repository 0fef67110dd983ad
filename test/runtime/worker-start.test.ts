import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Http2Server } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { MINIMUM_SERVER } from '#runtime/temporal.ts';

let database: TestDatabase | undefined;
let server: Http2Server | undefined;
let child: ChildProcess | undefined;
afterEach(async () => {
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  server?.close();
  await database?.drop();
  child = server = database = undefined;
});

/** A Temporal of another version: whatever it is asked, it answers with a `GetSystemInfoResponse`. */
async function temporalOf(version: string): Promise<string> {
  const message = Buffer.concat([Buffer.from([0x0a, version.length]), Buffer.from(version)]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  const started = createServer();
  server = started;
  started.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([frame, message]));
  });
  started.listen(0, '127.0.0.1');
  await once(started, 'listening');
  const address = started.address();
  return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

/** The process as an operator starts it. */
async function startWorker(temporal: string): Promise<{ readonly running: ChildProcess; readonly out: () => string; readonly err: () => string }> {
  database = await testDatabase();
  const running = spawn(process.execPath, [fileURLToPath(new URL('../../worker/main.ts', import.meta.url))], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url, TEMPORAL_ADDRESS: temporal, WORKER_PORT: '0', TRUNKLINE_SECRET: 'cd'.repeat(32) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = running;
  const said = { out: '', err: '' };
  running.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()));
  running.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()));
  return { running, out: () => said.out, err: () => said.err };
}

test('a worker whose Temporal is too old says so once and ends with 1 [OPS-2]', async () => {
  const { running, out, err } = await startWorker(await temporalOf('1.20.3'));
  // Not its exit: what it said may come after that.
  const [code] = await once(running, 'close');
  expect(code).toBe(1);
  expect(err().trim().split('\n')).toEqual([expect.stringContaining(`is version 1.20.3; at least ${MINIMUM_SERVER} is needed`)]);
  expect(out()).not.toContain('"level":"warn"');
});

test('a worker whose Temporal can not be reached tries on, and its log says what kind of error it was [OPS-7] [OPS-10]', async () => {
  // Nothing listens on port 1.
  const { running, out } = await startWorker('127.0.0.1:1');
  const warnings = () =>
    out()
      .split('\n')
      .filter((line) => line.includes('"level":"warn"'));
  await expect.poll(() => warnings().length, { timeout: 200_000, interval: 200 }).toBeGreaterThanOrEqual(1);
  expect(running.exitCode).toBeNull();
  expect(JSON.parse(warnings()[0] ?? '')).toMatchObject({ err: { type: 'TemporalUnavailable', cause: { type: expect.any(String) } } });
});

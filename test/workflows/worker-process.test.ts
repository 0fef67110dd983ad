import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { portFinder } from '#scripts/servers/ports.ts';
import { GUARDIAN_SCHEDULE } from '#workflows/contract.ts';
import { freshDatabase, freshNamespace, servers, type Namespace, type Servers } from './servers.ts';
import { until } from './world.ts';

let running: Servers;
let temporal: Namespace;
let worker: ChildProcess;
let port: number;
let said = '';
beforeAll(async () => {
  running = await servers();
  temporal = await freshNamespace(running);
  port = await portFinder().any();
  worker = spawn(process.execPath, [fileURLToPath(new URL('../../worker/main.ts', import.meta.url))], {
    env: {
      ...process.env,
      DATABASE_URL: await freshDatabase(running),
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
      WORKER_PORT: String(port),
      TRUNKLINE_SECRET: 'ab'.repeat(32),
      LOG_LEVEL: 'info',
    },
  });
  worker.stdout?.on('data', (chunk: Buffer) => void (said += chunk.toString()));
  worker.stderr?.on('data', (chunk: Buffer) => void (said += chunk.toString()));
});
afterAll(async () => {
  if (worker?.exitCode === null) worker.kill('SIGKILL');
  await temporal?.connection.close();
  await running?.stop();
});

const status = async (path: string): Promise<number | null> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}${path}`)).status;
  } catch {
    return null;
  }
};

test("a worker says that it lives and when it is ready, sees to the guardian's schedule, and stops cleanly [OPS-7]", async () => {
  await until('it lives', async () => (await status('/healthz')) === 200, 200);
  await until('it is ready', async () => (await status('/readyz')) === 200, 200);
  expect(await status('/elsewhere')).toBe(404);
  await until(
    'the schedule is there',
    async () =>
      (await temporal.client.schedule
        .getHandle(GUARDIAN_SCHEDULE)
        .describe()
        .catch(() => undefined)) !== undefined,
  );
  // Not its exit: what it said may come after that.
  const exited = once(worker, 'close');
  worker.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(said).toContain('stopping: SIGTERM');
  for (const line of said.trim().split('\n')) expect(() => JSON.parse(line) as unknown).not.toThrow();
});

import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import config from '#config';
import { createBell } from '#activities/bell.ts';
import { createActivities } from '#activities/index.ts';
import type { ActivityLog } from '#activities/dependencies.ts';
import { keysFrom, type Keys } from '#commands/secrets.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { migrateToLatest } from '#db/migrate.ts';
import { runWorkers } from '#worker/run.ts';
import { bundleWorkflows } from '#worker/bundle.ts';
import type { Waker } from '#workflows/contract.ts';
import { createWaker } from '#runtime/temporal-waker.ts';
import { createProgress } from '../servers/progress.ts';
import { startPostgres } from '../servers/postgres.ts';
import { startTemporal } from '../servers/temporal.ts';

export const NOOP_QUEUE = 'bench-noop';
/** 32 bytes in hex, for this bench's rows alone. */
export const BENCH_SECRET = '0b'.repeat(32);

/** Real servers and a worker in this process, for ours and for the baseline alike. */
export interface Ground {
  readonly db: Db;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly keys: Keys;
  readonly client: Client;
  readonly waker: Waker;
  stop(): Promise<void>;
}

const silent: ActivityLog = {
  info: () => undefined,
  warn: (fields, message) => console.error(message, fields),
  error: (fields, message) => console.error(message, fields),
};

/** PostgreSQL with its data synced to the disk, a dev server, and one worker for each of ours and of the empty workflows. Ends only what it started. */
export async function layGround(): Promise<Ground> {
  const quiet = new DefaultLogger('ERROR');
  Runtime.install({ logger: quiet, shutdownSignals: [] });
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-bench-'));
  const progress = createProgress({});
  const postgres = await startPostgres({ directory, progress });
  const temporal = await startTemporal({ directory, progress, throwaway: true });
  await migrateToLatest(postgres.url);
  const db = openDatabase(postgres.url, { max: 20, name: 'bench' });
  const keys = keysFrom(BENCH_SECRET);
  const connection = await Connection.connect({ address: temporal.address });
  const native = await NativeConnection.connect({ address: temporal.address });
  const client = new Client({ connection });
  const waker = createWaker(client);
  const bell = createBell(postgres.url);
  const configUrl = import.meta.resolve('#config');
  const set = createActivities({ db, keys, plugins: config.plugins, configUrl, waker, bell, log: silent, now: () => Date.now() });
  const workers = await runWorkers({ connection: native, namespace: 'default', bundle: await bundleWorkflows(quiet), activities: set.activities, log: silent });
  const noop = await Worker.create({
    connection: native,
    taskQueue: NOOP_QUEUE,
    workflowBundle: await bundleWorkflowCode({ logger: quiet, workflowsPath: fileURLToPath(new URL('./noop-workflow.ts', import.meta.url)) }),
    maxCachedWorkflows: 1_000,
  });
  const noopRun = noop.run();
  return {
    db,
    databaseUrl: postgres.url,
    temporalAddress: temporal.address,
    keys,
    client,
    waker,
    async stop() {
      noop.shutdown();
      await Promise.all([noopRun, workers.stop()]);
      await set.close();
      await bell.close();
      await native.close();
      await connection.close();
      await db.destroy();
      await temporal.stop();
      await postgres.stop();
      postgres.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Bare: that many workflows that do nothing, started as fast as may be, until the last has ended; per second. */
export async function bareWorkflowsPerSecond(client: Client, count: number, round: string): Promise<number> {
  const started = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      while (next < count) {
        next += 1;
        await client.workflow.execute('noop', { workflowId: `bench-noop/${round}/${next}`, taskQueue: NOOP_QUEUE });
      }
    }),
  );
  return count / ((performance.now() - started) / 1000);
}

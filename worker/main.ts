import config, { configUrl } from './config.ts';
import type { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBell } from '#activities/bell.ts';
import { createActivities } from '#activities/index.ts';
import { keysFrom } from '#commands/secrets.ts';
import { openDatabase } from '#db/database.ts';
import { environmentOrExit, type Environment } from '#runtime/environment.ts';
import { guarded } from '#runtime/guarded-plugin.ts';
import { createLifecycle } from '#runtime/lifecycle.ts';
import { createLogger } from '#runtime/log.ts';
import { outliveStrayRejections } from '#runtime/stray-failures.ts';
import { missingTemporalSetup } from '#runtime/temporal-setup.ts';
import { createWaker } from '#runtime/temporal-waker.ts';
import { connectClient, nativeConnectionOptions, TemporalTooOld } from '#runtime/temporal.ts';
import { bundleWorkflows } from './bundle.ts';
import { serveHealth } from './health.ts';
import { installRuntime, temporalLogger } from './runtime.ts';
import { runWorkers, type RunningWorkers } from './run.ts';
import { GUARDIAN_EVERY_MS, keepChannelCheckSchedule, keepChannelRenewalsSchedule, keepGuardianSchedule, keepSlaHorizonSchedule } from './schedule.ts';

/** Milliseconds before it looks for Temporal again. */
const AGAIN_MS = 2_000;
const CONNECTIONS = 20;

await main();

/** One worker process: it outlives Temporal and PostgreSQL going away and coming back, and ends on a signal, or where Temporal is too old. */
async function main(): Promise<void> {
  const environment = environmentOrExit();
  const log = createLogger({ service: 'worker', level: environment.logLevel });
  installRuntime(log);
  outliveStrayRejections((message, fields) => log.error(fields, message));
  const plugins = config.plugins.map((plugin) => guarded(plugin, (message, fields) => log.error(fields, message)));
  const lifecycle = createLifecycle({ onMessage: (message) => log.info(message), timeoutMs: 25_000 });
  const db = openDatabase(environment.databaseUrl, { max: CONNECTIONS, name: 'trunkline-worker' });
  lifecycle.onShutdown('PostgreSQL', () => db.destroy());
  const bell = createBell(environment.databaseDirectUrl);
  lifecycle.onShutdown('bell', () => bell.close());
  let workers: RunningWorkers | undefined;
  let temporalAnswers = async (): Promise<boolean> => false;
  const health = await serveHealth(
    environment,
    db,
    () => !lifecycle.stopping() && workers?.ready() === true,
    () => temporalAnswers(),
  );
  lifecycle.onShutdown('health', () => health.close());

  const bundle = await bundleWorkflows(temporalLogger(log));
  let stopWaiting = (): void => undefined;
  lifecycle.onShutdown('workers', async () => {
    stopWaiting();
    await workers?.stop();
  });

  while (!lifecycle.stopping()) {
    const session = await openSession(environment).catch((error: unknown) => {
      if (error instanceof TemporalTooOld) return error;
      log.warn({ err: error }, 'Temporal can not be reached yet');
      return undefined;
    });
    if (session instanceof TemporalTooOld) {
      // Waiting does not make it newer.
      await lifecycle.shutdown('Temporal is too old');
      console.error(session.message);
      process.exit(1);
    }
    if (session === undefined) {
      await Promise.race([sleep(AGAIN_MS), new Promise<void>((resolve) => void (stopWaiting = resolve))]);
      continue;
    }
    const { client, connection, native } = session;
    const set = createActivities({
      db,
      keys: keysFrom(environment.secret),
      plugins,
      configUrl,
      publicUrl: environment.publicUrl,
      waker: createWaker(client),
      bell,
      log,
      now: () => Date.now(),
    });
    temporalAnswers = () => connection.withDeadline(Date.now() + 2_000, () => connection.workflowService.getSystemInfo({})).then(() => true);
    const stopKeeping = keepSchedule(client, connection, environment, log);
    try {
      if (lifecycle.stopping()) break;
      workers = await runWorkers({ connection: native, namespace: environment.temporal.namespace, bundle, activities: set.activities, log });
      log.info({ namespace: environment.temporal.namespace, plugins: plugins.map((one) => one.key) }, 'the worker runs');
      await workers.done;
    } catch (error) {
      log.error({ err: error }, 'the worker ended; it is started anew');
      await sleep(AGAIN_MS);
    } finally {
      stopKeeping();
      await set.close();
      await native.close().catch(() => undefined);
      await connection.close().catch(() => undefined);
    }
  }
}

interface Session {
  readonly client: Client;
  readonly connection: Connection;
  readonly native: NativeConnection;
}

async function openSession(environment: Environment): Promise<Session> {
  const { client, connection } = await connectClient(environment.temporal);
  try {
    return { client, connection, native: await NativeConnection.connect(nativeConnectionOptions(environment.temporal)) };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Looks after the guardian's schedule and that of the checks, and says once what the server lacks. */
function keepSchedule(client: Client, connection: Connection, environment: Environment, log: ReturnType<typeof createLogger>): () => void {
  let said = '';
  const look = async (): Promise<void> => {
    try {
      const missing = (await missingTemporalSetup(connection, environment.temporal.namespace)).join(', ');
      if (missing !== said && missing !== '') log.warn({ missing }, 'Temporal lacks what `npm run temporal:setup` registers');
      said = missing;
      const done = await keepGuardianSchedule(client, () => Date.now());
      if (done !== null) log.info({ schedule: done }, "the guardian's schedule was mended");
      const check = await keepChannelCheckSchedule(client, () => Date.now());
      if (check !== null) log.info({ schedule: check }, "the schedule of the channels' checks was mended");
      const renewals = await keepChannelRenewalsSchedule(client, () => Date.now());
      if (renewals !== null) log.info({ schedule: renewals }, "the schedule of the channels' renewals was mended");
      const horizon = await keepSlaHorizonSchedule(client, () => Date.now());
      if (horizon !== null) log.info({ schedule: horizon }, "the schedule of the deadlines' horizon was mended");
    } catch (error) {
      log.warn({ err: error }, 'the schedules could not be looked at');
    }
  };
  void look();
  const timer = setInterval(() => void look(), GUARDIAN_EVERY_MS);
  return () => clearInterval(timer);
}

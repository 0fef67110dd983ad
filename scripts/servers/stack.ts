import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';

import { ensureDevelopmentAccount } from '#commands/development.ts';
import { openDatabase } from '#db/database.ts';
import { migrateToLatest, pendingMigrations } from '#db/migrate.ts';
import type { Mode, TemporalSettings } from '#runtime/environment.ts';
import { connectClient } from '#runtime/temporal.ts';
import { ensureTemporalSetup, missingTemporalSetup } from '#runtime/temporal-setup.ts';
import { startChild, type Child } from './child.ts';
import { endLeftovers, lockFolder } from './folder-lock.ts';
import { portFinder } from './ports.ts';
import { startPostgres, type PostgresServer } from './postgres.ts';
import { throwawayDirectory } from './postgres-place.ts';
import { createProgress, type Progress } from './progress.ts';
import { folderSecret } from './secret.ts';
import { startTemporal, type TemporalServer } from './temporal.ts';
import type { FindOptions } from './temporal-program.ts';

/** What a stack is made of; everything has a default. */
export type StackOptions = {
  /** `.trunkline` of the working directory; a new one under the system's temporary directory when throwaway. */
  readonly dataDirectory?: string;
  /** `development` unless given: an account with a token, GraphiQL. */
  readonly mode?: Mode;
  /** Shows no progress. */
  readonly quiet?: boolean;
  readonly progress?: Progress;
  /** Any ports, nothing synced to the disk, everything removed at the stop. */
  readonly throwaway?: boolean;
  /** A PostgreSQL of one's own; then none is started, and its schema is only checked unless `migrate`. */
  readonly databaseUrl?: string;
  /** The same without a pooler. */
  readonly databaseDirectUrl?: string;
  /** A Temporal of one's own; then none is started, and its setup is only checked. */
  readonly temporal?: TemporalSettings;
  readonly migrate?: boolean;
  /** 32 bytes as hex or base64; the folder's own unless given. */
  readonly secret?: string;
  readonly host?: string;
  readonly publicUrl?: string;
  /** Preferred ports; the next free ones are taken instead. Any free ones when throwaway. */
  readonly ports?: Partial<Record<'api' | 'worker' | 'smtp' | 'postgres' | 'temporal' | 'temporalUi', number>>;
  /** Further variables for api and worker. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The two processes, for tests of the stack itself. */
  readonly entries?: { readonly api: string | URL; readonly worker: string | URL };
  /** Leaves api and worker out, for those who run them themselves. */
  readonly serversOnly?: boolean;
  /** Told when something ends that was not asked to. */
  readonly onDeath?: (name: ServiceName, how: string) => void;
  /** Calls the start off. */
  readonly signal?: AbortSignal;
  readonly find?: FindOptions;
};

/** What a stack runs, in the order it is stopped. */
export const SERVICES = ['api', 'worker', 'temporal', 'postgres'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** Where everything is. URLs but for `temporal` and `smtp`, which are `host:port`. */
export type Addresses = {
  readonly web: string;
  readonly graphql: string;
  readonly temporal: string;
  readonly temporalUi: string | undefined;
  readonly smtp: string;
  /** The worker's own `/healthz`, `/readyz`, `/metrics`. */
  readonly worker: string;
};

/** A running stack. Only processes it started are ever ended, by process id. */
export type Stack = {
  readonly dataDirectory: string;
  readonly addresses: Addresses;
  /** With its password: not for a log. */
  readonly databaseUrl: string;
  readonly temporal: TemporalSettings;
  readonly secret: string;
  /** Of the development account; undefined in production. */
  readonly token: string | undefined;
  readonly userId: string | undefined;
  /** What api and worker were given, for further processes of the same kind. */
  readonly environment: NodeJS.ProcessEnv;
  /** The `temporal` program when one was started, also usable as CLI. */
  readonly temporalProgram: string | undefined;
  /** The process id of each service that runs and was started here. */
  readonly pids: () => Readonly<Partial<Record<ServiceName, number>>>;
  readonly child: (name: 'api' | 'worker') => Child | undefined;
  readonly startApi: () => Promise<void>;
  readonly stopApi: () => Promise<void>;
  readonly restartApi: () => Promise<void>;
  readonly startWorker: () => Promise<void>;
  readonly stopWorker: () => Promise<void>;
  readonly restartWorker: () => Promise<void>;
  readonly startPostgres: () => Promise<void>;
  readonly stopPostgres: () => Promise<void>;
  readonly startTemporal: () => Promise<void>;
  readonly stopTemporal: () => Promise<void>;
  /** SIGKILL, as a power cut would; `start…` brings it back with its data. */
  readonly killHard: (name: ServiceName) => Promise<void>;
  /** Stops all of it in order: api, worker, Temporal, PostgreSQL. Harmless when called twice. */
  readonly stop: () => Promise<void>;
};

type Service = { readonly pid: number; readonly ended: Promise<string>; stop: () => Promise<void>; kill: () => Promise<void> };

const ROOT = new URL('../../', import.meta.url);

/**
 * Starts PostgreSQL and Temporal unless given, brings the schema and the setup up to date (only checks them where they
 * are somebody's own), starts worker and api and waits until both are ready. Throws one error and leaves nothing
 * running when a step fails.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { throwaway = false, mode = 'development', host = '127.0.0.1' } = options;
  const progress = options.progress ?? createProgress({ quiet: options.quiet ?? false });
  const directory = openFolder(options);
  const ports = portFinder(host === '127.0.0.1' ? host : '0.0.0.0');
  const local = portFinder();
  const lock = lockFolder(directory);
  const running = new Map<ServiceName, Service>();
  let postgres: PostgresServer | undefined;
  let temporalServer: TemporalServer | undefined;

  const keep = (name: ServiceName, service: Service) => {
    running.set(name, service);
    lock.record(name, service.pid);
    void service.ended.then((how) => {
      if (running.get(name) !== service) return;
      running.delete(name);
      options.onDeath?.(name, how);
    });
  };
  const end = async (name: ServiceName, how: 'stop' | 'kill') => {
    const service = running.get(name);
    // Forgotten first, so that its end is one that was asked for.
    running.delete(name);
    await service?.[how]();
  };

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll());
  async function stopAll(): Promise<void> {
    for (const name of SERVICES) {
      if (running.has(name)) await progress.during(`Stopping ${LABELS[name]}`, () => end(name, 'stop'));
    }
    rmSync(join(directory, 'dev.json'), { force: true });
    if (throwaway) postgres?.remove();
    lock.release();
    if (throwaway && options.dataDirectory === undefined) rmSync(directory, { recursive: true, force: true });
  }

  try {
    const left = await endLeftovers(lock);
    if (left.length > 0) progress.note(`Ended what a killed start left running: ${left.join(', ')}.`);
    options.signal?.throwIfAborted();

    if (options.databaseUrl === undefined) {
      postgres = await startPostgres({ directory, throwaway, ports: local, progress, ...port(options, 'postgres') });
      keep('postgres', postgres);
    }
    const databaseUrl = options.databaseUrl ?? postgres?.url ?? '';
    await settleSchema(databaseUrl, { migrate: postgres !== undefined || options.migrate === true, progress });
    options.signal?.throwIfAborted();

    if (options.temporal === undefined) {
      temporalServer = await startTemporal({
        directory,
        throwaway,
        ports: local,
        progress,
        ...port(options, 'temporal'),
        ...(options.ports?.temporalUi === undefined ? {} : { uiPort: options.ports.temporalUi }),
        find: { ...options.find, ...(options.signal && { signal: options.signal }) },
      });
      keep('temporal', temporalServer);
    }
    const temporal = options.temporal ?? {
      address: temporalServer?.address ?? '',
      namespace: 'default',
      tls: false,
      apiKey: undefined,
    };
    await settleTemporal(temporal, temporalServer !== undefined);
    options.signal?.throwIfAborted();

    const choose = (name: 'api' | 'worker' | 'smtp', preferred: number) =>
      throwaway && options.ports?.[name] === undefined ? ports.any() : ports.near(options.ports?.[name] ?? preferred);
    const apiPort = await choose('api', 4000);
    const workerPort = await choose('worker', 4001);
    const smtpPort = await choose('smtp', 2525);
    const web = options.publicUrl ?? `http://${host}:${apiPort}`;
    const secret = options.secret ?? folderSecret(directory);
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      DATABASE_URL: databaseUrl,
      DATABASE_DIRECT_URL: options.databaseDirectUrl ?? databaseUrl,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
      TEMPORAL_TLS: String(temporal.tls),
      TEMPORAL_API_KEY: temporal.apiKey ?? '',
      HOST: host,
      PORT: String(apiPort),
      WORKER_PORT: String(workerPort),
      SMTP_HOST: host,
      SMTP_PORT: String(smtpPort),
      PUBLIC_URL: web,
      TRUNKLINE_SECRET: secret,
      TRUNKLINE_MODE: mode,
      ...options.environment,
    };
    const addresses: Addresses = {
      web,
      graphql: `${web}/graphql`,
      temporal: temporal.address,
      temporalUi: temporalServer?.ui,
      smtp: `${host}:${smtpPort}`,
      worker: `http://127.0.0.1:${workerPort}`,
    };
    const entries = options.entries ?? { api: new URL('api/main.ts', ROOT), worker: new URL('worker/main.ts', ROOT) };
    const children = new Map<'api' | 'worker', Child>();
    const startOwn = async (name: 'api' | 'worker') => {
      if (running.has(name)) return;
      const at = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
      const child = await startChild({
        name,
        entry: entries[name],
        environment,
        // Both listen on HOST; behind PUBLIC_URL may stand a proxy that is not there yet.
        readyUrl: `http://${at}:${name === 'api' ? apiPort : workerPort}/readyz`,
        logFile: join(directory, `${name}.log`),
        ...(options.signal && { signal: options.signal }),
      });
      children.set(name, child);
      keep(name, { pid: child.pid, ended: child.ended, stop: () => child.stop('SIGTERM', 30_000), kill: child.kill });
    };
    const account = mode === 'development' ? await developmentAccount(databaseUrl) : undefined;
    if (options.serversOnly !== true) {
      const started = await progress.during('Starting worker and API', () => Promise.allSettled([startOwn('worker'), startOwn('api')]));
      const failed = started.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
    writeFileSync(join(directory, 'dev.json'), `${JSON.stringify({ ...addresses, database: databaseUrl, token: account?.token }, undefined, 2)}\n`, {
      mode: 0o600,
    });

    return {
      dataDirectory: directory,
      addresses,
      databaseUrl,
      temporal,
      secret,
      token: account?.token,
      userId: account?.userId,
      environment,
      temporalProgram: temporalServer?.program,
      pids: () => Object.fromEntries([...running].map(([name, { pid }]) => [name, pid])),
      child: (name) => children.get(name),
      startApi: () => startOwn('api'),
      stopApi: () => end('api', 'stop'),
      async restartApi() {
        await end('api', 'stop');
        await startOwn('api');
      },
      startWorker: () => startOwn('worker'),
      stopWorker: () => end('worker', 'stop'),
      async restartWorker() {
        await end('worker', 'stop');
        await startOwn('worker');
      },
      async startPostgres() {
        if (running.has('postgres')) return;
        const before = owned(postgres, 'PostgreSQL');
        postgres = await startPostgres({ directory, throwaway, fixedPort: before.port, progress });
        keep('postgres', postgres);
      },
      stopPostgres: () => end('postgres', 'stop'),
      async startTemporal() {
        if (running.has('temporal')) return;
        const before = owned(temporalServer, 'Temporal');
        temporalServer = await startTemporal({
          directory,
          throwaway,
          fixedPorts: { port: before.port, uiPort: before.uiPort },
          program: before.program,
          progress,
        });
        keep('temporal', temporalServer);
      },
      stopTemporal: () => end('temporal', 'stop'),
      killHard: (name) => end(name, 'kill'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const LABELS = { api: 'the API', worker: 'the worker', temporal: 'Temporal', postgres: 'PostgreSQL' } as const;

function openFolder({ throwaway = false, dataDirectory }: StackOptions): string {
  if (throwaway && dataDirectory === undefined) return throwawayDirectory();
  const directory = resolve(dataDirectory ?? '.trunkline');
  mkdirSync(directory, { recursive: true });
  // Root's PostgreSQL runs as another user, who must walk through; every file in it is for its owner alone.
  chmodSync(directory, userInfo().uid === 0 ? 0o711 : 0o700);
  return directory;
}

function port({ ports }: StackOptions, name: 'postgres' | 'temporal'): { port?: number } {
  const preferred = ports?.[name];
  return preferred === undefined ? {} : { port: preferred };
}

function owned<Server>(server: Server | undefined, name: string): Server {
  if (server === undefined) throw new Error(`${name} was not started here, so it cannot be started again here.`);
  return server;
}

async function settleSchema(databaseUrl: string, { migrate, progress }: { migrate: boolean; progress: Progress }): Promise<void> {
  if (migrate) {
    await progress.during('Bringing the schema up to date', async (step) => {
      const taken = await migrateToLatest(databaseUrl, step.update);
      step.done(taken.length === 0 ? 'The schema is up to date' : `The schema was brought up to date (${taken.join(', ')})`);
    });
    return;
  }
  const missing = await pendingMigrations(databaseUrl);
  if (missing.length > 0) {
    throw new Error(`The database lacks schema migrations: ${missing.join(', ')}. Run npm run db:migrate, or start with --migrate.`);
  }
}

async function settleTemporal(settings: TemporalSettings, ours: boolean): Promise<void> {
  const { connection } = await connectClient(settings);
  try {
    if (ours) {
      await ensureTemporalSetup(connection, settings.namespace);
      return;
    }
    const missing = await missingTemporalSetup(connection, settings.namespace);
    if (missing.length > 0) {
      throw new Error(`Temporal's namespace ${settings.namespace} lacks: ${missing.join(', ')}. Run npm run temporal:setup.`);
    }
  } finally {
    await connection.close();
  }
}

async function developmentAccount(databaseUrl: string) {
  const db = openDatabase(databaseUrl, { max: 1, name: 'trunkline-start' });
  try {
    return await ensureDevelopmentAccount(db);
  } finally {
    await db.destroy();
  }
}

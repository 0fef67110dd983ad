import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import { openDatabase, type Db } from './database.ts';

/** One step. `alone`: outside any transaction, so it must do no harm done twice: an index that is built while others write. */
export interface SchemaStep extends Migration {
  readonly alone?: true;
}

export interface MigrateOptions {
  /** Replaced in tests. */
  readonly steps?: () => Promise<Readonly<Record<string, SchemaStep>>>;
  /** Milliseconds a step waits for a table that others use: who comes after it must wait too. Then it makes way, and is tried again. */
  readonly lockMs?: number;
  /** Tries of one step that met a table in use. */
  readonly tries?: number;
}

const directory = new URL('./migrations/', import.meta.url);
const LOCK_MS = 2_000;
const TRIES = 60;
/** Milliseconds between two tries, and between two looks at whether somebody else has ended. */
const AGAIN_MS = 500;
/** Held by whoever migrates; the other numbers are those of `locks.ts`. */
const MIGRATING = 7;

/**
 * Brings the schema up to date, forward only, each step in a transaction of its own that lasts as long as it must; two at once wait for one another.
 * A step that was written later may sort before one that was taken. Returns the steps it took. Throws naming the step that failed; those before it stay,
 * and it has changed nothing.
 */
export async function migrateToLatest(databaseUrl: string, onStep?: (name: string) => void, options: MigrateOptions = {}): Promise<readonly string[]> {
  const { steps = loadSteps, lockMs = LOCK_MS, tries = TRIES } = options;
  const loaded = await steps();
  return withDatabase(databaseUrl, lockMs, async (db) =>
    inTurn(db, async () => {
      const migrator = createMigrator(db, loaded);
      const done: string[] = [];
      for (;;) {
        const next = (await pending(migrator))[0];
        if (next === undefined) return done;
        await takeStep(migrator, next, loaded[next]?.alone === true, tries);
        done.push(next);
        onStep?.(next);
      }
    }),
  );
}

/** The steps the database still lacks. */
export async function pendingMigrations(databaseUrl: string): Promise<readonly string[]> {
  return withDatabase(databaseUrl, LOCK_MS, async (db) => pending(createMigrator(db, await loadSteps())));
}

async function takeStep(migrator: Migrator, name: string, alone: boolean, tries: number): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    const { error } = await migrator.migrateUp({ disableTransactions: alone });
    if (error === undefined) return;
    if (!wasInTheWay(error) || tried >= tries) throw new Error(`schema migration ${name} failed`, { cause: error });
    await sleep(AGAIN_MS);
  }
}

/** A table in use, or a deadlock with who uses it: nothing was changed, and in a moment it may do. */
function wasInTheWay(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return code === '55P03' || code === '40P01';
}

/** One migrates at a time. Looking again and again, not waiting: a statement that waits is one that the building of an index would wait for. */
async function inTurn<T>(db: Db, work: () => Promise<T>): Promise<T> {
  return db.connection().execute(async (held) => {
    const key = sql`${sql.lit(MIGRATING)}, 0`;
    for (;;) {
      const { rows } = await sql<{ taken: boolean }>`select pg_try_advisory_lock(${key}) as taken`.execute(held);
      if (rows[0]?.taken === true) break;
      await sleep(AGAIN_MS);
    }
    try {
      return await work();
    } finally {
      await sql`select pg_advisory_unlock(${key})`.execute(held);
    }
  });
}

async function pending(migrator: Migrator): Promise<readonly string[]> {
  return (await migrator.getMigrations()).filter((one) => one.executedAt === undefined).map((one) => one.name);
}

function createMigrator(db: Db, steps: Readonly<Record<string, SchemaStep>>): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => ({ ...steps }) }, allowUnorderedMigrations: true });
}

async function withDatabase<T>(databaseUrl: string, lockMs: number, work: (db: Db) => Promise<T>): Promise<T> {
  const db = openDatabase(databaseUrl, { max: 2, name: 'trunkline-migrate', transactionMs: 0, lockMs });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

async function loadSteps(): Promise<Readonly<Record<string, SchemaStep>>> {
  const steps: Record<string, SchemaStep> = {};
  for (const file of readdirSync(directory).toSorted()) {
    if (!/^\d{4}-.*\.ts$/.test(file)) continue;
    const module: unknown = await import(new URL(file, directory).href);
    if (!isStep(module)) throw new Error(`db/migrations/${file} does not export up()`);
    steps[file.replace(/\.ts$/, '')] = module;
  }
  return steps;
}

function isStep(module: unknown): module is SchemaStep {
  return typeof module === 'object' && module !== null && 'up' in module && typeof module.up === 'function' && (!('alone' in module) || module.alone === true);
}

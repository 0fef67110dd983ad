import { readdirSync } from 'node:fs';
import { Migrator, type Migration } from 'kysely/migration';
import { openDatabase, type Db } from './database.ts';

const directory = new URL('./migrations/', import.meta.url);

/**
 * Brings the schema up to date, forward only; two at once wait for one another. Returns the steps it took.
 * Throws naming the step that failed; that step has then changed nothing.
 */
export async function migrateToLatest(databaseUrl: string, onStep?: (name: string) => void): Promise<readonly string[]> {
  return withMigrator(databaseUrl, async (migrator) => {
    const { error, results } = await migrator.migrateToLatest();
    const done: string[] = [];
    for (const result of results ?? []) {
      if (result.status === 'Success') {
        done.push(result.migrationName);
        onStep?.(result.migrationName);
      }
      if (result.status === 'Error') throw new Error(`schema migration ${result.migrationName} failed`, { cause: error });
    }
    if (error !== undefined) throw new Error('the schema could not be brought up to date', { cause: error });
    return done;
  });
}

/** The steps the database still lacks. */
export async function pendingMigrations(databaseUrl: string): Promise<readonly string[]> {
  return withMigrator(databaseUrl, async (migrator) => (await migrator.getMigrations()).filter((one) => one.executedAt === undefined).map((one) => one.name));
}

async function withMigrator<T>(databaseUrl: string, work: (migrator: Migrator) => Promise<T>): Promise<T> {
  const db: Db = openDatabase(databaseUrl, { max: 2, name: 'trunkline-migrate' });
  try {
    return await work(new Migrator({ db, provider: { getMigrations: loadMigrations } }));
  } finally {
    await db.destroy();
  }
}

async function loadMigrations(): Promise<Record<string, Migration>> {
  const migrations: Record<string, Migration> = {};
  for (const file of readdirSync(directory).toSorted()) {
    if (!/^\d{4}-.*\.ts$/.test(file)) continue;
    const module: unknown = await import(new URL(file, directory).href);
    if (!isMigration(module)) throw new Error(`db/migrations/${file} does not export up()`);
    migrations[file.replace(/\.ts$/, '')] = module;
  }
  return migrations;
}

function isMigration(module: unknown): module is Migration {
  return typeof module === 'object' && module !== null && 'up' in module && typeof module.up === 'function';
}

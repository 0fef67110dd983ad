import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';

import { openDatabase, type Db } from '#db/database.ts';
import { administer, dropDatabase } from './servers.ts';

/** A database nobody else uses. */
export interface TestDatabase {
  readonly url: string;
  readonly db: Db;
  /** Closes the pool and removes the database. */
  drop(): Promise<void>;
}

/** A fresh database with the newest schema, copied from a template: tens of milliseconds. */
export async function testDatabase(): Promise<TestDatabase> {
  const { databaseUrl, template } = inject('servers');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(databaseUrl, `create database ${name} template ${template}`);
  const url = new URL(databaseUrl);
  url.pathname = name;
  const db = openDatabase(url.href, { name: 'test' });
  return {
    url: url.href,
    db,
    async drop() {
      await db.destroy();
      // Housekeeping: the whole server goes at the end, and a drop waits for every other session of it to notice.
      await dropDatabase(databaseUrl, name, 5_000).catch(() => undefined);
    },
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { openDatabase } from '#db/database.ts';
import { testDatabase } from '../support/database.ts';

it('outlives a connection that is lost between two statements of a transaction [OPS-10]', async () => {
  const database = await testDatabase();
  const other = openDatabase(database.url, { max: 1 });
  const lost = database.db.transaction().execute(async (tx) => {
    const { pid } = await tx.selectNoFrom(sql<number>`pg_backend_pid()`.as('pid')).executeTakeFirstOrThrow();
    await sql`select pg_terminate_backend(${pid})`.execute(other);
    // The server's word arrives while no query is under way; unheard it would end this process.
    await sleep(200);
    await sql`select 1`.execute(tx);
  });
  await expect(lost).rejects.toThrow();
  expect((await sql<{ one: number }>`select 1 as one`.execute(database.db)).rows).toEqual([{ one: 1 }]);
  await other.destroy();
  await database.drop();
});

it('closes also where connections are being made just then [OPS-7]', async () => {
  const database = await testDatabase();
  for (let round = 0; round < 20; round += 1) {
    const db = openDatabase(database.url);
    const asked = Array.from({ length: 8 }, () => sql`select 1`.execute(db).catch(() => undefined));
    // So far that connections are on their way, and each round a little further.
    for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await db.destroy();
    await Promise.all(asked);
  }
  await database.drop();
});

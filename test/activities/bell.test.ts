import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createBell, type Bell } from '#activities/bell.ts';
import { announceDelivery, DELIVERY_CHANNEL } from '#db/announce.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';

/** Longer than any test may take: nothing but a ring ends it. */
const LONG = 10 * 60_000;

let database: TestDatabase;
let bell: Bell;

const listeners = async (): Promise<readonly number[]> => {
  const { rows } = await sql<{ pid: number }>`
    select pid from pg_stat_activity where datname = current_database() and application_name = 'trunkline-bell' and query = ${`listen ${DELIVERY_CHANNEL}`}`.execute(
    database.db,
  );
  return rows.map(({ pid }) => pid);
};
beforeAll(async () => {
  database = await testDatabase();
  bell = createBell(database.url);
  await eventually(async () => (await listeners()).length === 1);
});
afterAll(async () => {
  await bell.close();
  await database.drop();
});

it('a drain that waits is told at once of what came for its channel, and not of what came for another [CHAT-2]', async () => {
  let told = false;
  const waits = bell.wait('mine', LONG).then(() => (told = true));
  announceDelivery(database.db, 'other');
  await bell.wait('other', LONG);
  expect(told).toBe(false);
  announceDelivery(database.db, 'mine');
  await waits;
});

it('what came while the drain was at work counts; of many at once each drain hears [CHAT-2]', async () => {
  announceDelivery(database.db, 'busy');
  announceDelivery(database.db, 'after');
  await bell.wait('after', LONG);
  await bell.wait('busy', LONG);
  const all = Promise.all(Array.from({ length: 20 }, () => bell.wait('busy', LONG)));
  // Gathered: the last of these is told of too.
  for (let times = 0; times < 100; times += 1) announceDelivery(database.db, 'busy');
  await all;
});

it('a ring that never comes costs a drain no more than its own time; a lost connection is replaced [OPS-10]', async () => {
  await bell.wait('silent', 1);
  await sql`select pg_terminate_backend(pid) from unnest(${await listeners()}::int[]) pid`.execute(database.db);
  await bell.wait('silent', 1);
  await eventually(async () => {
    announceDelivery(database.db, 'again');
    const rang = await Promise.race([bell.wait('again', LONG).then(() => true), bell.wait('nothing', 100).then(() => false)]);
    return rang;
  });
});

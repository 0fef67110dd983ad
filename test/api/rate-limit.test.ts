import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase, type Db } from '#db/database.ts';
import { RATES } from '#api/limits.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const opened: Db[] = [];
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  for (const db of opened) await db.destroy();
  await database?.drop();
});

/** As another process: its own pool, its own memory. Prepared statements go past Kysely's log, so the server counts them. */
function process(): Db {
  const db = openDatabase(database.url, { name: 'test-rates' });
  opened.push(db);
  return db;
}

async function points(): Promise<number> {
  const rows = await database.db.selectFrom('rate_limit').select('points').execute();
  return rows.reduce((sum, row) => sum + row.points, 0);
}

const clear = () => database.db.deleteFrom('rate_limit').execute();

test('one process allows exactly the limit, asked all at once, and says when to come again [API-7]', async () => {
  await clear();
  const limits = createRateLimits(process());
  const answers = await Promise.all(Array.from({ length: RATES.pagePerMinute + 50 }, () => limits.take('pagePerMinute', '192.0.2.1')));
  expect(answers.filter((answer) => answer.allowed)).toHaveLength(RATES.pagePerMinute);
  const refused = answers.filter((answer) => !answer.allowed);
  expect(refused).toHaveLength(50);
  for (const answer of refused) {
    if (answer.allowed) throw new Error('allowed');
    expect(answer.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(answer.retryAfterSeconds).toBeLessThanOrEqual(60);
  }
  // Another key, and another limit of the same key, have their own.
  expect(await limits.take('pagePerMinute', '192.0.2.2')).toEqual({ allowed: true });
  expect(await limits.take('callerPerMinute', '192.0.2.1')).toEqual({ allowed: true });
});

test('three processes together never allow more than the limit, and at most a fortieth less for each further one [API-7]', async () => {
  await clear();
  const processes = [process(), process(), process()].map((db) => createRateLimits(db));
  const asked = processes.flatMap((limits) => Array.from({ length: RATES.callerPerMinute }, () => limits.take('callerPerMinute', 'user-1')));
  const allowed = (await Promise.all(asked)).filter((answer) => answer.allowed).length;
  expect(allowed).toBeLessThanOrEqual(RATES.callerPerMinute);
  expect(allowed).toBeGreaterThanOrEqual(RATES.callerPerMinute - (2 * RATES.callerPerMinute) / 40);
});

test('most requests cost no statement, and who is refused costs none [API-7]', async () => {
  await clear();
  const limits = createRateLimits(process());
  for (let index = 0; index < 300; index += 1) expect(await limits.take('callerPerMinute', 'user-2')).toEqual({ allowed: true });
  // Taken in shares of a fortieth: ten statements for three hundred requests.
  expect(await points()).toBe(300);
  const few = createRateLimits(process(), {
    callerPerMinute: 2,
    unauthenticatedPerMinute: 2,
    pagePerMinute: 2,
    pageWritesPerMinute: 2,
    livePerMinute: 2,
    liveWritesPerMinute: 2,
  });
  for (let index = 0; index < 500; index += 1) await few.take('unauthenticatedPerMinute', '192.0.2.9');
  // Two were allowed and one statement said no; the other 497 asked nobody.
  expect(await points()).toBe(300 + 3);
  expect(few.peek('unauthenticatedPerMinute', '192.0.2.9')).toMatchObject({ allowed: false });
  expect(few.peek('unauthenticatedPerMinute', '192.0.2.10')).toEqual({ allowed: true });
});

test('a window that is over begins anew [API-7]', async () => {
  await clear();
  const db = process();
  const rates = { ...RATES, pagePerMinute: 1 };
  const limits = createRateLimits(db, rates);
  await limits.take('pagePerMinute', 'x');
  expect(await limits.take('pagePerMinute', 'x')).toMatchObject({ allowed: false });
  await database.db
    .updateTable('rate_limit')
    .set({ expire: Date.now() - 1 })
    .execute();
  // A process that does not know of the refusal asks the database, where the window has ended.
  expect(await createRateLimits(db, rates).take('pagePerMinute', 'x')).toEqual({ allowed: true });
});

test('with the database away each process counts for itself: neither everything is let in nor everything shut out [API-7]', async () => {
  const gone = openDatabase('postgres://nobody:x@127.0.0.1:1/nowhere');
  opened.push(gone);
  const limits = createRateLimits(gone);
  const answers = [];
  for (let index = 0; index < RATES.pagePerMinute + 10; index += 1) answers.push(await limits.take('pagePerMinute', 'y'));
  expect(answers.filter((answer) => answer.allowed)).toHaveLength(RATES.pagePerMinute);
});

test('no address stands in the table [API-7]', async () => {
  await clear();
  await createRateLimits(process()).take('pagePerMinute', '203.0.113.77');
  const rows = await database.db.selectFrom('rate_limit').select('key').execute();
  expect(rows).toHaveLength(1);
  expect(JSON.stringify(rows)).not.toContain('203.0.113');
});

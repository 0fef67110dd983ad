import { afterAll, beforeAll, expect, it } from 'vitest';
import { removeExpired } from '#commands/retention.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser } from '../support/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

it('keeps idempotency keys for seven days and settled deliveries for thirty, and what waits or was set aside for good [API-4, PLUG-11]', async () => {
  const { db } = database;
  const channel = await makeChannel(db);
  for (const days of [6, 8]) {
    await db
      .insertInto('idempotency_key')
      .values({ caller: 'a', key: `${days}`, operation: 'x', arguments_hash: Buffer.from('x'), answer: '{}', created_at: daysAgo(days) })
      .execute();
  }
  for (const [state, days] of [
    ['DONE', 29],
    ['DONE', 31],
    ['SET_ASIDE', 31],
    ['WAITING', 31],
  ] as const) {
    const settled = state === 'WAITING' ? null : daysAgo(days);
    await db
      .insertInto('raw_delivery')
      .values({
        channel_id: channel.id,
        method: '',
        url: '',
        headers: '{}',
        body: Buffer.from(state + days),
        state,
        received_at: daysAgo(days),
        settled_at: settled,
      })
      .execute();
  }
  expect(await removeExpired(db, 100)).toMatchObject({ idempotencyKeys: 1, rawDeliveries: 1 });
  expect((await db.selectFrom('idempotency_key').select('key').execute()).map((row) => row.key)).toEqual(['6']);
  const kept = await db.selectFrom('raw_delivery').select(['state', 'received_at']).orderBy('id').execute();
  expect(kept.map((row) => row.state)).toEqual(['DONE', 'SET_ASIDE', 'WAITING']);
});

it('forgets after a day when somebody last asked for something of a place [ROUTE-9]', async () => {
  const { db } = database;
  const { placeId } = await makeChannel(db);
  for (const days of [0.9, 1.1]) {
    await db
      .insertInto('place_activity')
      .values({ place_id: placeId, user_id: await makeUser(db), at: daysAgo(days) })
      .execute();
  }
  expect(await removeExpired(db, 100)).toMatchObject({ placeActivity: 1 });
  expect(await db.selectFrom('place_activity').select('user_id').execute()).toHaveLength(1);
});

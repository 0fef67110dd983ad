import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { moveOn } from '#activities/migration.ts';
import { readLivePace } from '#commands/live-pace.ts';
import { readProgress } from '#commands/migration-report.ts';
import { begin, conversation, makeMapping, superAdmin } from '../commands/migration-support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let channel: MadeChannel;
let migrationId: string;

beforeEach(async () => {
  database = await testDatabase();
  const { db } = database;
  const { openStatusId, closedStatusId } = await makeMapping(db);
  channel = await makeChannel(db, { place: 'INBOX' });
  for (let n = 0; n < 6; n += 1) await conversation(db, channel);
  migrationId = await begin(db, await superAdmin(db), { channelId: channel.id, history: 'ALL', openStatusId, closedStatusId });
  // One at a time, so that steps can be told apart.
  await db.updateTable('channel_migration').set({ batch_size: 1 }).where('id', '=', migrationId).execute();
});
afterEach(() => database.drop());

const engine = () => ({
  db: database.db,
  waker: { signalWithStart: async () => undefined, terminate: async () => false },
  log: { info: () => undefined, warn: () => undefined, error: () => undefined },
});
/** Deliveries that waited so long before they were taken in, just now. */
const slow = (count: number, seconds: number) =>
  sql`insert into raw_delivery (channel_id, method, url, headers, body, received_at, state, settled_at)
    select ${channel.id}, 'POST', '', '{}', '', now() - make_interval(secs => ${seconds}), 'DONE', now() from generate_series(1, ${count})`.execute(
    database.db,
  );

it('lets live work go first while it is slow, yet moves on every five seconds, and says how long it has waited [MIG-19]', async () => {
  const { db } = database;
  await slow(30, 4);
  expect(await readLivePace(db, 10)).toMatchObject({ p99Ms: expect.closeTo(4_000, -3) });
  let beats = 0;
  const first = await moveOn(engine(), migrationId, { beat: () => void (beats += 1), stopped: () => beats > 4 });
  expect(first).toEqual({ ended: false, waiting: true });
  expect((await readProgress(db, migrationId)).moved).toBe(0);
  // However long, and however many calls: until a step was made.
  while ((await readProgress(db, migrationId)).moved === 0) {
    await slow(30, 4);
    await moveOn(engine(), migrationId, { beat: () => undefined, stopped: () => false, forMs: 1_500 });
  }
  const { waitedMs } = await readProgress(db, migrationId);
  expect(waitedMs).toBeGreaterThanOrEqual(4_500);
});

it('does not wait where live work is as it was, or little of it is there to tell by [MIG-19]', async () => {
  const { db } = database;
  await db
    .updateTable('raw_delivery')
    .set({ settled_at: sql<Date>`now() - interval '20 s'` })
    .execute();
  await slow(19, 4);
  const ended = await moveOn(engine(), migrationId, { beat: () => undefined, stopped: () => false });
  expect(ended).toEqual({ ended: true, waiting: false });
  expect(await readProgress(db, migrationId)).toMatchObject({ state: 'COMPLETED', moved: 6, waitedMs: 0 });
});

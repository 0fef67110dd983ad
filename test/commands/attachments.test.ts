import type { AttachmentLimits, AttachmentRef } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  failFetch,
  recordInboundAttachments,
  retryFetch,
  storeFetched,
  takeWaitingFiles,
  untakeFiles,
  waitingFiles,
  type FetchedFile,
} from '#commands/attachments.ts';
import { readWholeBlob } from '#commands/blobs.ts';
import { findStuck } from '#commands/guardian.ts';
import { removeExpired } from '#commands/retention.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { FETCH_TRIES } from '#domain/attachments.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, take, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let channel: MadeChannel;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());
beforeEach(async () => {
  channel = await makeChannel(db, { place: 'INBOX' });
});

const LIMITS: AttachmentLimits = { maxCount: 3, maxBytes: 1_000, types: ['text/plain', 'image/png'] };
const ref = (name: string, more: Partial<AttachmentRef> = {}): AttachmentRef => ({ ref: name, fileName: name, type: 'text/plain', bytes: 10, ...more });

/** A message that came in, and its delivery. */
async function message(on = channel): Promise<{ id: string; deliveryId: number }> {
  const event = inbound('somebody@out.example');
  await take(db, on, [event]);
  const row = await db
    .selectFrom('message')
    .select(['id', 'raw_delivery_id'])
    .where('provider_message_id', '=', event.providerMessageId)
    .executeTakeFirstOrThrow();
  return { id: row.id, deliveryId: row.raw_delivery_id ?? 0 };
}

/** Lists files of a message as the intake does; returns the wakes. */
async function list(messageId: string, refs: readonly AttachmentRef[], limits: AttachmentLimits | null = LIMITS) {
  const { wakes } = await transact(db, { actor: 'CHANNEL' }, (unit) =>
    recordInboundAttachments(unit, { key: channel.key, plugin: 'plain' }, limits, [{ messageId, refs }]),
  );
  return wakes;
}

const rows = (messageId: string) => db.selectFrom('attachment').selectAll().where('message_id', '=', messageId).orderBy('position').execute();
const states = async (messageId: string) => (await rows(messageId)).map((row) => row.state);

async function takeOne(on = channel): Promise<FetchedFile> {
  const taken = await takeWaitingFiles(db, on.id, 1);
  const [file] = taken?.files ?? [];
  if (file === undefined) throw new Error('nothing was due');
  return file;
}

test('what is too many, too large or of another type is refused with the reason, and the message is kept [CH-6]', async () => {
  const { id } = await message();
  const wakes = await list(id, [
    ref('a.txt'),
    ref('big.txt', { bytes: 1_001 }),
    ref('page.html', { type: 'text/html' }),
    ref('b.txt', { type: 'Text/Plain; charset=utf-8' }),
    ref('pic.png', { type: 'image/png', contentId: 'pic@mail' }),
    ref('one-more.txt'),
  ]);
  expect((await rows(id)).map(({ file_name, type, state, reason }) => [file_name, type, state, reason])).toEqual([
    ['a.txt', 'text/plain', 'WAITING', null],
    ['big.txt', 'text/plain', 'REFUSED', 'larger than 1000 bytes'],
    ['page.html', 'text/html', 'REFUSED', 'this channel does not take this type'],
    ['b.txt', 'text/plain', 'WAITING', null],
    ['pic.png', 'image/png', 'WAITING', null],
    ['one-more.txt', 'text/plain', 'REFUSED', 'more than 3 attachments'],
  ]);
  expect(wakes).toEqual([{ kind: 'attachments', channelKey: channel.key, plugin: 'plain' }]);
});

test('a channel that takes none refuses each, and nobody is woken [CH-6]', async () => {
  const { id } = await message();
  expect(await list(id, [ref('a.txt')], null)).toEqual([]);
  expect((await rows(id)).map((row) => row.reason)).toEqual(['this channel takes no attachments']);
});

test('names are made safe and told apart, and of very many files the rest is one line [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('../a.txt'), ref('a.txt'), ref('\u202E')], { ...LIMITS, types: '*' });
  expect((await rows(id)).map((row) => row.file_name)).toEqual(['a.txt', 'a (2).txt', 'attachment-3']);
  const { id: bomb } = await message();
  await list(
    bomb,
    Array.from({ length: 10_000 }, (_, index) => ref(`part ${index}`)),
  );
  const listed = await rows(bomb);
  expect(listed).toHaveLength(200);
  expect(listed.at(-1)).toMatchObject({ state: 'REFUSED', reason: 'one of 9801 more that are not listed' });
});

test('files of one delivery are taken together, with the delivery, and the try is counted before it begins [CH-6]', async () => {
  const [first, second] = [await message(), await message()];
  await list(first.id, [ref('a.txt'), ref('b.txt')]);
  await list(second.id, [ref('c.txt')]);
  const taken = await takeWaitingFiles(db, channel.id, 100);
  expect(taken?.files.map((file) => [file.ref.ref, file.tries])).toEqual([
    ['a.txt', 1],
    ['b.txt', 1],
  ]);
  expect(taken?.rawGone).toBe(false);
  expect(JSON.parse(Buffer.from(taken?.raw?.body ?? '').toString())).toHaveLength(1);
  expect((await takeWaitingFiles(db, channel.id, 100))?.files.map((file) => file.ref.ref)).toEqual(['c.txt']);
  expect(await takeWaitingFiles(db, channel.id, 100)).toBeUndefined();
});

test('fifty that look at once never take the same file twice [CH-6]', async () => {
  for (let count = 0; count < 10; count += 1) await list((await message()).id, [ref('a.txt'), ref('b.txt'), ref('c.txt')]);
  const taken = await Promise.all(Array.from({ length: 50 }, () => takeWaitingFiles(db, channel.id, 2)));
  const ids = taken.flatMap((one) => one?.files.map((file) => file.attachmentId) ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  for (;;) {
    const rest = await takeWaitingFiles(db, channel.id, 2);
    if (rest === undefined) break;
    ids.push(...rest.files.map((file) => file.attachmentId));
  }
  expect(new Set(ids).size).toBe(30);
});

test('what is fetched is stored once, told to whoever looks, and never twice by two who fetched it [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('a.txt', { bytes: 5 })]);
  const file = await takeOne();
  const results = await Promise.all(Array.from({ length: 20 }, () => storeFetched(db, file, LIMITS, Buffer.from('hello'))));
  expect(results.map((one) => one.value).toSorted()).toEqual(['STORED', ...Array.from({ length: 19 }, () => null)].toSorted());
  const [row] = await rows(id);
  expect(row).toMatchObject({ state: 'STORED', bytes: 5, reason: null, fetching_until: null });
  expect((await readWholeBlob(db, row?.sha256 ?? Buffer.alloc(0))).toString()).toBe('hello');
  const events = await db.selectFrom('event').select(['kind', 'why', 'data']).where('message_id', '=', id).where('kind', '=', 'ATTACHMENT_SETTLED').execute();
  expect(events).toEqual([{ kind: 'ATTACHMENT_SETTLED', why: 'STORED', data: { attachmentId: row?.id } }]);
});

test('a file that turns out larger than it was said to be is refused, one of 0 bytes is stored [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('liar.txt', { bytes: 10 }), ref('empty.txt', { bytes: 0 })]);
  const taken = await takeWaitingFiles(db, channel.id, 10);
  const [liar, empty] = taken?.files ?? [];
  if (liar === undefined || empty === undefined) throw new Error('not taken');
  expect((await storeFetched(db, liar, LIMITS, Buffer.alloc(1_001))).value).toBe('REFUSED');
  expect((await storeFetched(db, empty, LIMITS, Buffer.alloc(0))).value).toBe('STORED');
  expect((await rows(id)).map((row) => [row.state, row.reason, row.bytes])).toEqual([
    ['REFUSED', 'larger than 1000 bytes', 10],
    ['STORED', null, 0],
  ]);
});

test('who took too long and lost the file to another stores nothing any more [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('a.txt')]);
  const slow = await takeOne();
  await sql`update attachment set fetching_until = now() - interval '1 s' where message_id = ${id}`.execute(db);
  const second = await takeOne();
  expect(second.tries).toBe(2);
  expect((await storeFetched(db, slow, LIMITS, Buffer.from('late'))).value).toBeNull();
  expect((await failFetch(db, slow, 'late')).value).toBeNull();
  expect(await states(id)).toEqual(['WAITING']);
  expect((await storeFetched(db, second, LIMITS, Buffer.from('in time'))).value).toBe('STORED');
});

test('one that ends its worker each time has failed after five tries, and holds nobody up [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('a.txt')]);
  for (let count = 0; count < FETCH_TRIES; count += 1) {
    await takeOne();
    await sql`update attachment set fetching_until = now() - interval '1 s' where message_id = ${id}`.execute(db);
  }
  expect(await takeWaitingFiles(db, channel.id, 10)).toBeUndefined();
  expect((await rows(id))[0]).toMatchObject({ state: 'FAILED', reason: 'fetching it ended the worker or the thread each time' });
});

test('a provider that asks for patience is given it for all of the channel, and a try that was not begun is no try', async () => {
  const [one, other] = [await message(), await message()];
  await list(one.id, [ref('a.txt')]);
  await list(other.id, [ref('b.txt')]);
  const first = await takeOne();
  await retryFetch(db, first, 60, { holdAll: true });
  expect(await takeWaitingFiles(db, channel.id, 10)).toBeUndefined();
  const { remaining, nextAt } = await waitingFiles(db, channel.id);
  expect(remaining).toBe(2);
  expect((nextAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(30_000);
  await sql`update attachment set not_before = now() where channel_id = ${channel.id}`.execute(db);
  const again = await takeWaitingFiles(db, channel.id, 10);
  await untakeFiles(db, again?.files ?? []);
  expect((await rows(one.id))[0]).toMatchObject({ tries: 1, fetching_until: null });
});

test('a delivery is kept while an attachment of its message waits, however old it is [CH-6]', async () => {
  const { id, deliveryId } = await message();
  const { deliveryId: other } = await message();
  await list(id, [ref('a.txt')]);
  await sql`update raw_delivery set received_at = now() - interval '31 days'`.execute(db);
  await removeExpired(db, 1_000);
  const kept = async () => (await db.selectFrom('raw_delivery').select('id').where('id', 'in', [deliveryId, other]).execute()).map((row) => row.id);
  expect(await kept()).toEqual([deliveryId]);
  await storeFetched(db, await takeOne(), LIMITS, Buffer.from('now it is here'));
  await removeExpired(db, 1_000);
  expect(await kept()).toEqual([]);
});

test('what came with a delivery that is gone says so', async () => {
  const { id, deliveryId } = await message();
  await list(id, [ref('a.txt')]);
  await db.deleteFrom('raw_delivery').where('id', '=', deliveryId).execute();
  expect(await takeWaitingFiles(db, channel.id, 10)).toMatchObject({ raw: null, rawGone: true, files: [{ tries: 1 }] });
});

test('the guardian finds what has waited over ten seconds, and not what is being fetched or held back [CH-6]', async () => {
  const { id } = await message();
  await list(id, [ref('a.txt')]);
  const found = async () => (await findStuck(db, 500)).stuck.filter((one) => one.why === 'ATTACHMENT_WAITS').map((one) => one.wake);
  const wake = { kind: 'attachments', channelKey: channel.key, plugin: 'plain' };
  expect(await found()).not.toContainEqual(wake);
  await sql`update attachment set not_before = now() - interval '11 s' where message_id = ${id}`.execute(db);
  expect(await found()).toContainEqual(wake);
  const file = await takeOne();
  expect(await found()).not.toContainEqual(wake);
  await retryFetch(db, file, 60, { holdAll: false });
  expect(await found()).not.toContainEqual(wake);
});

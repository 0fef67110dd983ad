import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type RawDelivery } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { z } from 'zod';
import { connectChannel, disconnectChannel } from '#commands/channels.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { plainCapabilities } from '../support/fixtures.ts';
import testhook from '../support/test-plugin.ts';
import { eventually } from '../support/wait.ts';
import { deliveries, fakeTemporal, keys, PUBLIC_URL, testDoors, type FakeTemporal, type TestDoors } from './support.ts';

/** One webhook for all pages of an app; the pages of another app have another secret. */
const shared = definePlugin({
  key: 'shared',
  name: 'Shared',
  contract: 1,
  settings: z.object({ page: z.string(), secret: z.string() }),
  secrets: ['secret'],
  capabilities: { ...plainCapabilities, inbound: ['webhook'], maxDeliveryBytes: 2_000 },
  address: ({ page }) => page,
  sharedDoor: (raw) => {
    if (raw.method === 'GET') return 'any';
    const pages: unknown = readJson(raw);
    if (!Array.isArray(pages)) throw new ChannelFailure({ code: 'Malformed', where: 'body' });
    return pages.map(String);
  },
  verify: async (raw, { channel, webhookUrl }) => {
    expect(webhookUrl).toBe(`${PUBLIC_URL}/hooks/shared`);
    const token = new URL(raw.url).searchParams.get('token') ?? raw.headers['x-secret'];
    if (token === 'soon' && channel.address.startsWith('keyless')) throw new ChannelFailure({ code: 'Unavailable', reason: 'no key yet' });
    if (token !== channel.settings.secret && token !== 'soon') throw new ChannelFailure({ code: 'Unauthentic' });
    return { answer: new Response(`for ${channel.key}`), store: raw.method === 'POST' };
  },
  parse: async () => [],
  send: async () => ({ providerMessageId: 'x', keys: [], state: 'sent' as const }),
});
function readJson(raw: RawDelivery): unknown {
  try {
    return JSON.parse(Buffer.from(raw.body).toString());
  } catch {
    return undefined;
  }
}

let database: TestDatabase;
let db: Db;
let temporal: FakeTemporal;
let doors: TestDoors;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());
beforeEach(() => {
  temporal = fakeTemporal();
  doors = testDoors(db, temporal, new Map(), [shared, testhook]);
});
afterEach(() => doors.close());

let number = 0;
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
async function connect(secret: string, page = `page-${(number += 1)}`) {
  const settings = { page, secret };
  const place = await placeId(db, 'HELP_DESK');
  const connected = await run((unit) =>
    connectChannel(unit, { plugins: [shared, testhook], keys }, { plugin: 'shared', name: 'Shared', placeId: place, settings }),
  );
  return { ...connected, page };
}
const post = async (pages: readonly string[] | string, secret: string, more: RequestInit = {}) =>
  doors.app.request(`${PUBLIC_URL}/hooks/shared?x=1`, {
    method: 'POST',
    headers: { 'x-secret': secret },
    body: typeof pages === 'string' ? pages : JSON.stringify(pages),
    ...more,
  });

it('stores a delivery for each channel it speaks of, as it came, and wakes each [PLUG-4]', async () => {
  const [first, second, silent] = [await connect('app-one'), await connect('app-one'), await connect('app-one')];
  const body = JSON.stringify([first.page, second.page, 'a page of nobody']);
  const response = await post(body, 'app-one');
  expect([response.status, await response.text()]).toEqual([200, `for ${first.key}`]);
  for (const { channelId } of [first, second]) {
    const stored = await deliveries(db, channelId);
    expect(stored).toHaveLength(1);
    expect(stored[0]).toMatchObject({ method: 'POST', url: `${PUBLIC_URL}/hooks/shared?x=1`, state: 'WAITING' });
    expect(stored[0]?.body.toString()).toBe(body);
  }
  expect(await deliveries(db, silent.channelId)).toEqual([]);
  await eventually(() => expect(temporal.woken.toSorted()).toEqual([`channel-intake/${first.key}`, `channel-intake/${second.key}`].toSorted()));
});

it('stores it only for those whose secret it is signed with; where that is nobody it is refused [PLUG-4]', async () => {
  const [mine, theirs, gone] = [await connect('app-two'), await connect('app-three'), await connect('app-two')];
  await run((unit) => disconnectChannel(unit, gone));
  expect((await post([mine.page, theirs.page, gone.page], 'app-two')).status).toBe(200);
  expect((await deliveries(db, mine.channelId)).length).toBe(1);
  for (const { channelId } of [theirs, gone]) expect(await deliveries(db, channelId)).toEqual([]);
  expect((await post([theirs.page], 'app-two')).status).toBe(401);
  expect(doors.lines.join('\n')).not.toContain('app-two');
});

it('what is for nobody here is let go without a word of whom it was for, also of a channel that was disconnected [PLUG-4]', async () => {
  const gone = await connect('app-four');
  await run((unit) => disconnectChannel(unit, gone));
  for (const pages of [[gone.page], ['planted-nobody'], []]) expect((await post(pages, 'app-four')).status).toBe(200);
  expect(await deliveries(db, gone.channelId)).toEqual([]);
  expect(doors.lines.filter((line) => line.includes('a delivery for nobody was let go'))).toHaveLength(3);
  expect(doors.lines.join('\n')).not.toMatch(/planted-nobody|app-four/);
});

it('of one that is just being connected its provider comes again, and nobody else has it meanwhile; a stranger is refused [PLUG-4]', async () => {
  const ready = await connect('app-five');
  const row = { id: crypto.randomUUID(), key: 'shared-coming', plugin: 'shared', name: 'x', address: 'coming', place_id: await placeId(db, 'HELP_DESK') };
  await db
    .insertInto('channel_connecting')
    .values({
      ...row,
      settings: JSON.stringify({ page: 'coming' }),
      secrets: keys.seal(row.key, { secret: 'app-five' }),
      until: new Date(Date.now() + 60_000),
    })
    .execute();
  for (const pages of [['coming'], [ready.page, 'coming']]) {
    const answer = await post(pages, 'app-five');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
  }
  expect(await deliveries(db, ready.channelId)).toEqual([]);
  expect((await post(['coming'], 'another app')).status).toBe(401);
  expect((await post([ready.page], 'app-five')).status).toBe(200);
  await db.deleteFrom('channel_connecting').where('id', '=', row.id).execute();
});

it('for all or for none: where one can not be judged yet, or can not be stored, none is, and the provider comes again [PLUG-4, OPS-10]', async () => {
  const [ready, keyless] = [await connect('s'), await connect('s', 'keyless-1')];
  const refused = await post([ready.page, keyless.page], 'soon');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
  expect([await deliveries(db, ready.channelId), await deliveries(db, keyless.channelId)]).toEqual([[], []]);
  await sql`alter table raw_delivery add constraint none_of_these check (channel_id <> ${sql.lit(keyless.channelId)})`.execute(db);
  try {
    expect((await post([ready.page, keyless.page], 's')).status).toBe(503);
    expect(await deliveries(db, ready.channelId)).toEqual([]);
  } finally {
    await sql`alter table raw_delivery drop constraint none_of_these`.execute(db);
  }
  expect((await post([ready.page, keyless.page], 's')).status).toBe(200);
});

it('every channel is asked of a handshake, and the first that knows it answers [PLUG-4]', async () => {
  await connect('not this one');
  const mine = await connect('hand-shake');
  const answered = await doors.app.request(`${PUBLIC_URL}/hooks/shared?token=hand-shake`);
  expect([answered.status, await answered.text()]).toEqual([200, `for ${mine.key}`]);
  expect((await doors.app.request(`${PUBLIC_URL}/hooks/shared?token=nobody-knows`)).status).toBe(401);
  expect(await deliveries(db, mine.channelId)).toEqual([]);
});

it('one that is being connected answers its handshake too [PLUG-4]', async () => {
  const row = { id: crypto.randomUUID(), key: 'shared-begun', plugin: 'shared', name: 'x', address: 'begun', place_id: await placeId(db, 'HELP_DESK') };
  await db
    .insertInto('channel_connecting')
    .values({
      ...row,
      settings: JSON.stringify({ page: 'begun' }),
      secrets: keys.seal(row.key, { secret: 'begun-token' }),
      until: new Date(Date.now() + 60_000),
    })
    .execute();
  expect(await (await doors.app.request(`${PUBLIC_URL}/hooks/shared?token=begun-token`)).text()).toBe('for shared-begun');
});

it('has the limits of the other door, and is there only where a plugin sorts deliveries by itself [PLUG-4]', async () => {
  const { page } = await connect('sized');
  expect((await post([page, 'x'.repeat(2_000)], 'sized')).status).toBe(413);
  expect((await post('{not json', 'sized')).status).toBe(400);
  expect((await doors.app.request(`${PUBLIC_URL}/hooks/testhook`, { method: 'POST', body: '[]' })).status).toBe(404);
  expect((await doors.app.request(`${PUBLIC_URL}/hooks/nothing`, { method: 'POST', body: '[]' })).status).toBe(404);
  // A channel's own address goes on working.
  expect((await post([page], 'sized')).status).toBe(200);
});

it('twenty at once for fifty channels are stored for each of them, once each [PLUG-4]', async () => {
  const many = await Promise.all(Array.from({ length: 50 }, () => connect('many')));
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      post(
        many.map((one) => one.page),
        'many',
      ),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from raw_delivery where channel_id = any(${many.map((one) => one.channelId)}::uuid[]) group by channel_id`.execute(db);
  expect(rows.map(({ count }) => count)).toEqual(Array.from({ length: 50 }, () => 20));
});

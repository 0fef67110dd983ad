import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { sql } from 'kysely';
import { fetchDue } from '#activities/attachments.ts';
import { catchUp } from '#activities/catch-up.ts';
import { checkDue } from '#activities/channel-check.ts';
import { createActivities, type ActivitySet } from '#activities/index.ts';
import { drain } from '#activities/intake.ts';
import { connectChannel, disconnectChannel } from '#commands/channels.ts';
import { findStuck } from '#commands/guardian.ts';
import { redeliver, storeDelivery } from '#commands/intake.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import type { StartRequest } from '#workflows/contract.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { testKeys } from '../support/fixtures.ts';
import held, { configUrl } from '../support/held-config.ts';
import { heldProvider, type HeldItem, type HeldProvider } from '../support/held-provider.ts';

interface Channel {
  readonly channelId: string;
  readonly key: string;
}

let database: TestDatabase;
let db: Db;
let set: ActivitySet;
let provider: HeldProvider;
const woken: string[] = [];
const lines: string[] = [];
const line = (fields: object, message: string): void => void lines.push(JSON.stringify([fields, message]));
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  set = createActivities({
    db,
    keys: testKeys,
    plugins: held.plugins,
    configUrl,
    log: { info: line, warn: line, error: line },
    now: () => Date.now(),
    waker: { signalWithStart: async ({ workflowId }: StartRequest) => void woken.push(workflowId), terminate: async () => false },
  });
});
afterAll(async () => {
  await set.close();
  await database.drop();
});
beforeEach(async () => {
  provider = await heldProvider();
  woken.length = lines.length = 0;
});
afterEach(() => provider.close());

let number = 0;
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
async function connect(pageSize = 3): Promise<Channel> {
  const place = await placeId(db, 'HELP_DESK');
  const settings = { page: `held-${(number += 1)}`, provider: provider.url, pageSize };
  return run((unit) => connectChannel(unit, { plugins: held.plugins, keys: testKeys }, { plugin: 'held', name: 'Held', placeId: place, settings }));
}
const goOn = ({ key }: Channel) => catchUp(set.engine, key);
function hold(count: number, more: Partial<HeldItem> = {}): readonly string[] {
  const items = Array.from({ length: count }, () => ({ id: `item-${(number += 1)}`, from: `visitor-${number % 5}`, text: `text ${number}`, ...more }));
  provider.items.push(...items);
  return items.map(({ id }) => id);
}
async function tell(channel: Channel, why: 'news' | 'gap'): Promise<void> {
  await deliver(channel, { catchUp: why, id: `told-${(number += 1)}` });
}
async function deliver({ channelId, key }: Channel, body: object): Promise<void> {
  const raw = { method: 'POST', url: '', headers: {}, body: Buffer.from(JSON.stringify(body)), receivedAt: new Date().toISOString() };
  await storeDelivery(db, channelId, raw);
  await takeIn({ channelId, key });
}
/** Until nothing waits any more. */
const takeIn = ({ key }: Channel) => drain(set.engine, key, { beat: () => undefined, stopped: () => false });
const row = ({ channelId }: Channel) => db.selectFrom('channel').selectAll().where('id', '=', channelId).executeTakeFirstOrThrow();
const messages = async ({ channelId }: Channel) =>
  (await db.selectFrom('message').select('provider_message_id').where('channel_id', '=', channelId).orderBy('arrival').execute()).map(
    (one) => one.provider_message_id,
  );
const caughtUp = async ({ channelId }: Channel) =>
  (await db.selectFrom('event').select('data').where('channel_id', '=', channelId).where('kind', '=', 'CAUGHT_UP').orderBy('id').execute()).map(
    (one) => one.data,
  );
const soon = ({ channelId }: Channel) => sql`update channel set catch_up_after = now() where id = ${channelId}`.execute(db);

it('at connecting everything the provider holds comes in, page by page, and the cursor stays where that ended [PLUG-7]', async () => {
  const ids = hold(8);
  const channel = await connect();
  expect(await goOn(channel)).toEqual({ pages: 3, fresh: 8, recovered: null, more: false, nextTryAtIso: null, heldBy: null });
  expect(await messages(channel)).toEqual(ids);
  expect(provider.askedFrom).toEqual(['', '3', '6']);
  expect(await row(channel)).toMatchObject({ cursor: '8', catch_up_since: null });
  // Nothing was missed: no account of a gap is given.
  expect(await caughtUp(channel)).toEqual([]);
  expect(await goOn(channel)).toMatchObject({ pages: 0, more: false });
});

it('a delivery that says only that there is something has it fetched from the cursor on; a second one says nothing new [PLUG-4]', async () => {
  hold(4);
  const channel = await connect();
  await goOn(channel);
  const ids = hold(2);
  await tell(channel, 'news');
  expect(woken).toContain(`catch-up/${channel.key}`);
  expect(await goOn(channel)).toMatchObject({ pages: 1, fresh: 2 });
  expect((await messages(channel)).slice(-2)).toEqual(ids);
  expect(provider.askedFrom.at(-1)).toBe('4');
  expect(await db.selectFrom('raw_delivery').select('state').where('channel_id', '=', channel.channelId).execute()).toEqual([{ state: 'DONE' }]);
});

it('what a gap gives back is counted, also what is parsed from what is stored, and what was here already is not [EMAIL-9]', async () => {
  const channel = await connect(10);
  await goOn(channel);
  const [known] = hold(1);
  hold(3);
  hold(2, { whole: true });
  await deliver(channel, { id: known, from: 'visitor-0', text: 'came by the door' });
  await tell(channel, 'gap');
  // What is stored is still to be parsed: until then the number is not known.
  expect(await goOn(channel)).toMatchObject({ fresh: 3, more: true, recovered: null, heldBy: 'BEING_TAKEN_IN' });
  expect(woken).toContain(`channel-intake/${channel.key}`);
  woken.length = 0;
  await takeIn(channel);
  expect(woken).toContain(`catch-up/${channel.key}`);
  expect(await goOn(channel)).toMatchObject({ recovered: 5, more: false });
  expect(await caughtUp(channel)).toEqual([{ recovered: 5 }]);
  expect(new Set(await messages(channel)).size).toBe(6);
  expect((await messages(channel)).length).toBe(6);
  // A gap in which nothing was missed says so.
  await tell(channel, 'gap');
  expect(await goOn(channel)).toMatchObject({ recovered: 0 });
  expect(await caughtUp(channel)).toEqual([{ recovered: 5 }, { recovered: 0 }]);
});

it('a message comes in once however it comes, by catching up first or by the door first [MODEL-4]', async () => {
  const ids = hold(3);
  const channel = await connect();
  await goOn(channel);
  for (const item of provider.items) await deliver(channel, item);
  expect(await messages(channel)).toEqual(ids);
});

it('of ten at once nothing comes in twice and nothing is passed over [PLUG-7]', async () => {
  const ids = hold(40);
  const channel = await connect();
  await Promise.all(Array.from({ length: 10 }, () => goOn(channel)));
  while ((await goOn(channel)).more);
  expect((await messages(channel)).toSorted()).toEqual([...ids].toSorted());
  expect(await row(channel)).toMatchObject({ cursor: '40', catch_up_since: null });
});

it('the cursor moves with the messages or not at all [PLUG-7]', async () => {
  const ids = hold(6);
  const channel = await connect();
  const refused = sql.lit(ids[4] ?? '');
  await sql`alter table message add constraint not_this_one check (provider_message_id <> ${refused})`.execute(db);
  expect(await goOn(channel)).toMatchObject({ more: true, heldBy: 'Malformed' });
  expect([await messages(channel), (await row(channel)).cursor]).toEqual([ids.slice(0, 3), '3']);
  await sql`alter table message drop constraint not_this_one`.execute(db);
  await soon(channel);
  expect(await goOn(channel)).toMatchObject({ pages: 1, fresh: 3, more: false });
  expect(await messages(channel)).toEqual(ids);
});

const asides = async ({ channelId }: Channel) =>
  db
    .selectFrom('raw_delivery')
    .select(['id', 'url', 'body', 'state', 'failure_code', 'failure_reason'])
    .where('channel_id', '=', channelId)
    .orderBy('id')
    .execute();
/** Nothing of it repeats, so PostgreSQL cannot make it smaller. */
const dense = (characters: number): string =>
  Array.from({ length: characters }, (_, at) => String.fromCharCode(0x4e00 + ((at * at * 7919 + at * 104_729) % 20_000))).join('');

it('an event that is too large to be kept is set aside by its id, and the others come in [PLUG-7, PLUG-11]', async () => {
  const [first = '', huge = '', last = '', alone = ''] = [...hold(1), ...hold(1, { from: dense(900) }), ...hold(1), ...hold(1, { from: dense(900) })];
  const channel = await connect();
  expect(await goOn(channel)).toMatchObject({ pages: 2, fresh: 2, more: false, heldBy: null });
  expect(await messages(channel)).toEqual([first, last]);
  expect(await row(channel)).toMatchObject({ cursor: '4', catch_up_since: null, health: 'CONNECTED' });
  const kept = await asides(channel);
  expect(kept.map(({ url, state, failure_code: code }) => ({ url, state, code }))).toEqual(
    [huge, alone].map((id) => ({ url: `message:${id}`, state: 'SET_ASIDE', code: 'Malformed' })),
  );
  // Of its content nothing is kept, so there is nothing to redeliver.
  expect(kept.map(({ body }) => body.length)).toEqual([0, 0]);
  await expect(run((unit) => redeliver(unit, { deliveryId: kept[0]?.id ?? 0 }))).rejects.toMatchObject({ reason: 'DELIVERY_NOT_KEPT' });
  expect(await db.selectFrom('event').select('why').where('channel_id', '=', channel.channelId).where('kind', '=', 'DELIVERY_SET_ASIDE').execute()).toEqual([
    { why: 'Malformed' },
    { why: 'Malformed' },
  ]);
});

it('an event that PostgreSQL would not write is set aside at the third try, and the others come in [PLUG-7, PLUG-11]', async () => {
  const ids = hold(7);
  const channel = await connect();
  const refused = ids[4] ?? '';
  await sql`alter table message add constraint nor_this_one check (provider_message_id <> ${sql.lit(refused)})`.execute(db);
  try {
    for (let tries = 1; tries <= 2; tries += 1) {
      expect(await goOn(channel)).toMatchObject({ more: true, heldBy: 'Malformed' });
      expect(await row(channel)).toMatchObject({ cursor: '3', catch_up_tries: tries });
      await soon(channel);
    }
    expect(await goOn(channel)).toMatchObject({ pages: 2, fresh: 3, more: false });
  } finally {
    await sql`alter table message drop constraint nor_this_one`.execute(db);
  }
  expect(await messages(channel)).toEqual(ids.filter((id) => id !== refused));
  expect(await row(channel)).toMatchObject({ cursor: '7', catch_up_since: null, catch_up_tries: 0 });
  expect(await asides(channel)).toMatchObject([{ url: `message:${refused}`, state: 'SET_ASIDE', failure_code: 'NotApplied', failure_reason: 'error 23514' }]);
});

it('what is asked for while a page is fetched is fetched after it [PLUG-7]', async () => {
  hold(2);
  const channel = await connect();
  provider.script({ first: () => tell(channel, 'news') });
  // The first request covers what it began with: the second is done after it.
  expect(await goOn(channel)).toMatchObject({ more: false, fresh: 2 });
  expect(provider.askedFrom).toEqual(['', '2']);
  expect((await row(channel)).catch_up_since).toBeNull();
});

it('waits as the provider wants, says what holds it, and goes on from the same place [PLUG-6]', async () => {
  hold(1);
  const channel = await connect();
  for (const [answer, code, least] of [
    ['rate-limited', 'RateLimited', 30_000],
    ['unavailable', 'Unavailable', 8_000],
  ] as const) {
    provider.script(answer);
    const waits = await goOn(channel);
    expect(waits).toMatchObject({ more: true, fresh: 0, heldBy: code });
    expect(Date.parse(waits.nextTryAtIso ?? '') - Date.now()).toBeGreaterThan(least);
    // Asked again at once it does not ask the provider.
    const asked = provider.askedFrom.length;
    expect(await goOn(channel)).toMatchObject({ heldBy: code });
    expect(provider.askedFrom.length).toBe(asked);
    await soon(channel);
  }
  expect(await goOn(channel)).toMatchObject({ fresh: 1, more: false });
  expect((await row(channel)).health).toBe('CONNECTED');
});

it('a provider that is lost is told of as such, and once a check finds it again what was missed is fetched and counted [CH-4, EMAIL-9]', async () => {
  const channel = await connect();
  await goOn(channel);
  hold(2);
  await tell(channel, 'news');
  provider.script('revoked');
  expect(await goOn(channel)).toMatchObject({ more: true, heldBy: 'Disconnected' });
  expect(await row(channel)).toMatchObject({ health: 'DISCONNECTED', health_reason: 'http 401' });
  await sql`update channel set checked_at = now() - interval '10 min' where id = ${channel.channelId}`.execute(db);
  woken.length = 0;
  await checkDue(set.engine);
  expect(await row(channel)).toMatchObject({ health: 'CONNECTED', outage: false });
  expect(woken).toContain(`catch-up/${channel.key}`);
  expect(await goOn(channel)).toMatchObject({ recovered: 2, more: false });
});

it('an outage that only a check noticed is a gap as well; a check that finds all well asks for nothing [EMAIL-9]', async () => {
  const channel = await connect();
  await goOn(channel);
  const check = async () => {
    await sql`update channel set checked_at = now() - interval '10 min' where id = ${channel.channelId}`.execute(db);
    await checkDue(set.engine);
  };
  await check();
  expect((await row(channel)).catch_up_since).toBeNull();
  provider.script('unavailable');
  await check();
  hold(1);
  await check();
  expect(await row(channel)).toMatchObject({ catch_up_gap: true, health: 'CONNECTED' });
  expect(await goOn(channel)).toMatchObject({ recovered: 1 });
});

it('a page that is none is asked for again later, is trouble at the third time, and its words are in no log [PLUG-6, OPS-7]', async () => {
  hold(1);
  const channel = await connect();
  for (const answer of ['nonsense', 'stands-still', 'unknown-event'] as const) {
    provider.script(answer);
    expect(await goOn(channel)).toMatchObject({ more: true, heldBy: 'Malformed', fresh: 0 });
    await soon(channel);
  }
  expect(await row(channel)).toMatchObject({ health: 'DEGRADED', health_reason: 'what the provider holds could not be read', cursor: null });
  expect(await goOn(channel)).toMatchObject({ fresh: 1, more: false });
  expect(lines.join('\n')).not.toContain('PLANTED');
});

it('files of such messages are fetched of the provider, without a delivery [CH-6]', async () => {
  hold(1, { file: 'plan' });
  hold(1, { file: 'other', whole: true });
  const channel = await connect();
  await goOn(channel);
  await takeIn(channel);
  expect(await fetchDue(set.engine, channel.key)).toMatchObject({ stored: 2, remaining: 0 });
  const { rows } = await sql<{ text: string }>`
    select convert_from(p.data, 'UTF8') as text from attachment a join blob_piece p on p.sha256 = a.sha256 where a.channel_id = ${channel.channelId} order by 1`.execute(
    db,
  );
  expect(rows.map(({ text }) => text)).toEqual(['content of other with its delivery', 'content of plan']);
});

it('the guardian finds one that should have gone on ten seconds ago, and none that waits its time or is at it [OPS-12]', async () => {
  hold(1);
  const channel = await connect();
  const found = async () => (await findStuck(db, 100)).stuck.some(({ wake }) => wake.kind === 'catch-up' && wake.channelKey === channel.key);
  const since = (after: string, until: string) =>
    sql`update channel set catch_up_since = now() - interval '1 min', catch_up_after = now() + ${after}::interval, catch_up_until = now() + ${until}::interval
      where id = ${channel.channelId}`.execute(db);
  expect(await found()).toBe(false);
  await since('-11 s', '-11 s');
  expect(await found()).toBe(true);
  await since('5 min', '-11 s');
  expect(await found()).toBe(false);
  await since('-11 s', '20 s');
  expect(await found()).toBe(false);
  await since('-11 s', '-11 s');
  await run((unit) => disconnectChannel(unit, channel));
  expect(await found()).toBe(false);
  expect(await goOn(channel)).toMatchObject({ pages: 0, more: false });
});

import { createServer, type Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type Plugin, type SendRate } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Engine } from '#activities/dependencies.ts';
import { sendFirst } from '#activities/outbox.ts';
import { reply } from '#commands/conversations.ts';
import { findStuck } from '#commands/guardian.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { serverPort, stopServer, textOf } from '../support/http.ts';

let database: TestDatabase;
let db: Db;
let agent: string;
let provider: Server;
let url: string;
/** What arrived at the provider, and when. */
const arrived: { readonly id: string; readonly to: string; readonly at: number }[] = [];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db);
  provider = createServer((request, response) => {
    const at = performance.now();
    void textOf(request).then((body) => {
      arrived.push({ ...(JSON.parse(body) as { id: string; to: string }), at });
      response.end('{}');
    });
  });
  url = `http://127.0.0.1:${await serverPort(provider)}`;
});
afterAll(async () => {
  await stopServer(provider);
  await database.drop();
});
beforeEach(() => void (arrived.length = 0));

const paced = (sendRate: SendRate): Plugin =>
  definePlugin({
    ...plainPlugin,
    capabilities: { ...plainCapabilities, sendRate },
    send: async ({ id, to }, { fetch }) => {
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ id, to: to.value }) });
      if (!answer.ok) throw new ChannelFailure({ code: 'Unavailable', reason: 'http' });
      return { providerMessageId: `sent-${id}`, keys: [], state: 'sent' as const };
    },
  });
const none = () => undefined;
const engineOf = (plugin: Plugin): Engine => ({
  db,
  keys: testKeys,
  plugins: [plugin],
  configUrl: '',
  log: { info: none, warn: none, error: none },
  now: () => Date.now(),
  waker: { signalWithStart: async () => undefined, terminate: async () => false },
  pool: { parse: notHere, extract: notHere, check: notHere, warm: async () => undefined, close: async () => undefined },
});
function notHere(): never {
  throw new Error('nothing is parsed here');
}

/** Conversations with so many answers each, all of them queued. */
async function queue(channel: MadeChannel, plugin: Plugin, senders: readonly string[], each: number): Promise<readonly string[]> {
  await take(
    db,
    channel,
    senders.map((from) => inbound(from)),
  );
  const rows = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute();
  for (const { id } of rows) {
    for (let index = 0; index < each; index += 1) {
      await transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, [plugin], { conversationId: id, text: `answer ${index}` }));
    }
  }
  return rows.map(({ id }) => id);
}

/** As the outbox's workflow does: sends, and comes again when it is told. Returns how often it asked, and what it was held by. */
async function drainOutbox(engine: Engine, conversationId: string): Promise<{ readonly asked: number; readonly heldBy: ReadonlySet<string> }> {
  const heldBy = new Set<string>();
  for (let asked = 1; ; asked += 1) {
    const { remaining, nextTryAtIso, heldBy: why } = await sendFirst(engine, conversationId);
    if (remaining === 0) return { asked, heldBy };
    if (why !== null) heldBy.add(why);
    if (nextTryAtIso !== null) await wait(Math.max(50, Date.parse(nextTryAtIso) - Date.now()));
  }
}

/** The most that arrived within any second. */
function busiestSecond(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return Math.max(...sorted.map((from) => sorted.filter((at) => at >= from && at < from + 1_000).length));
}

it('two hundred messages of many conversations at once arrive no faster than the provider allows, each conversation in order [CH-5, PLUG-3]', async () => {
  const plugin = paced({ accountPerSecond: 40 });
  const channel = await makeChannel(db);
  const conversations = await queue(
    channel,
    plugin,
    Array.from({ length: 100 }, (_, index) => `visitor-${index}@out.example`),
    2,
  );
  const engine = engineOf(plugin);
  const outcomes = await Promise.all(conversations.map((id) => drainOutbox(engine, id)));
  expect(arrived).toHaveLength(200);
  expect(busiestSecond(arrived.map(({ at }) => at))).toBeLessThanOrEqual(40);
  for (const conversationId of conversations) {
    const written = await db.selectFrom('outbound').select('message_id').where('conversation_id', '=', conversationId).orderBy('arrival').execute();
    const sent = arrived.flatMap(({ id }) => (written.some((one) => one.message_id === id) ? [id] : []));
    expect(sent).toEqual(written.map((one) => one.message_id));
  }
  // Each came a few times, and not all of them all the time; and could say why it waited.
  expect(outcomes.reduce((sum, { asked }) => sum + asked, 0)).toBeLessThan(200 * 6);
  expect(outcomes.some(({ heldBy }) => heldBy.has('its channel sends no faster'))).toBe(true);
});

it('one recipient is not written to again at once, also from another conversation, while others are [CH-5, PLUG-3]', async () => {
  const plugin = paced({ recipientSeconds: 1 });
  const channel = await makeChannel(db);
  const conversations = await queue(channel, plugin, ['same@out.example', 'same@out.example', 'same@out.example', 'other@out.example'], 1);
  const engine = engineOf(plugin);
  const outcomes = await Promise.all(conversations.map((id) => drainOutbox(engine, id)));
  expect(arrived.filter(({ to }) => to === 'same@out.example')).toHaveLength(3);
  // When each was let go: how long it is on its way then is this machine's to say.
  const left = await db
    .selectFrom('outbound')
    .select(['message_id', sql<number>`extract(epoch from claimed_at)::float8 * 1000`.as('at')])
    .where('channel_id', '=', channel.id)
    .orderBy('claimed_at')
    .execute();
  const times = (address: string) => left.flatMap(({ message_id: id, at }) => (arrived.some((one) => one.id === id && one.to === address) ? [at] : []));
  const same = times('same@out.example');
  expect(same).toHaveLength(3);
  for (const [index, at] of same.slice(1).entries()) expect(at - (same[index] ?? 0)).toBeGreaterThanOrEqual(1_000);
  expect(times('other@out.example')[0]).toBeLessThan(same[1] ?? 0);
  expect(outcomes.some(({ heldBy }) => heldBy.has('its recipient was written to just now'))).toBe(true);
});

it('who waits for a turn far ahead is not taken for stuck; a plugin without a rate takes no turns [OPS-12]', async () => {
  const slow = paced({ accountPerSecond: 0.01 });
  const channel = await makeChannel(db);
  const conversations = await queue(
    channel,
    slow,
    Array.from({ length: 5 }, (_, index) => `slow-${index}@out.example`),
    1,
  );
  for (const id of conversations) await sendFirst(engineOf(slow), id);
  expect(arrived).toHaveLength(1);
  const rows = await db
    .selectFrom('outbound')
    .select(['not_before', 'slot_at'])
    .where('channel_id', '=', channel.id)
    .where('state', '=', 'QUEUED')
    .orderBy('not_before')
    .execute();
  expect(rows).toHaveLength(4);
  expect(rows.every((row, index) => row.not_before.getTime() > Date.now() + (index + 0.9) * 100_000)).toBe(true);
  expect((await findStuck(db, 100)).stuck.filter(({ wake }) => wake.kind === 'outbox' && conversations.includes(wake.conversationId))).toEqual([]);
  const free = await makeChannel(db);
  const [first = ''] = await queue(free, plainPlugin, ['free@out.example'], 1);
  await sendFirst(engineOf(plainPlugin), first);
  expect(await db.selectFrom('outbound').select(['state', 'slot_at', 'claimed_at']).where('channel_id', '=', free.id).execute()).toEqual([
    { state: 'SENT', slot_at: null, claimed_at: null },
  ]);
});

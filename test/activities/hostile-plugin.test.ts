import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sql } from 'kysely';
import {
  ChannelFailure,
  definePlugin,
  type Capabilities,
  type Failure,
  type InboundEvent,
  type Plugin,
  type ReservedIds,
  type SendReceipt,
} from '@trunkline/channel-sdk';
import { catchUp } from '#activities/catch-up.ts';
import { checkDue } from '#activities/channel-check.ts';
import type { Engine } from '#activities/dependencies.ts';
import { checkEvents } from '#activities/inbound-schema.ts';
import { drain } from '#activities/intake.ts';
import { sendFirst } from '#activities/outbox.ts';
import type { ParsePool } from '#activities/parse-pool.ts';
import { renewDue } from '#activities/renewals.ts';
import { reply } from '#commands/conversations.ts';
import { migrationProblems } from '#commands/plugin-says.ts';
import { replyChannelsOf } from '#commands/reply-channels.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { guarded, PluginBroke } from '#runtime/guarded-plugin.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

const SECRET = 'ada@customer.example wrote this';

let database: TestDatabase;
let db: Db;
let agent: string;
const lines: string[] = [];
const line = (fields: object, message: string): void => void lines.push(JSON.stringify({ message, ...fields }));
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.updateTable('channel').set({ disconnected_at: new Date() }).where('disconnected_at', 'is', null).execute();
  lines.length = 0;
});

/** What the contract forbids, as JavaScript would give it. */
const untyped = <Value>(value: unknown): Value => value as Value;
const rejects = (thrown: unknown) => async (): Promise<never> => {
  throw thrown;
};
/** The other plugin behaves. */
const well = definePlugin({ ...plainPlugin, key: 'well', check: async () => undefined, renew: async () => undefined });
const sickWith = (more: Partial<Plugin>, capabilities: Partial<Capabilities> = {}): Plugin =>
  ({ ...plainPlugin, key: 'sick', ...more, capabilities: { ...plainCapabilities, ...capabilities } }) satisfies Plugin;

/** Reads what a delivery holds as these plugins do: it is JSON, and checked as a thread's answer is. */
const pool: ParsePool = {
  parse: async (_plugin, _channel, raw) => checked(JSON.parse(Buffer.from(raw.body).toString())),
  check: async (_plugin, _channel, given) => checked(given),
  extract: async () => ({ ok: false, code: 'Malformed', reason: 'attachments' }),
  warm: async () => undefined,
  close: async () => undefined,
};
function checked(given: unknown): Awaited<ReturnType<ParsePool['parse']>> {
  const result = checkEvents(given);
  return 'events' in result ? { ok: true, events: result.events, safe: [] } : { ok: false, code: 'Malformed', reason: result.where };
}

const engineOf = (sick: Plugin): Engine => ({
  db,
  keys: testKeys,
  plugins: [sick, well],
  configUrl: '',
  log: { info: line, warn: line, error: line },
  now: () => Date.now(),
  waker: { signalWithStart: async () => undefined, terminate: async () => false },
  pool,
});
const watch = { beat: () => undefined, stopped: () => false };
const pair = async (): Promise<readonly [MadeChannel, MadeChannel]> => [await makeChannel(db, { plugin: 'sick' }), await makeChannel(db, { plugin: 'well' })];
const messagesOf = async ({ id }: MadeChannel) => (await db.selectFrom('message').select('id').where('channel_id', '=', id).execute()).length;
const contact = { kind: 'email-address', value: 'ada@customer.example' } as const;
const stranger = { kind: 'visitor', value: 'somebody else' } as const;
const base = { dedupeKey: 'k', contact } as const;

it.each<readonly [string, unknown, string]>([
  ['a message of an identity kind it does not name', [inbound('x', { contact: stranger })], 'events.0: a kind of identity its capabilities do not name'],
  ['a participant of such a kind', [inbound('x@y.example', { participants: [stranger] })], 'events.0: a kind of identity its capabilities do not name'],
  ['a change of identity to such a kind', [{ dedupeKey: 'k', type: 'identity-changed', old: contact, new: stranger }], 'events.0: a kind of identity'],
  ['a receipt it does not report', [{ dedupeKey: 'k', type: 'receipt', providerMessageId: 'p', state: 'read' }], 'events.0.state: not among the receipts'],
  [
    'a watermark it does not report',
    [{ ...base, type: 'watermark', state: 'read', through: '2026-01-01T00:00:00Z' }],
    'events.0.state: not among the receipts',
  ],
  ['an event of no such type', [{ ...base, type: 'gossip' }], 'events.0'],
  ['a text', SECRET, 'events'],
  ['an identity of ten megabytes', [inbound('x'.repeat(10_000_000))], 'events.0.contact.value'],
])('a parse that gives %s fails its own delivery, named by a path, and the other channel goes on [PLUG-11]', async (_, events, where) => {
  const [bad, good] = await pair();
  const engine = engineOf(sickWith({}));
  const { deliveryId } = await deliver(db, bad, untyped<readonly InboundEvent[]>(events));
  await deliver(db, good, [inbound('ben@customer.example')]);
  const [sick] = await Promise.all([drain(engine, bad.key, watch), drain(engine, good.key, watch)]);
  expect(sick).toMatchObject({ processed: 0, setAside: 1 });
  const row = await db.selectFrom('raw_delivery').select(['state', 'failure_code', 'failure_reason']).where('id', '=', deliveryId).executeTakeFirstOrThrow();
  expect(row).toMatchObject({ state: 'SET_ASIDE', failure_code: 'Malformed' });
  expect(row.failure_reason).toContain(where);
  expect([await messagesOf(bad), await messagesOf(good)]).toEqual([0, 1]);
  expect(lines.some((one) => one.includes(`"channel":"${bad.key}"`) && one.includes('"code":"Malformed"'))).toBe(true);
  expect(lines.join('\n')).not.toMatch(/customer\.example/);
});

it('what ends the process while a plugin is loaded is held against no delivery: its try is counted after that [PLUG-11]', async () => {
  const [channel] = await pair();
  const { deliveryId } = await deliver(db, channel, [inbound('ada@customer.example')]);
  const loading = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const slow: ParsePool = {
    ...pool,
    warm: () => {
      asked.resolve();
      return loading.promise;
    },
  };
  const drained = drain({ ...engineOf(sickWith({})), pool: slow }, channel.key, watch);
  await asked.promise;
  const tries = async () => (await db.selectFrom('raw_delivery').select('tries').where('id', '=', deliveryId).executeTakeFirstOrThrow()).tries;
  expect(await tries()).toBe(0);
  loading.resolve();
  expect(await drained).toMatchObject({ processed: 1 });
  expect(await tries()).toBe(1);
});

const ids = (more: object) => async (): Promise<SendReceipt> => untyped({ providerMessageId: 'p', keys: [], state: 'sent', ...more });

it.each<readonly [string, Partial<Plugin>, string]>([
  ['throws an error that holds what was written', { send: rejects(new Error(SECRET)) }, 'MaybeSent'],
  ['throws nothing', { send: rejects(undefined) }, 'MaybeSent'],
  [
    'throws a failure without what its code promises',
    { send: rejects(new ChannelFailure(untyped<Failure>({ code: 'RateLimited', retryAfterSeconds: NaN }))) },
    'MaybeSent',
  ],
  ['refuses in ten megabytes', { send: rejects(new ChannelFailure({ code: 'Rejected', reason: '\0x'.repeat(5_000_000) })) }, 'Rejected'],
  ['gives no receipt', { send: async () => untyped<SendReceipt>(undefined) }, 'MaybeSent'],
  ['gives an id of ten megabytes', { send: ids({ providerMessageId: 'x'.repeat(10_000_000) }) }, 'MaybeSent'],
  ['gives a key PostgreSQL can not keep', { send: ids({ keys: ['a\0b'] }) }, 'MaybeSent'],
  ['gives a state there is not', { send: ids({ state: 'eaten' }) }, 'MaybeSent'],
  ['reserves what is no id', { reserve: () => untyped<ReservedIds>({ providerMessageId: 7, keys: [] }) }, 'Malformed'],
  ['reserves ten megabytes', { reserve: () => ({ providerMessageId: 'x'.repeat(10_000_000), keys: [] }) }, 'Malformed'],
  [
    'breaks over reserving',
    {
      reserve: () => {
        throw new Error(SECRET);
      },
    },
    'Malformed',
  ],
])('a plugin that %s settles its own message as failed, is named, and the other channel sends [PLUG-11]', async (_, more, code) => {
  const [bad, good] = await pair();
  const engine = engineOf(sickWith(more));
  const queue = async (channel: MadeChannel): Promise<string> => {
    const from = `ada-${channel.key}@customer.example`;
    await take(db, channel, [inbound(from)]);
    const { id } = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
    await transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, engine.plugins, { conversationId: id, text: SECRET }));
    return id;
  };
  const [one, other] = [await queue(bad), await queue(good)];
  const [failed, sent] = await Promise.all([sendFirst(engine, one), sendFirst(engine, other)]);
  expect([failed.outcome, failed.remaining, sent.outcome]).toEqual(['FAILED', 0, 'SENT']);
  const row = await db.selectFrom('outbound').select(['failure_code', 'failure_reason']).where('conversation_id', '=', one).executeTakeFirstOrThrow();
  expect(row.failure_code).toBe(code);
  expect(row.failure_reason?.length ?? 0).toBeLessThan(600);
  expect(lines.some((text) => text.includes(`"channel":"${bad.key}"`) && text.includes(`"outcome":"${code}"`))).toBe(true);
  expect(lines.join('\n')).not.toMatch(/customer\.example/);
});

it.each<readonly [string, unknown]>([
  ['an error that holds what was written', new Error(SECRET)],
  ['a text', SECRET],
  ['nothing', undefined],
  ['a disconnection without a reason', new ChannelFailure(untyped<Failure>({ code: 'Disconnected' }))],
  ['a disconnection whose reason is an object', new ChannelFailure(untyped<Failure>({ code: 'Disconnected', reason: { a: 1 } }))],
  ['a disconnection in ten megabytes that PostgreSQL can not keep', new ChannelFailure({ code: 'Disconnected', reason: '\0x'.repeat(5_000_000) })],
])('a check, a renewal and a catch-up that throw %s do not keep the other channel from its own [PLUG-11]', async (_, thrown) => {
  const [bad, good] = await pair();
  await sql`update channel set checked_at = now() - interval '1 day', renewed_at = now() - interval '2 days' where disconnected_at is null`.execute(db);
  const sick = sickWith({ check: rejects(thrown), renew: rejects(thrown), catchUp: rejects(thrown) }, { inbound: ['catch-up'] });
  const engine = engineOf(sick);
  expect(await checkDue(engine)).toMatchObject({ checked: 2 });
  expect(await renewDue(engine)).toMatchObject({ renewed: 1, inTrouble: [bad.key] });
  await sql`update channel set catch_up_since = now(), catch_up_asked = 1, catch_up_after = now() where id = ${bad.id}`.execute(db);
  expect(await catchUp(engine, bad.key)).toMatchObject({ pages: 0, more: true });
  expect((await db.selectFrom('channel').select('health').where('id', '=', good.id).executeTakeFirstOrThrow()).health).toBe('CONNECTED');
  expect(lines.some((text) => text.includes(`"channel":"${bad.key}"`))).toBe(true);
  expect(lines.some((text) => text.includes(`"channel":"${good.key}"`))).toBe(false);
  expect(lines.join('\n')).not.toMatch(/customer\.example/);
});

const breaks = (): never => {
  throw new Error(SECRET);
};
const asked = (more: Partial<Plugin>): Plugin => guarded(sickWith(more), (message, fields) => void lines.push(JSON.stringify({ message, ...fields })));

it.each<readonly [string, Partial<Plugin>]>([
  ['throws', { replyChannel: breaks, snippet: breaks, transcripts: breaks, migrationProblems: breaks }],
  [
    'answers rubbish',
    {
      replyChannel: () => untyped<string>({ key: 1 }),
      snippet: () => untyped<string>(Promise.resolve(SECRET)),
      transcripts: () => untyped<{ onClose: boolean }>(undefined),
      migrationProblems: () => untyped<string[]>('abc'),
    },
  ],
  [
    'answers ten megabytes',
    {
      replyChannel: () => 'x'.repeat(10_000_000),
      snippet: () => 'x'.repeat(10_000_000),
      transcripts: () => ({ onClose: true, from: 'x'.repeat(10_000_000) }),
      migrationProblems: () => ['x'.repeat(10_000_000)],
    },
  ],
])('a plugin that %s over its settings keeps no list of others from being read, and is named [PLUG-11]', async (_, more) => {
  const [bad, good] = await pair();
  const sick = asked(more);
  const plugins = [sick, well];
  for (const channel of [bad, good]) await take(db, channel, [inbound(`ada-${channel.key}@customer.example`)]);
  const conversations = await db.selectFrom('conversation').select('id').where('channel_id', 'in', [bad.id, good.id]).execute();
  const channels = await replyChannelsOf(
    db,
    plugins,
    agent,
    conversations.map(({ id }) => id),
  );
  expect([...channels.values()].map((list) => list.some(({ isDefault }) => isDefault))).toEqual([true, true]);
  expect(sick.snippet?.({}, 'https://desk.example')).toBe('');
  expect(sick.transcripts?.({})).toEqual({ onClose: false });
  expect(await migrationProblems(db, { plugins, keys: testKeys }, { id: bad.id, plugin: 'sick' })).toEqual(['its plugin could not say']);
  for (const what of ['replyChannel', 'snippet', 'transcripts', 'migrationProblems']) {
    expect(
      lines.some((text) => text.includes('"plugin":"sick"') && text.includes(`"what":"${what}"`)),
      what,
    ).toBe(true);
  }
  expect(lines.join('\n')).not.toMatch(/customer\.example/);
});

it.each<readonly [string, Partial<Plugin>, (plugin: Plugin) => unknown]>([
  ['address', { address: breaks }, (plugin) => plugin.address({})],
  ['address', { address: () => untyped<string>(undefined) }, (plugin) => plugin.address({})],
  ['preview', { preview: () => untyped([{ label: 'From' }]) }, (plugin) => plugin.preview?.({}, { fullName: 'A', firstName: 'A', lastName: '' })],
  ['routingTargets', { routingTargets: () => untyped({ userIds: 'all' }) }, (plugin) => plugin.routingTargets?.({})],
])('where nothing can go on without an answer about %s the error names the plugin and nothing else [PLUG-11]', (what, more, ask) => {
  const plugin = asked(more);
  expect(() => ask(plugin)).toThrow(PluginBroke);
  expect(() => ask(plugin)).toThrow(`the plugin "sick" broke over ${what}`);
  expect(lines[0]).toContain(`"plugin":"sick","what":"${what}"`);
});

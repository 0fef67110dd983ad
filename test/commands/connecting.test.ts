import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type ChannelInfo, type PluginContext } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { z } from 'zod';
import { loadChannel } from '#commands/channel-settings.ts';
import { channelState } from '#commands/channel-state.ts';
import { connectChannel, disconnectChannel, newChannelKey, updateChannel } from '#commands/channels.ts';
import { loadConnecting, prepareConnection, undoConnection, undoOverdue } from '#commands/connecting.ts';
import { tellProvider, type ContextFor } from '#commands/provider-calls.ts';
import { AddressTaken, ChangedMeanwhile, ProviderRefused } from '#commands/refusals.ts';
import { keysFrom } from '#commands/secrets.ts';
import { prepareUpdate, tellDisconnected, tellOverdue, tellStored } from '#commands/telling.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { plainCapabilities } from '../support/fixtures.ts';
import { fakeTemporal, keys, PUBLIC_URL, testDoors, type TestDoors } from '../doors/support.ts';

type What = 'connect' | 'update' | 'disconnect';
interface Settings {
  readonly page: string;
  readonly greeting: string;
  readonly token: string;
}
/** What the provider was told, in order, and what it does with the next of each. */
const told: { readonly what: What; readonly greeting: string; readonly state: unknown }[] = [];
const next = new Map<What, (context: PluginContext<Settings>) => Promise<void> | void>();
async function tell(what: What, context: PluginContext<Settings>): Promise<void> {
  told.push({ what, greeting: context.channel.settings.greeting, state: await context.state?.read() });
  await next.get(what)?.(context);
}
const booked = definePlugin<Settings>({
  key: 'booked',
  name: 'Booked',
  contract: 1,
  settings: z.object({ page: z.string(), greeting: z.string().default('Hello'), token: z.string().default('PLANTED-SECRET') }),
  secrets: ['token'],
  capabilities: { ...plainCapabilities, inbound: ['webhook'] },
  address: ({ page }) => page,
  verify: async (raw, { state }) => {
    const challenge = new URL(raw.url).searchParams.get('challenge');
    if (challenge !== null) return { answer: new Response(`${challenge} ${JSON.stringify(await state?.read())}`), store: false };
    return { answer: new Response('taken'), store: true };
  },
  parse: async () => [],
  send: async () => ({ providerMessageId: 'x', keys: [], state: 'sent' as const }),
  connect: (context) => tell('connect', context),
  update: (context) => tell('update', context),
  disconnect: (context) => tell('disconnect', context),
});

const deps = { plugins: [booked], keys };
const lines: string[] = [];
const contextFor: ContextFor = (plugin: string, info: ChannelInfo<unknown>) =>
  createPluginContext(info, {
    sign: (text) => text,
    log: (message, fields) => void lines.push(JSON.stringify([message, fields])),
    webhookUrl: `${PUBLIC_URL}/hooks/${plugin}/${info.key}`,
  });
const fails = (code: 'Rejected' | 'Unavailable', reason: string) => () => Promise.reject(new ChannelFailure({ code, reason }));

let database: TestDatabase;
let db: Db;
let doors: TestDoors;
let place: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  place = await placeId(db, 'HELP_DESK');
});
afterAll(() => database.drop());
beforeEach(() => {
  doors = testDoors(db, fakeTemporal(), new Map(), [booked]);
  told.length = lines.length = 0;
  next.clear();
});
afterEach(() => doors.close());

let number = 0;
const newPage = () => `page-${(number += 1)}`;
const prepare = (page: string, key = newChannelKey('booked')) =>
  prepareConnection(db, deps, { plugin: booked, name: 'Booked', placeId: place, settings: { page }, key }, contextFor);
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const finish = (page: string, prepared: Awaited<ReturnType<typeof prepare>>) =>
  run((unit) => connectChannel(unit, deps, { plugin: 'booked', name: 'Booked', placeId: place, settings: { page }, ...prepared }));
const connect = async (page = newPage()) => finish(page, await prepare(page));
const channelsOf = (page: string) => db.selectFrom('channel').select(['id', 'key']).where('address', '=', page).execute();
const waiting = () => db.selectFrom('channel_connecting').selectAll().orderBy('id').execute();
const pass = (table: 'channel' | 'channel_connecting') =>
  table === 'channel'
    ? sql`update channel set telling_until = now() - interval '1 s' where telling is not null`.execute(db)
    : sql`update channel_connecting set until = now() - interval '1 s'`.execute(db);

it('a provider that says no, or is away, connects nothing; the answer has its code and its phrase and no more [CH-3, PLUG-6]', async () => {
  for (const [code, wanted] of [
    ['Rejected', 'REJECTED'],
    ['Unavailable', 'UNAVAILABLE'],
  ] as const) {
    next.set('connect', fails(code, 'code 190'));
    const page = newPage();
    const refused: unknown = await prepare(page).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ProviderRefused);
    expect(refused).toMatchObject({ code: wanted, reason: 'code 190' });
    expect([await channelsOf(page), await waiting()]).toEqual([[], []]);
  }
  // Certain not to have happened: so there is nothing to take back, which could be somebody else's.
  expect(told.map(({ what }) => what)).toEqual(['connect', 'connect']);
  expect(lines.join('\n')).not.toContain('PLANTED');
});

it('handshakes of a new channel are answered while its provider is asked, and what its plugin keeps then is kept [PLUG-4]', async () => {
  const page = newPage();
  const answers: string[] = [];
  next.set('connect', async ({ webhookUrl = '', state }) => {
    await state?.update(() => ({ subscription: 'sub-1' }));
    answers.push(await (await doors.app.request(`${webhookUrl}?challenge=42`)).text());
    const early = await doors.app.request(webhookUrl, { method: 'POST', body: 'a message already' });
    answers.push(`${early.status} ${early.headers.get('retry-after')}`);
    // It is no channel yet: it has no page and is in no list.
    answers.push(String((await channelsOf(page)).length));
  });
  const { channelId, key } = await connect(page);
  expect(answers).toEqual(['42 {"subscription":"sub-1"}', '503 5', '0']);
  expect(await channelState(db, keys, { id: channelId, key }).read()).toEqual({ subscription: 'sub-1' });
  expect(await waiting()).toEqual([]);
  const later = await doors.app.request(`${PUBLIC_URL}/hooks/booked/${key}`, { method: 'POST', body: 'a message' });
  expect(later.status).toBe(200);
  expect((await doors.app.request(`${PUBLIC_URL}/hooks/booked/booked-nothere?challenge=1`)).status).toBe(404);
});

it('of 20 at once for one address one asks the provider, and that one connects [CH-2]', async () => {
  const page = newPage();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => connect(page)));
  const won = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value.key] : []));
  expect(won).toHaveLength(1);
  for (const one of results) if (one.status === 'rejected') expect(one.reason).toMatchObject({ name: 'AddressTaken', channelKey: won[0] });
  expect(told.map(({ what }) => what)).toEqual(['connect']);
  await expect(prepare(page)).rejects.toBeInstanceOf(AddressTaken);
  expect(await waiting()).toEqual([]);
});

it('where nobody knows what the provider did it is told to forget, and nothing is left [PLUG-4]', async () => {
  const page = newPage();
  next.set('connect', async ({ state }) => {
    await state?.update(() => 'sub-2');
    throw new Error('a plugin with a mistake');
  });
  await expect(prepare(page)).rejects.toThrow('a plugin with a mistake');
  expect(told.map(({ what, state }) => [what, state])).toEqual([
    ['connect', undefined],
    ['disconnect', 'sub-2'],
  ]);
  expect(await waiting()).toEqual([]);
  // Likewise where the provider said yes and the channel could not be made after all.
  next.delete('connect');
  const prepared = await prepare(page);
  await undoConnection(db, deps, prepared.connectingId ?? '', contextFor);
  expect(told.at(-1)?.what).toBe('disconnect');
  await expect(finish(page, prepared)).rejects.toBeInstanceOf(ChangedMeanwhile);
  expect([await channelsOf(page), await waiting()]).toEqual([[], []]);
  expect((await connect(page)).key).toMatch(/^booked-/);
});

it('a process that dies while it connects leaves nothing half done: the provider is told to forget, once, and the address is free [PLUG-4]', async () => {
  const [swept, retried] = [newPage(), newPage()];
  await prepare(swept);
  const dead = await prepare(retried);
  await expect(prepare(retried)).rejects.toBeInstanceOf(AddressTaken);
  await pass('channel_connecting');
  told.length = 0;
  // Who tries again does not wait for the worker.
  const { key } = await connect(retried);
  expect(told.map(({ what }) => what)).toEqual(['disconnect', 'connect']);
  told.length = 0;
  expect((await Promise.all([1, 2, 3].map(() => undoOverdue(db, deps, contextFor, 10)))).length).toBe(3);
  expect(told.map(({ what }) => what)).toEqual(['disconnect']);
  expect(await waiting()).toEqual([]);
  expect((await channelsOf(retried)).map((one) => one.key)).toEqual([key]);
  // And one that was only slow finds that it was given up.
  await expect(finish(retried, dead)).rejects.toBeInstanceOf(ChangedMeanwhile);
});

it('one whose secrets cannot be opened is given up and holds neither its address nor the others that were left behind [PLUG-4]', async () => {
  const [unreadable, readable, again] = [newPage(), newPage(), newPage()];
  for (const page of [unreadable, again, readable]) await prepare(page);
  const other = keysFrom('cd'.repeat(32));
  await sql`update channel_connecting set secrets = ${other.seal('k', { token: 't' })} where address in (${unreadable}, ${again})`.execute(db);
  // Its own handshakes cannot be judged; those of the others are.
  expect((await loadConnecting(db, keys, { plugin: 'booked' })).map(({ info }) => info.address)).toEqual([readable]);
  await pass('channel_connecting');
  told.length = 0;
  expect((await connect(again)).key).toMatch(/^booked-/);
  expect(await undoOverdue(db, deps, contextFor, 10)).toBe(2);
  expect(told.map(({ what }) => what)).toEqual(['connect', 'disconnect']);
  expect(await waiting()).toEqual([]);
});

it('a provider that cannot be reached is told to forget a connection again, until it can or a day is over, and holds the address from nobody [PLUG-4]', async () => {
  const [page, taken, old] = [newPage(), newPage(), newPage()];
  next.set('connect', () => Promise.reject(new Error('no answer')));
  next.set('disconnect', fails('Unavailable', 'away'));
  for (const one of [page, taken, old]) await expect(prepare(one)).rejects.toThrow('no answer');
  expect((await waiting()).map(({ abandoned, address }) => [address, abandoned])).toEqual([page, taken, old].map((one) => [one, true]));
  // Whoever connects the address again takes over what is there.
  next.delete('connect');
  await connect(taken);
  await sql`update channel_connecting set id = uuidv7(interval '-25 hours') where address = ${old}`.execute(db);
  await undoOverdue(db, deps, contextFor, 10);
  expect((await waiting()).map(({ address }) => address)).toEqual([page]);
  next.delete('disconnect');
  told.length = 0;
  await Promise.all([1, 2, 3].map(() => undoOverdue(db, deps, contextFor, 10)));
  expect(told.map(({ what }) => what)).toEqual(['disconnect']);
  expect(await waiting()).toEqual([]);
});

it('a plugin that does not answer is waited for no longer than its time, and told so [PLUG-11]', async () => {
  const { channelId, key } = await connect();
  let aborted = false;
  next.set('update', ({ signal }) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))));
  const info = { key, address: 'x', name: 'x', enabled: true, settings: { page: 'x', greeting: 'x', token: 'x' } };
  const outcome = await tellProvider('update', { db, keys }, booked, { id: channelId, key, info }, contextFor, 0.05);
  expect(outcome).toMatchObject({ kind: 'unknown', error: { code: 'UNAVAILABLE', reason: 'the provider did not answer in time' } });
  expect(aborted).toBe(true);
});

it('an edit its provider was told of and that was not made is told back, also where the process died [CH-8]', async () => {
  const { channelId, key } = await connect();
  told.length = 0;
  const edit = { channelId, settings: { greeting: 'Good day' } };
  await prepareUpdate(db, deps, edit, contextFor);
  // One edit is told at a time.
  await expect(prepareUpdate(db, deps, edit, contextFor)).rejects.toBeInstanceOf(ChangedMeanwhile);
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(0);
  await pass('channel');
  expect((await Promise.all([1, 2, 3].map(() => tellOverdue(db, deps, contextFor, 10)))).toSorted()).toEqual([0, 0, 1]);
  expect(told.map(({ what, greeting }) => [what, greeting])).toEqual([
    ['update', 'Good day'],
    ['update', 'Hello'],
  ]);
  expect((await loadChannel(db, keys, { key }))?.info.settings).toMatchObject({ greeting: 'Hello' });
  // It is free for the next, which is told and made.
  const prepared = await prepareUpdate(db, deps, edit, contextFor);
  await run((unit) => updateChannel(unit, deps, edit, prepared));
  expect((await loadChannel(db, keys, { key }))?.info.settings).toMatchObject({ greeting: 'Good day' });
  expect((await db.selectFrom('channel').select(['telling', 'telling_until']).where('id', '=', channelId).execute())[0]).toEqual({
    telling: null,
    telling_until: null,
  });
});

it('an edit that was overtaken while its provider was asked is not made [CH-8]', async () => {
  const { channelId } = await connect();
  const edit = { channelId, settings: { greeting: 'Slow' } };
  const slow = await prepareUpdate(db, deps, edit, contextFor);
  await pass('channel');
  const faster = await prepareUpdate(db, deps, { channelId, settings: { greeting: 'Fast' } }, contextFor);
  await expect(run((unit) => updateChannel(unit, deps, edit, slow))).rejects.toBeInstanceOf(ChangedMeanwhile);
  await tellStored(db, deps, channelId, slow?.telling ?? '', contextFor);
  expect((await run((unit) => updateChannel(unit, deps, { channelId, settings: { greeting: 'Fast' } }, faster))).version).toBe(2);
});

it('a provider that could not be told back is told later [CH-8]', async () => {
  const { channelId } = await connect();
  const prepared = await prepareUpdate(db, deps, { channelId, settings: { greeting: 'Moin' } }, contextFor);
  next.set('update', fails('Unavailable', 'away'));
  await tellStored(db, deps, channelId, prepared?.telling ?? '', contextFor);
  next.clear();
  await pass('channel');
  told.length = 0;
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(1);
  expect(told.map(({ greeting }) => greeting)).toEqual(['Hello']);
  await pass('channel');
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(0);
});

it('a channel whose secrets cannot be opened does not keep other providers from being told back [CH-8]', async () => {
  const [unreadable, readable] = [await connect(), await connect()];
  for (const { channelId } of [unreadable, readable]) await prepareUpdate(db, deps, { channelId, settings: { greeting: 'Moin' } }, contextFor);
  await sql`update channel set secrets = ${keysFrom('cd'.repeat(32)).seal('k', { token: 't' })} where id = ${unreadable.channelId}`.execute(db);
  await pass('channel');
  told.length = 0;
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(2);
  expect(told.map(({ what, greeting }) => [what, greeting])).toEqual([['update', 'Hello']]);
  // It is told once its secrets can be opened again.
  await sql`update channel set telling = null, telling_until = null where id = ${unreadable.channelId} and telling is not null`.execute(db);
});

it('a provider that could not be told of disconnecting is told once more, unless the address is connected again [CH-10]', async () => {
  const page = newPage();
  const first = await connect(page);
  const { telling } = await run((unit) => disconnectChannel(unit, first));
  next.set('disconnect', fails('Unavailable', 'away'));
  await tellDisconnected(db, deps, first.channelId, telling ?? '', contextFor);
  await pass('channel');
  told.length = 0;
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(1);
  expect(told.map(({ what }) => what)).toEqual(['disconnect']);
  await pass('channel');
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(0);
  next.clear();
  const second = await connect(page);
  await run((unit) => disconnectChannel(unit, second));
  await connect(page);
  told.length = 0;
  await pass('channel');
  expect(await tellOverdue(db, deps, contextFor, 10)).toBe(1);
  expect(told).toEqual([]);
});

import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChannelFailure, CONTRACT_VERSION, definePlugin, type Failure, type Plugin, type Verdict } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { createBodies } from '#api/doors/bodies.ts';
import { createDoors, type Doors } from '#api/doors/index.ts';
import { connectChannel, type Connected } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import { noDns } from '#runtime/dns.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { plainCapabilities } from '../support/fixtures.ts';
import { deliveries, fakeTemporal, keys, PUBLIC_URL } from './support.ts';

const SECRET = 'ada@customer.example wrote this';

/** What `verify` of the sick plugin does next; what the contract forbids comes as JSON does, without a type. */
let does: () => Promise<Verdict>;
let names: () => readonly string[] | 'any' = () => [];

/** One that does as it is told and one that behaves, by the same bytes. */
const one = (key: string, more: Partial<Plugin>): Plugin =>
  definePlugin({
    key,
    name: key,
    contract: CONTRACT_VERSION,
    settings: z.object({ page: z.string() }),
    secrets: [],
    capabilities: { ...plainCapabilities, inbound: ['webhook'], outbound: 'none' },
    address: ({ page }) => page,
    verify: async () => ({ answer: new Response('taken'), store: true }),
    parse: async () => [],
    ...more,
  });
const plugins = [one('sick', { verify: () => does() }), one('shared', { sharedDoor: () => names() }), one('well', {})];

let database: TestDatabase;
let doors: Doors;
const lines: string[] = [];
let sick: Connected;
let shared: Connected;
let well: Connected;
beforeAll(async () => {
  database = await testDatabase();
  const log = (message: string, fields: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const env = { publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', ports: new Map() } };
  doors = createDoors({ db: database.db, keys, plugins, waker: fakeTemporal(), resolveDns: noDns, bodies: createBodies(), log, env, verifyMs: 3_000 });
  const connect = async (plugin: string): Promise<Connected> => {
    const input = { plugin, name: plugin, placeId: await placeId(database.db, 'HELP_DESK'), settings: { page: plugin } };
    return (await transact(database.db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins, keys }, input))).value;
  };
  sick = await connect('sick');
  shared = await connect('shared');
  well = await connect('well');
});
afterAll(async () => {
  await doors.close();
  await database.drop();
});

const post = async (path: string): Promise<Response> => doors.app.request(`http://inside.local${path}`, { method: 'POST', body: SECRET });
const untyped = <Value>(json: string): Value => JSON.parse(json) as Value;
const rejects = (thrown: unknown) => async (): Promise<never> => {
  throw thrown;
};

/** Asked beside it, the other plugin's channel takes its delivery in. */
async function besideWell(path: string): Promise<Response> {
  lines.length = 0;
  const before = (await deliveries(database.db, well.channelId)).length;
  const [answer, good] = await Promise.all([post(path), post(`/hooks/well/${well.key}`)]);
  expect(good.status).toBe(200);
  expect(await deliveries(database.db, well.channelId)).toHaveLength(before + 1);
  expect(lines.join('\n')).not.toContain(SECRET);
  return answer;
}

const used = new Response('used');

it.each<readonly [string, () => Promise<Verdict>, number, string]>([
  ['throws an error that holds what was written', rejects(new Error(SECRET)), 500, 'Unexpected'],
  ['throws a text', rejects(SECRET), 500, 'Unexpected'],
  ['throws nothing', rejects(undefined), 500, 'Unexpected'],
  ['throws a failure of no such code', rejects(new ChannelFailure(untyped<Failure>('{"code":"Bogus"}'))), 500, 'Unexpected'],
  ['never answers', () => new Promise<Verdict>(() => undefined), 503, 'TimedOut'],
  ['answers nothing', async () => untyped<Verdict>('null'), 500, 'Unexpected'],
  ['answers what is no Response', async () => untyped<Verdict>('{"answer":{"status":200},"store":true}'), 500, 'Unexpected'],
  [
    'gives the same Response again',
    async () => (await used.clone().text(), used.bodyUsed || (await used.text()), { answer: used, store: true }),
    500,
    'Unexpected',
  ],
])('a verify that %s fails its own delivery, is named, and stops no other plugin [PLUG-11]', async (_, act, status, code) => {
  does = act;
  const answer = await besideWell(`/hooks/sick/${sick.key}`);
  expect([answer.status, await answer.text()]).toEqual([status, '']);
  expect(lines).toEqual([`a delivery was not taken ${JSON.stringify({ channel: sick.key, code })}`]);
  // Nothing is kept that its provider was not told is taken.
  expect(await deliveries(database.db, sick.channelId)).toEqual([]);
});

it.each<readonly [string, () => readonly string[] | 'any']>([
  [
    'throws',
    () => {
      throw new Error(SECRET);
    },
  ],
  ['names no list', () => untyped<string[]>('{"length":3}')],
  ['answers nothing', () => untyped<string[]>('null')],
])('a shared door whose plugin %s fails its own delivery and is named [PLUG-11]', async (_, act) => {
  names = act;
  expect((await besideWell('/hooks/shared')).status).toBe(500);
  expect(lines).toEqual(['a delivery was not taken {"plugin":"shared","code":"Unexpected"}']);
  expect(await deliveries(database.db, shared.channelId)).toEqual([]);
});

it('a shared door that names a million accounts that are not there lets the delivery go, and stops no other plugin [PLUG-11]', async () => {
  names = () => Array.from({ length: 1_000_000 }, (__, index) => `nobody-${index}`);
  expect((await besideWell('/hooks/shared')).status).toBe(200);
  expect(lines).toEqual(['a delivery for nobody was let go {"plugin":"shared","addresses":1000000}']);
  expect(await deliveries(database.db, shared.channelId)).toEqual([]);
});

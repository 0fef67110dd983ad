import { ChannelFailure, CONTRACT_VERSION, definePlugin, type PageContext, type Plugin } from '@trunkline/channel-sdk';
import { serve, type ServerType } from '@hono/node-server';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createClientAddress } from '#api/client-address.ts';
import { createBodies } from '#api/doors/bodies.ts';
import { createDoors, type Doors } from '#api/doors/index.ts';
import { servePage } from '#api/doors/pages.ts';
import { LIMITS, RATES, type RateLimitName } from '#api/limits.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { connectChannel, disconnectChannel, setChannelEnabled, type Connected } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import { noDns } from '#runtime/dns.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { makeUser, plainCapabilities } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { deliveries, fakeTemporal, keys, PUBLIC_URL } from './support.ts';

let database: TestDatabase;
let asked: { readonly request: Request; readonly context: PageContext<unknown> }[] = [];
const running: { close(): Promise<void> }[] = [];
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());
afterEach(async () => {
  asked = [];
  for (const one of running.splice(0)) await one.close();
});

const SECRET = 'what a visitor wrote';

/** Its page does what its path says. */
const board: Plugin = definePlugin({
  key: 'board',
  name: 'Board',
  contract: CONTRACT_VERSION,
  settings: z.object({ name: z.string() }),
  secrets: [],
  capabilities: { ...plainCapabilities, inbound: ['page'], outbound: 'none', maxDeliveryBytes: 1_000 },
  address: (settings) => settings.name,
  parse: async () => [],
  async page(request, context) {
    asked.push({ request, context });
    const body = new Uint8Array(await request.clone().arrayBuffer());
    switch (new URL(request.url).pathname.split('/').at(-1)) {
      case 'throw':
        throw new Error(SECRET);
      case 'busy':
        throw new ChannelFailure({ code: 'Unavailable', reason: 'away' });
      case 'nothing':
        return JSON.parse('null') as Response;
      case 'hang':
        return new Promise<Response>(() => undefined);
      case 'write':
        if (!(await context.allow(`${Math.random()}`))) return new Response(null, { status: 429 });
        await context.deliver({ method: 'POST', url: context.pageUrl, headers: {}, body, receivedAt: new Date(context.now()).toISOString() });
        return new Response('taken', { status: 201 });
      case 'somebody':
        return Response.json(await context.available());
      default:
        return new Response(`hello ${body.byteLength}`, { headers: { 'x-own': '1' } });
    }
  },
});

let number = 0;
async function connect(): Promise<Connected> {
  const input = { plugin: 'board', name: 'Board', placeId: await placeId(database.db, 'HELP_DESK'), settings: { name: `board ${(number += 1)}` } };
  return (await transact(database.db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: [board], keys }, input))).value;
}

interface Opened extends Doors {
  readonly lines: string[];
  ask(path: string, init?: RequestInit): Promise<Response>;
}

function open(rates: Partial<Record<RateLimitName, number>> = {}, limits: Partial<Record<keyof typeof LIMITS, number>> = {}, plugin = board): Opened {
  const lines: string[] = [];
  const doors = createDoors({
    db: database.db,
    keys,
    plugins: [plugin],
    bodies: createBodies({ ...LIMITS, ...limits }),
    waker: fakeTemporal(),
    resolveDns: noDns,
    clientAddress: createClientAddress(['127.0.0.0/8']),
    rates: createRateLimits(database.db, { ...RATES, pagePerMinute: 10_000, pageWritesPerMinute: 10_000, ...rates }),
    log: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    env: { publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', ports: new Map() } },
  });
  running.push(doors);
  return { ...doors, lines, ask: async (path, init) => doors.app.request(`http://inside.local${path}`, init) };
}

describe('a public page', () => {
  it('is asked with its public address, whichever way the request came, and answers as it likes [PLUG-4, PLUG-5]', async () => {
    const { key } = await connect();
    const doors = open();
    const response = await doors.ask(`/pages/board/${key}/hello?a=1`, { method: 'POST', body: 'xyz' });
    expect([response.status, await response.text(), response.headers.get('x-own')]).toEqual([200, 'hello 3', '1']);
    expect(asked[0]?.request.url).toBe(`${PUBLIC_URL}/pages/board/${key}/hello?a=1`);
    expect(asked[0]?.context.pageUrl).toBe(`${PUBLIC_URL}/pages/board/${key}`);
    expect((await doors.ask(`/pages/board/${key}`)).status).toBe(200);
    const head = await doors.ask(`/pages/board/${key}/`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('is not there for another plugin, an unknown key or a channel that was disconnected [CH-10]', async () => {
    const { key, channelId } = await connect();
    const doors = open();
    for (const path of [`/pages/other/${key}/`, '/pages/board/board-000000/', '/pages/board/%00/']) expect((await doors.ask(path)).status, path).toBe(404);
    await transact(database.db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId }));
    expect((await open().ask(`/pages/board/${key}/`)).status).toBe(404);
    expect(asked).toEqual([]);
  });

  it('takes a delivery in durably, as any other door does [OPS-10]', async () => {
    const { key, channelId } = await connect();
    expect((await open().ask(`/pages/board/${key}/write`, { method: 'POST', body: 'kept' })).status).toBe(201);
    const [stored] = await deliveries(database.db, channelId);
    expect([stored?.state, stored?.body.toString(), stored?.url]).toEqual(['WAITING', 'kept', `${PUBLIC_URL}/pages/board/${key}`]);
  });

  it('that fails is a page with an id which the log has too, and nothing of what was written [OPS-7]', async () => {
    const { key } = await connect();
    const doors = open();
    for (const path of ['throw', 'nothing']) {
      const response = await doors.ask(`/pages/board/${key}/${path}`, { headers: { accept: 'text/html' } });
      const page = await response.text();
      const id = /[0-9a-f-]{36}/.exec(page)?.[0] ?? 'none';
      expect(response.status).toBe(500);
      expect(doors.lines.join()).toContain(id);
      expect(page + doors.lines.join()).not.toContain(SECRET);
    }
    expect((await doors.ask(`/pages/board/${key}/busy`)).status).toBe(503);
  });

  it('that gives no answer in time is ended, and told so by its signal', async () => {
    const { key } = await connect();
    const doors = open();
    const door = { plugin: board, channel: { key, placeId: '', info: { key } }, context: { signal: new AbortController().signal } };
    const keeper = { publicUrl: PUBLIC_URL, log: () => undefined, isLive: () => false, find: async () => door };
    const rates = createRateLimits(database.db, { ...RATES, pagePerMinute: 10_000 });
    const deps = {
      keeper: keeper as never,
      available: async () => true,
      rates,
      clientAddress: createClientAddress([]),
      bodies: createBodies(),
      live: undefined,
      transcript: async () => 'no-conversation' as const,
      pageMs: 20,
    };
    const path = { plugin: 'board', channelKey: key, pathAndQuery: `/pages/board/${key}/hang` };
    expect((await servePage(deps, new Request(`${PUBLIC_URL}/x`), path, undefined)).status).toBe(500);
    expect(asked[0]?.context.signal.aborted).toBe(true);
    expect((await doors.ask(`/pages/board/${key}/`)).status).toBe(200);
  });

  it('says whether somebody would answer: on, and somebody who can be assigned is there', async () => {
    const { key, channelId } = await connect();
    const available = async (): Promise<unknown> => (await open().ask(`/pages/board/${key}/somebody`)).json();
    expect(await available()).toBe(false);
    await makeUser(database.db, { availability: 'AWAY' });
    await makeUser(database.db, { seat: 'NONE' });
    expect(await available()).toBe(false);
    await makeUser(database.db);
    expect(await available()).toBe(true);
    await transact(database.db, { actor: 'SYSTEM' }, (unit) => setChannelEnabled(unit, { channelId, enabled: false }));
    expect(await available()).toBe(false);
  });
});

describe('a public page’s limits', () => {
  it('a body over the plugin’s limit is refused and never reaches it, whether its length is told or not [PLUG-3]', async () => {
    const { key } = await connect();
    const doors = open();
    const exact = await doors.ask(`/pages/board/${key}/`, { method: 'POST', body: 'x'.repeat(1_000) });
    expect(exact.status).toBe(200);
    const stream = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(600)) });
    const bodies: RequestInit[] = [{ body: 'x'.repeat(1_001) }, { body: stream, duplex: 'half' } as RequestInit];
    for (const init of bodies) {
      const refused = await doors.ask(`/pages/board/${key}/`, { method: 'POST', ...init });
      const message = 'This is too large: at most 1000 bytes. Go back, and send less or smaller files.';
      expect([refused.status, await refused.json()]).toEqual([413, { code: 'TooLarge', errors: [{ field: null, message }] }]);
    }
    expect(asked).toHaveLength(1);
  });

  it('counts what is sent by the address and the channel, whatever origin it names; another address has its own [API-7]', async () => {
    const [one, two] = [await connect(), await connect()];
    const doors = open({ pageWritesPerMinute: 5 });
    const server = await listen(doors);
    const write = async (key: string, from = '192.0.2.1') =>
      (await fetch(`${server.url}/pages/board/${key}/write`, { method: 'POST', body: 'x', headers: { 'x-forwarded-for': from } })).status;
    const statuses = await Promise.all(Array.from({ length: 12 }, () => write(one.key)));
    expect(statuses.filter((status) => status === 201)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(7);
    expect(await deliveries(database.db, one.channelId)).toHaveLength(5);
    expect([await write(two.key), await write(one.key, '192.0.2.2'), await write(one.key)]).toEqual([201, 201, 429]);
  });

  it('counts every request by its address, before anything is read [API-7]', async () => {
    const { key } = await connect();
    const doors = open({ pagePerMinute: 3 });
    const server = await listen(doors);
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => fetch(`${server.url}/pages/board/${key}/`, { headers: { 'x-forwarded-for': '192.0.2.3' } })),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(3);
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(asked).toHaveLength(3);
  });
});

describe('what strangers send to public pages is held in memory', () => {
  const post = async (url: string, from: string, body: BodyInit) =>
    fetch(url, { method: 'POST', body, duplex: 'half', headers: { 'x-forwarded-for': from } } as RequestInit);
  const status = async (url: string, from: string, bytes: number) => (await post(url, from, 'x'.repeat(bytes))).status;

  /** A body that has begun and does not end before it is told to. */
  function unfinished(bytes: number): { readonly body: ReadableStream; end(): void } {
    let end = (): void => undefined;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(bytes));
        end = () => controller.close();
      },
    });
    return { body, end: () => end() };
  }

  it('up to a limit for all together: above it they are asked to come again, and can once the others are answered [API-7, FORM-2]', async () => {
    const { key } = await connect();
    const doors = open({}, { heldBytes: 1_000 });
    const url = `${(await listen(doors)).url}/pages/board/${key}/`;
    const first = unfinished(600);
    const answer = post(url, '192.0.2.11', first.body);
    await eventually(async () => expect(await status(url, '192.0.2.12', 500)).toBe(503));
    const refused = await post(url, '192.0.2.13', 'x'.repeat(401));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await status(url, '192.0.2.13', 400)).toBe(200);
    first.end();
    expect((await answer).status).toBe(200);
    for (let times = 0; times < 5; times += 1) expect(await status(url, '192.0.2.12', 900)).toBe(200);
  });

  it('so many bodies of one address, and so many bytes; another address has its own [API-7, FORM-2]', async () => {
    const { key } = await connect();
    const crowd = async (limits: Partial<Record<keyof typeof LIMITS, number>>) => {
      const url = `${(await listen(open({}, limits))).url}/pages/board/${key}/`;
      const begun = Array.from({ length: 40 }, () => unfinished(300));
      const answers = begun.map(async ({ body }) => (await post(url, '192.0.2.21', body)).status);
      let refused = 0;
      for (const answer of answers) void answer.then((one) => (refused += one === 429 ? 1 : 0));
      await eventually(() => expect(refused).toBe(38));
      expect(await status(url, '192.0.2.22', 300)).toBe(200);
      for (const { end } of begun) end();
      expect((await Promise.all(answers)).filter((one) => one === 200)).toHaveLength(2);
      expect(await status(url, '192.0.2.21', 300)).toBe(200);
    };
    await crowd({ openBodiesPerAddress: 2 });
    await crowd({ heldBytesPerAddress: 700 });
  });

  it('for so long: one that does not come to its end in time is refused, and no longer held [API-7, FORM-2]', async () => {
    const { key } = await connect();
    const doors = open({}, { bodySeconds: 3, heldBytes: 700 });
    const url = `${(await listen(doors)).url}/pages/board/${key}/`;
    const { body, end } = unfinished(600);
    expect((await post(url, '192.0.2.31', body)).status).toBe(408);
    expect(await status(url, '192.0.2.31', 700)).toBe(200);
    end();
    expect(asked).toHaveLength(1);
  });

  it('once there was too much a minute, only as far as a person types; a browser that asks first is not counted [API-7, FORM-2]', async () => {
    const { key } = await connect();
    const large = { ...board, capabilities: { ...board.capabilities, maxDeliveryBytes: 5_000_000 } };
    const doors = open({ pageWritesPerMinute: 2 }, {}, large);
    const url = `${(await listen(doors)).url}/pages/board/${key}/`;
    for (let times = 0; times < 5; times += 1) await fetch(url, { method: 'OPTIONS', headers: { 'x-forwarded-for': '192.0.2.41' } });
    const most = LIMITS.refusedBodyBytes;
    expect([await status(url, '192.0.2.41', most + 1), await status(url, '192.0.2.41', most + 1)]).toEqual([200, 200]);
    asked = [];
    const { body, end } = unfinished(most + 1);
    const refused = await post(url, '192.0.2.41', body);
    end();
    expect([refused.status, Number(refused.headers.get('retry-after')) > 0, asked.length]).toEqual([429, true, 0]);
    // What is not larger is for the page, which says it in its own way.
    expect(await status(`${url}write`, '192.0.2.41', 500)).toBe(429);
    expect(asked).toHaveLength(1);
  });
});

/** Over real HTTP, where an address is known. */
async function listen(doors: Doors): Promise<{ readonly url: string }> {
  const server = await new Promise<ServerType>((resolve) => {
    const started = serve({ fetch: (request, env) => doors.app.fetch(request, 'incoming' in env ? (env as never) : {}), hostname: '127.0.0.1', port: 0 }, () =>
      resolve(started),
    );
  });
  const bound = server.address();
  running.unshift({ close: () => new Promise((resolve) => void server.close(() => resolve())) });
  return { url: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}` };
}

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClientAddress } from '#api/client-address.ts';
import { AVAILABLE_MS, createAvailability } from '#api/doors/availability-cache.ts';
import { createBodies } from '#api/doors/bodies.ts';
import { servePage } from '#api/doors/pages.ts';
import { LIMITS, RATES } from '#api/limits.ts';
import { createNewsStream } from '#api/live/news-stream.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { openDatabase } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeUser } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { connectTalk, openPage, openProcess, say, talk, texts, type Process } from './live-support.ts';
import { deliveries, PUBLIC_URL } from './support.ts';

let database: TestDatabase;
const running: Process[] = [];
beforeAll(async () => void (database = await testDatabase()));
afterAll(async () => {
  await Promise.all(running.map((one) => one.close()));
  await database.drop();
});

async function open(options: Parameters<typeof openProcess>[1] = {}): Promise<Process> {
  const one = await openProcess(database.url, options);
  running.push(one);
  return one;
}

const from = (address: string) => ({ 'x-forwarded-for': address });
const code = async (response: Response) => ((await response.json()) as { code: string }).code;

describe('the door of a live page', () => {
  it('takes so many messages a minute of one address and channel: a thousand at once are limited with a clear answer, which any origin can read [API-7, CHAT-2]', async () => {
    const { key, channelId } = await connectTalk(database.db);
    const process = await open({ rates: { liveWritesPerMinute: RATES.liveWritesPerMinute } });
    const v = randomUUID();
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, n) => say(process.page(key), v, `message ${n}`, randomUUID(), from('192.0.2.1'))));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(RATES.liveWritesPerMinute);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(1_000 - RATES.liveWritesPerMinute);
    expect(refused[0]?.headers.get('access-control-allow-origin')).toBe('*');
    expect(refused[0]?.headers.get('access-control-expose-headers')).toBe('retry-after');
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await code(refused[0] ?? new Response())).toBe('TooMany');
    expect(await deliveries(database.db, channelId)).toHaveLength(RATES.liveWritesPerMinute);
    // Another address, and another channel, have their own.
    expect((await say(process.page(key), v, 'x', randomUUID(), from('192.0.2.2'))).status).toBe(202);
    expect((await say(process.page((await connectTalk(database.db)).key), v, 'x', randomUUID(), from('192.0.2.1'))).status).toBe(202);
  });

  it('counts every request by its address; what a browser asks beforehand is never refused, so that the page can read what is [API-7]', async () => {
    const { key } = await connectTalk(database.db);
    const process = await open({ rates: { livePerMinute: 5, liveWritesPerMinute: 3 } });
    const page = process.page(key);
    const preflight = (address: string) => fetch(`${page}/say`, { method: 'OPTIONS', headers: from(address) });
    // Asked beforehand: not counted as written.
    for (let times = 0; times < 2; times += 1) expect((await preflight('192.0.2.3')).headers.get('access-control-allow-origin')).toBe('https://shop.example');
    for (let times = 0; times < 3; times += 1) expect((await say(page, 'v', 'x', randomUUID(), from('192.0.2.3'))).status).toBe(202);
    const asked = await preflight('192.0.2.3');
    expect([asked.status, asked.headers.get('access-control-allow-origin'), asked.headers.get('access-control-allow-headers')]).toEqual([
      204,
      '*',
      'authorization, content-type, last-event-id',
    ]);
    const refused = await fetch(`${page}/`, { headers: from('192.0.2.3') });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([429, '*']);
    // What the page itself answers is its own.
    expect((await fetch(`${page}/`, { headers: from('192.0.2.4') })).headers.get('access-control-allow-origin')).toBe('https://shop.example');
  });

  it('can be read where it says that there is no such page, or that it does not work just now [API-7]', async () => {
    const process = await open({ limits: { liveStreams: 0, liveStreamsPerAddress: 9, liveStreamsPerVisitor: 9 } });
    const missing = await fetch(`${process.page('talk-000000')}/stream?v=v`);
    const { key } = await connectTalk(database.db);
    const full = await fetch(`${process.page(key)}/stream?v=v`);
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([404, '*']);
    expect([full.status, full.headers.get('access-control-allow-origin'), full.headers.get('retry-after')]).toEqual([503, '*', '5']);
  });

  it('holds so many streams of one visitor and of one address; one that ends makes room [API-7]', async () => {
    const process = await open({ limits: { liveStreams: 100, liveStreamsPerAddress: 3, liveStreamsPerVisitor: 2 } });
    const { key } = await connectTalk(database.db);
    const page = process.page(key);
    const [one, two] = [await openPage(page, 'a', { from: '192.0.2.5' }), await openPage(page, 'a', { from: '192.0.2.5' })];
    const third = await openPage(page, 'a', { from: '192.0.2.6' });
    expect([one.status, two.status, third.status]).toEqual([200, 200, 429]);
    const other = await openPage(page, 'b', { from: '192.0.2.5' });
    expect([other.status, (await openPage(page, 'c', { from: '192.0.2.5' })).status]).toEqual([200, 429]);
    one.cut();
    await eventually(() => process.live.size === 2);
    const again = await openPage(page, 'a', { from: '192.0.2.5' });
    expect(again.status).toBe(200);
    for (const open of [two, other, again]) open.cut();
    await eventually(() => process.live.size === 0);
  });
});

describe('whether somebody is there', () => {
  it('is asked of the database once in 15 s, however many views ask at once, for each channel of its own [CHAT-3]', async () => {
    const statements: string[] = [];
    const db = openDatabase(database.url, { onStatement: (text) => void statements.push(text) });
    const [one, two] = [await connectTalk(database.db), await connectTalk(database.db)];
    const asked = () => statements.filter((text) => text.includes('place_assignable')).length;
    const available = createAvailability(db, 300);
    const ask = (channelId: string) => Promise.all(Array.from({ length: 50 }, () => available(channelId)));
    expect(new Set(await ask(one.channelId))).toEqual(new Set([false]));
    expect(asked()).toBe(1);
    await makeUser(database.db, { availability: 'AVAILABLE' });
    expect(await available(two.channelId)).toBe(true);
    expect(asked()).toBe(2);
    await eventually(() => available(one.channelId));
    expect(asked()).toBe(3);
    expect(AVAILABLE_MS).toBe(15_000);
    await db.destroy();
  });
});

describe('a stream', () => {
  it('goes on for longer than a page has to begin its answer [CHAT-2]', async () => {
    const process = await open();
    const connected = await connectTalk(database.db);
    const ending = new AbortController();
    const info = { key: connected.key, address: '', name: '', enabled: true, settings: {} };
    const door = {
      plugin: talk,
      channel: { id: connected.channelId, key: connected.key, info },
      context: createPluginContext(info, { signal: ending.signal, sign: (text) => text, log: () => undefined }),
    };
    const response = await servePage(
      {
        keeper: { publicUrl: PUBLIC_URL, log: () => undefined, isLive: () => true, find: async () => door } as never,
        available: async () => true,
        rates: createRateLimits(database.db),
        clientAddress: createClientAddress([]),
        bodies: createBodies(),
        live: process.live,
        transcript: async () => 'no-conversation' as const,
        pageMs: 20,
      },
      new Request(`${PUBLIC_URL}/x`),
      { plugin: 'talk', channelKey: connected.key, pathAndQuery: `/pages/talk/${connected.key}/stream?v=patient` },
      undefined,
    );
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const began = Date.now();
    expect((await reader?.read())?.value).toContain('ready');
    await eventually(() => Date.now() - began > 100);
    await say(process.page(connected.key), 'patient', 'still there?');
    expect((await reader?.read())?.value).toContain('still there?');
    await reader?.cancel();
    await eventually(() => process.live.size === 0);
  });

  it('of a client that goes away ends at once, also where its plugin does not notice [CHAT-2]', async () => {
    const process = await open();
    const { key } = await connectTalk(database.db);
    for (const deaf of [false, true]) {
      const pages = await Promise.all(Array.from({ length: 20 }, (_, n) => openPage(process.page(key), `goes-${n}`, { deaf, from: `192.0.3.${n}` })));
      expect(process.live.size).toBe(20);
      for (const page of pages) page.cut();
      await eventually(() => process.live.size === 0);
    }
    expect(process.problems).toEqual([]);
  });

  it('ends when its process does, which waits for none of them [OPS-10]', async () => {
    const process = await openProcess(database.url);
    const { key } = await connectTalk(database.db);
    const pages = await Promise.all(Array.from({ length: 20 }, (_, n) => openPage(process.page(key), `left-${n}`, { from: `192.0.4.${n}` })));
    await eventually(() => pages.every(({ lines }) => lines.length > 0));
    await process.close();
    await Promise.all(pages.map(({ ended }) => ended));
    expect(process.problems).toEqual([]);
  });

  it('whose page takes nothing ends when too much waits; a page that then comes again goes on where it was [CHAT-2]', async () => {
    let ended = 0;
    const stream = createNewsStream(() => (ended += 1));
    for (let n = 0; n < LIMITS.liveBuffer; n += 1) stream.push({ type: 'closed' });
    expect(ended).toBe(0);
    stream.push({ type: 'closed' });
    stream.push({ type: 'closed' });
    expect(ended).toBe(1);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('costs no statement of its own: however many are open, a batch of events is asked about once [CHAT-2]', async () => {
    const process = await open();
    const { key } = await connectTalk(database.db);
    const pages = await Promise.all(Array.from({ length: 150 }, (_, n) => openPage(process.page(key), `many-${n % 50}`, { from: `192.0.5.${n}` })));
    await eventually(() => pages.every(({ lines }) => lines.length > 0));
    await say(process.page(key), 'many-0', 'first');
    await eventually(() => texts(pages[0]).length === 1);
    process.statements.length = 0;
    await say(process.page(key), 'many-1', 'second');
    const readers = pages.filter((_, n) => n % 50 === 1);
    await eventually(() => readers.every((page) => texts(page).length === 1));
    expect(process.statements.filter((text) => text.includes('with said as'))).toHaveLength(1);
    expect(pages.filter((page) => texts(page).includes('second'))).toEqual(readers);
    for (const page of pages) page.cut();
    await eventually(() => process.live.size === 0);
  });
});

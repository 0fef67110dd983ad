import type { PageNews } from '@trunkline/channel-sdk';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PING_MS } from '../stream.ts';
import { chat, readStream, type Chat, type StreamReader, type Visitor } from './support.ts';

afterEach(() => void vi.useRealTimers());

const idOf = (data: unknown): string => (typeof data === 'object' && data !== null && 'id' in data ? String(data.id) : '');

/** Reads until a message with this id came; what came, in order, pings left out. */
async function readTo(reader: StreamReader, id: string): Promise<string[]> {
  const ids: string[] = [];
  for (let event = await reader.next(); event !== undefined; event = await reader.next()) {
    if (event.type !== 'message') continue;
    expect(event.id).toBe(idOf(event.data));
    ids.push(idOf(event.data));
    if (event.id === id) return ids;
  }
  throw new Error(`the stream ended before ${id}`);
}

function sayMany(it: Chat, visitor: Visitor, count: number): string[] {
  return Array.from({ length: count }, (_, n) => it.say(visitor.identity, `message ${n}`, n % 2 === 0 ? 'visitor' : 'us').id);
}

describe('the stream', () => {
  it('says first whether somebody is there, then everything from before, then what happens [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    const before = sayMany(it, visitor, 250);
    const response = await visitor.stream();
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(response.headers.get('cache-control')).toContain('no-store');
    const reader = readStream(response);
    expect(await reader.next()).toEqual({ type: 'ready', id: undefined, data: { available: true } });
    expect(await readTo(reader, before.at(-1) ?? '')).toEqual(before);
    // Between what was and what comes.
    expect(await reader.next()).toEqual({ type: 'known', id: undefined, data: {} });
    const message = it.say(visitor.identity, 'line one\n<script>alert(1)</script>\r\ndata: none');
    expect(await reader.next()).toEqual({ type: 'message', id: message.id, data: message });
    it.tellPages(visitor.identity, { type: 'typing', author: 'Ada' });
    it.tellPages(visitor.identity, { type: 'joined', author: 'Ada' });
    it.tellPages(visitor.identity, { type: 'closed' });
    expect([await reader.next(), await reader.next(), await reader.next()]).toEqual([
      { type: 'typing', id: undefined, data: { author: 'Ada' } },
      { type: 'joined', id: undefined, data: { author: 'Ada' } },
      { type: 'closed', id: undefined, data: {} },
    ]);
    await reader.cut();
  });

  it('goes on after each message of a long history, with all that is missing and nothing else [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    const all = sayMany(it, visitor, 230);
    for (const [index, id] of all.entries()) {
      if (index === all.length - 1) break;
      const reader = readStream(await visitor.stream(id));
      expect(await readTo(reader, all.at(-1) ?? '')).toEqual(all.slice(index + 1));
      await reader.cut();
    }
    expect(it.listening()).toBe(0);
  });

  it('loses nothing and turns nothing round when it is cut 100 times while both sides write [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    const said: string[] = [];
    const seen: string[] = [];
    let cuts = 0;
    let random = 7;
    const below = (limit: number): number => ((random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0) >>> 16) % limit;
    const write = (count: number): void => void Array.from({ length: count }, () => said.push(it.say(visitor.identity, `${said.length}`).id));
    while (cuts < 100) {
      write(below(4));
      // Said while the page connects, before and while the history is read.
      const coming = visitor.stream(seen.at(-1));
      write(below(3));
      const reader = readStream(await coming);
      write(below(3));
      let toRead = 1 + below(16);
      while (toRead > 0 && seen.length < said.length) {
        const event = await reader.next();
        toRead -= 1;
        // A message may come twice; a page knows it by its id.
        if (event?.type === 'message' && !seen.includes(idOf(event.data))) seen.push(idOf(event.data));
        if (below(3) === 0) write(1);
      }
      await reader.cut();
      cuts += 1;
    }
    const last = readStream(await visitor.stream(seen.at(-1)));
    if (seen.length < said.length) seen.push(...(await readTo(last, said.at(-1) ?? '')));
    await last.cut();
    expect(seen).toEqual(said);
    expect(said.length).toBeGreaterThan(200);
    expect(it.listening()).toBe(0);
  });

  it('misses nothing that is said while the history is read, be it short or long [CHAT-2]', async () => {
    for (const length of [0, 3, 99, 100, 150]) {
      const it = chat();
      const visitor = await it.come();
      const before = sayMany(it, visitor, length);
      const coming = visitor.stream();
      // The history is as it was a moment before.
      const during = it.say(visitor.identity, 'now').id;
      const reader = readStream(await coming);
      const after = it.say(visitor.identity, 'then').id;
      expect([...new Set(await readTo(reader, after))], String(length)).toEqual([...before, during, after]);
      await reader.cut();
    }
  });

  it('tells all tabs of one visitor the same, and nobody else anything [CHAT-2]', async () => {
    const it = chat();
    const [ada, ben] = [await it.come(), await it.come()];
    const tabs = await Promise.all([ada.stream(), ada.stream(), ada.stream()]).then((responses) => responses.map(readStream));
    const other = readStream(await ben.stream());
    expect(it.listening()).toBe(4);
    for (const reader of [...tabs, other]) expect((await reader.next())?.type).toBe('ready');
    const ids = [it.say(ada.identity, 'one', 'visitor').id, it.say(ada.identity, 'two').id];
    for (const tab of tabs) expect(await readTo(tab, ids[1] ?? '')).toEqual(ids);
    // One tab goes, the others stay.
    await tabs[0]?.cut();
    expect(it.listening()).toBe(3);
    const third = it.say(ada.identity, 'three').id;
    for (const tab of tabs.slice(1)) expect(await readTo(tab, third)).toEqual([third]);
    const own = it.say(ben.identity, 'for Ben').id;
    expect(await readTo(other, own)).toEqual([own]);
    for (const reader of [...tabs.slice(1), other]) await reader.cut();
    expect(it.listening()).toBe(0);
  });

  it('ends when the engine ends it, and leaves nothing behind however it ends', async () => {
    const it = chat();
    const visitor = await it.come();
    // The engine stops.
    const one = readStream(await visitor.stream());
    it.endNews();
    while ((await one.next()) !== undefined);
    // The page goes before it has read a byte.
    await readStream(await visitor.stream()).cut();
    // The page goes in the middle of its history.
    sayMany(it, visitor, 300);
    const two = readStream(await visitor.stream());
    await two.next();
    await two.next();
    await two.cut();
    expect(it.listening()).toBe(0);
    // The engine no longer waits, before and after the answer has begun.
    const leaving = new AbortController();
    const three = readStream(await pageOf({ ...it, signal: leaving.signal }, visitor));
    expect(it.listening()).toBe(1);
    leaving.abort();
    while ((await three.next()) !== undefined);
    expect(it.listening()).toBe(0);
    const four = readStream(await pageOf({ ...it, signal: AbortSignal.abort() }, visitor));
    while ((await four.next()) !== undefined);
    expect(it.listening()).toBe(0);
  });

  it('ends news that stand still between two and look at no signal', async () => {
    const it = chat();
    const visitor = await it.come();
    let ended = false;
    const news = async function* (): AsyncGenerator<PageNews> {
      try {
        for (;;) yield { type: 'closed' };
      } finally {
        ended = true;
      }
    };
    const reader = readStream(await pageOf({ ...it, news }, visitor));
    expect([(await reader.next())?.type, (await reader.next())?.type, (await reader.next())?.type]).toEqual(['ready', 'known', 'closed']);
    expect(ended).toBe(false);
    await reader.cut();
    await expect.poll(() => ended, { timeout: 20_000 }).toBe(true);
  });

  it('is not begun where the history can not be read, and ends where it breaks off in the middle: the page comes again', async () => {
    const it = chat();
    const visitor = await it.come();
    sayMany(it, visitor, 150);
    it.away = true;
    await expect(visitor.stream()).rejects.toThrow('away');
    expect(it.listening()).toBe(0);
    it.away = false;
    const reader = readStream(await visitor.stream());
    it.away = true;
    let count = 0;
    for (let event = await reader.next(); event !== undefined; event = await reader.next()) count += 1;
    expect(count).toBe(101);
    expect(it.listening()).toBe(0);
    expect(it.lines).toEqual(['a chat stream broke off {"error":"Error"}']);
  });

  it('gives a sign of life every 15 s, and none once the page has gone', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const it = chat();
    const visitor = await it.come();
    const reader = readStream(await visitor.stream());
    expect([(await reader.next())?.type, (await reader.next())?.type]).toEqual(['ready', 'known']);
    for (let n = 0; n < 3; n += 1) {
      const next = reader.next();
      vi.advanceTimersByTime(PING_MS);
      expect((await next)?.type).toBe('ping');
    }
    expect(vi.getTimerCount()).toBe(1);
    await reader.cut();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits for a page that reads slowly, without keeping more than it takes', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const it = chat();
    const visitor = await it.come();
    sayMany(it, visitor, 1_000);
    const reader = readStream(await visitor.stream());
    await reader.next();
    const { reads } = it;
    vi.advanceTimersByTime(PING_MS * 1_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(it.reads).toBe(reads);
    let pings = 0;
    for (let n = 0; n < 5; n += 1) pings += (await reader.next())?.type === 'ping' ? 1 : 0;
    expect(pings).toBeLessThan(2);
    await reader.cut();
  });
});

/** As `visitor.stream()`, with another context. */
async function pageOf(it: Chat, visitor: Visitor): Promise<Response> {
  const { default: plugin } = await import('../index.ts');
  if (plugin.page === undefined) throw new Error('a chat has a page');
  return plugin.page(new Request(`${it.pageUrl}/stream`, { headers: { authorization: `Bearer ${visitor.token}` } }), it);
}

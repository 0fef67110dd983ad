import { afterAll, expect, test } from 'vitest';
import { cleanText } from '#activities/clean-text.ts';
import { checkEvents } from '#activities/inbound-schema.ts';
import { LIMITS } from '#activities/limits.ts';
import { createParsePool } from '#activities/parse-pool.ts';
import type { Delivery } from '../workflows/scripted-plugin.ts';

const configUrl = new URL('../workflows/scripted-config.ts', import.meta.url).href;
const pool = createParsePool(configUrl, () => new Uint8Array(32), { ...LIMITS, parseMs: 10_000, parseMegabytes: 32, parseThreads: 2 });
afterAll(() => pool.close());

const message: Delivery = { do: 'message', id: 'm', from: 'ada', text: 'hello' };
const parse = (channel: string, delivery: Delivery) =>
  pool.parse(
    'scripted',
    { key: channel, address: channel, name: 'Test', enabled: true, settings: { name: channel } },
    {
      method: 'TEST',
      url: 'test:',
      headers: {},
      body: Buffer.from(JSON.stringify(delivery)),
      receivedAt: '2026-01-01T00:00:00.000Z',
    },
  );

test('the limits are those of the rule [PLUG-11]', () => {
  expect(LIMITS).toMatchObject({ parseMs: 5_000, parseMegabytes: 256, deliveryTries: 3 });
});

test.each([
  ['loop', 'TimedOut'],
  ['crash', 'Crashed'],
  ['swell', 'TooMuchMemory'],
  ['throw', 'Unexpected'],
  ['wrong', 'Malformed'],
] as const)('a plugin that does "%s" fails its own delivery and nothing else [PLUG-11]', async (kind, code) => {
  const [bad, good] = await Promise.all([parse('sick', { do: kind }), parse('well', message)]);
  expect(bad).toMatchObject({ ok: false, code });
  expect(JSON.stringify(bad)).not.toContain('SECRET-TEXT');
  expect(good).toMatchObject({ ok: true });
  expect(await parse('sick', message)).toMatchObject({ ok: true });
});

test('buffers outside the heap count as memory too [PLUG-11]', async () => {
  const roomy = createParsePool(configUrl, () => new Uint8Array(32), { ...LIMITS, parseMegabytes: 64 });
  const info = { key: 'sick', address: 'a', name: 'Test', enabled: true, settings: { name: 'a' } };
  const raw = { method: 'TEST', url: 'test:', headers: {}, body: Buffer.from('{"do":"swell-outside"}'), receivedAt: '2026-01-01T00:00:00.000Z' };
  expect(await roomy.parse('scripted', info, raw)).toMatchObject({ ok: false, code: 'TooMuchMemory' });
  await roomy.close();
});

test('a thread is warm once its plugin is loaded, and one that never loads holds nobody up for long [PLUG-11]', async () => {
  const cold = createParsePool(configUrl, () => new Uint8Array(32), LIMITS);
  await cold.warm('scripted', 'warm');
  const info = { key: 'warm', address: 'a', name: 'Test', enabled: true, settings: { name: 'a' } };
  const raw = { method: 'TEST', url: 'test:', headers: {}, body: Buffer.from(JSON.stringify(message)), receivedAt: '2026-01-01T00:00:00.000Z' };
  expect(await cold.parse('scripted', info, raw)).toMatchObject({ ok: true });
  const nowhere = createParsePool(new URL('./there-is-no-such-config.ts', import.meta.url).href, () => new Uint8Array(32), LIMITS);
  await nowhere.warm('scripted', 'warm');
  expect(await nowhere.parse('scripted', info, raw)).toMatchObject({ ok: false, code: 'Crashed' });
  await Promise.all([cold.close(), nowhere.close()]);
  await cold.warm('scripted', 'warm');
});

test('HTML is made harmless in the thread that reads it [CH-7, PLUG-11]', async () => {
  expect(await parse('html', { ...message, html: '<p onclick="x">Hi</p><script>x</script>' })).toMatchObject({
    ok: true,
    safe: [{ html: '<p>Hi</p>', quoted: null }],
  });
  expect(await parse('html', message)).toMatchObject({ ok: true, safe: [] });
});

test('HTML that is slow to make harmless costs its message its looks and nothing else [CH-7, PLUG-11]', async () => {
  const hasty = createParsePool(configUrl, () => new Uint8Array(32), { ...LIMITS, sanitiseMs: 1 });
  const info = { key: 'slow', address: 'a', name: 'Test', enabled: true, settings: { name: 'a' } };
  const ask = (html: string) =>
    hasty.parse('scripted', info, {
      method: 'TEST',
      url: 'test:',
      headers: {},
      body: Buffer.from(JSON.stringify({ ...message, html })),
      receivedAt: '2026-01-01T00:00:00.000Z',
    });
  const slow = await ask('<'.repeat(1_900_000));
  expect(slow).toMatchObject({ ok: true, safe: [], events: [{ text: message.text }] });
  expect(await ask('<'.repeat(1_900_000))).toMatchObject({ ok: true, safe: [] });
  await hasty.close();
});

test('a text longer than any door takes is refused, and so are words that are none of authentication [PLUG-11]', () => {
  const event = (more: object) => ({
    type: 'message',
    dedupeKey: 'k',
    direction: 'inbound',
    providerMessageId: 'p',
    contact: null,
    participants: [],
    thread: { joins: [], keys: [] },
    text: 'x',
    attachments: [],
    ...more,
  });
  const where = (more: object) => {
    const checked = checkEvents([event(more)]);
    return 'where' in checked ? checked.where : null;
  };
  expect(where({ thread: { proven: ['token:a'], joins: [], keys: [] }, quoted: { text: 'q', html: '<p>' }, originalHtml: '<p>' })).toBeNull();
  expect(where({ authentication: { verdict: 'pass', by: 'direct', checks: { spf: 'pass', dkim: 'none' } } })).toBeNull();
  expect(where({ thread: { proven: Array.from({ length: LIMITS.threadKeys + 1 }, () => 'k'), joins: [], keys: [] } })).toBe('events.0.thread.proven');
  expect(where({ quoted: { html: 'no text' } })).toBe('events.0.quoted.text');
  expect(where({ originalHtml: 'x'.repeat(LIMITS.bodyCharacters + 1) })).toBe('events.0.originalHtml');
  expect(where({ authentication: { verdict: 'maybe', by: 'direct', checks: {} } })).toBe('events.0.authentication.verdict');
  const many = Object.fromEntries(Array.from({ length: LIMITS.authenticationChecks + 1 }, (_, n) => [`c${n}`, 'pass']));
  expect(where({ authentication: { verdict: 'pass', by: 'direct', checks: many } })).toBe('events.0.authentication.checks');
});

test('what would not fit into an index, or into a calendar, is refused by its bytes and its year, and told from what has another shape [PLUG-11]', () => {
  const typing = (value: string, more: object = {}) => ({ type: 'typing', dedupeKey: 'k', contact: { kind: 'scoped-id', value }, ...more });
  const at = (occurredAt: string) => checkEvents([typing('v', { occurredAt })]);
  const han = (bytes: number) => '\u6f22'.repeat(Math.floor(bytes / 3));
  expect(checkEvents([typing(han(LIMITS.keyBytes))])).toHaveProperty('events');
  expect(checkEvents([typing('v'), typing(han(LIMITS.keyBytes + 3))])).toEqual({ where: 'events.1.contact.value', oversized: [1] });
  expect(checkEvents([typing('v', { dedupeKey: han(LIMITS.keyBytes + 3) })])).toEqual({ where: 'events.0.dedupeKey', oversized: [0] });
  for (const far of ['-000044-03-15T00:00:00.000Z', '0000-12-31T23:59:59.999Z', '+010000-01-01T00:00:00.000Z'])
    expect(at(far)).toMatchObject({ oversized: [0] });
  expect(at('0001-01-01T00:00:00.000Z')).toHaveProperty('events');
  expect(at('soon')).toEqual({ where: 'events.0.occurredAt', oversized: [] });
  // Too long and of another shape as well: the plugin's fault.
  expect(checkEvents([typing(han(LIMITS.keyBytes + 3), { contact: { kind: 'none', value: han(LIMITS.keyBytes + 3) } })])).toMatchObject({ oversized: [] });
});

test('more channels than threads take turns', async () => {
  const results = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((channel) => parse(channel, message)));
  expect(results.every((result) => result.ok)).toBe(true);
});

test('what waits behind a delivery that ends its thread is asked again, in its order [PLUG-11]', async () => {
  const numbered = (id: string): Delivery => ({ do: 'message', id, from: 'ada', text: id });
  const all = await Promise.all([
    parse('behind', numbered('1')),
    parse('behind', { do: 'crash' }),
    ...['2', '3', '4'].map((id) => parse('behind', numbered(id))),
  ]);
  expect(all.map((one) => (one.ok ? one.events.map((event) => event.dedupeKey).join() : one.code))).toEqual(['1', 'Crashed', '2', '3', '4']);
});

test('what PostgreSQL can not keep is taken out of every text', () => {
  expect(cleanText({ text: 'a\0b', deep: [{ half: 'x\uD800y', gone: undefined }] })).toEqual({ text: 'ab', deep: [{ half: 'x\uFFFDy' }] });
});

test('a wrong event is named by its path, never by its value', () => {
  expect(checkEvents([{ type: 'typing', dedupeKey: 'k', contact: { kind: 'nonsense-ada@customer.example', value: 'v' } }])).toEqual({
    where: 'events.0.contact.kind',
    oversized: [],
  });
  expect(checkEvents('nothing')).toEqual({ where: 'events', oversized: [] });
  expect(
    checkEvents(Array.from({ length: LIMITS.eventsPerDelivery + 1 }, () => ({ type: 'typing', dedupeKey: 'k', contact: { kind: 'visitor', value: 'v' } }))),
  ).toEqual({ where: 'events', oversized: [] });
});

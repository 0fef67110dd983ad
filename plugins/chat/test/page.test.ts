import { existsSync, readFileSync } from 'node:fs';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import plugin from '../index.ts';
import { chat, json, ORIGIN, said, SITE, START, sign } from './support.ts';

const errorsOf = async (response: Response): Promise<unknown> => ((await response.json()) as { readonly errors: unknown }).errors;
const READ: ReadonlySet<string> = new Set(['/stream', '/here']);
const FRIDAY = { timeZone: 'UTC', periods: [{ day: 'friday', from: '03:00', to: '04:00' }] };

describe('config', () => {
  const configOf = async (it: ReturnType<typeof chat>) => (await it.ask('/config')).json();

  it('is what everybody may see, and nothing else [CHAT-1]', async () => {
    const it = chat({ replyChannel: 'email-7k3q9x', transcript: { from: 'email-7k3q9x' } });
    expect(await configOf(it)).toEqual({
      name: 'Acme',
      accent: '#1d4ed8',
      position: 'right',
      avatarUrl: null,
      greeting: 'Hello. How can we help?',
      enabled: true,
      available: true,
      awayMessage: 'We are not here at the moment. Leave us a message, and we will come back to you.',
      asksEmail: true,
      transcript: true,
      closedMessage: 'This chat is closed at the moment.',
    });
  });

  it('says whether somebody is there: always, by the clock, or by who is available [CHAT-3]', async () => {
    const always = chat();
    always.agents = false;
    expect(await configOf(always)).toMatchObject({ available: true });
    const hours = chat({ availability: 'hours', hours: FRIDAY });
    expect(await configOf(hours)).toMatchObject({ available: true });
    hours.clock = START + 3_600_000;
    expect(await configOf(hours)).toMatchObject({ available: false });
    const agents = chat({ availability: 'agents' });
    expect(await configOf(agents)).toMatchObject({ available: true });
    agents.agents = false;
    expect(await configOf(agents)).toMatchObject({ available: false });
  });

  it('of a channel that is off says so, and greets nobody [CH-9]', async () => {
    expect(await configOf(chat({}, { enabled: false }))).toMatchObject({ enabled: false, available: false, greeting: null });
  });
});

describe('a visitor', () => {
  it('is new each time one is asked for, and known again by the token [CHAT-2]', async () => {
    const it = chat();
    const [one, two] = [await it.come(), await it.come()];
    expect(one.token).toMatch(/^v1\.[a-z2-7]{26}\.[0-9a-z]{52}$/);
    expect(one.identity.value).not.toBe(two.identity.value);
    expect((await one.post('/typing', {})).status).toBe(204);
    expect(it.told).toEqual([one.identity]);
  });

  it('whose token is forged, of another channel, or none, is refused everywhere [CHAT-2]', async () => {
    const it = chat();
    const { token } = await it.come();
    const other = await it.come();
    const [version, id = '', signature = ''] = token.split('.');
    const flipped = `${signature.slice(0, -1)}${signature.endsWith('a') ? 'b' : 'a'}`;
    const elsewhere = await plugin.page?.(new Request(`${it.pageUrl}/visitor`, { method: 'POST' }), { ...it, sign: (text) => sign(`other ${text}`) });
    const foreign = ((await elsewhere?.json()) as { readonly token: string }).token;
    const forged = [
      '',
      'v1',
      `v1.${id}`,
      `v1.${id}.`,
      `v2.${id}.${signature}`,
      `${version}.${id}.${flipped}`,
      `${version}.${other.token.split('.')[1]}.${signature}`,
      `${version}.${id.toUpperCase()}.${signature}`,
      `${token}x`,
      ` ${token} ${token}`,
      `${version}.${id}.${sign(id)}`,
      foreign,
    ];
    for (const path of ['/stream', '/here', '/messages', '/read', '/typing', '/transcript']) {
      for (const one of forged) {
        const headers = { authorization: `Bearer ${one}` };
        const response = await it.ask(path, READ.has(path) ? { headers } : json(said(), headers));
        expect(response.status, `${path} ${one}`).toBe(401);
        expect(await response.json()).toMatchObject({ code: 'Unauthentic', errors: [{ field: null }] });
      }
      expect((await it.ask(path, { method: READ.has(path) ? 'GET' : 'POST' })).status, path).toBe(401);
    }
    expect([it.delivered, it.told, it.here, it.listening()]).toEqual([[], [], [], 0]);
  });
});

describe('a message', () => {
  it('is stored and answered once it is, the same at every try [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    const body = said({ text: 'It broke.' });
    const response = await visitor.post('/messages', body);
    expect([response.status, await response.json()]).toEqual([202, { id: body['id'] }]);
    expect(it.delivered).toHaveLength(1);
    // Nobody who reads the stored delivery can come as this visitor.
    expect(JSON.stringify(it.delivered[0]?.headers)).not.toContain(visitor.token);
    expect((await visitor.post('/messages', body)).status).toBe(202);
    const keys = await Promise.all([0, 1].map(async (index) => (await it.parsed(index))[0]?.dedupeKey));
    expect(new Set(keys).size).toBe(1);
    it.away = true;
    const unstored = await visitor.post('/messages', said());
    expect([unstored.status, unstored.headers.get('retry-after')]).toEqual([503, '5']);
    expect(it.lines.join('\n')).not.toContain('It broke');
  });

  it('that can not be taken is answered with each field that is wrong [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    const cases: readonly (readonly [unknown, readonly (string | null)[]])[] = [
      [said({ id: 'one' }), ['id']],
      [said({ text: '' }), ['text']],
      [said({ text: ' \u0000\n ' }), ['text']],
      [said({ text: 'x'.repeat(4_001) }), ['text']],
      [said({ text: 7 }), ['text']],
      [said({ email: 'ada@' }), ['email']],
      [said({ choice: {} }), ['choice']],
      [{ text: {}, email: [] }, ['id', 'text', 'email']],
      ['{', [null]],
      ['', [null]],
      ['null', [null]],
      ['[]', [null]],
    ];
    for (const [body, fields] of cases) {
      const response = await visitor.post('/messages', body);
      expect(response.status, JSON.stringify(body)).toBe(422);
      const errors = (await errorsOf(response)) as readonly { readonly field: unknown; readonly message: unknown }[];
      expect(errors.map(({ field }) => field)).toEqual(fields);
      for (const { message } of errors) expect(message).toMatch(/\w/);
    }
    expect(it.delivered).toEqual([]);
    expect((await visitor.post('/messages', said({ text: 'x'.repeat(4_000) }))).status).toBe(202);
    // What nobody typed does not keep a message out.
    expect((await visitor.post('/messages', said({ page: { url: 7 }, email: '', name: null }))).status).toBe(202);
  });

  it('is stored as what was understood of it, and nothing else that was sent', async () => {
    const it = chat();
    const visitor = await it.come();
    const junk = { extra: 'x'.repeat(500), html: '<p>', page: { ref: ' sale ', url: 'https://shop.acme.example/?reset=secret', title: 'Mine' } };
    const body = said({ text: ' It broke.\r\n', email: 'Ada@Example.COM', name: '', choice: null, ...junk });
    expect((await visitor.post('/messages', body)).status).toBe(202);
    expect((await visitor.post('/read', { through: '2026-01-02T03:04:04+00:00', ...junk })).status).toBe(204);
    const stored = it.delivered.map((raw): unknown => JSON.parse(Buffer.from(raw.body).toString()));
    expect(stored).toEqual([{ id: body['id'], text: 'It broke.', email: 'ada@example.com', page: { ref: 'sale' } }, { through: '2026-01-02T03:04:04.000Z' }]);
    expect(await it.parsed(0)).toMatchObject([{ text: 'It broke.', entryPoint: 'sale' }, { added: { value: 'ada@example.com' } }]);
  });

  it('that is larger than one can be is not read, nor is more than a time of what was read', async () => {
    const it = chat();
    const visitor = await it.come();
    for (const [path, body] of [
      ['/messages', said({ extra: 'x'.repeat(28 * 1024) })],
      ['/read', { through: '2026-01-02T03:04:04Z', extra: 'x'.repeat(1024) }],
    ] as const) {
      const response = await visitor.post(path, body, { origin: SITE });
      expect([response.status, response.headers.get('access-control-allow-origin')], path).toEqual([413, SITE]);
      expect(await response.json()).toMatchObject({ code: 'TooLarge' });
    }
    expect(it.delivered).toEqual([]);
    // The longest there is, each letter written as six bytes.
    const longest = JSON.stringify(said({ text: '\u00e9'.repeat(4_000), choice: 'c'.repeat(200) })).replaceAll('\u00e9', '\\u00e9');
    expect((await visitor.post('/messages', longest)).status).toBe(202);
  });

  it('to a channel that is off is taken in all the same [CH-9]', async () => {
    const it = chat({}, { enabled: false });
    expect((await (await it.come()).post('/messages', said())).status).toBe(202);
    expect(it.delivered).toHaveLength(1);
  });
});

describe('what else a page tells', () => {
  it('is up to when it was read [CHAT-2]', async () => {
    const it = chat();
    const visitor = await it.come();
    expect((await visitor.post('/read', { through: '2026-01-02T04:04:04+01:00' })).status).toBe(204);
    expect(await it.parsed()).toMatchObject([{ type: 'watermark', state: 'read', through: '2026-01-02T03:04:04.000Z', contact: visitor.identity }]);
    for (const through of [undefined, 7, '', 'soon', '2026-13-01T00:00:00Z', '2026-01-02'])
      expect((await visitor.post('/read', { through })).status, String(through)).toBe(422);
    expect(it.delivered).toHaveLength(1);
  });

  it('is that it lives: told, never stored [CHAT-6]', async () => {
    const it = chat();
    const visitor = await it.come();
    const response = await it.ask('/here', { headers: { authorization: `Bearer ${visitor.token}`, origin: SITE } });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([204, SITE]);
    expect([it.here, it.told, it.delivered]).toEqual([[visitor.identity], [], []]);
  });

  it('is that it wants what was said by mail [CHAT-4]', async () => {
    const it = chat();
    const visitor = await it.come();
    const ask = async () => {
      const response = await visitor.post('/transcript', '');
      return [response.status, ((await response.json()) as { readonly code?: string }).code];
    };
    expect(await ask()).toEqual([202, undefined]);
    it.mails = 'no-address';
    expect(await ask()).toEqual([409, 'NoAddress']);
    it.mails = 'no-conversation';
    expect(await ask()).toEqual([409, 'NoConversation']);
    it.mails = 'too-many';
    expect(await ask()).toEqual([429, 'TooMany']);
    const refused = await visitor.post('/transcript', '', { origin: SITE });
    expect([refused.headers.get('retry-after'), refused.headers.get('access-control-allow-origin')]).toEqual(['3600', SITE]);
    expect(refused.headers.get('access-control-expose-headers')).toContain('retry-after');
    const none = chat({ transcript: { onRequest: false } });
    expect((await (await none.come()).post('/transcript', {})).status).toBe(409);
    expect(await (await none.ask('/config')).json()).toMatchObject({ transcript: false });
  });
});

describe('other sites', () => {
  const from = (origin: string) => ({ headers: { origin } });

  it('may carry the widget, all of them unless some are named [CHAT-1]', async () => {
    const open = chat();
    const response = await open.ask('/config', from('https://anywhere.example'));
    expect(response.headers.get('access-control-allow-origin')).toBe('https://anywhere.example');
    expect(response.headers.get('access-control-allow-credentials')).toBeNull();
    expect(response.headers.get('vary')).toContain('origin');
    const named = chat({ allowedOrigins: [SITE] });
    for (const origin of [SITE, ORIGIN]) expect((await named.ask('/config', from(origin))).status, origin).toBe(200);
    for (const origin of ['https://evil.example', 'null', `${SITE}.evil.example`]) {
      const refused = await named.ask('/config', from(origin));
      expect([refused.status, refused.headers.get('access-control-allow-origin')], origin).toEqual([403, null]);
    }
    const visitor = await named.come();
    expect((await visitor.post('/messages', said(), { origin: 'https://evil.example' })).status).toBe(403);
    expect((await visitor.post('/messages', said(), { origin: SITE })).status).toBe(202);
    expect(named.delivered).toHaveLength(1);
  });

  it('are told beforehand what they may send', async () => {
    const it = chat({ allowedOrigins: [SITE] });
    for (const path of ['/config', '/visitor', '/stream', '/here', '/messages', '/read', '/typing', '/transcript']) {
      const answer = await it.ask(path, { method: 'OPTIONS', headers: { origin: SITE, 'access-control-request-method': 'POST' } });
      expect(answer.status, path).toBe(204);
      expect(answer.headers.get('access-control-allow-origin')).toBe(SITE);
      expect(answer.headers.get('access-control-allow-headers')).toBe('authorization, content-type, last-event-id');
      expect((await it.ask(path, { method: 'OPTIONS', headers: { origin: 'https://evil.example' } })).status, path).toBe(403);
    }
  });
});

describe('the addresses', () => {
  it('answer what is not there with 404 and another method with 405', async () => {
    const it = chat();
    for (const path of ['/nothing', '/config/', '/../../secret', '/constructor', '/__proto__', '/assets/widget.js'])
      expect((await it.ask(path)).status, path).toBe(404);
    for (const [path, method, allow] of [
      ['/config', 'POST', 'GET, HEAD, OPTIONS'],
      ['/messages', 'GET', 'POST, OPTIONS'],
      ['/stream', 'POST', 'GET, OPTIONS'],
      ['/here', 'POST', 'GET, OPTIONS'],
      // Nobody would read it, and so nobody end it.
      ['/stream', 'HEAD', 'GET, OPTIONS'],
      ['/widget.js', 'POST', 'GET, HEAD'],
      ['/', 'POST', 'GET, HEAD'],
    ] as const) {
      const response = await it.ask(path, { method });
      expect([response.status, response.headers.get('allow')], `${method} ${path}`).toEqual([405, allow]);
    }
  });

  it('have a page of their own with the widget alone, where nothing is inline and what an admin typed is text [CHAT-1]', async () => {
    const it = chat({ title: '<script>alert("x")</script>' });
    const bare = await it.ask('');
    expect([bare.status, bare.headers.get('location')]).toEqual([308, './chat-7k3q9x/']);
    const response = await it.ask('/');
    const html = await response.text();
    expect(html).toContain('<title>&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;</title>');
    expect(html.match(/<script[^>]*>/g)).toEqual(['<script async src="./widget.js">']);
    expect(html).not.toMatch(/<style|style="|\son\w+=/);
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain(`default-src 'none'; script-src ${ORIGIN}; connect-src ${ORIGIN};`);
    expect(policy).not.toContain('unsafe');
  });

  it('give the widget’s program as other sites may load it: compressed, and not again while it is the same [CHAT-1]', async () => {
    const it = chat();
    const file = new URL('../assets/widget.js', import.meta.url);
    const response = await it.ask('/widget.js');
    if (!existsSync(file)) {
      expect(response.status).toBe(404);
      return;
    }
    const text = readFileSync(file, 'utf8');
    expect(await response.text()).toBe(text);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=300',
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
      vary: 'accept-encoding',
    });
    const asked = async (encoding: string) => it.ask('/widget.js', { headers: { 'accept-encoding': encoding } });
    const [brotli, gzip, none] = [await asked('gzip, deflate, br'), await asked('gzip;q=0.5'), await asked('br;q=0')];
    expect([brotli, gzip, none].map(({ headers }) => headers.get('content-encoding'))).toEqual(['br', 'gzip', null]);
    expect(brotliDecompressSync(await brotli.arrayBuffer()).toString()).toBe(text);
    expect(gunzipSync(await gzip.arrayBuffer()).toString()).toBe(text);
    const etag = response.headers.get('etag') ?? '';
    expect((await it.ask('/widget.js', { headers: { 'if-none-match': etag } })).status).toBe(304);
  });
});

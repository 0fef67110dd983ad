import { createHmac } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  afterAnswer,
  afterFailure,
  WEBHOOK_LIMITS,
  WEBHOOK_TRIES,
  webhookBackOffSeconds,
  webhookBody,
  webhookHeaders,
  webhookUrlProblem,
} from '#domain/webhook.ts';
import { read } from '../structure/source.ts';

const hmac = (key: string, text: string) => createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');

describe('the signature', () => {
  // The example that libraries of Standard Webhooks are tested with.
  const call = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', seconds: 1_614_265_330, body: '{"test": 2432232314}' };
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

  it('is that of Standard Webhooks [SLA-12]', () => {
    expect(webhookHeaders(call, [secret], hmac)).toEqual({
      'webhook-id': call.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('stands once for each secret, with a space between [SLA-12]', () => {
    const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const signatures = webhookHeaders(call, [other, secret], hmac)['webhook-signature']?.split(' ');
    expect(signatures).toHaveLength(2);
    expect(signatures?.[1]).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
    expect(signatures?.[0]).not.toBe(signatures?.[1]);
  });

  it('is another for another id, moment or body [SLA-12]', () => {
    const of = (changed: object) => webhookHeaders({ ...call, ...changed }, [secret], hmac)['webhook-signature'];
    expect(new Set([of({}), of({ id: 'msg_other' }), of({ seconds: 1 }), of({ body: '{}' })]).size).toBe(4);
  });
});

it('a body has type, moment and data, and the type is not said twice [SLA-12]', () => {
  expect(JSON.parse(webhookBody({ type: 'sla.overdue', ticket: 7, open: true }, '2026-01-02T03:04:05.000Z'))).toEqual({
    type: 'sla.overdue',
    timestamp: '2026-01-02T03:04:05.000Z',
    data: { ticket: 7, open: true },
  });
});

it('is tried again after 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, 6 h and 12 h, and then no more [SLA-12]', () => {
  const waits = Array.from({ length: WEBHOOK_TRIES }, (_, index) => webhookBackOffSeconds(index + 1));
  expect(waits).toEqual([5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200, null]);
  expect(afterFailure('TIME_OUT', 3)).toEqual({ kind: 'later', seconds: 120, failure: 'TIME_OUT' });
  expect(afterFailure('TIME_OUT', WEBHOOK_TRIES)).toEqual({ kind: 'failed', failure: 'TIME_OUT' });
});

it('2xx is a yes, 410 the end, all else is tried again [SLA-12]', () => {
  for (const status of [200, 201, 202, 204, 299]) expect(afterAnswer(status, 1)).toEqual({ kind: 'sent' });
  expect(afterAnswer(410, 1)).toEqual({ kind: 'failed', failure: 'HTTP_410' });
  for (const status of [199, 300, 302, 307, 400, 401, 404, 429, 500, 503]) {
    expect(afterAnswer(status, 1)).toEqual({ kind: 'later', seconds: 5, failure: `HTTP_${status}` });
    expect(afterAnswer(status, WEBHOOK_TRIES)).toEqual({ kind: 'failed', failure: `HTTP_${status}` });
  }
});

describe('an address', () => {
  it.each([
    'https://hooks.acme.example/sla?key=1',
    'https://127.0.0.1/',
    'http://localhost:8080/x',
    'http://127.0.0.1:9/',
    'http://127.8.9.10/',
    'http://[::1]:80/',
    'http://0x7f.1/',
  ])('may be %s [SLA-12]', (url) => {
    expect(webhookUrlProblem(url)).toBeNull();
  });

  it.each([
    'http://hooks.acme.example/',
    'http://localhost.acme.example/',
    'http://127.0.0.1.acme.example/',
    'http://10.0.0.1/',
    'ftp://acme.example/',
    'javascript:alert(1)',
    'acme.example/x',
    '',
    'https://user@acme.example/',
    'https://user:word@acme.example/',
    'https://acme.example/#part',
    `https://acme.example/${'x'.repeat(WEBHOOK_LIMITS.urlCharacters)}`,
  ])('may not be %s, and what is wrong is said without repeating it [SLA-12]', (url) => {
    const problem = webhookUrlProblem(url);
    expect(problem).toEqual(expect.any(String));
    expect(problem).not.toContain('acme');
  });
});

describe('what the guide gives to receivers', () => {
  const folder = fileURLToPath(new URL(`../../.trunkline/webhook-guide-${process.pid}/`, import.meta.url));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('takes what we sign, and nothing that was changed, signed by others or is old [SLA-12]', async () => {
    const [, code = ''] = /^```js\n([\s\S]*?)^```/m.exec(read('docs/guides/webhooks.md')) ?? [];
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}check.mjs`, code);
    const { isGenuine } = (await import(/* @vite-ignore */ `${folder}check.mjs`)) as { isGenuine(headers: object, body: string, secret: string): boolean };
    const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
    const other = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
    const body = webhookBody({ type: 'test' }, '2026-01-02T03:04:05.000Z');
    const seconds = Math.floor(Date.now() / 1000);
    const headers = webhookHeaders({ id: 'one', seconds, body }, [secret], hmac);
    expect(isGenuine(headers, body, secret)).toBe(true);
    expect(isGenuine(webhookHeaders({ id: 'one', seconds, body }, [other, secret], hmac), body, secret)).toBe(true);
    expect(isGenuine(headers, body, other)).toBe(false);
    expect(isGenuine(headers, `${body} `, secret)).toBe(false);
    expect(isGenuine({ ...headers, 'webhook-id': 'two' }, body, secret)).toBe(false);
    expect(isGenuine(webhookHeaders({ id: 'one', seconds: seconds - 301, body }, [secret], hmac), body, secret)).toBe(false);
  });
});

import type { PageContext, RawDelivery } from '@trunkline/channel-sdk';
import { describeConformance, SAMPLE_NOW, type ConformanceSamples } from '@trunkline/channel-sdk/testing';
import { describe, test } from 'vitest';
import plugin from '../index.ts';
import { KEPT } from '../kept.ts';
import { issueToken } from '../token.ts';
import { json, typed } from './support.ts';

const uuid = (kind: string, n: number): string => `0198c0de-${kind}-4000-8000-${String(n).padStart(12, '0')}`;
/** Letters and the digits 2 to 7, as ids of visitors are. */
const visitorOf = (n: number): string => `visitor${n.toString(6).replaceAll(/\d/g, (digit) => String(Number(digit) + 2))}`.padEnd(26, 'a');
const identityOf = (n: number) => ({ kind: 'visitor' as const, value: visitorOf(n) });

/** As the page stores it, once it has checked the token. */
function stored(n: number, what: 'message' | 'read', body: unknown): RawDelivery {
  return {
    method: 'POST',
    url: `https://help.acme.example/pages/chat/sample-1/${what === 'message' ? 'messages' : 'read'}`,
    headers: { 'content-type': 'application/json', [KEPT.visitor]: visitorOf(n), [KEPT.what]: what },
    body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body)),
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

const bare = (n: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({ id: uuid('0001', n), text: `Hello ${n}`, ...more });

const posted = (url: string, path: string, body: unknown, { sign }: Pick<PageContext<unknown>, 'sign'>): Request =>
  new Request(`${url}${path}`, json(body, { authorization: `Bearer ${issueToken(sign)}` }));

const samples: ConformanceSamples = {
  settings: {
    valid: typed({
      availability: 'hours',
      hours: { timeZone: 'Europe/Berlin', periods: [{ day: 'monday', from: '09:00', to: '17:00' }] },
      avatar: 'https://acme.example/avatar.png',
      allowedOrigins: ['https://acme.example'],
      replyChannel: 'email-7k3q9x',
      transcript: { onClose: true, from: 'email-7k3q9x' },
    }),
    second: typed({ title: 'Acme in the shop' }),
    invalid: [
      { name: 'without a title', settings: typed({ title: ' ' }), path: 'title' },
      { name: 'with a colour that is none', settings: typed({ accent: 'blue' }), path: 'accent' },
      { name: 'with hours that are needed and not there', settings: typed({ availability: 'hours' }), path: 'hours' },
      {
        name: 'with a time that is none',
        settings: typed({ hours: { timeZone: 'UTC', periods: [{ day: 'monday', from: '9', to: '10:00' }] } }),
        path: 'hours.periods.0.from',
      },
    ],
  },
  deliveries: [
    {
      name: 'a message',
      raw: (n) => stored(n, 'message', bare(n)),
      gives: (n) => [{ type: 'message', direction: 'inbound', providerMessageId: uuid('0001', n), contact: identityOf(n), text: `Hello ${n}` }],
    },
    {
      name: 'a message with an address, a name and a choice',
      raw: (n) => stored(n, 'message', { ...bare(n), id: uuid('0002', n), email: 'Ada@Example.COM', name: 'Ada', choice: 'talk-to-a-person' }),
      gives: (n) => [
        { type: 'message', choice: 'talk-to-a-person', contact: { ...identityOf(n), name: 'Ada' } },
        { type: 'identity-added', contact: identityOf(n), added: { kind: 'email-address', value: 'ada@example.com' } },
      ],
    },
    {
      name: 'up to when the visitor has read',
      raw: (n) => stored(n, 'read', { through: '2026-01-02T03:00:00.000Z' }),
      gives: (n) => [{ type: 'watermark', state: 'read', contact: identityOf(n), through: '2026-01-02T03:00:00.000Z' }],
    },
  ],
  unknownFields: () => stored(0, 'message', bare(0, { mood: { good: [true] }, page: { url: 'https://acme.example/', screen: 7 } })),
  missingFields: [
    { name: 'no text', raw: () => stored(1, 'message', { id: uuid('0001', 1) }), gives: 'Malformed' },
    { name: 'no id', raw: () => stored(1, 'message', { text: 'Hello' }), gives: 'Malformed' },
    { name: 'no body', raw: () => stored(1, 'message', ''), gives: 'Malformed' },
    { name: 'no page', raw: () => stored(1, 'message', bare(1, { page: null })), gives: [{ type: 'message', text: 'Hello 1' }] },
  ],
  outbound: {
    message: (n) => ({
      id: uuid('0003', n),
      kind: 'reply',
      to: identityOf(n),
      cc: [],
      subject: null,
      text: `An answer to number ${n}`,
      html: null,
      author: null,
      sender: 'person',
      precedingIds: [uuid('0001', n)],
      inReplyTo: uuid('0001', n),
      attachments: [],
    }),
    echoes: false,
    choice: (choice, n) => stored(n, 'message', { ...bare(n), id: uuid('0004', n), choice }),
  },
  page: {
    paths: ['/', '/config', '/visitor', '/stream', '/here', '/messages', '/typing', '/read', '/transcript', '/widget.js'],
    visits: [
      { name: 'sees it', request: (url) => new Request(`${url}/config`), status: 200, delivers: false },
      { name: 'comes', request: (url) => new Request(`${url}/visitor`, { method: 'POST' }), status: 201, delivers: false },
      { name: 'writes', request: (url, context) => posted(url, '/messages', bare(0), context), status: 202, delivers: true },
      { name: 'writes nothing', request: (url, context) => posted(url, '/messages', bare(0, { text: '' }), context), status: 422, delivers: false },
      { name: 'writes as nobody', request: (url) => new Request(`${url}/messages`, json(bare(0))), status: 401, delivers: false },
      { name: 'reads', request: (url, context) => posted(url, '/read', { through: '2026-01-02T03:00:00Z' }, context), status: 204, delivers: true },
      { name: 'has written nothing that could be mailed', request: (url, context) => posted(url, '/transcript', {}, context), status: 409, delivers: false },
    ],
    live: {
      async visit(ask, pageUrl) {
        const { token } = (await (await ask(new Request(`${pageUrl}/visitor`, { method: 'POST' }))).json()) as { readonly token: string };
        const [version, id = '', signature = ''] = token.split('.');
        const headers = { authorization: `Bearer ${token}` };
        return {
          visitor: { kind: 'visitor', value: id },
          stream: (after) => new Request(`${pageUrl}/stream`, { headers: after === undefined ? headers : { ...headers, 'last-event-id': after } }),
          write: (text, n) => new Request(`${pageUrl}/messages`, json({ id: uuid('0005', n), text }, headers)),
          here: () => new Request(`${pageUrl}/here`, { headers }),
          typing: () => new Request(`${pageUrl}/typing`, json({}, headers)),
          forged: () =>
            [`${version}.${visitorOf(1)}.${signature}`, `${version}.${id}.${signature.slice(1)}`, `${version}.${id}`, ''].flatMap((one) => [
              new Request(`${pageUrl}/stream`, { headers: { authorization: `Bearer ${one}` } }),
              new Request(`${pageUrl}/messages`, json(bare(0), { authorization: `Bearer ${one}` })),
            ]),
        };
      },
    },
  },
};

describeConformance({ describe, test }, plugin, samples);

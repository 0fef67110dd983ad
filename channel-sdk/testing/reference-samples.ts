import { createHmac } from 'node:crypto';
import type { RawDelivery } from '../index.ts';
import { SAMPLE_NOW } from './bench.ts';
import { SIGNATURE } from './reference.ts';
import { createReferenceProvider } from './reference-provider.ts';
import { isRecord, type ConformanceSamples } from './samples.ts';

const encoder = new TextEncoder();
/** Bytes that no text survives as. */
const FILE = Uint8Array.of(0x00, 0xff, 0x0d, 0x0a, 0x80, 0x1a);
const MINUTE = 60_000;

/** Settings as an admin types them. */
const typed = { account: 'Acme', provider: 'https://provider.example', appSecret: 'correct horse', token: 'battery staple' };
const second = { ...typed, account: 'Bolt', appSecret: 'another horse', token: 'another staple' };

function raw(...events: readonly unknown[]): RawDelivery {
  return rawOf({ events });
}

function rawOf(body: unknown): RawDelivery {
  return {
    method: 'POST',
    url: 'https://help.acme.example/webhooks/reference/sample-1',
    headers: { 'content-type': 'application/json' },
    body: encoder.encode(JSON.stringify(body)),
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

const said = (n: number) => ({ kind: 'message', id: `in-${n}`, from: `contact-${n}`, text: `Hello, number ${n}` });

/** The reference channel's samples: an example of all there are. */
export const referenceSamples: ConformanceSamples = {
  settings: {
    valid: typed,
    second,
    invalid: [
      { name: 'without an account', settings: { ...typed, account: ' ' }, path: 'account' },
      { name: 'with a secret that is too short', settings: { ...typed, appSecret: 'short' }, path: 'appSecret' },
      { name: 'with an address that is none', settings: { ...typed, provider: 'nowhere' }, path: 'provider' },
    ],
  },
  deliveries: [
    {
      name: 'a message',
      raw: (n) => raw(said(n)),
      gives: (n) => [{ type: 'message', direction: 'inbound', providerMessageId: `in-${n}`, contact: { value: `contact-${n}` }, text: `Hello, number ${n}` }],
    },
    {
      name: 'a message with a file',
      raw: (n) => raw({ ...said(n), id: `file-${n}`, files: ['file-1'] }),
      gives: (n) => [{ type: 'message', providerMessageId: `file-${n}`, attachments: [{ ref: 'file-1', type: 'text/plain' }] }],
      files: () => [FILE],
    },
    {
      name: 'what became of a message',
      raw: (n) => raw(...['delivered', 'read', 'failed'].map((state) => ({ kind: 'receipt', of: `out-${n}`, state }))),
      gives: (n) => ['delivered', 'read', 'failed'].map((state) => ({ type: 'receipt', providerMessageId: `out-${n}`, state })),
    },
    {
      name: "what was sent from the provider's own app",
      raw: (n) => raw({ kind: 'echo', id: `app-${n}`, from: `contact-${n}`, text: 'From the app' }),
      gives: (n) => [{ type: 'message', direction: 'echo', providerMessageId: `app-${n}` }],
    },
    {
      name: 'that a contact is writing',
      raw: (n) => raw({ kind: 'typing', id: `typing-${n}`, from: `contact-${n}` }),
      gives: (n) => [{ type: 'typing', contact: { value: `contact-${n}` } }],
    },
    {
      name: 'how far a contact has read',
      raw: (n) => raw({ kind: 'seen', from: `contact-${n}`, through: new Date(SAMPLE_NOW - MINUTE).toISOString() }),
      gives: (n) => [{ type: 'watermark', contact: { value: `contact-${n}` }, state: 'read', through: new Date(SAMPLE_NOW - MINUTE).toISOString() }],
    },
    ...[true, false].map((given) => ({
      name: given ? 'a yes to being stored' : 'a no to being stored',
      raw: (n: number) => raw({ kind: given ? 'agreed' : 'declined', id: `${given ? 'yes' : 'no'}-${n}`, from: `contact-${n}` }),
      gives: (n: number) => [{ type: 'consent', contact: { value: `contact-${n}` }, purpose: 'processing', given }],
    })),
    {
      name: 'another id of a contact',
      raw: (n) => raw({ kind: 'moved', from: `contact-${n}`, now: `contact-${n}-b` }),
      gives: (n) => [{ type: 'identity-changed', old: { value: `contact-${n}` }, new: { value: `contact-${n}-b` } }],
    },
    {
      name: 'that the account is gone',
      raw: (n) => raw({ kind: 'revoked', id: `revoked-${n}` }, { kind: 'missed', id: `missed-${n}` }),
      gives: () => [
        { type: 'health', health: 'DISCONNECTED', reason: 'token revoked' },
        { type: 'catch-up', why: 'gap' },
      ],
    },
  ],
  unknownFields: () =>
    rawOf({
      events: [
        { ...said(0), mood: { good: [true] } },
        { kind: 'wink', id: 'wink-1' },
      ],
      version: 9,
    }),
  missingFields: [
    { name: 'no events', raw: () => rawOf({}), gives: 'Malformed' },
    { name: 'no sender', raw: () => raw({ ...said(0), from: undefined }), gives: 'Malformed' },
    { name: 'no text', raw: () => raw({ ...said(0), text: undefined }), gives: [{ type: 'message', text: '' }] },
  ],
  batch: (count) => raw(...Array.from({ length: count }, (_, n) => said(n))),
  webhook: {
    sign(delivery, { settings }) {
      const secret = isRecord(settings) ? String(settings['appSecret']) : '';
      return { ...delivery, headers: { ...delivery.headers, [SIGNATURE]: createHmac('sha256', secret).update(delivery.body).digest('hex') } };
    },
    handshakes: [
      {
        name: 'the challenge',
        raw: () => ({ ...raw(), method: 'GET', url: 'https://help.acme.example/webhooks/reference/sample-1?challenge=4711', body: new Uint8Array() }),
        answer: { status: 200, body: '4711' },
      },
    ],
  },
  outbound: {
    provider(which) {
      const provider = createReferenceProvider(said, new Map([['file-1', FILE]]));
      return {
        ...provider,
        settings: which === 'valid' ? typed : second,
        echo() {
          const last = provider.messages.at(-1);
          if (last === undefined) throw new Error('nothing was sent yet');
          return raw({ kind: 'echo', id: last.id, from: last.to, text: last.text, ours: last.ours });
        },
      };
    },
    message: (n) => ({
      id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
      kind: 'reply',
      to: { kind: 'scoped-id', value: `contact-${n}` },
      cc: [],
      subject: null,
      text: `An answer to number ${n}`,
      html: null,
      author: null,
      sender: 'person',
      precedingIds: [`in-${n}`],
      inReplyTo: `in-${n}`,
      lastInboundAt: new Date(SAMPLE_NOW - MINUTE).toISOString(),
      attachments: [],
    }),
    template: { name: 'still-there', language: 'en', parameters: ['Ada'] },
    choice: (choice, n) => raw({ ...said(n), id: `choice-${n}`, text: 'That one', choice }),
    echoes: true,
    answer: ({ keys }) => raw({ ...said(7), thread: keys[0] }),
  },
  page: {
    paths: ['/'],
    visits: [
      { name: 'looks at it', request: (url) => new Request(`${url}/`), status: 200, delivers: false },
      { name: 'writes', request: (url) => new Request(`${url}/`, { method: 'POST', body: '{"text":"Hello"}' }), status: 202, delivers: true },
    ],
  },
};

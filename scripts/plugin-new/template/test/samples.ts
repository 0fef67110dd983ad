import type { RawDelivery } from '@trunkline/channel-sdk';
import { SAMPLE_NOW, type ConformanceSamples } from '@trunkline/channel-sdk/testing';
import { SIGNATURE, signatureOf } from '../verify.ts';
import { createProvider } from './provider.ts';

/** Settings as an admin types them. */
const valid = { account: 'acme', apiUrl: 'https://provider.example', signingSecret: 'a secret for samples', apiToken: 'a token for samples' };
const second = { ...valid, account: 'bolt', signingSecret: 'another secret for samples', apiToken: 'another token' };

const said = (n: number) => ({ type: 'message', id: `in-${n}`, from: `person-${n}`, text: `Hello, number ${n}` });

/** What is known of the provider: the suite tries the plugin with it, and stored deliveries made into fixtures are signed with it (`npm run plugin:sample`). */
export const samples: ConformanceSamples = {
  settings: {
    valid,
    second,
    invalid: [
      { name: 'without an account', settings: { ...valid, account: ' ' }, path: 'account' },
      { name: 'with an address that is none', settings: { ...valid, apiUrl: 'nowhere' }, path: 'apiUrl' },
      { name: 'with a secret that is too short', settings: { ...valid, signingSecret: 'short' }, path: 'signingSecret' },
      { name: 'with a field nobody knows', settings: { ...valid, colour: 'red' }, path: 'colour' },
    ],
  },
  deliveries: [
    {
      name: 'a message',
      raw: (n) => raw([said(n)]),
      gives: (n) => [{ type: 'message', direction: 'inbound', providerMessageId: `in-${n}`, contact: { value: `person-${n}` }, text: `Hello, number ${n}` }],
    },
    {
      name: 'what the same person says next',
      raw: (n) => raw([{ ...said(n), id: `next-${n}`, text: 'Anybody there?' }]),
      gives: (n) => [{ type: 'message', providerMessageId: `next-${n}`, contact: { value: `person-${n}` } }],
    },
    {
      name: 'what became of a message of ours',
      raw: (n) => raw(['delivered', 'failed'].map((type) => ({ type, id: `out-${n}` }))),
      gives: (n) => ['delivered', 'failed'].map((state) => ({ type: 'receipt', providerMessageId: `out-${n}`, state })),
    },
  ],
  unknownFields: () => raw([{ ...said(0), mood: 'good' }, { type: 'new next year' }]),
  missingFields: [
    { name: 'no sender', raw: () => raw([{ ...said(0), from: undefined }]), gives: 'Malformed' },
    { name: 'no events', raw: () => raw(undefined), gives: 'Malformed' },
  ],
  batch: (count) => raw(Array.from({ length: count }, (_, n) => said(n))),
  webhook: {
    sign(delivery, { settings }) {
      const secret = typeof settings === 'object' && settings !== null && 'signingSecret' in settings ? String(settings.signingSecret) : '';
      return { ...delivery, headers: { ...delivery.headers, [SIGNATURE]: signatureOf(delivery.body, secret) } };
    },
    // Where the provider asks once whether the address is ours, say so here and answer in verify.ts.
    handshakes: [],
  },
  outbound: {
    provider: (which) => createProvider(which === 'valid' ? valid : second),
    message: (n) => ({
      id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
      kind: 'reply',
      to: { kind: 'scoped-id', value: `person-${n}` },
      cc: [],
      subject: null,
      text: `An answer to number ${n}`,
      html: null,
      author: null,
      sender: 'person',
      precedingIds: [`in-${n}`],
      inReplyTo: `in-${n}`,
      lastInboundAt: new Date(SAMPLE_NOW - 60_000).toISOString(),
      attachments: [],
    }),
    echoes: false,
  },
};

function raw(events: unknown): RawDelivery {
  return {
    method: 'POST',
    url: 'https://help.example/hooks/new-channel/sample-1',
    headers: { 'content-type': 'application/json' },
    body: new TextEncoder().encode(JSON.stringify({ events })),
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

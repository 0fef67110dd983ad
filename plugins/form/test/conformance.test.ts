import type { ChannelInfo, RawDelivery } from '@trunkline/channel-sdk';
import { describeConformance, SAMPLE_NOW, type ConformanceSamples } from '@trunkline/channel-sdk/testing';
import { describe, test } from 'vitest';
import { definitionOf, KEPT } from '../definition.ts';
import plugin from '../index.ts';
import { settingsSchema } from '../settings.ts';
import { GOOD, json, typed } from './support.ts';

const BOUNDARY = 'a-boundary';
const PHOTO = Uint8Array.of(0x89, 0x50, 0x00, 0xff, 0x0d, 0x0a, 0x1a);

/** A submission as the page keeps it. */
function stored(n: number | string, { settings }: ChannelInfo<unknown>, contentType: string, body: Uint8Array): RawDelivery {
  return {
    method: 'POST',
    url: 'https://help.acme.example/pages/form/sample-1',
    headers: { 'content-type': contentType, [KEPT.definition]: JSON.stringify(definitionOf(settingsSchema.parse(settings))), [KEPT.id]: `submission-${n}` },
    body,
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

const inJson = (n: number | string, channel: ChannelInfo<unknown>, body: unknown) => stored(n, channel, 'application/json', Buffer.from(JSON.stringify(body)));

function withPhoto(n: number): Uint8Array {
  const fields = Object.entries({ ...GOOD, name: `Photo ${n}` }).map(
    ([name, value]) => `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const photo = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="photos"; filename="lamp.png"\r\ncontent-type: image/png\r\n\r\n`;
  return Buffer.concat([Buffer.from(fields.join('') + photo), PHOTO, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}

const samples: ConformanceSamples = {
  settings: {
    valid: typed(),
    second: typed({ title: 'Return a lamp' }),
    invalid: [
      { name: 'without a title', settings: typed({ title: ' ' }), path: 'title' },
      { name: 'with a colour that is none', settings: typed({ accent: 'blue' }), path: 'accent' },
      { name: 'with a site that is none', settings: typed({ allowedOrigins: ['https://acme.example/contact'] }), path: 'allowedOrigins.0' },
    ],
  },
  deliveries: [
    {
      name: 'a submission in JSON',
      raw: (n, channel) => inJson(n, channel, { ...GOOD, name: `The lamp ${n}` }),
      gives: (n) => [{ type: 'message', direction: 'inbound', subject: `The lamp ${n}`, contact: { kind: 'email-address', value: 'ada@example.com' } }],
    },
    {
      name: 'a submission with a photo',
      raw: (n, channel) => stored(`photo-${n}`, channel, `multipart/form-data; boundary=${BOUNDARY}`, withPhoto(n)),
      gives: (n) => [{ type: 'message', subject: `Photo ${n}`, attachments: [{ fileName: 'lamp.png', type: 'image/png', bytes: PHOTO.length }] }],
      files: () => [PHOTO],
    },
  ],
  unknownFields: (channel) => inJson(0, channel, { ...GOOD, name: 'The lamp 0', mood: { good: [true] }, extra: 'x' }),
  missingFields: [
    {
      name: 'no address',
      raw: (channel) => inJson(1, channel, { ...GOOD, email: undefined }),
      gives: [{ type: 'message', contact: null, subject: 'The lamp' }],
    },
    { name: 'no answers at all', raw: (channel) => inJson(1, channel, {}), gives: [{ type: 'message', contact: null, subject: 'Contact Acme' }] },
    { name: 'no body', raw: (channel) => stored(1, channel, 'application/json', new Uint8Array()), gives: 'Malformed' },
  ],
  page: {
    paths: ['/', '/submissions', '/thanks', '/form.css'],
    visits: [
      { name: 'opens it', request: (url) => new Request(`${url}/`), status: 200, delivers: false },
      { name: 'sends it as JSON', request: (url) => new Request(`${url}/submissions`, json(GOOD)), status: 201, delivers: true },
      {
        name: 'sends it without what is needed',
        request: (url) => new Request(`${url}/submissions`, json({ ...GOOD, email: '' })),
        status: 422,
        delivers: false,
      },
    ],
  },
};

describeConformance({ describe, test }, plugin, samples);

import nodemailer from 'nodemailer';
import type { RawDelivery } from '@trunkline/channel-sdk';
import { describeConformance, type ConformanceSamples } from '@trunkline/channel-sdk/testing';
import { describe, test } from 'vitest';
import plugin from '../index.ts';
import { smtpStandIn } from './smtp-stand-in.ts';
import { delivery, fixture, person, reply, typedSettings } from './support.ts';

const PICTURE = Uint8Array.of(0x89, 0x50, 0x00, 0xff, 0x0d, 0x0a, 0x1a);

/** As an admin types them, with a login. */
const first = (port = 2525) => ({ ...typedSettings(port), smtp: { host: '127.0.0.1', port, secure: 'none', username: 'ada' }, smtpPassword: 'correct horse' });
const second = (port = 2525) => ({ ...first(port), address: 'sales@acme.example', smtpPassword: 'another horse' });

const plain = (n: number) => fixture('plain').replace('<lamp-1@', `<lamp-${n}@`);
const bounce = (n: number) => fixture('bounce').replace('<bounce-1@', `<bounce-${n}@`);

function withPicture(n: number): string {
  const mail = [
    'From: ben@customer.example',
    'To: support@acme.example',
    `Message-ID: <picture-${n}@customer.example>`,
    'Subject: A picture',
    'MIME-Version: 1.0',
  ];
  const parts = [
    '--b',
    'Content-Type: text/plain',
    '',
    'Look.',
    '--b',
    'Content-Type: image/png; name="lamp.png"',
    'Content-Disposition: attachment; filename="lamp.png"',
  ];
  const picture = ['Content-Transfer-Encoding: base64', '', Buffer.from(PICTURE).toString('base64'), '--b--', ''];
  return [...mail, 'Content-Type: multipart/mixed; boundary="b"', '', ...parts, ...picture].join('\r\n');
}

const samples: ConformanceSamples = {
  settings: {
    valid: first(),
    second: second(),
    invalid: [
      { name: 'without an address', settings: { ...first(), address: 'nobody' }, path: 'address' },
      { name: 'with a port that is none', settings: { ...first(), smtp: { ...first().smtp, port: 0 } }, path: 'smtp.port' },
      { name: 'with a user and no password', settings: { ...first(), smtpPassword: undefined }, path: 'smtpPassword' },
    ],
  },
  deliveries: [
    {
      name: 'a mail',
      raw: (n) => delivery(plain(n)),
      gives: (n) => [
        {
          type: 'message',
          direction: 'inbound',
          providerMessageId: `<lamp-${n}@customer.example>`,
          contact: { kind: 'email-address', value: 'ben@customer.example' },
          subject: 'The lamp in the küche is broken',
          text: 'It flickers, then goes dark. ¿What now?',
        },
      ],
    },
    {
      name: 'a mail with a picture',
      raw: (n) => delivery(withPicture(n)),
      gives: (n) => [{ type: 'message', providerMessageId: `<picture-${n}@customer.example>`, attachments: [{ fileName: 'lamp.png', type: 'image/png' }] }],
      files: () => [PICTURE],
    },
    {
      name: 'a mail of ours that came back',
      raw: (n) => delivery(bounce(n), { 'mail-from': '' }),
      gives: () => [
        { type: 'message', automatic: 'bounce' },
        { type: 'receipt', providerMessageId: '<trunkline.gone@acme.example>', state: 'failed' },
      ],
    },
  ],
  unknownFields: () => delivery(plain(0).replace('MIME-Version', 'X-Mood: good; why="[true]"\r\nMIME-Version')),
  missingFields: [
    { name: 'no sender', raw: () => delivery(plain(0).replace(/^From: .*\r\n/m, '')), gives: [{ type: 'message', contact: null }] },
    {
      name: 'no subject',
      raw: () => delivery(plain(0).replace(/^Subject: .*\r\n/m, '')),
      gives: [{ type: 'message', text: 'It flickers, then goes dark. ¿What now?' }],
    },
    { name: 'nothing', raw: () => delivery(''), gives: [{ type: 'message', contact: null, text: '' }] },
  ],
  outbound: {
    provider: (which) => smtpStandIn(which === 'valid' ? first : second),
    message: (n) => reply({ id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`, to: person(`contact-${n}@customer.example`) }),
    echoes: false,
    answer: ({ keys }): RawDelivery => delivery(plain(7).replace('MIME-Version', `In-Reply-To: ${keys[0] ?? ''}\r\nMIME-Version`)),
  },
  connection: {
    subscribes: false,
    refreshes: false,
    lacks: {
      'rate-limit': 'a server says so of a mail, not of a login',
      unavailable: 'the stand-in refuses recipients for now, and lets everybody log in',
      reject: 'a recipient is refused, and at connecting there is none',
      silence: 'the stand-in falls silent only after a mail; a server that never answers has tests of its own',
    },
  },
  listener: {
    async handOver(port, { key }, n) {
      const client = nodemailer.createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
      const envelope = { from: 'ben@customer.example', to: `${key}@in.trunkline.example` };
      return client.sendMail({ envelope, raw: plain(n) }).then(
        () => true,
        () => false,
      );
    },
  },
};

describeConformance({ describe, test }, plugin, samples);

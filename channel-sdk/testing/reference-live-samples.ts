import type { RawDelivery } from '../index.ts';
import { SAMPLE_NOW } from './bench.ts';
import { isProof } from './reference-live.ts';
import type { ConformanceSamples, LiveVisit } from './samples.ts';

/** Bytes that no text survives as. */
const FILE = Uint8Array.of(0x00, 0xff, 0x0d, 0x0a, 0x80, 0x1a);
const typed = { site: 'acme.example', greeting: 'Hello!', mailsTranscripts: true, answersBy: 'ch-7' };

const said = (n: number) => ({ visitor: `visitor-${n}`, id: `in-${n}`, text: `Hello, number ${n}` });

/** As the page keeps it. */
function raw(body: unknown): RawDelivery {
  return {
    method: 'PAGE',
    url: 'https://help.acme.example/pages/reference-live/sample-1/messages',
    headers: {},
    body: new TextEncoder().encode(JSON.stringify(body)),
    receivedAt: new Date(SAMPLE_NOW).toISOString(),
  };
}

/** A visitor as the page's own script is one. */
async function visit(ask: (request: Request) => Promise<Response>, pageUrl: string): Promise<LiveVisit> {
  const answer: unknown = await (await ask(new Request(`${pageUrl}/visitor`, { method: 'POST' }))).json();
  if (!isProof(answer)) throw new Error('the page lets nobody in');
  const { proof } = answer;
  const [id = '', signature = ''] = proof.split('.');
  const by = (shown: string | undefined) => {
    const headers = shown === undefined ? {} : { authorization: shown };
    const post = (path: string, body: unknown) => new Request(pageUrl + path, { method: 'POST', headers, body: JSON.stringify(body) });
    return {
      stream: (after?: string) => new Request(`${pageUrl}/stream`, { headers: { ...headers, ...(after === undefined ? {} : { 'last-event-id': after }) } }),
      write: (text: string, n: number) => post('/messages', { id: `said-${n}`, text }),
      here: () => new Request(`${pageUrl}/here`, { headers }),
      typing: () => post('/typing', {}),
    };
  };
  const forgeries = [undefined, id, `${id}.`, `${id}.${signature.slice(1)}`, `${id.replace(/^./, 'z')}.${signature}`, `.${signature}`];
  return {
    visitor: { kind: 'visitor', value: id },
    ...by(proof),
    forged: () => forgeries.map(by).flatMap(({ stream, write, here, typing }) => [stream(), write('Hello', 1), here(), typing()]),
  };
}

/** The live reference channel's samples. */
export const liveSamples: ConformanceSamples = {
  settings: {
    valid: typed,
    second: { ...typed, site: 'bolt.example' },
    invalid: [
      { name: 'without a site', settings: { ...typed, site: '' }, path: 'site' },
      { name: 'with a transcript that is neither yes nor no', settings: { ...typed, mailsTranscripts: 'yes' }, path: 'mailsTranscripts' },
    ],
  },
  deliveries: [
    {
      name: 'a message',
      raw: (n) => raw(said(n)),
      gives: (n) => [{ type: 'message', direction: 'inbound', contact: { kind: 'visitor', value: `visitor-${n}` }, text: `Hello, number ${n}` }],
    },
    {
      name: 'a message with an address to answer to, and a file',
      raw: (n) => raw({ ...said(n), id: `file-${n}`, email: `eva-${n}@example.org`, file: Buffer.from(FILE).toString('base64') }),
      gives: (n) => [
        { type: 'message', attachments: [{ ref: 'file' }] },
        { type: 'identity-added', added: { kind: 'email-address', value: `eva-${n}@example.org` } },
      ],
      files: () => [FILE],
    },
  ],
  unknownFields: () => raw({ ...said(0), mood: { good: [true] } }),
  missingFields: [{ name: 'no visitor', raw: () => raw({ ...said(0), visitor: undefined }), gives: 'Malformed' }],
  outbound: {
    message: (n) => ({
      id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
      kind: 'reply',
      to: { kind: 'visitor', value: `visitor-${n}` },
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
    choice: (choice, n) => raw({ ...said(n), id: `choice-${n}`, choice }),
  },
  page: {
    paths: ['/', '/visitor', '/stream', '/messages', '/typing', '/here'],
    visits: [
      { name: 'looks at it', request: (url) => new Request(`${url}/`), status: 200, delivers: false },
      {
        name: 'writes',
        async request(url, context) {
          const proof = `visitor-1.${context.sign('visitor visitor-1')}`;
          return new Request(`${url}/messages`, { method: 'POST', headers: { authorization: proof }, body: '{"id":"said-1","text":"Hello"}' });
        },
        status: 202,
        delivers: true,
      },
    ],
    live: { visit },
  },
};

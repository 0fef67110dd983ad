import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CHECKED_HEADER } from '../../checked.ts';

/** What a mail of the corpus must become in the world its README describes. */
export const BECOMES = ['new', 'joins', 'filtered', 'spam', 'nothing'] as const;
export type Becomes = (typeof BECOMES)[number];

const texts = z.array(z.string());
const attachment = z.strictObject({
  name: z.string().optional(),
  nameHas: z.string().optional(),
  nameHasNot: texts.optional(),
  type: z.string().optional(),
  contentId: z.string().optional(),
  bytes: z.int().optional(),
});
const receipt = z.strictObject({ id: z.string(), state: z.literal('failed'), reasonHas: z.string().optional(), reasonHasNot: texts.optional() });

/** What a sample says of itself. What it does not name may be anything; a list of alternatives stands where the rules leave several. */
const expectation = z.strictObject({
  /** The contact's address; null: unknown. */
  contact: z.union([z.string(), z.null(), z.array(z.union([z.string(), z.null()]))]).optional(),
  name: z.string().nullable().optional(),
  /** Who really sent it, where that is somebody else than the contact; null: nobody else. */
  author: z.string().nullable().optional(),
  /** All of them, by address. */
  participants: texts.optional(),
  subject: z.string().nullable().optional(),
  subjectIn: texts.optional(),
  subjectHas: texts.optional(),
  subjectHasNot: texts.optional(),
  /** The new text, to the letter. */
  text: z.string().optional(),
  has: texts.optional(),
  hasNot: texts.optional(),
  /** Only null: nothing is split off. */
  quoted: z.null().optional(),
  quotedHas: texts.optional(),
  /** In the text or in what was split off: nothing is lost. */
  anywhere: texts.optional(),
  htmlHas: texts.optional(),
  htmlHasNot: texts.optional(),
  joins: texts.optional(),
  joinsHas: texts.optional(),
  /** How many keys only we could have made. */
  proven: z.int().optional(),
  attachments: z.array(attachment).optional(),
  attachmentCount: z.int().optional(),
  automatic: z.union([z.string(), z.null(), texts]).optional(),
  receipt: receipt.nullable().optional(),
  /** No receipt says that anything failed. */
  notFailed: z.literal(true).optional(),
  verdict: z.union([z.string(), texts]).optional(),
  verdictNot: z.string().optional(),
  /** Who judged. */
  by: z.string().optional(),
  /** It has no usable Message-ID: its key is a hash of its bytes. */
  keyIsHash: z.literal(true).optional(),
  occurredAt: z.null().optional(),
  /** Once it is taken in: the ticket's name, the HTML that is shown, how the names of its files end. */
  ticketName: z.string().optional(),
  safeHas: texts.optional(),
  safeHasNot: texts.optional(),
  storedNamesEnd: z.string().optional(),
});
export type Expectation = z.output<typeof expectation>;

const front = z.strictObject({
  about: z.string(),
  rules: texts,
  becomes: z.enum(BECOMES),
  /** Settings of the channel that differ; null: not set. */
  settings: z.record(z.string(), z.unknown()).optional(),
  /** What the receiver keeps beside the mail: envelope, and what it found at the door. */
  headers: z.record(z.string(), z.union([z.string(), z.record(z.string(), z.unknown())])).optional(),
  /** `\xHH` in the mail is one byte. */
  bytes: z.literal('escaped').optional(),
  /** CRLF unless it says otherwise. */
  lineEnds: z.enum(['lf', 'cr']).optional(),
  expect: expectation,
});

export interface Sample {
  readonly folder: string;
  /** `folder/name`. */
  readonly name: string;
  readonly about: string;
  readonly rules: readonly string[];
  readonly becomes: Becomes;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of the stored delivery. */
  readonly headers: Readonly<Record<string, string>>;
  readonly mail: Uint8Array;
  readonly expect: Expectation;
}

/** The forwarding server the channel trusts handed it in; nothing else was found out. */
export const HANDED_IN = {
  client: 'mx.acme.example',
  local: false,
  spf: { result: 'none', domain: null },
  dkim: [],
  dmarc: { result: 'none', from: null, signed: false },
  arc: { result: 'none', sealer: null, says: '' },
} as const;

/** Of a delivery, unless a sample says otherwise. */
export const DELIVERY_HEADERS: Readonly<Record<string, string>> = {
  'mail-from': 'someone@sender.example',
  'rcpt-to': 'support-1@in.trunkline.example',
  [CHECKED_HEADER]: JSON.stringify(HANDED_IN),
};

const HERE = new URL('./', import.meta.url);

/** The folders, one for each behaviour. */
export function folders(): readonly string[] {
  return readdirSync(HERE, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}

/** Our answer in the conversation about the lamp, as the samples write it. */
export const OUR_MESSAGE = '0198c0de-0000-7000-8000-00000000a001';

/** What the samples refer to in the world of the README. */
export interface Reference {
  /** Stands for `{{token}}`. */
  readonly token: string;
  /** Of our answer, where it is another than `OUR_MESSAGE`. */
  readonly messageId?: string;
}

/** Every sample. */
export function readSamples(world: Reference): readonly Sample[] {
  return folders().flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, HERE))
      .filter((file) => file.endsWith('.mail'))
      .toSorted()
      .map((file) => read(folder, file, world)),
  );
}

/** For a test's title: what it is about and which rules it shows. */
export function title(sample: Pick<Sample, 'name' | 'about' | 'rules'>): string {
  return `${sample.name}: ${sample.about} [${sample.rules.join(', ')}]`;
}

function read(folder: string, file: string, { token, messageId = OUR_MESSAGE }: Reference): Sample {
  const written = readFileSync(new URL(`${folder}/${file}`, HERE), 'utf8')
    .replaceAll('{{token}}', token)
    .replaceAll('{{TOKEN}}', token.toUpperCase())
    .replaceAll(OUR_MESSAGE, messageId);
  const cut = written.indexOf('\n----\n');
  if (cut < 0) throw new Error(`${folder}/${file} has no line of four dashes`);
  const { about, rules, becomes, settings = {}, headers = {}, bytes, lineEnds, expect } = front.parse(JSON.parse(written.slice(0, cut)));
  const ends = { lf: '\n', cr: '\r' } as const;
  const mail = written.slice(cut + '\n----\n'.length).replaceAll('\n', lineEnds === undefined ? '\r\n' : ends[lineEnds]);
  const given = Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]);
  return {
    folder,
    name: `${folder}/${file.slice(0, -'.mail'.length)}`,
    about,
    rules,
    becomes,
    settings,
    headers: { ...DELIVERY_HEADERS, ...Object.fromEntries(given) },
    mail: bytes === 'escaped' ? unescaped(mail) : new TextEncoder().encode(mail),
    expect,
  };
}

function unescaped(text: string): Uint8Array {
  const pieces = text.split(/\\x([0-9A-F]{2})/);
  return Buffer.concat(pieces.map((piece, index) => (index % 2 === 1 ? Buffer.from(piece, 'hex') : Buffer.from(piece, 'utf8'))));
}

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { InboundEvent, InboundMessage, ReceiptEvent } from '@trunkline/channel-sdk';
import { describe, expect, it } from 'vitest';
import { canonicalAddress } from '../address.ts';
import { parse } from '../parse.ts';
import { replyToken } from '../token.ts';
import { GENERATED } from './corpus/generated.ts';
import { BECOMES, DELIVERY_HEADERS, folders, OUR_MESSAGE, readSamples, title, type Expectation, type Sample } from './corpus/samples.ts';
import { channel, delivery, pluginContext } from './support.ts';

const SAMPLES = readSamples({ token: replyToken(OUR_MESSAGE, sign) });

/** As the engine signs: 52 letters and digits. */
function sign(text: string): string {
  const bits = [...createHmac('sha256', 'corpus').update(text).digest()].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
}

interface Parsed {
  readonly message: InboundMessage;
  readonly receipts: readonly ReceiptEvent[];
}

async function parsed(sample: Pick<Sample, 'settings' | 'headers' | 'mail'>): Promise<Parsed> {
  const settings = Object.fromEntries(Object.entries({ trustedAuthenticator: 'mx.acme.example', ...sample.settings }).filter(([, value]) => value !== null));
  const context = { ...pluginContext(channel(settings)), sign };
  return only(await parse(delivery(sample.mail, { ...sample.headers }), context));
}

/** The one message of a mail. */
function only(events: readonly InboundEvent[]): Parsed {
  const messages = events.filter((event) => event.type === 'message');
  const receipts = events.filter((event) => event.type === 'receipt');
  expect(messages, 'a mail is one message').toHaveLength(1);
  expect(messages.length + receipts.length, 'and receipts, nothing else').toBe(events.length);
  const [message] = messages;
  if (message === undefined) throw new Error('no message');
  return { message, receipts };
}

/** What holds for any mail. */
function expectSound(message: InboundMessage, receipts: readonly ReceiptEvent[]): void {
  JSON.stringify([message, receipts], (key, value: unknown) => {
    if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) throw new Error(`${key} can not be stored`);
    return value;
  });
  if (message.contact !== null) expect(canonicalAddress(message.contact.value), 'an address in its one form').toBe(message.contact.value);
  for (const { value } of message.participants) {
    expect(canonicalAddress(value)).toBe(value);
    expect([message.contact?.value, 'support@acme.example', 'support-1@in.trunkline.example'], 'neither the sender nor we').not.toContain(value);
  }
  expect(`${message.subject ?? ''}${message.contact?.name ?? ''}`, 'names and subjects are one line').not.toMatch(/[\r\n]/);
  expect(message.providerMessageId).toMatch(/^(<[^<>\s]{1,502}>|sha256:[0-9a-f]{64})$/u);
  expect(message.thread.keys).toContain(message.providerMessageId);
  expect(message.authentication, 'every mail says what is known of its sender [EMAIL-8]').toBeDefined();
  for (const { reason } of receipts) expect(reason ?? '', 'codes and fixed phrases').not.toMatch(/@|lamp|new one/);
  const ids = [message.dedupeKey, ...receipts.map(({ dedupeKey }) => dedupeKey)];
  expect(new Set(ids).size, 'no two events share a key').toBe(ids.length);
}

function among<Value>(value: Value, expected: Value | readonly Value[], what: string): void {
  expect(Array.isArray(expected) ? expected : [expected], what).toContainEqual(value);
}

function expectTexts(message: InboundMessage, wanted: Expectation): void {
  const { text, html = '', quoted } = message;
  if (wanted.text !== undefined) expect(text.trim()).toBe(wanted.text);
  for (const piece of wanted.has ?? []) expect(text, 'text').toContain(piece);
  for (const piece of wanted.hasNot ?? []) expect(text, 'text').not.toContain(piece);
  if (wanted.quoted === null) expect(quoted?.text ?? '', 'nothing is split off').toBe('');
  for (const piece of wanted.quotedHas ?? []) expect(quoted?.text, 'quoted').toContain(piece);
  for (const piece of wanted.anywhere ?? []) expect(`${text}\n${quoted?.text ?? ''}`, 'text or quoted').toContain(piece);
  for (const piece of wanted.htmlHas ?? []) expect(html, 'html').toContain(piece);
  for (const piece of wanted.htmlHasNot ?? []) expect(html, 'html').not.toContain(piece);
}

function expectSubject(subject: string | undefined, wanted: Expectation): void {
  if (wanted.subject !== undefined) expect(subject ?? null).toBe(wanted.subject);
  if (wanted.subjectIn !== undefined) expect(wanted.subjectIn).toContain(subject);
  for (const piece of wanted.subjectHas ?? []) expect(subject).toContain(piece);
  for (const piece of wanted.subjectHasNot ?? []) expect(subject ?? '').not.toContain(piece);
}

function expectAttachments(message: InboundMessage, wanted: Expectation): void {
  if (wanted.attachmentCount !== undefined) expect(message.attachments).toHaveLength(wanted.attachmentCount);
  if (wanted.attachments === undefined) return;
  expect(message.attachments, 'attachments').toHaveLength(wanted.attachments.length);
  for (const [index, { name, nameHas, nameHasNot = [], type, contentId, bytes }] of wanted.attachments.entries()) {
    const found = message.attachments[index];
    if (name !== undefined) expect(found?.fileName).toBe(name);
    if (nameHas !== undefined) expect(found?.fileName).toContain(nameHas);
    for (const piece of nameHasNot) expect(found?.fileName).not.toContain(piece);
    if (type !== undefined) expect(found?.type).toBe(type);
    if (contentId !== undefined) expect(found?.contentId).toBe(contentId);
    if (bytes !== undefined) expect(found?.bytes).toBe(bytes);
  }
}

function expectReceipts(receipts: readonly ReceiptEvent[], wanted: Expectation): void {
  if (wanted.notFailed === true) expect(receipts.filter(({ state }) => state === 'failed')).toEqual([]);
  if (wanted.receipt === null) expect(receipts).toEqual([]);
  if (wanted.receipt === undefined || wanted.receipt === null) return;
  const { id, state, reasonHas = '', reasonHasNot = [] } = wanted.receipt;
  expect(receipts, 'one receipt').toHaveLength(1);
  expect(receipts[0]).toMatchObject({ providerMessageId: id, state });
  expect(receipts[0]?.reason).toContain(reasonHas);
  for (const piece of reasonHasNot) expect(receipts[0]?.reason).not.toContain(piece);
}

function expectSender(message: InboundMessage, wanted: Expectation): void {
  const { contact, authentication } = message;
  if (wanted.contact !== undefined) among(contact?.value ?? null, wanted.contact, 'contact');
  if (wanted.author !== undefined) expect(message.author?.value ?? null, 'author').toBe(wanted.author);
  if (wanted.name !== undefined) expect(contact?.name ?? null, 'name').toBe(wanted.name);
  if (wanted.participants !== undefined) expect(message.participants.map(({ value }) => value).toSorted()).toEqual(wanted.participants.toSorted());
  if (wanted.automatic !== undefined) among(message.automatic ?? null, wanted.automatic, 'automatic');
  if (wanted.verdict !== undefined) among(authentication?.verdict ?? '', wanted.verdict, 'verdict');
  if (wanted.verdictNot !== undefined) expect(authentication?.verdict).not.toBe(wanted.verdictNot);
  if (wanted.by !== undefined) expect(authentication?.by).toBe(wanted.by);
}

function expectThread(message: InboundMessage, wanted: Expectation): void {
  const { joins, proven = [] } = message.thread;
  if (wanted.joins !== undefined) expect(joins).toEqual(wanted.joins);
  for (const key of wanted.joinsHas ?? []) expect(joins).toContain(key);
  if (wanted.proven !== undefined) expect(proven).toHaveLength(wanted.proven);
  if (wanted.keyIsHash === true) expect(message.providerMessageId).toMatch(/^sha256:/);
  if (wanted.occurredAt === null) expect(message.occurredAt).toBeUndefined();
}

describe.each(folders())('the corpus, %s', (folder) => {
  it.each(SAMPLES.filter((sample) => sample.folder === folder).map((sample) => [title(sample), sample] as const))('%s', async (_title, sample) => {
    const { message, receipts } = await parsed(sample);
    const wanted = sample.expect;
    expectSound(message, receipts);
    expectSender(message, wanted);
    expectSubject(message.subject, wanted);
    expectTexts(message, wanted);
    expectThread(message, wanted);
    expectAttachments(message, wanted);
    expectReceipts(receipts, wanted);
  });
});

describe('what is made to bring a parser down', () => {
  it.each(GENERATED.map((one) => [one.about, one] as const))(
    'is taken for a mail like any other: %s [EMAIL-7, PLUG-11]',
    async (_about, one) => {
      const mail = one.make();
      const before = process.cpuUsage();
      const { message, receipts } = await parsed({ settings: {}, headers: DELIVERY_HEADERS, mail });
      const { user, system } = process.cpuUsage(before);
      expect((user + system) / 1_000, 'milliseconds of work: the engine gives a mail five seconds, then sets it aside').toBeLessThan(5_000);
      expectSound(message, receipts);
      if (one.contact !== undefined) expect(message.contact?.value).toBe(one.contact);
      expect(message.text.includes(one.has ?? ''), 'its words').toBe(true);
      expect(receipts.length).toBeLessThanOrEqual(1);
    },
    300_000,
  );
});

describe('the corpus', () => {
  it('gives the same events from the same bytes, every time [MODEL-4, EMAIL-7]', async () => {
    for (const sample of SAMPLES) expect(await parsed(sample), sample.name).toEqual(await parsed(sample));
  });

  it('has a table of its samples that is current', () => {
    const rows = folders().map((folder) => {
      const inside = SAMPLES.filter((sample) => sample.folder === folder);
      return [folder, inside.length, ...BECOMES.map((word) => inside.filter(({ becomes }) => becomes === word).length)].map(String);
    });
    const page = readFileSync(new URL('corpus/README.md', import.meta.url), 'utf8');
    const written = page.split('\n').flatMap((line) => {
      const cells = line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return folders().includes(cells[1] ?? '') ? [cells.slice(1, 2 + 1 + BECOMES.length)] : [];
    });
    expect(written).toEqual(rows);
    expect(page).toContain(`${SAMPLES.length} mails`);
    expect(SAMPLES.length).toBeGreaterThanOrEqual(200);
  });

  it('has a Message-ID of its own in every sample that has one, so that none is taken for another', () => {
    const ids = SAMPLES.flatMap(({ mail }) => /^message-id: *(<[^>]+>)/im.exec(Buffer.from(mail).toString('latin1'))?.[1] ?? []);
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
  });
});

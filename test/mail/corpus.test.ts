import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folders, readSamples, title, type Sample } from '#plugins/email/test/corpus/samples.ts';
import { shownHtmlProblems } from '../support/shown-html.ts';
import { openMailWorld, type MailWorld } from './world.ts';

let world: MailWorld;
let samples: ReadonlyMap<string, Sample>;
beforeAll(async () => {
  world = await openMailWorld();
  samples = new Map(readSamples(world.lamp).map((sample) => [sample.name, sample]));
});
afterAll(async () => {
  // What no sample may ever do.
  expect(await messagesOf(world.invoice.conversationId)).toHaveLength(2);
  expect(await world.close()).toEqual([]);
});

const messagesOf = (conversationId: string) => world.db.selectFrom('message').selectAll().where('conversation_id', '=', conversationId).execute();
const participantsOf = (conversationId: string) =>
  world.db.selectFrom('participant').select('value').where('conversation_id', '=', conversationId).orderBy('value').execute();

/** The lamp as it was: open, its answer sent, nobody in it but Ben and Cleo. */
async function restore(): Promise<void> {
  const { db, lamp } = world;
  await db
    .deleteFrom('participant')
    .where('conversation_id', '=', lamp.conversationId)
    .where('value', 'not in', ['ben@customer.example', 'cleo@partner.example'])
    .execute();
  const sent = { state: 'SENT' as const, failure_code: null, failure_reason: null, can_retry: null };
  await db.updateTable('outbound').set(sent).where('message_id', '=', lamp.messageId).execute();
}

/** Where a delivery's mail is now. */
async function whereIs(deliveryId: number) {
  const { db, lamp } = world;
  const messages = await db.selectFrom('message').selectAll().where('raw_delivery_id', '=', deliveryId).execute();
  const filtered = await db.selectFrom('filtered_message').selectAll().where('raw_delivery_id', '=', deliveryId).execute();
  const raw = await db.selectFrom('raw_delivery').select('state').where('id', '=', deliveryId).executeTakeFirstOrThrow();
  expect(raw.state, 'the delivery is settled').toBe('DONE');
  expect(messages.length + filtered.length, 'in one place').toBeLessThanOrEqual(1);
  const [message] = messages;
  const [apart] = filtered;
  if (apart !== undefined) return { became: apart.kind === 'SPAM' ? 'spam' : 'filtered', message } as const;
  if (message === undefined) return { became: 'nothing', message } as const;
  return { became: message.conversation_id === lamp.conversationId ? 'joins' : 'new', message } as const;
}

describe.each(folders())('the corpus taken in, %s', (folder) => {
  // The titles are those of the samples as they stand; the ids they name are those of this world.
  it.each(readSamples({ token: 'a'.repeat(16) }).flatMap((sample) => (sample.folder === folder ? [[title(sample), sample.name] as const] : [])))(
    '%s',
    async (_title, name) => {
      const sample = samples.get(name);
      if (sample === undefined) throw new Error('no such sample');
      const { expect: wanted } = sample;
      await restore();
      const [deliveryId = 0] = await world.take(world.support, sample);
      const { became, message } = await whereIs(deliveryId);
      expect(became).toBe(sample.becomes);
      const { state } = await world.db.selectFrom('outbound').select('state').where('message_id', '=', world.lamp.messageId).executeTakeFirstOrThrow();
      expect(state, 'our answer').toBe(wanted.receipt?.state === 'failed' ? 'FAILED' : 'SENT');
      if (message === undefined) return;
      await expectKept(message.id, sample);
      if (became === 'new') await expectOwn(message.conversation_id, sample);
    },
  );
});

/** Its HTML is harmless, its files have safe names. */
async function expectKept(messageId: string, { expect: wanted }: Sample): Promise<void> {
  const { db } = world;
  const row = await db.selectFrom('message').selectAll().where('id', '=', messageId).executeTakeFirstOrThrow();
  const shown = `${row.html_safe ?? ''}${row.quoted_html_safe ?? ''}`;
  expect(shownHtmlProblems(row.html_safe ?? '')).toEqual([]);
  expect(shownHtmlProblems(row.quoted_html_safe ?? '')).toEqual([]);
  for (const piece of wanted.safeHas ?? []) expect(shown).toContain(piece);
  for (const piece of wanted.safeHasNot ?? []) expect(shown).not.toContain(piece);
  if (wanted.verdict !== undefined) expect([wanted.verdict].flat()).toContain(row.authentication?.verdict);
  const files = await db.selectFrom('attachment').selectAll().where('message_id', '=', messageId).orderBy('position').execute();
  if (wanted.attachmentCount !== undefined) expect(files).toHaveLength(wanted.attachmentCount);
  expect(new Set(files.map(({ file_name: name }) => name)).size, 'no two names alike').toBe(files.length);
  for (const { file_name: name } of files) {
    expect(name, 'no path, no control letter, nothing a shell or a file system reads').toMatch(/^(?!\.{1,2}$)[^\p{Cc}\p{Cf}/\\:*?"<>|]{1,255}$/u);
    expect(name).toMatch(new RegExp(`${(wanted.storedNamesEnd ?? '').replaceAll('.', '\\.')}$`));
  }
}

/** A conversation of its own with a ticket, of its own contact, with nobody else's message in it. */
async function expectOwn(conversationId: string, { expect: wanted }: Sample): Promise<void> {
  const { db } = world;
  expect(await messagesOf(conversationId)).toHaveLength(1);
  const conversation = await db.selectFrom('conversation').selectAll().where('id', '=', conversationId).executeTakeFirstOrThrow();
  const ticket = await db.selectFrom('ticket').selectAll().where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
  expect(ticket.name).not.toBe('');
  if (wanted.ticketName !== undefined) expect(ticket.name).toBe(wanted.ticketName);
  if (wanted.contact === undefined) return;
  const identity = await db.selectFrom('contact_identity').select('value').where('contact_id', '=', conversation.contact_id).executeTakeFirst();
  expect([wanted.contact].flat()).toContain(identity?.value ?? null);
  if (wanted.participants !== undefined) {
    const expected = [...wanted.participants, ...(identity === undefined ? [] : [identity.value])];
    expect((await participantsOf(conversationId)).map(({ value }) => value)).toEqual(expected.toSorted());
  }
}

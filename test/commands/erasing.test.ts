import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storeBlob } from '#commands/blobs.ts';
import { comment, reply } from '#commands/conversations.ts';
import { erasurePreview, eraseContact } from '#commands/erasing.ts';
import { releaseFiltered } from '#commands/filtered.ts';
import { applyDeliveries } from '#commands/intake.ts';
import { addSenderRule } from '#commands/sender-rules.ts';
import { NotFound } from '#commands/refusals.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let channel: MadeChannel;
let agent: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  channel = await makeChannel(db);
  agent = await makeUser(db);
});
afterAll(() => database.drop());

async function contactOf(value: string): Promise<string> {
  const { contact_id: id } = await db.selectFrom('contact_identity').select('contact_id').where('value', '=', value).executeTakeFirstOrThrow();
  return id;
}

const erase = (contactId: string) => transact(db, { actor: 'USER', userId: agent }, (unit) => eraseContact(unit, { contactId }));

/** Every table whose text, JSON or bytes hold this word. */
async function tablesHolding(word: string): Promise<readonly string[]> {
  const { rows: tables } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r'`.execute(db);
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await sql<{ held: boolean }>`
      select exists (select 1 from ${sql.table(name)} t where t::text ilike ${`%${word}%`} or t::text ilike ${`%${Buffer.from(word).toString('hex')}%`}) as held`.execute(
      db,
    );
    if (rows[0]?.held === true) found.push(name);
  }
  return found;
}

describe('erasing a contact', () => {
  it('removes what they said, what was said to them, and by what they were known, from every table; what is left adds up [OPS-9]', async () => {
    const word = 'xylograph';
    const first = inbound(`${word}@out.example`, {
      subject: `About ${word}`,
      text: `I am ${word}`,
      html: `<p>${word}</p>`,
      contact: { kind: 'email-address', value: `${word}@out.example`, name: word },
    });
    await take(db, channel, [first]);
    const { id } = await db.selectFrom('conversation').select('id').where('subject', 'like', `%${word}%`).executeTakeFirstOrThrow();
    await transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, [plainPlugin], { conversationId: id, text: `Dear ${word}` }));
    await transact(db, { actor: 'USER', userId: agent }, (unit) => comment(unit, { conversationId: id, text: `${word} again` }));
    // In somebody else's conversation: copied, and answering there.
    const other = inbound('other@out.example', { text: 'Mine', participants: [{ kind: 'email-address', value: `${word}@out.example`, name: word }] });
    await take(db, channel, [other]);
    await take(db, channel, [inbound(`${word}@out.example`, { joins: [other.providerMessageId], text: `${word} joins` })]);
    const { id: shared } = await db.selectFrom('conversation').select('id').where('id', '<>', id).executeTakeFirstOrThrow();
    await transact(db, { actor: 'USER', userId: agent }, (unit) => reply(unit, [plainPlugin], { conversationId: shared, text: 'To whom wrote last' }));
    // The same message once more, in a delivery that no message refers to.
    await take(db, channel, [first]);
    const { sha256 } = await storeBlob(db, Buffer.from(`a picture of ${word}`));
    const { id: messageId } = await db.selectFrom('message').select('id').where('text', '=', `I am ${word}`).executeTakeFirstOrThrow();
    await db
      .insertInto('attachment')
      .values({ message_id: messageId, position: 9, file_name: `${word}.png`, type: 'image/png', state: 'STORED', sha256 })
      .execute();
    expect(await tablesHolding(word)).toEqual(
      expect.arrayContaining(['contact', 'contact_identity', 'message', 'conversation', 'ticket', 'participant', 'raw_delivery', 'attachment', 'blob_piece']),
    );

    const contactId = await contactOf(`${word}@out.example`);
    const preview = await erasurePreview(db, contactId);
    const { value } = await erase(contactId);
    expect(value).toEqual({ contactId, ...preview });
    expect(preview).toEqual({ conversations: 1, messages: 4, attachments: 1, deliveries: 2 });
    expect(await tablesHolding(word)).toEqual([]);

    const shell = await db
      .selectFrom('conversation')
      .innerJoin('ticket', 'ticket.id', 'conversation.ticket_id')
      .select(['conversation.status', 'ticket.name', 'ticket.closed_at'])
      .where('conversation.id', '=', id)
      .executeTakeFirstOrThrow();
    expect(shell).toMatchObject({ status: 'CLOSED', name: '(erased)' });
    const left = await db
      .selectFrom('message')
      .select(['text'])
      .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
      .where('conversation.id', '<>', id)
      .orderBy('arrival')
      .execute();
    expect(left.map((one) => one.text)).toEqual(['Mine', '', 'To whom wrote last']);
    await expect(erase(contactId)).rejects.toBeInstanceOf(NotFound);
    expect((await checkInvariants(db)).filter((one) => one.violations > 0)).toEqual([]);
  });

  it('is over or begins anew for who writes at the same moment: nothing is said by somebody erased [OPS-9]', async () => {
    for (let round = 0; round < 8; round += 1) {
      const address = `racer-${round}@out.example`;
      await take(db, channel, [inbound(address)]);
      const contactId = await contactOf(address);
      const parsed = await Promise.all(Array.from({ length: 6 }, () => deliver(db, channel, [inbound(address, { text: 'While it is erased' })])));
      const write = async (one: (typeof parsed)[number]): Promise<void> => {
        for (;;) {
          const { value } = await applyDeliveries(db, { keys: testKeys, capabilities: plainCapabilities }, channel.id, [one]);
          if (!value.busy) return;
        }
      };
      await Promise.all([...parsed.slice(0, 3).map(write), erase(contactId), ...parsed.slice(3).map(write)]);
      const { rows } = await sql<{ n: number }>`
        select count(*) as n from contact c join conversation v on v.contact_id = c.id join message m on m.conversation_id = v.id where c.erased_at is not null`.execute(
        db,
      );
      expect(Number(rows[0]?.n)).toBe(0);
    }
    expect((await checkInvariants(db)).filter((one) => one.violations > 0)).toEqual([]);
  });

  it('goes the same way as the intake of mail that was let pass: neither waits for the other for ever [OPS-9, EMAIL-6]', async () => {
    const deps = { keys: testKeys, capabilities: plainCapabilities };
    for (let round = 0; round < 25; round += 1) {
      const address = `passer-${round}@out.example`;
      await take(db, channel, [inbound(address)]);
      await transact(db, { actor: 'USER', userId: agent }, (unit) => addSenderRule(unit, { list: 'DENY', pattern: address }));
      const parsed = await deliver(db, channel, [inbound(address, { text: 'Let me pass' })]);
      await applyDeliveries(db, deps, channel.id, [parsed]);
      const { id } = await db.selectFrom('filtered_message').select('id').where('raw_delivery_id', '=', parsed.deliveryId).executeTakeFirstOrThrow();
      await transact(db, { actor: 'USER', userId: agent }, (unit) => releaseFiltered(unit, { filteredId: id }));
      const contactId = await contactOf(address);
      const later = async (): Promise<unknown> => {
        for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        return erase(contactId);
      };
      // A deadlock would reject one of them.
      await Promise.all([applyDeliveries(db, deps, channel.id, [parsed]), later()]);
    }
  });
});

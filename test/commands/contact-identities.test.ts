import type { Authentication, Identity, IdentityAddedEvent, IdentityChangedEvent, InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { giveAddress } from '#commands/contact-identities.ts';
import { holdContactOf } from '#commands/contacts.ts';
import { eraseContact } from '#commands/erasing.ts';
import { reachedAt } from '#commands/recipients.ts';
import { NotFound } from '#commands/refusals.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, take, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';

const pageCapabilities = { ...plainCapabilities, identities: ['visitor', 'email-address'], outbound: 'reply', live: true } as const;

let database: TestDatabase;
let db: Db;
let page: MadeChannel;
let mail: MadeChannel;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  page = await makeChannel(db);
  mail = await makeChannel(db);
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

let visitors = 0;
const visitor = (): Identity => ({ kind: 'visitor', value: `visitor-${(visitors += 1)}` });
const address = (value: string): Identity => ({ kind: 'email-address', value });
const says = (who: Identity, text = 'Hello') => {
  const message = inbound('x', { contact: who, text });
  return { ...message, thread: { joins: [who.value], keys: [who.value] } };
};
let added = 0;
const gave = (contact: Identity, value: string): IdentityAddedEvent => ({
  type: 'identity-added',
  dedupeKey: `added-${(added += 1)}`,
  contact,
  added: address(value),
});
const changed = (old: Identity, now: Identity): IdentityChangedEvent => ({ type: 'identity-changed', dedupeKey: `changed-${(added += 1)}`, old, new: now });

/** Takes in on the page; another intake of the channel goes first. */
const arrive = (events: Parameters<typeof take>[2], at = page) =>
  eventually(async () => !(await take(db, at, events, at === mail ? plainCapabilities : pageCapabilities)).value.busy);
const contactOf = async ({ kind, value }: Identity): Promise<string | undefined> =>
  (await db.selectFrom('contact_identity').select('contact_id').where('kind', '=', kind).where('value', '=', value).executeTakeFirst())?.contact_id;
const conversationOf = async (who: Identity) => {
  const contactId = (await contactOf(who)) ?? '';
  return db.selectFrom('conversation').selectAll().where('contact_id', '=', contactId).executeTakeFirstOrThrow();
};
const partners = async (conversationId: string) =>
  (await db.selectFrom('participant').select('value').where('conversation_id', '=', conversationId).orderBy('value').execute()).map((row) => row.value);
const said = async (conversationId: string) =>
  (
    await db
      .selectFrom('event')
      .select(['why', 'data'])
      .where('kind', '=', 'CONTACT_CHANGED')
      .where('conversation_id', '=', conversationId)
      .orderBy('id')
      .execute()
  ).map((row) => row.why);

it('an address that was typed is one to answer at: mail from it is of a contact of its own [CHAT-3, MODEL-3]', async () => {
  const who = visitor();
  await arrive([says(who), gave(who, 'ben@out.example')]);
  expect(await contactOf(address('ben@out.example'))).toBeUndefined();
  const conversation = await conversationOf(who);
  expect(await partners(conversation.id)).toEqual(['ben@out.example', who.value]);
  expect(await reachedAt(db, conversation.id, ['email-address'])).toEqual(address('ben@out.example'));
  expect(await said(conversation.id)).toEqual(['IDENTITY_GIVEN']);
  await arrive([inbound('ben@out.example')], mail);
  const owner = await contactOf(address('ben@out.example'));
  expect(owner).not.toBe(await contactOf(who));
  const mails = await db
    .selectFrom('message')
    .select('contact_id')
    .where(sql<string>`sender ->> 'value'`, '=', 'ben@out.example')
    .execute();
  expect(mails).toEqual([{ contact_id: owner }]);
});

const vouched = (verdict: Authentication['verdict']): Authentication => ({ verdict, by: 'mx.acme.example', checks: {} });
/** Mail into a conversation by the key that only what was sent there carries. */
const answers = async (conversationId: string, value: string, more: Partial<InboundMessage> = {}): Promise<InboundMessage> => {
  const key = `signed ${conversationId}`;
  await db
    .insertInto('thread_key')
    .values({ channel_id: mail.id, key, conversation_id: conversationId })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const message = inbound(value, more);
  return { ...message, thread: { ...message.thread, proven: [key] } };
};

it('it is the visitor’s once mail from it answers what was sent there, by our signed key [CHAT-3, MODEL-3]', async () => {
  const who = visitor();
  await arrive([says(who), gave(who, 'proven@out.example')]);
  const { id } = await conversationOf(who);
  await arrive([await answers(id, 'proven@out.example', { authentication: vouched('unknown') })], mail);
  expect(await contactOf(address('proven@out.example'))).toBe(await contactOf(who));
  expect(await said(id)).toEqual(['IDENTITY_GIVEN', 'IDENTITY_PROVEN']);
  // From now on also elsewhere, and told once.
  await arrive([inbound('proven@out.example'), await answers(id, 'proven@out.example')], mail);
  const senders = await db
    .selectFrom('message')
    .select('contact_id')
    .where(sql<string>`sender ->> 'value'`, '=', 'proven@out.example')
    .execute();
  expect(new Set(senders.map((row) => row.contact_id))).toEqual(new Set([await contactOf(who)]));
  expect(senders).toHaveLength(3);
  expect(await said(id)).toEqual(['IDENTITY_GIVEN', 'IDENTITY_PROVEN']);
});

it('not by a machine’s answer, a forged sender’s, another address, nor mail without the key [CHAT-3, EMAIL-8]', async () => {
  const who = visitor();
  await arrive([says(who), gave(who, 'unproven@out.example')]);
  const { id } = await conversationOf(who);
  await arrive([await answers(id, 'unproven@out.example', { automatic: 'auto-reply' })], mail);
  expect(await contactOf(address('unproven@out.example'))).not.toBe(await contactOf(who));

  for (const [value, more, key] of [
    ['forged@out.example', { authentication: vouched('fail') }, true],
    ['keyless@out.example', { authentication: vouched('pass') }, false],
  ] as const) {
    const another = visitor();
    await arrive([says(another), gave(another, value)]);
    const conversation = await conversationOf(another);
    const message = await answers(conversation.id, value, more);
    await arrive([key ? message : { ...message, thread: { ...message.thread, joins: message.thread.proven ?? [], proven: [] } }], mail);
    expect((await db.selectFrom('message').select('id').where('conversation_id', '=', conversation.id).execute()).length, value).toBe(2);
    expect(await contactOf(address(value)), value).not.toBe(await contactOf(another));
  }
  await arrive([await answers(id, 'somebody-else@out.example')], mail);
  expect(await contactOf(address('somebody-else@out.example'))).not.toBe(await contactOf(who));
});

it('twenty visitors who gave one address, all answered from there at once: one of them has it [MODEL-3]', async () => {
  const all = Array.from({ length: 20 }, visitor);
  for (const who of all) await arrive([says(who), gave(who, 'wanted@out.example')]);
  const mailboxes = await Promise.all(Array.from({ length: 4 }, () => makeChannel(db)));
  await Promise.all(
    all.map(async (who, index) => {
      const at = mailboxes[index % mailboxes.length] ?? mail;
      const { id } = await conversationOf(who);
      await db
        .insertInto('thread_key')
        .values({ channel_id: at.id, key: `signed ${id}`, conversation_id: id })
        .execute();
      const message = inbound('wanted@out.example');
      await eventually(
        async () => !(await take(db, at, [{ ...message, thread: { ...message.thread, proven: [`signed ${id}`] } }], plainCapabilities)).value.busy,
      );
    }),
  );
  const owner = await contactOf(address('wanted@out.example'));
  const contacts = await Promise.all(all.map((who) => contactOf(who)));
  expect(contacts.filter((one) => one === owner)).toHaveLength(1);
  const { rows } = await sql<{ told: number }>`select count(*)::int as told from event where kind = 'CONTACT_CHANGED' and why = 'IDENTITY_PROVEN'
    and data ->> 'contactId' = any(${contacts.flatMap((one) => one ?? [])}::text[])`.execute(db);
  expect(rows).toEqual([{ told: 1 }]);
});

it('the order of the two within a delivery does not matter, and neither does the same address again [MODEL-4]', async () => {
  const who = visitor();
  await arrive([gave(who, 'ada@out.example'), says(who)]);
  await arrive([gave(who, 'ada@out.example')]);
  const { id } = await conversationOf(who);
  expect(await partners(id)).toEqual(['ada@out.example', who.value]);
  expect(await said(id)).toEqual(['IDENTITY_GIVEN']);
});

it('an address that another contact has stays theirs: only this conversation is answered there [MODEL-14, CHAT-3]', async () => {
  await arrive([inbound('cleo@out.example')], mail);
  const cleo = await contactOf(address('cleo@out.example'));
  const who = visitor();
  await arrive([says(who), gave(who, 'cleo@out.example')]);
  await arrive([gave(who, 'cleo@out.example')]);
  expect(await contactOf(address('cleo@out.example'))).toBe(cleo);
  expect(await contactOf(who)).not.toBe(cleo);
  const conversation = await conversationOf(who);
  expect(await partners(conversation.id)).toEqual(['cleo@out.example', who.value]);
  expect(await said(conversation.id)).toEqual(['IDENTITY_TAKEN']);
  // Nothing of Cleo’s own conversations has become the stranger’s.
  expect(await partners((await conversationOf(address('cleo@out.example'))).id)).toEqual(['cleo@out.example']);
});

it('gives nothing to a visitor nobody knows', async () => {
  const who = visitor();
  await arrive([gave(who, 'nobody@out.example')]);
  expect(await contactOf(who)).toBeUndefined();
  expect(await contactOf(address('nobody@out.example'))).toBeUndefined();
});

it('a name that comes with the address is the contact’s where they had none', async () => {
  const who = visitor();
  await arrive([says(who)]);
  await arrive([gave({ ...who, name: 'Dora' }, 'dora@out.example')]);
  await arrive([gave({ ...who, name: 'Other' }, 'dora2@out.example')]);
  const row = await db
    .selectFrom('contact')
    .select('name')
    .where('id', '=', (await contactOf(who)) ?? '')
    .executeTakeFirstOrThrow();
  expect(row.name).toBe('Dora');
});

it('a contact whose number has changed is known by both; a number somebody else has stays theirs, and an event says so [PLUG-4]', async () => {
  const number = (value: string): Identity => ({ kind: 'phone-number', value });
  await arrive([says(number('+491')), says(number('+493'))]);
  await arrive([changed(number('+491'), number('+492')), changed(number('+491'), number('+493'))]);
  const contact = await contactOf(number('+491'));
  expect(await contactOf(number('+492'))).toBe(contact);
  expect(await contactOf(number('+493'))).not.toBe(contact);
  const conversation = await conversationOf(number('+491'));
  expect(await partners(conversation.id)).toEqual(['+491', '+492']);
  expect(await said(conversation.id)).toEqual(['IDENTITY_CHANGED', 'IDENTITY_CLASH']);
});

it('an answer to a bot gives it alike, and says what became of it [CHAT-5]', async () => {
  const who = visitor();
  await arrive([says(who)]);
  const { id, contact_id: contactId } = await conversationOf(who);
  const add = (value: string) =>
    transact(db, { actor: 'SYSTEM' }, async (unit) => {
      await holdContactOf(unit.tx, id);
      return giveAddress(unit, { contactId: contactId ?? '', channelId: page.id, added: address(value) });
    });
  expect((await add('emil@out.example')).value).toBe('GIVEN');
  await arrive([await answers(id, 'emil@out.example')], mail);
  expect((await add('emil@out.example')).value).toBe('KNOWN');
  expect((await add('cleo@out.example')).value).toBe('TAKEN');
  expect(await partners(id)).toEqual(['cleo@out.example', 'emil@out.example', who.value]);
});

it('one address and fifty visitors at once: all can be answered there, nobody has it, nobody waits for ever [MODEL-3]', async () => {
  const pages = await Promise.all(Array.from({ length: 5 }, () => makeChannel(db)));
  const all = Array.from({ length: 50 }, visitor);
  // Each also gives an address of its own, before or after in the order in which identities are written, so that two could wait for each other.
  await Promise.all(
    all.map((who, index) => {
      const own = `${index % 2 === 0 ? 'a' : 'z'}-${who.value}@out.example`;
      const given = index % 2 === 0 ? [gave(who, own), gave(who, 'many@out.example')] : [gave(who, 'many@out.example'), gave(who, own)];
      return arrive([says(who), ...given], pages[index % pages.length] ?? page);
    }),
  );
  const contacts = await Promise.all(all.map((who) => contactOf(who)));
  expect(new Set(contacts).size).toBe(50);
  expect(await contactOf(address('many@out.example'))).toBeUndefined();
  for (const who of all) expect(await partners((await conversationOf(who)).id)).toContain('many@out.example');
});

it('two channels that meet the same strangers in another order do not wait for each other [MODEL-3]', async () => {
  for (let round = 0; round < 25; round += 1) {
    const [first, second] = [`a-${round}@out.example`, `z-${round}@out.example`];
    const [one, two] = [await makeChannel(db), await makeChannel(db)];
    // The message’s sender is written with what is added, in one order: else each of the two would hold what the other wants.
    await Promise.all([
      arrive([says(address(second)), changed(address(second), address(first))], one),
      arrive([says(address(first)), changed(address(first), address(second))], two),
    ]);
    expect(await contactOf(address(first))).toBeDefined();
    expect(await contactOf(address(second))).toBeDefined();
  }
});

it('what is added is written in one order with the senders: who waits for the first of them does not hold the next [MODEL-3]', async () => {
  const [first, second] = ['aa-first@out.example', 'zz-second@out.example'];
  const at = await makeChannel(db);
  const held = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<void>();
  // Somebody else is just making the first one.
  const other = db.transaction().execute(async (tx) => {
    const { id } = await tx.insertInto('contact').values({ name: null }).returning('id').executeTakeFirstOrThrow();
    await tx.insertInto('contact_identity').values({ kind: 'email-address', value: first, contact_id: id }).execute();
    taken.resolve();
    await held.promise;
  });
  await taken.promise;
  const arriving = arrive([says(address(second)), changed(address(second), address(first))], at);
  await eventually(async () => {
    const { rows } = await sql`select 1 from pg_locks l join pg_stat_activity a using (pid)
      where not l.granted and l.locktype = 'transactionid' and a.query like '%insert into contact_identity%'`.execute(db);
    return rows.length > 0;
  });
  // Free: it can be inserted, and taken back, by a third one.
  await db.transaction().execute(async (tx) => {
    await sql`set local lock_timeout = '5s'`.execute(tx);
    const { id } = await tx.insertInto('contact').values({ name: null }).returning('id').executeTakeFirstOrThrow();
    await tx.insertInto('contact_identity').values({ kind: 'email-address', value: second, contact_id: id }).execute();
    await tx.deleteFrom('contact_identity').where('contact_id', '=', id).execute();
    await tx.deleteFrom('contact').where('id', '=', id).execute();
  });
  held.resolve();
  await Promise.all([other, arriving]);
  expect(await contactOf(address(first))).not.toBe(await contactOf(address(second)));
});

it('erasing finds all of it: addresses, who took part, the delivery that brought only an address [OPS-9]', async () => {
  const who = visitor();
  await arrive([says(who)]);
  await arrive([gave(who, 'secret-address@out.example')]);
  const contactId = (await contactOf(who)) ?? '';
  await transact(db, { actor: 'SYSTEM' }, (unit) => eraseContact(unit, { contactId }));
  for (const table of ['contact_identity', 'participant', 'raw_delivery', 'event'] as const) {
    const { rows } = await sql<{ hits: number }>`
      select count(*) as hits from ${sql.table(table)} t where t::text like '%secret-address%'
        or ${table === 'raw_delivery' ? sql<boolean>`position(${Buffer.from('secret-address')}::bytea in (to_jsonb(t) ->> 'body')::bytea) > 0` : sql<boolean>`false`}`.execute(
      db,
    );
    expect({ table, hits: Number(rows[0]?.hits) }).toEqual({ table, hits: 0 });
  }
});

it('who is erased while they give an address either is gone with it, or begins anew [OPS-9]', async () => {
  for (let round = 0; round < 20; round += 1) {
    const who = visitor();
    await arrive([says(who)]);
    const contactId = (await contactOf(who)) ?? '';
    await Promise.all([
      arrive([says(who), gave(who, `late-${round}@out.example`)]),
      transact(db, { actor: 'USER', userId: await makeUser(db) }, (unit) => eraseContact(unit, { contactId })).catch((error: unknown) => {
        if (!(error instanceof NotFound)) throw error;
      }),
    ]);
    // Nothing of what was given is left with the one who is gone.
    const { rows } = await sql`select 1 from participant p join conversation c on c.id = p.conversation_id where c.contact_id = ${contactId}`.execute(db);
    expect(rows).toEqual([]);
    const anew = await contactOf(who);
    expect(anew).not.toBe(contactId);
    if (anew !== undefined) expect(await partners((await conversationOf(who)).id)).toContain(`late-${round}@out.example`);
  }
});

it('who is erased while mail proves their address either is gone with it, or its sender begins anew [OPS-9]', async () => {
  for (let round = 0; round < 20; round += 1) {
    const who = visitor();
    const value = `proving-${round}@out.example`;
    await arrive([says(who), gave(who, value)]);
    const contactId = (await contactOf(who)) ?? '';
    const message = await answers((await conversationOf(who)).id, value);
    await Promise.all([arrive([message], mail), transact(db, { actor: 'SYSTEM' }, (unit) => eraseContact(unit, { contactId }))]);
    expect(await contactOf(address(value))).not.toBe(contactId);
  }
});

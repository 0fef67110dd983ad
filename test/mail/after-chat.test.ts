import { randomUUID } from 'node:crypto';
import type { Plugin, RawDelivery } from '@trunkline/channel-sdk';
import chat from '@trunkline/plugin-chat';
import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Engine } from '#activities/dependencies.ts';
import { createActivities } from '#activities/index.ts';
import { sendFirst } from '#activities/outbox.ts';
import { loadChannel } from '#commands/channel-settings.ts';
import { connectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { applyDeliveries, storeDelivery } from '#commands/intake.ts';
import { eraseContact } from '#commands/erasing.ts';
import { keepHere, sweepGone } from '#commands/presence.ts';
import { replyChannelsOf } from '#commands/reply-channels.ts';
import { safeParts } from '#commands/safe-html.ts';
import { close } from '#commands/tickets.ts';
import { carryUnread } from '#commands/unread-answers.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { DELIVERY_HEADERS } from '#plugins/email/test/corpus/samples.ts';
import { createLogger } from '#runtime/log.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { emailSettings, placeId } from '../support/email-channel.ts';
import { makeUser, testKeys } from '../support/fixtures.ts';
import { fakeSmtp, type FakeSmtp } from '../support/smtp-fake.ts';
import { mailFrom, type ArrivingMail, type At } from './world.ts';

const plugins = [email, chat, form];

let database: TestDatabase;
let db: Db;
let server: FakeSmtp;
let engine: Engine;
let closeActivities: () => Promise<void>;
let ada: string;
let support: At;
let widget: At;
let contactForm: At;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  server = await fakeSmtp();
  const set = createActivities({
    db,
    keys: testKeys,
    plugins,
    configUrl: new URL('../support/config.ts', import.meta.url).href,
    waker: { signalWithStart: () => Promise.resolve(), terminate: () => Promise.resolve(false) },
    log: createLogger({ service: 'test', level: 'fatal' }),
    now: () => Date.now(),
  });
  engine = set.engine;
  closeActivities = () => set.close();
  ada = await makeUser(db, { name: 'Ada Lindqvist' });
  support = await connected(email, 'support-1', {
    ...emailSettings('support@acme.example', server.port),
    inboundDomain: 'in.trunkline.example',
    trustedAuthenticator: 'mx.acme.example',
  });
  widget = await connected(chat, 'chat-1', { title: 'Acme chat', replyChannel: 'support-1' });
  contactForm = await connected(form, 'form-1', { title: 'Contact us', replyChannel: 'support-1' });
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await closeActivities();
  await server.close();
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

async function connected(plugin: Plugin, key: string, settings: Record<string, unknown>): Promise<At> {
  const input = { plugin: plugin.key, name: `Acme ${key}`, placeId: await placeId(db, 'HELP_DESK'), key, settings };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins, keys: testKeys }, input));
  return { id: value.channelId, key };
}

/** Stored, parsed by the real plugin and taken in; the conversation its message is in. */
async function arrive(at: At, plugin: Plugin, raw: Omit<RawDelivery, 'receivedAt'>): Promise<string> {
  const receivedAt = new Date().toISOString();
  const { deliveryId } = await storeDelivery(db, at.id, { ...raw, receivedAt });
  const channel = await loadChannel(db, testKeys, { id: at.id });
  if (channel === undefined) throw new Error('the channel is gone');
  const context = createPluginContext(channel.info, { sign: (text) => testKeys.signFor(at.key, text), log: () => undefined });
  const events = await plugin.parse({ ...raw, receivedAt }, context);
  await applyDeliveries(db, { keys: testKeys, capabilities: plugin.capabilities }, at.id, [{ deliveryId, receivedAt, events, safe: safeParts(events) }]);
  const row = await db.selectFrom('message').select('conversation_id').where('raw_delivery_id', '=', deliveryId).executeTakeFirstOrThrow();
  return row.conversation_id;
}

let visitors = 0;
const newVisitor = () => `visitor${'a'.repeat(17)}${'abcdefghijklmnopqrstuvwxyz'[(visitors += 1)] ?? 'a'}z`;
const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));
const write = (visitor: string, text: string, more: object = {}) =>
  arrive(widget, chat, {
    method: 'POST',
    url: 'https://help.acme.example/pages/chat/chat-1/messages',
    headers: { 'content-type': 'application/json', 'x-chat-visitor': visitor, 'x-chat-what': 'message' },
    body: json({ id: randomUUID(), text, ...more }),
  });
const submit = (values: object) =>
  arrive(contactForm, form, {
    method: 'POST',
    url: 'https://help.acme.example/pages/form/form-1',
    headers: { 'content-type': 'application/json' },
    body: json(values),
  });
const mailIn = ({ mail, headers = {} }: ArrivingMail) =>
  arrive(support, email, { method: 'SMTP', url: 'smtp:/support-1', headers: { ...DELIVERY_HEADERS, ...headers }, body: Buffer.from(mail) });

const here = (visitor: string) => keepHere(db, [{ channelId: widget.id, kind: 'visitor', value: visitor }]);
const gone = (visitor: string) => db.updateTable('visitor_presence').set({ here: false }).where('value', '=', visitor).execute();
async function answer(conversationId: string, text: string, channelId: string | null = null): Promise<void> {
  const { value, wakes } = await transact(db, { actor: 'USER', userId: ada }, (unit) => reply(unit, plugins, { conversationId, text, channelId }));
  // What a page shows is sent with that; the rest is waiting to be.
  if (wakes.some(({ kind }) => kind === 'outbox')) await sendFirst(engine, conversationId);
  const { state } = await db.selectFrom('outbound').select('state').where('message_id', '=', value.messageId).executeTakeFirstOrThrow();
  expect(state).toBe('SENT');
}
const currentOf = async (id: string) => (await db.selectFrom('conversation').select('channel_id').where('id', '=', id).executeTakeFirstOrThrow()).channel_id;
const preferred = async (id: string) => ((await replyChannelsOf(db, plugins, ada, [id])).get(id) ?? []).find((one) => one.isDefault)?.channelId;
const header = (mime: string, name: string): string => new RegExp(`^${name}: (.*(?:\r\n[ \t].*)*)`, 'im').exec(mime)?.[1]?.replaceAll(/\r\n[ \t]/g, ' ') ?? '';
const address = (text: string): string => /<([^>]+)>/.exec(text)?.[1] ?? text;
const lastMail = () => {
  const mail = server.mails.at(-1);
  if (mail === undefined) throw new Error('no mail was sent');
  return mail;
};

it('a chat goes on by mail once the visitor has left, comes back by mail, and is a chat again when they write there [CHAT-3, MODEL-5]', async () => {
  const visitor = newVisitor();
  const id = await write(visitor, 'My lamp is broken, my number is 4711.', { email: 'Ben@Customer.example', name: 'Ben' });
  await here(visitor);
  expect(await preferred(id)).toBe(widget.id);
  await answer(id, 'One moment.');
  expect(server.mails).toHaveLength(0);
  expect(await currentOf(id)).toBe(widget.id);

  await gone(visitor);
  expect(await preferred(id)).toBe(support.id);
  await answer(id, 'We send you a new one.');
  expect(await currentOf(id)).toBe(support.id);
  const first = lastMail();
  expect(first.to).toEqual(['ben@customer.example']);
  expect(header(first.mime, 'Subject')).toBe('Your conversation with Acme chat-1');
  expect(first.mime).toContain('We send you a new one.');
  // Anybody can type an address: nothing of what was said goes there unasked.
  expect(first.mime).not.toContain('4711');
  expect(first.mime).not.toContain('One moment.');

  const back = mailFrom('Ben <ben@customer.example>', {
    To: address(header(first.mime, 'Reply-To')),
    'In-Reply-To': header(first.mime, 'Message-ID'),
    Subject: `Re: ${header(first.mime, 'Subject')}`,
    'Authentication-Results': '',
  });
  expect(await addressOwner('ben@customer.example')).toBeUndefined();
  expect(await mailIn(back)).toBe(id);
  expect(await addressOwner('ben@customer.example')).toBe(await contactOf(id));
  expect(await currentOf(id)).toBe(support.id);
  await answer(id, 'It is on its way.');
  expect(header(lastMail().mime, 'Subject')).toBe('Re: Your conversation with Acme chat-1');
  expect(header(lastMail().mime, 'In-Reply-To')).toBe(back.id);

  await here(visitor);
  expect(await write(visitor, 'It has come!')).toBe(id);
  expect(await currentOf(id)).toBe(widget.id);
  expect(await preferred(id)).toBe(widget.id);
  const mails = server.mails.length;
  await answer(id, 'Good.');
  expect(server.mails).toHaveLength(mails);
  expect(
    await db
      .selectFrom('conversation')
      .selectAll()
      .where('contact_id', '=', await contactOf(id))
      .execute(),
  ).toHaveLength(1);
});

const contactOf = async (id: string) => (await db.selectFrom('conversation').select('contact_id').where('id', '=', id).executeTakeFirstOrThrow()).contact_id;

const addressOwner = async (value: string) =>
  (await db.selectFrom('contact_identity').select('contact_id').where('value', '=', value).executeTakeFirst())?.contact_id;

it('whoever types a stranger’s address gets none of the stranger’s mail [CHAT-3, MODEL-3]', async () => {
  const id = await write(newVisitor(), 'It is me, Vera.', { email: 'vera@bank.example', name: 'Vera' });
  const veras = await mailIn(mailFrom('Vera <vera@bank.example>'));
  expect(veras).not.toBe(id);
  expect(await contactOf(veras)).not.toBe(await contactOf(id));
  // She has it now: an answer of hers in that chat does not change that.
  await answer(id, 'Hello Vera.');
  expect(await mailIn(mailFrom('Vera <vera@bank.example>', { To: address(header(lastMail().mime, 'Reply-To')) }))).toBe(id);
  expect(await addressOwner('vera@bank.example')).toBe(await contactOf(veras));
});

it('an address that another contact has is answered all the same, and its owner’s answer joins this conversation without making them one [CHAT-3, MODEL-14]', async () => {
  const cleos = await mailIn(mailFrom('Cleo <cleo@partner.example>'));
  const visitor = newVisitor();
  const id = await write(visitor, 'It is me, Cleo.', { email: 'cleo@partner.example' });
  await answer(id, 'Here you are.');
  const sent = lastMail();
  expect(sent.to).toEqual(['cleo@partner.example']);
  const back = mailFrom('Cleo <cleo@partner.example>', { To: address(header(sent.mime, 'Reply-To')), 'Authentication-Results': '' });
  expect(await mailIn(back)).toBe(id);
  expect(await contactOf(id)).not.toBe(await contactOf(cleos));
});

it('of several addresses the one given last is answered, also over one that wrote before [CHAT-3]', async () => {
  await mailIn(mailFrom('Mia <mia@other.example>'));
  const visitor = newVisitor();
  const id = await write(visitor, 'Hello', { email: 'mai@other.example' });
  await write(visitor, 'I mean this one', { email: 'mia@other.example' });
  await answer(id, 'Here.');
  expect(lastMail().to).toEqual(['mia@other.example']);
  await mailIn(mailFrom('Mia <mia@other.example>', { To: address(header(lastMail().mime, 'Reply-To')) }));
  await write(visitor, 'Rather at home', { email: 'mia@home.example' });
  await answer(id, 'There.');
  expect(lastMail().to).toEqual(['mia@home.example']);
});

it('the agent answers by mail while the visitor is there, and on the page while they are not [CHAT-3]', async () => {
  const visitor = newVisitor();
  const id = await write(visitor, 'Hello', { email: 'dora@customer.example' });
  await here(visitor);
  await answer(id, 'By mail.', support.id);
  expect(lastMail().to).toEqual(['dora@customer.example']);
  await gone(visitor);
  const mails = server.mails.length;
  await answer(id, 'On the page.', widget.id);
  expect(server.mails).toHaveLength(mails);
  expect(await currentOf(id)).toBe(widget.id);
});

it('without an address the page takes the answer, for the visitor who comes back [CHAT-3]', async () => {
  const id = await write(newVisitor(), 'Hello');
  const mails = server.mails.length;
  await answer(id, 'Are you there?');
  expect(server.mails).toHaveLength(mails);
  expect(await currentOf(id)).toBe(widget.id);
});

it('a form is answered by mail under its own subject, and the answer comes back into the same conversation [FORM-3, MODEL-5]', async () => {
  const id = await submit({ email: 'emil@customer.example', name: 'A broken lamp', description: 'It broke.' });
  await answer(id, 'We send you a new one.');
  expect(await currentOf(id)).toBe(support.id);
  const sent = lastMail();
  expect([sent.to, header(sent.mime, 'Subject')]).toEqual([['emil@customer.example'], 'A broken lamp']);
  const back = mailFrom('Emil <emil@customer.example>', { To: address(header(sent.mime, 'Reply-To')), 'Authentication-Results': '' });
  expect(await mailIn(back)).toBe(id);
  // A second submission is a conversation of its own: a form has no thread.
  expect(await submit({ email: 'emil@customer.example', name: 'Another', description: 'It broke too.' })).not.toBe(id);
});

/** The visitor’s page fell silent more than a minute ago. */
const silent = (visitor: string) =>
  db
    .updateTable('visitor_presence')
    .set({ seen_at: sql<Date>`now() - interval '61 seconds'` })
    .where('value', '=', visitor)
    .execute();
const leave = async (visitor: string): Promise<void> => {
  await silent(visitor);
  await sweepGone(db, 100);
};
const carry = () => carryUnread(db, plugins, 100);
const carried = (id: string) =>
  db
    .selectFrom('message')
    .select(['id', 'text', 'automatic', 'author_user_id'])
    .where('conversation_id', '=', id)
    .where('channel_id', '=', support.id)
    .where('direction', '=', 'OUTBOUND')
    .orderBy('arrival')
    .execute();

it('what was answered in the minute after the tab was closed is mailed once the visitor has left, as one mail, whoever looks [CHAT-3, CHAT-6]', async () => {
  const visitor = newVisitor();
  const id = await write(visitor, 'Hello', { email: 'nina@customer.example' });
  await here(visitor);
  await answer(id, 'First.');
  await answer(id, 'Second.');
  expect(await carry()).toEqual([]);
  const mails = server.mails.length;
  await Promise.all(Array.from({ length: 10 }, () => leave(visitor)));
  await Promise.all(Array.from({ length: 20 }, carry));
  expect(await carried(id)).toMatchObject([{ text: 'First.\n\nSecond.', automatic: true, author_user_id: ada }]);
  expect((await sendFirst(engine, id)).outcome).toBe('SENT');
  expect(server.mails.length).toBe(mails + 1);
  expect(lastMail().to).toEqual(['nina@customer.example']);
  expect(header(lastMail().mime, 'Subject')).toBe('Your conversation with Acme chat-1');
  expect(await currentOf(id)).toBe(support.id);
  const said = await db
    .selectFrom('event')
    .select(['why', 'actor'])
    .where('conversation_id', '=', id)
    .where('kind', '=', 'MESSAGE_WRITTEN')
    .orderBy('id', 'desc')
    .executeTakeFirst();
  expect(said).toEqual({ why: 'UNREAD_WHEN_LEFT', actor: 'SYSTEM' });

  // They look in again and leave: nothing is mailed twice, only what is new.
  await here(visitor);
  await answer(id, 'Third.', widget.id);
  await leave(visitor);
  await carry();
  expect((await carried(id)).map((row) => row.text)).toEqual(['First.\n\nSecond.', 'Third.']);
  expect((await sendFirst(engine, id)).outcome).toBe('SENT');
});

it('not what was read, nor of a closed conversation, nor without an address, nor where they are back [CHAT-3]', async () => {
  const [reader, closer, nameless, back] = [newVisitor(), newVisitor(), newVisitor(), newVisitor()];
  const ids = [
    await write(reader, 'Hello', { email: 'reader@customer.example' }),
    await write(closer, 'Hello', { email: 'closer@customer.example' }),
    await write(nameless, 'Hello'),
    await write(back, 'Hello', { email: 'back@customer.example' }),
  ] as const;
  for (const visitor of [reader, closer, nameless, back]) await here(visitor);
  for (const id of ids) await answer(id, 'One moment.');
  await db.updateTable('outbound').set({ state: 'READ' }).where('conversation_id', '=', ids[0]).execute();
  await transact(db, { actor: 'USER', userId: ada }, (unit) => close(unit, { conversationId: ids[1] }, 'BY_HAND', plugins));
  for (const visitor of [reader, closer, nameless, back]) await leave(visitor);
  await here(back);
  await carry();
  for (const id of ids) expect(await carried(id)).toEqual([]);
  // What the one who came back leaves again without reading is still to be sent on.
  await leave(back);
  await carry();
  expect(await carried(ids[3])).toHaveLength(1);
});

it('an erased contact’s answers go nowhere, also where they are sent on at that moment [CHAT-3, OPS-9]', async () => {
  for (let round = 0; round < 5; round += 1) {
    const visitor = newVisitor();
    const id = await write(visitor, 'Hello', { email: `gone-${round}@customer.example` });
    await here(visitor);
    await answer(id, 'One moment.');
    await leave(visitor);
    const contactId = (await contactOf(id)) ?? '';
    await Promise.all([carry(), carry(), transact(db, { actor: 'SYSTEM' }, (unit) => eraseContact(unit, { contactId }))]);
    expect(await carried(id)).toEqual([]);
  }
});

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyDeliveries, failDelivery, MAX_TRIES, redeliver, storeDelivery, takeDeliveries } from '#commands/intake.ts';
import { close } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { checkInvariants } from '#db/invariants.ts';
import type { Db } from '#db/database.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const deps = { keys: testKeys, capabilities: plainCapabilities };
const messagesOf = (channel: MadeChannel) =>
  db.selectFrom('message').selectAll().where('channel_id', '=', channel.id).orderBy('occurred_at').orderBy('arrival').execute();
const conversationsOf = (channel: MadeChannel) => db.selectFrom('conversation').selectAll().where('channel_id', '=', channel.id).orderBy('id').execute();

describe('taking messages in', () => {
  it('gives every new conversation of the help desk a ticket with the channel’s defaults [CH-1]', async () => {
    const channel = await makeChannel(db, { place: 'HELP_DESK' });
    await take(db, channel, [inbound('a@out.example', { subject: 'Broken lamp' })]);
    const [conversation] = await conversationsOf(channel);
    const ticket = await db
      .selectFrom('ticket')
      .selectAll()
      .where('conversation_id', '=', conversation?.id ?? '')
      .executeTakeFirstOrThrow();
    expect(ticket).toMatchObject({ id: conversation?.ticket_id, name: 'Broken lamp', priority: 'MEDIUM', source: channel.key });
    expect(ticket.route_pending_since).not.toBeNull();
  });

  it('makes no ticket in an inbox, unless the channel is set to [CH-1]', async () => {
    const plain = await makeChannel(db, { place: 'INBOX' });
    const making = await makeChannel(db, { place: 'INBOX', createTickets: true });
    await take(db, plain, [inbound('b@out.example')]);
    await take(db, making, [inbound('b@out.example')]);
    expect((await conversationsOf(plain))[0]?.ticket_id).toBeNull();
    expect((await conversationsOf(making))[0]?.ticket_id).not.toBeNull();
  });

  it('takes in what arrives while the channel is off, and routes nothing [CH-9]', async () => {
    const channel = await makeChannel(db, { enabled: false });
    await take(db, channel, [inbound('c@out.example')]);
    const [conversation] = await conversationsOf(channel);
    const ticket = await db
      .selectFrom('ticket')
      .selectAll()
      .where('id', '=', conversation?.ticket_id ?? '')
      .executeTakeFirstOrThrow();
    expect(await messagesOf(channel)).toHaveLength(1);
    expect(ticket.route_pending_since).toBeNull();
  });

  it('makes one message of the same delivery fifty times at once [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    const event = inbound('twin@out.example', { providerMessageId: 'same-one' });
    const parsed = await Promise.all(Array.from({ length: 50 }, () => deliver(db, channel, [event])));
    const apply = async (): Promise<void> => {
      for (;;) {
        const { value } = await applyDeliveries(db, deps, channel.id, parsed);
        if (!value.busy) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await Promise.all(Array.from({ length: 8 }, apply));
    expect(await messagesOf(channel)).toHaveLength(1);
    expect(await conversationsOf(channel)).toHaveLength(1);
  });

  it('knows a provider message again when another delivery brings it days later [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('d@out.example', { providerMessageId: 'again', dedupeKey: 'first' })]);
    await take(db, channel, [inbound('d@out.example', { providerMessageId: 'again', dedupeKey: 'second' })]);
    expect(await messagesOf(channel)).toHaveLength(1);
  });

  it('orders by the provider’s date, never later than our receipt, then by arrival [MODEL-4]', async () => {
    const channel = await makeChannel(db);
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
    const first = inbound('e@out.example', { occurredAt: ago(60), text: 'second' });
    await take(db, channel, [first]);
    const keys = first.thread.keys;
    await take(db, channel, [
      inbound('e@out.example', { occurredAt: ago(120), text: 'first', joins: keys }),
      inbound('e@out.example', { occurredAt: ago(-3600), text: 'third', joins: keys }),
      inbound('e@out.example', { text: 'fourth', joins: keys }),
    ]);
    const rows = await messagesOf(channel);
    expect(rows.map((row) => row.text)).toEqual(['first', 'second', 'third', 'fourth']);
    expect(rows.every((row) => row.occurred_at <= row.received_at)).toBe(true);
  });

  it('makes one contact of an unknown identity, however many arrive at once on several channels [MODEL-3]', async () => {
    const channels = await Promise.all(Array.from({ length: 8 }, () => makeChannel(db)));
    const people = ['x@crowd.example', 'y@crowd.example', 'z@crowd.example'];
    await Promise.all(
      channels.map(async (channel, index) => {
        const order = index % 2 === 0 ? people : people.toReversed();
        await take(
          db,
          channel,
          order.map((from) => inbound(from)),
        );
      }),
    );
    for (const person of people) {
      const rows = await db.selectFrom('contact_identity').select('contact_id').where('value', '=', person).execute();
      expect(rows).toHaveLength(1);
    }
  });

  it('continues the conversation a thread key leads to, for one who takes part only where the plugin asks it [EMAIL-5]', async () => {
    const channel = await makeChannel(db);
    const first = inbound('owner@out.example');
    const strict = { ...plainCapabilities, joinsParticipantsOnly: true };
    await take(db, channel, [first], strict);
    await take(db, channel, [inbound('owner@out.example', { joins: first.thread.keys })], strict);
    await take(db, channel, [inbound('stranger@out.example', { joins: first.thread.keys })], strict);
    const conversations = await conversationsOf(channel);
    expect(conversations).toHaveLength(2);
    expect((await messagesOf(channel)).map((row) => row.conversation_id === conversations[0]?.id)).toEqual([true, true, false]);
  });

  it('never matches a message without a sender to anybody [EMAIL-7]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('', { contact: null }), inbound('', { contact: null })]);
    const conversations = await conversationsOf(channel);
    expect(conversations.map((row) => row.contact_id)).toEqual([null, null]);
  });

  it('keeps automatic mail that answers nothing of ours without a conversation [EMAIL-6]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('robot@out.example', { automatic: 'auto-reply' })]);
    expect(await conversationsOf(channel)).toHaveLength(0);
    const [raw] = await db.selectFrom('raw_delivery').selectAll().where('channel_id', '=', channel.id).execute();
    expect(raw).toMatchObject({ state: 'DONE', failure_code: 'Filtered' });
  });

  it('records every arrival on the timeline with ids only [MODEL-7]', async () => {
    const channel = await makeChannel(db);
    await take(db, channel, [inbound('private@out.example', { subject: 'Very private', text: 'Very secret' })]);
    const [conversation] = await conversationsOf(channel);
    const events = await db
      .selectFrom('event')
      .selectAll()
      .where('conversation_id', '=', conversation?.id ?? '')
      .orderBy('id')
      .execute();
    expect(events.map((event) => event.kind)).toEqual(['CONVERSATION_STARTED', 'MESSAGE_RECEIVED', 'TICKET_CREATED']);
    expect(JSON.stringify(events)).not.toMatch(/private|secret/i);
  });
});

describe('a contact’s message in a closed conversation', () => {
  async function closed(options: Parameters<typeof makeChannel>[1]) {
    const channel = await makeChannel(db, options);
    const first = inbound('back@out.example');
    await take(db, channel, [first]);
    const [conversation] = await conversationsOf(channel);
    const id = conversation?.id ?? '';
    await transact(db, { actor: 'SYSTEM' }, (unit) => close(unit, { conversationId: id }));
    return { channel, id, joins: first.thread.keys };
  }
  const ticketOf = (conversationId: string) => db.selectFrom('ticket').selectAll().where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();

  it('reopens conversation and ticket by default [MODEL-6, MODEL-13]', async () => {
    const { channel, id, joins } = await closed({});
    const { wakes } = await take(db, channel, [inbound('back@out.example', { joins })]);
    expect((await conversationsOf(channel)).map((row) => row.status)).toEqual(['OPEN']);
    const ticket = await ticketOf(id);
    expect(ticket.closed_at).toBeNull();
    expect(wakes).toContainEqual(expect.objectContaining({ kind: 'ticket', number: ticket.number }));
  });

  it('starts a new one, linked, after the days are over, and the thread leads there from then on [MODEL-6]', async () => {
    const { channel, id, joins } = await closed({ reopening: 'NEW_AFTER', reopenDays: 3 });
    await take(db, channel, [inbound('back@out.example', { joins })]);
    expect(await conversationsOf(channel)).toHaveLength(1);
    await transact(db, { actor: 'SYSTEM' }, (unit) => close(unit, { conversationId: id }));
    await db
      .updateTable('conversation')
      .set({ closed_at: new Date(Date.now() - 4 * 86_400_000) })
      .where('id', '=', id)
      .execute();
    await take(db, channel, [inbound('back@out.example', { joins })]);
    const [old, young, ...none] = await conversationsOf(channel);
    expect(none).toEqual([]);
    expect(old?.status).toBe('CLOSED');
    expect(young).toMatchObject({ status: 'OPEN', previous_conversation_id: id });
    expect((await ticketOf(young?.id ?? '')).linked_ticket_id).toBe((await ticketOf(id)).id);
    await take(db, channel, [inbound('back@out.example', { joins })]);
    const messages = await messagesOf(channel);
    expect(messages.filter((row) => row.conversation_id === young?.id)).toHaveLength(2);
  });

  it('keeps it closed and tells the owner, where the channel says so [MODEL-6, MODEL-12]', async () => {
    const { channel, id, joins } = await closed({ reopening: 'KEEP_CLOSED' });
    const owner = await makeUser(db);
    const ticket = await ticketOf(id);
    await db.insertInto('event').values({ kind: 'OWNER_CHANGED', actor: 'SYSTEM', ticket_id: ticket.id, user_id: owner }).execute();
    await db.updateTable('ticket').set({ owner_id: owner }).where('id', '=', ticket.id).execute();
    await take(db, channel, [inbound('back@out.example', { joins })]);
    expect((await conversationsOf(channel)).map((row) => row.status)).toEqual(['CLOSED']);
    expect(await messagesOf(channel)).toHaveLength(2);
    const told = await db.selectFrom('notification').selectAll().where('user_id', '=', owner).execute();
    expect(told.map((row) => row.kind)).toEqual(['MESSAGE_IN_CLOSED']);
  });

  it('does not reopen for automatic mail [MODEL-6]', async () => {
    const { channel, joins } = await closed({});
    await take(db, channel, [inbound('back@out.example', { joins, automatic: 'auto-reply' })]);
    expect((await conversationsOf(channel)).map((row) => row.status)).toEqual(['CLOSED']);
    expect(await messagesOf(channel)).toHaveLength(2);
  });
});

describe('deliveries', () => {
  const raw = () => ({ method: 'POST', url: '', headers: {}, body: Buffer.from('x'), receivedAt: new Date().toISOString() });

  it('counts a try before it starts, takes one that was tried before alone, and sets it aside after the third [PLUG-11]', async () => {
    const channel = await makeChannel(db);
    for (let index = 0; index < 3; index += 1) await storeDelivery(db, channel.id, raw());
    const ids = async () => (await takeDeliveries(db, channel.key, 50))?.deliveries.map((one) => one.id) ?? [];
    const all = await ids();
    expect(all).toHaveLength(3);
    expect(await ids()).toEqual(all.slice(0, 1));
    expect(await ids()).toEqual(all.slice(0, 1));
    // The third may still go on, here or in another drain: nothing overtakes it, and nothing is set aside yet.
    expect(await ids()).toEqual([]);
    await sql`update raw_delivery set taken_at = taken_at - interval '1 min'`.execute(db);
    expect(await ids()).toEqual(all.slice(1, 2));
    const worn = await db
      .selectFrom('raw_delivery')
      .selectAll()
      .where('id', '=', all[0] ?? 0)
      .executeTakeFirstOrThrow();
    expect(worn).toMatchObject({ state: 'SET_ASIDE', tries: MAX_TRIES, failure_code: 'Crashed' });
  });

  it('takes them in the order in which they arrived, as many as asked for [OPS-10]', async () => {
    const channel = await makeChannel(db);
    const stored: number[] = [];
    for (let index = 0; index < 5; index += 1) stored.push((await storeDelivery(db, channel.id, raw())).deliveryId);
    const taken = async () => (await takeDeliveries(db, channel.key, 3))?.deliveries.map((one) => one.id);
    expect(await taken()).toEqual(stored.slice(0, 3));
  });

  it('lets what was set aside be redelivered [PLUG-11]', async () => {
    const channel = await makeChannel(db);
    const { deliveryId } = await storeDelivery(db, channel.id, raw());
    await db.updateTable('raw_delivery').set({ tries: MAX_TRIES }).where('id', '=', deliveryId).execute();
    expect((await failDelivery(db, deliveryId, 'Malformed', 'nonsense')).value.setAside).toBe(true);
    const { wakes } = await transact(db, { actor: 'SYSTEM' }, (unit) => redeliver(unit, { deliveryId }));
    expect(wakes).toEqual([{ kind: 'intake', channelKey: channel.key, plugin: 'plain' }]);
    expect((await takeDeliveries(db, channel.key, 50))?.deliveries).toMatchObject([{ id: deliveryId, tries: 1 }]);
  });

  it('settles a delivery in the very transaction that writes its messages [PLUG-7, OPS-10]', async () => {
    const channel = await makeChannel(db);
    const good = await deliver(db, channel, [inbound('f@out.example')]);
    const bad = await deliver(db, channel, [inbound('g@out.example', { text: 'a nul\u0000byte' })]);
    await expect(applyDeliveries(db, deps, channel.id, [good, bad])).rejects.toThrow();
    expect(await messagesOf(channel)).toHaveLength(0);
    expect(await db.selectFrom('raw_delivery').select('state').where('channel_id', '=', channel.id).execute()).toEqual([
      { state: 'WAITING' },
      { state: 'WAITING' },
    ]);
    await applyDeliveries(db, deps, channel.id, [good]);
    expect(await messagesOf(channel)).toHaveLength(1);
  });
});

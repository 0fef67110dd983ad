import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTicket } from '#commands/tickets.ts';
import { setAccessList } from '#commands/places.ts';
import { transact } from '#commands/unit.ts';
import { inbound, makeChannel, makeTeam, take, type MadeChannel } from '../support/fixtures.ts';
import { globalId, openWorld, type Json, type Person, type World } from './support.ts';

let world: World;
let insider: Person;
let extra: Person;
let outsider: Person;
let outsideAdmin: Person;
let helpDesk: MadeChannel;
let inbox: MadeChannel;
let ids: Readonly<Record<'Conversation' | 'Message' | 'Ticket' | 'Channel' | 'Contact' | 'RoutingRule' | 'HelpDesk' | 'RoutingDecision' | 'Event', string>>;
let loneTicket: string;

beforeAll(async () => {
  world = await openWorld();
  insider = await world.user();
  extra = await world.user();
  outsider = await world.user();
  outsideAdmin = await world.user({ role: 'SUPER_ADMIN' });
  helpDesk = await makeChannel(world.db, { place: 'HELP_DESK' });
  inbox = await makeChannel(world.db, { place: 'INBOX' });
  const teamId = await makeTeam(world.db, { primary: [insider.id], extra: [extra.id] });
  await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: helpDesk.placeId, access: { userIds: [], teamIds: [teamId] } }));
  await take(world.db, helpDesk, [inbound('secret@outside.example', { subject: 'A secret', text: 'Nobody else' })]);
  const ticket = await world.db.selectFrom('ticket').selectAll().executeTakeFirstOrThrow();
  const conversation = await world.db.selectFrom('conversation').selectAll().executeTakeFirstOrThrow();
  const message = await world.db.selectFrom('message').select('id').executeTakeFirstOrThrow();
  const event = await world.db
    .selectFrom('event')
    .select('id')
    .where('place_id', '=', helpDesk.placeId)
    .where('conversation_id', 'is not', null)
    .executeTakeFirstOrThrow();
  const decision = await world.db
    .insertInto('routing_decision')
    .values({ conversation_id: conversation.id, ticket_id: ticket.id, explanation: JSON.stringify({ outcome: 'RULE_IS_NOBODY', candidates: [] }) })
    .returning('id')
    .executeTakeFirstOrThrow();
  ids = {
    Conversation: conversation.id,
    Message: message.id,
    Ticket: ticket.id,
    Channel: helpDesk.id,
    Contact: conversation.contact_id ?? '',
    RoutingRule: helpDesk.ruleId,
    HelpDesk: helpDesk.placeId,
    RoutingDecision: decision.id,
    Event: String(event.id),
  };
  const { value } = await transact(world.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'Lone', source: 'API' }));
  loneTicket = value.ticketId;
});
afterAll(() => world?.close());

const fetchAll = async (who: Person): Promise<Record<string, unknown>> => {
  const found: Record<string, unknown> = {};
  for (const [type, id] of Object.entries(ids)) {
    const { node } = await who.ask('query ($id: ID!) { node(id: $id) { __typename } }', { id: globalId(type, id) });
    found[type] = node === null ? null : 'seen';
  }
  return found;
};

test('whoever has access to a place sees all of it, whoever owns it; all members of a listed team have access [MODEL-11]', async () => {
  for (const who of [insider, extra]) {
    const found = await fetchAll(who);
    expect(Object.values(found), JSON.stringify(found)).not.toContain(null);
  }
});

test('what one may not see is not found, in every type and whatever the role; admins see channels, places and rules, but no content [API-6] [MODEL-11]', async () => {
  expect(new Set(Object.values(await fetchAll(outsider)))).toEqual(new Set([null]));
  expect(await fetchAll(outsideAdmin)).toEqual({
    Conversation: null,
    Message: null,
    Ticket: null,
    Channel: 'seen',
    Contact: null,
    RoutingRule: 'seen',
    HelpDesk: 'seen',
    RoutingDecision: null,
    Event: null,
  });
});

test('lists, the number of a ticket and what others lead to leave out what may not be seen [API-6]', async () => {
  for (const who of [outsider, outsideAdmin]) {
    const answer = await who.ask(
      `{ tickets { edges { node { id } } } conversations { edges { node { id } } } ticketByNumber(number: 1001) { id }
         places { edges { node { name conversations { edges { node { id } } } channels { edges { node { key conversations { edges { node { id } } } } } } } } } }`,
    );
    expect(answer['ticketByNumber']).toBeNull();
    expect(answer['tickets']).toEqual({ edges: [] });
    expect(answer['conversations']).toEqual({ edges: [] });
    expect(JSON.stringify(answer['places'])).not.toContain('"id"');
  }
  const { channels } = await outsider.ask('{ channels { edges { node { key settings } } } }');
  expect(channels).toEqual({ edges: [{ node: { key: inbox.key, settings: null } }] });
});

test('a ticket without a conversation is seen by the members of the help desk and nobody else [API-6]', async () => {
  const ask = async (who: Person) => (await who.ask('query ($id: ID!) { node(id: $id) { id } }', { id: globalId('Ticket', loneTicket) }))['node'];
  expect(await ask(insider)).not.toBeNull();
  expect(await ask(outsider)).toBeNull();
  expect(await ask(outsideAdmin)).toBeNull();
});

test('what one may not see one can not change: it is not found [API-6]', async () => {
  const conversationId = globalId('Conversation', ids.Conversation);
  const ticketId = globalId('Ticket', ids.Ticket);
  const { pipelines } = await outsider.ask('{ pipelines { edges { node { statuses { id } } } } }');
  const statusId = (pipelines?.['edges'] as unknown as Json[])[0]?.['node']?.['statuses']?.[0 as unknown as string]?.['id'];
  const attempts: Readonly<Record<string, object>> = {
    reply: { conversationId, text: 'x' },
    comment: { conversationId, text: 'x' },
    closeConversation: { conversationId },
    sendTranscript: { conversationId },
    reopenConversation: { conversationId },
    makeTicket: { conversationId },
    setTicketStatus: { ticketId, statusId },
    setTicketPriority: { ticketId, priority: 'LOW' },
    assign: { subjectId: ticketId, ownerId: outsider.gid },
    retryMessage: { messageId: globalId('Message', ids.Message) },
    settleMaybeSent: { messageId: globalId('Message', ids.Message), sent: true },
    startConversation: { channelId: globalId('Channel', ids.Channel), to: { kind: 'email-address', value: 'a@b.example' }, text: 'x' },
  };
  const before = await world.db
    .selectFrom('event')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  for (const who of [outsider, outsideAdmin]) {
    for (const [name, input] of Object.entries(attempts)) {
      const capital = name.charAt(0).toUpperCase() + name.slice(1);
      const answer = await who.ask(`mutation ($input: ${capital}Input!) { ${name}(input: $input) { __typename } }`, { input });
      expect(answer[name], name).toEqual({ __typename: 'NotFound' });
    }
    const { createTicket: made } = await who.ask('mutation { createTicket(input: {name: "x"}) { __typename } }');
    expect(made).toEqual({ __typename: 'Forbidden' });
  }
  expect(
    await world.db
      .selectFrom('event')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow(),
  ).toEqual(before);
});

test('what providers sent and could not be read is listed to admins alone [API-6]', async () => {
  await world.db
    .insertInto('raw_delivery')
    .values({
      channel_id: inbox.id,
      method: 'POST',
      url: '',
      headers: '{}',
      body: Buffer.from('x'),
      state: 'SET_ASIDE',
      tries: 3,
      failure_code: 'Malformed',
      settled_at: new Date(),
    })
    .execute();
  const query = '{ undeliverableDeliveries { edges { node { id tries failureCode channel { key } } } } }';
  expect((await insider.ask(query))['undeliverableDeliveries']).toEqual({ edges: [] });
  const { undeliverableDeliveries } = await outsideAdmin.ask(query);
  expect(undeliverableDeliveries).toMatchObject({ edges: [{ node: { tries: 3, failureCode: 'Malformed', channel: { key: inbox.key } } }] });
  const id = (undeliverableDeliveries?.['edges'] as unknown as Json[])[0]?.['node']?.['id'];
  const redeliver = 'mutation ($input: RedeliverInput!) { redeliver(input: $input) { __typename } }';
  expect((await outsideAdmin.ask(redeliver, { input: { deliveryId: id } }))['redeliver']).toEqual({ __typename: 'Channel' });
  expect((await outsideAdmin.ask(redeliver, { input: { deliveryId: id } }))['redeliver']).toEqual({ __typename: 'NotFound' });
});

test('a notification is its user’s own [API-6] [MODEL-12]', async () => {
  const { id } = await world.db
    .insertInto('notification')
    .values({ user_id: insider.id, kind: 'TICKET_ASSIGNED', ticket_id: ids.Ticket })
    .returning('id')
    .executeTakeFirstOrThrow();
  const ask = async (who: Person) => (await who.ask('query ($id: ID!) { node(id: $id) { id } }', { id: globalId('Notification', id) }))['node'];
  expect(await ask(insider)).not.toBeNull();
  expect(await ask(outsideAdmin)).toBeNull();
  const mark = 'mutation ($input: MarkNotificationReadInput!) { markNotificationRead(input: $input) { __typename ... on Notification { readAt } } }';
  expect((await outsideAdmin.ask(mark, { input: { notificationId: globalId('Notification', id) } }))['markNotificationRead']).toEqual({
    __typename: 'NotFound',
  });
  const { markNotificationRead } = await insider.ask(mark, { input: { notificationId: globalId('Notification', id) } });
  expect(markNotificationRead?.['readAt']).not.toBeNull();
});

test('secrets of a channel are nowhere in the schema [CH-3]', async () => {
  const { __type } = await insider.ask('{ __type(name: "Channel") { fields { name } } }');
  expect(JSON.stringify(__type)).not.toMatch(/secret/i);
});

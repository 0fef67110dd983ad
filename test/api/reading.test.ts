import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTicket } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { inbound, makeChannel, makeTeam, take, type MadeChannel } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
let helpDesk: MadeChannel;
let inbox: MadeChannel;

beforeAll(async () => {
  world = await openWorld();
  agent = await world.user();
  helpDesk = await makeChannel(world.db, { place: 'HELP_DESK' });
  inbox = await makeChannel(world.db, { place: 'INBOX', createTickets: true });
});
afterAll(() => world?.close());

const edges = (connection: Json | undefined): Json[] => ((connection?.['edges'] ?? []) as unknown as Json[]).map((edge) => edge['node'] as Json);

test('who sends no token, a wrong one, or one that was revoked gets 401 and nothing else [API-5]', async () => {
  const send = (token: string | null) =>
    fetch(world.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query: '{ viewer { user { name } } }' }),
    });
  const leaving = await world.user();
  expect((await send(leaving.token)).status).toBe(200);
  await world.db.updateTable('api_token').set({ revoked_at: new Date() }).where('user_id', '=', leaving.id).execute();
  const gone = await world.user();
  await world.db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone.id).execute();
  for (const token of [null, 'not-a-token-of-ours', leaving.token, gone.token]) {
    const response = await send(token);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  }
});

test('a request is noted as the user’s last activity, at most once a minute [ROUTE-9]', async () => {
  const someone = await world.user();
  const read = () => world.db.selectFrom('app_user').select('last_active_at').where('id', '=', someone.id).executeTakeFirstOrThrow();
  expect((await read()).last_active_at).toBeNull();
  await someone.ask('{ viewer { user { id } } }');
  const first = (await read()).last_active_at;
  expect(first).not.toBeNull();
  await someone.ask('{ viewer { user { id } } }');
  expect((await read()).last_active_at).toEqual(first);
});

test('a ticket without a conversation has no thread and no subject, each with its reason, and all of its own [MODEL-8]', async () => {
  const { value } = await transact(world.db, { actor: 'USER', userId: agent.id }, (unit) =>
    createTicket(unit, { name: 'From elsewhere', description: 'What it is about', source: 'API', properties: { size: 3 } }),
  );
  const { node } = await agent.ask(
    'query ($id: ID!) { node(id: $id) { ... on Ticket { name description properties thread { id } threadAbsentBecause subject subjectAbsentBecause channel { id } contact { id } } } }',
    { id: globalId('Ticket', value.ticketId) },
  );
  expect(node).toEqual({
    name: 'From elsewhere',
    description: 'What it is about',
    properties: { size: 3 },
    thread: null,
    threadAbsentBecause: 'NO_CONVERSATION',
    subject: null,
    subjectAbsentBecause: 'NO_CONVERSATION',
    channel: null,
    contact: null,
  });
});

test('the help desk shows its own tickets and those without a conversation; those of an inbox only from their conversation [MODEL-9]', async () => {
  await take(world.db, helpDesk, [inbound('desk@outside.example', { subject: 'In the help desk' })]);
  await take(world.db, inbox, [inbound('box@outside.example', { subject: 'In the inbox' })]);
  await transact(world.db, { actor: 'USER', userId: agent.id }, (unit) => createTicket(unit, { name: 'On its own', source: 'API' }));
  const { tickets, conversations } = await agent.ask(
    '{ tickets(first: 100) { edges { node { id name thread { place { kind } } } } } conversations(first: 100) { edges { node { subject place { kind } ticket { id number name } } } } }',
  );
  const names = edges(tickets).map((ticket) => ticket['name']);
  expect(names).toContain('In the help desk');
  expect(names).toContain('On its own');
  expect(names).not.toContain('In the inbox');
  const held = edges(conversations).find((one) => one['subject'] === ('In the inbox' as unknown as Json));
  expect(held).toMatchObject({ place: { kind: 'INBOX' }, ticket: { name: 'In the inbox' } });
});

test('what waits for triage is a filter of tickets and of conversations, oldest first [ROUTE-1]', async () => {
  for (const subject of ['first', 'second', 'third']) await take(world.db, helpDesk, [inbound(`${subject}@triage.example`, { subject })]);
  const second = await world.db.selectFrom('ticket').select('id').where('name', '=', 'second').executeTakeFirstOrThrow();
  await agent.ask('mutation ($input: AssignInput!) { assign(input: $input) { __typename } }', {
    input: { subjectId: globalId('Ticket', second.id), ownerId: agent.gid },
  });
  const answer = await agent.ask(
    '{ tickets(filter: {unassigned: true}, first: 100) { edges { node { name } } } conversations(filter: {unassigned: true}, first: 100) { edges { node { subject } } } }',
  );
  for (const [list, field] of [
    ['tickets', 'name'],
    ['conversations', 'subject'],
  ] as const) {
    const names = edges(answer[list]).map((one) => text(one[field]));
    expect(names.filter((name) => ['first', 'second', 'third'].includes(name))).toEqual(['first', 'third']);
  }
});

test('messages come by the provider’s date and then by arrival, whatever the order in which they came [MODEL-4]', async () => {
  const key = 'thread-of-order';
  const early = '2026-01-01T10:00:00.000Z';
  const late = '2026-01-02T10:00:00.000Z';
  await take(world.db, helpDesk, [inbound('order@outside.example', { text: 'b', occurredAt: late, thread: { joins: [key], keys: [key] } })]);
  await take(world.db, helpDesk, [inbound('order@outside.example', { text: 'c', occurredAt: late, thread: { joins: [key], keys: [key] } })]);
  await take(world.db, helpDesk, [inbound('order@outside.example', { text: 'a', occurredAt: early, thread: { joins: [key], keys: [key] } })]);
  const { conversation_id: id } = await world.db.selectFrom('thread_key').select('conversation_id').where('key', '=', key).executeTakeFirstOrThrow();
  const query =
    'query ($id: ID!, $after: String) { node(id: $id) { ... on Conversation { messages(first: 2, after: $after) { pageInfo { hasNextPage endCursor } edges { node { text } } } } } }';
  const one = (await agent.ask(query, { id: globalId('Conversation', id) }))['node']?.['messages'];
  expect(edges(one).map((message) => message['text'])).toEqual(['a', 'b']);
  expect(one?.['pageInfo']).toMatchObject({ hasNextPage: true });
  const two = (await agent.ask(query, { id: globalId('Conversation', id), after: one?.['pageInfo']?.['endCursor'] }))['node']?.['messages'];
  expect(edges(two).map((message) => message['text'])).toEqual(['c']);
});

test('pages are by keyset: rows of the very same moment come once each, forwards and backwards [API-2]', async () => {
  const at = new Date();
  await world.db
    .insertInto('team')
    .values(Array.from({ length: 25 }, (_, index) => ({ name: `page ${index}`, created_at: at })))
    .execute();
  for (const backward of [false, true]) {
    const seen: string[] = [];
    let cursor: unknown = null;
    for (;;) {
      const { teams } = await agent.ask(
        backward
          ? 'query ($c: String) { teams(last: 7, before: $c) { pageInfo { hasPreviousPage startCursor } edges { node { name } } } }'
          : 'query ($c: String) { teams(first: 7, after: $c) { pageInfo { hasNextPage endCursor } edges { node { name } } } }',
        { c: cursor },
      );
      const names = edges(teams).map((team) => text(team['name']));
      seen.push(...(backward ? names.toReversed() : names));
      const info = teams?.['pageInfo'];
      cursor = info?.[backward ? 'startCursor' : 'endCursor'];
      if ((info?.[backward ? 'hasPreviousPage' : 'hasNextPage'] as unknown) !== true) break;
    }
    const pages = seen.filter((name) => name.startsWith('page '));
    expect(pages).toHaveLength(25);
    expect(new Set(pages).size).toBe(25);
  }
});

test('a page of more than a hundred is refused, naming the limit [API-7]', async () => {
  const { errors } = await agent.raw('{ users(first: 101) { edges { node { id } } } }');
  expect(errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'pageSize', max: 100 });
});

test('depth, cost and breadth are limited and each error says which [API-7]', async () => {
  const deep = `{ conversations { edges { node { ${'ticket { thread { '.repeat(10)} id ${'} }'.repeat(10)} } } } }`;
  expect((await agent.raw(deep)).errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'depth' });
  const wide = `{ users { edges { node { ${'id '.repeat(450)} } } } }`;
  expect((await agent.raw(wide)).errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'breadth' });
  const costly =
    '{ users(first: 100) { edges { node { id } } } conversations(first: 100) { edges { node { messages(first: 100) { edges { node { id text conversation { messages(first: 100) { edges { node { id } } } } } } } } } } }';
  expect((await agent.raw(costly)).errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'complexity' });
});

test('the number of statements of the ticket list is the same for 10 and for 100 rows [API-8]', async () => {
  const owners = await Promise.all(Array.from({ length: 12 }, () => world.user()));
  for (const owner of owners) await makeTeam(world.db, { primary: [owner.id] });
  const channels = await Promise.all(Array.from({ length: 4 }, () => makeChannel(world.db)));
  for (let index = 0; index < 110; index += 1) {
    const channel = channels[index % channels.length];
    if (channel !== undefined) await take(world.db, channel, [inbound(`many-${index}@outside.example`)]);
  }
  const tickets = await world.db.selectFrom('ticket').select('id').where('conversation_id', 'is not', null).execute();
  for (const [index, ticket] of tickets.entries()) {
    await world.db
      .updateTable('ticket')
      .set({ owner_id: owners[index % owners.length]?.id ?? null })
      .where('id', '=', ticket.id)
      .execute();
  }
  const query = `query ($first: Int!) { tickets(filter: {hasThread: true}, first: $first) { edges { node {
    number name owner { name } team { name } contact { name identities { value } } channel { name place { name } } status { name pipeline { name } }
    thread { lastMessage { text author { name } } messages(last: 3) { edges { node { text delivery { state } } } } }
    timeline(first: 3) { edges { node { kind actorUser { name } } } }
  } } } }`;
  const count = async (first: number) => {
    await agent.ask('{ viewer { user { id } } }');
    world.statements.length = 0;
    const answer = await agent.ask(query, { first });
    expect(edges(answer['tickets'])).toHaveLength(first);
    return world.statements.length;
  };
  const ten = await count(10);
  expect(await count(100)).toBe(ten);
  expect(ten).toBeLessThan(25);
});

test('a global id of another type, a malformed one and one of nothing are told apart from an error of ours [API-2]', async () => {
  expect((await agent.raw('{ node(id: "bm90IG9uZQ==") { id } }')).errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  expect((await agent.raw('{ node(id: "%%%") { id } }')).errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  const nothing = globalId('Ticket', '00000000-0000-7000-8000-000000000000');
  expect(await agent.ask('query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }', { id: nothing })).toEqual({ node: null, nodes: [null] });
  expect(world.errors).toEqual([]);
});

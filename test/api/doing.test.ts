import { ChannelFailure, type PluginContext } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTicket } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { ROLES, reaches } from '#api/roles.ts';
import { schema } from '#api/schema/index.ts';
import { inbound, makeChannel, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
let admin: Person;
let superAdmin: Person;
let channel: MadeChannel;

beforeAll(async () => {
  world = await openWorld();
  agent = await world.user();
  admin = await world.user({ role: 'ADMIN' });
  superAdmin = await world.user({ role: 'SUPER_ADMIN' });
  channel = await makeChannel(world.db);
});
afterAll(() => world?.close());

async function conversation(from: string): Promise<string> {
  await take(world.db, channel, [inbound(from)]);
  const row = await world.db
    .selectFrom('conversation')
    .innerJoin('contact_identity', 'contact_identity.contact_id', 'conversation.contact_id')
    .select('conversation.id')
    .where('contact_identity.value', '=', from)
    .executeTakeFirstOrThrow();
  return row.id;
}

const REPLY =
  'mutation ($input: ReplyInput!) { reply(input: $input) { __typename ... on Message { id text delivery { state canRetry } author { id } } ... on Refusal { message } ... on IdempotencyKeyReused { operation } } }';

test('the same key twenty times at once does it once and answers the same [API-4]', async () => {
  const id = await conversation('once@outside.example');
  const input = { conversationId: globalId('Conversation', id), text: 'Only once', idempotencyKey: 'key-1' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => agent.ask(REPLY, { input })));
  const ids = new Set(answers.map((answer) => text(answer['reply']?.['id'])));
  expect(ids.size).toBe(1);
  const { count } = await world.db
    .selectFrom('message')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('conversation_id', '=', id)
    .where('direction', '=', 'OUTBOUND')
    .executeTakeFirstOrThrow();
  expect(count).toBe(1);
  expect(answers[0]?.['reply']).toMatchObject({
    __typename: 'Message',
    text: 'Only once',
    delivery: { state: 'QUEUED', canRetry: null },
    author: { id: agent.gid },
  });
});

test('a key used with other arguments, or for another operation, is refused as a type; another user’s is their own [API-4]', async () => {
  const id = globalId('Conversation', await conversation('reused@outside.example'));
  await agent.ask(REPLY, { input: { conversationId: id, text: 'One', idempotencyKey: 'key-2' } });
  const other = await agent.ask(REPLY, { input: { conversationId: id, text: 'Two', idempotencyKey: 'key-2' } });
  expect(other['reply']).toMatchObject({ __typename: 'IdempotencyKeyReused', operation: 'reply' });
  const { closeConversation } = await agent.ask('mutation ($input: CloseConversationInput!) { closeConversation(input: $input) { __typename } }', {
    input: { conversationId: id, idempotencyKey: 'key-2' },
  });
  expect(closeConversation).toEqual({ __typename: 'IdempotencyKeyReused' });
  const theirs = await admin.ask(REPLY, { input: { conversationId: id, text: 'Two', idempotencyKey: 'key-2' } });
  expect(theirs['reply']).toMatchObject({ __typename: 'Message', text: 'Two' });
});

test('a token is shown once: the same key answers without it [API-4] [API-5]', async () => {
  const query = 'mutation ($input: CreateApiTokenInput!) { createApiToken(input: $input) { __typename ... on NewApiToken { token user { id } } } }';
  const input = { userId: agent.gid, name: 'for a script', idempotencyKey: 'token-1' };
  const first = (await superAdmin.ask(query, { input }))['createApiToken'];
  expect(text(first?.['token'])).toMatch(/^tlk_/);
  expect((await superAdmin.ask(query, { input }))['createApiToken']).toEqual({ __typename: 'NewApiToken', token: null, user: { id: agent.gid } });
  const kept = await world.db.selectFrom('idempotency_key').select('answer').where('key', '=', 'token-1').executeTakeFirstOrThrow();
  expect(JSON.stringify(kept.answer)).not.toContain(text(first?.['token']));
});

test('a reply wakes the outbox and the ticket after the commit, by ids [OPS-10]', async () => {
  const id = await conversation('wake@outside.example');
  world.wakes.length = 0;
  await agent.ask(REPLY, { input: { conversationId: globalId('Conversation', id), text: 'Wake up' } });
  expect(world.wakes).toContainEqual({ kind: 'outbox', conversationId: id, channelKey: channel.key, plugin: 'plain' });
});

test('of two who take the same ticket at once one wins and the other is told who has it [ROUTE-2]', async () => {
  const { value } = await transact(world.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'Wanted', source: 'API' }));
  const take = (who: Person) =>
    who.ask(
      'mutation ($input: AssignInput!) { assign(input: $input) { __typename ... on Assignment { ticket { owner { id } } } ... on ChangedMeanwhile { ownerId } } }',
      {
        input: { subjectId: globalId('Ticket', value.ticketId), ownerId: who.gid, expectedOwnerId: null },
      },
    );
  const [a, b] = await Promise.all([take(agent), take(admin)]);
  const [winner, loser] = a?.['assign']?.['__typename'] === ('Assignment' as unknown as Json) ? [a, b] : [b, a];
  const owner = winner?.['assign']?.['ticket']?.['owner']?.['id'];
  expect([agent.gid, admin.gid]).toContain(owner);
  expect(loser?.['assign']).toEqual({ __typename: 'ChangedMeanwhile', ownerId: owner });
});

test('every wrong field is named in one typed answer, and nothing is kept [CH-3] [API-2]', async () => {
  const { connectChannel } = await admin.ask(
    'mutation ($input: ConnectChannelInput!) { connectChannel(input: $input) { __typename ... on InvalidInput { problems { path message } } } }',
    { input: { plugin: 'plain', name: 'Wrong', placeId: globalId('HelpDesk', channel.placeId), settings: { address: 7 } } },
  );
  expect(connectChannel).toMatchObject({ __typename: 'InvalidInput' });
  expect(JSON.stringify(connectChannel)).toContain('settings.address');
});

test('a channel is connected, edited, switched off and disconnected; a second with its address is told who has it [CH-2] [CH-9] [CH-10]', async () => {
  const connect = (name: string) =>
    admin.ask(
      'mutation ($input: ConnectChannelInput!) { connectChannel(input: $input) { __typename ... on Channel { id key enabled version settings routingRule { kind } } ... on AddressTaken { channelKey } } }',
      { input: { plugin: 'plain', name, placeId: globalId('HelpDesk', channel.placeId), settings: { address: 'one@acme.example' } } },
    );
  const made = (await connect('First'))['connectChannel'];
  expect(made).toMatchObject({ __typename: 'Channel', enabled: true, settings: { address: 'one@acme.example' }, routingRule: { kind: 'NOBODY' } });
  expect((await connect('Second'))['connectChannel']).toEqual({ __typename: 'AddressTaken', channelKey: made?.['key'] });
  const off = await admin.ask('mutation ($input: SetChannelEnabledInput!) { setChannelEnabled(input: $input) { ... on Channel { enabled } } }', {
    input: { channelId: made?.['id'], enabled: false },
  });
  expect(off['setChannelEnabled']).toEqual({ enabled: false });
  const stale = await admin.ask('mutation ($input: UpdateChannelInput!) { updateChannel(input: $input) { __typename } }', {
    input: { channelId: made?.['id'], name: 'Renamed', expectedVersion: made?.['version'] },
  });
  expect(stale['updateChannel']).toEqual({ __typename: 'ChangedMeanwhile' });
  const gone = await admin.ask('mutation ($input: DisconnectChannelInput!) { disconnectChannel(input: $input) { ... on Channel { disconnectedAt } } }', {
    input: { channelId: made?.['id'] },
  });
  expect(gone['disconnectChannel']?.['disconnectedAt']).not.toBeNull();
  expect((await connect('Third'))['connectChannel']).toMatchObject({ __typename: 'Channel' });
});

describe('asking the provider', () => {
  /** Channel keys it was told, in order. */
  const told: string[] = [];
  let says: () => Promise<void> = () => Promise.resolve();
  const asking = {
    ...plainPlugin,
    key: 'asking',
    connect: async (context: PluginContext<unknown>) => {
      told.push(context.channel.key);
      await says();
    },
  };
  let here: World;
  let boss: Person;
  let place: string;
  beforeAll(async () => {
    here = await openWorld({ plugins: [asking] });
    boss = await here.user({ role: 'ADMIN' });
    place = globalId('HelpDesk', (await makeChannel(here.db)).placeId);
  });
  afterAll(() => here?.close());
  beforeEach(() => {
    told.length = 0;
    says = () => Promise.resolve();
  });
  const connect = async (input: object, who = boss) =>
    (
      await who.ask(
        'mutation ($input: ConnectChannelInput!) { connectChannel(input: $input) { __typename ... on Channel { id key } ... on InvalidInput { problems { path } } } }',
        { input: { plugin: 'asking', name: 'Asked', placeId: place, ...input } },
      )
    )['connectChannel'];

  test('a key used again answers what was stored, and the provider is not asked again [API-4]', async () => {
    const input = { settings: { address: 'again' }, idempotencyKey: 'connect-again' };
    const made = await connect(input);
    expect(made?.['__typename']).toBe('Channel');
    says = () => Promise.reject(new Error('must not be asked'));
    expect(await connect(input)).toEqual(made);
    expect(await connect({ ...input, settings: { address: 'other' } })).toEqual({ __typename: 'IdempotencyKeyReused' });
    expect(told).toEqual([made?.['key']]);
  });

  test('it is not asked about what is refused anyway: a taken address, a place one does not see, wrong input [CH-2] [CH-3] [API-6]', async () => {
    expect(await connect({ settings: { address: 'taken' } })).toMatchObject({ __typename: 'Channel' });
    told.length = 0;
    expect(await connect({ settings: { address: 'taken' } })).toEqual({ __typename: 'AddressTaken' });
    const elsewhere = globalId('Inbox', '00000000-0000-4000-8000-000000000000');
    expect(await connect({ settings: { address: 'unseen' }, placeId: elsewhere })).toEqual({ __typename: 'NotFound' });
    expect(await connect({ settings: { address: 'nameless' }, name: ' ' })).toMatchObject({ __typename: 'InvalidInput', problems: [{ path: 'name' }] });
    expect(await connect({ plugin: 'none', settings: {} })).toMatchObject({ __typename: 'InvalidInput', problems: [{ path: 'plugin' }] });
    expect(told).toEqual([]);
  });

  test('a try that is repeated tells it the same channel key, which the channel then has; other tries tell others [API-4]', async () => {
    const input = { settings: { address: 'repeated' }, idempotencyKey: 'connect-repeated' };
    says = () => Promise.reject(new ChannelFailure({ code: 'Unavailable', reason: 'timeout' }));
    for (let time = 0; time < 2; time += 1) expect(await connect(input)).toMatchObject({ __typename: 'ProviderRefused' });
    says = () => Promise.resolve();
    const made = await connect(input);
    expect(told).toEqual([made?.['key'], made?.['key'], made?.['key']]);
    expect(made?.['key']).toMatch(/^asking-[2-9a-z]{6}$/);
    // The key is forgotten after a while; the channel keeps its own.
    await here.db.deleteFrom('idempotency_key').execute();
    const others = [
      await connect({ ...input, settings: { address: 'later' } }),
      await connect({ ...input, settings: { address: 'another’s' } }, await here.user({ role: 'ADMIN' })),
      await connect({ settings: { address: 'keyless' } }),
    ];
    expect(new Set([made, ...others].map((one) => text(one?.['key'])))).toHaveLength(4);
    expect(here.errors).toEqual([]);
  });
});

test('an unexpected error is masked with an id that the log has too [API-7]', async () => {
  await sql`alter table ticket add constraint trouble check (name <> 'A name nobody may read')`.execute(world.db);
  const { errors } = await agent.raw('mutation ($input: CreateTicketInput!) { createTicket(input: $input) { __typename } }', {
    input: { name: 'A name nobody may read' },
  });
  await sql`alter table ticket drop constraint trouble`.execute(world.db);
  const errorId = errors[0]?.extensions?.['errorId'];
  expect(errors[0]?.extensions).toMatchObject({ code: 'UNEXPECTED' });
  expect(errors[0]?.message).not.toMatch(/trouble|constraint|nobody/i);
  expect(world.errors.map((error) => error.errorId)).toContain(errorId);
  world.errors.length = 0;
});

test('every mutation has a role, and who does not reach it gets Forbidden and changes nothing [API-6]', async () => {
  const fields = Object.keys(schema.getMutationType()?.getFields() ?? {}).toSorted();
  expect(fields).toEqual(Object.keys(ROLES).toSorted());
  console.log(fields.map((name) => `${name.padEnd(24)} ${ROLES[name as keyof typeof ROLES]}`).join('\n'));
  const people = { AGENT: agent, ADMIN: admin, SUPER_ADMIN: superAdmin } as const;
  for (const [name, input] of Object.entries(EXAMPLES)) {
    for (const role of ['AGENT', 'ADMIN'] as const) {
      const needed = ROLES[name as keyof typeof ROLES];
      if (reaches(role, needed)) continue;
      const capital = name.charAt(0).toUpperCase() + name.slice(1);
      const before = await counts();
      const answer = await people[role].ask(`mutation ($input: ${capital}Input!) { ${name}(input: $input) { __typename ... on Forbidden { needs } } }`, {
        input: input(),
      });
      expect(answer[name], `${name} as ${role}`).toMatchObject({ __typename: 'Forbidden' });
      expect(await counts()).toEqual(before);
    }
  }
});

const EXAMPLES: Readonly<Record<string, () => object>> = {
  connectChannel: () => ({ plugin: 'plain', name: 'x', placeId: globalId('HelpDesk', channel.placeId), settings: { address: 'x' } }),
  updateChannel: () => ({ channelId: globalId('Channel', channel.id), name: 'x' }),
  setChannelEnabled: () => ({ channelId: globalId('Channel', channel.id), enabled: false }),
  setRoutingRule: () => ({ channelId: globalId('Channel', channel.id), rule: { kind: 'NOBODY' } }),
  disconnectChannel: () => ({ channelId: globalId('Channel', channel.id) }),
  redeliver: () => ({ deliveryId: globalId('Delivery', 1) }),
  createInbox: () => ({ name: 'x' }),
  setAccessList: () => ({ placeId: globalId('HelpDesk', channel.placeId), access: { everyone: true } }),
  createPipeline: () => ({ name: 'x', statuses: [] }),
  addStatus: () => ({ pipelineId: globalId('Pipeline', channel.id), name: 'x', category: 'OPEN' }),
  createUser: () => ({ email: 'x@x.example', name: 'x' }),
  updateUser: () => ({ userId: agent.gid, role: 'SUPER_ADMIN' }),
  deactivateUser: () => ({ userId: superAdmin.gid }),
  createTeam: () => ({ name: 'x' }),
  setTeamMembers: () => ({ teamId: globalId('Team', channel.id), primaryUserIds: [] }),
  createApiToken: () => ({ userId: superAdmin.gid, name: 'x' }),
};

async function counts(): Promise<unknown> {
  const { rows } = await world.db.executeQuery<Record<string, number>>(
    sql`select (select count(*) from event) as events, (select count(*) from channel) as channels,
      (select count(*) from app_user) as users, (select count(*) from api_token) as tokens, (select count(*) from team) as teams`.compile(world.db),
  );
  return rows[0];
}

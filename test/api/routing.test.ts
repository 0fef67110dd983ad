import type { Plugin } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setCapacity } from '#commands/capacity.ts';
import { assign } from '#commands/owners.ts';
import { setAccessList } from '#commands/places.ts';
import { decide } from '#commands/routing.ts';
import { close, createTicket } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { makeTeam, plainPlugin } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { arriving, ruled } from '../commands/routing-support.ts';
import { at, globalId, openWorld, text, type Person, type World } from './support.ts';

let world: World;
/** An inbox that only those have access to whom a test lets in. */
let closedId: string;
beforeAll(async () => {
  world = await openWorld();
  ({ id: closedId } = await world.db.insertInto('place').values({ kind: 'INBOX', name: 'Closed' }).returning('id').executeTakeFirstOrThrow());
});
afterAll(() => world?.close());

describe('previewRouting', () => {
  const PREVIEW = `query ($channelId: ID!, $contactId: ID) { previewRouting(channelId: $channelId, contactId: $contactId) { __typename
    ... on RoutingPreview { chosen { id } outcome decidedBy eligible words explanation candidates { user { id } as outcome reason open active lastAssignedAt } } } }`;

  it('says who would get the next one, with the numbers that were compared [ROUTE-14]', async () => {
    const [busy, free] = [await world.user(), await world.user()];
    const away = await world.user({ availability: 'AWAY' });
    const other = await ruled(world.db, { kind: 'NOBODY' }, { place: 'INBOX' });
    const ids = await arriving(world.db, other, 1);
    await world.db.updateTable('conversation').set({ owner_id: busy.id, route_pending_since: null }).where('id', 'in', ids).execute();
    const channel = await ruled(world.db, { users: [busy.id, away.id], teams: [await makeTeam(world.db, { primary: [free.id] })] });
    const { previewRouting: preview } = await busy.ask(PREVIEW, { channelId: globalId('Channel', channel.id) });
    expect(preview).toMatchObject({
      chosen: { id: free.gid },
      outcome: 'ASSIGNED',
      decidedBy: 'OPEN',
      eligible: 2,
      words: `user ${free.id} was the least busy among 2 eligible with 0 open; user ${busy.id}, the next, had 1; left out: 1 away`,
      candidates: [
        { user: { id: free.gid }, as: 'NAMED', outcome: 'CHOSEN', reason: null, open: 0, active: false, lastAssignedAt: null },
        { user: { id: busy.gid }, outcome: 'ELIGIBLE', open: 1 },
        { user: { id: away.gid }, outcome: 'LEFT_OUT', reason: 'AWAY', open: null, active: null },
      ],
    });
    expect(await world.db.selectFrom('routing_decision').select('id').execute()).toEqual([]);
  });

  it('names nobody where one is picked at random, and words it so [ROUTE-14]', async () => {
    const [one, two] = [await world.user(), await world.user()];
    const channel = await ruled(world.db, { users: [one.id, two.id], method: 'RANDOM' });
    const { previewRouting: preview } = await one.ask(PREVIEW, { channelId: globalId('Channel', channel.id) });
    expect(preview).toMatchObject({ chosen: null, decidedBy: 'RANDOM', words: 'one of 2 eligible would be chosen at random' });
  });

  it('answers for one ticket, or for a ticket as it is described; what goes with neither is refused by its path [ROUTE-14, API-6]', async () => {
    const [insider, outsider] = [await world.user(), await world.user()];
    await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: closedId, access: { userIds: [insider.id], teamIds: [] } }));
    const channel = await ruled(world.db, { users: [insider.id] }, { place: 'INBOX', createTickets: true });
    await world.db.updateTable('channel').set({ place_id: closedId }).where('id', '=', channel.id).execute();
    const [conversationId = ''] = await arriving(world.db, channel, 1);
    const ticket = await world.db.selectFrom('ticket').select(['id', 'pipeline_id']).where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
    const OF = `query ($channelId: ID, $ticketId: ID, $pipelineId: ID, $priority: Priority, $properties: JSONObject) {
      previewRouting(channelId: $channelId, ticketId: $ticketId, pipelineId: $pipelineId, priority: $priority, properties: $properties) {
        __typename ... on RoutingPreview { chosen { id } } ... on InvalidInput { problems { path } } } }`;
    const ask = async (who: Person, variables: object) => (await who.ask(OF, { ...variables }))['previewRouting'];
    const ticketId = globalId('Ticket', ticket.id);
    expect(await ask(insider, { ticketId })).toMatchObject({ chosen: { id: insider.gid } });
    expect(await ask(outsider, { ticketId })).toEqual({ __typename: 'NotFound' });
    const facts = { pipelineId: globalId('Pipeline', ticket.pipeline_id), priority: 'URGENT', properties: { product: 'lamp' } };
    expect(await ask(insider, { channelId: globalId('Channel', channel.id), ...facts })).toMatchObject({ chosen: { id: insider.gid } });
    expect(await ask(insider, { ticketId, ...facts })).toMatchObject({
      __typename: 'InvalidInput',
      problems: [{ path: 'priority' }, { path: 'pipelineId' }, { path: 'properties' }],
    });
    expect(await ask(insider, {})).toMatchObject({ __typename: 'InvalidInput', problems: [{ path: 'channelId' }] });
  });

  it('is hidden from who has no access to the place of the channel [ROUTE-14, API-6]', async () => {
    const [insider, outsider] = [await world.user(), await world.user()];
    await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: closedId, access: { userIds: [insider.id], teamIds: [] } }));
    const channel = await ruled(world.db, { users: [insider.id] }, { place: 'INBOX' });
    await world.db.updateTable('channel').set({ place_id: closedId }).where('id', '=', channel.id).execute();
    const type = async (who: Person) => text((await who.ask(PREVIEW, { channelId: globalId('Channel', channel.id) }))['previewRouting']?.['__typename']);
    expect(await type(insider)).toBe('RoutingPreview');
    expect(await type(outsider)).toBe('NotFound');
  });
});

describe('rules and owners', () => {
  it('shows the default user of a rule, and refuses one for a channel that is not live [ROUTE-10]', async () => {
    const admin = await world.user({ role: 'ADMIN' });
    const channel = await ruled(world.db, { kind: 'CONTACT_OWNER', defaultUser: admin.id });
    const channelId = globalId('Channel', channel.id);
    const shown = await admin.ask('query ($id: ID!) { node(id: $id) { ... on Channel { routingRule { kind method defaultUser { id } } } } }', {
      id: channelId,
    });
    expect(shown['node']).toEqual({ routingRule: { kind: 'CONTACT_OWNER', method: null, defaultUser: { id: admin.gid } } });
    const SET = `mutation ($input: SetRoutingRuleInput!) { setRoutingRule(input: $input) { __typename ... on InvalidInput { problems { path } }
      ... on Channel { routingRule { kind method } } } }`;
    const set = (rule: object) => admin.ask(SET, { input: { channelId, rule } });
    expect(await set({ kind: 'CONTACT_OWNER', defaultUserId: admin.gid })).toMatchObject({
      setRoutingRule: { __typename: 'InvalidInput', problems: [{ path: 'rule.defaultUserId' }] },
    });
    expect(await set({ kind: 'SPECIFIC', userIds: [admin.gid], method: 'LEAST_BUSY' })).toMatchObject({
      setRoutingRule: { routingRule: { kind: 'SPECIFIC', method: 'LEAST_BUSY' } },
    });
  });

  it('says of the default user whether anything can be given to them, and why not [ROUTE-10, ROUTE-4]', async () => {
    const [reader, standIn] = [await world.user(), await world.user()];
    const channel = await ruled(world.db, { kind: 'CONTACT_OWNER', defaultUser: standIn.id }, { place: 'INBOX' });
    const reason = async (id = channel.id) =>
      (await reader.ask('query ($id: ID!) { node(id: $id) { ... on Channel { routingRule { defaultUserReason } } } }', { id: globalId('Channel', id) }))[
        'node'
      ]?.['routingRule']?.['defaultUserReason'];
    const among = (userIds: readonly string[]) =>
      transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: closedId, access: { userIds, teamIds: [] } }));
    const set = (values: { readonly seat?: 'NONE'; readonly deactivated_at?: Date }) =>
      world.db.updateTable('app_user').set(values).where('id', '=', standIn.id).execute();
    expect(await reason()).toBeNull();
    await among([reader.id]);
    await world.db.updateTable('channel').set({ place_id: closedId }).where('id', '=', channel.id).execute();
    expect(await reason()).toBe('NO_ACCESS');
    await among([reader.id, standIn.id]);
    expect(await reason()).toBeNull();
    await set({ seat: 'NONE' });
    expect(await reason()).toBe('NO_SEAT');
    await set({ deactivated_at: new Date() });
    expect(await reason()).toBe('DEACTIVATED');
    expect(await reason((await ruled(world.db, { kind: 'NOBODY' })).id)).toBeNull();
  });

  it('tells the second of two admins who set the rule at once that it was changed, where they say which version they have seen [ROUTE-4, API-2]', async () => {
    const admin = await world.user({ role: 'ADMIN' });
    const channel = await ruled(world.db, { kind: 'NOBODY' });
    const channelId = globalId('Channel', channel.id);
    const SET = `mutation ($input: SetRoutingRuleInput!) { setRoutingRule(input: $input) { __typename ... on ChangedMeanwhile { message } ... on Channel { version } } }`;
    const set = async (expectedVersion?: number) =>
      (
        await admin.ask(SET, {
          input: { channelId, rule: { kind: 'SPECIFIC', userIds: [admin.gid] }, ...(expectedVersion === undefined ? {} : { expectedVersion }) },
        })
      )['setRoutingRule'];
    const { version } = await world.db.selectFrom('channel').select('version').where('id', '=', channel.id).executeTakeFirstOrThrow();
    const answers = await Promise.all(Array.from({ length: 8 }, () => set(version)));
    expect(answers.map((one) => one?.['__typename']).toSorted()).toEqual([...Array.from({ length: 7 }, () => 'ChangedMeanwhile'), 'Channel'].toSorted());
    expect(await set(version)).toMatchObject({ __typename: 'ChangedMeanwhile' });
    expect(await set(version + 1)).toEqual({ __typename: 'Channel', version: version + 2 });
    // Who does not ask is not told.
    expect(await set()).toEqual({ __typename: 'Channel', version: version + 3 });
  });

  it('lets an admin choose how the equally busy are told apart, and says so once [ROUTE-9]', async () => {
    const admin = await world.user({ role: 'ADMIN' });
    const SET =
      'mutation ($on: Boolean!) { setRoutingSettings(input: { recentlyAssignedFirst: $on }) { __typename ... on RoutingSettings { recentlyAssignedFirst } } }';
    expect(await admin.ask('{ routingSettings { recentlyAssignedFirst } }')).toEqual({ routingSettings: { recentlyAssignedFirst: false } });
    for (const on of [true, true]) expect(await admin.ask(SET, { on })).toMatchObject({ setRoutingSettings: { recentlyAssignedFirst: true } });
    const [one, two] = [await world.user(), await world.user()];
    await world.db.updateTable('app_user').set({ last_assigned_at: new Date() }).where('id', '=', two.id).execute();
    const channel = await ruled(world.db, { users: [one.id, two.id] });
    const { previewRouting } = await one.ask('query ($id: ID!) { previewRouting(channelId: $id) { ... on RoutingPreview { chosen { id } } } }', {
      id: globalId('Channel', channel.id),
    });
    expect(previewRouting).toEqual({ chosen: { id: two.gid } });
    await admin.ask(SET, { on: false });
    expect(await world.db.selectFrom('event').select('data').where('kind', '=', 'ROUTING_SETTINGS_CHANGED').orderBy('id').execute()).toEqual([
      { data: { recentlyAssignedFirst: true } },
      { data: { recentlyAssignedFirst: false } },
    ]);
  });

  it('sets and takes away the owner of a contact [ROUTE-10]', async () => {
    const agent = await world.user();
    const channel = await ruled(world.db, { kind: 'CONTACT_OWNER' });
    const [id = ''] = await arriving(world.db, channel, 1);
    const { contact_id: contactId } = await world.db.selectFrom('conversation').select('contact_id').where('id', '=', id).executeTakeFirstOrThrow();
    const SET =
      'mutation ($input: SetContactOwnerInput!) { setContactOwner(input: $input) { __typename ... on Contact { owner { id } } ... on NotAssignable { targets { reason } } } }';
    const set = (ownerId: string | null) => agent.ask(SET, { input: { contactId: globalId('Contact', contactId ?? ''), ownerId } });
    expect(await set(agent.gid)).toMatchObject({ setContactOwner: { owner: { id: agent.gid } } });
    expect(await set(null)).toMatchObject({ setContactOwner: { owner: null } });
    expect(await set(globalId('User', '01990000-0000-7000-8000-000000000000'))).toMatchObject({ setContactOwner: { __typename: 'NotAssignable' } });
  });
});

describe('rules and decisions of any number', () => {
  const RULES = `{ channels(first: 100) { edges { node { routingRule { defaultUser { name } defaultUserReason users { name } teams { name }
    targets { user { name } team { name } eligible reason } skillRules { position skills { name } conditions { property values } otherwise } } } } } }`;
  const DECISIONS = `{ tickets(first: 30, order: NEWEST_FIRST) { edges { node { routingDecisions(first: 1) { edges { node { chosen { name } words leftOut { reason count }
    candidates { user { name } reason missingSkills { name } } } } } } } } }`;

  /** A channel whose rule names users and a team and asks for skills that not all of them have, one with a default user, and decisions of both. */
  async function another(): Promise<void> {
    const [able, unable, member] = [await world.user(), await world.user(), await world.user({ seat: 'NONE' })];
    const skill = await world.db.insertInto('skill').values({ category: 'many', name: able.id }).returning('id').executeTakeFirstOrThrow();
    await world.db.insertInto('user_skill').values({ user_id: able.id, skill_id: skill.id }).execute();
    const channel = await ruled(world.db, { users: [able.id, unable.id], teams: [await makeTeam(world.db, { primary: [member.id] })] });
    const conditions = JSON.stringify([{ property: 'priority', operator: 'IN', values: ['LOW', 'MEDIUM', 'HIGH', 'URGENT'] }]);
    const asking = await world.db
      .insertInto('skill_rule')
      .values({ rule_id: channel.ruleId, position: 1, conditions, otherwise: 'WAIT' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await world.db.insertInto('skill_rule_skill').values({ skill_rule_id: asking.id, skill_id: skill.id }).execute();
    const standIn = await ruled(world.db, { kind: 'CONTACT_OWNER', defaultUser: member.id });
    for (const from of [channel, standIn]) {
      for (const conversationId of await arriving(world.db, from, 2)) await decide(world.db, { conversationId }, Math.random, [plainPlugin]);
    }
  }

  it('are read with as many statements as few: whom rules name, their skill rules, candidates with what they lack [API-8, ROUTE-14]', async () => {
    const reader = await world.user();
    const read = async (query: string) => {
      world.statements.length = 0;
      const answer = await reader.ask(query);
      return { statements: world.statements.length, text: JSON.stringify(answer) };
    };
    await another();
    const before = [await read(RULES), await read(DECISIONS)];
    for (const found of ['NO_SEAT', 'NOBODY_ASSIGNABLE', 'priority'])
      expect(before[0]?.text.includes(found) || before[1]?.text.includes(found), found).toBe(true);
    expect(before[1]?.text).toContain('"reason":"MISSING_SKILL","missingSkills":[{"name"');
    for (let index = 0; index < 5; index += 1) await another();
    const after = [await read(RULES), await read(DECISIONS)];
    expect(after.map(({ statements }) => statements)).toEqual(before.map(({ statements }) => statements));
    for (const [index, { text: grown }] of after.entries()) expect(grown.length).toBeGreaterThan((before[index]?.text.length ?? 0) * 1.5);
  });
});

describe('what users own', () => {
  const phone: Plugin = {
    ...plainPlugin,
    key: 'phone',
    capabilities: { ...plainPlugin.capabilities, routing: { group: 'voice', defaultMethod: 'least-busy' } },
  };
  let other: World;
  beforeAll(async () => {
    other = await openWorld({ plugins: [plainPlugin, phone] });
  });
  afterAll(() => other?.close());

  /** So many open tickets of theirs on a channel of that plugin. */
  async function own(userId: string, plugin: string, count: number): Promise<string[]> {
    const ids = await arriving(other.db, await ruled(other.db, { kind: 'NOBODY' }, { plugin }), count);
    for (const conversationId of ids) await transact(other.db, { actor: 'SYSTEM' }, (unit) => assign(unit, { conversationId }, { userId }));
    return ids;
  }

  it('is counted as their limits count it: in all and by group, open and of theirs alone [ROUTE-11, API-1]', async () => {
    const [one, idle] = [await other.user(), await other.user()];
    await own(one.id, 'phone', 2);
    const [closed = ''] = await own(one.id, 'plain', 2);
    await transact(other.db, { actor: 'USER', userId: one.id }, (unit) => close(unit, { conversationId: closed }));
    const { value: made } = await transact(other.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'Alone', source: 'API' }));
    await transact(other.db, { actor: 'SYSTEM' }, (unit) => assign(unit, { ticketId: made.ticketId }, { userId: one.id }));
    const OPEN = 'query ($id: ID!) { node(id: $id) { ... on User { openTickets { total voice messaging written } } } }';
    const open = async (id: string) => (await idle.ask(OPEN, { id }))['node']?.['openTickets'];
    expect(await open(one.gid)).toEqual({ total: 4, voice: 2, messaging: 0, written: 1 });
    expect(await open(idle.gid)).toEqual({ total: 0, voice: 0, messaging: 0, written: 0 });
    // The numbers that a decision compares with the limits.
    await transact(other.db, { actor: 'SYSTEM' }, (unit) => setCapacity(unit, { userId: one.id, total: 4, voice: 2 }));
    const channel = await ruled(other.db, { users: [one.id] }, { plugin: 'phone' });
    const PREVIEW = 'query ($id: ID!) { previewRouting(channelId: $id) { ... on RoutingPreview { candidates { limits { of open limit } } } } }';
    expect((await idle.ask(PREVIEW, { id: globalId('Channel', channel.id) }))['previewRouting']).toEqual({
      candidates: [
        {
          limits: [
            { of: 'total', open: 4, limit: 4 },
            { of: 'voice', open: 2, limit: 2 },
          ],
        },
      ],
    });
  });

  it('is read of any number of users with as many statements as of one [API-8]', async () => {
    const reader = await other.user();
    const count = async () => {
      other.statements.length = 0;
      await reader.ask('{ users(first: 100) { edges { node { capacity { total } openTickets { total written } } } } }');
      return other.statements.length;
    };
    const before = await count();
    for (let index = 0; index < 5; index += 1) await own((await other.user()).id, 'plain', 1);
    expect(await count()).toBe(before);
  });
});

describe('being active in a place', () => {
  let agent: Person;
  let helpDesk: string;
  let inbox: string;
  let conversationId: string;
  let ticketNumber: number;
  beforeEach(async () => {
    agent = await world.user();
    const channel = await ruled(world.db, { kind: 'NOBODY' });
    helpDesk = channel.placeId;
    ({ id: inbox } = await world.db.selectFrom('place').select('id').where('kind', '=', 'INBOX').where('name', '<>', 'Closed').executeTakeFirstOrThrow());
    [conversationId = ''] = await arriving(world.db, await ruled(world.db, { kind: 'NOBODY' }, { place: 'INBOX', createTickets: true }), 1);
    ({ number: ticketNumber } = await world.db.selectFrom('ticket').select('number').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow());
  });

  const places = async (who = agent) =>
    (await world.db.selectFrom('place_activity').select('place_id').where('user_id', '=', who.id).execute()).map(({ place_id }) => place_id).toSorted();
  /** Waits for a mark that is put after it: what was noted before has been written then. */
  const afterwards = async () => {
    const marker = await world.user();
    await marker.ask('{ tickets(first: 1) { edges { cursor } } }');
    await eventually(async () => (await places(marker)).length === 1);
    return places();
  };

  it.each([
    ['the help desk’s list', '{ tickets(first: 1) { edges { cursor } } }', () => helpDesk],
    ['a list of one place', 'query ($inbox: ID!) { conversations(first: 1, filter: { placeId: $inbox }) { edges { cursor } } }', () => inbox],
    ['one conversation', 'query ($conversation: ID!) { node(id: $conversation) { id } }', () => inbox],
    ['one ticket, wherever it lives', 'query ($number: Int!) { ticketByNumber(number: $number) { name } }', () => inbox],
    ['a change', 'mutation ($conversation: ID!) { comment(input: { conversationId: $conversation, text: "x" }) { __typename } }', () => inbox],
  ])('is noted of a request for %s [ROUTE-9]', async (_what, query, place) => {
    const all = { inbox: globalId('Inbox', inbox), conversation: globalId('Conversation', conversationId), number: ticketNumber };
    await agent.ask(query, Object.fromEntries(Object.entries(all).filter(([name]) => query.includes(`$${name}:`))));
    expect(await eventually(async () => ((await places()).length === 0 ? false : places()))).toEqual([place()]);
  });

  it('is not noted of a request that concerns no place, several, or one that the viewer may not see [ROUTE-9]', async () => {
    const closed = await world.db.selectFrom('place').select('id').where('name', '=', 'Closed').executeTakeFirstOrThrow();
    await agent.ask('{ viewer { user { id } } conversations(first: 1) { edges { cursor } } }');
    await agent.ask('query ($id: ID!) { tickets(first: 1) { edges { cursor } } node(id: $id) { id } }', { id: globalId('Conversation', conversationId) });
    await agent.ask('query ($id: ID!) { conversations(first: 1, filter: { placeId: $id }) { edges { cursor } } }', { id: globalId('Inbox', closed.id) });
    expect(await afterwards()).toEqual([]);
  });

  it('is written at most once in thirty seconds by a process, and by several not more often [ROUTE-9]', async () => {
    const sibling = await world.sibling();
    for (let turn = 0; turn < 10; turn += 1) await agent.ask('{ tickets(first: 1) { edges { cursor } } }');
    await eventually(async () => (await places()).length === 1);
    const written = async () =>
      (await world.db.selectFrom('place_activity').select('at').where('user_id', '=', agent.id).executeTakeFirstOrThrow()).at.toISOString();
    const first = await written();
    await at(sibling, agent).ask('{ tickets(first: 1) { edges { cursor } } }');
    await afterwards();
    expect(await written()).toBe(first);
  });
});

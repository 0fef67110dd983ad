import { setTimeout as sleep } from 'node:timers/promises';
import { definePlugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDue } from '#commands/migrations.ts';
import { retryRemainder, walkOn } from '#commands/migration-walk.ts';
import { PREFLIGHT_PARTS } from '#commands/migration-preflight.ts';
import { setAccessList } from '#commands/places.ts';
import { hashToken } from '#commands/secrets.ts';
import { newestPosition, writeCursor } from '#api/feed.ts';
import { conversation, makeMapping, migrationContext, run, walkToTheEnd, type Mapping } from '../commands/migration-support.ts';
import { makeFlow } from '../support/chatflow.ts';
import { makeChannel, plainCapabilities, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { as, at, globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

/** One whose channels are not moved. */
const fixed = definePlugin({
  ...plainPlugin,
  key: 'fixed',
  capabilities: { ...plainCapabilities, movable: { allowed: false, reason: 'disconnect it, then connect it to the help desk' } },
});

let world: World;
let mapping: Mapping;
let superAdmin: Person;
let admin: Person;
let agent: Person;
/** Without access to the inbox. */
let stranger: Person;
let channel: MadeChannel;

beforeEach(async () => {
  world = await openWorld({ plugins: [plainPlugin, fixed] });
  mapping = await makeMapping(world.db);
  superAdmin = await world.user({ role: 'SUPER_ADMIN' });
  admin = await world.user({ role: 'ADMIN' });
  agent = await world.user();
  stranger = await world.user();
  channel = await makeChannel(world.db, { place: 'INBOX' });
  await run(world.db, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds: [agent.id], teamIds: [] } }));
});
afterEach(() => world?.close());

const list = (value: Json | undefined): Json[] => (value ?? []) as unknown as Json[];
const nodes = (connection: Json | undefined): Json[] => list(connection?.['edges']).map((edge) => edge['node'] as Json);
const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString();

/** All of them, with the statuses of the pipeline that is there for it. */
const all = (more: Readonly<Record<string, unknown>> = {}) => ({
  channelId: globalId('Channel', channel.id),
  history: 'ALL',
  openStatusId: globalId('TicketStatus', mapping.openStatusId),
  closedStatusId: globalId('TicketStatus', mapping.closedStatusId),
  ...more,
});

const START = `mutation ($input: StartChannelMigrationInput!) { startChannelMigration(input: $input) { __typename
  ... on ChannelMigration { id state history muted startAt startedAt openStatus { name } pipeline { name } channel { id } askedBy { id } }
  ... on ChannelNotMovable { obstacles { code reason chatflow { id } step user { id } team { id } why } }
  ... on MigrationAlreadyRunning { migrationId channelId channelKey channelName }
  ... on InvalidInput { problems { path } } ... on Forbidden { needs } ... on NotFound { what } ... on AlreadyExists { what } } }`;
const start = async (who: Person, input: Readonly<Record<string, unknown>>): Promise<Json | undefined> =>
  (await who.ask(START, { input }))['startChannelMigration'];
const WITHDRAW = `mutation ($input: WithdrawChannelMigrationInput!) { withdrawChannelMigration(input: $input) { __typename
  ... on ChannelMigration { id state withdrawnWhy } ... on AlreadyStarted { migrationId } ... on NotFound { what } ... on Forbidden { needs } } }`;
const withdraw = async (who: Person, migrationId: Json | undefined) => (await who.ask(WITHDRAW, { input: { migrationId } }))['withdrawChannelMigration'];
const moves = () => world.db.selectFrom('channel_migration').select(['id', 'state']).execute();
/** As the database has it. */
const plainId = (id: Json | undefined) => Buffer.from(text(id), 'base64').toString().split(':')[1] ?? '';

describe('who may move a channel', () => {
  it('is a super admin: others are refused a channel they see, and do not find another [MIG-1] [API-6]', async () => {
    for (const who of [agent, admin])
      expect(await start(who, all()), who === agent ? 'agent' : 'admin').toEqual({ __typename: 'Forbidden', needs: 'the role super admin' });
    expect(await start(stranger, all())).toEqual({ __typename: 'NotFound', what: 'channel' });
    const nowhere = all({ channelId: globalId('Channel', '00000000-0000-7000-8000-000000000000') });
    for (const who of [stranger, admin, superAdmin]) expect(await start(who, nowhere)).toEqual({ __typename: 'NotFound', what: 'channel' });
    await world.db
      .insertInto('api_token')
      .values({ user_id: superAdmin.id, name: 'x', token_hash: hashToken('a_narrow_token'), scopes: ['configure'] })
      .execute();
    expect(await start(as(world.endpoint, superAdmin.id, 'a_narrow_token'), all())).toEqual({
      __typename: 'Forbidden',
      needs: 'a token with the scope people',
    });
    expect(await moves()).toEqual([]);
    expect(await start(superAdmin, all())).toMatchObject({ __typename: 'ChannelMigration', state: 'RUNNING', askedBy: { id: superAdmin.gid } });
  });

  it('reads moves as an admin; an agent finds none, nor what happens to them in the feed [API-6]', async () => {
    const before = writeCursor(await newestPosition(world.db));
    const id = (await start(superAdmin, all()))?.['id'];
    const query = `query ($id: ID!, $after: String) { channelMigration(id: $id) { state } node(id: $id) { id } channelMigrations { edges { node { id } } }
      events(after: $after) { ... on FeedPage { items { event { kind why } } } } }`;
    const told = (answer: Json) => list(answer['events']?.['items']).map((item) => `${text(item['event']?.['kind'])} ${String(item['event']?.['why'])}`);
    // Any transaction of the server that is still open holds the newest back.
    const read = await eventually(async () => {
      const answer = await admin.ask(query, { id, after: before });
      expect(told(answer)).toContain('MIGRATION_CHANGED STARTED');
      return answer;
    });
    expect(read).toMatchObject({ channelMigration: { state: 'RUNNING' }, node: { id }, channelMigrations: { edges: [{ node: { id } }] } });
    for (const who of [agent, stranger]) {
      const seen = await who.ask(query, { id, after: before });
      expect(seen).toMatchObject({ channelMigration: null, node: null, channelMigrations: { edges: [] } });
      expect(told(seen).join()).not.toContain('MIGRATION_CHANGED');
    }
  });
});

describe('a start', () => {
  it('is refused with all that stands in the way, each by itself [MIG-2] [MIG-5]', async () => {
    const stays = await makeChannel(world.db, { place: 'INBOX', plugin: 'fixed' });
    expect(await start(superAdmin, all({ channelId: globalId('Channel', stays.id) }))).toMatchObject({
      __typename: 'ChannelNotMovable',
      obstacles: [{ code: 'NOT_MOVABLE', reason: 'disconnect it, then connect it to the help desk', chatflow: null, step: null, user: null }],
    });
    const there = await makeChannel(world.db);
    await world.db.updateTable('channel').set({ disconnected_at: new Date() }).where('id', '=', there.id).execute();
    const refused = await start(superAdmin, all({ channelId: globalId('Channel', there.id) }));
    expect(list(refused?.['obstacles']).map((one) => text(one['code']))).toEqual(['ALREADY_THERE', 'DISCONNECTED']);
    // A chatflow may name whom there never was: told without an error of the database's.
    const definition = { first: 'a', steps: [{ id: 'a', type: 'hand-off', rule: { kind: 'SPECIFIC', userIds: ['nobody at all', agent.id], teamIds: [] } }] };
    const flowId = await makeFlow(world.db, channel.id, definition);
    await world.db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', agent.id).execute();
    const byBot = await start(superAdmin, all());
    expect(list(byBot?.['obstacles']).map((one) => [one['code'], one['step'], one['user'], one['why']])).toEqual([
      ['BOT_WITHOUT_HAND_OFF', 'a', null, 'UNKNOWN'],
      ['BOT_WITHOUT_HAND_OFF', 'a', { id: agent.gid }, 'NO_SEAT'],
    ]);
    expect(list(byBot?.['obstacles'])[0]?.['chatflow']).toEqual({ id: globalId('Chatflow', flowId) });
    expect(await moves()).toEqual([]);
  });

  it('while one runs is told which, by name, whoever asks, and whether they see it or not [MIG-3] [API-6]', async () => {
    await conversation(world.db, channel);
    const { id } = (await start(superAdmin, all())) ?? {};
    const other = await makeChannel(world.db, { place: 'INBOX' });
    const { id: placeId } = await world.db.insertInto('place').values({ kind: 'INBOX', name: 'Apart' }).returning('id').executeTakeFirstOrThrow();
    await run(world.db, (unit) => setAccessList(unit, { placeId, access: { userIds: [stranger.id], teamIds: [] } }));
    await world.db.updateTable('channel').set({ place_id: placeId }).where('id', '=', other.id).execute();
    const asked = all({ channelId: globalId('Channel', other.id) });
    const expected = {
      __typename: 'MigrationAlreadyRunning',
      migrationId: id,
      channelId: globalId('Channel', channel.id),
      channelKey: channel.key,
      channelName: 'Plain channel',
    };
    for (const who of [superAdmin, admin, stranger]) expect(await start(who, asked)).toEqual(expected);
    expect(await start(superAdmin, all())).toEqual(expected);
    // What one does not see is not found all the same, and what is set for later is nobody's but a super admin's.
    expect(await start(agent, asked)).toEqual({ __typename: 'NotFound', what: 'channel' });
    expect(await start(stranger, { ...asked, startAt: tomorrow() })).toMatchObject({ __typename: 'Forbidden' });
    expect(await start(superAdmin, { ...asked, startAt: tomorrow() })).toMatchObject({ __typename: 'ChannelMigration', state: 'SCHEDULED' });
    await walkToTheEnd(world.db, plainId(id));
    expect(await start(stranger, asked)).toMatchObject({ __typename: 'Forbidden' });
  });

  it('of many at the same moment, at two processes, is done once [MIG-3]', async () => {
    const other = await world.sibling();
    const channels = await Promise.all(Array.from({ length: 20 }, () => makeChannel(world.db, { place: 'INBOX' })));
    await conversation(world.db, channel);
    for (const one of channels) await conversation(world.db, one);
    const asking = [superAdmin, at(other, superAdmin)];
    const answers = await Promise.all(channels.map((one, index) => start(asking[index % 2] ?? superAdmin, all({ channelId: globalId('Channel', one.id) }))));
    const types = answers.map((answer) => text(answer?.['__typename'])).toSorted();
    expect(types).toEqual(['ChannelMigration', ...Array.from({ length: 19 }, () => 'MigrationAlreadyRunning')]);
    expect(await moves()).toHaveLength(1);
  });

  it('names every field of the mapping that does not fit [MIG-4]', async () => {
    const problems = async (more: Readonly<Record<string, unknown>>) =>
      list((await start(superAdmin, all(more)))?.['problems']).map((one) => text(one['path']));
    expect(await problems({ openStatusId: null, closedStatusId: null })).toEqual(['openStatusId', 'closedStatusId']);
    expect(await problems({ closedStatusId: all().openStatusId })).toEqual(['closedStatusId']);
    const elsewhere = await makeMapping(world.db, 'Another');
    expect(await problems({ closedStatusId: globalId('TicketStatus', elsewhere.closedStatusId) })).toEqual(['closedStatusId']);
    expect(await problems({ history: 'NONE' })).toEqual(['openStatusId', 'closedStatusId']);
    expect(await moves()).toEqual([]);
    const { id: channelId } = channel;
    expect(await start(superAdmin, { channelId: globalId('Channel', channelId), history: 'NONE' })).toMatchObject({
      state: 'COMPLETED',
      openStatus: null,
      pipeline: null,
    });
  });

  it('sent twice with the same key is done once and answered the same [API-4]', async () => {
    const input = all({ idempotencyKey: 'once', muted: true });
    const [one, two] = await Promise.all([start(superAdmin, input), start(superAdmin, input)]);
    expect(one).toMatchObject({
      __typename: 'ChannelMigration',
      state: 'RUNNING',
      muted: true,
      openStatus: { name: 'OPEN moved' },
      pipeline: { name: 'Moved' },
    });
    expect(two).toEqual(one);
    expect(world.wakes.filter(({ kind }) => kind === 'channel-migration')).toHaveLength(1);
  });
});

describe('a move that is set for later', () => {
  it('is listed, and withdrawn by a super admin alone [MIG-7] [API-6]', async () => {
    const startAt = tomorrow();
    const set = await start(superAdmin, all({ startAt }));
    expect(set).toMatchObject({ state: 'SCHEDULED', startAt, startedAt: null });
    expect(await start(superAdmin, all({ startAt }))).toMatchObject({ __typename: 'AlreadyExists' });
    const scheduled = async () =>
      nodes((await admin.ask('{ channelMigrations(state: SCHEDULED) { edges { node { id progress { found } report { found } } } } }'))['channelMigrations']);
    expect(await scheduled()).toEqual([{ id: set?.['id'], progress: null, report: null }]);
    expect(await withdraw(agent, set?.['id'])).toEqual({ __typename: 'NotFound', what: 'move' });
    expect(await withdraw(admin, set?.['id'])).toMatchObject({ __typename: 'Forbidden' });
    expect(await withdraw(superAdmin, set?.['id'])).toEqual({ __typename: 'ChannelMigration', id: set?.['id'], state: 'WITHDRAWN', withdrawnWhy: 'BY_HAND' });
    expect(await scheduled()).toEqual([]);
  });

  it('is withdrawn or has started, never both, where both happen at once; started it is not withdrawn [MIG-7]', async () => {
    const seen = new Set<string>();
    const LAST = 20;
    for (let round = 0; round <= LAST; round += 1) {
      const one = await makeChannel(world.db, { place: 'INBOX' });
      const set = await start(superAdmin, all({ channelId: globalId('Channel', one.id), startAt: tomorrow() }));
      const id = plainId(set?.['id']);
      await sql`update channel_migration set start_at = now() - interval '1 second' where id = ${id}`.execute(world.db);
      const due = () => startDue(world.db, migrationContext, one.key);
      // First it starts before it is withdrawn, last after, and in between ever later.
      if (round === 0) await due();
      const late = round === LAST ? undefined : sleep(round * 3).then(due);
      const answer = await withdraw(superAdmin, set?.['id']);
      await (late ?? due());
      const { state } = await world.db.selectFrom('channel_migration').select('state').where('id', '=', id).executeTakeFirstOrThrow();
      const type = text(answer?.['__typename']);
      seen.add(type);
      expect([type, state]).toEqual(type === 'AlreadyStarted' ? ['AlreadyStarted', 'RUNNING'] : ['ChannelMigration', 'WITHDRAWN']);
      if (state === 'RUNNING') {
        expect(await withdraw(superAdmin, set?.['id'])).toEqual({ __typename: 'AlreadyStarted', migrationId: set?.['id'] });
        await walkToTheEnd(world.db, id);
      }
    }
    expect([...seen].toSorted()).toEqual(['AlreadyStarted', 'ChannelMigration']);
  });
});

const NUMBERS = `report { found joined gone movedWithTicket movedWithNewTicket pulledForward leftOver arrived unassigned addsUp startedAt endedAt }
  recount { movedWithTicket movedWithNewTicket leftOver unassigned arrived astray inInbox agrees }
  progress { phase found moved remaining leftOver percent secondsLeft }
  remainder(first: 10) { edges { node { conversationId conversation { id } reason tries triedAt } } }`;

describe('a move', () => {
  it('reports numbers that add up, the same when counted again, and lists what is left over with its reason [MIG-16] [MIG-21]', async () => {
    const { db } = world;
    for (const wanted of [{}, { ticket: true }, { closed: true }, { ticket: true, closed: true }, { ownerId: agent.id }])
      await conversation(db, channel, wanted);
    const helpDesk = await makeChannel(db);
    await run(db, (unit) => setAccessList(unit, { placeId: helpDesk.placeId, access: { userIds: [superAdmin.id], teamIds: [] } }));
    const bad = await conversation(db, channel);
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    await db.updateTable('conversation').set({ subject: 'unmovable' }).where('id', '=', bad).execute();
    const id = (await start(superAdmin, all()))?.['id'];
    const read = async (who: Person) => (await who.ask(`query ($id: ID!) { channelMigration(id: $id) { state ${NUMBERS} } }`, { id }))['channelMigration'];
    expect(await read(admin)).toMatchObject({
      state: 'RUNNING',
      report: { found: 6, addsUp: false, endedAt: null },
      progress: { phase: 'WALKING', found: 6, remaining: 6, percent: 0 },
    });
    await walkToTheEnd(db, plainId(id));
    const goals = async () =>
      (await admin.ask('query ($id: ID!) { channelMigration(id: $id) { sla { state total lookedAt endedAt } } }', { id }))['channelMigration']?.['sla'];
    expect(await goals()).toEqual({ state: 'RUNNING', total: 5, lookedAt: 0, endedAt: null });
    const ended = await read(admin);
    expect(ended).toMatchObject({
      state: 'COMPLETED_WITH_REMAINDER',
      report: { found: 6, movedWithTicket: 2, movedWithNewTicket: 3, leftOver: 1, unassigned: 1, arrived: 0, addsUp: true },
      recount: { movedWithTicket: 2, movedWithNewTicket: 3, leftOver: 1, unassigned: 1, arrived: 0, astray: 0, inInbox: 1, agrees: true },
      progress: { phase: 'ENDED', moved: 5, remaining: 0, leftOver: 1, percent: 100, secondsLeft: null },
    });
    // The admin has no access to the inbox: they are told which it is, and are not shown it.
    expect(nodes(ended?.['remainder'])).toEqual([
      { conversationId: globalId('Conversation', bad), conversation: null, reason: '23514', tries: 1, triedAt: expect.any(String) as string },
    ]);
    await db.updateTable('conversation').set({ subject: 'movable' }).where('id', '=', bad).execute();
    await retryRemainder(db, plainId(id));
    expect(await read(admin)).toMatchObject({ state: 'COMPLETED', report: { movedWithNewTicket: 4, leftOver: 0, addsUp: true }, remainder: { edges: [] } });
  });

  it('tells of its progress as it is now and to its end, at any process; a client that goes away changes nothing [MIG-18] [API-3]', async () => {
    const { db } = world;
    for (let index = 0; index < 4; index += 1) await conversation(db, channel);
    const set = await start(superAdmin, all());
    const other = await world.sibling();
    const query = `subscription ($id: ID!, $after: String) { channelMigrationProgress(id: $id, after: $after) { __typename
      ... on MigrationProgressItem { cursor migration { state progress { moved remaining ratePerSecond secondsLeft percent } } } } }`;
    const [here, there, leaves] = [admin, at(other, admin), admin].map((who) => who.listen(query, { id: set?.['id'] }));
    for (const stream of [here, there, leaves]) {
      expect((await stream?.next())?.['channelMigrationProgress']).toMatchObject({
        migration: { state: 'RUNNING', progress: { moved: 0, remaining: 4, percent: 0 } },
      });
    }
    leaves?.close();
    await db.updateTable('channel_migration').set({ batch_size: 3 }).execute();
    await walkOn(db, plainId(set?.['id']), { tell: true });
    let cursor: Json | undefined;
    for (const stream of [here, there]) {
      // What was held back may come first, as it was.
      let item = (await stream?.next())?.['channelMigrationProgress'];
      while (Number(item?.['migration']?.['progress']?.['moved']) === 0) item = (await stream?.next())?.['channelMigrationProgress'];
      expect(item).toMatchObject({ migration: { progress: { moved: 3, remaining: 1, percent: 75 } } });
      expect(Number(item?.['migration']?.['progress']?.['ratePerSecond'])).toBeGreaterThan(0);
      cursor = item?.['cursor'];
    }
    await walkToTheEnd(db, plainId(set?.['id']));
    const again = admin.listen(query, { id: set?.['id'], after: cursor });
    for (const stream of [here, there, again]) {
      let last: Json | null | undefined;
      for (let item = await stream?.next(); item != null; item = await stream?.next()) last = item['channelMigrationProgress'];
      expect(last).toMatchObject({ migration: { state: 'COMPLETED', progress: { moved: 4, remaining: 0, percent: 100 } } });
    }
    expect(await agent.listen(query, { id: set?.['id'] }).next()).toEqual({ channelMigrationProgress: { __typename: 'NotFound' } });
    expect(await admin.listen(query, { id: set?.['id'], after: 'garbage' }).next()).toEqual({ channelMigrationProgress: { __typename: 'CursorTooOld' } });
    expect(world.errors).toEqual([]);
  });

  it('ends its stream of progress for an admin who is one no longer [API-3] [API-6]', async () => {
    await conversation(world.db, channel);
    const set = await start(superAdmin, all());
    const stream = admin.listen('subscription ($id: ID!) { channelMigrationProgress(id: $id) { __typename } }', { id: set?.['id'] });
    await stream.next();
    await world.db.updateTable('app_user').set({ role: 'AGENT' }).where('id', '=', admin.id).execute();
    expect(await stream.next()).toBeNull();
  });

  it('tells whoever got several tickets once, with how many; which move that was is told to admins [MIG-17] [API-6]', async () => {
    await run(world.db, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds: [agent.id, admin.id], teamIds: [] } }));
    for (const ownerId of [agent.id, agent.id, agent.id, admin.id]) await conversation(world.db, channel, { ownerId });
    await world.db.deleteFrom('notification').execute();
    const set = await start(superAdmin, all());
    await walkToTheEnd(world.db, plainId(set?.['id']));
    const told = async (who: Person) =>
      nodes(
        (await who.ask('{ viewer { notifications { edges { node { kind count migration { id } channel { id } ticket { id } } } } } }'))['viewer']?.[
          'notifications'
        ],
      );
    const seen = { kind: 'TICKET_ASSIGNED', channel: { id: globalId('Channel', channel.id) }, ticket: null };
    expect(await told(agent)).toEqual([{ ...seen, count: 3, migration: null }]);
    expect(await told(admin)).toEqual([{ ...seen, count: 1, migration: { id: set?.['id'] } }]);
  });

  it('of many is read with as many statements as of one [API-8]', async () => {
    const cost = async () => {
      world.statements.length = 0;
      await admin.ask(
        `{ channelMigrations { edges { node { state channel { key } askedBy { name } openStatus { name } progress { moved } report { addsUp } remainder { edges { node { reason } } } } } } }`,
      );
      return world.statements.length;
    };
    const moved = async () => {
      const one = await makeChannel(world.db, { place: 'INBOX' });
      await conversation(world.db, one);
      await walkToTheEnd(world.db, plainId((await start(superAdmin, all({ channelId: globalId('Channel', one.id) })))?.['id']));
    };
    await moved();
    await cost();
    const few = await cost();
    for (let index = 0; index < 3; index += 1) await moved();
    expect(await cost()).toBe(few);
  });
});

const PARTS = `eligibility { movable obstacles { code } } irreversible { code text } agents { count users { id } } routing { count lacks { where why } } sla { policies warning }
  alsoMove { channel { id } conversations } conversations { total withTicket { open closed } withoutTicket { open closed } }
  owners { becomeUnassigned keptTickets count owners { user { id } becomeUnassigned keptTickets } }
  samples { open hasTicket owner why ownerNow { id } ownerThen { id } statusThen { name } ticketCreatedAt sentence conversation { id } conversationId }
  duration { basis ratePerSecond seconds migration { id } } volume { hours { at messages } quietestStart expectedMessages }`;

describe('before a move', () => {
  it('an admin is told in parts what it would do, and nothing is changed by it [MIG-6]', async () => {
    const { db } = world;
    const { id: helpDesk } = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
    await run(db, (unit) => setAccessList(unit, { placeId: helpDesk, access: { userIds: [superAdmin.id], teamIds: [] } }));
    for (const wanted of [{ ownerId: agent.id }, { ownerId: agent.id, closed: true }, { ownerId: agent.id, ticket: true }, {}])
      await conversation(db, channel, wanted);
    const query = `query ($channelId: ID!, $openStatusId: ID, $closedStatusId: ID) {
      channelMigrationPreflight(channelId: $channelId, openStatusId: $openStatusId, closedStatusId: $closedStatusId) { __typename ... on ChannelMigrationPreflight { ${PARTS} } } }`;
    const before = await db
      .selectFrom('event')
      .select((eb) => eb.fn.countAll<string>().as('count'))
      .executeTakeFirstOrThrow();
    const found = (await admin.ask(query, all({ history: undefined })))['channelMigrationPreflight'];
    expect(found).toMatchObject({
      eligibility: { movable: true, obstacles: [] },
      agents: { count: 1, users: [{ id: agent.gid }] },
      sla: { policies: 0, warning: 'NO_SLA_POLICY' },
      conversations: { total: 4, withTicket: { open: 1, closed: 0 }, withoutTicket: { open: 2, closed: 1 } },
      owners: { becomeUnassigned: 2, keptTickets: 1, count: 1, owners: [{ user: { id: agent.gid }, becomeUnassigned: 2, keptTickets: 1 }] },
      duration: { basis: 'MEASURED', migration: null },
      alsoMove: [],
    });
    expect(list(found?.['irreversible']).map((one) => text(one['code']))).toContain('NOT_STOPPED');
    expect(list(found?.['volume']?.['hours'])).toHaveLength(672);
    const samples = list(found?.['samples']);
    expect(samples.map((one) => `${text(one['why'])} ${String(one['ownerThen']?.['id'] ?? null)}`).toSorted()).toEqual(
      ['NOBODY_HAD_IT null', 'OWNER_WITHOUT_ACCESS null', 'OWNER_WITHOUT_ACCESS null', `TICKET_KEPT ${agent.gid}`].toSorted(),
    );
    // The admin sees none of the inbox's conversations.
    expect(samples.map((one) => one['conversation'])).toEqual([null, null, null, null]);
    expect(await moves()).toEqual([]);
    expect(
      await db
        .selectFrom('event')
        .select((eb) => eb.fn.countAll<string>().as('count'))
        .executeTakeFirstOrThrow(),
    ).toEqual(before);
    expect(world.errors).toEqual([]);
  });

  it('reads of a part nothing but what it needs [MIG-6] [API-8]', async () => {
    const ask = async (part: string) => {
      world.statements.length = 0;
      await admin.ask(`query ($channelId: ID!) { channelMigrationPreflight(channelId: $channelId) { ... on ChannelMigrationPreflight { ${part} } } }`, {
        channelId: all().channelId,
      });
      return world.statements.filter((one) => /\b(conversation|message)\b/.test(one)).length;
    };
    expect(await ask('sla { policies } irreversible { code }')).toBe(0);
    expect(await ask('conversations { total }')).toBeGreaterThan(0);
  });

  it('the parts come one after the other, each with how many are there; who may not is refused, who does not see it finds nothing [MIG-6] [API-6]', async () => {
    await conversation(world.db, channel);
    const query = `subscription ($channelId: ID!) { channelMigrationPreflightProgress(channelId: $channelId) { __typename
      ... on PreflightPartItem { part done of preflight { eligibility { movable } conversations { total } duration { basis } volume { quietestStart } } } ... on Forbidden { needs } } }`;
    const stream = admin.listen(query, { channelId: all().channelId });
    const items: Json[] = [];
    for (let item = await stream.next(); item !== null; item = await stream.next()) items.push(item['channelMigrationPreflightProgress'] as Json);
    expect(items.map((item) => [item['done'], item['of']])).toEqual(PREFLIGHT_PARTS.map((_, index) => [index + 1, PREFLIGHT_PARTS.length]));
    expect(items.map((item) => text(item['part']).toLowerCase().replaceAll('_', ''))).toEqual(PREFLIGHT_PARTS.map((one) => one.toLowerCase()));
    const of = (part: string) => items.find((item) => text(item['part']) === part)?.['preflight'];
    expect(of('ELIGIBILITY')).toEqual({ eligibility: { movable: true }, conversations: null, duration: null, volume: null });
    expect(of('CONVERSATIONS')).toEqual({ eligibility: null, conversations: { total: 1 }, duration: null, volume: null });
    const refused = agent.listen(query, { channelId: all().channelId });
    expect(await refused.next()).toEqual({ channelMigrationPreflightProgress: { __typename: 'Forbidden', needs: 'the role admin' } });
    expect(await stranger.listen(query, { channelId: all().channelId }).next()).toEqual({ channelMigrationPreflightProgress: { __typename: 'NotFound' } });
  });
});

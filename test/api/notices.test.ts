import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setAccessList } from '#commands/places.ts';
import { deactivateUser } from '#commands/people.ts';
import { endMove, walkOn } from '#commands/migration-walk.ts';
import { newestOf } from '#api/notices.ts';
import type { EventRow } from '#api/rows.ts';
import { begin, conversation, keyOf, makeMapping, onlyThese, rowOf, run, walkToTheEnd, type Mapping } from '../commands/migration-support.ts';
import { inbound, makeChannel, take, type MadeChannel } from '../support/fixtures.ts';
import { at, globalId, openWorld, text, type Json, type Person, type Stream, type World } from './support.ts';

let world: World;
let mapping: Mapping;
let superAdmin: Person;
let admin: Person;
let agent: Person;
let channel: MadeChannel;

beforeEach(async () => {
  world = await openWorld();
  mapping = await makeMapping(world.db);
  superAdmin = await world.user({ role: 'SUPER_ADMIN', name: 'Sue' });
  admin = await world.user({ role: 'ADMIN' });
  agent = await world.user();
  channel = await makeChannel(world.db, { place: 'INBOX' });
}, 60_000);
afterEach(() => world?.close());

const starts = () =>
  begin(world.db, superAdmin.id, { channelId: channel.id, history: 'ALL', openStatusId: mapping.openStatusId, closedStatusId: mapping.closedStatusId });

/** The next so many conversations are moved, and readers are told. */
async function moves(migrationId: string, conversations: number): Promise<void> {
  await world.db.updateTable('channel_migration').set({ batch_size: conversations }).where('id', '=', migrationId).execute();
  await walkOn(world.db, migrationId, { tell: true });
}

const closeTo = (placeId: string, userIds: string[]) => run(world.db, (unit) => setAccessList(unit, { placeId, access: { userIds, teamIds: [] } }));

const NOTICE = `id surfaces channelId channelKey channelName since by { name } state found moved remaining ratePerSecond secondsLeft
  own { moved toMove unassigned } migration { id channel { id } }`;
const list = (value: Json | undefined): Json[] => (value ?? []) as unknown as Json[];
const noticesOf = async (who: Person): Promise<Json[]> => list((await who.ask(`{ notices { ${NOTICE} } }`))['notices']);
const ownOf = async (who: Person) => (await noticesOf(who))[0]?.['own'] as unknown as { moved: number; toMove: number; unassigned: number };

const STREAM = `subscription ($after: String) { notices(after: $after) { __typename ... on Notices { cursor notices { ${NOTICE} } } } }`;
/** The first item that is as wanted, of those to come. */
async function until(stream: Stream, wanted: (notices: Json[]) => boolean): Promise<Json> {
  for (;;) {
    const item = (await stream.next())?.['notices'];
    if (item === undefined) throw new Error('the stream has ended');
    if (wanted(list(item['notices']))) return item;
  }
}

describe('while a channel moves', () => {
  it('everybody is told which one, since when, by whom and how far; the move itself is for admins alone [MIG-18] [API-6]', async () => {
    for (const placeId of [channel.placeId, (await makeChannel(world.db)).placeId]) await closeTo(placeId, [superAdmin.id]);
    for (let index = 0; index < 5; index += 1) await conversation(world.db, channel);
    for (const who of [agent, admin, superAdmin]) expect(await noticesOf(who)).toEqual([]);
    const migrationId = await starts();
    await moves(migrationId, 2);
    const row = await world.db.selectFrom('channel_migration').select('started_at').where('id', '=', migrationId).executeTakeFirstOrThrow();
    for (const who of [agent, admin, superAdmin]) {
      const [notice, ...others] = await noticesOf(who);
      expect(others).toEqual([]);
      expect(notice).toMatchObject({
        id: globalId('MigrationNotice', migrationId),
        surfaces: ['SETTINGS', 'INBOX'],
        channelId: globalId('Channel', channel.id),
        channelKey: channel.key,
        channelName: 'Plain channel',
        since: row.started_at?.toISOString(),
        by: { name: 'Sue' },
        state: 'RUNNING',
        found: 5,
        moved: 2,
        remaining: 3,
        own: { moved: 0, toMove: 0, unassigned: 0 },
      });
      expect(Number(notice?.['ratePerSecond'])).toBeGreaterThan(0);
      expect(Number(notice?.['secondsLeft'])).toBeGreaterThan(0);
      const seen = { id: globalId('ChannelMigration', migrationId), channel: { id: globalId('Channel', channel.id) } };
      expect(notice?.['migration']).toEqual(who === agent ? null : seen);
      expect((await who.ask('query ($id: ID!) { node(id: $id) { ... on MigrationNotice { moved } } }', { id: notice?.['id'] }))['node']).toEqual({ moved: 2 });
    }
    // They see the channel nowhere else.
    expect(await agent.ask('query ($key: String!) { channelByKey(key: $key) { id } }', { key: channel.key })).toEqual({ channelByKey: null });
    await walkToTheEnd(world.db, migrationId);
    for (const who of [agent, admin, superAdmin]) expect(await noticesOf(who)).toEqual([]);
  });

  it('whoever owns some of its conversations is told how those fare, open and closed, with ticket and without, to the number [MIG-18]', async () => {
    const { db } = world;
    const other = await world.user();
    const theirs = async (ownerId: string): Promise<string[]> => [
      await conversation(db, channel, { ownerId }),
      await conversation(db, channel, { ownerId, ticket: true }),
      await conversation(db, channel, { ownerId, closed: true }),
      await conversation(db, channel, { ownerId, ticket: true, closed: true }),
      await conversation(db, channel, { ownerId }),
      await conversation(db, channel, { ownerId }),
    ];
    const [mine, others] = [await theirs(agent.id), await theirs(other.id)];
    // One of another channel, and one that is nobody's.
    await conversation(db, await makeChannel(db, { place: 'INBOX' }), { ownerId: agent.id });
    await conversation(db, channel);
    await onlyThese(db, [other.id]);
    const migrationId = await starts();
    const helpDesk = async (ids: readonly string[]) => (await Promise.all(ids.map((id) => rowOf(db, id)))).filter(({ place }) => place === 'HELP_DESK').length;
    expect(await ownOf(agent)).toEqual({ moved: 0, toMove: 6, unassigned: 0 });
    await moves(migrationId, 3);
    // The last of all is moved by a message, before its turn.
    await take(db, channel, [inbound('again@customers.example', { joins: [await keyOf(db, mine[5] ?? '')] })]);
    expect(await ownOf(agent)).toEqual({ moved: 4, toMove: 2, unassigned: 3 });
    for (let steps = 0; steps < 6; steps += 1) {
      await moves(migrationId, 2);
      const [own, otherOwn] = [await ownOf(agent), await ownOf(other)];
      expect([own.moved, own.toMove]).toEqual([await helpDesk(mine), 6 - (await helpDesk(mine))]);
      expect(otherOwn).toEqual({ moved: await helpDesk(others), toMove: 6 - (await helpDesk(others)), unassigned: 0 });
    }
    // Those with a ticket keep their owner, with access or without.
    expect(await ownOf(agent)).toEqual({ moved: 6, toMove: 0, unassigned: 4 });
  });
});

describe('the stream of notices', () => {
  it('begins with what is, tells of the start, of progress and of the end, at any process; who goes away changes nothing [MIG-18] [API-3]', async () => {
    for (let index = 0; index < 4; index += 1) await conversation(world.db, channel, { ownerId: agent.id });
    const other = await world.sibling();
    const [here, there, leaves] = [agent.listen(STREAM), at(other, agent).listen(STREAM), agent.listen(STREAM)];
    for (const stream of [here, there, leaves]) expect((await stream.next())?.['notices']).toMatchObject({ __typename: 'Notices', notices: [] });
    const migrationId = await starts();
    for (const stream of [here, there, leaves]) {
      const item = await until(stream, (notices) => notices.length === 1);
      expect(list(item['notices'])[0]).toMatchObject({ channelName: 'Plain channel', moved: 0, remaining: 4, own: { moved: 0, toMove: 4, unassigned: 0 } });
    }
    leaves.close();
    await moves(migrationId, 2);
    for (const stream of [here, there]) {
      const item = await until(stream, ([notice]) => Number(notice?.['moved']) === 2);
      expect(list(item['notices'])[0]).toMatchObject({ remaining: 2, own: { moved: 2, toMove: 2 } });
    }
    await walkToTheEnd(world.db, migrationId);
    for (const stream of [here, there]) {
      await until(stream, (notices) => notices.length === 0);
      stream.close();
    }
    expect(world.errors).toEqual([]);
  });

  it('goes on after a cursor with what is now, and refuses one it does not know [API-3]', async () => {
    const first = agent.listen(STREAM);
    const cursor = text((await first.next())?.['notices']?.['cursor']);
    first.close();
    for (let index = 0; index < 2; index += 1) await conversation(world.db, channel);
    const migrationId = await starts();
    const again = agent.listen(STREAM, { after: cursor });
    expect(list((await again.next())?.['notices']?.['notices'])).toHaveLength(1);
    await walkToTheEnd(world.db, migrationId);
    await until(again, (notices) => notices.length === 0);
    again.close();
    const unknown = agent.listen(STREAM, { after: 'garbage' });
    expect(await unknown.next()).toEqual({ notices: { __typename: 'CursorTooOld' } });
    expect(await unknown.next()).toBeNull();
  });

  it('ends for a user who is deactivated [API-3]', async () => {
    const stream = agent.listen(STREAM);
    await stream.next();
    await run(world.db, (unit) => deactivateUser(unit, { userId: agent.id }));
    expect(await stream.next()).toBeNull();
  });

  it('of many viewers is read once for all of them but for what is their own [API-8]', async () => {
    await conversation(world.db, channel);
    const people = await Promise.all(Array.from({ length: 8 }, () => world.user()));
    const streams = people.map((who) => who.listen(STREAM));
    for (const stream of streams) await stream.next();
    world.statements.length = 0;
    await starts();
    for (const stream of streams) await until(stream, (notices) => notices.length === 1);
    expect(world.statements.filter((one) => one.includes('from channel_migration m join channel c'))).toHaveLength(1);
    for (const stream of streams) stream.close();
  });

  it('tells the newest state after a rest, not each on its way there [MIG-18]', async () => {
    const asked: number[] = [];
    async function* many(): AsyncGenerator<EventRow, void, undefined> {
      for (let id = 1; id <= 100; id += 1) {
        asked.push(id);
        yield { id } as EventRow;
        // All of them have come long before the first rest is over.
        await sleep(0);
      }
      await sleep(60_000, undefined, { ref: false });
    }
    const told = newestOf(many(), [10_000, 10_000]);
    const first = await told.next();
    const begun = Date.now();
    const second = await told.next();
    expect([first.value?.id, second.value?.id]).toEqual([1, 100]);
    expect(Date.now() - begun).toBeGreaterThanOrEqual(9_900);
  });
});

it('is over with the transaction of the end, not before [MIG-18]', async () => {
  await conversation(world.db, channel);
  const migrationId = await starts();
  await moves(migrationId, 10);
  // All are moved, and the check is still to come.
  expect((await noticesOf(agent))[0]).toMatchObject({ moved: 1, remaining: 0, state: 'RUNNING' });
  await moves(migrationId, 10);
  expect((await endMove(world.db, migrationId)).value).toBe(true);
  expect(await noticesOf(agent)).toEqual([]);
});

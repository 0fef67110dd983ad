import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { announce } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import { comment } from '#commands/conversations.ts';
import { setAccessList } from '#commands/places.ts';
import { deactivateUser } from '#commands/people.ts';
import { createTicket, setTicketPriority } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { createFeed, newestPosition } from '#api/feed.ts';
import { inbound, makeChannel, take, type MadeChannel } from '../support/fixtures.ts';
import { testDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';
import { at, globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
let channel: MadeChannel;

beforeAll(async () => {
  // Little is kept in memory, so that streams also read on from the database.
  world = await openWorld({ keep: 50 });
  agent = await world.user();
  channel = await makeChannel(world.db);
});
afterAll(() => world?.close());

const EVENTS =
  'subscription ($after: String) { events(after: $after) { __typename ... on FeedItem { cursor event { id kind why ticket { id priority } } } ... on CursorTooOld { message } } }';

/** Until every event so far can be read: any other transaction of the server that is still open, in whichever database, holds the newest back. */
async function readable(db: Db): Promise<void> {
  await eventually(async () => {
    const { rows } = await sql<{ held: number }>`select count(*) as held from event where xid >= pg_snapshot_xmin(pg_current_snapshot())`.execute(db);
    expect(rows[0]?.held).toBe(0);
  });
}

async function cursorNow(who: Person, db: Db = world.db): Promise<string> {
  await readable(db);
  const { events } = await who.ask('{ events { ... on FeedPage { cursor } } }');
  return text(events?.['cursor']);
}

async function newTicket(name: string): Promise<string> {
  const { value } = await transact(world.db, { actor: 'USER', userId: agent.id }, (unit) => createTicket(unit, { name, source: 'API' }));
  return value.ticketId;
}

/** Everything one may see after a cursor, by the query. */
async function readAll(who: Person, after: string): Promise<{ ids: string[]; cursor: string }> {
  const ids: string[] = [];
  let cursor = after;
  for (;;) {
    const { events } = await who.ask(
      'query ($after: String!) { events(after: $after, first: 100) { ... on FeedPage { cursor hasMore items { event { id } } } } }',
      { after: cursor },
    );
    ids.push(...(events?.['items'] as unknown as Json[]).map((item) => text(item['event']?.['id'])));
    cursor = text(events?.['cursor']);
    if ((events?.['hasMore'] as unknown) !== true) return { ids, cursor };
  }
}

test('with eight writers whose transactions overlap, streams of two processes and the query lose nothing and repeat nothing [API-3]', async () => {
  const other = await world.sibling();
  const after = await cursorNow(agent);
  const streams = [agent.listen(EVENTS, { after }), at(other, agent).listen(EVENTS, { after })];
  const each = 60;
  await Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let index = 0; index < each; index += 1) {
        await world.db.transaction().execute(async (tx) => {
          await tx
            .insertInto('event')
            .values({ kind: 'PRIORITY_CHANGED', actor: 'SYSTEM', place_id: channel.placeId, why: `w${writer}-${index}`, data: '{}' })
            .execute();
          // Some commit long after they have their id: a reader by id alone would pass over them.
          if (index % 7 === writer % 7) await sleep(40);
        });
        announce(world.db);
      }
    }),
  );
  const expected = await world.db.selectFrom('event').select(['id', 'why']).where('why', 'like', 'w%-%').execute();
  expect(expected).toHaveLength(8 * each);
  for (const stream of streams) {
    const seen: string[] = [];
    while (seen.length < 8 * each) {
      const item = await stream.next();
      if (item === null) break;
      seen.push(text(item['events']?.['event']?.['why']));
    }
    stream.close();
    expect(seen.toSorted()).toEqual(expected.map((event) => String(event.why)).toSorted());
  }
  await eventually(async () => expect((await readAll(agent, after)).ids).toHaveLength(8 * each));
});

test('after a reconnect with the last cursor the stream goes on without a gap and without a repeat, also at another process [API-3]', async () => {
  const other = await world.sibling();
  const after = await cursorNow(agent);
  for (const name of ['a', 'b', 'c']) await newTicket(name);
  const before = agent.listen(EVENTS, { after });
  const first = await before.next();
  const cursor = first?.['events']?.['cursor'];
  before.close();
  for (const name of ['d', 'e']) await newTicket(name);
  await readable(world.db);
  const expected = (await readAll(agent, after)).ids.slice(1);
  const again = at(other, agent).listen(EVENTS, { after: cursor });
  const seen: string[] = [];
  while (seen.length < expected.length) seen.push(text((await again.next())?.['events']?.['event']?.['id']));
  again.close();
  expect(seen).toEqual(expected);
  expect(seen.length).toBeGreaterThanOrEqual(4);
});

test('an event of a transaction that is still open is not passed over by one that began later [API-3]', async () => {
  const after = await cursorNow(agent);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let began: () => void = () => undefined;
  const started = new Promise<void>((resolve) => {
    began = resolve;
  });
  const slow = world.db.transaction().execute(async (tx) => {
    await tx.insertInto('event').values({ kind: 'STATUS_CHANGED', actor: 'SYSTEM', place_id: channel.placeId, why: 'slow', data: '{}' }).execute();
    began();
    await held;
  });
  await started;
  await newTicket('quick');
  expect((await readAll(agent, after)).ids).toEqual([]);
  release();
  await slow;
  await eventually(async () => expect((await readAll(agent, after)).ids.length).toBeGreaterThanOrEqual(2));
});

test('garbage, a cursor of the future and one whose event is gone are CursorTooOld, in the query and in the stream [API-3]', async () => {
  const { xid } = await newestPosition(world.db);
  const cursors = [
    'garbage',
    '',
    Buffer.from('1,2,3').toString('base64url'),
    Buffer.from(`${xid + 1_000_000n},0`).toString('base64url'),
    Buffer.from('3,999999').toString('base64url'),
  ];
  for (const after of cursors) {
    const { events } = await agent.ask('query ($after: String) { events(after: $after) { __typename } }', { after });
    expect(events, after).toEqual({ __typename: 'CursorTooOld' });
    const stream = agent.listen(EVENTS, { after });
    expect(await stream.next()).toMatchObject({ events: { __typename: 'CursorTooOld' } });
    expect(await stream.next()).toBeNull();
  }
});

test('ticketChanged shows the ticket as it is now, each time [API-3]', async () => {
  const id = await newTicket('watched');
  const stream = agent.listen(
    'subscription ($id: ID!, $after: String) { ticketChanged(ticketId: $id, after: $after) { ... on TicketItem { cursor event { kind } ticket { priority } } } }',
    { id: globalId('Ticket', id), after: await cursorNow(agent) },
  );
  const set = (priority: 'LOW' | 'HIGH' | 'URGENT') =>
    transact(world.db, { actor: 'USER', userId: agent.id }, (unit) => setTicketPriority(unit, { ticketId: id, priority }));
  for (const priority of ['LOW', 'HIGH', 'URGENT'] as const) {
    await set(priority);
    let item: Json | null;
    do item = await stream.next();
    while (item?.['ticketChanged']?.['event']?.['kind'] !== ('PRIORITY_CHANGED' as unknown as Json));
    expect(item?.['ticketChanged']).toMatchObject({ event: { kind: 'PRIORITY_CHANGED' }, ticket: { priority } });
  }
  stream.close();
});

test('conversationMessages brings messages and comments of that conversation only; what may not be seen is NotFound [API-3] [API-6]', async () => {
  await take(world.db, channel, [inbound('stream@outside.example', { text: 'first' })]);
  await take(world.db, channel, [inbound('elsewhere@outside.example', { text: 'other' })]);
  const find = async (address: string) =>
    (
      await world.db
        .selectFrom('conversation')
        .innerJoin('contact_identity', 'contact_identity.contact_id', 'conversation.contact_id')
        .select('conversation.id')
        .where('contact_identity.value', '=', address)
        .executeTakeFirstOrThrow()
    ).id;
  const [mine, other] = [await find('stream@outside.example'), await find('elsewhere@outside.example')];
  const query = 'subscription ($id: ID!) { conversationMessages(conversationId: $id) { __typename ... on MessageItem { message { text direction } } } }';
  const stream = agent.listen(query, { id: globalId('Conversation', mine) });
  const first = stream.next();
  // Without a cursor it brings what comes once it has begun: said again until then.
  await eventually(async () => {
    for (const [conversationId, text] of [
      [other, 'not here'],
      [mine, 'here'],
    ] as const) {
      await transact(world.db, { actor: 'USER', userId: agent.id }, (unit) => comment(unit, { conversationId, text }));
    }
    return Promise.race([first.then(() => true), sleep(50, false)]);
  });
  expect(await first).toMatchObject({ conversationMessages: { message: { text: 'here', direction: 'COMMENT' } } });
  stream.close();
  const nobody = agent.listen(query, { id: globalId('Conversation', '00000000-0000-7000-8000-000000000000') });
  expect(await nobody.next()).toEqual({ conversationMessages: { __typename: 'NotFound' } });
  expect(await nobody.next()).toBeNull();
});

test('access is asked for every event: who has none sees none, and access lost ends the stream [API-3] [API-6]', async () => {
  const alone = await openWorld();
  try {
    const [member, leaver, stranger] = [await alone.user(), await alone.user(), await alone.user({ role: 'ADMIN' })];
    const { id: placeId } = await alone.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
    const allow = (userIds: string[]) => transact(alone.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId, access: { userIds, teamIds: [] } }));
    await allow([member.id, leaver.id]);
    const after = await cursorNow(member, alone.db);
    const [stays, ends, sees] = [member, leaver, stranger].map((who) => who.listen(EVENTS, { after }));
    await transact(alone.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'x', source: 'API' }));
    expect(await stays?.next()).toMatchObject({ events: { event: { kind: 'TICKET_CREATED' } } });
    expect(await ends?.next()).toMatchObject({ events: { event: { kind: 'TICKET_CREATED' } } });
    await allow([member.id]);
    expect(await ends?.next()).toBeNull();
    await transact(alone.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'y', source: 'API' }));
    expect(await stays?.next()).toMatchObject({ events: { event: { kind: 'PEOPLE_CHANGED' } } });
    expect(await stays?.next()).toMatchObject({ events: { event: { kind: 'TICKET_CREATED' } } });
    await transact(alone.db, { actor: 'SYSTEM' }, (unit) => deactivateUser(unit, { userId: member.id }));
    expect(await stays?.next()).toBeNull();
    // The admin has no access to the place; what has no place they see.
    expect(await sees?.next()).toMatchObject({ events: { event: { kind: 'PEOPLE_CHANGED', why: 'USER_DEACTIVATED' } } });
    sees?.close();
  } finally {
    await alone.close();
  }
});

test('a lost notification delays by the next look and loses nothing [API-3]', async () => {
  const stream = agent.listen(EVENTS, { after: await cursorNow(agent) });
  // Written without an announcement.
  await world.db.insertInto('event').values({ kind: 'STATUS_CHANGED', actor: 'SYSTEM', place_id: channel.placeId, why: 'quiet', data: '{}' }).execute();
  expect(await stream.next()).toMatchObject({ events: { event: { why: 'quiet' } } });
  stream.close();
});

test('the reader survives its LISTEN connection being cut [API-3]', async () => {
  const stream = agent.listen(EVENTS, { after: await cursorNow(agent) });
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trunkline-feed' and datname = current_database()`.execute(
    world.db,
  );
  await newTicket('after the cut');
  expect(await stream.next()).toMatchObject({ events: { event: { kind: 'TICKET_CREATED' } } });
  stream.close();
});

test('a listener that is cut three times is replaced by one, which delivers; closed, none is left [API-3]', async () => {
  const { db, url, drop } = await testDatabase();
  // It never looks by itself: nothing but LISTEN brings an event.
  const feed = createFeed({ db, directUrl: url, lookMs: 2_000_000_000, beatMs: 100 });
  const listeners = async (): Promise<readonly number[]> => {
    const { rows } = await sql<{ pid: number }>`
      select pid from pg_stat_activity where datname = current_database() and application_name = 'trunkline-feed' and query like 'listen %'`.execute(db);
    return rows.map(({ pid }) => pid);
  };
  const over = AbortSignal.timeout(200_000);
  const oneListener = async (but?: number): Promise<number> => {
    const pids = await listeners();
    const [pid] = pids;
    if (pids.length !== 1 || pid === undefined || pid === but) throw new Error(`these listen: ${pids.join(', ')}`);
    return pid;
  };
  try {
    const after = await feed.head();
    let pid = await eventually(() => oneListener());
    for (let cut = 0; cut < 3; cut += 1) {
      const cutOff = pid;
      await sql`select pg_terminate_backend(${cutOff})`.execute(db);
      pid = await eventually(() => oneListener(cutOff));
    }
    // Long enough for another one to have come.
    await sleep(2_500);
    expect(await listeners()).toEqual([pid]);
    await db.insertInto('event').values({ kind: 'PRIORITY_CHANGED', actor: 'SYSTEM', why: 'after the cuts', data: '{}' }).execute();
    const seen: unknown[] = [];
    for await (const events of feed.follow(after, over)) {
      seen.push(...events.map((event) => event.why));
      if (seen.length > 0) break;
      // Again and again: while a transaction of another test is open, the event can not be read yet.
      announce(db);
    }
    expect(seen).toEqual(['after the cuts']);
    await feed.close();
    await eventually(async () => expect(await listeners()).toEqual([]));
  } finally {
    await feed.close();
    await drop();
  }
});

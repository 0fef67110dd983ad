import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { globalId } from '#api/builder.ts';
import { createThrottle, TYPING_MS } from '#api/live/signals.ts';
import { ALIVE_SECONDS, GONE_AFTER_SECONDS, keepHere, sweepGone } from '#commands/presence.ts';
import { setAccessList } from '#commands/places.ts';
import { assign } from '#commands/owners.ts';
import { hashToken } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import { as, text, type Json, type Person, type Stream } from '../api/support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { connectTalk, openPage, openProcess, say, talk, type Process } from './live-support.ts';

let database: TestDatabase;
let one: Process;
let two: Process;

beforeAll(async () => {
  database = await testDatabase();
  const mute = { ...plainPlugin, capabilities: { ...plainPlugin.capabilities, typing: false } };
  [one, two] = await Promise.all([openProcess(database.url, { plugins: [talk, mute] }), openProcess(database.url, { plugins: [talk, mute] })]);
});
afterAll(async () => {
  await Promise.all([one?.close(), two?.close()]);
  await database?.drop();
});

async function person(name: string, at: Process): Promise<Person> {
  const id = await makeUser(database.db, { name });
  const token = `test_${randomBytes(16).toString('hex')}`;
  await database.db
    .insertInto('api_token')
    .values({ user_id: id, name: 'test', token_hash: hashToken(token) })
    .execute();
  return as(at.graphql, id, token);
}

const ACTIVITY = `subscription ($id: ID!, $after: String) { conversationActivity(conversationId: $id, after: $after) {
  __typename ... on ActivityItem { kind user { name } event { kind } cursor } } }`;
const TYPING = 'mutation ($id: ID!) { showTyping(input: {conversationId: $id}) { __typename ... on NotPossible { reason } } }';
const CURSOR = '{ events { ... on FeedPage { cursor } } }';

/** A visitor who has written, with their page open. */
async function begun(at: Process): Promise<{
  readonly v: string;
  readonly page: Awaited<ReturnType<typeof openPage>>;
  readonly url: string;
  readonly id: string;
  readonly gid: string;
  readonly channelId: string;
}> {
  const { key, channelId } = await connectTalk(database.db);
  const v = randomUUID();
  const url = at.page(key);
  await say(url, v, 'hello');
  const id = await eventually(
    async () => (await database.db.selectFrom('conversation').select('id').where('channel_id', '=', channelId).executeTakeFirst())?.id ?? false,
  );
  const page = await openPage(url, v);
  await eventually(() => page.lines.length >= 2);
  return { v, page, url, id, gid: globalId('Conversation', id), channelId };
}

interface Item {
  readonly kind: string;
  readonly user: { readonly name: string } | null;
  readonly event: { readonly kind: string } | null;
  readonly cursor: string | null;
}

async function next(stream: Stream, kind: string): Promise<Item> {
  for (;;) {
    const item = (await stream.next()) as Json | null;
    if (item === null) throw new Error('the stream ended');
    const activity = item['conversationActivity'] as unknown as Item;
    if (activity.kind === kind) return activity;
  }
}

/** The next user who is seen writing. */
async function writer(stream: Stream): Promise<string> {
  for (;;) {
    const { user } = await next(stream, 'TYPING');
    if (user !== null) return user.name;
  }
}

/** Said again and again, as a page does while somebody writes, until it is heard. */
async function untilHeard(type: () => Promise<unknown>, heard: Promise<unknown>): Promise<void> {
  let done = false;
  void heard.then(
    () => (done = true),
    () => (done = true),
  );
  await eventually(
    async () => {
      await type();
      return done;
    },
    { intervalMs: 300 },
  );
  await heard;
}

it('who is writing is shown at every process: the visitor to agents, an agent to the visitor and to the others, and nobody to themself [CHAT-2]', async () => {
  const { v, page, url, gid, id } = await begun(one);
  const [ada, grace] = [await person('Ada', one), await person('Grace', two)];
  const [hers, graces] = [ada.listen(ACTIVITY, { id: gid }), grace.listen(ACTIVITY, { id: gid })];
  const both = Promise.all([hers, graces].map((stream) => next(stream, 'TYPING')));
  await untilHeard(() => fetch(`${url}/typing?v=${v}`, { method: 'POST', body: '{}' }), both);
  expect(await both).toMatchObject([hers, graces].map(() => ({ user: null, event: null, cursor: null })));
  const heard = writer(hers);
  await untilHeard(() => grace.ask(TYPING, { id: gid }), heard);
  expect(await heard).toBe('Grace');
  await eventually(() => expect(page.lines.at(-1)).toEqual({ type: 'typing', author: 'Grace' }));
  // Her own was not shown to her: the first user whom she sees write is another.
  const graceHeard = writer(graces);
  await untilHeard(() => ada.ask(TYPING, { id: gid }), graceHeard);
  expect(await graceHeard).toBe('Ada');
  // Nothing of it is stored.
  expect(await database.db.selectFrom('event').select('kind').where('conversation_id', '=', id).where('kind', 'like', '%TYP%').execute()).toEqual([]);
  hers.close();
  graces.close();
  page.cut();
});

it('one person’s writing in one conversation is told once in two seconds [API-7]', () => {
  let now = 7;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  try {
    const may = createThrottle(TYPING_MS);
    expect([may('a'), may('a'), may('b'), may('a')]).toEqual([true, false, true, false]);
    now += TYPING_MS - 1;
    expect([may('a'), may('b')]).toEqual([false, false]);
    now += 1;
    expect([may('a'), may('a'), may('b')]).toEqual([true, false, true]);
  } finally {
    clock.mockRestore();
  }
});

it('typing is refused where the channel can not show it, and where the conversation is not to be seen [API-6]', async () => {
  const ada = await person('Ada', one);
  const plain = await makeChannel(database.db);
  await take(database.db, plain, [inbound('mail@outside.example')]);
  const { id } = await database.db.selectFrom('conversation').select('id').where('channel_id', '=', plain.id).executeTakeFirstOrThrow();
  expect(await ada.ask(TYPING, { id: globalId('Conversation', id) })).toEqual({ showTyping: { __typename: 'NotPossible', reason: 'CHANNEL_SHOWS_NO_TYPING' } });
  expect(await ada.ask(TYPING, { id: globalId('Conversation', randomUUID()) })).toEqual({ showTyping: { __typename: 'NotFound' } });
});

it('agents are told that the visitor left and came, and who joined, and go on behind a cursor; the conversation says it too [CHAT-6]', async () => {
  const { v, page, gid, id, channelId } = await begun(two);
  const [ada, grace] = [await person('Ada', one), await person('Grace', two)];
  const after = text((await ada.ask(CURSOR))['events']?.['cursor']);
  const streams = [ada.listen(ACTIVITY, { id: gid, after }), grace.listen(ACTIVITY, { id: gid, after })];
  const presence = async () =>
    (await ada.ask('query ($id: ID!) { node(id: $id) { ... on Conversation { visitorPresence { here since } } } }', { id: gid }))['node']?.['visitorPresence'];
  await eventually(async () => expect(await presence()).toMatchObject({ here: true }));
  page.cut();
  await page.ended;
  await eventually(() => two.live.size === 0);
  // The last word of the process that held the page, then a minute without one.
  await eventually(async () => {
    await sql`update visitor_presence set seen_at = seen_at - make_interval(secs => ${GONE_AFTER_SECONDS}) where value = ${v}`.execute(database.db);
    await sweepGone(database.db, 100);
    expect(await presence()).toMatchObject({ here: false });
  });
  const left = await Promise.all(streams.map((stream) => next(stream, 'VISITOR_LEFT')));
  expect(left[0]).toMatchObject({ user: null, event: { kind: 'VISITOR_LEFT' } });
  await keepHere(database.db, [{ channelId, kind: 'visitor', value: v }]);
  await Promise.all(streams.map((stream) => next(stream, 'VISITOR_CAME')));
  await transact(database.db, { actor: 'USER', userId: ada.id }, (unit) => assign(unit, { conversationId: id }, { userId: grace.id }));
  expect((await Promise.all(streams.map((stream) => next(stream, 'JOINED')))).map(({ user }) => user)).toEqual([{ name: 'Grace' }, { name: 'Grace' }]);
  for (const stream of streams) stream.close();
  const resumed = ada.listen(ACTIVITY, { id: gid, after: left[0]?.cursor });
  expect(await next(resumed, 'VISITOR_CAME')).toMatchObject({ event: { kind: 'VISITOR_CAME' } });
  resumed.close();
});

it('a page that is open and gives no sign of life has left, and comes back with one, at whichever process; a connection that ends long after says nothing [CHAT-6]', async () => {
  const { key, channelId } = await connectTalk(database.db);
  const [v, url] = [randomUUID(), one.page(key)];
  const page = await openPage(url, v);
  await say(url, v, 'hello');
  // As news: the process has heard of it, which is a sign of life, and will not hear of it later.
  await eventually(() => page.lines.some((line) => line.type === 'message' && line.old !== true));
  const { id } = await database.db.selectFrom('conversation').select('id').where('channel_id', '=', channelId).executeTakeFirstOrThrow();
  const silent = await openPage(url, `never-wrote-${v}`);
  const told = async () => {
    const events = await database.db
      .selectFrom('event')
      .select('kind')
      .where('conversation_id', '=', id)
      .where('kind', 'like', 'VISITOR_%')
      .orderBy('id')
      .execute();
    return events.map(({ kind }) => kind);
  };
  const row = () => database.db.selectFrom('visitor_presence').select(['here', 'seen_at']).where('value', '=', v).executeTakeFirst();
  const age = (seconds: number) => sql`update visitor_presence set seen_at = now() - make_interval(secs => ${seconds}) where value = ${v}`.execute(database.db);
  const sign = () => fetch(`${two.page(url.split('/').at(-1) ?? '')}/here?v=${v}`);
  await eventually(async () => expect(await told()).toEqual(['VISITOR_CAME']));
  // Whatever was heard is written in its order: once another visitor who came later is here, so is all that was heard of this one.
  const { v: w, url: others, page: another, channelId: elsewhere } = await begun(one);
  await eventually(async () =>
    expect(await database.db.selectFrom('visitor_presence').select('here').where('value', '=', w).execute()).toEqual([{ here: true }]),
  );
  await age(30);
  const before = (await row())?.seen_at.getTime() ?? 0;
  // Longer than it takes until what was heard is written: the other's sign of life, given after, is.
  await sql`update visitor_presence set seen_at = now() - interval '50 s' where value = ${w}`.execute(database.db);
  await fetch(`${others}/here?v=${w}`);
  const aged = async () =>
    Number(
      (await sql<{ s: string }>`select extract(epoch from now() - seen_at) as s from visitor_presence where value = ${w}`.execute(database.db)).rows[0]?.s,
    );
  await eventually(async () => (await aged()) < 40);
  expect((await row())?.seen_at.getTime()).toBe(before);
  await age(GONE_AFTER_SECONDS + 1);
  await eventually(async () => expect(await told()).toEqual(['VISITOR_CAME', 'VISITOR_LEFT']));
  expect((await sign()).status).toBe(204);
  await eventually(async () => expect(await told()).toEqual(['VISITOR_CAME', 'VISITOR_LEFT', 'VISITOR_CAME']));
  await age(ALIVE_SECONDS + 5);
  const silence = (await row())?.seen_at.getTime();
  const { size } = one.live;
  page.cut();
  await eventually(() => one.live.size === size - 1);
  // Written in one order: once a later end is, this one was looked at.
  await keepHere(database.db, [{ channelId: elsewhere, kind: 'visitor', value: w }]);
  await sql`update visitor_presence set seen_at = now() - interval '30 s' where value = ${w}`.execute(database.db);
  another.cut();
  await eventually(async () => (await aged()) < 20);
  expect((await row())?.seen_at.getTime()).toBe(silence);
  silent.cut();
  // Nobody's contact, nobody's row.
  expect(await database.db.selectFrom('visitor_presence').select('value').where('channel_id', '=', channelId).execute()).toEqual([{ value: v }]);
});

it('a conversation that is not to be seen has no activity; access lost ends the stream, also where somebody only writes [API-6]', async () => {
  const { v, url, gid, page } = await begun(one);
  const ada = await person('Ada', one);
  const hidden = ada.listen(ACTIVITY, { id: globalId('Conversation', randomUUID()) });
  expect(await hidden.next()).toEqual({ conversationActivity: { __typename: 'NotFound' } });
  const stream = ada.listen(ACTIVITY, { id: gid });
  await untilHeard(() => fetch(`${url}/typing?v=${v}`, { method: 'POST', body: '{}' }), next(stream, 'TYPING'));
  const { id: placeId } = await database.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  await sql`update app_user set deactivated_at = now() where id = ${ada.id}`.execute(database.db);
  const ended = (async () => {
    while ((await stream.next()) !== null);
  })();
  await untilHeard(() => fetch(`${url}/typing?v=${v}`, { method: 'POST', body: '{}' }), ended);
  const grace = await person('Grace', one);
  const outside = grace.listen(ACTIVITY, { id: gid });
  await untilHeard(() => fetch(`${url}/typing?v=${v}`, { method: 'POST', body: '{}' }), next(outside, 'TYPING'));
  await transact(database.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId, access: { userIds: [ada.id], teamIds: [] } }));
  await (async () => {
    while ((await outside.next()) !== null);
  })();
  expect(await grace.listen(ACTIVITY, { id: gid }).next()).toEqual({ conversationActivity: { __typename: 'NotFound' } });
  page.cut();
});

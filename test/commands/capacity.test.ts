import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setCapacity, type Capacity } from '#commands/capacity.ts';
import { setContactOwner } from '#commands/contact-owner.ts';
import { assign } from '#commands/owners.ts';
import { InvalidInput, NotFound } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { close, createTicket } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { explainInWords } from '#domain/routing-words.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { arriving, atOnce, decisions, load, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
let workers: readonly Db[];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  workers = Array.from({ length: 3 }, () => openDatabase(database.url, { name: 'test-worker', max: 8 }));
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await Promise.all(workers.map((one) => one.destroy()));
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

/** Mail is written, talk is messaging. */
const talk: Plugin = {
  ...plainPlugin,
  key: 'talk',
  capabilities: { ...plainPlugin.capabilities, routing: { group: 'messaging', defaultMethod: 'least-busy' } },
};
const PLUGINS = [plainPlugin, talk];
const byHand = <T>(work: (unit: Unit) => Promise<T>) => transact(db, { actor: 'SYSTEM' }, work);
const limited = async (userId: string, capacity: Partial<Capacity>) => {
  await byHand((unit) => setCapacity(unit, { userId, ...capacity }));
  return userId;
};
const users = (count: number, capacity: Partial<Capacity>) => Promise.all(Array.from({ length: count }, async () => limited(await makeUser(db), capacity)));

async function decided(channel: MadeChannel) {
  const [conversationId = ''] = await arriving(db, channel, 1);
  await decide(db, { conversationId }, Math.random, PLUGINS);
  const [decision] = await decisions(db, [conversationId]);
  if (decision === undefined) throw new Error('nothing was decided');
  return { ...decision, conversationId };
}

const ticketsOf = async (userId: string): Promise<number> => {
  const { rows } = await sql<{ n: number }>`select count(*) as n from ticket where owner_id = ${userId} and closed_at is null`.execute(db);
  return rows[0]?.n ?? Number.NaN;
};

describe('the limit of what somebody may own', () => {
  it.each(['LEAST_BUSY', 'RANDOM', 'ROUND_ROBIN'] as const)(
    'stops %s at the limit, with the numbers; closing one makes room [ROUTE-11, ROUTE-4]',
    async (method) => {
      const [user = ''] = await users(1, { total: 2 });
      const channel = await ruled(db, { users: [user], method });
      const [first] = [await decided(channel), await decided(channel)];
      const { chosen, explanation } = await decided(channel);
      expect(chosen).toBeNull();
      expect(explanation).toMatchObject({
        outcome: 'NOBODY_ELIGIBLE',
        leftOut: { AT_CAPACITY: 1 },
        candidates: [{ userId: user, outcome: 'LEFT_OUT', reason: 'AT_CAPACITY', limits: [{ of: 'total', open: 2, limit: 2 }] }],
      });
      expect(explainInWords(explanation)).toBe('unassigned: none of those the rule names was eligible; left out: 1 at capacity');
      await byHand((unit) => close(unit, { conversationId: first.conversationId }));
      expect((await decided(channel)).explanation.candidates[0]).toMatchObject({ outcome: 'CHOSEN', limits: [{ of: 'total', open: 1, limit: 2 }] });
    },
  );

  it('counts open tickets: those without a conversation too, and no conversation without a ticket [ROUTE-11]', async () => {
    const [user = ''] = await users(1, { total: 2, written: 2 });
    await load(db, user, 5);
    const { value } = await byHand((unit) => createTicket(unit, { name: 'x', source: 'API' }));
    await byHand((unit) => assign(unit, { ticketId: value.ticketId }, { userId: user }));
    const channel = await ruled(db, { users: [user] });
    const { chosen, explanation } = await decided(channel);
    expect(chosen).toBe(user);
    expect(explanation.candidates[0]).toMatchObject({
      open: 6,
      limits: [
        { of: 'total', open: 1, limit: 2 },
        { of: 'written', open: 0, limit: 2 },
      ],
    });
    expect((await decided(channel)).explanation.leftOut).toEqual({ AT_CAPACITY: 1 });
  });

  it('counts a group by the channels of its plugins: one group full leaves room in another [ROUTE-11]', async () => {
    const [user = ''] = await users(1, { messaging: 1, total: 3 });
    const mail = await ruled(db, { users: [user] });
    const chat = await ruled(db, { users: [user] }, { plugin: 'talk' });
    expect((await decided(chat)).chosen).toBe(user);
    const full = await decided(chat);
    expect(full.explanation.candidates[0]).toMatchObject({
      reason: 'AT_CAPACITY',
      limits: [
        { of: 'total', open: 1, limit: 3 },
        { of: 'messaging', open: 1, limit: 1 },
      ],
    });
    expect([(await decided(mail)).chosen, (await decided(mail)).chosen, (await decided(mail)).chosen]).toEqual([user, user, null]);
  });

  it('gives nothing to a limit of zero, and everything to none [ROUTE-11]', async () => {
    const [none = ''] = await users(1, { written: 0 });
    const channel = await ruled(db, { users: [none] });
    expect((await decided(channel)).chosen).toBeNull();
    await limited(none, { written: null });
    expect((await decided(channel)).chosen).toBe(none);
  });

  it('holds nobody back who gives it by hand, or takes it [ROUTE-11]', async () => {
    const [full = ''] = await users(1, { total: 0 });
    const [conversationId = ''] = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 1);
    await byHand((unit) => assign(unit, { conversationId }, { userId: full }));
    expect(await ticketsOf(full)).toBe(1);
  });

  it('holds for the pick of one of a team [ROUTE-3, ROUTE-11]', async () => {
    const [first = '', second = ''] = await users(2, { written: 1 });
    const team = await makeTeam(db, { primary: [first, second] });
    const ids = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 3);
    const owners: (string | null)[] = [];
    for (const conversationId of ids) {
      const { value } = await byHand((unit) => assign(unit, { conversationId }, { teamId: team }, undefined, PLUGINS));
      owners.push(value.ownerId);
    }
    expect(owners.toSorted()).toEqual([first, second, null].toSorted());
    const [last] = (await decisions(db, ids)).slice(-1);
    expect(last?.explanation).toMatchObject({ rule: 'TEAM', ownerId: null, leftOut: { AT_CAPACITY: 2 } });
  });

  it("counts a contact's owner at capacity as none, and the default user likewise [ROUTE-10, ROUTE-11]", async () => {
    const [owner = '', standIn = ''] = await users(2, { written: 1 });
    const channel = await ruled(db, { kind: 'CONTACT_OWNER', defaultUser: standIn });
    const ids = await arriving(db, channel, 3);
    const contacts = await db.selectFrom('conversation').select(['id', 'contact_id']).where('id', 'in', ids).execute();
    for (const { contact_id: contactId } of contacts) await byHand((unit) => setContactOwner(unit, { contactId: contactId ?? '', ownerId: owner }));
    // Known by their identity.
    const mail: Plugin = { ...plainPlugin, capabilities: { ...plainPlugin.capabilities, inbound: ['listener'] } };
    for (const conversationId of ids) await decide(db, { conversationId }, Math.random, [mail]);
    const made = await decisions(db, ids);
    expect(made.map(({ chosen }) => chosen)).toEqual([owner, standIn, null]);
    expect(made[1]?.explanation.candidates.find(({ as }) => as === 'OWNER')).toMatchObject({ reason: 'AT_CAPACITY', limits: [{ open: 1, limit: 1 }] });
    expect(made[2]?.explanation.leftOut).toEqual({ AT_CAPACITY: 2 });
  });

  it('is what a preview counts too [ROUTE-14, ROUTE-11]', async () => {
    const [full = ''] = await users(1, { written: 0 });
    const free = await makeUser(db);
    const channel = await ruled(db, { users: [full, free] });
    const { ownerId, explanation } = await previewRouting(db, PLUGINS, { channelId: channel.id, contactId: null });
    expect([ownerId, explanation.leftOut]).toEqual([free, { AT_CAPACITY: 1 }]);
  });

  it('is passed by no automatic decision: 500 at once by several workers, over pools that share users [ROUTE-15, ROUTE-11]', async () => {
    const pool = [...(await users(3, { total: 40 })), ...(await users(3, { written: 25, total: 60 })), ...(await users(2, { messaging: 30 }))];
    const [a = '', b = '', c = '', d = '', e = '', f = '', g = '', h = ''] = pool;
    const team = await makeTeam(db, { primary: [c, d, g] });
    const channels = [
      await ruled(db, { users: [a, b, g, h] }, { plugin: 'talk' }),
      await ruled(db, { users: [b, e, f], teams: [team], method: 'ROUND_ROBIN' }),
      await ruled(db, { users: [a, d, e, h], teams: [team], method: 'RANDOM' }),
    ];
    const ids: string[] = [];
    for (const channel of channels) ids.push(...(await arriving(db, channel, channel === channels[0] ? 100 : 170)));
    const toTeam = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 60);
    const worker = (index: number): Db => workers[index % workers.length] ?? db;
    const decisionsToMake = ids.map((conversationId, index) => () => decide(worker(index), { conversationId }, Math.random, PLUGINS));
    const toGive = toTeam.map(
      (conversationId, index) => () =>
        transact(worker(index), { actor: 'SYSTEM' }, (unit) => assign(unit, { conversationId }, { teamId: team }, undefined, PLUGINS)),
    );
    // The pools in between one another.
    await atOnce([...decisionsToMake, ...toGive].map((_, index, all) => all[(index * 7) % all.length] ?? (() => Promise.resolve())));
    const { rows } = await sql<{ id: string; total: number; talk: number; plain: number }>`
      select u.id, count(t.id) as total, count(*) filter (where h.plugin = 'talk') as talk, count(*) filter (where h.plugin = 'plain') as plain
      from app_user u left join ticket t on t.owner_id = u.id and t.closed_at is null left join conversation c on c.id = t.conversation_id
      left join channel h on h.id = c.channel_id where u.id in (${sql.join(pool)}) group by u.id`.execute(db);
    const owned = new Map(rows.map((row) => [row.id, row]));
    for (const id of [a, b, c]) expect(owned.get(id)?.total).toBeLessThanOrEqual(40);
    for (const id of [d, e, f]) {
      expect(owned.get(id)?.total).toBeLessThanOrEqual(60);
      expect(owned.get(id)?.plain).toBeLessThanOrEqual(25);
    }
    for (const id of [g, h]) expect(owned.get(id)?.talk).toBeLessThanOrEqual(30);
    // The limits were reached: more came than those of the second pool, which have limits all but one, may own.
    expect(owned.get(f)?.plain).toBe(25);
    const made = await decisions(db, [...ids, ...toTeam]);
    expect(made).toHaveLength(500);
    const over = made.filter(({ explanation }) =>
      explanation.candidates.some((one) => one.outcome === 'CHOSEN' && one.limits?.some((at) => at.open >= at.limit)),
    );
    expect(over).toEqual([]);
    expect(made.some(({ explanation }) => (explanation.leftOut.AT_CAPACITY ?? 0) > 0)).toBe(true);
  });
});

describe('setting limits', () => {
  it('keeps what is not named, and says so once [ROUTE-11]', async () => {
    const user = await makeUser(db);
    await limited(user, { total: 10, voice: 1 });
    await limited(user, { voice: null, messaging: 4 });
    await limited(user, { total: 10 });
    const row = await db
      .selectFrom('app_user')
      .select(['capacity_total', 'capacity_voice', 'capacity_messaging', 'capacity_written'])
      .where('id', '=', user)
      .executeTakeFirst();
    expect(row).toEqual({ capacity_total: 10, capacity_voice: null, capacity_messaging: 4, capacity_written: null });
    const events = await db.selectFrom('event').select(['why', 'data']).where('user_id', '=', user).orderBy('id').execute();
    expect(events).toEqual([
      { why: 'CAPACITY', data: { total: 10, voice: 1, messaging: null, written: null } },
      { why: 'CAPACITY', data: { total: 10, voice: null, messaging: 4, written: null } },
    ]);
  });

  it('refuses what is no number of tickets, each by its name, and users there are not', async () => {
    const user = await makeUser(db);
    const error = await limited(user, { total: -1, voice: 1.5, written: 100_001, messaging: 3 }).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(InvalidInput);
    expect(error).toMatchObject({ problems: [{ path: 'total' }, { path: 'voice' }, { path: 'written' }] });
    await expect(limited('x', { total: 1 })).rejects.toBeInstanceOf(NotFound);
  });
});

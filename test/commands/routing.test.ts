import { sql, type Updateable } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findStuck } from '#commands/guardian.ts';
import { assign } from '#commands/owners.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { readPool } from '#commands/routing-pool.ts';
import { InvalidInput } from '#commands/refusals.ts';
import { close, createTicket, readTicketState } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import type { Database } from '#db/schema.ts';
import { decideOwner, type Rule } from '#domain/routing.ts';
import { explainInWords } from '#domain/routing-words.ts';
import { seeded } from '#scripts/chaos/random.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { arriving, decisions, load, makeRule, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(() => database.drop());

const as = <T>(userId: string, work: (unit: Unit) => Promise<T>) => transact(db, { actor: 'USER', userId }, work);
const users = (count: number) => Promise.all(Array.from({ length: count }, () => makeUser(db)));
const HOURS_AGO = (hours: number) => new Date(Date.now() - hours * 3_600_000);
const assignedAt = (userId: string, at: Date | null) => db.updateTable('app_user').set({ last_assigned_at: at }).where('id', '=', userId).execute();
const activeIn = (userId: string, placeId: string, secondsAgo: number) =>
  sql`insert into place_activity (place_id, user_id, at) values (${placeId}, ${userId}, now() - make_interval(secs => ${secondsAgo}))`.execute(db);

/** One new conversation, decided. */
async function decided(channel: MadeChannel) {
  const [conversationId = ''] = await arriving(db, channel, 1);
  await decide(db, { conversationId }, Math.random, [plainPlugin]);
  const [decision] = await decisions(db, [conversationId]);
  if (decision === undefined) throw new Error('nothing was decided');
  return { ...decision, conversationId };
}

describe('least busy', () => {
  it('gives it to who has the fewest open conversations and tickets, of any place, each pair counted once [ROUTE-8, ROUTE-9]', async () => {
    const [three, two, one] = await users(3);
    const helpDesk = await ruled(db, { kind: 'NOBODY' });
    const give = async (userId: string, count: number) => {
      const ids = await arriving(db, helpDesk, count);
      for (const conversationId of ids) await as(userId, (unit) => assign(unit, { conversationId }, { userId }));
      return ids;
    };
    await load(db, three ?? '', 3);
    await give(two ?? '', 2);
    await give(one ?? '', 1);
    // Tickets of no conversation count too, what is closed does not.
    const { value } = await as(two ?? '', (unit) => createTicket(unit, { name: 'x', source: 'API' }));
    await as(two ?? '', (unit) => assign(unit, { ticketId: value.ticketId }, { userId: two ?? '' }));
    const [closed = ''] = await give(one ?? '', 1);
    await as(one ?? '', (unit) => close(unit, { conversationId: closed }));
    const { chosen, explanation } = await decided(await ruled(db, { users: [three ?? '', two ?? '', one ?? ''] }));
    expect(chosen).toBe(one);
    expect(explanation.decidedBy).toBe('OPEN');
    expect(new Map(explanation.candidates.map(({ userId, open }) => [userId, open]))).toEqual(
      new Map([
        [one, 1],
        [two, 3],
        [three, 3],
      ]),
    );
  });

  it('gives it of equally busy ones to who made a request to that place in the last two minutes [ROUTE-9]', async () => {
    const [long, elsewhere, here] = await users(3);
    const channel = await ruled(db, { users: [long ?? '', elsewhere ?? '', here ?? ''] });
    const inbox = await db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
    await activeIn(long ?? '', channel.placeId, 125);
    await activeIn(elsewhere ?? '', inbox.id, 1);
    await activeIn(here ?? '', channel.placeId, 115);
    await assignedAt(here ?? '', new Date());
    const { chosen, explanation } = await decided(channel);
    expect(chosen).toBe(here);
    expect(explanation.decidedBy).toBe('ACTIVE');
    expect(explanation.candidates.map(({ active }) => active)).toEqual([true, false, false]);
  });

  it('gives it then to the least recently assigned, the never assigned first, then by id [ROUTE-9]', async () => {
    const [recent, earlier, never, never2] = (await users(4)).toSorted();
    const pool = [recent ?? '', earlier ?? '', never ?? '', never2 ?? ''];
    await assignedAt(recent ?? '', HOURS_AGO(1));
    await assignedAt(earlier ?? '', HOURS_AGO(2));
    const channel = await ruled(db, { users: pool });
    const order: (string | null)[] = [];
    for (let turn = 0; turn < 4; turn += 1) order.push((await decided(channel)).chosen);
    expect(order).toEqual([never, never2, earlier, recent]);
  });

  it('counts what somebody was given by hand, or took, as assigned [ROUTE-9]', async () => {
    const [handed, earlier] = await users(2);
    await assignedAt(handed ?? '', HOURS_AGO(3));
    await assignedAt(earlier ?? '', HOURS_AGO(2));
    const other = await ruled(db, { kind: 'NOBODY' });
    const [conversationId = ''] = await arriving(db, other, 1);
    await as(earlier ?? '', (unit) => assign(unit, { conversationId }, { userId: handed ?? '' }));
    // Equal loads again.
    await as(earlier ?? '', (unit) => close(unit, { conversationId }));
    const { chosen, explanation } = await decided(await ruled(db, { users: [handed ?? '', earlier ?? ''] }));
    expect([chosen, explanation.decidedBy]).toEqual([earlier, 'LAST_ASSIGNED']);
  });

  describe('where the account reads it literally', () => {
    beforeEach(async () => {
      await db.updateTable('account').set({ recently_assigned_first: true }).execute();
      return async () => {
        await db.updateTable('account').set({ recently_assigned_first: false }).execute();
      };
    });

    it('gives it of equally busy ones to who was assigned last, the never assigned last [ROUTE-9]', async () => {
      const [never, earlier, recent] = await users(3);
      await assignedAt(earlier ?? '', HOURS_AGO(2));
      await assignedAt(recent ?? '', HOURS_AGO(1));
      const { chosen, explanation } = await decided(await ruled(db, { users: [never ?? '', earlier ?? '', recent ?? ''] }));
      expect(chosen).toBe(recent);
      expect(explanation.candidates.map(({ userId }) => userId)).toEqual([recent, earlier, never]);
    });
  });

  it('leaves out who has no seat, no access, is away or deactivated, with the reason; nobody left: unassigned [ROUTE-4, ROUTE-5, ROUTE-14]', async () => {
    const [busy, poor, away, gone] = [
      await makeUser(db),
      await makeUser(db, { seat: 'NONE' }),
      await makeUser(db, { availability: 'AWAY' }),
      await makeUser(db),
    ];
    await load(db, busy, 4);
    await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone).execute();
    const { chosen, explanation } = await decided(await ruled(db, { users: [busy, poor, away, gone] }));
    expect(chosen).toBe(busy);
    expect(explanation).toMatchObject({ decidedBy: 'ONLY_ONE', eligible: 1, leftOut: { NO_SEAT: 1, AWAY: 1, DEACTIVATED: 1 } });
    const none = await decided(await ruled(db, { users: [poor, away, gone] }));
    expect([none.chosen, none.explanation.outcome]).toEqual([null, 'NOBODY_ELIGIBLE']);
    // Availability is ignored where the rule says so.
    expect((await decided(await ruled(db, { users: [poor, away, gone], availableOnly: false }))).chosen).toBe(away);
  });

  it('reads of a large pool the fifty nearest and counts the rest, and decides as if it had read them all [ROUTE-14]', async () => {
    const random = seeded(5);
    const pool: string[] = [];
    for (let index = 0; index < 130; index += 1) {
      pool.push(await makeUser(db, { seat: random() < 0.1 ? 'NONE' : 'PAID', availability: random() < 0.2 ? 'AWAY' : 'AVAILABLE' }));
    }
    const channel = await ruled(db, { teams: [await makeTeam(db, { primary: pool })] });
    for (const [index, userId] of pool.entries()) {
      if (index % 3 === 0) await assignedAt(userId, HOURS_AGO(1 + Math.floor(random() * 4)));
      if (index % 4 === 0) await activeIn(userId, channel.placeId, random() < 0.5 ? 10 : 500);
      if (index % 5 === 0) await load(db, userId, 1);
    }
    const rule: Rule = { id: channel.ruleId, kind: 'SPECIFIC', method: 'LEAST_BUSY', availableOnly: true };
    const near = await readPool(db, { ruleId: channel.ruleId }, { placeId: channel.placeId, rule, grouped: null });
    expect(near.candidates).toHaveLength(50);
    // All of them, each with its numbers read by a statement of its own, for the domain to rank.
    const everybody = await readPool(db, { ruleId: channel.ruleId }, { placeId: channel.placeId, rule: { ...rule, method: 'RANDOM' }, grouped: null });
    expect(everybody.candidates).toHaveLength(130);
    const all = await Promise.all(
      everybody.candidates.map(async (one) => {
        const { rows } = await sql<{ open: number; active: boolean; last: Date | null }>`
          select (select count(*) from conversation c where c.owner_id = ${one.userId} and c.status = 'OPEN') as open, u.last_assigned_at as last,
            exists (select from place_activity a where a.user_id = u.id and a.place_id = ${channel.placeId} and a.at > now() - interval '2 min') as active
          from app_user u where u.id = ${one.userId}`.execute(db);
        const [row] = rows;
        return { ...one, load: { open: row?.open ?? 0, active: row?.active ?? false, lastAssignedAt: row?.last ?? null } };
      }),
    );
    const now = new Date();
    expect(decideOwner(rule, near.candidates, now, 0, near.further)).toEqual(decideOwner(rule, all, now, 0));
  });

  it('reads of who is left out the nearest to getting it, by what keeps them from it, as the domain lists them [ROUTE-14]', async () => {
    const pool = await users(75);
    const change = (from: number, to: number, set: Updateable<Database['app_user']>) =>
      db.updateTable('app_user').set(set).where('id', 'in', pool.slice(from, to)).execute();
    // The lowest ids are the furthest from it.
    await change(0, 10, { deactivated_at: new Date() });
    await change(5, 30, { seat: 'NONE' });
    await change(30, 60, { availability: 'AWAY' });
    await change(60, 70, { capacity_total: 0 });
    const channel = await ruled(db, { users: pool });
    for (const method of ['LEAST_BUSY', 'ROUND_ROBIN'] as const) {
      const rule: Rule = { id: channel.ruleId, kind: 'SPECIFIC', method, availableOnly: true };
      const read = (by: Rule) => readPool(db, { ruleId: channel.ruleId }, { placeId: channel.placeId, rule: by, grouped: null, cycleId: channel.ruleId });
      const [near, all] = [await read(rule), await read({ ...rule, method: 'RANDOM' })];
      expect([near.candidates.length, all.candidates.length]).toEqual([50, 75]);
      const now = new Date();
      const loads = new Map(
        near.candidates.map(({ userId, load: of, turn }) => [userId, { ...(of == null ? {} : { load: of }), ...(turn === undefined ? {} : { turn }) }]),
      );
      const everybody = all.candidates.map((one) => ({ ...one, ...loads.get(one.userId) }));
      const { explanation } = decideOwner(rule, near.candidates, now, 0, near.further);
      expect(explanation).toEqual(decideOwner(rule, everybody, now, 0).explanation);
      const reasons = explanation.candidates.map(({ reason }) => reason ?? 'ELIGIBLE');
      expect(reasons.filter((reason, index) => reason !== reasons[index - 1])).toEqual(['ELIGIBLE', 'AT_CAPACITY', 'AWAY', 'NO_SEAT']);
      expect(explanation.leftOut).toEqual({ AT_CAPACITY: 10, AWAY: 30, NO_SEAT: 20, DEACTIVATED: 10 });
    }
  });
});

describe('a hand-off', () => {
  it("is decided by its own rule in place of the channel's [CH-8, ROUTE-8]", async () => {
    const [ofChannel, ofHandOff] = await users(2);
    const channel = await ruled(db, { users: [ofChannel ?? ''] });
    const ruleId = await makeRule(db, { users: [ofHandOff ?? ''] });
    const [handed = '', plain = ''] = await arriving(db, channel, 2);
    await db.updateTable('conversation').set({ routing_rule_id: ruleId }).where('id', '=', handed).execute();
    for (const conversationId of [handed, plain]) await decide(db, { conversationId }, Math.random);
    const found = new Map((await decisions(db, [handed, plain])).map((one) => [one.conversationId, one]));
    expect(found.get(handed)).toMatchObject({ chosen: ofHandOff, explanation: { ruleId } });
    expect(found.get(plain)).toMatchObject({ chosen: ofChannel, explanation: { ruleId: channel.ruleId } });
  });
});

describe('a preview', () => {
  it('says who would get it now, as the next decision then does, and changes nothing [ROUTE-14]', async () => {
    const pool = await users(5);
    const channel = await ruled(db, { users: pool });
    for (let turn = 0; turn < 6; turn += 1) {
      const preview = await previewRouting(db, [plainPlugin], { channelId: channel.id, contactId: null });
      expect(await previewRouting(db, [plainPlugin], { channelId: channel.id, contactId: null })).toMatchObject({ ownerId: preview.ownerId });
      const { chosen, explanation } = await decided(channel);
      expect(chosen).toBe(preview.ownerId);
      expect(explanation).toEqual({ ...preview.explanation, decidedAt: explanation.decidedAt });
    }
  });

  it('names nobody of several at random, and lists them [ROUTE-14]', async () => {
    const pool = await users(3);
    const channel = await ruled(db, { users: pool, method: 'RANDOM' });
    const { ownerId, explanation } = await previewRouting(db, [], { channelId: channel.id, contactId: null });
    expect([ownerId, explanation.ownerId, explanation.decidedBy, explanation.eligible]).toEqual([null, null, 'RANDOM', 3]);
    expect(explanation.candidates.map(({ outcome }) => outcome)).toEqual(['ELIGIBLE', 'ELIGIBLE', 'ELIGIBLE']);
  });

  it('gives it to nobody while the channel is off or disconnected, as no decision does, and shows who would be there [ROUTE-14, CH-9]', async () => {
    const pool = await users(2);
    for (const off of [{ enabled: false }, { disconnected_at: new Date() }]) {
      for (const method of ['LEAST_BUSY', 'RANDOM'] as const) {
        const channel = await ruled(db, { users: pool, method });
        const [conversationId = ''] = await arriving(db, channel, 1);
        await db.updateTable('channel').set(off).where('id', '=', channel.id).execute();
        const { ownerId, explanation } = await previewRouting(db, [plainPlugin], { channelId: channel.id, contactId: null });
        expect([ownerId, explanation.ownerId, explanation.outcome, explanation.decidedBy]).toEqual([null, null, 'CHANNEL_OFF', null]);
        expect(explanation.candidates.map(({ outcome }) => outcome)).toEqual(['ELIGIBLE', 'ELIGIBLE']);
        expect(explainInWords(explanation)).toBe('unassigned: the channel is switched off');
        if ('enabled' in off) expect((await decide(db, { conversationId }, Math.random, [plainPlugin])).value.ownerId).toBeNull();
      }
    }
  });

  it('of a ticket is what its decision then is: by its own rule, priority and properties, and its contact [ROUTE-14, ROUTE-11]', async () => {
    const [skilled = '', other = '', handed = ''] = await users(3);
    const { id: skillId } = await db.insertInto('skill').values({ category: 'preview', name: skilled }).returning('id').executeTakeFirstOrThrow();
    await db.insertInto('user_skill').values({ user_id: skilled, skill_id: skillId }).execute();
    await load(db, skilled, 1);
    const channel = await ruled(db, { users: [skilled, other] });
    const conditions = [
      { property: 'priority', operator: 'IS', values: ['URGENT'] },
      { property: 'properties.product', operator: 'CONTAINS', values: ['lamp'] },
    ];
    const asking = await db
      .insertInto('skill_rule')
      .values({ rule_id: channel.ruleId, position: 1, conditions: JSON.stringify(conditions), otherwise: 'WAIT' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db.insertInto('skill_rule_skill').values({ skill_rule_id: asking.id, skill_id: skillId }).execute();
    const facts = { priority: 'URGENT', properties: { product: 'a lamp' } } as const;
    const ofChannel = (more: object = {}) => previewRouting(db, [plainPlugin], { channelId: channel.id, ...more });
    // What is given stands in place of the channel's defaults; one of the two conditions alone is not enough.
    expect((await ofChannel()).ownerId).toBe(other);
    expect((await ofChannel({ priority: 'URGENT' })).ownerId).toBe(other);
    expect(await ofChannel(facts)).toMatchObject({ ownerId: skilled, explanation: { skillRule: { position: 1 } } });

    const [plain = '', urgent = '', hand = ''] = await arriving(db, channel, 3);
    const set = { priority: facts.priority, properties: JSON.stringify(facts.properties) };
    await db.updateTable('ticket').set(set).where('conversation_id', '=', urgent).execute();
    const ruleId = await makeRule(db, { users: [handed] });
    await db.updateTable('conversation').set({ routing_rule_id: ruleId }).where('id', '=', hand).execute();
    for (const [conversationId, ownerId] of [
      [urgent, skilled],
      [plain, other],
      [hand, handed],
    ] as const) {
      const { id: ticketId } = await db.selectFrom('ticket').select('id').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
      const preview = await previewRouting(db, [plainPlugin], { ticketId });
      expect(await previewRouting(db, [plainPlugin], { ticketId, channelId: channel.id })).toMatchObject({ ownerId });
      await decide(db, { conversationId }, Math.random, [plainPlugin]);
      const [decision] = await decisions(db, [conversationId]);
      expect(decision?.chosen).toBe(ownerId);
      expect(decision?.explanation).toEqual({ ...preview.explanation, decidedAt: decision?.explanation.decidedAt });
    }
  });

  it('of a ticket that came by no channel is what its decision is too: nobody [ROUTE-14, ROUTE-1]', async () => {
    const [boss = ''] = await users(1);
    const { value: ticket } = await as(boss, (unit) => createTicket(unit, { name: 'By phone', source: 'API' }));
    const { ownerId, explanation } = await previewRouting(db, [plainPlugin], { ticketId: ticket.ticketId });
    expect([ownerId, explanation.outcome]).toEqual([null, 'RULE_IS_NOBODY']);
  });

  it('refuses what goes together with nothing, each by its path [ROUTE-14]', async () => {
    const [channel, ticketless] = [await ruled(db, {}), await ruled(db, {}, { place: 'INBOX' })];
    const [conversationId = ''] = await arriving(db, channel, 1);
    const { id: ticketId } = await db.selectFrom('ticket').select('id').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
    const paths = async (input: Parameters<typeof previewRouting>[2]) => {
      const error = await previewRouting(db, [plainPlugin], input).catch((one: unknown) => one);
      return error instanceof InvalidInput ? error.problems.map(({ path }) => path) : error;
    };
    expect(await paths({})).toEqual(['channelId']);
    const all = { contactId: crypto.randomUUID(), priority: 'LOW', pipelineId: crypto.randomUUID(), properties: {} } as const;
    expect(await paths({ ticketId, ...all, channelId: ticketless.id })).toEqual(['contactId', 'priority', 'pipelineId', 'properties', 'channelId']);
    expect(await paths({ channelId: channel.id, ...all })).toEqual(['pipelineId']);
    expect(await paths({ channelId: ticketless.id, ...all })).toEqual(['priority', 'pipelineId', 'properties']);
  });

  it('waits for no decision that is being made [ROUTE-14]', async () => {
    const [user = ''] = await users(1);
    const channel = await ruled(db, { users: [user] });
    await db.transaction().execute(async (tx) => {
      await sql`select pg_advisory_xact_lock(3, 0)`.execute(tx);
      await sql`select id from app_user where id = ${user} for update`.execute(tx);
      expect((await previewRouting(db, [], { channelId: channel.id, contactId: null })).ownerId).toBe(user);
    });
  });
});

describe('a team', () => {
  it('gives it to the least busy of its available primary members, and keeps why [ROUTE-3, ROUTE-9, ROUTE-14]', async () => {
    const [boss, busy, free, extra] = await users(4);
    const away = await makeUser(db, { availability: 'AWAY' });
    await load(db, busy ?? '', 2);
    const team = await makeTeam(db, { primary: [busy ?? '', free ?? '', away], extra: [extra ?? ''] });
    const [conversationId = ''] = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 1);
    await as(boss ?? '', (unit) => assign(unit, { conversationId }, { teamId: team }));
    const [decision] = await decisions(db, [conversationId]);
    expect(decision).toMatchObject({ chosen: free, explanation: { rule: 'TEAM', ruleId: null, decidedBy: 'OPEN', eligible: 2, leftOut: { AWAY: 1 } } });
  });

  it('shares out what it is given at once: ten to two members, five each [ROUTE-3, ROUTE-15]', async () => {
    const [boss, one, two] = await users(3);
    const team = await makeTeam(db, { primary: [one ?? '', two ?? ''] });
    const ids = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 10);
    await Promise.all(ids.map((conversationId) => as(boss ?? '', (unit) => assign(unit, { conversationId }, { teamId: team }))));
    const { rows } = await sql<{ n: number }>`select count(*) as n from assignment where owner_id in (${one}, ${two}) and open group by owner_id`.execute(db);
    expect(rows.map(({ n }) => n)).toEqual([5, 5]);
  });
});

describe('a worker that is killed', () => {
  it('after the commit, before anybody is told: one owner, one event, one notification, one turn, however often it is decided again [ROUTE-14, ROUTE-15]', async () => {
    const [a = '', b = ''] = await users(2);
    const channel = await ruled(db, { users: [a, b], method: 'ROUND_ROBIN' });
    const [conversationId = ''] = await arriving(db, channel, 1);
    // What was to be told is lost with the worker: nobody hands these wakes on.
    const first = await decide(db, { conversationId }, Math.random);
    expect(first.value.decided).toBe(true);
    expect(first.wakes).not.toEqual([]);
    const again = await Promise.all([1, 2, 3].map(() => decide(db, { conversationId }, Math.random)));
    expect(again.map(({ value }) => value)).toEqual([1, 2, 3].map(() => ({ decided: false, ownerId: first.value.ownerId })));
    const ticket = await db.selectFrom('ticket').select(['id', 'number', 'owner_id']).where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
    expect(ticket.owner_id).toBe(first.value.ownerId);
    const count = async (kind: string) =>
      (await db.selectFrom('event').select('id').where('kind', '=', kind).where('conversation_id', '=', conversationId).execute()).length;
    expect([await count('ROUTING_DECIDED'), await count('OWNER_CHANGED')]).toEqual([1, 1]);
    expect(await db.selectFrom('notification').select('user_id').where('ticket_id', '=', ticket.id).execute()).toEqual([{ user_id: first.value.ownerId }]);
    expect(await decisions(db, [conversationId])).toHaveLength(1);
    expect(await db.selectFrom('routing_turn').select(['user_id', 'turn']).where('rule_id', '=', channel.ruleId).execute()).toEqual([
      { user_id: first.value.ownerId, turn: 1 },
    ]);
    // Nor does the guardian find anything to mend there: the decision is not open any more.
    const { stuck } = await findStuck(db, 500);
    expect(stuck.map(({ wake }) => (wake.kind === 'ticket' ? wake.number : null))).not.toContain(ticket.number);
  });

  it('before the commit leaves nothing behind, and the guardian finds the decision open [ROUTE-15, OPS-3]', async () => {
    const [user = ''] = await users(1);
    const channel = await ruled(db, { users: [user], method: 'ROUND_ROBIN' });
    const [conversationId = ''] = await arriving(db, channel, 1);
    const killed = decide(db, { conversationId }, () => {
      throw new Error('killed');
    });
    await expect(killed).rejects.toThrow('killed');
    expect(await decisions(db, [conversationId])).toEqual([]);
    await db
      .updateTable('ticket')
      .set({ route_pending_since: HOURS_AGO(1) })
      .where('conversation_id', '=', conversationId)
      .execute();
    const { number } = await db.selectFrom('ticket').select('number').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
    const { stuck } = await findStuck(db, 500);
    expect(stuck.map(({ wake }) => (wake.kind === 'ticket' ? wake.number : null))).toContain(number);
    expect((await decide(db, { conversationId }, Math.random)).value.ownerId).toBe(user);
  });
});

it('asks who has access as the view of all who can be assigned has it, however the place is listed [ROUTE-4, MODEL-11]', async () => {
  const pool = await users(4);
  const [named = '', primary = '', extra = ''] = pool;
  const team = await makeTeam(db, { primary: [primary], extra: [extra] });
  for (const entries of [
    [],
    [{ user_id: named }],
    [{ team_id: team }],
    [{ user_id: named }, { team_id: team }],
    [{ everyone: true }],
    [{ everyone: true }, { team_id: team }],
  ]) {
    const { id: placeId } = await db.insertInto('place').values({ kind: 'INBOX', name: crypto.randomUUID() }).returning('id').executeTakeFirstOrThrow();
    for (const entry of entries)
      await db
        .insertInto('access_entry')
        .values({ place_id: placeId, ...entry })
        .execute();
    const rule: Rule = { id: null, kind: 'SPECIFIC', method: 'RANDOM', availableOnly: true };
    const { candidates } = await readPool(db, { ruleId: await makeRule(db, { users: pool }) }, { placeId, rule, grouped: null });
    const view = await db.selectFrom('place_assignable').select('user_id').where('place_id', '=', placeId).where('user_id', 'in', pool).execute();
    expect(
      candidates
        .filter(({ hasAccess }) => hasAccess)
        .map(({ userId }) => userId)
        .toSorted(),
    ).toEqual(view.map(({ user_id: id }) => id).toSorted());
  }
});

it('says in the details of the workflow how the owner was found [ROUTE-14]', async () => {
  const [user = ''] = await users(1);
  const channel = await ruled(db, { users: [user] });
  const { conversationId } = await decided(channel);
  const { number } = await db.selectFrom('ticket').select('number').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
  expect((await readTicketState(db, number))?.ownerWhy).toBe(`user ${user} was the only one eligible`);
});

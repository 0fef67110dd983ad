import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { retryWaiting } from '#activities/routing-retry.ts';
import { setCapacity } from '#commands/capacity.ts';
import { setContactOwner } from '#commands/contact-owner.ts';
import { eraseContact } from '#commands/erasing.ts';
import { setChannelEnabled, updateChannel } from '#commands/channels.ts';
import { findStuck } from '#commands/guardian.ts';
import { assign } from '#commands/owners.ts';
import { setSeat, setTeamMembers } from '#commands/people.ts';
import { setAccessList } from '#commands/places.ts';
import { removeExpired } from '#commands/retention.ts';
import { decide } from '#commands/routing.ts';
import { readRetryState } from '#commands/routing-retry.ts';
import { setRoutingRule } from '#commands/routing-rules.ts';
import { saveSkill, setUserSkills } from '#commands/skills.ts';
import { close, makeTicket, reopen } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { addOutOfOffice, clearAvailability, flipDueNow, setAvailability } from '#commands/user-availability.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeTeam, makeUser, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { arriving, decisions, ruled, type TestRule } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}`)).toEqual([]);
});
// What one test leaves waiting concerns no other.
afterEach(async () => {
  await db.updateTable('channel').set({ retry_when_available: false }).execute();
  await db.deleteFrom('routing_retry_cause').execute();
});

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const waker = { signalWithStart: async () => undefined, terminate: async () => false };
const retryWith = (on: Db, now = () => Date.now()) => retryWaiting({ db: on, waker, log, now, plugins: [plainPlugin] });
const retry = () => retryWith(db);
const transaction = <T>(work: (unit: Unit) => Promise<T>) => transact(db, { actor: 'SYSTEM' }, work);
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transaction(work)).value;
const wakesRetry = ({ wakes }: { readonly wakes: readonly { readonly kind: string }[] }) => wakes.some(({ kind }) => kind === 'routing-retry');

async function retrying(rule: TestRule, place: 'HELP_DESK' | 'INBOX' = 'HELP_DESK'): Promise<MadeChannel> {
  const channel = await ruled(db, rule, { place });
  await db.updateTable('channel').set({ retry_when_available: true }).where('id', '=', channel.id).execute();
  return channel;
}
/** So many that were decided and got nobody. */
async function left(channel: MadeChannel, count: number): Promise<string[]> {
  const ids = await arriving(db, channel, count);
  for (const conversationId of ids) expect((await decide(db, { conversationId }, Math.random, [plainPlugin])).value.ownerId).toBeNull();
  return ids;
}
async function ownersOf(ids: readonly string[]): Promise<(string | null)[]> {
  const { rows } = await sql<{ id: string; owner: string | null }>`
    select c.id, coalesce(t.owner_id, c.owner_id) as owner from conversation c left join ticket t on t.id = c.ticket_id where c.id = any(${[...ids]}::uuid[])`.execute(
    db,
  );
  const owners = new Map(rows.map(({ id, owner }) => [id, owner]));
  return ids.map((id) => owners.get(id) ?? null);
}
async function contactOf(conversationId: string): Promise<string> {
  const row = await db.selectFrom('conversation').select('contact_id').where('id', '=', conversationId).executeTakeFirstOrThrow();
  return row.contact_id ?? '';
}
const causes = async () =>
  (await db.selectFrom('routing_retry_cause').select(['user_id', 'channel_id']).orderBy('id').execute()).map((one) => one.user_id ?? one.channel_id);

describe('what waits because nobody was free', () => {
  it('a thousand that wait for one person with room for three: the three oldest are theirs after four decisions, and the rest wait on [ROUTE-13, ROUTE-15]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    await run((unit) => setCapacity(unit, { userId, total: 3 }));
    const channel = await retrying({ users: [userId] });
    const ids = await arriving(db, channel, 1_000);
    // As after a thousand decisions, in the order in which they came.
    await sql`update ticket set route_pending_since = null, nobody_free_since = now() - interval '1 h' + (number * interval '1 ms'), nobody_free_pool = ''
      where conversation_id = any(${ids}::uuid[])`.execute(db);
    expect(wakesRetry(await transaction((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' })))).toBe(true);
    expect(await readRetryState(db)).toMatchObject({ causes: 1, concerned: 1_000, waiting: 1_000 });
    expect(await retry()).toEqual({ assigned: 3, nobodyFree: 1, more: false });
    expect(await decisions(db, ids)).toHaveLength(4);
    const { rows } = await sql<{ conversation_id: string; owner_id: string | null }>`
      select conversation_id, owner_id from ticket where conversation_id = any(${ids}::uuid[]) order by number`.execute(db);
    expect(rows.slice(0, 3).map((row) => row.owner_id)).toEqual([userId, userId, userId]);
    expect(rows.slice(3).every((row) => row.owner_id === null)).toBe(true);
    expect(await readRetryState(db)).toMatchObject({ causes: 0, concerned: 0, waiting: 997 });
    // Another look costs nothing, for nothing has happened.
    expect(await retry()).toEqual({ assigned: 0, nobodyFree: 0, more: false });
    await run((unit) => close(unit, { conversationId: rows[1]?.conversation_id ?? '' }));
    expect(await retry()).toEqual({ assigned: 1, nobodyFree: 1, more: false });
    expect(await ownersOf([rows[3]?.conversation_id ?? ''])).toEqual([userId]);
  });

  it('a decision that finds nobody again is kept like the first, and tells nobody once more [ROUTE-13, ROUTE-14, MODEL-12]', async () => {
    const [one, two] = [await makeUser(db, { availability: 'AWAY' }), await makeUser(db)];
    await run((unit) => setCapacity(unit, { userId: two, total: 0 }));
    const channel = await retrying({ users: [one, two] });
    const ids = await left(channel, 2);
    const told = () => db.selectFrom('notification').select('id').where('kind', '=', 'TICKET_UNASSIGNED').execute();
    const before = (await told()).length;
    const since = async () =>
      (
        await db
          .selectFrom('ticket')
          .select('nobody_free_since')
          .where('conversation_id', '=', ids[0] ?? '')
          .executeTakeFirstOrThrow()
      ).nobody_free_since;
    const waited = await since();
    await db.insertInto('routing_retry_cause').values({ user_id: two }).execute();
    expect(await retry()).toEqual({ assigned: 0, nobodyFree: 1, more: false });
    expect(await told()).toHaveLength(before);
    expect(await since()).toEqual(waited);
    const kept = await decisions(db, ids.slice(0, 1));
    expect(kept.map(({ explanation }) => [explanation.outcome, explanation.leftOut])).toEqual([
      ['NOBODY_ELIGIBLE', { AWAY: 1, AT_CAPACITY: 1 }],
      ['NOBODY_ELIGIBLE', { AWAY: 1, AT_CAPACITY: 1 }],
    ]);
  });

  it('goes to the longest waiting first, whichever channel and place it came by [ROUTE-13]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    await run((unit) => setCapacity(unit, { userId, total: 2 }));
    const [desk, second] = [await retrying({ users: [userId] }), await retrying({ users: [userId] })];
    const [a = ''] = await left(desk, 1);
    const [b = '', c = ''] = await left(second, 2);
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    // Each of the two channels finds out by itself that nobody is free.
    expect(await retry()).toMatchObject({ assigned: 2, nobodyFree: 1 });
    expect(await ownersOf([a, b, c])).toEqual([userId, userId, null]);
  });

  it('of those that wait for other people one does not speak for the rest: other skills are another pool [ROUTE-13, ROUTE-11]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const channel = await retrying({ users: [userId] });
    const skill = (name: string) => db.insertInto('skill').values({ category: 'language', name }).returning('id').executeTakeFirstOrThrow();
    const [had, lacked] = [await skill('Danish'), await skill('Dutch')];
    const skillRule = async (position: number, priority: string, skillId: string) => {
      const conditions = JSON.stringify([{ property: 'priority', operator: 'IS', values: [priority] }]);
      const { id } = await db
        .insertInto('skill_rule')
        .values({ rule_id: channel.ruleId, position, conditions, otherwise: 'WAIT' })
        .returning('id')
        .executeTakeFirstOrThrow();
      await db.insertInto('skill_rule_skill').values({ skill_rule_id: id, skill_id: skillId }).execute();
    };
    await skillRule(1, 'URGENT', lacked.id);
    await skillRule(2, 'HIGH', had.id);
    await run((unit) => setUserSkills(unit, { userId, skillIds: [had.id] }));
    const ids = await arriving(db, channel, 3);
    for (const [index, priority] of (['URGENT', 'URGENT', 'HIGH'] as const).entries())
      await db
        .updateTable('ticket')
        .set({ priority })
        .where('conversation_id', '=', ids[index] ?? '')
        .execute();
    for (const conversationId of ids) await decide(db, { conversationId }, Math.random, [plainPlugin]);
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    expect(await retry()).toEqual({ assigned: 1, nobodyFree: 1, more: false });
    expect(await ownersOf(ids)).toEqual([null, null, userId]);
    await run((unit) => setUserSkills(unit, { userId, skillIds: [had.id, lacked.id] }));
    expect(await retry()).toEqual({ assigned: 2, nobodyFree: 0, more: false });
  });

  it('goes on in the next call when time is up, and is done once [ROUTE-13]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const ids = await left(await retrying({ users: [userId] }), 4);
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    let reads = 0;
    // Time is up at the third look at the clock.
    expect(await retryWith(db, () => ((reads += 1) > 3 ? Date.now() + 60_000 : Date.now()))).toEqual({ assigned: 2, nobodyFree: 0, more: true });
    expect(await readRetryState(db)).toMatchObject({ causes: 1, concerned: 2 });
    expect(await retry()).toEqual({ assigned: 2, nobodyFree: 0, more: false });
    expect(await ownersOf(ids)).toEqual(ids.map(() => userId));
  });

  it('takes its mark along to the ticket that is made of it [ROUTE-13, CH-1]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const [conversationId = ''] = await left(await retrying({ users: [userId] }, 'INBOX'), 1);
    await run((unit) => makeTicket(unit, { conversationId }));
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    expect(await retry()).toMatchObject({ assigned: 1 });
    expect(await ownersOf([conversationId])).toEqual([userId]);
  });
});

interface Scene {
  readonly userId: string;
  readonly channel: MadeChannel;
  readonly teamId: string;
  readonly owned: string;
}

describe('somebody becomes free', () => {
  /** Why they are not, and what changes that. */
  const ways: Readonly<Record<string, readonly [before: (scene: Scene) => Promise<unknown>, after: (scene: Scene) => (unit: Unit) => Promise<unknown>]>> = {
    'by hand': [
      ({ userId }) => db.updateTable('app_user').set({ availability: 'AWAY' }).where('id', '=', userId).execute(),
      ({ userId }) =>
        (unit) =>
          setAvailability(unit, { userId, availability: 'AVAILABLE' }),
    ],
    'by the end of an override': [
      ({ userId }) => run((unit) => setAvailability(unit, { userId, availability: 'AWAY' })),
      ({ userId }) =>
        (unit) =>
          clearAvailability(unit, { userId }),
    ],
    'by a seat': [
      ({ userId }) => db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', userId).execute(),
      ({ userId }) =>
        (unit) =>
          setSeat(unit, { userId, seat: 'PAID' }),
    ],
    'as a member of a team that the rule names': [
      ({ channel, teamId }) => sql`update routing_rule_target set user_id = null, team_id = ${teamId} where rule_id = ${channel.ruleId}`.execute(db),
      ({ userId, teamId }) =>
        (unit) =>
          setTeamMembers(unit, { teamId, primaryUserIds: [userId] }),
    ],
    'by access to the place': [
      async ({ channel }) => {
        const nobody = await makeUser(db);
        await run((unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds: [nobody], teamIds: [] } }));
      },
      ({ channel }) =>
        (unit) =>
          setAccessList(unit, { placeId: channel.placeId, access: { everyone: true } }),
    ],
    'by another limit': [
      ({ userId }) => run((unit) => setCapacity(unit, { userId, total: 1 })),
      ({ userId }) =>
        (unit) =>
          setCapacity(unit, { userId, total: 2 }),
    ],
    'by closing something of theirs': [
      ({ userId }) => run((unit) => setCapacity(unit, { userId, total: 1 })),
      ({ owned }) =>
        (unit) =>
          close(unit, { conversationId: owned }),
    ],
    'by giving something away': [
      ({ userId }) => run((unit) => setCapacity(unit, { userId, total: 1 })),
      ({ owned }) =>
        async (unit) =>
          assign(unit, { conversationId: owned }, { userId: await makeUser(db) }),
    ],
    'by leaving something to nobody': [
      ({ userId }) => run((unit) => setCapacity(unit, { userId, total: 1 })),
      ({ owned }) =>
        (unit) =>
          assign(unit, { conversationId: owned }, null),
    ],
    'by the erasure of whom something of theirs was about': [
      ({ userId }) => run((unit) => setCapacity(unit, { userId, total: 1 })),
      ({ owned }) =>
        async (unit) =>
          eraseContact(unit, { contactId: await contactOf(owned) }),
    ],
    'by another rule of the channel': [
      async ({ channel }) =>
        db
          .updateTable('routing_rule_target')
          .set({ user_id: await makeUser(db, { availability: 'AWAY' }) })
          .where('rule_id', '=', channel.ruleId)
          .execute(),
      ({ channel, userId }) =>
        (unit) =>
          setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule: { kind: 'SPECIFIC', userIds: [userId] } }),
    ],
    'before the channel decides again at all': [
      ({ channel, userId }) =>
        Promise.all([
          db.updateTable('channel').set({ retry_when_available: false }).where('id', '=', channel.id).execute(),
          db.updateTable('app_user').set({ availability: 'AWAY' }).where('id', '=', userId).execute(),
        ]),
      ({ channel, userId }) =>
        async (unit) => {
          await setAvailability(unit, { userId, availability: 'AVAILABLE' });
          await updateChannel(unit, { plugins: [plainPlugin], keys: testKeys }, { channelId: channel.id, retryWhenAvailable: true });
        },
    ],
  };

  it.each(Object.entries(ways))('%s [ROUTE-13]', async (_name, [before, after]) => {
    const userId = await makeUser(db);
    const teamId = await makeTeam(db, {});
    const channel = await retrying({ users: [userId] });
    // Of another contact than what waits.
    const elsewhere = await ruled(db, { kind: 'NOBODY' });
    await take(db, elsewhere, [inbound(`${userId}@out.example`)]);
    const { id: owned } = await db.selectFrom('conversation').select('id').where('channel_id', '=', elsewhere.id).executeTakeFirstOrThrow();
    await run((unit) => assign(unit, { conversationId: owned }, { userId }));
    const scene = { userId, channel, teamId, owned };
    await before(scene);
    const [waiting = ''] = await left(channel, 1);
    await retry();
    expect(await ownersOf([waiting])).toEqual([null]);
    expect(wakesRetry(await transaction(after(scene)))).toBe(true);
    expect(await retry()).toMatchObject({ assigned: 1 });
    expect(await ownersOf([waiting])).toEqual([userId]);
  });

  it('when hours bring it [ROUTE-12, ROUTE-13]', async () => {
    const userId = await makeUser(db);
    const channel = await retrying({ users: [userId] });
    const { rows } = await sql<{ to: Date }>`select clock_timestamp() + interval '10 min' as to`.execute(db);
    const added = await transaction((unit) => addOutOfOffice(unit, { userId, from: new Date(0), to: rows[0]?.to ?? new Date(0) }));
    // The timer is for the nearest of all moments.
    expect(wakesRetry(added)).toBe(true);
    const [waiting = ''] = await left(channel, 1);
    expect(await readRetryState(db)).toMatchObject({ due: 0, waiting: 1, next: rows[0]?.to });
    // As if they had passed.
    await sql`update out_of_office set to_at = now() where user_id = ${userId}`.execute(db);
    await sql`update app_user set availability_until = now() where id = ${userId}`.execute(db);
    expect(await readRetryState(db)).toMatchObject({ due: 1 });
    await flipDueNow(db);
    expect(await retry()).toMatchObject({ assigned: 1 });
    expect(await ownersOf([waiting])).toEqual([userId]);
  });

  it('the owner of a contact, by the rule that asks for them; not for whom nobody recognises [ROUTE-10, ROUTE-13]', async () => {
    const userId = await makeUser(db, { seat: 'NONE' });
    const channel = await retrying({ kind: 'CONTACT_OWNER' });
    const ids = await arriving(db, channel, 2);
    await sql`update contact set owner_id = ${userId} where id in (select contact_id from conversation where id = any(${ids}::uuid[]))`.execute(db);
    await sql`update message set authentication = '{"verdict": "fail", "by": "x", "checks": {}}' where conversation_id = ${ids[1]}`.execute(db);
    for (const conversationId of ids) expect((await decide(db, { conversationId }, Math.random, [plainPlugin])).value.ownerId).toBeNull();
    expect(await readRetryState(db)).toMatchObject({ waiting: 1 });
    await run((unit) => setSeat(unit, { userId, seat: 'PAID' }));
    expect(await retry()).toEqual({ assigned: 1, nobodyFree: 0, more: false });
    expect(await ownersOf(ids)).toEqual([userId, null]);
  });
});

describe('what waited, and waits no more for the same', () => {
  const withOwner = async (conversationId: string, ownerId: string | null) =>
    run(async (unit) => setContactOwner(unit, { contactId: await contactOf(conversationId), ownerId }));

  it('the owner whom its contact has now, not the one whom it had [ROUTE-10, ROUTE-13]', async () => {
    const [first, second] = [await makeUser(db, { seat: 'NONE' }), await makeUser(db, { seat: 'NONE' })];
    const channel = await retrying({ kind: 'CONTACT_OWNER' });
    const [conversationId = '', other = ''] = await arriving(db, channel, 2);
    await withOwner(conversationId, first);
    await withOwner(other, first);
    for (const id of [conversationId, other]) expect((await decide(db, { conversationId: id }, Math.random, [plainPlugin])).value.ownerId).toBeNull();
    await db.deleteFrom('routing_retry_cause').execute();
    // Asked at once, for the new one may be free; and if not, whoever frees them finds it.
    await withOwner(conversationId, second);
    expect(await retry()).toMatchObject({ assigned: 0 });
    await run((unit) => setSeat(unit, { userId: second, seat: 'PAID' }));
    expect(await retry()).toMatchObject({ assigned: 1 });
    const third = await makeUser(db);
    await withOwner(other, third);
    expect(await retry()).toMatchObject({ assigned: 1 });
    expect(await ownersOf([conversationId, other])).toEqual([second, third]);
  });

  it('does not speak for the others, where the rule is another since [ROUTE-13]', async () => {
    const [away, owner] = [await makeUser(db, { availability: 'AWAY' }), await makeUser(db)];
    const channel = await retrying({ users: [away] });
    const ids = await left(channel, 2);
    await db.deleteFrom('routing_retry_cause').execute();
    await withOwner(ids[0] ?? '', null);
    await withOwner(ids[1] ?? '', owner);
    await run((unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule: { kind: 'CONTACT_OWNER' } }));
    // The contact of the first has no owner: that says nothing about the second's.
    expect(await retry()).toEqual({ assigned: 1, nobodyFree: 1, more: false });
    expect(await ownersOf(ids)).toEqual([null, owner]);
  });

  it('does not speak for the others, where it asks for a skill since [ROUTE-11, ROUTE-13]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const { skillId } = await run((unit) => saveSkill(unit, { category: 'urgent', name: crypto.randomUUID() }));
    const channel = await retrying({ users: [userId] });
    const conditions = [{ property: 'priority', operator: 'IS' as const, values: ['URGENT'] }];
    await run((unit) =>
      setRoutingRule(
        unit,
        { plugins: [plainPlugin] },
        {
          channelId: channel.id,
          rule: { kind: 'SPECIFIC', method: 'LEAST_BUSY', userIds: [userId], skillRules: [{ conditions, skillIds: [skillId], otherwise: 'WAIT' }] },
        },
      ),
    );
    const ids = await left(channel, 3);
    await sql`update ticket set priority = 'URGENT' where conversation_id = ${ids[0]}`.execute(db);
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    expect(await retry()).toEqual({ assigned: 2, nobodyFree: 1, more: false });
    expect(await ownersOf(ids)).toEqual([null, userId, userId]);
  });
});

describe('what is not decided again', () => {
  it('where no channel does so nothing is noted, and nobody is woken [ROUTE-13]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const [waiting = ''] = await left(await ruled(db, { users: [userId] }), 1);
    expect(wakesRetry(await transaction((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' })))).toBe(false);
    expect(await causes()).toEqual([]);
    await retry();
    expect(await ownersOf([waiting])).toEqual([null]);
  });

  it('what somebody took, gave to a team, closed, or left to nobody; a channel that is off; what a rule leaves to nobody [ROUTE-13, CH-9]', async () => {
    const [userId, other] = [await makeUser(db, { availability: 'AWAY' }), await makeUser(db)];
    const teamId = await makeTeam(db, {});
    const channel = await retrying({ users: [userId] });
    const off = await retrying({ users: [userId] });
    const [taken = '', team = '', closed = '', nobody = ''] = await left(channel, 4);
    const [onOff = ''] = await left(off, 1);
    const [ruledNobody = ''] = await left(await retrying({ kind: 'NOBODY' }), 1);
    await run((unit) => assign(unit, { conversationId: taken }, { userId: other }));
    await run((unit) => assign(unit, { conversationId: team }, { teamId }));
    await run((unit) => close(unit, { conversationId: closed }));
    await run((unit) => assign(unit, { conversationId: nobody }, { userId: other }));
    await run((unit) => assign(unit, { conversationId: nobody }, null));
    await run((unit) => setChannelEnabled(unit, { channelId: off.id, enabled: false }));
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    expect(await retry()).toEqual({ assigned: 0, nobodyFree: 0, more: false });
    expect(await ownersOf([taken, team, closed, nobody, onOff, ruledNobody])).toEqual([other, null, null, null, null, null]);
    // Open again, or on again, they wait as before; who became free meanwhile is asked at once.
    expect(wakesRetry(await transaction((unit) => reopen(unit, { conversationId: closed })))).toBe(true);
    expect(wakesRetry(await transaction((unit) => setChannelEnabled(unit, { channelId: off.id, enabled: true })))).toBe(true);
    expect(await retry()).toEqual({ assigned: 2, nobodyFree: 0, more: false });
    expect(await ownersOf([closed, onOff])).toEqual([userId, userId]);
  });
});

describe('many at once', () => {
  it('twenty that decide again at once assign as many as there is room for, each once [ROUTE-13, ROUTE-15]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    await run((unit) => setCapacity(unit, { userId, total: 5 }));
    const ids = await left(await retrying({ users: [userId] }), 12);
    await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
    const others = Array.from({ length: 3 }, () => openDatabase(database.url, { name: 'test-other', max: 8 }));
    const runs = await Promise.all(Array.from({ length: 20 }, (_, index) => retryWith(others[index % 3] ?? db)));
    await Promise.all(others.map((one) => one.destroy()));
    expect(runs.reduce((sum, one) => sum + one.assigned, 0)).toBe(5);
    expect(await ownersOf(ids)).toEqual([...Array.from({ length: 5 }, () => userId), ...Array.from({ length: 7 }, () => null)]);
    const changes = await db.selectFrom('event').select('conversation_id').where('kind', '=', 'OWNER_CHANGED').where('conversation_id', 'in', ids).execute();
    expect(changes).toHaveLength(5);
  });

  it('whoever becomes free while a decision is made is not missed, also by a look that comes in between [ROUTE-13]', async () => {
    const userId = await makeUser(db);
    await run((unit) => setCapacity(unit, { userId, total: 1 }));
    const channel = await retrying({ users: [userId] });
    const [first = '', ...rest] = await arriving(db, channel, 40);
    let open = first;
    await decide(db, { conversationId: open }, Math.random, [plainPlugin]);
    for (const conversationId of rest) {
      // One is decided while the other, which takes all their room, is closed, and somebody looks; in whichever order it comes out.
      await Promise.all([
        decide(db, { conversationId }, Math.random, [plainPlugin]),
        run((unit) => close(unit, { conversationId: open })).then(retry),
        retry(),
      ]);
      // As the workflow does it: a look only where a reason is left.
      while ((await readRetryState(db)).causes > 0) await retry();
      expect(await ownersOf([conversationId])).toEqual([userId]);
      open = conversationId;
    }
  });

  it('a look waits for the decision that was being made when somebody became free [ROUTE-13, ROUTE-15]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const channel = await retrying({ users: [userId] });
    const [conversationId = ''] = await arriving(db, channel, 1);
    let look: ReturnType<typeof retry> | undefined;
    await db.transaction().execute(async (tx) => {
      // A decision that has read its pool: they were away then.
      await sql`select pg_advisory_xact_lock(3, 0)`.execute(tx);
      await run((unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));
      look = retry();
      await eventually(async () => {
        const { rows } = await sql<{ n: number }>`select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`.execute(db);
        return rows[0]?.n === 1;
      });
      await sql`update ticket set route_pending_since = null, nobody_free_since = now(), nobody_free_pool = '' where conversation_id = ${conversationId}`.execute(
        tx,
      );
    });
    expect(await look).toEqual({ assigned: 1, nobodyFree: 0, more: false });
    expect(await ownersOf([conversationId])).toEqual([userId]);
  });
});

describe('the guardian', () => {
  it('finds a moment that is past, and what waits though somebody became free; not who became free for nothing [OPS-12, ROUTE-13]', async () => {
    const found = async () => (await findStuck(db, 500)).stuck.filter(({ wake }) => wake.kind === 'routing-retry');
    const began = performance.now();
    /** So long, and as much longer as it took to get here. */
    const expectOverdue = async (seconds: number) => {
      const [first] = await found();
      expect(first?.overdueSeconds).toBeGreaterThan(seconds - 0.5);
      expect(first?.overdueSeconds).toBeLessThan(seconds + 0.5 + (performance.now() - began) / 1_000);
    };
    const userId = await makeUser(db, { availability: 'AWAY' });
    const channel = await retrying({ users: [userId] });
    await db
      .insertInto('routing_retry_cause')
      .values({ user_id: userId, at: sql<Date>`now() - interval '60 s'` })
      .execute();
    expect(await found()).toEqual([]);
    await left(channel, 1);
    expect(await found()).toMatchObject([{ why: 'RETRY_WAITS' }]);
    await expectOverdue(50);
    await retry();
    expect(await found()).toEqual([]);
    await db
      .updateTable('app_user')
      .set({ availability_until: sql<Date>`now() - interval '30 s'` })
      .where('id', '=', userId)
      .execute();
    expect(await found()).toHaveLength(1);
    await expectOverdue(20);
    await flipDueNow(db);
    expect(await found()).toEqual([]);
  });

  it('forgets after a day that somebody became free, unless something waits [OPS-9]', async () => {
    const userId = await makeUser(db, { availability: 'AWAY' });
    const channel = await retrying({ users: [userId] });
    const note = () =>
      db
        .insertInto('routing_retry_cause')
        .values({ user_id: userId, at: sql<Date>`now() - interval '25 h'` })
        .execute();
    await note();
    await db.insertInto('routing_retry_cause').values({ user_id: userId }).execute();
    expect((await removeExpired(db, 100)).retryCauses).toBe(1);
    await note();
    await left(channel, 1);
    expect((await removeExpired(db, 100)).retryCauses).toBe(0);
  });
});

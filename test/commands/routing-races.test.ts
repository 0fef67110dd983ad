import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { assign } from '#commands/owners.ts';
import { decide } from '#commands/routing.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { seeded } from '#scripts/chaos/random.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser } from '../support/fixtures.ts';
import { arriving, atTheMinimum, decisions, load, makeRule, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
/** Each with connections of its own, as separate processes have. */
let workers: readonly Db[];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  workers = Array.from({ length: 4 }, () => openDatabase(database.url, { name: 'test-worker', max: 8 }));
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await Promise.all(workers.map((one) => one.destroy()));
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const users = (count: number) => Promise.all(Array.from({ length: count }, () => makeUser(db)));
const worker = (index: number): Db => workers[index % workers.length] ?? db;
const decideAll = (ids: readonly string[]) => Promise.all(ids.map((conversationId, index) => decide(worker(index), { conversationId }, Math.random)));

async function loads(userIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ id: string; n: number }>`
    select u.id, (select count(*) from assignment a where a.owner_id = u.id and a.open) as n from app_user u where u.id = any(${[...userIds]}::uuid[])`.execute(
    db,
  );
  return new Map(rows.map(({ id, n }) => [id, n]));
}

it('leaves loads that were equal differing by at most one, of 200 decided at once by four workers [ROUTE-15, ROUTE-9]', async () => {
  const pool = await users(7);
  const ids = await arriving(db, await ruled(db, { users: pool }), 200);
  const answers = await decideAll(ids);
  expect(answers.every(({ value }) => value.decided && value.ownerId !== null)).toBe(true);
  const after = [...(await loads(pool)).values()];
  expect(after.reduce((sum, n) => sum + n, 0)).toBe(200);
  expect(Math.max(...after) - Math.min(...after)).toBe(1);
});

it('finds the minimum as it is under the lock each time, from any loads: every explanation counts what was decided before it [ROUTE-15, ROUTE-14]', async () => {
  const random = seeded(77);
  const pool = await users(6);
  for (const userId of pool) await load(db, userId, Math.floor(random() * 12));
  const before = new Map(await loads(pool));
  const ids = await arriving(db, await ruled(db, { users: pool }), 80);
  await decideAll(ids);
  const made = await decisions(db, ids);
  expect(made).toHaveLength(80);
  expect(made.filter((one) => !atTheMinimum(one))).toEqual([]);
  // Played again from the loads there were: each decision saw all that came before it, and nothing that came after.
  for (const { chosen, explanation } of made) {
    for (const { userId, open } of explanation.candidates) expect(open).toBe(before.get(userId));
    if (chosen !== null) before.set(chosen, (before.get(chosen) ?? 0) + 1);
  }
});

it('holds for pools that share users, with changes by hand in between [ROUTE-15]', async () => {
  const random = seeded(99);
  const [a = '', b = '', c = '', d = '', e = ''] = await users(5);
  const team = await makeTeam(db, { primary: [c, d] });
  const channels = [
    await ruled(db, { users: [a, b, c] }),
    await ruled(db, { users: [b, e], teams: [team] }),
    await ruled(db, { teams: [team] }, { place: 'INBOX' }),
  ];
  const handOff = await makeRule(db, { users: [a, e], teams: [team] });
  const ids: string[] = [];
  for (const channel of channels) ids.push(...(await arriving(db, channel, 40)));
  await db.updateTable('conversation').set({ routing_rule_id: handOff }).where('id', 'in', ids.slice(0, 10)).execute();
  const moved = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 60);
  const byHand = moved.map((conversationId, index) => {
    const userId = [a, b, c, d, e][Math.floor(random() * 5)] ?? a;
    return transact(worker(index), { actor: 'USER', userId: a }, (unit) => assign(unit, { conversationId }, index % 7 === 0 ? { teamId: team } : { userId }));
  });
  await Promise.all([decideAll(ids), ...byHand]);
  const made = await decisions(db, ids);
  expect(made).toHaveLength(ids.length);
  expect(made.every(({ chosen }) => chosen !== null)).toBe(true);
  expect(made.filter((one) => !atTheMinimum(one))).toEqual([]);
  const picked = await decisions(db, moved);
  expect(picked.filter(({ explanation }) => explanation.rule === 'TEAM')).toHaveLength(9);
  expect(picked.filter((one) => !atTheMinimum(one))).toEqual([]);
});

it('makes a change by hand wait for no decision, not even for one that has the very user [ROUTE-15]', async () => {
  const [user = ''] = await users(1);
  const [conversationId = ''] = await arriving(db, await ruled(db, { kind: 'NOBODY' }), 1);
  await db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(3, 0)`.execute(tx);
    await sql`update app_user set last_assigned_at = now() where id = ${user}`.execute(tx);
    // While this transaction is open: it would never end if it had to wait.
    await transact(worker(1), { actor: 'USER', userId: user }, (unit) => assign(unit, { conversationId }, { userId: user }));
  });
  expect((await loads([user])).get(user)).toBe(1);
});

import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { setRoutingRule } from '#commands/routing-rules.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { arriving, atOnce, decisions, load, makeRule, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
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

const users = async (count: number) => (await Promise.all(Array.from({ length: count }, () => makeUser(db)))).toSorted();
const inTurns = (userIds: readonly string[]) => ruled(db, { users: userIds, method: 'ROUND_ROBIN' });
const change = (userId: string, set: object) => db.updateTable('app_user').set(set).where('id', '=', userId).execute();

/** Who gets the next so many, one after the other. */
async function next(channel: MadeChannel, count: number): Promise<(string | null)[]> {
  const owners: (string | null)[] = [];
  for (const conversationId of await arriving(db, channel, count)) {
    owners.push((await decide(db, { conversationId }, Math.random)).value.ownerId);
  }
  return owners;
}

it('gives each eligible member one before anyone gets a second, whatever they own [ROUTE-11]', async () => {
  const [a = '', b = '', c = ''] = await users(3);
  await load(db, a, 5);
  const channel = await inTurns([a, b, c]);
  expect(await next(channel, 7)).toEqual([a, b, c, a, b, c, a]);
});

it('lets newcomers join the running cycle: a rule that is edited goes on with it, and so does a team that grows [ROUTE-11]', async () => {
  const [a = '', b = '', c = '', d = ''] = await users(4);
  const team = await makeTeam(db, { primary: [b, c] });
  const channel = await ruled(db, { teams: [team], method: 'ROUND_ROBIN' });
  expect(await next(channel, 1)).toEqual([b]);
  await db.insertInto('team_member').values({ team_id: team, user_id: d, kind: 'PRIMARY' }).execute();
  const rule = { kind: 'SPECIFIC', method: 'ROUND_ROBIN', teamIds: [team], userIds: [a] } as const;
  await transact(db, { actor: 'SYSTEM' }, (unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule }));
  // All but b are still to have one, then the next cycle begins.
  expect(await next(channel, 6)).toEqual([a, c, d, b, a, c]);
  // Edited again, it is still the same cycle.
  await transact(db, { actor: 'SYSTEM' }, (unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule }));
  expect(await next(channel, 2)).toEqual([d, b]);
});

it('passes over who goes away in mid-cycle; back, they have one turn and not those they missed [ROUTE-11]', async () => {
  const [a = '', b = '', c = ''] = await users(3);
  const channel = await inTurns([a, b, c]);
  expect(await next(channel, 1)).toEqual([a]);
  await change(b, { availability: 'AWAY' });
  expect(await next(channel, 4)).toEqual([c, a, c, a]);
  await change(b, { availability: 'AVAILABLE' });
  expect(await next(channel, 5)).toEqual([c, b, a, c, b]);
  await change(c, { deactivated_at: new Date() });
  expect(await next(channel, 3)).toEqual([a, b, a]);
});

it('keeps the turns of each rule apart, and counts a turn only when it is committed [ROUTE-11]', async () => {
  const [a = '', b = ''] = await users(2);
  const [one, other] = [await inTurns([a, b]), await inTurns([a, b])];
  expect([await next(one, 1), await next(other, 2), await next(one, 1)]).toEqual([[a], [a, b], [b]]);
  const [conversationId = ''] = await arriving(db, one, 1);
  const failing = decide(db, { conversationId }, () => {
    throw new Error('killed before the commit');
  });
  await expect(failing).rejects.toThrow('killed');
  expect((await decide(db, { conversationId }, Math.random)).value.ownerId).toBe(a);
});

it('is previewed without a turn being had [ROUTE-14, ROUTE-11]', async () => {
  const [a = '', b = ''] = await users(2);
  const channel = await inTurns([a, b]);
  await next(channel, 1);
  for (let turn = 0; turn < 3; turn += 1) {
    const { ownerId, explanation } = await previewRouting(db, [], { channelId: channel.id, contactId: null });
    expect([ownerId, explanation.decidedBy]).toEqual([b, 'TURN']);
    expect(explanation.candidates).toMatchObject([
      { userId: b, turn: { served: false, last: null } },
      { userId: a, turn: { served: true, last: 1 } },
    ]);
  }
});

it('reads of a large pool the fifty whose turn is nearest, and goes round all of it [ROUTE-14, ROUTE-11]', async () => {
  const pool = await users(70);
  const away = await makeUser(db, { availability: 'AWAY' });
  const channel = await inTurns([...pool, away]);
  expect(await next(channel, 75)).toEqual([...pool, ...pool.slice(0, 5)]);
  const { explanation } = await previewRouting(db, [], { channelId: channel.id, contactId: null });
  expect([explanation.ownerId, explanation.eligible, explanation.candidates.length, explanation.leftOut]).toEqual([pool[5], 70, 50, { AWAY: 1 }]);
});

it('goes on with the turns of a hand-off apart from those of the channel [ROUTE-11, CH-8]', async () => {
  const [a = '', b = ''] = await users(2);
  const channel = await inTurns([a, b]);
  expect(await next(channel, 1)).toEqual([a]);
  const handOff = await makeRule(db, { users: [a, b], method: 'ROUND_ROBIN' });
  const [conversationId = ''] = await arriving(db, channel, 1);
  await db.updateTable('conversation').set({ routing_rule_id: handOff }).where('id', '=', conversationId).execute();
  expect((await decide(db, { conversationId }, Math.random)).value.ownerId).toBe(a);
  expect(await next(channel, 1)).toEqual([b]);
});

it('gives 200 decided at once as it would one after the other: each in the order of the turns, differing by at most one [ROUTE-15, ROUTE-11]', async () => {
  const pool = await users(7);
  const channel = await inTurns(pool);
  const ids = await arriving(db, channel, 200);
  await atOnce(ids.map((conversationId, index) => () => decide(workers[index % workers.length] ?? db, { conversationId }, Math.random)));
  const made = await decisions(db, ids);
  expect(made.map(({ chosen }) => chosen)).toEqual(Array.from({ length: 200 }, (_, index) => pool[index % 7]));
  const { rows } = await sql<{ n: number }>`select count(*) as n from assignment where owner_id in (${sql.join(pool)}) group by owner_id`.execute(db);
  expect(rows.map(({ n }) => n).toSorted()).toEqual([28, 28, 28, 29, 29, 29, 29]);
});

it('keeps cycles right for rules that share users, decided at once while members come and go [ROUTE-15, ROUTE-11]', async () => {
  const [a = '', b = '', c = '', d = ''] = await users(4);
  const [one, other] = [await inTurns([a, b, c]), await inTurns([b, c, d])];
  const ids = [...(await arriving(db, one, 60)), ...(await arriving(db, other, 60))];
  const comings = [b, c, b, c].map((userId, index) => change(userId, { availability: index < 2 ? 'AWAY' : 'AVAILABLE' }));
  await Promise.all([
    atOnce(ids.map((conversationId, index) => () => decide(workers[index % workers.length] ?? db, { conversationId }, Math.random))),
    ...comings,
  ]);
  const made = await decisions(db, ids);
  expect(made.every(({ chosen }) => chosen !== null)).toBe(true);
  // By what each decision saw: nobody had a second turn where an eligible one had none.
  for (const { explanation } of made) {
    const [chosen, ...rest] = explanation.candidates.filter(({ outcome }) => outcome !== 'LEFT_OUT');
    if (chosen?.turn?.served === true) expect(rest.every(({ turn }) => turn?.served === true)).toBe(true);
  }
});

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AlreadyExists, InvalidInput, NotFound, NotPossible } from '#commands/refusals.ts';
import { setRoutingRule, type RuleInput } from '#commands/routing-rules.ts';
import { decide } from '#commands/routing.ts';
import { previewRouting } from '#commands/routing-preview.ts';
import { deleteSkill, saveSkill, setUserSkills } from '#commands/skills.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { arriving, decisions } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
let lamps: string;
let french: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  [lamps, french] = [await skill('product', 'lamps'), await skill('language', 'fr')];
});
afterAll(() => database.drop());

const as = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const skill = async (category: string, name: string) => (await as((unit) => saveSkill(unit, { category, name }))).skillId;
const able = async (...skillIds: string[]) => {
  const userId = await makeUser(db);
  await as((unit) => setUserSkills(unit, { userId, skillIds }));
  return userId;
};
const about = (product: string) => [{ property: 'properties.product', operator: 'IS' as const, values: [product] }];

async function channelOf(rule: Omit<RuleInput, 'kind'>): Promise<MadeChannel> {
  const channel = await makeChannel(db);
  const { ruleId } = await as((unit) =>
    setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule: { kind: 'SPECIFIC', method: 'LEAST_BUSY', ...rule } }),
  );
  return { ...channel, ruleId };
}

/** A new ticket with these properties, decided. */
async function decided(channel: MadeChannel, properties: object) {
  const [conversationId = ''] = await arriving(db, channel, 1);
  await db
    .updateTable('ticket')
    .set({ properties: JSON.stringify(properties) })
    .where('conversation_id', '=', conversationId)
    .execute();
  await decide(db, { conversationId }, Math.random, [plainPlugin]);
  const [decision] = await decisions(db, [conversationId]);
  if (decision === undefined) throw new Error('nothing was decided');
  return decision;
}

describe('a rule that asks for skills', () => {
  it('gives a ticket that meets it to who has them all; the first that it meets counts, and with none the rule alone [ROUTE-11]', async () => {
    const [both, one, none] = [await able(lamps, french), await able(lamps), await able()];
    const channel = await channelOf({
      userIds: [both, one, none],
      skillRules: [
        { conditions: [...about('lamp'), { property: 'priority', operator: 'IN', values: ['MEDIUM'] }], skillIds: [lamps, french], otherwise: 'WAIT' },
        { conditions: about('lamp'), skillIds: [lamps], otherwise: 'WAIT' },
      ],
    });
    for (let turn = 0; turn < 3; turn += 1) {
      const { chosen, explanation } = await decided(channel, { product: 'Lamp' });
      expect(chosen).toBe(both);
      expect(explanation).toMatchObject({
        skillRule: { position: 1, required: [lamps, french].toSorted(), fellBack: false },
        eligible: 1,
        leftOut: { MISSING_SKILL: 2 },
      });
      expect(explanation.candidates.find(({ userId }) => userId === one)).toMatchObject({ reason: 'MISSING_SKILL', missing: [french] });
    }
    const other = await decided(channel, { product: 'chair' });
    expect([other.chosen, other.explanation.skillRule, other.explanation.eligible]).not.toContain(both);
    expect(other.explanation.eligible).toBe(3);
    expect(other.explanation.skillRule).toBeUndefined();
  });

  it('waits where nobody who has them is free, or falls back to the rule, as set [ROUTE-11]', async () => {
    const [skilled, other] = [await able(lamps), await able()];
    await db.updateTable('app_user').set({ availability: 'AWAY' }).where('id', '=', skilled).execute();
    const of = (otherwise: 'WAIT' | 'FALL_BACK') =>
      channelOf({ userIds: [skilled, other], skillRules: [{ conditions: about('lamp'), skillIds: [lamps], otherwise }] });
    const waiting = await decided(await of('WAIT'), { product: 'lamp' });
    expect([waiting.chosen, waiting.explanation.outcome, waiting.explanation.leftOut]).toEqual([null, 'NOBODY_ELIGIBLE', { AWAY: 1, MISSING_SKILL: 1 }]);
    const fallen = await decided(await of('FALL_BACK'), { product: 'lamp' });
    expect([fallen.chosen, fallen.explanation.skillRule?.fellBack, fallen.explanation.leftOut]).toEqual([other, true, { AWAY: 1 }]);
  });

  it('falls back in a large pool to the nearest of all, and counts the rest [ROUTE-11, ROUTE-14]', async () => {
    const pool = (await Promise.all(Array.from({ length: 60 }, () => makeUser(db)))).toSorted();
    const channel = await channelOf({ userIds: pool, skillRules: [{ conditions: about('lamp'), skillIds: [lamps], otherwise: 'FALL_BACK' }] });
    const { chosen, explanation } = await decided(channel, { product: 'lamp' });
    expect([chosen, explanation.eligible, explanation.candidates.length, explanation.leftOut]).toEqual([pool[0], 60, 50, {}]);
  });

  it('is previewed by what the next ticket of the channel begins with [ROUTE-14, ROUTE-11]', async () => {
    const [skilled, other] = [await able(lamps), await able()];
    const channel = await channelOf({ userIds: [skilled, other], skillRules: [{ conditions: about('lamp'), skillIds: [lamps], otherwise: 'WAIT' }] });
    const preview = () => previewRouting(db, [plainPlugin], { channelId: channel.id, contactId: null });
    expect((await preview()).explanation.eligible).toBe(2);
    await db.updateTable('channel').set({ default_properties: '{"product": "lamp"}' }).where('id', '=', channel.id).execute();
    expect(await preview()).toMatchObject({ ownerId: skilled, explanation: { skillRule: { position: 1 } } });
  });

  it('is refused when saved with each thing that is wrong, by its path: skills and pipelines there are not, and where skills mean nothing [ROUTE-11]', async () => {
    const user = await makeUser(db);
    const error = await channelOf({
      userIds: [user],
      skillRules: [
        { conditions: [{ property: 'pipeline', operator: 'IS', values: [randomUUID()] }], skillIds: [lamps, 'x'], otherwise: 'WAIT' },
        { conditions: [], skillIds: [lamps], otherwise: 'WAIT' },
      ],
    }).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(InvalidInput);
    expect(error).toMatchObject({
      problems: [{ path: 'rule.skillRules.1.conditions' }, { path: 'rule.skillRules.0.skillIds.1' }, { path: 'rule.skillRules.0.conditions.0.values.0' }],
    });
    const channel = await makeChannel(db);
    const rule: RuleInput = { kind: 'NOBODY', skillRules: [{ conditions: about('x'), skillIds: [lamps], otherwise: 'WAIT' }] };
    await expect(as((unit) => setRoutingRule(unit, { plugins: [] }, { channelId: channel.id, rule }))).rejects.toThrow('rule.skillRules');
  });
});

describe('the list of skills', () => {
  it('has each once in its category, without regard to case, of any number made at once [ROUTE-11]', async () => {
    const made = await Promise.allSettled(['Oslo', 'oslo', ' OSLO '].map((name) => as((unit) => saveSkill(unit, { category: 'City', name }))));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of made) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(AlreadyExists);
    expect(await skill('capital', 'oslo')).toBeTruthy();
    const bergen = await skill('city', 'bergen');
    await expect(as((unit) => saveSkill(unit, { skillId: bergen, category: 'city', name: 'Oslo' }))).rejects.toBeInstanceOf(AlreadyExists);
    await as((unit) => saveSkill(unit, { skillId: bergen, category: 'city', name: 'Bergen' }));
    const bad = await as((unit) => saveSkill(unit, { category: '1 x', name: ' ' })).catch((one: unknown) => one);
    expect(bad).toMatchObject({ problems: [{ path: 'category' }, { path: 'name' }] });
  });

  it('has each once, also where others are named anew while one is made: refused, never broken [ROUTE-11]', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, async (_, index) => {
        const { skillId } = await as((unit) => saveSkill(unit, { category: 'race', name: `before ${index}` }));
        const [made, named] = await Promise.allSettled([
          as((unit) => saveSkill(unit, { category: 'race', name: `wanted ${index}` })),
          as((unit) => saveSkill(unit, { skillId, category: 'race', name: `Wanted ${index}` })),
        ]);
        return [made, named].flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
      }),
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') throw outcome.reason;
      expect(outcome.value).toHaveLength(1);
      expect(outcome.value[0]).toBeInstanceOf(AlreadyExists);
    }
  });

  it('lets go of one that no channel asks for, from everybody who has it, and keeps the others [ROUTE-11]', async () => {
    const id = await skill('product', 'stools');
    const user = await able(id);
    const channel = await channelOf({ userIds: [user], skillRules: [{ conditions: about('stool'), skillIds: [id], otherwise: 'WAIT' }] });
    const error = await as((unit) => deleteSkill(unit, { skillId: id })).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(NotPossible);
    expect(error).toMatchObject({ reason: 'SKILL_IN_USE' });
    await as((unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule: { kind: 'NOBODY' } }));
    await as((unit) => deleteSkill(unit, { skillId: id }));
    expect(await db.selectFrom('user_skill').select('skill_id').where('user_id', '=', user).execute()).toEqual([]);
    await expect(as((unit) => deleteSkill(unit, { skillId: id }))).rejects.toBeInstanceOf(NotFound);
    expect(await skill('product', 'stools')).not.toBe(id);
  });

  it('never leaves a rule that asks for a skill there is not: saved and removed at once, one of the two is refused [ROUTE-11]', async () => {
    const user = await makeUser(db);
    for (let round = 0; round < 10; round += 1) {
      const id = await skill('round', `r${round}`);
      const channel = await makeChannel(db);
      const rule: RuleInput = { kind: 'SPECIFIC', userIds: [user], skillRules: [{ conditions: about('x'), skillIds: [id], otherwise: 'WAIT' }] };
      const both = await Promise.allSettled([
        as((unit) => setRoutingRule(unit, { plugins: [plainPlugin] }, { channelId: channel.id, rule })),
        as((unit) => deleteSkill(unit, { skillId: id })),
      ]);
      expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    }
  });

  it('gives a user the skills that are named and no others, and refuses those there are not by their place', async () => {
    const user = await able(lamps);
    const error = await as((unit) => setUserSkills(unit, { userId: user, skillIds: [french, 'x'] })).catch((one: unknown) => one);
    expect(error).toMatchObject({ problems: [{ path: 'skillIds.1' }] });
    for (let turn = 0; turn < 2; turn += 1) await as((unit) => setUserSkills(unit, { userId: user, skillIds: [french, french] }));
    expect(await db.selectFrom('user_skill').select('skill_id').where('user_id', '=', user).execute()).toEqual([{ skill_id: french }]);
    const events = await db.selectFrom('event').select('why').where('user_id', '=', user).execute();
    expect(events).toEqual([{ why: 'SKILLS' }, { why: 'SKILLS' }]);
  });
});

import { randomUUID } from 'node:crypto';
import type { Plugin } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ruleAvailable } from '#commands/availability.ts';
import { setAvailability } from '#commands/user-availability.ts';
import { InvalidInput, NotAssignable } from '#commands/refusals.ts';
import { saveRule, type RuleInput } from '#commands/routing-rules.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeTeam, makeUser, plainPlugin } from '../support/fixtures.ts';
import { makeRule, ruled } from './routing-support.ts';

let database: TestDatabase;
let db: Db;
let placeId: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  ({ id: placeId } = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow());
});
afterAll(() => database.drop());

const LIVE: Plugin = {
  ...plainPlugin,
  capabilities: { ...plainPlugin.capabilities, live: true, routing: { group: 'messaging', defaultMethod: 'least-busy' } },
};
const save = async (rule: RuleInput, plugin: Plugin | undefined = LIVE) => {
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => saveRule(unit, rule, { placeId, plugin }));
  return db.selectFrom('routing_rule').selectAll().where('id', '=', value).executeTakeFirstOrThrow();
};

describe('saving a rule', () => {
  it('takes the method of the plugin where none is named: least busy for those that say so, at random for the others [ROUTE-7, ROUTE-8]', async () => {
    const userIds = [await makeUser(db)];
    expect((await save({ kind: 'SPECIFIC', userIds })).method).toBe('LEAST_BUSY');
    expect((await save({ kind: 'SPECIFIC', userIds }, plainPlugin)).method).toBe('RANDOM');
    expect((await save({ kind: 'SPECIFIC', userIds, method: 'RANDOM' })).method).toBe('RANDOM');
    expect((await save({ kind: 'SPECIFIC', userIds, method: 'LEAST_BUSY' }, plainPlugin)).method).toBe('LEAST_BUSY');
  });

  it("keeps a default user with the contact's owner, on live channels only [ROUTE-10]", async () => {
    const defaultUserId = await makeUser(db, { availability: 'AWAY' });
    expect(await save({ kind: 'CONTACT_OWNER', defaultUserId })).toMatchObject({ kind: 'CONTACT_OWNER', method: null, default_user_id: defaultUserId });
    expect((await save({ kind: 'CONTACT_OWNER' }, plainPlugin)).default_user_id).toBeNull();
    for (const wrong of [save({ kind: 'CONTACT_OWNER', defaultUserId }, plainPlugin), save({ kind: 'NOBODY', defaultUserId })]) {
      await expect(wrong).rejects.toBeInstanceOf(InvalidInput);
    }
    await expect(save({ kind: 'SPECIFIC', userIds: [defaultUserId], defaultUserId })).rejects.toThrow('rule.defaultUserId');
  });

  it('refuses a default user to whom nothing can be given, naming why [ROUTE-10, ROUTE-4]', async () => {
    const poor = await makeUser(db, { seat: 'NONE' });
    const gone = await makeUser(db);
    await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone).execute();
    const nobody = randomUUID();
    for (const [defaultUserId, reason] of [
      [poor, 'NO_SEAT'],
      [gone, 'DEACTIVATED'],
      [nobody, 'UNKNOWN'],
    ] as const) {
      const error = await save({ kind: 'CONTACT_OWNER', defaultUserId }).catch((one: unknown) => one);
      expect(error).toBeInstanceOf(NotAssignable);
      expect(error).toMatchObject({ targets: [{ userId: defaultUserId, teamId: null, reason }] });
    }
  });

  it('says all that is wrong with a rule at once, each by its path [ROUTE-4, ROUTE-11]', async () => {
    const userIds = [await makeUser(db)];
    const skillRules = [{ conditions: [], skillIds: ['x'], otherwise: 'WAIT' }] as const;
    const wrong = { kind: 'NOBODY', method: 'RANDOM', userIds, teamIds: [await makeTeam(db, {})], defaultUserId: userIds[0] ?? '', skillRules } as const;
    const paths = async (rule: RuleInput, plugin = LIVE) => {
      const error = await save(rule, plugin).catch((one: unknown) => one);
      return error instanceof InvalidInput ? error.problems.map(({ path }) => path) : error;
    };
    const ofSkills = ['rule.skillRules.0.conditions', 'rule.skillRules.0.skillIds.0'];
    expect(await paths(wrong)).toEqual(['rule.userIds', 'rule.teamIds', 'rule.method', 'rule.skillRules', 'rule.defaultUserId', ...ofSkills]);
    expect(await paths({ kind: 'SPECIFIC', skillRules })).toEqual(['rule.userIds', ...ofSkills]);
    expect(await paths({ kind: 'CONTACT_OWNER', method: 'RANDOM', defaultUserId: userIds[0] ?? '' }, plainPlugin)).toEqual([
      'rule.method',
      'rule.defaultUserId',
    ]);
  });

  it('refuses methods and targets where the kind has none [ROUTE-4]', async () => {
    const userIds = [await makeUser(db)];
    for (const wrong of [
      { kind: 'CONTACT_OWNER', method: 'LEAST_BUSY' },
      { kind: 'CONTACT_OWNER', userIds },
      { kind: 'NOBODY', userIds },
      { kind: 'SPECIFIC' },
    ] as const) {
      await expect(save(wrong)).rejects.toBeInstanceOf(InvalidInput);
    }
  });
});

describe('whether somebody is available', () => {
  const away = (userId: string) => transact(db, { actor: 'USER', userId }, (unit) => setAvailability(unit, { userId, availability: 'AWAY' }));
  const back = (userId: string) => transact(db, { actor: 'USER', userId }, (unit) => setAvailability(unit, { userId, availability: 'AVAILABLE' }));

  it('asks those the rule names, themselves or as primary members of a team [CHAT-3, ROUTE-5]', async () => {
    const [one, two, extra] = [await makeUser(db), await makeUser(db), await makeUser(db)];
    const channel = await ruled(db, { users: [one], teams: [await makeTeam(db, { primary: [two], extra: [extra] })] });
    expect(await ruleAvailable(db, channel.id)).toBe(true);
    await away(one);
    expect(await ruleAvailable(db, channel.id)).toBe(true);
    await away(two);
    expect(await ruleAvailable(db, channel.id)).toBe(false);
    await back(one);
    expect(await ruleAvailable(db, channel.id)).toBe(true);
    await db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', one).execute();
    expect(await ruleAvailable(db, channel.id)).toBe(false);
    await back(two);
    await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', two).execute();
    expect(await ruleAvailable(db, channel.id)).toBe(false);
  });

  it('asks everybody who can be assigned in the place where the rule names nobody, and the default user where there is one [CHAT-3, ROUTE-10]', async () => {
    await db.updateTable('app_user').set({ availability: 'AWAY' }).execute();
    const standIn = await makeUser(db, { availability: 'AWAY' });
    const nobody = await ruled(db, { kind: 'NOBODY' });
    const owners = await ruled(db, { kind: 'CONTACT_OWNER' });
    const withDefault = await ruled(db, { kind: 'CONTACT_OWNER', defaultUser: standIn });
    const all = () => Promise.all([nobody, owners, withDefault].map(({ id }) => ruleAvailable(db, id)));
    expect(await all()).toEqual([false, false, false]);
    await makeUser(db);
    expect(await all()).toEqual([true, true, false]);
    await back(standIn);
    expect(await all()).toEqual([true, true, true]);
  });

  it('asks those to whom a bot hands off, in place of the channel’s own rule [CHAT-3, CHAT-5]', async () => {
    const [ofChannel, ofHandOff] = [await makeUser(db), await makeUser(db, { availability: 'AWAY' })];
    const channel = await ruled(db, { users: [ofChannel] });
    const ruleId = await makeRule(db, { users: [ofHandOff] });
    const steps = [
      { id: 'a', type: 'say', text: 'x', next: 'b' },
      { id: 'b', type: 'hand-off' },
    ];
    await db
      .insertInto('chatflow')
      .values({ channel_id: channel.id, name: 'Bot', kind: 'BOT', definition: JSON.stringify({ start: 'a', steps, ruleIds: { b: ruleId } }) })
      .execute();
    expect(await ruleAvailable(db, channel.id)).toBe(false);
    await back(ofHandOff);
    expect(await ruleAvailable(db, channel.id)).toBe(true);
    await away(ofHandOff);
    await db.updateTable('chatflow').set({ enabled: false }).where('channel_id', '=', channel.id).execute();
    expect(await ruleAvailable(db, channel.id)).toBe(true);
  });

  it('is told to readers of the feed when somebody comes or goes [ROUTE-12]', async () => {
    const user = await makeUser(db);
    await away(user);
    await back(user);
    const events = await db.selectFrom('event').select(['kind', 'why']).where('user_id', '=', user).orderBy('id').execute();
    expect(events).toEqual([
      { kind: 'PEOPLE_CHANGED', why: 'AWAY' },
      { kind: 'PEOPLE_CHANGED', why: 'AVAILABLE' },
    ]);
  });
});

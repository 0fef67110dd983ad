import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadChannel } from '#commands/channel-settings.ts';
import { connectChannel, disconnectChannel, setChannelEnabled, updateChannel, type ConnectInput } from '#commands/channels.ts';
import { createUser, setSeat, deactivateUser, createTeam, setTeamMembers } from '#commands/people.ts';
import { createInbox } from '#commands/places.ts';
import { AddressTaken, ChangedMeanwhile, Forbidden, InvalidInput, NotAssignable, NotPossible } from '#commands/refusals.ts';
import { setRoutingRule } from '#commands/routing-rules.ts';
import { keysFrom } from '#commands/secrets.ts';
import { transact, type ActorRef, type Unit } from '#commands/unit.ts';
import config from '../support/config.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { connectEmailChannel, emailSettings, placeId } from '../support/email-channel.ts';
import testhook from '../support/test-plugin.ts';

const keys = keysFrom('cd'.repeat(32));
const { plugins } = config;
const deps = { plugins, keys };
const SECRET = 'marked-secret-7391';
const SYSTEM: ActorRef = { actor: 'SYSTEM' };

let database: TestDatabase;
let helpDesk: string;
let inbox: string;
beforeAll(async () => {
  database = await testDatabase();
  helpDesk = await placeId(database.db, 'HELP_DESK');
  inbox = await placeId(database.db, 'INBOX');
});
afterAll(() => database.drop());

async function run<T>(work: (unit: Unit) => Promise<T>, actor = SYSTEM): Promise<T> {
  return (await transact(database.db, actor, work)).value;
}

let number = 0;
function hook(more: Partial<ConnectInput> = {}, page = `page-${(number += 1)}`): ConnectInput {
  return { plugin: testhook.key, name: 'Hook', placeId: helpDesk, settings: { page, appSecret: SECRET }, ...more };
}
const connect = (input: ConnectInput) => run((unit) => connectChannel(unit, deps, input));
const user = (name: string, seat: 'PAID' | 'NONE' = 'PAID') =>
  run((unit) => createUser(unit, { name, email: `${name}-${(number += 1)}@people.example`, seat })).then(({ userId }) => userId);
const row = (id: string) => database.db.selectFrom('channel').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const reasons = (results: readonly PromiseSettledResult<unknown>[]) => results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));

describe('connecting a channel', () => {
  it('of 20 at once for one address exactly one connects, the others are told its key and nothing else [CH-2]', async () => {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => connect(hook({}, 'wanted-page'))));
    const won = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(won).toHaveLength(1);
    for (const reason of reasons(results)) {
      expect(reason).toBeInstanceOf(AddressTaken);
      expect(reason).toMatchObject({ channelKey: won[0]?.key });
      expect(String(reason)).not.toContain('wanted-page');
    }
  });

  it("refuses a user's own mailbox as a team mailbox, and a team mailbox as a user's, in both orders [CH-2]", async () => {
    await run((unit) => createUser(unit, { name: 'Ada', email: 'Ada@Both.example' }));
    await expect(connectEmailChannel(database.db, keys, { address: 'ada@both.example' })).rejects.toMatchObject({ name: 'AddressTaken', channelKey: null });
    const team = await connectEmailChannel(database.db, keys, { address: 'team@both.example' });
    await expect(run((unit) => createUser(unit, { name: 'Ben', email: 'TEAM@both.example' }))).rejects.toMatchObject({
      name: 'AddressTaken',
      channelKey: team.key,
    });
  });

  it('of a user and a team mailbox at once exactly one gets the address [CH-2]', async () => {
    for (let round = 0; round < 10; round += 1) {
      const address = `race-${round}@both.example`;
      const asUser = () => run((unit) => createUser(unit, { name: 'Racer', email: address }));
      const asTeam = () => connectEmailChannel(database.db, keys, { address });
      const order: readonly (() => Promise<unknown>)[] = round % 2 === 0 ? [asUser, asTeam] : [asTeam, asUser];
      const results = await Promise.allSettled(order.map((begin) => begin()));
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(reasons(results)[0]).toBeInstanceOf(AddressTaken);
      const users = await database.db.selectFrom('app_user').select('id').where('email', '=', address).execute();
      const channels = await database.db.selectFrom('channel').select('id').where('address', '=', address).execute();
      expect(users.length + channels.length).toBe(1);
    }
  });

  it('makes a key that is short, readable and says nothing of the address [OPS-4]', async () => {
    const { key } = await connect(hook({}, 'secretpage'));
    expect(key).toMatch(/^testhook-[2-9a-z]{6}$/);
    expect(key).not.toContain('secret');
  });

  it('names every wrong field in one answer, and no secret in any [CH-3]', async () => {
    const error = await connect(hook({ name: ' ', settings: { page: '', appSecret: 'short', provider: SECRET }, ticketDefaults: { statusId: 'none' } })).catch(
      (one: unknown) => one,
    );
    expect(error).toBeInstanceOf(InvalidInput);
    const paths = (error as InvalidInput).problems.map(({ path }) => path);
    expect(paths.toSorted()).toEqual(['name', 'settings.appSecret', 'settings.page', 'settings.provider', 'ticketDefaults.statusId']);
    expect(String(error)).not.toContain('short');
  });

  it('hides a secret that a schema quotes [CH-3]', async () => {
    const quoting = {
      ...testhook,
      settings: { '~standard': { version: 1 as const, vendor: 'test', validate: () => ({ issues: [{ message: `${SECRET} is weak`, path: ['appSecret'] }] }) } },
    };
    const error = await run((unit) => connectChannel(unit, { plugins: [quoting], keys }, hook())).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(InvalidInput);
    expect(String(error)).not.toContain(SECRET);
  });

  it('stores secrets sealed, apart from the settings, and opens them for the plugin [CH-3]', async () => {
    const { channelId, key } = await connect(hook());
    const stored = await row(channelId);
    expect(JSON.stringify(stored.settings)).not.toContain(SECRET);
    expect(stored.secrets?.includes(SECRET)).toBe(false);
    expect((await loadChannel(database.db, keys, { key }))?.info.settings).toMatchObject({ appSecret: SECRET });
    const events = await database.db.selectFrom('event').selectAll().where('channel_id', '=', channelId).execute();
    expect(events.map(({ kind }) => kind)).toEqual(['CHANNEL_CONNECTED']);
    expect(JSON.stringify(events)).not.toContain(SECRET);
  });

  it('begins with the rule nobody; a rule without a method gets that of the plugin [ROUTE-6, ROUTE-7, ROUTE-8]', async () => {
    const userId = await user('rita');
    const plain = await row((await connect(hook())).channelId);
    const chat = await row((await connect(hook({ routing: { kind: 'SPECIFIC', userIds: [userId] } }))).channelId);
    const mail = await connectEmailChannel(database.db, keys, { address: 'methods@acme.example', more: { routing: { kind: 'SPECIFIC', userIds: [userId] } } });
    const rule = (id: string) =>
      database.db.selectFrom('routing_rule').select(['kind', 'method', 'available_only']).where('id', '=', id).executeTakeFirstOrThrow();
    expect(await rule(plain.routing_rule_id)).toEqual({ kind: 'NOBODY', method: null, available_only: true });
    expect(await rule(chat.routing_rule_id)).toMatchObject({ kind: 'SPECIFIC', method: 'LEAST_BUSY' });
    expect(await rule((await row(mail.channelId)).routing_rule_id)).toMatchObject({ kind: 'SPECIFIC', method: 'RANDOM' });
  });

  it('takes the first pipeline and its first open status unless told otherwise, and refuses a status of another pipeline [CH-1]', async () => {
    const { channelId } = await connect(hook({ ticketDefaults: { priority: 'HIGH' } }));
    const { default_status_id: statusId, default_priority: priority } = await row(channelId);
    const status = await database.db.selectFrom('ticket_status').select('name').where('id', '=', statusId).executeTakeFirstOrThrow();
    expect({ ...status, priority }).toEqual({ name: 'New', priority: 'HIGH' });
    await expect(connect(hook({ ticketDefaults: { statusId, pipelineId: helpDesk } }))).rejects.toBeInstanceOf(InvalidInput);
  });
});

describe('editing a channel', () => {
  it('changes what is named, keeps the rest and the secrets, and parses the whole [CH-3]', async () => {
    const { channelId, key } = await connect(hook());
    await run((unit) => updateChannel(unit, deps, { channelId, name: 'Renamed', settings: { sendTimeoutMs: 77 }, reopening: { mode: 'NEW_AFTER', days: 5 } }));
    const loaded = await loadChannel(database.db, keys, { key });
    expect(loaded?.info).toMatchObject({ name: 'Renamed', settings: { sendTimeoutMs: 77, appSecret: SECRET } });
    expect(await row(channelId)).toMatchObject({ reopening: 'NEW_AFTER', reopen_days: 5, version: 2 });
    const wrong = run((unit) =>
      updateChannel(unit, deps, { channelId, name: '', settings: { sendTimeoutMs: -1, appSecret: 'x' }, reopening: { mode: 'REOPEN', days: 1 } }),
    );
    await expect(wrong).rejects.toMatchObject({
      problems: expect.arrayContaining(
        ['name', 'settings.sendTimeoutMs', 'settings.appSecret', 'reopening.days'].map((path) => expect.objectContaining({ path })),
      ),
    });
    expect(await row(channelId)).toMatchObject({ name: 'Renamed', version: 2 });
  });

  it('refuses another address, and a version somebody else has passed [CH-2]', async () => {
    const { channelId } = await connect(hook());
    await expect(run((unit) => updateChannel(unit, deps, { channelId, settings: { page: 'elsewhere' } }))).rejects.toBeInstanceOf(InvalidInput);
    await run((unit) => updateChannel(unit, deps, { channelId, expectedVersion: 1, name: 'First' }));
    await expect(run((unit) => updateChannel(unit, deps, { channelId, expectedVersion: 1, name: 'Second' }))).rejects.toBeInstanceOf(ChangedMeanwhile);
  });

  it('is switched off and on, and says so once [CH-9]', async () => {
    const { channelId } = await connect(hook());
    for (const enabled of [false, false, true]) await run((unit) => setChannelEnabled(unit, { channelId, enabled }));
    const events = await database.db
      .selectFrom('event')
      .select('why')
      .where('channel_id', '=', channelId)
      .where('kind', '=', 'CHANNEL_CHANGED')
      .orderBy('id')
      .execute();
    expect(events.map(({ why }) => why)).toEqual(['DISABLED', 'ENABLED']);
    expect((await row(channelId)).enabled).toBe(true);
  });
});

describe('disconnecting a channel', () => {
  it('frees its address for a new channel and for a user, and the old one stays as it was [CH-10]', async () => {
    const first = await connectEmailChannel(database.db, keys, { address: 'free@acme.example' });
    await run((unit) => disconnectChannel(unit, first));
    expect(await loadChannel(database.db, keys, { key: first.key })).toBeUndefined();
    const second = await connectEmailChannel(database.db, keys, { address: 'free@acme.example' });
    expect(second.key).not.toBe(first.key);
    expect(await row(first.channelId)).toMatchObject({ key: first.key, address: 'free@acme.example' });
    await expect(run((unit) => updateChannel(unit, deps, { channelId: first.channelId, name: 'x' }))).rejects.toBeInstanceOf(NotPossible);
    await run((unit) => disconnectChannel(unit, second));
    await run((unit) => createUser(unit, { name: 'Fred', email: 'free@acme.example' }));
  });

  it('fails what waits to be sent with the reason and leaves what is being sent; a second time changes nothing [CH-10]', async () => {
    const { channelId } = await connect(hook());
    const place = { place_id: helpDesk, place: 'HELP_DESK' as const };
    const states = ['QUEUED', 'SENDING', 'SENT'] as const;
    for (const state of states) {
      const { id: conversationId } = await database.db
        .insertInto('conversation')
        .values({ channel_id: channelId, origin_channel_id: channelId, ...place })
        .returning('id')
        .executeTakeFirstOrThrow();
      const { id, arrival } = await database.db
        .insertInto('message')
        .values({
          conversation_id: conversationId,
          channel_id: channelId,
          direction: 'OUTBOUND',
          automatic: true,
          text: 'x',
          occurred_at: new Date(Date.now() - 1_000),
        })
        .returning(['id', 'arrival'])
        .executeTakeFirstOrThrow();
      await database.db
        .insertInto('outbound')
        .values({
          message_id: id,
          conversation_id: conversationId,
          channel_id: channelId,
          arrival,
          kind: 'REPLY',
          sender: 'PERSON',
          state,
          recipient: JSON.stringify({ kind: 'scoped-id', value: '1' }),
          sending_since: state === 'SENDING' ? new Date() : null,
        })
        .execute();
    }
    expect(await run((unit) => disconnectChannel(unit, { channelId }))).toMatchObject({ disconnected: true, failedMessages: 1 });
    expect(await run((unit) => disconnectChannel(unit, { channelId }))).toMatchObject({ disconnected: false, failedMessages: 0 });
    const outbound = await database.db
      .selectFrom('outbound')
      .select(['state', 'failure_code', 'can_retry'])
      .where('channel_id', '=', channelId)
      .orderBy('arrival')
      .execute();
    expect(outbound).toEqual([
      { state: 'FAILED', failure_code: 'Disconnected', can_retry: false },
      { state: 'SENDING', failure_code: null, can_retry: null },
      { state: 'SENT', failure_code: null, can_retry: null },
    ]);
  });
});

describe('saving a routing rule', () => {
  it('names each user who can not be assigned, and why [ROUTE-4]', async () => {
    const { placeId: closed } = await run((unit) => createInbox(unit, { name: `Closed ${(number += 1)}` }));
    const [fine, seatless, gone, stranger] = [await user('fine'), await user('seatless', 'NONE'), await user('gone'), await user('stranger')];
    await run((unit) => deactivateUser(unit, { userId: gone }));
    for (const id of [fine, seatless, gone]) await database.db.insertInto('access_entry').values({ place_id: closed, user_id: id, team_id: null }).execute();
    await database.db.deleteFrom('access_entry').where('place_id', '=', closed).where('everyone', '=', true).execute();
    const { teamId } = await run((unit) => createTeam(unit, { name: `Empty ${number}` }));
    const { channelId } = await connect(hook({ placeId: closed }));
    const save = (userIds: readonly string[], teamIds: readonly string[] = []) =>
      run((unit) => setRoutingRule(unit, deps, { channelId, rule: { kind: 'SPECIFIC', userIds, teamIds } }));
    const error = await save([fine, seatless, gone, stranger, 'nobody'], [teamId]).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(NotAssignable);
    expect(Object.fromEntries((error as NotAssignable).targets.map((one) => [one.userId ?? one.teamId, one.reason]))).toEqual({
      [seatless]: 'NO_SEAT',
      [gone]: 'DEACTIVATED',
      [stranger]: 'NO_ACCESS',
      nobody: 'UNKNOWN',
      [teamId]: 'NO_PRIMARY_MEMBER',
    });
    // A team whose only primary member has no seat just now may be named: that changes.
    await run((unit) => setTeamMembers(unit, { teamId, primaryUserIds: [seatless] }));
    const { ruleId } = await save([fine], [teamId]);
    expect((await row(channelId)).routing_rule_id).toBe(ruleId);
  });

  it('needs a paid seat of whoever saves it [ROUTE-4]', async () => {
    const admin = await user('admin', 'NONE');
    const { channelId } = await connect(hook());
    const save = () => run((unit) => setRoutingRule(unit, deps, { channelId, rule: { kind: 'NOBODY' } }), { actor: 'USER', userId: admin });
    const error = await save().catch((one: unknown) => one);
    expect(error).toBeInstanceOf(Forbidden);
    expect(error).toMatchObject({ needs: 'a paid seat' });
    await run((unit) => setSeat(unit, { userId: admin, seat: 'PAID' }));
    await save();
  });

  it('names what is wrong with the rule of a channel that is to be connected by its own field, with all else that is wrong [ROUTE-4, CH-3]', async () => {
    const skillRules = [{ conditions: [], skillIds: ['x'], otherwise: 'WAIT' }] as const;
    const error = await connect(hook({ name: ' ', routing: { kind: 'SPECIFIC', skillRules } })).catch((one: unknown) => one);
    expect(error).toMatchObject({
      problems: ['name', 'routing.userIds', 'routing.skillRules.0.conditions', 'routing.skillRules.0.skillIds.0'].map((path) => ({ path })),
    });
  });

  it('refuses a rule that contradicts itself [ROUTE-4]', async () => {
    const { channelId } = await connect(hook({ placeId: inbox }));
    const save = (rule: Parameters<typeof setRoutingRule>[2]['rule']) => run((unit) => setRoutingRule(unit, deps, { channelId, rule }));
    await expect(save({ kind: 'SPECIFIC' })).rejects.toBeInstanceOf(InvalidInput);
    await expect(save({ kind: 'NOBODY', userIds: [await user('x')] })).rejects.toBeInstanceOf(InvalidInput);
    await expect(save({ kind: 'NOBODY', method: 'RANDOM' })).rejects.toBeInstanceOf(InvalidInput);
    // A default user stands in for a contact's owner, and where nobody waits for an answer nobody stands in (ROUTE-10).
    await expect(save({ kind: 'CONTACT_OWNER', defaultUserId: await user('y') })).rejects.toThrow('rule.defaultUserId');
  });
});

it('keeps the settings of an email channel apart from its password, whatever is edited [CH-3]', async () => {
  const settings = { ...emailSettings('pw@acme.example'), smtp: { host: '127.0.0.1', port: 25, secure: 'none', username: 'u' }, smtpPassword: SECRET };
  const { channelId } = await connect({ plugin: 'email', name: 'PW', placeId: helpDesk, settings });
  await run((unit) => updateChannel(unit, deps, { channelId, settings: { companyName: 'Other' } }));
  expect(JSON.stringify(await row(channelId))).not.toContain(SECRET);
  const loaded = await loadChannel(database.db, keys, { id: channelId });
  expect(loaded?.info.settings).toMatchObject({ companyName: 'Other', smtpPassword: SECRET });
});

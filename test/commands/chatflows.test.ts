import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectChannel } from '#commands/channels.ts';
import { chatflowProblems, deleteChatflow, saveChatflow, setChatflowEnabled, type ChatflowInput } from '#commands/chatflows.ts';
import { AlreadyExists, ChangedMeanwhile, Forbidden, InvalidInput, NotAssignable, NotFound, NotPossible } from '#commands/refusals.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { BOT, flowCapabilities, flowPlugin, makeFlow, makeFlowChannel, said } from '../support/chatflow.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainPlugin, take, testKeys } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let admin: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  admin = await makeUser(db, { role: 'ADMIN' });
});
afterAll(() => database.drop());

const plugins = [plainPlugin, flowPlugin];
const save = (input: ChatflowInput, userId = admin) => transact(db, { actor: 'USER', userId }, (unit) => saveChatflow(unit, { plugins }, input));
const flowsOf = (channelId: string) => db.selectFrom('chatflow').selectAll().where('channel_id', '=', channelId).orderBy('created_at').execute();
const handOffTo = (userIds: readonly string[]) => ({
  ...BOT,
  steps: BOT.steps.map((step) => (step.type === 'hand-off' ? { ...step, rule: { kind: 'SPECIFIC', userIds } } : step)),
});

describe('connecting', () => {
  it('makes and enables the primary chatflow, live, where the plugin runs chatflows, and none elsewhere [FB-2]', async () => {
    const place = await db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
    const connect = async (plugin: string) => {
      const { value } = await transact(db, { actor: 'USER', userId: admin }, (unit) =>
        connectChannel(unit, { plugins, keys: testKeys }, { plugin, name: 'A channel', placeId: place.id, settings: { address: `${plugin} one` } }),
      );
      return flowsOf(value.channelId);
    };
    expect(await connect('flows')).toMatchObject([{ kind: 'LIVE', entry_point: null, enabled: true, definition: {} }]);
    expect(await connect('plain')).toEqual([]);
  });
});

describe('saving', () => {
  it('keeps a bot with a rule for each hand-off, checked as a channel’s is [CHAT-5] [ROUTE-4]', async () => {
    const channel = await makeFlowChannel(db, {});
    const colleague = await makeUser(db);
    const input = { channelId: channel.id, chatflowId: channel.flowId, kind: 'BOT', definition: handOffTo([colleague]) } as const;
    const { value, wakes } = await save(input);
    expect(wakes).toEqual([]);
    expect(value.version).toBe(2);
    const [flow] = await flowsOf(channel.id);
    const { ruleIds, ...definition } = flow?.definition as { ruleIds: Record<string, string> };
    expect(definition).toEqual(handOffTo([colleague]));
    const rule = await db
      .selectFrom('routing_rule')
      .selectAll()
      .where('id', '=', ruleIds['people'] ?? '')
      .executeTakeFirst();
    expect(rule).toMatchObject({ kind: 'SPECIFIC', available_only: true });
    expect(
      await db
        .selectFrom('routing_rule_target')
        .select('user_id')
        .where('rule_id', '=', rule?.id ?? '')
        .execute(),
    ).toEqual([{ user_id: colleague }]);
    const withoutSeat = await makeUser(db, { seat: 'NONE' });
    await expect(save({ ...input, definition: handOffTo([withoutSeat]) })).rejects.toThrow(NotAssignable);
    await expect(save(input, withoutSeat)).rejects.toThrow(Forbidden);
    await expect(save({ ...input, definition: handOffTo([]) })).rejects.toThrow('definition.steps.3.rule.userIds: at least one user or team');
    expect(await db.selectFrom('event').select(['why', 'channel_id']).where('kind', '=', 'CHATFLOW_CHANGED').execute()).toEqual([
      { why: 'EDITED', channel_id: channel.id },
    ]);
  });

  it('names everything that is wrong, and keeps nothing of it', async () => {
    const channel = await makeFlowChannel(db, {});
    const wrong = { ...BOT, steps: [{ ...BOT.steps[0], next: 'nowhere', colour: 'red' }, ...BOT.steps.slice(1)] };
    const refused = await save({ channelId: channel.id, chatflowId: channel.flowId, kind: 'BOT', definition: wrong }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(InvalidInput);
    expect((refused as InvalidInput).problems).toEqual([{ path: 'definition.steps.0.colour', message: 'is no field of this' }]);
    expect(chatflowProblems(flowCapabilities, 'LIVE', wrong)).toHaveLength(2);
    expect(await flowsOf(channel.id)).toMatchObject([{ version: 1, definition: {} }]);
  });

  it('has room for fifty of one channel, also where many are saved at once', async () => {
    const channel = await makeFlowChannel(db, {});
    for (let at = 1; at < 45; at += 1) await makeFlow(db, channel.id, {}, `ref-${at}`);
    const tries = await Promise.allSettled(
      Array.from({ length: 12 }, (_, at) => save({ channelId: channel.id, name: 'One more', kind: 'LIVE', entryPoint: `more-${at}`, definition: {} })),
    );
    expect(tries.filter(({ status }) => status === 'fulfilled').length).toBe(5);
    for (const one of tries) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(InvalidInput);
    expect(await flowsOf(channel.id)).toHaveLength(50);
  });

  it('of many at once who saw the same version, one wins', async () => {
    const channel = await makeFlowChannel(db, {});
    const tries = Array.from({ length: 20 }, (_, at) =>
      save({ channelId: channel.id, chatflowId: channel.flowId, expectedVersion: 1, kind: 'LIVE', definition: { instantReply: `number ${at}` } }),
    );
    const results = await Promise.allSettled(tries);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ChangedMeanwhile);
  });

  it('gives an entry point to one chatflow of a channel, also at once, and none to the primary [FB-2]', async () => {
    const channel = await makeFlowChannel(db, {});
    const input = { channelId: channel.id, name: 'Sale', kind: 'LIVE', entryPoint: 'sale', definition: {} } as const;
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => save(input)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(AlreadyExists);
    const { value } = await save({ ...input, entryPoint: 'other' });
    await expect(save({ ...input, chatflowId: value.chatflowId })).rejects.toThrow(AlreadyExists);
    await expect(save({ ...input, chatflowId: channel.flowId })).rejects.toThrow('entryPoint: the primary chatflow has none');
    const { entryPoint: _entryPoint, ...without } = input;
    await expect(save(without)).rejects.toThrow('entryPoint: a chatflow beside the primary one needs one');
    await expect(save({ ...input, name: ' ' })).rejects.toThrow('name: must not be empty');
  });

  it('is refused where there are no chatflows, for a channel that is disconnected, and for another channel’s', async () => {
    const plain = await makeChannel(db);
    const input = { name: 'x', kind: 'LIVE', entryPoint: 'x', definition: {} } as const;
    await expect(save({ ...input, channelId: plain.id })).rejects.toThrow(new NotPossible('NO_CHATFLOWS'));
    const [one, two] = [await makeFlowChannel(db, {}), await makeFlowChannel(db, {})];
    await expect(save({ ...input, channelId: one.id, chatflowId: two.flowId })).rejects.toThrow(NotFound);
    await db.updateTable('channel').set({ disconnected_at: new Date() }).where('id', '=', one.id).execute();
    await expect(save({ ...input, channelId: one.id })).rejects.toThrow(new NotPossible('CHANNEL_DISCONNECTED'));
  });
});

describe('removing', () => {
  it('takes one away that is neither primary nor used; others are switched off', async () => {
    const channel = await makeFlowChannel(db, {});
    const [used, unused] = [await makeFlow(db, channel.id, BOT, 'used'), await makeFlow(db, channel.id, BOT, 'unused')];
    await take(db, channel, [said('somebody', 'Hi', { entryPoint: 'used' })], flowCapabilities);
    const remove = (chatflowId: string) => transact(db, { actor: 'USER', userId: admin }, (unit) => deleteChatflow(unit, { chatflowId }));
    await expect(remove(channel.flowId)).rejects.toThrow(new NotPossible('CHATFLOW_IS_PRIMARY'));
    await expect(remove(used)).rejects.toThrow(new NotPossible('CHATFLOW_WAS_USED'));
    await remove(unused);
    await expect(remove(unused)).rejects.toThrow(NotFound);
    const off = await transact(db, { actor: 'USER', userId: admin }, (unit) => setChatflowEnabled(unit, { chatflowId: used, enabled: false }));
    expect(off.value).toEqual({ chatflowId: used });
    expect((await flowsOf(channel.id)).map(({ id, enabled }) => [id, enabled])).toEqual([
      [channel.flowId, true],
      [used, false],
    ]);
  });

  it('at once with a conversation that begins by it: either it is used and stays, or it is gone and the primary one is met', async () => {
    const channel = await makeFlowChannel(db, { instantReply: 'Hello' });
    for (let round = 0; round < 15; round += 1) {
      const flowId = await makeFlow(db, channel.id, BOT, `round-${round}`);
      const [removed] = await Promise.allSettled([
        transact(db, { actor: 'USER', userId: admin }, (unit) => deleteChatflow(unit, { chatflowId: flowId })),
        take(db, channel, [said(`visitor-${round}`, 'Hi', { entryPoint: `round-${round}` })], flowCapabilities),
      ]);
      const used = await db.selectFrom('chatflow_run').select('conversation_id').where('chatflow_id', '=', flowId).execute();
      expect(used).toHaveLength(removed?.status === 'fulfilled' ? 0 : 1);
    }
  });
});

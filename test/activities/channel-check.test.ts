import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type Failure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { checkDue } from '#activities/channel-check.ts';
import { disconnectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import type { StartRequest } from '#workflows/contract.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

/** What each channel's provider answers, by the channel's key; and how often it was asked. */
const answers = new Map<string, Failure | Error>();
const asked: string[] = [];
let atOnce = 0;
let most = 0;
const checked = definePlugin({
  ...plainPlugin,
  check: async ({ channel }) => {
    asked.push(channel.key);
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise((resolve) => setImmediate(resolve));
    atOnce -= 1;
    const answer = answers.get(channel.key);
    if (answer instanceof Error) throw answer;
    if (answer !== undefined) throw new ChannelFailure(answer);
  },
});

let database: TestDatabase;
let db: Db;
let admin: string;
const woken: string[] = [];
const lines: string[] = [];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  admin = await makeUser(db, { role: 'ADMIN' });
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.updateTable('channel').set({ disconnected_at: new Date() }).where('disconnected_at', 'is', null).execute();
  await db.deleteFrom('system_mail').execute();
  await db.deleteFrom('notification').execute();
  answers.clear();
  asked.length = woken.length = lines.length = 0;
  most = 0;
});

const log = {
  info: (fields: object, message: string) => void lines.push(JSON.stringify([fields, message])),
  warn: (fields: object, message: string) => void lines.push(JSON.stringify([fields, message])),
  error: (fields: object, message: string) => void lines.push(JSON.stringify([fields, message])),
};
const check = (plugins = [checked]) =>
  checkDue({
    db,
    keys: testKeys,
    plugins,
    configUrl: '',
    log,
    now: () => Date.now(),
    waker: { signalWithStart: async ({ workflowId }: StartRequest) => void woken.push(workflowId), terminate: async () => false },
  });
const makeDue = () => sql`update channel set checked_at = now() - interval '10 min'`.execute(db);
async function due(): Promise<MadeChannel> {
  const channel = await makeChannel(db);
  await makeDue();
  return channel;
}
const health = (channel: MadeChannel) => db.selectFrom('channel').select(['health', 'health_reason']).where('id', '=', channel.id).executeTakeFirstOrThrow();
const toldOf = async (channel: MadeChannel) =>
  (await db.selectFrom('notification').select('user_id').where('channel_id', '=', channel.id).where('kind', '=', 'CHANNEL_HEALTH').execute()).map(
    (row) => row.user_id,
  );

it('a channel whose provider has ended it is disconnected, and the admins are told, once [CH-4]', async () => {
  const channel = await due();
  answers.set(channel.key, { code: 'Disconnected', reason: 'smtp 535' });
  expect(await check()).toEqual({ checked: 1, inTrouble: [channel.key], more: false });
  expect(await health(channel)).toEqual({ health: 'DISCONNECTED', health_reason: 'smtp 535' });
  expect(await toldOf(channel)).toEqual([admin]);
  expect((await db.selectFrom('system_mail').select(['user_id', 'state']).execute())[0]).toEqual({ user_id: admin, state: 'UNSENT' });
  await makeDue();
  await check();
  expect(await toldOf(channel)).toEqual([admin]);
});

it('a provider that can not be reached is trouble the second time in a row, not the first [CH-4]', async () => {
  const channel = await due();
  const unavailable: Failure = { code: 'Unavailable', reason: 'connection to the SMTP server failed' };
  const next = async (answer: Failure | undefined) => {
    if (answer === undefined) answers.delete(channel.key);
    else answers.set(channel.key, answer);
    await makeDue();
    await check();
    return (await health(channel)).health;
  };
  expect(await next(unavailable)).toBe('CONNECTED');
  expect(await next(undefined)).toBe('CONNECTED');
  expect(await next(unavailable)).toBe('CONNECTED');
  expect(await next(unavailable)).toBe('DEGRADED');
  expect((await health(channel)).health_reason).toBe('connection to the SMTP server failed');
  expect(await toldOf(channel)).toHaveLength(1);
  expect(await next(unavailable)).toBe('DEGRADED');
  expect(await next({ code: 'Disconnected', reason: 'smtp 535' })).toBe('DISCONNECTED');
  // One that is lost is not less lost because it can not be asked.
  expect(await next(unavailable)).toBe('DISCONNECTED');
  expect(await next(unavailable)).toBe('DISCONNECTED');
  expect(await toldOf(channel)).toHaveLength(2);
  expect(await next(undefined)).toBe('CONNECTED');
  expect(await toldOf(channel)).toHaveLength(3);
});

it('a channel that is back lets go what waited for it [CH-4]', async () => {
  const channel = await due();
  answers.set(channel.key, { code: 'Disconnected', reason: 'smtp 535' });
  await check();
  await take(db, channel, [inbound('ben@out.example')]);
  const { id } = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  await transact(db, { actor: 'USER', userId: admin }, (unit) => reply(unit, [checked], { conversationId: id, text: 'an answer' }));
  answers.clear();
  await makeDue();
  await check();
  expect(await health(channel)).toEqual({ health: 'CONNECTED', health_reason: null });
  expect(woken).toContain(`outbox/${id}`);
  expect(woken.filter((one) => one === `outbox/${id}`)).toHaveLength(1);
});

it('asks a few at a time, each once in ten minutes, however many workers do it at once [CH-4]', async () => {
  const channels: MadeChannel[] = [];
  for (let index = 0; index < 60; index += 1) channels.push(await makeChannel(db));
  await makeDue();
  const runs = await Promise.all([check(), check(), check()]);
  expect(runs.reduce((sum, run) => sum + run.checked, 0)).toBe(60);
  expect(asked.toSorted()).toEqual(channels.map((one) => one.key).toSorted());
  expect(most).toBeLessThanOrEqual(15);
  expect(await check()).toEqual({ checked: 0, inTrouble: [], more: false });
});

it('says that more are due where a call had no room for all [CH-4]', async () => {
  for (let index = 0; index < 60; index += 1) await makeChannel(db);
  await makeDue();
  const first = await check();
  expect(first.more).toBe(true);
  const second = await check();
  expect(second).toEqual({ checked: 60 - first.checked, inTrouble: [], more: false });
});

it('what a plugin fails with otherwise says nothing of the channel; nobody asks one that is disconnected or can not be asked [CH-4]', async () => {
  const channel = await due();
  answers.set(channel.key, new Error('MARKED words of a provider'));
  expect(await check()).toEqual({ checked: 1, inTrouble: [], more: false });
  await makeDue();
  answers.set(channel.key, { code: 'RateLimited', retryAfterSeconds: 5 });
  await check();
  expect((await health(channel)).health).toBe('CONNECTED');
  expect(lines.join('\n')).toContain('says nothing of it');
  expect(lines.join('\n')).not.toContain('MARKED');
  await makeDue();
  expect(await check([plainPlugin])).toEqual({ checked: 0, inTrouble: [], more: false });
  await transact(db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId: channel.id }));
  expect(await check()).toEqual({ checked: 0, inTrouble: [], more: false });
  expect((await health(channel)).health).toBe('CONNECTED');
});

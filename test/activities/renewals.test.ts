import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ChannelFailure, definePlugin, type Failure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { checkDue } from '#activities/channel-check.ts';
import { renewDue } from '#activities/renewals.ts';
import { disconnectChannel } from '#commands/channels.ts';
import { findStuck } from '#commands/guardian.ts';
import { keysFrom } from '#commands/secrets.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import type { StartRequest } from '#workflows/contract.ts';
import { fakeTemporal, keys, PUBLIC_URL, testDoors } from '../doors/support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeUser, plainCapabilities, plainPlugin, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';

const answers = new Map<string, Failure | Error>();
const renewed: { readonly key: string; readonly webhookUrl: string | undefined; readonly times: unknown }[] = [];
/** Judges by a key that only renewing brings. */
const lasting = definePlugin({
  ...plainPlugin,
  capabilities: { ...plainCapabilities, inbound: ['webhook', 'catch-up'] },
  verify: async (_raw, { state }) => {
    if ((await state?.read()) === undefined) throw new ChannelFailure({ code: 'Unavailable', reason: 'no key yet' });
    return { answer: new Response('taken'), store: true };
  },
  catchUp: async () => ({ events: [], more: false }),
  check: async () => undefined,
  renew: async ({ channel, webhookUrl, state }) => {
    const answer = answers.get(channel.key);
    if (answer instanceof Error) throw answer;
    if (answer !== undefined) throw new ChannelFailure(answer);
    await state?.update((times) => Number(times ?? 0) + 1);
    renewed.push({ key: channel.key, webhookUrl, times: await state?.read() });
  },
});

let database: TestDatabase;
let db: Db;
let admin: string;
const woken: string[] = [];
const lines: string[] = [];
const line = (fields: object, message: string): void => void lines.push(JSON.stringify([fields, message]));
const engine = () => ({
  db,
  keys,
  plugins: [lasting],
  configUrl: '',
  publicUrl: PUBLIC_URL,
  log: { info: line, warn: line, error: line },
  now: () => Date.now(),
  waker: { signalWithStart: async ({ workflowId }: StartRequest) => void woken.push(workflowId), terminate: async () => false },
});
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  admin = await makeUser(db, { role: 'ADMIN' });
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.updateTable('channel').set({ disconnected_at: new Date() }).where('disconnected_at', 'is', null).execute();
  answers.clear();
  renewed.length = woken.length = lines.length = 0;
});

const renew = (channelKey: string | null = null) => renewDue(engine(), channelKey);
const row = ({ id }: MadeChannel) => db.selectFrom('channel').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
/** As if so many hours had passed. */
const pass = (hours: number) =>
  sql`update channel set connected_at = connected_at - make_interval(hours => ${hours}), renewed_at = renewed_at - make_interval(hours => ${hours}),
    renew_tried_at = renew_tried_at - make_interval(hours => ${hours}), checked_at = checked_at - make_interval(hours => ${hours})`.execute(db);
const told = async (channel: MadeChannel) =>
  (await db.selectFrom('notification').select('id').where('channel_id', '=', channel.id).where('user_id', '=', admin).execute()).length;

it('renews what a channel holds about once a day, with its state and its webhook address, and none that has just begun [EMAIL-9]', async () => {
  const channel = await makeChannel(db);
  expect(await renew()).toMatchObject({ renewed: 0, more: false });
  await pass(19);
  expect(await renew()).toMatchObject({ renewed: 0 });
  await pass(2);
  expect(await renew()).toEqual({ renewed: 1, inTrouble: [], mended: 0, more: false });
  expect(renewed).toEqual([{ key: channel.key, webhookUrl: `${PUBLIC_URL}/hooks/plain/${channel.key}`, times: 1 }]);
  expect(await renew()).toMatchObject({ renewed: 0 });
  await pass(21);
  await renew();
  expect(renewed.map((one) => one.times)).toEqual([1, 2]);
  await pass(21);
  await transact(db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId: channel.id }));
  expect(await renew()).toMatchObject({ renewed: 0 });
});

it('asks each once, however many workers do it at once [EMAIL-9]', async () => {
  const channels: MadeChannel[] = [];
  for (let index = 0; index < 60; index += 1) channels.push(await makeChannel(db));
  await pass(21);
  const runs = await Promise.all([renew(), renew(), renew()]);
  expect(runs.reduce((sum, run) => sum + run.renewed, 0)).toBe(60);
  expect(renewed.map((one) => one.key).toSorted()).toEqual(channels.map((one) => one.key).toSorted());
});

it('is tried again within the hour, is trouble the third time, and a check that finds all well does not end that [CH-4, EMAIL-9]', async () => {
  const channel = await makeChannel(db);
  await pass(21);
  answers.set(channel.key, { code: 'Unavailable', reason: 'http 500' });
  for (const health of ['CONNECTED', 'CONNECTED', 'DEGRADED']) {
    expect(await renew()).toMatchObject({ renewed: 0, inTrouble: [channel.key] });
    expect((await row(channel)).health).toBe(health);
    // Not at once again.
    expect(await renew()).toMatchObject({ inTrouble: [] });
    await pass(1);
  }
  expect((await row(channel)).health_reason).toBe('not renewed: http 500');
  await checkDue(engine());
  expect((await row(channel)).health).toBe('DEGRADED');
  await renew();
  expect(await told(channel)).toBe(1);
  answers.clear();
  await pass(1);
  woken.length = 0;
  await renew();
  expect(await row(channel)).toMatchObject({ health: 'CONNECTED', renew_failures: 0, catch_up_gap: true });
  // What came while nothing was subscribed is fetched.
  expect(woken).toContain(`catch-up/${channel.key}`);
});

it('one whose provider has ended it is disconnected; a plugin that breaks is trouble too, and its words are in no log [CH-4]', async () => {
  const [lost, broken] = [await makeChannel(db), await makeChannel(db)];
  await pass(21);
  answers.set(lost.key, { code: 'Disconnected', reason: 'code 190' });
  answers.set(broken.key, new Error('PLANTED words'));
  for (let round = 0; round < 3; round += 1) {
    await renew();
    await pass(1);
  }
  expect(await row(lost)).toMatchObject({ health: 'DISCONNECTED', health_reason: 'code 190' });
  expect(await row(broken)).toMatchObject({ health: 'DEGRADED', health_reason: 'not renewed: the plugin failed unexpectedly' });
  expect(lines.join('\n')).not.toContain('PLANTED');
});

it('one whose secrets cannot be opened is in trouble, and the others are renewed [CH-4, EMAIL-9]', async () => {
  const unreadable = await makeChannel(db);
  const others = await Promise.all(Array.from({ length: 12 }, () => makeChannel(db)));
  await db
    .updateTable('channel')
    .set({ secrets: keysFrom('cd'.repeat(32)).seal('k', { token: 't' }) })
    .where('id', '=', unreadable.id)
    .execute();
  await pass(21);
  expect(await renew()).toMatchObject({ renewed: 12, inTrouble: [unreadable.key] });
  expect(renewed.map(({ key }) => key).toSorted()).toEqual(others.map(({ key }) => key).toSorted());
  expect((await row(unreadable)).renew_failures).toBe(1);
  // Nor does it keep the others from being checked.
  expect(await checkDue(engine())).toMatchObject({ checked: 13 });
});

it('a delivery that can not be judged for want of a key has it renewed, once, and is taken when it comes again [PLUG-4]', async () => {
  const channel = await makeChannel(db);
  const temporal = fakeTemporal();
  const doors = testDoors(db, temporal, new Map(), [lasting]);
  try {
    const post = async () => doors.app.request(`${PUBLIC_URL}/hooks/plain/${channel.key}`, { method: 'POST', body: '[]' });
    const refused = await Promise.all(Array.from({ length: 10 }, post));
    expect(refused.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 503));
    await eventually(() => expect(temporal.woken).toEqual([`channel-renewal/${channel.key}`]));
    // The wake was lost: the guardian finds it by the row.
    const found = async () => (await findStuck(db, 100)).stuck.filter(({ wake }) => wake.kind === 'renewal').length;
    expect(await found()).toBe(0);
    await sql`update channel set renew_asked_at = now() - interval '11 s' where id = ${channel.id}`.execute(db);
    expect(await found()).toBe(1);
    expect(await renew('another')).toMatchObject({ renewed: 0 });
    expect(await renew(channel.key)).toMatchObject({ renewed: 1 });
    expect(await found()).toBe(0);
    expect((await post()).status).toBe(200);
    expect(await db.selectFrom('raw_delivery').select('id').where('channel_id', '=', channel.id).execute()).toHaveLength(1);
  } finally {
    await doors.close();
  }
});

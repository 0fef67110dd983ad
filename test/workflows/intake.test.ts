import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { intakeWorkflowId } from '#workflows/contract.ts';
import type { Delivery } from './scripted-plugin.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const message = (from: string, id = randomBytes(5).toString('hex')): Delivery => ({ do: 'message', id, from, text: `text ${id}` });
const raw = (id: number) => world.db.selectFrom('raw_delivery').select(['state', 'tries', 'failure_code']).where('id', '=', id).executeTakeFirstOrThrow();
const done = (id: number, wanted = 'DONE') => until(`delivery ${id} is ${wanted}`, async () => (await raw(id)).state === wanted && raw(id), 60);

async function takenIn(channel: Channel): Promise<string[]> {
  const rows = await world.db.selectFrom('message').select('provider_message_id').where('channel_id', '=', channel.id).orderBy('arrival').execute();
  return rows.map((row) => row.provider_message_id ?? '');
}

test('deliveries are taken in in the order in which they came, each once, and the intake ends when it is quiet', async () => {
  const channel = await world.connect('INBOX');
  const ids = Array.from({ length: 120 }, (_, index) => `m-${index}`);
  for (const id of ids) await world.deliver(channel, message('ada', id), { wake: false });
  await world.deliver(channel, message('ada', 'm-5'));
  await until('all are in', async () => (await takenIn(channel)).length === ids.length);
  expect(await takenIn(channel)).toEqual(ids);
  const handle = world.client.workflow.getHandle(intakeWorkflowId(channel.key));
  await until('it completes', async () => (await handle.describe()).status.name === 'COMPLETED');
  const waiting = await world.db.selectFrom('raw_delivery').select('id').where('channel_id', '=', channel.id).where('state', '=', 'WAITING').execute();
  expect(waiting).toEqual([]);
});

test('an inbox conversation gets its owner by an activity of the intake', async () => {
  const channel = await world.connect('INBOX');
  await world.deliver(channel, message('bob'));
  await until(
    'the owner',
    async () =>
      (await world.db.selectFrom('conversation').select('owner_id').where('channel_id', '=', channel.id).executeTakeFirst())?.owner_id === world.userId,
  );
});

test('a crash, an endless loop and swelling memory of one channel do not stop another, and are set aside after the third try [PLUG-11]', async () => {
  const [sick, well] = [await world.connect('INBOX'), await world.connect('INBOX')];
  const before = await world.deliver(sick, message('before'), { wake: false });
  const bad: number[] = [];
  for (const kind of ['loop', 'crash', 'swell', 'throw', 'wrong'] as const) bad.push(await world.deliver(sick, { do: kind }, { wake: false }));
  const after = await world.deliver(sick, message('after'));
  for (let index = 0; index < 5; index += 1) {
    await done(await world.deliver(well, message('cleo')));
  }
  // Meanwhile the other was still at its loop, which takes three times five seconds.
  expect((await raw(bad[0] ?? 0)).state).toBe('WAITING');
  await done(before);
  await done(after);
  for (const id of bad) expect(await done(id, 'SET_ASIDE')).toMatchObject({ tries: 3 });
  const codes = await Promise.all(bad.map(async (id) => (await raw(id)).failure_code));
  expect(codes).toEqual(['TimedOut', 'Crashed', 'TooMuchMemory', 'Unexpected', 'Malformed']);
});

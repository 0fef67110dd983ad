import { afterAll, beforeAll, expect, it } from 'vitest';
import { channelState, readOnlyState, STATE_BYTES } from '#commands/channel-state.ts';
import { newId } from '#db/ids.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, testKeys } from '../support/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const stateOf = async () => {
  const channel = await makeChannel(database.db);
  return { channel, state: channelState(database.db, testKeys, channel) };
};

it('begins with nothing, keeps what it is given, and nothing of it can be read in the row [PLUG-4, CH-3]', async () => {
  const { channel, state } = await stateOf();
  expect(await state.read()).toBeUndefined();
  await state.update((current) => ({ before: current ?? null, token: 'PLANTED-TOKEN' }));
  expect(await state.read()).toEqual({ before: null, token: 'PLANTED-TOKEN' });
  const row = await database.db.selectFrom('channel').selectAll().where('id', '=', channel.id).executeTakeFirstOrThrow();
  expect(row.state?.includes('PLANTED')).toBe(false);
  expect(JSON.stringify(row)).not.toContain('PLANTED');
  // Neither opens as the channel's secrets, nor in another row.
  expect(() => testKeys.open(channel.key, row.state ?? Buffer.alloc(0))).toThrow();
  const other = await stateOf();
  await database.db.updateTable('channel').set({ state: row.state }).where('id', '=', other.channel.id).execute();
  await expect(other.state.read()).rejects.toThrow();
  await state.update(() => undefined);
  expect(await state.read()).toBeUndefined();
});

it('fifty updates at once lose none of them [PLUG-4]', async () => {
  const { channel, state } = await stateOf();
  let calls = 0;
  await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      state.update((current) => {
        calls += 1;
        return [...(Array.isArray(current) ? current : []), index];
      }),
    ),
  );
  const kept = await state.read();
  expect(Array.isArray(kept) ? kept.toSorted((a: number, b: number) => a - b) : kept).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect(calls).toBeGreaterThan(50);
  const row = await database.db.selectFrom('channel').select('state_version').where('id', '=', channel.id).executeTakeFirstOrThrow();
  expect(row.state_version).toBe(50);
});

it('is only to be read while a delivery is verified; a change that throws or is too large changes nothing [PLUG-4]', async () => {
  const { state } = await stateOf();
  await state.update(() => 'kept');
  const looked = readOnlyState(state);
  await expect(looked.update(() => 'changed')).rejects.toThrow('can not be changed');
  await expect(
    state.update(() => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await expect(state.update(() => 'x'.repeat(STATE_BYTES))).rejects.toThrow('65536');
  expect(await looked.read()).toBe('kept');
});

it('there is none of a channel that there is not [PLUG-4]', async () => {
  const state = channelState(database.db, testKeys, { id: newId(), key: 'nowhere' });
  await expect(state.read()).rejects.toThrow('no such channel');
  await expect(state.update(() => 1)).rejects.toThrow('no such channel');
});

import { randomBytes } from 'node:crypto';
import { ChannelFailure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { fetchDue } from '#activities/attachments.ts';
import { drain } from '#activities/intake.ts';
import { LIMITS } from '#activities/limits.ts';
import { readWholeBlob } from '#commands/blobs.ts';
import { FETCH_TRIES } from '#domain/attachments.ts';
import { asked, provided, type ScriptedFile } from '../workflows/scripted-plugin.ts';
import { openWorld, type Channel, type World } from '../workflows/world.ts';

let world: World;
/** Its deliveries carry their files. */
let carrying: Channel;
/** Its provider keeps them. */
let keeping: Channel;
beforeAll(async () => {
  world = await openWorld({ workers: false });
  carrying = await world.connect('INBOX');
  keeping = await world.connect('INBOX', 'askable');
});
afterAll(() => world?.close());

const name = () => randomBytes(6).toString('hex');
const never = { beat: () => undefined, stopped: () => false };

/** A message with files, taken in; its id. */
async function message(on: Channel, files: readonly ScriptedFile[]): Promise<string> {
  const id = name();
  await world.deliver(on, { do: 'message', id, from: id, text: 'hello', files }, { wake: false });
  await drain(world.set.engine, on.key, never);
  return (await world.db.selectFrom('message').select('id').where('provider_message_id', '=', id).executeTakeFirstOrThrow()).id;
}

const rows = (messageId: string) => world.db.selectFrom('attachment').selectAll().where('message_id', '=', messageId).orderBy('position').execute();
const fetch = (on: Channel) => fetchDue(world.set.engine, on.key);
const dueNow = (on: Channel) => sql`update attachment set not_before = now() where channel_id = ${on.id}`.execute(world.db);

async function content(messageId: string): Promise<(string | null)[]> {
  const texts: (string | null)[] = [];
  for (const { sha256 } of await rows(messageId)) texts.push(sha256 === null ? null : (await readWholeBlob(world.db, sha256)).toString());
  return texts;
}

test('what a delivery carries is taken out of it, all in one go, and stored; the same file twice is stored once [CH-6]', async () => {
  const same = name();
  const id = await message(carrying, [
    { name: 'a.txt', text: `a ${same}` },
    { name: 'b.txt', text: `b ${same}`, type: 'text/html' },
    { name: '', text: '' },
  ]);
  const other = await message(carrying, [{ name: 'again.txt', text: `a ${same}` }]);
  expect(await fetch(carrying)).toEqual({ stored: 4, refused: 0, failed: 0, remaining: 0, nextTryAtIso: null, heldBy: null });
  expect(await content(id)).toEqual([`a ${same}`, `b ${same}`, '']);
  expect((await rows(other))[0]?.sha256).toEqual((await rows(id))[0]?.sha256);
  expect((await rows(id)).map((row) => row.bytes)).toEqual([14, 14, 0]);
});

test('one that is not in its delivery, or not bytes, has failed with the reason; the rest of the message is there [CH-6]', async () => {
  const id = await message(carrying, [
    { name: 'here.txt', text: `here ${name()}` },
    { name: 'lost.txt', text: `lost ${name()}`, do: 'lost' },
  ]);
  const wrong = await message(carrying, [{ name: 'wrong.txt', text: `wrong ${name()}`, do: 'wrong' }]);
  await fetch(carrying);
  expect((await rows(id)).map((row) => [row.state, row.reason])).toEqual([
    ['STORED', null],
    ['FAILED', 'it is not in the delivery it came with'],
  ]);
  expect((await rows(wrong))[0]).toMatchObject({ state: 'FAILED', reason: 'taking it out of its delivery failed: Malformed' });
});

test.each(['loop', 'crash'] as const)(
  'a file whose taking out does "%s" stops no worker, is tried again later and then has failed [CH-6, PLUG-11]',
  async (kind) => {
    const channel = await world.connect('INBOX');
    const bad = await message(channel, [{ name: 'bad.txt', text: `bad ${name()}`, do: kind }]);
    const first = await fetch(channel);
    expect(first).toMatchObject({ remaining: 1, heldBy: kind === 'loop' ? 'TimedOut' : 'Crashed', failed: 0 });
    // The first back-off: the workflow waits exactly until then.
    expect(Date.parse(first.nextTryAtIso ?? '') - Date.now()).toBeGreaterThan(2_000);
    expect((await rows(bad))[0]).toMatchObject({ state: 'WAITING', tries: 1 });
    const good = await message(channel, [{ name: 'good.txt', text: 'good' }]);
    await fetch(channel);
    expect(await content(good)).toEqual(['good']);
    await sql`update attachment set tries = ${FETCH_TRIES - 1}, not_before = now() where message_id = ${bad}`.execute(world.db);
    await fetch(channel);
    expect((await rows(bad))[0]).toMatchObject({ state: 'FAILED', reason: `could not be had in 5 tries: ${kind === 'loop' ? 'TimedOut' : 'Crashed'}` });
  },
);

test('what a plugin says when it fails is neither stored nor logged [CH-6, OPS-4]', async () => {
  const id = await message(carrying, [{ name: 'x.txt', text: `thrown ${name()}`, do: 'throw' }]);
  await fetch(carrying);
  expect((await rows(id))[0]?.reason).toBe('taking it out of its delivery failed: Unexpected');
  expect(world.logged.join('\n')).not.toContain('SECRET-TEXT');
});

test('what the provider keeps is fetched from there, and what it refuses for good says why [CH-6]', async () => {
  const [there, gone, broken] = [`there ${name()}`, `gone ${name()}`, `broken ${name()}`];
  provided.set(there, Buffer.from('from the provider'));
  provided.set(broken, new Error('SECRET-TEXT'));
  const id = await message(keeping, [
    { name: 'there.txt', text: there },
    { name: 'gone.txt', text: gone },
    { name: 'broken.txt', text: broken },
  ]);
  await fetch(keeping);
  expect((await rows(id)).map((row) => [row.state, row.reason])).toEqual([
    ['STORED', null],
    ['FAILED', 'no such file'],
    ['FAILED', 'the plugin failed unexpectedly'],
  ]);
  expect((await content(id))[0]).toBe('from the provider');
});

test('a provider that can not be reached is asked again later, at most five times [CH-6]', async () => {
  const file = `away ${name()}`;
  provided.set(file, new ChannelFailure({ code: 'Unavailable', reason: 'http 503' }));
  const id = await message(keeping, [{ name: 'away.txt', text: file }]);
  for (let tries = 1; tries < FETCH_TRIES; tries += 1) {
    expect(await fetch(keeping)).toMatchObject({ remaining: 1, heldBy: 'Unavailable' });
    // Not before its time.
    expect(await fetch(keeping)).toMatchObject({ stored: 0, remaining: 1 });
    expect(asked.get(file)).toBe(tries);
    await dueNow(keeping);
  }
  await fetch(keeping);
  expect((await rows(id))[0]).toMatchObject({ state: 'FAILED', tries: FETCH_TRIES, reason: 'could not be had in 5 tries: Unavailable' });
  expect(asked.get(file)).toBe(FETCH_TRIES);
});

test('a provider that limits the rate holds up its whole channel for as long as it says, and no longer [CH-6]', async () => {
  const files = Array.from({ length: 6 }, () => `limited ${name()}`);
  for (const file of files) provided.set(file, new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: 60 }));
  const id = await message(
    keeping,
    files.map((text) => ({ name: 'x.txt', text })),
  );
  const held = await fetch(keeping);
  expect(held).toMatchObject({ remaining: 6, heldBy: 'RateLimited' });
  expect(Date.parse(held.nextTryAtIso ?? '') - Date.now()).toBeGreaterThan(30_000);
  // Those that were under way when it said so, and none after them.
  expect(files.filter((file) => asked.has(file)).length).toBeLessThanOrEqual(4);
  for (const file of files) provided.set(file, Buffer.from(file));
  await dueNow(keeping);
  await fetch(keeping);
  expect(await content(id)).toEqual(files);
});

test('a fetch that never answers is given up after its time and tried again [CH-6]', async () => {
  const file = `hangs ${name()}`;
  provided.set(file, () => new Promise(() => undefined));
  const id = await message(keeping, [{ name: 'x.txt', text: file }]);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const fetching = fetch(keeping);
    await vi.waitFor(() => expect(asked.get(file)).toBe(1), { timeout: 20_000 });
    await vi.advanceTimersByTimeAsync(LIMITS.fetchSeconds * 1000);
    await fetching;
  } finally {
    vi.useRealTimers();
  }
  expect((await rows(id))[0]).toMatchObject({ state: 'WAITING', tries: 1, fetching_until: null });
  await sql`update attachment set state = 'FAILED', reason = 'the test is over' where message_id = ${id}`.execute(world.db);
});

test('a file larger than the channel takes is refused once it is there, whatever was said of its size [CH-6]', async () => {
  const file = `large ${name()}`;
  provided.set(file, new Uint8Array(2_000_001));
  const id = await message(keeping, [{ name: 'large.bin', text: file }]);
  await fetch(keeping);
  expect((await rows(id))[0]).toMatchObject({ state: 'REFUSED', reason: 'larger than 1.9 MB', sha256: null });
});

test('many at once fetch each file once [CH-6]', async () => {
  const files = Array.from({ length: 30 }, () => `once ${name()}`);
  for (const file of files) provided.set(file, Buffer.from(file));
  const id = await message(
    keeping,
    files.map((text) => ({ name: 'x.txt', text })),
  );
  await Promise.all(Array.from({ length: 8 }, () => fetch(keeping)));
  await fetch(keeping);
  expect(await content(id)).toEqual(files);
  expect(files.map((file) => asked.get(file))).toEqual(files.map(() => 1));
});

import { randomBytes } from 'node:crypto';
import { ChannelFailure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Engine } from '#activities/dependencies.ts';
import { runGuardianOnce } from '#activities/guardian.ts';
import { drain } from '#activities/intake.ts';
import { sendFirst } from '#activities/outbox.ts';
import { tryLockIntake } from '#db/locks.ts';
import { tries, unanswered } from '../workflows/scripted-plugin.ts';
import { openWorld, until, type Channel, type World } from '../workflows/world.ts';

let world: World;
let engine: Engine;
beforeAll(async () => {
  world = await openWorld({ workers: false });
  engine = world.set.engine;
});
afterAll(() => world?.close());

const watch = { beat: () => undefined, stopped: () => false };
const raw = (id: number) => world.db.selectFrom('raw_delivery').select(['state', 'tries']).where('id', '=', id).executeTakeFirstOrThrow();
const outbound = (id: string) => world.db.selectFrom('outbound').selectAll().where('message_id', '=', id).executeTakeFirstOrThrow();
const message = (from: string) => ({ do: 'message', id: randomBytes(5).toString('hex'), from, text: 'hello' }) as const;

/** From now on a statement that `when` is true of fails with each of `states` in turn, and then succeeds, as when PostgreSQL is away for a while. */
async function trouble(event: string, table: string, when: string, states: readonly string[]): Promise<() => Promise<void>> {
  const name = `t_${randomBytes(4).toString('hex')}`;
  const list = states.map((one) => `'${one}'`).join(', ');
  // A sequence counts on although its transaction is rolled back.
  await sql.raw(`create sequence ${name}`).execute(world.db);
  await sql
    .raw(
      `create function ${name}() returns trigger language plpgsql as $$
      declare states text[] := array[${list}]; n bigint := nextval('${name}');
      begin if n <= cardinality(states) then raise exception 'trouble' using errcode = states[n]; end if; return new; end $$`,
    )
    .execute(world.db);
  await sql.raw(`create trigger ${name} before ${event} on ${table} for each row when (${when}) execute function ${name}()`).execute(world.db);
  return async () => void (await sql.raw(`drop trigger ${name} on ${table}`).execute(world.db));
}

async function conversation(on: Channel): Promise<string> {
  const from = `visitor-${randomBytes(4).toString('hex')}`;
  await world.deliver(on, message(from), { wake: false });
  await drain(engine, on.key, watch);
  const row = await world.db.selectFrom('thread_key').select('conversation_id').where('key', '=', from).executeTakeFirstOrThrow();
  return row.conversation_id;
}

test('what the provider answered is written once PostgreSQL is back, after a deadlock too, and never becomes MAYBE_SENT [CH-5]', async () => {
  const id = await conversation(await world.connect('INBOX'));
  const end = await trouble('update', 'outbound', "old.state = 'SENDING' and new.state <> 'SENDING'", ['57P01', '40P01', '40001', '53300']);
  const sent = await world.reply(id, `fine ${id}`, { wake: false });
  expect(await sendFirst(engine, id)).toMatchObject({ outcome: 'SENT', remaining: 0 });
  expect(await outbound(sent)).toMatchObject({ state: 'SENT', attempt: 1 });
  expect(tries.get(`fine ${id}`)).toBe(1);
  await end();
  // Nobody waits for it any more, so it ends; and an error that does not pass is none to wait for.
  const endless = await trouble('update', 'outbound', "old.state = 'SENDING' and new.state <> 'SENDING'", Array<string>(1_000).fill('57P01'));
  await world.reply(id, `late ${id}`, { wake: false });
  await expect(sendFirst(engine, id, () => true)).rejects.toMatchObject({ code: '57P01' });
  await endless();
});

test('a provider that can not be asked now is asked again until ten minutes are over; only then a person decides [CH-5]', async () => {
  const channel = await world.connect('INBOX', 'askable');
  const id = await conversation(channel);
  const text = `asked ${id}`;
  const asked = await world.reply(id, text, { wake: false });
  const since = (seconds: number) =>
    sql`update outbound set state = 'SENDING', attempt = 1, sending_since = now() - make_interval(secs => ${seconds}), not_before = now() - interval '1 s'
      where message_id = ${asked}`.execute(world.db);
  const failures = [new ChannelFailure({ code: 'Unavailable', reason: 'away' }), new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: 90 })];
  for (const [index, failure] of failures.entries()) {
    unanswered.set(text, failure);
    await since(40);
    const result = await sendFirst(engine, id);
    expect(result).toMatchObject({ outcome: 'WAITS', messageId: asked });
    const wait = Date.parse(result.nextTryAtIso ?? '') - Date.now();
    expect(Math.abs(wait - (index === 0 ? 15_000 : 90_000))).toBeLessThan(5_000);
    expect((await outbound(asked)).state).toBe('SENDING');
    // Not before that, although somebody wakes it.
    unanswered.delete(text);
    expect(await sendFirst(engine, id)).toMatchObject({ outcome: 'WAITS', nextTryAtIso: result.nextTryAtIso });
  }
  unanswered.set(text, failures[0] ?? new Error('none'));
  await since(601);
  expect(await sendFirst(engine, id)).toMatchObject({ outcome: 'FAILED', remaining: 0 });
  expect((await outbound(asked)).state).toBe('MAYBE_SENT');
  expect(tries.get(text)).toBeUndefined();
});

test('a provider that answers with a no of another kind leaves it to a person at once [CH-5]', async () => {
  const id = await conversation(await world.connect('INBOX', 'askable'));
  unanswered.set(`refused ${id}`, new ChannelFailure({ code: 'Rejected', reason: 'no' }));
  const asked = await world.reply(id, `refused ${id}`, { wake: false });
  await sql`update outbound set state = 'SENDING', attempt = 1, sending_since = now() - interval '40 s' where message_id = ${asked}`.execute(world.db);
  await sendFirst(engine, id);
  expect((await outbound(asked)).state).toBe('MAYBE_SENT');
});

test('an outage that lasts counts no try against the delivery it met, also where the try is taken back late [PLUG-11]', async () => {
  const channel = await world.connect('INBOX');
  const delivery = await world.deliver(channel, message('met-by-outages'), { wake: false });
  for (let outage = 1; outage <= 3; outage += 1) {
    const ends = [
      await trouble('insert', 'message', 'true', ['57P01']),
      await trouble('update', 'raw_delivery', 'new.tries < old.tries', ['57P01', '08006', '40P01']),
    ];
    await expect(drain(engine, channel.key, watch)).rejects.toMatchObject({ code: '57P01' });
    expect(await raw(delivery)).toEqual({ state: 'WAITING', tries: 0 });
    for (const end of ends) await end();
  }
  expect(await drain(engine, channel.key, watch)).toMatchObject({ processed: 1, setAside: 0 });
});

test('an intake shows that it lives while it waits for a thread or a plugin [PLUG-11]', async () => {
  const channel = await world.connect('INBOX');
  await world.deliver(channel, message('slow'), { wake: false });
  let beats = 0;
  let during = 0;
  const parse: Engine['pool']['parse'] = async (...args) => {
    const before = beats;
    await until('it beats twice', async () => beats >= before + 2, 40);
    during = beats - before;
    return engine.pool.parse(...args);
  };
  await drain({ ...engine, pool: { ...engine.pool, parse } }, channel.key, { ...watch, beat: () => void (beats += 1) });
  expect(during).toBeGreaterThanOrEqual(2);
});

test('an intake that waits for a lock shows that it lives, stops when it is stopped, and counts no try [PLUG-11]', async () => {
  const channel = await world.connect('INBOX');
  const delivery = await world.deliver(channel, message('locked'), { wake: false });
  let stopped = false;
  let beats = 0;
  const release = Promise.withResolvers<void>();
  const held = Promise.withResolvers<boolean>();
  const holder = world.db.transaction().execute(async (tx) => {
    held.resolve(await tryLockIntake(tx, channel.id));
    await release.promise;
  });
  expect(await held.promise).toBe(true);
  const drained = drain(engine, channel.key, { beat: () => void (beats += 1), stopped: () => stopped });
  await until('it has begun', async () => (await raw(delivery)).tries === 1);
  const before = beats;
  await until('it beats', async () => beats > before);
  stopped = true;
  await expect(Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 30_000, 'still at it'))])).resolves.toMatchObject({ processed: 0 });
  expect(await raw(delivery)).toEqual({ state: 'WAITING', tries: 0 });
  release.resolve();
  await holder;
});

test('a conversation that can not be decided keeps neither the others from their owner nor a run from its account', async () => {
  const channel = await world.connect('INBOX');
  const ids = [await conversation(channel), await conversation(channel)];
  const [sick = '', well = ''] = ids;
  const pending = (ago: string) =>
    sql`update conversation set owner_id = null, route_pending_since = now() - ${ago}::interval where id = any(${ids}::uuid[])`.execute(world.db);
  const owner = async (id: string) => (await world.db.selectFrom('conversation').select('owner_id').where('id', '=', id).executeTakeFirstOrThrow()).owner_id;
  const end = await trouble('insert', 'routing_decision', `new.conversation_id = '${sick}'`, Array<string>(1_000).fill('23514'));

  await pending('1 h');
  expect(await drain(engine, channel.key, watch)).toMatchObject({ more: false });
  expect([await owner(sick), await owner(well)]).toEqual([null, world.userId]);
  const said = world.logged.filter((line) => line.includes('a conversation could not be decided'));
  expect(said).toHaveLength(1);
  expect(said[0]).toContain(sick);

  await pending('1 h');
  expect(await runGuardianOnce(engine)).toMatchObject({ decided: 1 });
  expect([await owner(sick), await owner(well)]).toEqual([null, world.userId]);
  expect(world.logged.some((line) => line.includes('the guardian could not decide') && line.includes(sick))).toBe(true);
  await end();
});

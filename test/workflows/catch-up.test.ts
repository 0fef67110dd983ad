import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { connectChannel } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import { catchUpWorkflowId, EXPLAIN_QUERY, STATUS_QUERY } from '#workflows/contract.ts';
import held, { configUrl } from '../support/held-config.ts';
import { heldProvider, type HeldProvider } from '../support/held-provider.ts';
import { everyString } from './every-string.ts';
import { openWorld, until, type World } from './world.ts';

let world: World;
let provider: HeldProvider;
beforeAll(async () => {
  world = await openWorld({ channels: { config: held, configUrl } });
});
afterAll(() => world?.close());
beforeEach(async () => {
  provider = await heldProvider();
});
afterEach(() => provider.close());

interface Channel {
  readonly channelId: string;
  readonly key: string;
}

function hold(count: number): readonly string[] {
  const ids = Array.from({ length: count }, () => `held-${randomBytes(6).toString('hex')}`);
  provider.items.push(...ids.map((id) => ({ id, from: `PLANTED-${id}`, text: `PLANTED words of ${id}` })));
  return ids;
}
async function connect(pageSize = 3): Promise<Channel> {
  const place = await world.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const settings = { page: randomBytes(6).toString('hex'), provider: provider.url, pageSize };
  const input = { plugin: 'held', name: 'Held', placeId: place.id, settings };
  return world.commit(await transact(world.db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: held.plugins, keys: world.keys }, input)));
}
const workflow = ({ key }: Channel) => world.client.workflow.getHandle(catchUpWorkflowId(key));
const messages = async ({ channelId }: Channel) =>
  (await world.db.selectFrom('message').select('provider_message_id').where('channel_id', '=', channelId).orderBy('arrival').execute()).map(
    (one) => one.provider_message_id,
  );
const has = (channel: Channel, count: number) => until(`${count} messages`, async () => (await messages(channel)).length === count);
const completes = (channel: Channel) => until('it completes', async () => (await workflow(channel).describe()).status.name === 'COMPLETED');
const waits = (channel: Channel) => until('it waits', async () => (await workflow(channel).query<string>(STATUS_QUERY)).startsWith('waits until'));

test('connecting fetches what the provider holds; the workflow is found by its channel, says what it did, and no words are in its history [PLUG-7, OPS-4, OPS-5]', async () => {
  const ids = hold(7);
  const channel = await connect();
  await has(channel, 7);
  await completes(channel);
  expect(await messages(channel)).toEqual(ids);
  const described = await workflow(channel).describe();
  expect(described.searchAttributes).toMatchObject({ TrunklineChannel: [channel.key], TrunklinePlugin: ['held'] });
  expect(await described.staticSummary()).toBe(`fetches what the provider of channel ${channel.key} holds`);
  expect(await workflow(channel).query(EXPLAIN_QUERY)).toEqual({ channel: channel.key, pages: 3, fresh: 7, recovered: null, heldBy: null, nextTry: null });
  const { events } = await workflow(channel).fetchHistory();
  expect(everyString(await workflow(channel).fetchHistory())).not.toContain('PLANTED');
  expect((events ?? []).length).toBeLessThan(20);
});

test('while it waits it says until when and what holds it; a wake is enough once it is time [OPS-5]', async () => {
  const ids = hold(2);
  provider.script('unavailable');
  const channel = await connect();
  await waits(channel);
  expect(await workflow(channel).query(EXPLAIN_QUERY)).toMatchObject({ heldBy: 'Unavailable', fresh: 0 });
  await sql`update channel set catch_up_after = now() where id = ${channel.channelId}`.execute(world.db);
  await workflow(channel).signal('wake');
  await has(channel, 2);
  await completes(channel);
  expect(await messages(channel)).toEqual(ids);
});

test.each(['terminate', 'cancel', 'reset'] as const)(
  '%s in the middle of a page loses nothing and brings nothing twice: the guardian starts it anew [PLUG-7, OPS-12]',
  async (harm) => {
    const ids = hold(9);
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const second = async () => {
      asked.resolve();
      await go.promise;
    };
    provider.script({ first: async () => undefined }, { first: second });
    const channel = await connect();
    await asked.promise;
    if (harm === 'terminate') await workflow(channel).terminate('somebody');
    else if (harm === 'cancel') await workflow(channel).cancel();
    else {
      const begun = (await workflow(channel).fetchHistory()).events?.find((event) => event.workflowTaskCompletedEventAttributes);
      await world.connection.workflowService.resetWorkflowExecution({
        namespace: world.namespace,
        workflowExecution: { workflowId: catchUpWorkflowId(channel.key) },
        reason: 'somebody',
        workflowTaskFinishEventId: begun?.eventId ?? null,
        requestId: randomBytes(8).toString('hex'),
      });
    }
    go.resolve();
    // As if the time had passed.
    await until('it goes on', async () => {
      await sql`update channel set catch_up_since = now() - interval '1 min', catch_up_after = now() - interval '20 s', catch_up_until = null
      where id = ${channel.channelId} and catch_up_since is not null`.execute(world.db);
      await runGuardianOnce(world.set.engine);
      return (await messages(channel)).length === 9;
    });
    await until(
      'it is done',
      async () =>
        (await world.db.selectFrom('channel').select('catch_up_since').where('id', '=', channel.channelId).executeTakeFirst())?.catch_up_since === null,
    );
    expect(await messages(channel)).toEqual(ids);
    const { cursor } = await world.db.selectFrom('channel').select('cursor').where('id', '=', channel.channelId).executeTakeFirstOrThrow();
    expect(cursor).toBe('9');
  },
);

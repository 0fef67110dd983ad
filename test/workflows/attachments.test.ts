import { randomBytes } from 'node:crypto';
import { ChannelFailure } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { EXPLAIN_QUERY, STATUS_QUERY, attachmentsWorkflowId } from '#workflows/contract.ts';
import { everyString } from './every-string.ts';
import { asked, provided, type ScriptedFile } from './scripted-plugin.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const name = () => randomBytes(6).toString('hex');

async function deliver(on: Channel, files: readonly ScriptedFile[]): Promise<string> {
  const id = name();
  await world.deliver(on, { do: 'message', id, from: id, text: 'hello', files });
  return id;
}

const rows = (providerMessageId: string) =>
  world.db
    .selectFrom('attachment')
    .innerJoin('message', 'message.id', 'attachment.message_id')
    .select(['attachment.id', 'attachment.state', 'attachment.tries', 'attachment.not_before'])
    .where('message.provider_message_id', '=', providerMessageId)
    .orderBy('position')
    .execute();
const allAre = (id: string, state: string, count: number) =>
  until(`${count} are ${state}`, async () => {
    const found = await rows(id);
    return found.length === count && found.every((row) => row.state === state);
  });
const workflow = (on: Channel) => world.client.workflow.getHandle(attachmentsWorkflowId(on.key));
const completes = (on: Channel) => until('it completes', async () => (await workflow(on).describe()).status.name === 'COMPLETED');

test('a message that comes in wakes the workflow of its channel, which stores its files and completes [CH-6]', async () => {
  const channel = await world.connect('INBOX');
  const files = Array.from({ length: 20 }, (_, index) => ({ name: `${index}.txt`, text: `${index} ${name()}` }));
  const id = await deliver(channel, files);
  await allAre(id, 'STORED', 20);
  await completes(channel);
  const { searchAttributes, staticSummary } = await describeWith(channel);
  expect(searchAttributes).toMatchObject({ TrunklineChannel: [channel.key], TrunklinePlugin: ['scripted'] });
  expect(staticSummary).toBe(`fetches what is attached to messages of channel ${channel.key}`);
  // The next one starts it again.
  await allAre(await deliver(channel, files.slice(0, 2)), 'STORED', 2);
});

async function describeWith(channel: Channel) {
  const described = await workflow(channel).describe();
  return { searchAttributes: described.searchAttributes, staticSummary: await described.staticSummary() };
}

test('while it waits it says in words until when and what holds it, and no name of a file stands in its history [CH-6, OPS-4, OPS-5]', async () => {
  const channel = await world.connect('INBOX', 'askable');
  const file = `PLANTED-FILE-${name()}`;
  provided.set(file, new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: 3_600 }));
  const id = await deliver(channel, [{ name: `${file}.txt`, text: file }]);
  await until('it was tried', async () => (await rows(id))[0]?.tries === 1);
  await until('it waits', async () => (await workflow(channel).query<string>(STATUS_QUERY)).startsWith('waits until'));
  const explained = await workflow(channel).query<Record<string, unknown>>(EXPLAIN_QUERY);
  expect(explained).toMatchObject({ channel: channel.key, stored: 0, remaining: 1, heldBy: 'RateLimited' });
  const timers = ((await workflow(channel).fetchHistory()).events ?? [])
    .filter((event) => event.timerStartedEventAttributes)
    .map((event) => Buffer.from(event.userMetadata?.summary?.data ?? []).toString());
  expect(timers.join('\n')).toContain('held by RateLimited');
  expect(everyString(await workflow(channel).fetchHistory())).not.toContain('PLANTED-FILE');
  // A wake is enough once the row says that it is time.
  provided.set(file, Buffer.from('at last'));
  await sql`update attachment set not_before = now() where channel_id = ${channel.id}`.execute(world.db);
  await world.waker.signalWithStart({
    workflowType: 'channelAttachments',
    workflowId: attachmentsWorkflowId(channel.key),
    args: [channel.key],
    summary: '',
    searchAttributes: {},
  });
  await allAre(id, 'STORED', 1);
  await completes(channel);
});

test('a wake that was lost, and a workflow that was terminated, are delays: the guardian finds the rows [CH-6]', async () => {
  const channel = await world.connect('INBOX', 'askable');
  const file = `held ${name()}`;
  provided.set(file, new ChannelFailure({ code: 'Unavailable', reason: 'not yet' }));
  const id = await deliver(channel, [{ name: 'x.txt', text: file }]);
  await until('it was tried', async () => (asked.get(file) ?? 0) >= 1);
  await until('it waits', async () => (await workflow(channel).query<string>(STATUS_QUERY)).startsWith('waits until'));
  await workflow(channel).terminate('somebody');
  provided.set(file, Buffer.from('here'));
  await sql`update attachment set not_before = now() - interval '20 s' where channel_id = ${channel.id}`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toContain(attachmentsWorkflowId(channel.key));
  await allAre(id, 'STORED', 1);
});

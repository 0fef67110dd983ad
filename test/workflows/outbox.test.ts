import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { outboxWorkflowId } from '#workflows/contract.ts';
import { known, sent, tries } from './scripted-plugin.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
let channel: Channel;
let askable: Channel;
beforeAll(async () => {
  world = await openWorld();
  channel = await world.connect('INBOX');
  askable = await world.connect('INBOX', 'askable');
});
afterAll(() => world?.close());

/** A conversation somebody began, ready to be answered. */
async function conversation(on: Channel): Promise<string> {
  const from = `visitor-${randomBytes(4).toString('hex')}`;
  await world.deliver(on, { do: 'message', id: from, from, text: 'hello' });
  const row = await until('the conversation', () =>
    world.db.selectFrom('thread_key').select('conversation_id').where('key', '=', from).where('channel_id', '=', on.id).executeTakeFirst(),
  );
  return row.conversation_id;
}

const outbound = (id: string) => world.db.selectFrom('outbound').selectAll().where('message_id', '=', id).executeTakeFirstOrThrow();
const state = (id: string, wanted: string) => until(`${id} is ${wanted}`, async () => ((await outbound(id)).state === wanted ? outbound(id) : undefined));

test('messages of one conversation go out in the order in which they were written, each once [CH-5]', async () => {
  const id = await conversation(channel);
  const texts = Array.from({ length: 6 }, (_, index) => `${index === 0 ? 'Slow' : 'plain'} first ${index} ${id}`);
  const messages: string[] = [];
  for (const text of texts) messages.push(await world.reply(id, text));
  for (const message of messages) await state(message, 'SENT');
  expect(sent.filter((one) => messages.includes(one.id)).map((one) => one.id)).toEqual(messages);
  await until('the workflow completes', async () => (await world.client.workflow.getHandle(outboxWorkflowId(id)).describe()).status.name === 'COMPLETED');
});

test('a message that failed for good lets the next pass, and says whether trying again can help [CH-5]', async () => {
  const id = await conversation(channel);
  const rejected = await world.reply(id, `Rejected always ${id}`);
  const outside = await world.reply(id, `OutsideWindow always ${id}`);
  const next = await world.reply(id, `fine ${id}`);
  expect(await state(rejected, 'FAILED')).toMatchObject({ failure_code: 'Rejected', failure_reason: 'scripted', can_retry: false });
  expect(await state(outside, 'FAILED')).toMatchObject({ failure_code: 'OutsideWindow', can_retry: false });
  await state(next, 'SENT');
});

test('a message that waits holds those after it, with a timer that says why, and goes out once the provider lets it [CH-5] [OPS-4]', async () => {
  const id = await conversation(channel);
  const limited = await world.reply(id, `RateLimited first ${id}`, { wake: false });
  const next = await world.reply(id, `after the limited ${id}`);
  await until('it waits', async () => (await outbound(limited)).failure_code === 'RateLimited');
  expect((await outbound(next)).state).toBe('QUEUED');
  await state(limited, 'SENT');
  await state(next, 'SENT');
  const order = sent.map((one) => one.id);
  expect(order.indexOf(limited)).toBeLessThan(order.indexOf(next));
  const history = await world.client.workflow.getHandle(outboxWorkflowId(id)).fetchHistory();
  const summaries = (history.events ?? [])
    .filter((event) => event.timerStartedEventAttributes)
    .map((event) => Buffer.from(event.userMetadata?.summary?.data ?? []).toString());
  expect(summaries.join('\n')).toContain(`sends message ${limited} again at`);
  expect(summaries.join('\n')).toContain('rate limited');
});

test('an ambiguous outcome is never sent twice: without a way to ask it is MAYBE_SENT and the next message passes [CH-5]', async () => {
  const id = await conversation(channel);
  const unsure = await world.reply(id, `MaybeSent always ${id}`);
  const crashed = await world.reply(id, `Unexpected always ${id}`);
  const next = await world.reply(id, `after the unsure ${id}`);
  expect(await state(unsure, 'MAYBE_SENT')).toMatchObject({ failure_code: 'MaybeSent' });
  await state(crashed, 'MAYBE_SENT');
  await state(next, 'SENT');
  expect(tries.get(`MaybeSent always ${id}`)).toBe(1);
  expect(tries.get(`Unexpected always ${id}`)).toBe(1);
});

test('a message found in SENDING after its limit is asked for, and never sent again without the answer that it is not there [CH-5]', async () => {
  const [there, gone, alone] = [await conversation(askable), await conversation(askable), await conversation(channel)];
  known.add(`it went out ${there}`);
  const messages = [
    await world.reply(there, `it went out ${there}`, { wake: false }),
    await world.reply(gone, `it did not ${gone}`, { wake: false }),
    await world.reply(alone, `nobody knows ${alone}`, { wake: false }),
  ];
  // As a worker leaves it that died between the claim and the answer.
  await sql`update outbound set state = 'SENDING', attempt = 1, sending_since = now() - interval '40 s' where message_id = any(${messages}::uuid[])`.execute(
    world.db,
  );
  for (const [index, id] of [there, gone, alone].entries()) {
    await world.waker.signalWithStart({ workflowType: 'outbox', workflowId: outboxWorkflowId(id), args: [id], summary: String(index), searchAttributes: {} });
  }
  await state(messages[0] ?? '', 'SENT');
  await state(messages[2] ?? '', 'MAYBE_SENT');
  await state(messages[1] ?? '', 'SENT');
  expect(tries.get(`it went out ${there}`)).toBeUndefined();
  expect(tries.get(`it did not ${gone}`)).toBe(1);
  expect(tries.get(`nobody knows ${alone}`)).toBeUndefined();
});

test('a channel that is gone is told in its health, and the reply stays queued with the reason [CH-4] [CH-5]', async () => {
  const revoked = await world.connect('INBOX');
  const id = await conversation(revoked);
  const message = await world.reply(id, `Disconnected always ${id}`);
  await until(
    'the health says it',
    async () => (await world.db.selectFrom('channel').select('health').where('id', '=', revoked.id).executeTakeFirstOrThrow()).health === 'DISCONNECTED',
  );
  expect(await outbound(message)).toMatchObject({ state: 'QUEUED', failure_code: 'Disconnected' });
});

test('a wake that comes while the outbox completes is not lost', async () => {
  const id = await conversation(channel);
  for (let index = 0; index < 25; index += 1) {
    // The next is written as soon as the last is seen: about when the workflow ends. Nobody else would wake it.
    const message = await world.reply(id, `again ${index} ${id}`);
    await until(`${index} is sent`, async () => (await outbound(message)).state === 'SENT');
  }
});

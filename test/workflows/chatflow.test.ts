import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { saveChatflow } from '#commands/chatflows.ts';
import { transact } from '#commands/unit.ts';
import { chatflowWorkflowId } from '#workflows/contract.ts';
import { BOT } from '../support/chatflow.ts';
import { flowingPlugin, sent } from './scripted-plugin.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

const definition = {
  ...BOT,
  steps: BOT.steps.map((step) => (step.type === 'hand-off' ? { ...step, rule: { kind: 'SPECIFIC', userIds: [] as string[] } } : step)),
};

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld();
  channel = await flowing('INBOX');
});
afterAll(() => world?.close());

/** A channel that answers by the bot, whose hand-off leads to the admin. */
async function flowing(place: 'INBOX' | 'HELP_DESK'): Promise<Channel> {
  const made = await world.connect(place, 'flowing');
  const { id } = await world.db.selectFrom('chatflow').select('id').where('channel_id', '=', made.id).executeTakeFirstOrThrow();
  const steps = definition.steps.map((step) => (step.type === 'hand-off' ? { ...step, rule: { kind: 'SPECIFIC', userIds: [world.userId] } } : step));
  await transact(world.db, { actor: 'USER', userId: world.userId }, (unit) =>
    saveChatflow(unit, { plugins: [flowingPlugin] }, { channelId: made.id, chatflowId: id, kind: 'BOT', definition: { ...definition, steps } }),
  );
  return made;
}

/** A visitor whose first message is taken in. */
async function visitor(on: Channel, first: string) {
  const from = `visitor-${randomBytes(6).toString('hex')}`;
  let count = 0;
  const says = (text: string, options?: { readonly wake?: boolean }) =>
    world.deliver(on, { do: 'message', id: `${from}-${(count += 1)}`, from, text }, options);
  await says(first);
  const row = await until('the conversation', () =>
    world.db.selectFrom('thread_key').select('conversation_id').where('key', '=', from).where('channel_id', '=', on.id).executeTakeFirst(),
  );
  const id = row.conversation_id;
  const run = () => world.db.selectFrom('chatflow_run').selectAll().where('conversation_id', '=', id).executeTakeFirstOrThrow();
  const waitsAt = (step: string) =>
    until(`it waits at ${step}`, async () => {
      const now = await run();
      return now.state === 'WAITING' && now.step === step;
    });
  return { id, from, says, run, waitsAt, handle: world.client.workflow.getHandle(chatflowWorkflowId(id)) };
}

test('a bot talks, keeps what it is told out of Temporal, and hands off to whom its rule names, step by step in words [CHAT-5] [OPS-4] [OPS-5]', async () => {
  const one = await visitor(channel, 'MARKED-FIRST');
  await one.waitsAt('name');
  await until('its workflow waits', async () => (await one.handle.query<string>('status')).startsWith('waits for the answer to step name until '));
  expect(await one.handle.query('explain')).toMatchObject({ conversation: one.id, state: 'WAITING', step: 'name', due: null });
  expect((await one.handle.describe()).typedSearchAttributes.getAll().map(({ value }) => value)).toEqual(expect.arrayContaining([channel.key, 'flowing']));
  await one.says('MARKED-NAME');
  await one.waitsAt('email');
  await one.says('marked-wrong');
  await until('it asks again', async () => (await one.run()).tries === 1);
  await one.says('marked-address@out.example');
  const owner = await until('the owner', async () => {
    const row = await world.db.selectFrom('conversation').select('owner_id').where('id', '=', one.id).executeTakeFirst();
    return row?.owner_id;
  });
  expect(owner).toBe(world.userId);
  await until('its workflow completes', async () => (await one.handle.describe()).status.name === 'COMPLETED');
  await until('all is sent', async () => sent.filter((message) => message.conversation === one.from).length === 5);
  const history = await one.handle.fetchHistory();
  const summaries = (history.events ?? []).flatMap((event) => {
    const data = event.userMetadata?.summary?.data;
    return data == null || data.length === 0 ? [] : [Buffer.from(data).toString()];
  });
  const words = summaries.join('\n');
  for (const step of [
    'says step hello',
    'asks step name',
    'waits for the answer to step name until',
    'looks at the answer to step email',
    'hands off at step people',
  ]) {
    expect(words).toContain(step);
  }
  expect(JSON.stringify(history)).not.toMatch(/marked/i);
  const decoded = (history.events ?? [])
    .map((event) => JSON.stringify(event, (_key, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value)))
    .join('\n');
  expect(decoded).toContain('askStep');
  expect(decoded).not.toMatch(/marked|Who are you|One moment/i);
});

test('a terminated workflow loses nothing: the guardian starts it anew and it goes on where it stood [OPS-10]', async () => {
  const one = await visitor(channel, 'Hi');
  await one.waitsAt('name');
  await one.handle.terminate('somebody');
  await one.says('Ada');
  // Its wake starts it again.
  await one.waitsAt('email');
  await world.client.workflow.getHandle(chatflowWorkflowId(one.id)).terminate('somebody');
  await sql`update chatflow_run set wait_until = now() - interval '60 s' where conversation_id = ${one.id}`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map(({ workflowId }) => workflowId)).toContain(chatflowWorkflowId(one.id));
  await until('it is given up', async () => (await one.run()).state === 'ABANDONED');
  const said = () => sent.flatMap((message) => (message.conversation === one.from ? [message.text] : []));
  await until('all is sent', async () => said().length >= 3);
  expect(said()).toEqual(['Hello', 'Who are you?', 'Your address?']);
  await until('people have it, by the channel’s rule', async () => {
    const row = await world.db.selectFrom('conversation').select('owner_id').where('id', '=', one.id).executeTakeFirst();
    return row?.owner_id === world.userId;
  });
});

test('an unanswered question is given up at its time, by a timer that says so [CHAT-5]', async () => {
  const one = await visitor(channel, 'Hi');
  await one.waitsAt('name');
  await sql`update chatflow_run set wait_until = now() + interval '2 s' where conversation_id = ${one.id}`.execute(world.db);
  await world.waker.signalWithStart({
    workflowType: 'chatflow',
    workflowId: chatflowWorkflowId(one.id),
    args: [one.id],
    summary: 'a test',
    searchAttributes: {},
  });
  await until('it is given up', async () => (await one.run()).state === 'ABANDONED');
});

test('in the help desk the ticket’s own workflow decides by the hand-off’s rule, and an agent’s reply ends the bot [CHAT-5] [ROUTE-4]', async () => {
  const desk = await flowing('HELP_DESK');
  const one = await visitor(desk, 'Talk to a person');
  const { rule_id: ruleId } = await until('the decision', () =>
    world.db.selectFrom('routing_decision').select('rule_id').where('conversation_id', '=', one.id).executeTakeFirst(),
  );
  const { definition: kept } = await one.run();
  expect(Reflect.get(kept, 'ruleIds')).toEqual({ people: ruleId });
  const two = await visitor(desk, 'Hi');
  await two.waitsAt('name');
  await world.reply(two.id, 'I am here');
  await until('its workflow completes', async () => (await two.handle.describe()).status.name === 'COMPLETED');
  expect((await two.run()).state).toBe('TAKEN_OVER');
});

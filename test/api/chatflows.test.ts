import { afterAll, beforeAll, expect, test } from 'vitest';
import { BOT, conversationOf, flowCapabilities, flowPlugin, makeFlowChannel, said, settleRun } from '../support/chatflow.ts';
import { plainPlugin, take } from '../support/fixtures.ts';
import { globalId, openWorld, type Person, type World } from './support.ts';

let world: World;
let admin: Person;
let agent: Person;
beforeAll(async () => {
  world = await openWorld({ plugins: [plainPlugin, flowPlugin] });
  admin = await world.user({ role: 'ADMIN' });
  agent = await world.user({ role: 'AGENT' });
});
afterAll(() => world?.close());

const botFor = (userIds: readonly string[]) => ({
  ...BOT,
  steps: BOT.steps.map((step) => (step.type === 'hand-off' ? { ...step, rule: { kind: 'SPECIFIC', userIds } } : step)),
});
const SAVE = `mutation ($input: SaveChatflowInput!) { saveChatflow(input: $input) { __typename
  ... on Chatflow { id name kind entryPoint enabled definition version channel { primaryChatflow { id } chatflows { id } } }
  ... on InvalidInput { problems { path } } ... on NotAssignable { message } } }`;

test('what is saved comes back as it was given, with the ids of the API, and only to admins [CHAT-5] [API-6]', async () => {
  const channel = await makeFlowChannel(world.db, {});
  const chatflowId = globalId('Chatflow', channel.flowId);
  const definition = botFor([agent.gid]);
  const input = { channelId: globalId('Channel', channel.id), chatflowId, kind: 'BOT', definition };
  const saved = await admin.ask(SAVE, { input });
  expect(saved['saveChatflow']).toMatchObject({ __typename: 'Chatflow', id: chatflowId, kind: 'BOT', entryPoint: null, enabled: true, version: 2, definition });
  expect(saved['saveChatflow']).toMatchObject({ channel: { primaryChatflow: { id: chatflowId }, chatflows: [{ id: chatflowId }] } });
  const seen = await agent.ask(`query ($id: ID!) { node(id: $id) { ... on Chatflow { name definition } } }`, { id: chatflowId });
  expect(seen['node']).toEqual({ name: 'A chatflow', definition: null });
  const unknown = await admin.ask(SAVE, { input: { ...input, definition: botFor(['nobody', globalId('Team', agent.id)]) } });
  expect(unknown['saveChatflow']).toMatchObject({ __typename: 'NotAssignable' });
});

test('an editor is told what is wrong as one types, and nothing is stored [CHAT-5]', async () => {
  const channel = await makeFlowChannel(world.db, {});
  const check = async (definition: object) => {
    const answer = await admin.ask(
      `query ($channelId: ID!, $definition: JSONObject!) { checkChatflow(channelId: $channelId, kind: BOT, definition: $definition) { __typename ... on ChatflowCheck { problems { path message } } } }`,
      { channelId: globalId('Channel', channel.id), definition },
    );
    return answer['checkChatflow'];
  };
  expect(await check(botFor([]))).toEqual({ __typename: 'ChatflowCheck', problems: [] });
  expect(await check({ start: 'x', steps: [{ id: 'a', type: 'end' }] })).toEqual({
    __typename: 'ChatflowCheck',
    problems: [{ path: 'start', message: 'there is no step x' }],
  });
  const row = await world.db.selectFrom('chatflow').select('version').where('id', '=', channel.flowId).executeTakeFirstOrThrow();
  expect(row.version).toBe(1);
});

test('a conversation shows where it stands, without what was answered [CHAT-5]', async () => {
  const channel = await makeFlowChannel(world.db);
  await take(world.db, channel, [said('shown', 'Hi')], flowCapabilities);
  const id = await conversationOf(world.db, channel, 'shown');
  await settleRun(world.db, id);
  const query = `query ($id: ID!) { node(id: $id) { ... on Conversation { chatflowRun { state step waitUntil startedAt chatflow { id } } timeline(first: 20) { edges { node { kind why } } } } } }`;
  const { node } = await agent.ask(query, { id: globalId('Conversation', id) });
  expect(node).toMatchObject({ chatflowRun: { state: 'WAITING', step: 'name', chatflow: { id: globalId('Chatflow', channel.flowId) } } });
  expect(JSON.stringify(node)).toContain('CHATFLOW_STARTED');
});

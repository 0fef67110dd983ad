import type { IdentityAddedEvent } from '@trunkline/channel-sdk';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { conversationOf, flowCapabilities, flowPlugin, makeFlowChannel, said } from '../support/chatflow.ts';
import { plainPlugin, take } from '../support/fixtures.ts';
import { globalId, openWorld, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ plugins: [plainPlugin, flowPlugin] });
});
afterAll(() => world?.close());

test('an agent sees what a contact typed to be answered at, the last first, and not as what they are known by [CHAT-3]', async () => {
  const agent = await world.user({ role: 'AGENT' });
  const channel = await makeFlowChannel(world.db);
  const hello = said('typist', 'Hi');
  await take(world.db, channel, [hello], flowCapabilities);
  const contact = hello.contact;
  if (contact === null) throw new Error('nobody wrote');
  const values = Array.from({ length: 12 }, (_, index) => `typed-${index}@out.example`);
  for (const value of values) {
    const event: IdentityAddedEvent = { type: 'identity-added', dedupeKey: value, contact, added: { kind: 'email-address', value } };
    await take(world.db, channel, [event], flowCapabilities);
  }
  const id = await conversationOf(world.db, channel, 'typist');
  const query = 'query ($id: ID!) { node(id: $id) { ... on Conversation { givenAddresses { kind value givenAt } contact { identities { kind } } } } }';
  const { node } = await agent.ask(query, { id: globalId('Conversation', id) });
  expect(node).toMatchObject({
    givenAddresses: values
      .toReversed()
      .slice(0, 10)
      .map((value) => ({ kind: 'email-address', value })),
    contact: { identities: [{ kind: 'visitor' }] },
  });
});

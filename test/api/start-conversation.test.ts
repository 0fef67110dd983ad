import { afterAll, beforeAll, expect, test } from 'vitest';
import { inbound, makeChannel, plainPlugin, take } from '../support/fixtures.ts';
import { globalId, openWorld, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ plugins: [plainPlugin] });
});
afterAll(() => world?.close());

test('a first message to an address reaches the contact it is known by, however the address is typed [MODEL-3, CH-11]', async () => {
  const { db } = world;
  const agent = await world.user();
  const channel = await makeChannel(db, { place: 'HELP_DESK' });
  await take(db, channel, [inbound('ben@xn--bcher-kva.example')]);
  const start = async (value: string) => {
    const answer = await agent.ask(`mutation ($input: StartConversationInput!) { startConversation(input: $input) { __typename } }`, {
      input: { channelId: globalId('Channel', channel.id), to: { kind: 'email-address', value }, text: 'hello' },
    });
    return answer['startConversation'];
  };
  for (const value of ['ben@bücher.example', ' Ben@BÜCHER.example ', 'ben@xn--bcher-kva.example']) {
    expect(await start(value)).toMatchObject({ __typename: 'Conversation' });
  }
  expect(await start('no address')).toMatchObject({ __typename: 'InvalidInput' });
  const identities = await db.selectFrom('contact_identity').select(['contact_id', 'value']).where('value', 'like', 'ben@%').execute();
  expect(identities.map(({ value }) => value)).toEqual(['ben@xn--bcher-kva.example']);
  const conversations = await db.selectFrom('conversation').select('contact_id').where('origin_channel_id', '=', channel.id).execute();
  expect(conversations.map((row) => row.contact_id)).toEqual(Array.from({ length: 4 }, () => identities[0]?.contact_id));
  const sent = await db.selectFrom('outbound').select('recipient').where('channel_id', '=', channel.id).execute();
  expect(sent.map(({ recipient }) => recipient.value)).toEqual(Array.from({ length: 3 }, () => 'ben@xn--bcher-kva.example'));
});

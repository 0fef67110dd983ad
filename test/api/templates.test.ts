import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ChannelFailure, definePlugin, type Failure, type OutboundMessage, type Template } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { globalId } from '#api/builder.ts';
import { claimNext } from '#commands/outbox.ts';
import { inbound, makeTeam, makeUser, plainCapabilities, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { openWorld, text, type Json, type Person, type World } from './support.ts';

const HELLO: Template = { name: 'hello', language: 'en', text: 'Hello {{1}}, about {{2}}: {{9}}', parameters: 2, approved: true };
const DRAFT: Template = { name: 'draft', language: 'en', text: 'Draft', parameters: 0, approved: false };
let asked = 0;
let failure: Failure | undefined;
/** A channel with approved texts, and whose settings name whom it hands over to. */
const windows = [{ sender: 'person' as const, hours: 24, afterwards: 'template' as const }];
const settings = z.object({
  page: z.string(),
  users: z.array(z.string()).default([]),
  teams: z.array(z.string()).default([]),
  token: z.string().default('secret'),
});
const approving = definePlugin({
  key: 'approving',
  name: 'Approving',
  contract: 1,
  settings,
  secrets: ['token'],
  capabilities: { ...plainCapabilities, templates: true, windows, outboundContent: { ...plainCapabilities.outboundContent, maxTextLength: 100 } },
  address: ({ page }) => page,
  parse: async () => [],
  send: async ({ id }) => ({ providerMessageId: id, keys: [], state: 'sent' as const }),
  listTemplates: async () => {
    asked += 1;
    if (failure !== undefined) throw new ChannelFailure(failure);
    return [HELLO, DRAFT];
  },
  routingTargets: ({ users, teams }) => ({ userIds: users, teamIds: teams }),
  migrationProblems: ({ page, token }) => {
    if (page === 'breaks') throw new Error('PLANTED');
    return page.startsWith('stays') && token === 'secret' ? ['its provider has no such thing there'] : [];
  },
});
const immovable = definePlugin({
  ...plainPlugin,
  key: 'immovable',
  capabilities: { ...plainCapabilities, movable: { allowed: false, reason: 'a form has no such place' } },
});
const consenting = definePlugin({ ...plainPlugin, key: 'consenting', capabilities: { ...plainCapabilities, consent: true } });

let world: World;
let admin: Person;
let helpDesk: string;
beforeAll(async () => {
  world = await openWorld({ plugins: [approving, immovable, consenting, plainPlugin] });
  admin = await world.user({ role: 'ADMIN' });
  const place = await world.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  helpDesk = globalId('HelpDesk', place.id);
});
afterAll(() => world?.close());
beforeEach(() => {
  asked = 0;
  failure = undefined;
});

let number = 0;
const CONNECT = `mutation ($input: ConnectChannelInput!) { connectChannel(input: $input) { __typename ... on Channel { id key migrationProblems }
  ... on InvalidInput { problems { path message } } ... on NotAssignable { targets { userId teamId reason } } } }`;
async function connect(more: object = {}, plugin = 'approving'): Promise<Json> {
  const page = { page: `page-${(number += 1)}`, address: `page-${number}`, ...more };
  return (await admin.ask(CONNECT, { input: { plugin, name: 'A channel', placeId: helpDesk, settings: page } }))['connectChannel'] as Json;
}
async function made(more: object = {}): Promise<MadeChannel & { readonly global: string }> {
  const { id, key } = await connect(more);
  const row = await world.db.selectFrom('channel').select(['id', 'place_id', 'routing_rule_id']).where('key', '=', text(key)).executeTakeFirstOrThrow();
  return { id: row.id, key: text(key), placeId: row.place_id, ruleId: row.routing_rule_id, global: text(id) };
}
const TEMPLATES = `query ($key: String!) { channelByKey(key: $key) { templates { __typename
  ... on ChannelTemplates { items { name language text parameters approved } } ... on ProviderRefused { code reason } } } }`;
const templatesOf = async ({ key }: MadeChannel, person = admin) => ((await person.ask(TEMPLATES, { key }))['channelByKey'] as Json)['templates'];
const REPLY = `mutation ($input: ReplyInput!) { reply(input: $input) { __typename ... on Message { id text } ... on InvalidInput { problems { path message } }
  ... on ProviderRefused { code } ... on OutsideWindow { templates } } }`;
async function conversationOf(channel: MadeChannel): Promise<string> {
  await take(world.db, channel, [inbound(`visitor-${(number += 1)}@out.example`)], approving.capabilities);
  const row = await world.db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).orderBy('id', 'desc').executeTakeFirstOrThrow();
  return row.id;
}
const reply = async (conversationId: string, more: object) =>
  (await admin.ask(REPLY, { input: { conversationId: globalId('Conversation', conversationId), ...more } }))['reply'] as Json;
const hello = { name: 'hello', language: 'en', parameters: ['Ada', 'the order'] };
async function claimed(conversationId: string): Promise<OutboundMessage | string> {
  const { value } = await claimNext(
    world.db,
    conversationId,
    () => undefined,
    () => ({ windows, rate: {} }),
  );
  return value.kind === 'send' ? value.claimed.message : value.kind;
}

test("a channel's templates are what its provider has now, remembered for a moment; of many at once one asks [WA-2, PLUG-4]", async () => {
  const channel = await made();
  const both = { __typename: 'ChannelTemplates', items: [HELLO, DRAFT] };
  expect(await Promise.all([1, 2, 3].map(() => templatesOf(channel)))).toEqual([both, both, both]);
  expect(asked).toBe(1);
  expect(await templatesOf(channel, await world.user())).toEqual(both);
  const away = await made();
  failure = { code: 'Unavailable', reason: 'http 503' };
  expect(await templatesOf(away)).toEqual({ __typename: 'ProviderRefused', code: 'UNAVAILABLE', reason: 'http 503' });
  failure = undefined;
  // That it could not be had is not remembered.
  expect(await templatesOf(away)).toEqual(both);
});

test('an answer by template is said in its words and handed to the plugin as the template [WA-2]', async () => {
  const conversationId = await conversationOf(await made());
  const said = await reply(conversationId, { template: hello });
  expect(said).toMatchObject({ __typename: 'Message', text: 'Hello Ada, about the order: {{9}}' });
  expect(await claimed(conversationId)).toMatchObject({ text: 'Hello Ada, about the order: {{9}}', template: hello });
});

test('a template that is none, is not approved, or is filled in wrongly is refused by name, and so are words beside it [WA-2]', async () => {
  const conversationId = await conversationOf(await made());
  const problems = async (more: object) => ((await reply(conversationId, more))['problems'] as { path: string }[] | undefined)?.map(({ path }) => path);
  expect(await problems({ template: { ...hello, name: 'unknown' } })).toEqual(['template.name']);
  expect(await problems({ template: { ...hello, language: 'de' } })).toEqual(['template.name']);
  expect(await problems({ template: { name: 'draft', language: 'en' } })).toEqual(['template.name']);
  expect(await problems({ template: { ...hello, parameters: ['Ada'] } })).toEqual(['template.parameters']);
  expect(await problems({ template: { ...hello, parameters: ['Ada', ' '] } })).toEqual(['template.parameters']);
  expect(await problems({ template: hello, text: 'and this', html: '<b>x</b>' })).toEqual(['text', 'html']);
  expect(await problems({})).toEqual(['text']);
  expect(await world.db.selectFrom('outbound').select('message_id').where('conversation_id', '=', conversationId).execute()).toEqual([]);
});

test('outside the window free words are refused and a template goes out [WA-2]', async () => {
  const conversationId = await conversationOf(await made());
  await world.db
    .updateTable('message')
    .set({ received_at: new Date(Date.now() - 25 * 3_600_000), occurred_at: new Date(Date.now() - 25 * 3_600_000) })
    .where('conversation_id', '=', conversationId)
    .execute();
  expect(await reply(conversationId, { text: 'free words' })).toMatchObject({ __typename: 'OutsideWindow', templates: true });
  expect(await reply(conversationId, { template: hello })).toMatchObject({ __typename: 'Message' });
  expect(await claimed(conversationId)).toMatchObject({ template: hello });
});

test('with its provider away a template can not be sent; the same key again has its answer all the same [API-4]', async () => {
  const conversationId = await conversationOf(await made());
  failure = { code: 'Rejected', reason: 'code 190' };
  expect(await reply(conversationId, { template: hello })).toEqual({ __typename: 'ProviderRefused', code: 'REJECTED' });
  failure = undefined;
  const first = await reply(conversationId, { template: hello, idempotencyKey: 'by-template' });
  const channel = await world.db.selectFrom('conversation').select('channel_id').where('id', '=', conversationId).executeTakeFirstOrThrow();
  failure = { code: 'Unavailable', reason: 'away' };
  await world.db.updateTable('channel').set({ disconnected_at: new Date() }).where('id', '=', channel.channel_id).execute();
  expect((await reply(conversationId, { template: hello, idempotencyKey: 'by-template' }))['id']).toBe(first['id']);
});

test('a first message can be a template [WA-2, CH-11]', async () => {
  const channel = await made();
  const START = `mutation ($input: StartConversationInput!) { startConversation(input: $input) { __typename ... on Conversation { id ticket { name } } } }`;
  const input = { channelId: channel.global, to: { kind: 'email-address', value: 'new@out.example' }, template: hello };
  const agent = await world.user({ role: 'ADMIN' });
  const started = (await agent.ask(START, { input }))['startConversation'] as Json;
  expect(started).toMatchObject({ __typename: 'Conversation', ticket: { name: 'Hello Ada, about the order: {{9}}' } });
  const row = await world.db.selectFrom('outbound').select('template').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  expect(row.template).toEqual(hello);
});

test('whom a channel’s own settings name must be such as a rule may name, at connecting and at editing [ROUTE-4, PLUG-4]', async () => {
  const [able, seatless] = [await makeUser(world.db), await makeUser(world.db, { seat: 'NONE' })];
  const [team, empty] = [await makeTeam(world.db, { primary: [able] }), await makeTeam(world.db, {})];
  const refused = await connect({ users: [able, seatless, 'nobody'], teams: [team, empty] });
  expect(refused).toMatchObject({ __typename: 'NotAssignable' });
  expect(
    z
      .array(z.object({ reason: z.string() }))
      .parse(refused['targets'])
      .map(({ reason }) => reason)
      .toSorted(),
  ).toEqual(['NO_PRIMARY_MEMBER', 'NO_SEAT', 'UNKNOWN']);
  const channel = await made({ users: [able], teams: [team] });
  const UPDATE = `mutation ($input: UpdateChannelInput!) { updateChannel(input: $input) { __typename } }`;
  const edit = async (users: readonly string[]) =>
    ((await admin.ask(UPDATE, { input: { channelId: channel.global, settings: { users } } }))['updateChannel'] as Json)['__typename'];
  expect(await edit([seatless])).toBe('NotAssignable');
  expect(await edit([])).toBe('Channel');
});

test('why a channel could not be moved: what its plugin declares and what it says of the settings, for admins [PLUG-3, PLUG-4]', async () => {
  expect((await connect())['migrationProblems']).toEqual([]);
  expect((await connect({ page: 'stays-1' }))['migrationProblems']).toEqual(['its provider has no such thing there']);
  expect((await connect({ page: 'breaks' }))['migrationProblems']).toEqual(['its plugin could not say']);
  const fixed = await connect({}, 'immovable');
  expect(fixed['migrationProblems']).toEqual(['a form has no such place']);
  const agent = await world.user();
  const asAgent = await agent.ask('query ($key: String!) { channelByKey(key: $key) { migrationProblems } }', { key: text(fixed['key']) });
  expect(asAgent).toEqual({ channelByKey: { migrationProblems: null } });
});

test('a plugin that needs what this engine does not offer yet is told so at connecting [PLUG-3]', async () => {
  expect(await connect({}, 'consenting')).toMatchObject({
    __typename: 'InvalidInput',
    problems: [{ path: 'plugin', message: 'needs consent before anything is taken in, which this engine does not offer yet' }],
  });
});

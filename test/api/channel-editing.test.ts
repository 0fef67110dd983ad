import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ChannelFailure, definePlugin, type Failure } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { globalId } from '#api/builder.ts';
import { plainCapabilities, plainPlugin } from '../support/fixtures.ts';
import { openWorld, text, type Json, type Person, type World } from './support.ts';

const SECRET = 'marked-secret-4471';
/** What the provider was told, and what it says to it. */
const told: { readonly what: 'update' | 'disconnect'; readonly settings: unknown; readonly name: string }[] = [];
let refusing: Failure | undefined;
let meanwhile: (() => Promise<void>) | undefined;
const shown = definePlugin({
  key: 'shown',
  name: 'Shown',
  contract: 1,
  settings: z.strictObject({
    page: z.string().min(1).meta({ title: 'Page' }),
    greeting: z.string().max(20).default('Hello'),
    appSecret: z.string().min(8),
  }),
  secrets: ['appSecret'],
  capabilities: plainCapabilities,
  address: ({ page }) => page,
  parse: async () => [],
  send: async () => ({ providerMessageId: 'x', keys: [], state: 'sent' as const }),
  update: async ({ channel }) => {
    told.push({ what: 'update', settings: channel.settings, name: channel.name });
    await meanwhile?.();
    if (refusing !== undefined) throw new ChannelFailure(refusing);
  },
  disconnect: async ({ channel }) => {
    told.push({ what: 'disconnect', settings: channel.settings, name: channel.name });
    if (refusing !== undefined) throw new ChannelFailure(refusing);
  },
  preview: ({ greeting, page }, author) => [
    { label: 'Greeting', text: `${greeting} on ${page}` },
    { label: 'Signature', text: author.fullName, html: `<b>${author.firstName}</b>` },
  ],
});
/** Answers go by another channel, which its settings name. */
const asking = definePlugin({
  key: 'asking',
  name: 'Asking',
  contract: 1,
  settings: z.strictObject({ id: z.string(), answers: z.object({ by: z.string() }).optional() }),
  secrets: [],
  capabilities: { ...plainCapabilities, outbound: 'none', repliesThrough: 'email-address' },
  address: ({ id }) => id,
  parse: async () => [],
  replyChannel: ({ answers }) => answers?.by,
});

let world: World;
let admin: Person;
let agent: Person;
let inbox: string;
beforeAll(async () => {
  world = await openWorld({ plugins: [shown, asking, plainPlugin] });
  admin = await world.user({ role: 'ADMIN', name: 'Ada Lovelace' });
  agent = await world.user();
  const place = await world.db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
  inbox = globalId('Inbox', place.id);
});
afterAll(() => world?.close());
beforeEach(() => {
  told.length = 0;
  refusing = undefined;
  meanwhile = undefined;
});

const RESULT = `__typename ... on Channel { id key name version settings disconnectedAt health { state checkedAt }
  automation { onContactReplyStatus { name } onAgentReplyStatus { name } onCloseMessage } }
  ... on InvalidInput { problems { path message } } ... on ProviderRefused { code reason }`;
const CONNECT = `mutation ($input: ConnectChannelInput!) { connectChannel(input: $input) { ${RESULT} } }`;
const UPDATE = `mutation ($input: UpdateChannelInput!) { updateChannel(input: $input) { ${RESULT} ... on ChangedMeanwhile { what } } }`;
const DISCONNECT = `mutation ($input: DisconnectChannelInput!) { disconnectChannel(input: $input) { __typename ... on Channel { id disconnectedAt } } }`;
let number = 0;
async function connect(plugin: string, settings: object, more: object = {}): Promise<Json> {
  const { connectChannel } = await admin.ask(CONNECT, { input: { plugin, name: 'A channel', placeId: inbox, settings, ...more } });
  return connectChannel as Json;
}
const connectShown = () => connect('shown', { page: `page-${(number += 1)}`, appSecret: SECRET });
const update = async (channel: Json, more: object) =>
  (await admin.ask(UPDATE, { input: { channelId: text(channel['id']), ...more } }))['updateChannel'] as Json;

test('the automation is chosen at connecting and editing, and null takes it away [CH-8]', async () => {
  const statuses = await world.db.selectFrom('ticket_status').select(['id', 'name']).execute();
  const status = (name: string) => globalId('TicketStatus', statuses.find((one) => one.name === name)?.id ?? '');
  const channel = await connect(
    'shown',
    { page: 'automatic', appSecret: SECRET },
    { automation: { onContactReplyStatusId: status('Waiting on us'), onCloseMessage: 'Bye' } },
  );
  expect(channel['automation']).toEqual({ onContactReplyStatus: { name: 'Waiting on us' }, onAgentReplyStatus: null, onCloseMessage: 'Bye' });
  const edited = await update(channel, { automation: { onAgentReplyStatusId: status('Waiting on contact'), onCloseMessage: null } });
  expect(edited['automation']).toEqual({
    onContactReplyStatus: { name: 'Waiting on us' },
    onAgentReplyStatus: { name: 'Waiting on contact' },
    onCloseMessage: null,
  });
  expect((await update(channel, { automation: { onContactReplyStatusId: null } }))['automation']).toMatchObject({ onContactReplyStatus: null });
  expect(await update(channel, { automation: { onContactReplyStatusId: status('Closed') } })).toMatchObject({
    problems: [{ path: 'automation.onContactReplyStatusId' }],
  });
});

test('an edit is told to the provider first, with all settings; its no undoes the edit [CH-8] [CH-3]', async () => {
  const channel = await connectShown();
  const edited = await update(channel, { settings: { greeting: 'Good day' }, name: 'Renamed' });
  expect(told).toEqual([{ what: 'update', name: 'Renamed', settings: { page: `page-${number}`, greeting: 'Good day', appSecret: SECRET } }]);
  expect(edited).toMatchObject({ name: 'Renamed', settings: { greeting: 'Good day' } });
  refusing = { code: 'Rejected', reason: 'code 100' };
  expect(await update(channel, { settings: { greeting: 'Moin' } })).toMatchObject({
    __typename: 'ProviderRefused',
    code: 'REJECTED',
    reason: 'code 100',
  });
  refusing = undefined;
  told.length = 0;
  // What the provider shows nothing of it is not told.
  expect(await update(channel, { createTickets: true })).toMatchObject({ settings: { greeting: 'Good day' } });
  // Nor of what is wrong anyway.
  expect(await update(channel, { settings: { greeting: 'x'.repeat(21) }, expectedVersion: 1 })).toMatchObject({ __typename: 'ChangedMeanwhile' });
  expect(await update(channel, { settings: { greeting: 'x'.repeat(21) } })).toMatchObject({ problems: [{ path: 'settings.greeting' }] });
  expect(told).toEqual([]);
});

test('of two edits at once the one the provider was told of another version is refused [CH-8]', async () => {
  const channel = await connectShown();
  meanwhile = async () => {
    meanwhile = undefined;
    await world.db
      .updateTable('channel')
      .set((eb) => ({ name: 'Faster', version: eb('version', '+', 1) }))
      .where('key', '=', text(channel['key']))
      .execute();
  };
  expect(await update(channel, { settings: { greeting: 'Slower' } })).toMatchObject({ __typename: 'ChangedMeanwhile', what: 'channel' });
  const row = await world.db.selectFrom('channel').select(['name', 'settings']).where('key', '=', text(channel['key'])).executeTakeFirstOrThrow();
  expect(row).toMatchObject({ name: 'Faster', settings: { greeting: 'Hello' } });
  // The provider is told how things stand.
  expect(told.map((one) => [one.name, one.settings])).toEqual([
    ['A channel', expect.objectContaining({ greeting: 'Slower' })],
    ['Faster', expect.objectContaining({ greeting: 'Hello', appSecret: SECRET })],
  ]);
  const at = await Promise.all(Array.from({ length: 8 }, (_, index) => update(channel, { settings: { greeting: `number ${index}` } })));
  const won = at.filter((one) => text(one['__typename']) === 'Channel');
  expect(won.length).toBeGreaterThan(0);
  expect(at.every((one) => ['Channel', 'ChangedMeanwhile'].includes(text(one['__typename'])))).toBe(true);
});

test('the provider is told of the end after it, once; that it can not be told changes nothing [CH-10]', async () => {
  const channel = await connectShown();
  refusing = { code: 'Unavailable', reason: 'away' };
  const input = { channelId: text(channel['id']), idempotencyKey: 'the-end' };
  for (let call = 0; call < 3; call += 1) {
    expect((await admin.ask(DISCONNECT, { input }))['disconnectChannel']).toMatchObject({ __typename: 'Channel', disconnectedAt: expect.any(String) });
  }
  await admin.ask(DISCONNECT, { input: { channelId: text(channel['id']) } });
  expect(told.map((one) => one.what)).toEqual(['disconnect']);
  expect(told[0]?.settings).toMatchObject({ appSecret: SECRET });
});

const PREVIEW = `query ($channelId: ID, $pluginKey: String, $settings: JSONObject, $authorId: ID) {
  channelPreview(channelId: $channelId, pluginKey: $pluginKey, settings: $settings, authorId: $authorId) { __typename
    ... on ChannelPreview { parts { label text html } } ... on InvalidInput { problems { path } } ... on NotFound { what } ... on Forbidden { needs } } }`;
const preview = async (who: Person, variables: object) => (await who.ask(PREVIEW, { ...variables }))['channelPreview'];

test('a preview shows what would be seen with settings as they are typed, stores nothing, and needs no secret [EMAIL-3] [FB-2]', async () => {
  const channel = await connectShown();
  const of = { channelId: text(channel['id']) };
  expect(await preview(admin, { ...of, settings: { greeting: 'Ahoy' } })).toEqual({
    __typename: 'ChannelPreview',
    parts: [
      { label: 'Greeting', text: `Ahoy on page-${number}`, html: null },
      { label: 'Signature', text: 'Ada Lovelace', html: '<b>Ada</b>' },
    ],
  });
  expect(await preview(admin, { pluginKey: 'shown', settings: { page: 'new', greeting: 'Hi' }, authorId: agent.gid })).toMatchObject({
    parts: [{ text: 'Hi on new' }, { text: 'Test User' }],
  });
  expect(JSON.stringify(await preview(admin, of))).not.toContain(SECRET);
  expect(await preview(admin, { ...of, settings: { greeting: 'x'.repeat(21) } })).toMatchObject({ problems: [{ path: 'settings.greeting' }] });
  expect(await preview(admin, { pluginKey: 'shown', settings: { appSecret: 'short', greeting: 7 } })).toMatchObject({
    problems: expect.arrayContaining([{ path: 'settings.page' }, { path: 'settings.greeting' }, { path: 'settings.appSecret' }]),
  });
  expect(await preview(admin, { pluginKey: 'plain', settings: { address: 'x' } })).toMatchObject({ parts: [] });
  expect(await preview(admin, { pluginKey: 'none' })).toMatchObject({ problems: [{ path: 'pluginKey' }] });
  expect(await preview(admin, {})).toMatchObject({ problems: [{ path: 'pluginKey' }] });
  expect(await preview(agent, of)).toEqual({ __typename: 'Forbidden', needs: 'the role admin' });
  expect((await admin.ask('query ($key: String!) { channelByKey(key: $key) { settings } }', { key: text(channel['key']) }))['channelByKey']).toMatchObject({
    settings: { greeting: 'Hello' },
  });
  expect(told).toEqual([]);
});

test('a plugin’s settings come as JSON Schema of what is typed, where its library offers it [CH-3]', async () => {
  const { plugins } = await agent.ask('{ plugins { key settingsSchema } }');
  const schemas = new Map((plugins as unknown as readonly Json[]).map((one) => [text(one['key']), one['settingsSchema']]));
  expect(schemas.get('shown')).toMatchObject({
    type: 'object',
    properties: { page: { type: 'string', title: 'Page' }, greeting: { type: 'string', maxLength: 20, default: 'Hello' }, appSecret: { type: 'string' } },
    required: ['page', 'appSecret'],
  });
});

test('the channel for answers must be there, connected, and able to write first to such an identity [FORM-3]', async () => {
  const problem = (path: string) => ({ __typename: 'InvalidInput', problems: [{ path, message: expect.any(String) }] });
  const mail = await connect('plain', { address: 'answers' });
  const by = (key: string) => ({ answers: { by: key } });
  expect(await connect('asking', { id: 'one', ...by('plain-nothere') })).toEqual(problem('settings.answers.by'));
  const form = await connect('asking', { id: 'one', ...by(text(mail['key'])) });
  expect(text(form['__typename'])).toBe('Channel');
  // Itself can write to nobody.
  expect(await update(form, { settings: by(text(form['key'])) })).toEqual(problem('settings.answers.by'));
  const gone = await connect('plain', { address: 'gone' });
  await admin.ask(DISCONNECT, { input: { channelId: text(gone['id']) } });
  expect(await update(form, { settings: by(text(gone['key'])) })).toEqual(problem('settings.answers.by'));
  expect(text((await update(form, { settings: { answers: null } }))['__typename'])).toBe('Channel');
});

import { CONTRACT_VERSION, definePlugin, type AttachmentLimits, type OutboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { withInlineImages } from '#api/inline-images.ts';
import { claimNext } from '#commands/outbox.ts';
import { safeHtml } from '#commands/safe-html.ts';
import { inbound, makeChannel, plainCapabilities, take, type MadeChannel } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

const TAKES: AttachmentLimits = { maxCount: 3, maxBytes: 1_000, maxTotalBytes: 1_500, types: ['text/plain', 'image/png'] };
const plugin = definePlugin({
  key: 'plain',
  name: 'Takes files',
  contract: CONTRACT_VERSION,
  settings: z.object({ address: z.string() }),
  secrets: [],
  capabilities: { ...plainCapabilities, outboundContent: { ...plainCapabilities.outboundContent, attachments: TAKES } },
  address: (settings) => settings.address,
  parse: async () => [],
  send: async (message) => ({ providerMessageId: message.id, keys: [], state: 'sent' as const }),
});

let world: World;
let agent: Person;
let channel: MadeChannel;
beforeAll(async () => {
  world = await openWorld({ plugins: [plugin] });
  agent = await world.user();
  channel = await makeChannel(world.db, { place: 'HELP_DESK' });
});
afterAll(() => world?.close());

async function upload(content: string | Buffer<ArrayBuffer>, name = 'file.txt', type = 'text/plain', who = agent): Promise<string> {
  const response = await fetch(`${new URL(world.endpoint).origin}/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${who.token}`, 'content-type': type, 'x-file-name': encodeURIComponent(name) },
    body: content,
  });
  return z.object({ id: z.string() }).parse(await response.json()).id;
}

async function conversation(): Promise<string> {
  const event = inbound('somebody@out.example');
  await take(world.db, channel, [event]);
  const row = await world.db
    .selectFrom('message')
    .select('conversation_id')
    .where('provider_message_id', '=', event.providerMessageId)
    .executeTakeFirstOrThrow();
  return row.conversation_id;
}

const ATTACHMENTS = '{ id fileName type bytes state reason inline url }';
const REPLY = `mutation ($input: ReplyInput!) { reply(input: $input) { __typename
  ... on Message { id attachments ${ATTACHMENTS} }
  ... on Refusal { message } ... on FilesRefused { files { uploadId code limit reason } } } }`;
const reply = async (conversationId: string, attachmentIds: readonly string[], who = agent, more: object = {}) =>
  (await who.ask(REPLY, { input: { conversationId: globalId('Conversation', conversationId), text: 'see', attachmentIds, ...more } }))['reply'] as Json;
const claimed = async (conversationId: string): Promise<OutboundMessage> => {
  const { value } = await claimNext(world.db, conversationId, () => undefined);
  if (value.kind !== 'send') throw new Error(`not to be sent: ${value.kind}`);
  return value.claimed.message;
};

test('files that were sent up go along with a reply, in their order, each with its own name, and reach the plugin byte for byte [CH-6]', async () => {
  const id = await conversation();
  const ids = [await upload('one', 'a.txt'), await upload('two', 'A.txt'), await upload('', 'empty.txt')];
  const message = await reply(id, ids);
  expect(message['attachments']).toMatchObject([
    { fileName: 'a.txt', type: 'text/plain', bytes: 3, state: 'STORED', reason: null, inline: false },
    { fileName: 'A (2).txt', bytes: 3 },
    { fileName: 'empty.txt', bytes: 0 },
  ]);
  const [first] = message['attachments'] as unknown as Json[];
  const url = new URL(text(first?.['url']), world.endpoint);
  expect(await (await fetch(url)).text()).toBe('one');
  const sent = await claimed(id);
  expect(sent.attachments.map(({ fileName, type, bytes }) => [fileName, type, bytes])).toEqual([
    ['a.txt', 'text/plain', 3],
    ['A (2).txt', 'text/plain', 3],
    ['empty.txt', 'text/plain', 0],
  ]);
  expect(await Promise.all(sent.attachments.map(async (file) => Buffer.from(await file.read()).toString()))).toEqual(['one', 'two', '']);
});

test('each file that can not go along is named with why, and nothing is written [CH-6]', async () => {
  const id = await conversation();
  const other = await world.user();
  const ids = {
    fine: await upload('fine'),
    large: await upload(Buffer.alloc(1_001)),
    page: await upload('x', 'x.html', 'text/html'),
    foreign: await upload('x', 'x.txt', 'text/plain', other),
    made: 'made-up',
  };
  const before = (await world.db.selectFrom('message').select('id').execute()).length;
  const refused = await reply(id, Object.values(ids));
  expect(refused).toEqual({
    __typename: 'FilesRefused',
    message: `can not be attached: ${ids.large} (TOO_LARGE), ${ids.page} (TYPE_NOT_TAKEN), ${ids.foreign} (NOT_FOUND), made-up (NOT_FOUND)`,
    files: [
      { uploadId: ids.large, code: 'TOO_LARGE', limit: 1_000, reason: 'larger than 1000 bytes' },
      { uploadId: ids.page, code: 'TYPE_NOT_TAKEN', limit: null, reason: 'this channel does not take this type' },
      { uploadId: ids.foreign, code: 'NOT_FOUND', limit: null, reason: 'there is no such upload of yours, or it is attached already' },
      { uploadId: 'made-up', code: 'NOT_FOUND', limit: null, reason: 'there is no such upload of yours, or it is attached already' },
    ],
  });
  expect((await world.db.selectFrom('message').select('id').execute()).length).toBe(before);
  expect((await reply(id, [ids.fine]))['__typename']).toBe('Message');
});

test('too many, and too large together, are told apart [CH-6]', async () => {
  const id = await conversation();
  const four = [await upload('1'), await upload('2'), await upload('3'), await upload('4')];
  expect((await reply(id, four))['files']).toEqual([{ uploadId: four[3], code: 'TOO_MANY', limit: 3, reason: 'more than 3 attachments' }]);
  const heavy = [await upload(Buffer.alloc(900)), await upload(Buffer.alloc(900, 1))];
  expect((await reply(id, heavy))['files']).toEqual([
    { uploadId: heavy[1], code: 'TOO_LARGE_TOGETHER', limit: 1_500, reason: 'together with those before it larger than 1.5 kB' },
  ]);
});

test('a file is attached once, however many replies name it at once; the same key answers the same [API-4, CH-6]', async () => {
  const id = await conversation();
  const file = await upload('wanted');
  // In conversations of their own, so that no other lock puts them in a row.
  const places: string[] = [];
  for (let count = 0; count < 12; count += 1) places.push(await conversation());
  const answers = await Promise.all(places.map((place) => reply(place, [file])));
  expect(answers.filter((one) => text(one['__typename']) === 'Message')).toHaveLength(1);
  expect(answers.filter((one) => text(one['__typename']) === 'FilesRefused')).toHaveLength(11);
  const again = await upload('again');
  const twice = await Promise.all(Array.from({ length: 5 }, () => reply(id, [again], agent, { idempotencyKey: `files-${again}` })));
  expect(new Set(twice.map((one) => text(one['id']))).size).toBe(1);
});

test('a comment takes any file and needs no words beside it; a first message takes what its channel takes [CH-6, CH-11]', async () => {
  const id = await conversation();
  const page = await upload('<b>x</b>', 'x.html', 'text/html');
  const { comment } = await agent.ask(
    `mutation ($input: CommentInput!) { comment(input: $input) { __typename ... on Message { attachments ${ATTACHMENTS} } ... on Refusal { message } } }`,
    { input: { conversationId: globalId('Conversation', id), text: '', attachmentIds: [page] } },
  );
  expect(comment).toMatchObject({ attachments: [{ fileName: 'x.html', type: 'text/html', state: 'STORED' }] });
  const start = async (attachmentIds: readonly string[]) =>
    (
      await agent.ask(
        `mutation ($input: StartConversationInput!) { startConversation(input: $input) { __typename
           ... on Conversation { messages(first: 1) { edges { node { attachments { fileName } } } } } ... on FilesRefused { files { code } } } }`,
        { input: { channelId: globalId('Channel', channel.id), to: { kind: 'email-address', value: 'new@out.example' }, text: 'hello', attachmentIds } },
      )
    )['startConversation'];
  expect(await start([await upload('x', 'x.html', 'text/html')])).toEqual({ __typename: 'FilesRefused', files: [{ code: 'TYPE_NOT_TAKEN' }] });
  expect(await start([await upload('x', 'offer.txt')])).toMatchObject({ messages: { edges: [{ node: { attachments: [{ fileName: 'offer.txt' }] } }] } });
});

test('an attachment is a node for whoever sees its message, with its state and why; what waits or was refused has no link [CH-6, API-6]', async () => {
  const event = inbound('somebody@out.example', {
    attachments: [
      { ref: '0', fileName: 'a.txt', type: 'text/plain', bytes: 5 },
      { ref: '1', fileName: 'b.exe', type: 'application/x-msdownload', bytes: 5 },
      { ref: '2', fileName: 'c.png', type: 'image/png', contentId: 'c@mail' },
    ],
  });
  await take(world.db, channel, [event], plugin.capabilities);
  const { id } = await world.db.selectFrom('message').select('id').where('provider_message_id', '=', event.providerMessageId).executeTakeFirstOrThrow();
  const asked = await agent.ask(`query ($id: ID!) { node(id: $id) { ... on Message { attachments ${ATTACHMENTS} } } }`, { id: globalId('Message', id) });
  const attachments = asked['node']?.['attachments'] as unknown as Json[];
  expect(attachments).toMatchObject([
    { fileName: 'a.txt', bytes: 5, state: 'WAITING', reason: null, url: null, inline: false },
    { fileName: 'b.exe', state: 'REFUSED', reason: 'this channel does not take this type', url: null },
    { fileName: 'c.png', bytes: null, state: 'WAITING', inline: true },
  ]);
  const node = 'query ($id: ID!) { node(id: $id) { ... on Attachment { fileName } } }';
  const one = { id: text(attachments[0]?.['id']) };
  expect((await agent.ask(node, one))['node']).toEqual({ fileName: 'a.txt' });
  const stranger = await world.user();
  const access = await world.db.selectFrom('access_entry').selectAll().where('place_id', '=', channel.placeId).execute();
  await world.db.deleteFrom('access_entry').where('place_id', '=', channel.placeId).execute();
  expect((await stranger.ask(node, one))['node']).toBeNull();
  await world.db.insertInto('access_entry').values(access).execute();
});

test('the attachments of fifty messages cost one statement more than those of one [API-8]', async () => {
  const id = await conversation();
  const count = async (first: number): Promise<number> => {
    world.statements.length = 0;
    await agent.ask(
      `query ($id: ID!, $first: Int!) { node(id: $id) { ... on Conversation { messages(first: $first) { edges { node { html attachments { url fileName } } } } } } }`,
      { id: globalId('Conversation', id), first },
    );
    return world.statements.length;
  };
  await sql`
    insert into message (conversation_id, channel_id, direction, text, html_safe, occurred_at, provider_message_id)
    select ${id}, ${channel.id}, 'INBOUND', 'x', '<img src="cid:a" />', now(), 'many-' || n from generate_series(1, 50) as n`.execute(world.db);
  await sql`
    insert into attachment (message_id, position, file_name, type, state, reason) select id, 0, 'x', 'text/plain', 'FAILED', 'a test'
    from message where conversation_id = ${id} and provider_message_id like 'many-%'`.execute(world.db);
  await count(1);
  expect(await count(50)).toBe(await count(2));
});

test('the pictures a mail carries are shown from its attachments by links that need no token; one that is not there has no address [CH-6, CH-7]', async () => {
  const id = await conversation();
  const html = safeHtml('<p>look <img src="cid:lamp@mail" alt="lamp"> and <img src="cid:gone@mail"> and <img src="https://tracker.example/x.png"></p>');
  const { id: messageId } = await world.db
    .selectFrom('message')
    .select('id')
    .where('conversation_id', '=', id)
    .where('direction', '=', 'INBOUND')
    .executeTakeFirstOrThrow();
  await world.db.updateTable('message').set({ html_safe: html, quoted_text: 'before', quoted_html_safe: html }).where('id', '=', messageId).execute();
  const file = await upload(Buffer.from('a picture'), 'lamp.png', 'image/png');
  await sql`
    insert into attachment (message_id, position, file_name, type, bytes, content_id, state, sha256)
    select ${messageId}, 0, 'lamp.png', 'image/png', bytes, 'lamp@mail', 'STORED', sha256 from upload where id = ${file}`.execute(world.db);
  const { node } = await agent.ask('query ($id: ID!) { node(id: $id) { ... on Message { html quoted { html } } } }', { id: globalId('Message', messageId) });
  for (const shown of [text(node?.['html']), text(node?.['quoted']?.['html'])]) {
    expect(shown).not.toContain('cid:');
    const [, address = ''] = / src="([^"]+)"/.exec(shown) ?? [];
    const response = await fetch(new URL(address.replaceAll('&amp;', '&'), world.endpoint));
    expect([response.headers.get('content-type'), await response.text()]).toEqual(['image/png', 'a picture']);
    expect([...shown.matchAll(/ src="/g)]).toHaveLength(1);
  }
});

test('only the address of a picture is replaced, whatever the text around it says [CH-7]', () => {
  const files = [{ content_id: 'a&b"c', state: 'STORED' }];
  const link = () => 'https://x.example/?a=1&b=2"';
  const shown = (html: string) => withInlineImages(safeHtml(html), files, link);
  expect(shown('<p>src="cid:a" &lt;img src="cid:a&amp;b&quot;c"&gt;</p>')).not.toContain('x.example');
  expect(shown('<a title="cid:a" href="https://y.example">x</a>')).not.toContain('x.example');
  expect(shown('<img src="cid:a&amp;b&quot;c" alt="1 > 0">')).toContain('src="https://x.example/?a=1&amp;b=2&quot;"');
  expect(shown('<img src="cid:a%26b%22c">')).toContain('src="https://x.example/');
  expect(shown('<img src="cid:%zz">')).not.toContain('src=');
});

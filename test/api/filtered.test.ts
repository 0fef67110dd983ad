import { afterAll, beforeAll, expect, test } from 'vitest';
import { setAccessList } from '#commands/places.ts';
import { transact } from '#commands/unit.ts';
import { inbound, makeChannel, plainCapabilities, take, type MadeChannel } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let insider: Person;
let outsider: Person;
let outsideAdmin: Person;
let channel: MadeChannel;
const mail = { ...plainCapabilities, address: 'email-address' as const };

beforeAll(async () => {
  world = await openWorld();
  insider = await world.user();
  outsider = await world.user();
  outsideAdmin = await world.user({ role: 'ADMIN' });
  channel = await makeChannel(world.db, { place: 'INBOX' });
  await transact(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds: [insider.id], teamIds: [] } }));
});
afterAll(() => world?.close());

const nodes = (connection: Json | undefined): Json[] => ((connection?.['edges'] ?? []) as unknown as { node: Json }[]).map((edge) => edge.node);
const LIST = `query ($kind: FilteredKind, $channelId: ID) { filteredMessages(kind: $kind, channelId: $channelId) {
  edges { node { id kind reason sender { value } subject text receivedAt releasedAt channel { key } } } } }`;
const RELEASE =
  'mutation ($input: ReleaseFilteredInput!) { releaseFiltered(input: $input) { __typename ... on FilteredMessage { id releasedAt } ... on Refusal { message } } }';
const ADD = `mutation ($input: AddSenderRuleInput!) { addSenderRule(input: $input) { __typename ... on SenderRule { id list pattern }
  ... on InvalidInput { problems { path } } ... on AlreadyExists { what } ... on Forbidden { needs } } }`;

test('an admin keeps the lists; bad patterns and repeats are refused by type; agents neither see nor change them [EMAIL-6] [API-6]', async () => {
  const add = async (who: Person, pattern: string) => (await who.ask(ADD, { input: { list: 'DENY', pattern } }))['addSenderRule'];
  const made = await add(outsideAdmin, 'Spam.Example');
  expect(made).toMatchObject({ __typename: 'SenderRule', list: 'DENY', pattern: '@spam.example' });
  expect(await add(outsideAdmin, '@spam.example')).toEqual({ __typename: 'AlreadyExists', what: 'sender rule' });
  expect(await add(outsideAdmin, 'com')).toEqual({ __typename: 'InvalidInput', problems: [{ path: 'pattern' }] });
  expect(await add(insider, 'other.example')).toEqual({ __typename: 'Forbidden', needs: 'the role admin' });
  const list = async (who: Person) => nodes((await who.ask('{ senderRules { edges { node { pattern } } } }'))['senderRules']);
  expect(await list(outsideAdmin)).toEqual([{ pattern: '@spam.example' }]);
  expect(await list(insider)).toEqual([]);
  const get = async (who: Person) => (await who.ask('query ($id: ID!) { node(id: $id) { id } }', { id: made?.['id'] }))['node'];
  expect(await get(outsideAdmin)).not.toBeNull();
  expect(await get(insider)).toBeNull();
  const remove = 'mutation ($input: RemoveSenderRuleInput!) { removeSenderRule(input: $input) { __typename ... on RemovedSenderRule { removedId } } }';
  const other = await add(outsideAdmin, 'gone@soon.example');
  const input = { ruleId: other?.['id'] };
  expect((await outsideAdmin.ask(remove, { input }))['removeSenderRule']).toEqual({ __typename: 'RemovedSenderRule', removedId: other?.['id'] });
  expect((await outsideAdmin.ask(remove, { input }))['removeSenderRule']).toEqual({ __typename: 'NotFound' });
  expect(await list(outsideAdmin)).toHaveLength(1);
});

test('what was kept apart is listed to whoever has access to the channel’s place, whatever the role of others [EMAIL-6] [API-6]', async () => {
  await take(world.db, channel, [inbound('a@spam.example', { subject: 'Buy', text: 'Now' }), inbound('robot@out.example', { automatic: 'auto-reply' })], mail);
  const all = nodes((await insider.ask(LIST))['filteredMessages']);
  expect(all.map((one) => text(one['kind'])).toSorted()).toEqual(['FILTERED', 'SPAM']);
  const channelId = globalId('Channel', channel.id);
  const [spam] = nodes((await insider.ask(LIST, { kind: 'SPAM', channelId }))['filteredMessages']);
  expect(spam).toMatchObject({
    reason: 'DENY_LIST',
    sender: { value: 'a@spam.example' },
    subject: 'Buy',
    text: 'Now',
    releasedAt: null,
    channel: { key: channel.key },
  });
  const elsewhere = await makeChannel(world.db);
  expect(nodes((await insider.ask(LIST, { channelId: globalId('Channel', elsewhere.id) }))['filteredMessages'])).toEqual([]);
  for (const who of [outsider, outsideAdmin]) {
    expect(nodes((await who.ask(LIST))['filteredMessages'])).toEqual([]);
    expect((await who.ask('query ($id: ID!) { node(id: $id) { id } }', { id: spam?.['id'] }))['node']).toBeNull();
    expect((await who.ask(RELEASE, { input: { filteredMessageId: spam?.['id'] } }))['releaseFiltered']).toMatchObject({ __typename: 'NotFound' });
  }
});

test('an agent lets a message pass, which wakes the intake once; doing it again changes nothing [EMAIL-6]', async () => {
  const [spam] = nodes((await insider.ask(LIST, { kind: 'SPAM' }))['filteredMessages']);
  const input = { filteredMessageId: spam?.['id'] };
  world.wakes.length = 0;
  const first = (await insider.ask(RELEASE, { input }))['releaseFiltered'];
  expect(first?.['releasedAt']).not.toBeNull();
  expect(world.wakes).toEqual([{ kind: 'intake', channelKey: channel.key, plugin: 'plain' }]);
  expect((await insider.ask(RELEASE, { input }))['releaseFiltered']).toEqual(first);
  expect(world.wakes).toHaveLength(1);
});

test('a list of filtered messages costs the same number of statements for few and many [API-8]', async () => {
  const count = async (first: number): Promise<number> => {
    world.statements.length = 0;
    await insider.ask(`{ filteredMessages(first: ${first}) { edges { node { id text sender { value } channel { key name } } } } }`);
    return world.statements.length;
  };
  await take(
    world.db,
    channel,
    Array.from({ length: 30 }, (_, n) => inbound(`bot${n}@out.example`, { automatic: 'bounce' })),
    mail,
  );
  const few = await count(2);
  expect(await count(30)).toBe(few);
});

test('a message shows harmless HTML, its pictures on demand, the history it quotes, and what is known of its sender [CH-7] [EMAIL-8]', async () => {
  const html = '<p onclick="x()">New</p><img src="https://track.example/p.png"><script>x()</script>';
  const quoted = { text: 'Old', html: '<blockquote>Old<img src="https://track.example/q.png"></blockquote>' };
  const authentication = { verdict: 'pass' as const, by: 'forwarder', checks: { spf: 'pass', dkim: 'none' } };
  await take(world.db, channel, [
    inbound('shows@out.example', { html, quoted, authentication, originalHtml: `${html}${quoted.html}` }),
    inbound('plain@out.example'),
  ]);
  const row = await world.db.selectFrom('message').select('id').where('html', 'is not', null).executeTakeFirstOrThrow();
  const fields = `html withPictures: html(remoteImages: true) quoted { text html withPictures: html(remoteImages: true) } authentication { verdict by checks { name result } }`;
  const read = async (id: string) =>
    (await insider.ask(`query ($id: ID!) { node(id: $id) { ... on Message { ${fields} } } }`, { id: globalId('Message', id) }))['node'];
  expect(await read(row.id)).toEqual({
    html: '<p>New</p><img data-remote-src="https://track.example/p.png" />',
    withPictures: '<p>New</p><img src="https://track.example/p.png" />',
    quoted: {
      text: 'Old',
      html: '<blockquote>Old<img data-remote-src="https://track.example/q.png" /></blockquote>',
      withPictures: '<blockquote>Old<img src="https://track.example/q.png" /></blockquote>',
    },
    authentication: {
      verdict: 'PASS',
      by: 'forwarder',
      checks: expect.arrayContaining([
        { name: 'spf', result: 'pass' },
        { name: 'dkim', result: 'none' },
      ]),
    },
  });
  const plain = await world.db.selectFrom('message').select('id').where('html', 'is', null).executeTakeFirstOrThrow();
  expect(await read(plain.id)).toEqual({ html: null, withPictures: null, quoted: null, authentication: null });
});

import email from '@trunkline/plugin-email';
import form from '@trunkline/plugin-form';
import type { Plugin } from '@trunkline/channel-sdk';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDoors, type Doors } from '#api/doors/index.ts';
import { RATES } from '#api/limits.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { loadChannel } from '#commands/channel-settings.ts';
import { applyDeliveries, storeDelivery, takeDeliveries } from '#commands/intake.ts';
import { claimNext, settleSend } from '#commands/outbox.ts';
import { safeParts } from '#commands/safe-html.ts';
import { checkInvariants } from '#db/invariants.ts';
import { anySubmission, submissionOf } from '#plugins/form/test/any-submission.ts';
import { typed } from '#plugins/form/test/support.ts';
import { noDns } from '#runtime/dns.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from '../api/support.ts';
import { connectEmailChannel } from '../support/email-channel.ts';
import { testKeys } from '../support/fixtures.ts';
import { fakeTemporal, PUBLIC_URL } from './support.ts';

/** Forms as an admin, a visitor and an agent meet them: real doors, real rows, the real API; sending is done by hand. */
const plugins: readonly Plugin[] = [email, form];
let world: World;
let doors: Doors;
let admin: Person;
let helpDesk: string;
let mailKey: string;
beforeAll(async () => {
  world = await openWorld({ plugins });
  doors = createDoors({
    db: world.db,
    keys: testKeys,
    plugins,
    waker: fakeTemporal(),
    resolveDns: noDns,
    rates: createRateLimits(world.db, { ...RATES, pagePerMinute: 10_000, pageWritesPerMinute: 10_000 }),
    log: () => undefined,
    env: { publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', ports: new Map() } },
  });
  admin = await world.user({ role: 'ADMIN' });
  const { id } = await world.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  helpDesk = globalId('HelpDesk', id);
  mailKey = (await connectEmailChannel(world.db, testKeys, { address: 'support@acme.example' })).key;
});
afterAll(async () => {
  const broken = (await checkInvariants(world.db)).filter((one) => one.violations !== 0);
  await doors.close();
  await world.close();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const CONNECT = `mutation ($settings: JSONObject!, $place: ID!) { connectChannel(input: { plugin: "form", name: "Contact", placeId: $place, settings: $settings }) {
  __typename ... on Channel { id key address settings } ... on InvalidInput { problems { path message } } ... on AddressTaken { channelKey } } }`;

const FIELDS = [
  { kind: 'email', name: 'email', label: 'Your address', required: true },
  { kind: 'text', name: 'name', label: 'Subject', required: true },
  { kind: 'file', name: 'photo', label: 'Photo' },
  { kind: 'text', name: 'campaign', label: 'Campaign', hidden: true },
];

async function connect(settings: Record<string, unknown>): Promise<Json> {
  const { connectChannel } = await admin.ask(CONNECT, { settings: { fields: FIELDS, ...settings }, place: helpDesk });
  return connectChannel ?? {};
}

const submit = (key: string, values: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Response> =>
  Promise.resolve(
    doors.app.request(`${PUBLIC_URL}/pages/form/${key}/submissions`, {
      method: 'POST',
      body: JSON.stringify(values),
      headers: { 'content-type': 'application/json', ...headers },
    }),
  );

/** What the channel's intake would do. */
async function drain(key: string): Promise<void> {
  const channel = await loadChannel(world.db, testKeys, { key });
  const taken = await takeDeliveries(world.db, key, 50);
  const plugin = plugins.find((one) => one.key === channel?.plugin);
  if (channel === undefined || taken === undefined || plugin === undefined) throw new Error('no such channel');
  const context = createPluginContext(channel.info, { sign: (given) => testKeys.signFor(key, given), log: () => undefined });
  const parsed = await Promise.all(
    taken.deliveries.map(async ({ id, raw }) => {
      const events = await plugin.parse(raw, context);
      return { deliveryId: id, receivedAt: raw.receivedAt, events, safe: safeParts(events) };
    }),
  );
  await applyDeliveries(world.db, { keys: testKeys, capabilities: plugin.capabilities }, channel.id, parsed);
}

async function channelId(key: string): Promise<string> {
  return (await world.db.selectFrom('channel').select('id').where('key', '=', key).executeTakeFirstOrThrow()).id;
}

/** What the conversation's outbox would do; the mail that goes out and the keys by which an answer to it is known. */
async function send(conversationId: string) {
  const channel = await loadChannel(world.db, testKeys, { key: mailKey });
  if (channel === undefined) throw new Error('no such channel');
  const context = createPluginContext(channel.info, { sign: (given) => testKeys.signFor(mailKey, given), log: () => undefined });
  const { value: claim } = await claimNext(world.db, conversationId, (_key, message) => email.reserve?.(message, context));
  if (claim.kind !== 'send') throw new Error(`nothing to send: ${claim.kind}`);
  const { message, attempt } = claim.claimed;
  const ids = email.reserve?.(message, context) ?? { providerMessageId: '', keys: [] };
  await settleSend(world.db, message.id, attempt, { kind: 'sent', receipt: { ...ids, state: 'sent' } });
  return { ...message, keys: ids.keys };
}

const SUBMISSIONS = `query ($channel: ID, $contact: ID) { formSubmissions(channelId: $channel, contactId: $contact) { edges { node {
  id contact { id name identities { value } } submittedAt message { id text fields { name label value hidden } }
  conversation { id subject replyChannels { isDefault channel { key } } ticket { name description status { name } } }
  fields { name label value hidden } } } } }`;

async function submissions(person: Person, variables: Record<string, unknown>): Promise<readonly Json[]> {
  const { formSubmissions } = await person.ask(SUBMISSIONS, variables);
  const edges: unknown = formSubmissions?.['edges'];
  if (!Array.isArray(edges)) throw new TypeError('no connection');
  return edges.map((edge: Json) => edge['node'] ?? {});
}

describe('a form', () => {
  it('is connected once, and its address is free for another title; every wrong field is named, the channel for replies too [CH-2, CH-3, FORM-3]', async () => {
    const first = await connect({ title: 'Once' });
    expect(text(first['address'])).toBe('once');
    expect(await connect({ title: 'Once' })).toEqual({ __typename: 'AddressTaken', channelKey: first['key'] });
    const wrong = await connect({ title: '', accent: 'red' });
    const problems: unknown = wrong['problems'];
    expect(problems).toMatchObject([{ path: expect.stringContaining('settings.') }, { path: expect.stringContaining('settings.') }]);
    const reply = await connect({ title: 'Reply', replyChannel: 'email-000000' });
    expect(reply['problems']).toMatchObject([{ path: 'settings.replyChannel' }]);
    expect((await connect({ title: 'Reply', replyChannel: mailKey }))['__typename']).toBe('Channel');
  });

  it('makes a conversation and a ticket of a submission; agents see the visible fields, hidden ones are on the submission and the contact [FORM-1, FORM-3]', async () => {
    const channel = await connect({ title: 'Whole', replyChannel: mailKey });
    const key = text(channel['key']);
    const values = { email: 'Ada@Out.example', name: 'A lamp', description: 'It broke.', campaign: 'spring', status: 'Closed', pipeline: 'Other' };
    expect((await submit(key, values)).status).toBe(201);
    await drain(key);
    const [submission, ...more] = await submissions(admin, { channel: channel['id'] });
    expect(more).toEqual([]);
    expect(submission).toMatchObject({
      contact: { identities: [{ value: 'ada@out.example' }] },
      message: { text: 'Your address: ada@out.example\nSubject: A lamp\nHow can we help? It broke.' },
      conversation: {
        subject: 'A lamp',
        ticket: { name: 'A lamp', description: 'It broke.', status: { name: 'New' } },
        replyChannels: [{ isDefault: true, channel: { key: mailKey } }],
      },
    });
    expect(submission?.['fields']).toContainEqual({ name: 'campaign', label: 'Campaign', value: 'spring', hidden: true });
    expect(JSON.stringify(submission?.['message'])).not.toContain('spring');
    expect(JSON.stringify(submission)).not.toMatch(/Other/);

    const contactId = submission?.['contact']?.['id'];
    const query = `query ($id: ID!) { node(id: $id) { ... on Contact {
      submissions { edges { node { id fields { name value } } } } timeline { edges { node { kind submission { fields { name value } } } } } } } }`;
    const { node } = await admin.ask(query, { id: contactId });
    expect(JSON.stringify(node?.['submissions'])).toContain('"value":"spring"');
    expect(JSON.stringify(node?.['timeline'])).toContain('"kind":"MESSAGE_RECEIVED","submission":{"fields"');
    expect(await submissions(admin, { contact: contactId })).toHaveLength(1);
  });

  it('a submission reads as it was sent after the form was edited [FORM-4]', async () => {
    const channel = await connect({ title: 'Edited' });
    const key = text(channel['key']);
    await submit(key, { email: 'ben@out.example', name: 'Before', description: 'x' });
    const update = `mutation ($id: ID!, $settings: JSONObject!) { updateChannel(input: { channelId: $id, settings: $settings }) { __typename ... on InvalidInput { problems { path } } } }`;
    const fields = [{ kind: 'text', name: 'name', label: 'Renamed', required: true }];
    expect(await admin.ask(update, { id: channel['id'], settings: { fields, senderEmail: null } })).toEqual({ updateChannel: { __typename: 'Channel' } });
    await drain(key);
    const [submission] = await submissions(admin, { channel: channel['id'] });
    expect(submission?.['fields']).toContainEqual({ name: 'name', label: 'Subject', value: 'Before', hidden: false });
    expect(submission?.['contact']).toMatchObject({ identities: [{ value: 'ben@out.example' }] });
  });

  it('the same try twice is one message, however many come at once [MODEL-4]', async () => {
    const channel = await connect({ title: 'Twice' });
    const key = text(channel['key']);
    const values = { email: 'carla@out.example', name: 'Once', description: 'x' };
    await Promise.all(Array.from({ length: 10 }, () => submit(key, values, { 'idempotency-key': 'one' })));
    await Promise.all([drain(key), drain(key)]);
    await drain(key);
    expect(await submissions(admin, { channel: channel['id'] })).toHaveLength(1);
  });

  it('is answered by mail, and what comes back by mail is in the same conversation [FORM-3, MODEL-5]', async () => {
    const channel = await connect({ title: 'Answered', replyChannel: mailKey });
    await submit(text(channel['key']), { email: 'dora@out.example', name: 'Where is it?', description: 'x' });
    await drain(text(channel['key']));
    const [submission] = await submissions(admin, { channel: channel['id'] });
    const id = text(submission?.['conversation']?.['id']);
    const agent = await world.user();
    const reply = `mutation ($id: ID!) { reply(input: { conversationId: $id, text: "On its way" }) { __typename ... on Message { channel { key } } } }`;
    expect(await agent.ask(reply, { id })).toEqual({ reply: { __typename: 'Message', channel: { key: mailKey } } });

    const conversationId = Buffer.from(id, 'base64').toString().split(':')[1] ?? '';
    const sent = await send(conversationId);
    expect(sent).toMatchObject({ kind: 'start', subject: 'Where is it?', to: { value: 'dora@out.example' } });

    const [token = ''] = sent.keys.flatMap((one) => (one.startsWith('token:') ? [one.slice('token:'.length)] : []));
    expect(token).not.toBe('');
    const mail = `From: Dora <dora@out.example>\r\nTo: support+${token}@acme.example\r\nMessage-ID: <thanks@out.example>\r\nSubject: Re: Where is it?\r\n\r\nIt is here.\r\n`;
    await storeDelivery(world.db, await channelId(mailKey), {
      method: 'SMTP',
      url: '',
      headers: { 'mail-from': 'dora@out.example', 'rcpt-to': `support+${token}@acme.example` },
      body: Buffer.from(mail),
      receivedAt: new Date().toISOString(),
    });
    await drain(mailKey);
    const now = `query ($id: ID!) { node(id: $id) { ... on Conversation { currentChannel { key } originChannel { key } messages { edges { node { text } } } timeline { edges { node { kind } } } } } }`;
    const { node } = await admin.ask(now, { id });
    expect(node).toMatchObject({ currentChannel: { key: mailKey }, originChannel: { key: channel['key'] } });
    expect(JSON.stringify(node?.['timeline'])).toContain('CURRENT_CHANNEL_CHANGED');
    expect(JSON.stringify(node?.['messages'])).toMatch(/Where is it\?.*On its way.*It is here\./);
  });

  it('where several mail channels are connected and none is named, the answer says so and names them [FORM-3]', async () => {
    const other = await connectEmailChannel(world.db, testKeys, { address: 'sales@acme.example' });
    const channel = await connect({ title: 'Several' });
    await submit(text(channel['key']), { email: 'emma@out.example', name: 'x', description: 'x' });
    await drain(text(channel['key']));
    const [submission] = await submissions(admin, { channel: channel['id'] });
    const conversation = submission?.['conversation'];
    const reply = `mutation ($id: ID!, $channel: ID) { reply(input: { conversationId: $id, channelId: $channel, text: "x" }) {
      __typename ... on NoReplyChannel { reason } ... on Message { channel { key } } ... on NotPossible { reason } } }`;
    expect(await admin.ask(reply, { id: conversation?.['id'] })).toEqual({ reply: { __typename: 'NoReplyChannel', reason: 'CHOOSE_ONE' } });
    expect(conversation?.['replyChannels']).toEqual([mailKey, other.key].map((key) => ({ isDefault: false, channel: { key } })));
    const named = await admin.ask(reply, { id: conversation?.['id'], channel: globalId('Channel', other.channelId) });
    expect(named).toEqual({ reply: { __typename: 'Message', channel: { key: other.key } } });
  });

  it('submissions are for those who see the conversation [API-6]', async () => {
    const { id } = await world.db.insertInto('place').values({ kind: 'INBOX', name: 'Private' }).returning('id').executeTakeFirstOrThrow();
    await world.db.insertInto('access_entry').values({ place_id: id, user_id: admin.id }).execute();
    const { connectChannel } = await admin.ask(CONNECT, { settings: { title: 'Private', fields: FIELDS }, place: globalId('Inbox', id) });
    const channel = connectChannel ?? {};
    await submit(text(channel['key']), { email: 'fred@out.example', name: 'x', description: 'x', campaign: 'secret' });
    await drain(text(channel['key']));
    const [submission] = await submissions(admin, { channel: channel['id'] });
    const stranger = await world.user();
    expect(await submissions(stranger, { channel: channel['id'] })).toEqual([]);
    expect(await submissions(stranger, { contact: submission?.['contact']?.['id'] })).toEqual([]);
    expect(await stranger.ask('query ($id: ID!) { node(id: $id) { id } }', { id: submission?.['id'] })).toEqual({ node: null });
  });

  it('a list of submissions costs the same number of statements however long it is [API-8]', async () => {
    const channel = await connect({ title: 'Many', replyChannel: mailKey });
    const key = text(channel['key']);
    const cost = async (): Promise<number> => {
      world.statements.length = 0;
      await submissions(admin, { channel: channel['id'] });
      return world.statements.length;
    };
    await submit(key, { email: 'g0@out.example', name: 'x', description: 'x' });
    await drain(key);
    const one = await cost();
    for (let index = 1; index < 8; index += 1) await submit(key, { email: `g${index}@out.example`, name: 'x', description: 'x' });
    await drain(key);
    expect(await submissions(admin, { channel: channel['id'] })).toHaveLength(8);
    expect(await cost()).toBe(one);
  });

  it('that is switched off takes nothing in through its endpoint and says so on its page [CH-9]', async () => {
    const channel = await connect({ title: 'Off', closedText: 'Back on Monday.' });
    await admin.ask(`mutation ($id: ID!) { setChannelEnabled(input: { channelId: $id, enabled: false }) { __typename } }`, { id: channel['id'] });
    const key = text(channel['key']);
    const page = await doors.app.request(`${PUBLIC_URL}/pages/form/${key}/`);
    expect([page.status, (await page.text()).includes('Back on Monday.')]).toEqual([200, true]);
    expect((await submit(key, { email: 'x@out.example', name: 'x', description: 'x' })).status).toBe(403);
  });

  it('a header in which an escaped NUL is written out is stored as it came, and can be read [FORM-2, OPS-10]', async () => {
    const channel = await connect({ title: 'Escaped' });
    const key = text(channel['key']);
    const type = String.raw`application/json; a=\u0000; b=\\u0000; c=\ud800`;
    expect((await submit(key, { email: 'gina@out.example', name: 'x', description: 'x' }, { 'content-type': type })).status).toBe(201);
    const stored = await world.db
      .selectFrom('raw_delivery')
      .select('headers')
      .where('channel_id', '=', await channelId(key))
      .executeTakeFirstOrThrow();
    expect(stored.headers).toMatchObject({ 'content-type': type });
    await drain(key);
    expect(await submissions(admin, { channel: channel['id'] })).toHaveLength(1);
  });

  it('answers whatever it is sent below 500, with the database behind it; what it took in can be read [FORM-2]', async () => {
    const channel = await connect({ ...typed(), title: 'Anything' });
    expect(channel['__typename']).toBe('Channel');
    const key = text(channel['key']);
    const statuses = new Map<number, number>();
    // What any client may write into a header, an escaped NUL among it.
    const parameter = fc.constantFrom('', String.raw`; a=\u0000`, String.raw`; a="\\u0000"`, String.raw`; a=\ud800`, '; a=\u00ff\u0080');
    // Most of what is sent anyhow is refused; these are near enough to what is right.
    const nearlyGood = anySubmission.map((made): typeof made => ({
      ...made,
      good: true,
      more: { utm: Object.values(made.more)[0] ?? '' },
      mutations: made.mutations.slice(0, 1),
      path: '/submissions',
      accept: 'application/json',
      origin: null,
      lie: null,
    }));
    await fc.assert(
      fc.asyncProperty(fc.oneof(anySubmission, nearlyGood), parameter, async (made, more) => {
        const init = await submissionOf(made, {});
        const headers = { ...init.headers, 'content-type': `${init.headers['content-type']}${more}` };
        const { status } = await doors.app.request(`${PUBLIC_URL}/pages/form/${key}${made.path}`, { ...init, headers });
        expect(status).toBeLessThan(500);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }),
      { numRuns: 600 },
    );
    const taken = statuses.get(201) ?? 0;
    // Not all was refused, and not all for one reason.
    for (const status of [201, 400, 403, 415, 422]) expect([...statuses], `${status}`).toContainEqual([status, expect.any(Number)]);
    const stored = async (state: 'WAITING' | 'DONE'): Promise<number> =>
      (
        await world.db
          .selectFrom('raw_delivery')
          .select('id')
          .where('channel_id', '=', await channelId(key))
          .where('state', '=', state)
          .execute()
      ).length;
    const all = await stored('WAITING');
    // Robots are told that it is taken.
    expect(all).toBeGreaterThan(taken / 2);
    for (let drains = 0; (await stored('WAITING')) > 0 && drains <= all; drains += 1) await drain(key);
    expect(await stored('DONE')).toBe(all);
  });
});

import { randomUUID } from 'node:crypto';
import type { Plugin } from '@trunkline/channel-sdk';
import chat from '@trunkline/plugin-chat';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { claimNext, settleSend } from '#commands/outbox.ts';
import { transact } from '#commands/unit.ts';
import { checkInvariants } from '#db/invariants.ts';
import { readStream, type StreamEvent, type StreamReader } from '#plugins/chat/test/support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { makeUser } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { openProcess, type Process } from './live-support.ts';
import { keys } from './support.ts';

/** Chat as a visitor's page and an agent meet it: the real plugin behind real doors, two API processes, real rows. */
let database: TestDatabase;
let one: Process;
let two: Process;
let agent: string;
let key: string;

beforeAll(async () => {
  database = await testDatabase();
  [one, two] = await Promise.all([openProcess(database.url, { plugins: [chat] }), openProcess(database.url, { plugins: [chat] })]);
  agent = await makeUser(database.db, { name: 'Ada Lovelace' });
  key = await connect();
});
afterAll(async () => {
  const broken = (await checkInvariants(database.db)).filter(({ violations }) => violations !== 0);
  await Promise.all([one?.close(), two?.close()]);
  await database?.drop();
  expect(broken.map(({ invariant, violations }) => `${invariant.rule} ${invariant.holds}: ${violations}`)).toEqual([]);
});

async function connect(settings: Record<string, unknown> = {}): Promise<string> {
  const input = { plugin: 'chat', name: 'Chat', placeId: await placeId(database.db, 'HELP_DESK'), settings: { title: `Acme ${randomUUID()}`, ...settings } };
  return (await transact(database.db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: [chat], keys }, input))).value.key;
}

const SITE = { origin: 'https://shop.example' };

interface Visitor {
  readonly id: string;
  post(path: string, body: unknown, at?: Process): Promise<Response>;
  stream(at?: Process, after?: string): Promise<StreamReader>;
}

async function come(channelKey = key): Promise<Visitor> {
  const { token } = (await (await fetch(`${one.page(channelKey)}/visitor`, { method: 'POST', headers: SITE })).json()) as { readonly token: string };
  const headers = { ...SITE, authorization: `Bearer ${token}` };
  return {
    id: token.split('.')[1] ?? '',
    post: (path, body, at = one) =>
      fetch(`${at.page(channelKey)}${path}`, { method: 'POST', body: JSON.stringify(body), headers: { ...headers, 'content-type': 'application/json' } }),
    stream: async (at = one, after) =>
      readStream(await fetch(`${at.page(channelKey)}/stream`, { headers: after === undefined ? headers : { ...headers, 'last-event-id': after } })),
  };
}

/** Events until one of this text came, that one included. */
async function readTo(reader: StreamReader, text: string): Promise<readonly StreamEvent[]> {
  const events: StreamEvent[] = [];
  for (let event = await reader.next(); event !== undefined; event = await reader.next()) {
    events.push(event);
    if (textOf(event) === text) return events;
  }
  throw new Error(`the stream ended before "${text}"`);
}

function textOf({ data }: StreamEvent): string | undefined {
  return typeof data === 'object' && data !== null && 'text' in data ? String(data.text) : undefined;
}

const conversationOf = (visitor: Visitor): Promise<string> =>
  eventually(async () => {
    const row = await database.db
      .selectFrom('conversation as c')
      .innerJoin('contact_identity as i', 'i.contact_id', 'c.contact_id')
      .select('c.id')
      .where('i.value', '=', visitor.id)
      .executeTakeFirst();
    return row?.id ?? false;
  });

const answer = (conversationId: string, text: string, plugin: Plugin = chat) =>
  transact(database.db, { actor: 'USER', userId: agent }, (unit) => reply(unit, [plugin], { conversationId, text }));
/** As automations’ words go, and those of a plugin that brings them somewhere. */
const queued = (conversationId: string, text: string) => answer(conversationId, text, { ...chat, capabilities: { ...chat.capabilities, shownByPage: false } });

describe('a chat', () => {
  it('is one conversation with a ticket, said and answered in real time in every tab, and whole after a reload [CHAT-2]', async () => {
    const visitor = await come();
    const [here, there] = [await visitor.stream(one), await visitor.stream(two)];
    const said = { id: randomUUID(), text: '<script>alert(1)</script> & so on', name: 'Eva', page: { url: 'https://shop.example/?ref=sale', title: 'Shop' } };
    // Sent three times, once to another process: the answer was lost on the way.
    for (const at of [one, two, one]) expect((await visitor.post('/messages', said, at)).status).toBe(202);
    const conversationId = await conversationOf(visitor);
    for (const tab of [here, there]) {
      const events = await readTo(tab, said.text);
      expect(events.map(({ type }) => type)).toEqual(['ready', 'known', 'message']);
      expect(events[2]?.data).toMatchObject({ from: 'visitor', providerMessageId: said.id, html: null, author: null });
    }
    await answer(conversationId, 'A new one is on its way.');
    const seen: (string | undefined)[] = [];
    for (const tab of [here, there]) {
      const last = (await readTo(tab, 'A new one is on its way.')).at(-1);
      expect(last?.data).toMatchObject({ from: 'us', author: 'Ada Lovelace' });
      seen.push(last?.id);
      await tab.cut();
    }
    // While nobody looks; then the page comes back with the last it has.
    await answer(conversationId, 'Is there anything else?');
    const back = await visitor.stream(two, seen[0]);
    const missed = await readTo(back, 'Is there anything else?');
    expect(missed.flatMap((event) => textOf(event) ?? [])).toEqual(['Is there anything else?']);
    await back.cut();
    const anew = await visitor.stream(one);
    const all = await readTo(anew, 'Is there anything else?');
    expect(all.flatMap((event) => textOf(event) ?? [])).toEqual([said.text, 'A new one is on its way.', 'Is there anything else?']);
    await anew.cut();
    const messages = await database.db
      .selectFrom('message')
      .select(['direction', 'text', 'html'])
      .where('conversation_id', '=', conversationId)
      .orderBy('arrival')
      .execute();
    expect(messages.map(({ direction }) => direction)).toEqual(['INBOUND', 'OUTBOUND', 'OUTBOUND']);
    expect(messages.every(({ html }) => html === null)).toBe(true);
    const tickets = await database.db.selectFrom('ticket').select('number').where('conversation_id', '=', conversationId).execute();
    expect(tickets).toHaveLength(1);
  });

  it('knows the contact by name and by the address that was typed, and what was read [CHAT-2, CHAT-3]', async () => {
    const visitor = await come();
    const address = `eva-${randomUUID()}@example.org`;
    expect((await visitor.post('/messages', { id: randomUUID(), text: 'Hello', name: 'Eva', email: address.toUpperCase() })).status).toBe(202);
    const conversationId = await conversationOf(visitor);
    const given = await eventually(async () => {
      const rows = await database.db
        .selectFrom('participant')
        .select(['kind', 'value'])
        .where('conversation_id', '=', conversationId)
        .where('given_at', 'is not', null)
        .execute();
      return rows.length > 0 && rows;
    });
    expect(given).toEqual([{ kind: 'email-address', value: address }]);
    // Typed is not proven: it is a way to answer, and nobody's identity.
    const contact = await database.db
      .selectFrom('conversation as c')
      .innerJoin('contact as k', 'k.id', 'c.contact_id')
      .innerJoin('contact_identity as i', 'i.contact_id', 'k.id')
      .select(['k.name', 'i.kind', 'i.value'])
      .where('c.id', '=', conversationId)
      .execute();
    expect(contact).toEqual([{ name: 'Eva', kind: 'visitor', value: visitor.id }]);
    const { value } = await queued(conversationId, 'Good day.');
    const { value: claim } = await claimNext(database.db, conversationId, () => undefined);
    if (claim.kind !== 'send') throw new Error(`nothing to send: ${claim.kind}`);
    expect(claim.claimed.message.to).toMatchObject({ kind: 'visitor', value: visitor.id });
    await settleSend(database.db, claim.claimed.message.id, claim.claimed.attempt, {
      kind: 'sent',
      receipt: { providerMessageId: claim.claimed.message.id, keys: [], state: 'sent' },
    });
    expect((await visitor.post('/read', { through: new Date(Date.now() + 60_000).toISOString() })).status).toBe(204);
    await eventually(async () => {
      const row = await database.db.selectFrom('outbound').select('state').where('message_id', '=', value.messageId).executeTakeFirstOrThrow();
      expect(row.state).toBe('READ');
    });
  });

  it('is read to the last answer as the page says it, whether that was still queued, being sent or sent long after it was shown [CH-5, CHAT-2]', async () => {
    const visitor = await come();
    await visitor.post('/messages', { id: randomUUID(), text: 'Are you there?' });
    const conversationId = await conversationOf(visitor);
    const stream = await visitor.stream();
    const stateOf = async (messageId: string) =>
      (await database.db.selectFrom('outbound').select('state').where('message_id', '=', messageId).executeTakeFirstOrThrow()).state;
    const claim = async () => {
      const { value } = await claimNext(database.db, conversationId, () => undefined);
      if (value.kind !== 'send') throw new Error(`nothing to send: ${value.kind}`);
      return value.claimed;
    };
    const sent = ({ message: { id }, attempt }: Awaited<ReturnType<typeof claim>>) =>
      settleSend(database.db, id, attempt, { kind: 'sent', receipt: { providerMessageId: id, keys: [], state: 'sent' } });
    for (const state of ['QUEUED', 'SENDING', 'SENT'] as const) {
      const { value } = await queued(conversationId, `read while ${state}`);
      const shown = (await readTo(stream, `read while ${state}`)).at(-1)?.data;
      const through = typeof shown === 'object' && shown !== null && 'at' in shown ? String(shown.at) : '';
      const later = (await queued(conversationId, `written after ${state}`)).value;
      const being = state === 'QUEUED' ? undefined : await claim();
      if (state === 'SENT' && being !== undefined) await sent(being);
      expect(await stateOf(value.messageId)).toBe(state);
      expect((await visitor.post('/read', { through })).status).toBe(204);
      await eventually(async () => expect(await stateOf(value.messageId)).toBe('READ'));
      // What comes of the sending is no step back, and what was written later was not read.
      if (state === 'SENDING' && being !== undefined) await sent(being);
      expect([await stateOf(value.messageId), await stateOf(later.messageId)]).toEqual(['READ', 'QUEUED']);
      await sent(await claim());
    }
    await stream.cut();
  });

  it('is shown to nobody with another channel’s token, a made one, or another visitor’s [CHAT-2]', async () => {
    const [eva, ben] = [await come(), await come()];
    await eva.post('/messages', { id: randomUUID(), text: 'for us alone' });
    await conversationOf(eva);
    const other = await connect();
    const { token } = (await (await fetch(`${one.page(other)}/visitor`, { method: 'POST' })).json()) as { readonly token: string };
    const [version, , signature] = token.split('.');
    for (const forged of [token, `${version}.${eva.id}.${signature}`, `${version}.${eva.id}.${'a'.repeat(52)}`, '']) {
      const response = await fetch(`${one.page(key)}/stream`, { headers: { ...SITE, authorization: `Bearer ${forged}` } });
      expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([401, SITE.origin]);
      await response.body?.cancel();
    }
    const stream = await ben.stream();
    await ben.post('/messages', { id: randomUUID(), text: 'of Ben' });
    expect((await readTo(stream, 'of Ben')).flatMap((event) => textOf(event) ?? [])).toEqual(['of Ben']);
    await stream.cut();
  });

  it('refuses more than a message can be, in words for who wrote it [PLUG-3]', async () => {
    const visitor = await come();
    const refused = await visitor.post('/messages', { id: randomUUID(), text: 'x'.repeat(40_000) });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([413, '*']);
    expect(await refused.json()).toEqual({ code: 'TooLarge', errors: [{ field: null, message: 'This is too large: at most 28 kB.' }] });
  });

  it('that is off says so, and takes in what is written all the same [CH-9]', async () => {
    const closed = await connect({ greeting: 'Hello.' });
    const visitor = await come(closed);
    await database.db.updateTable('channel').set({ enabled: false }).where('key', '=', closed).execute();
    await eventually(async () => {
      const config: unknown = await (await fetch(`${one.page(closed)}/config`)).json();
      expect(config).toMatchObject({ enabled: false, available: false, greeting: null });
    });
    expect((await visitor.post('/messages', { id: randomUUID(), text: 'Anybody?' })).status).toBe(202);
    await conversationOf(visitor);
  });
});

import { definePlugin, type Identity, type IdentityAddedEvent, type OutboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { sendWaiting } from '#activities/system-mail.ts';
import { connectChannel, disconnectChannel, setChannelEnabled, updateChannel } from '#commands/channels.ts';
import { comment, reply } from '#commands/conversations.ts';
import { eraseContact } from '#commands/erasing.ts';
import { NotPossible } from '#commands/refusals.ts';
import { close, reopen } from '#commands/tickets.ts';
import { requestTranscript, sendTranscript, TRANSCRIPT_MESSAGES, TRANSCRIPTS_OF_CHANNEL, TRANSCRIPTS_TO_ADDRESS } from '#commands/transcripts.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { placeId } from '../support/email-channel.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';

const handed: OutboundMessage[] = [];
const mailer = definePlugin({
  ...plainPlugin,
  send: async (message) => {
    handed.push(message);
    return { providerMessageId: message.id, keys: [], state: 'sent' as const };
  },
});
const pageCapabilities = { ...plainCapabilities, identities: ['visitor'], outbound: 'reply', live: true, repliesThrough: 'email-address' } as const;
const page = definePlugin({
  key: 'talk',
  name: 'Talk',
  contract: 1,
  settings: z.object({ address: z.string(), replyChannel: z.string().optional(), transcript: z.object({ onClose: z.boolean(), from: z.string().optional() }) }),
  secrets: [],
  capabilities: pageCapabilities,
  address: (settings) => settings.address,
  parse: async () => [],
  send: async (message) => ({ providerMessageId: message.id, keys: [], state: 'sent' as const }),
  replyChannel: (settings) => settings.replyChannel,
  transcripts: ({ transcript: { onClose, from } }) => ({ onClose, ...(from === undefined ? {} : { from }) }),
});
const plugins = [mailer, page];
const deps = { plugins, keys: testKeys };

let database: TestDatabase;
let db: Db;
let ada: string;
let mail: MadeChannel;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  ada = await makeUser(db, { name: 'Ada Lindqvist' });
  mail = await makeChannel(db);
});
afterAll(() => database.drop());

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'USER', userId: ada }, work)).value;

let channels = 0;
async function talk(transcript: { onClose: boolean; from?: string }): Promise<MadeChannel> {
  const address = `talk-${(channels += 1)}`;
  const input = { plugin: page.key, name: 'Acme chat', placeId: await placeId(db, 'HELP_DESK'), settings: { address, transcript } };
  const { channelId, key } = await run((unit) => connectChannel(unit, deps, input));
  return { id: channelId, key, ruleId: '', placeId: input.placeId };
}

let visitors = 0;
interface Chat {
  readonly who: Identity;
  readonly id: string;
  readonly channel: MadeChannel;
}
/** With an address: given, and a person has answered. */
async function chat(channel: MadeChannel, address?: string, answered = address !== undefined): Promise<Chat> {
  const who: Identity = { kind: 'visitor', value: `v-${(visitors += 1)}`, name: 'Ben' };
  await say(channel, who, 'My lamp is broken.');
  if (address !== undefined) await give(channel, who, address);
  const row = await db
    .selectFrom('conversation')
    .innerJoin('contact_identity', 'contact_identity.contact_id', 'conversation.contact_id')
    .select('conversation.id')
    .where('contact_identity.value', '=', who.value)
    .executeTakeFirstOrThrow();
  if (answered) await answer({ id: row.id, channel }, 'One moment.');
  return { who, id: row.id, channel };
}
const answer = ({ id, channel }: Pick<Chat, 'id' | 'channel'>, text: string) =>
  run((unit) => reply(unit, plugins, { conversationId: id, text, channelId: channel.id }));
const say = (channel: MadeChannel, who: Identity, text: string) =>
  take(db, channel, [{ ...inbound('x', { contact: who, text }), thread: { joins: [who.value], keys: [who.value] } }], pageCapabilities);
const give = (channel: MadeChannel, contact: Identity, value: string) => {
  const event: IdentityAddedEvent = { type: 'identity-added', dedupeKey: `${contact.value} ${value}`, contact, added: { kind: 'email-address', value } };
  return take(db, channel, [event], pageCapabilities);
};
const wish = ({ who, channel }: Chat) => run((unit) => requestTranscript(unit, plugins, { channelId: channel.id, visitor: who }));
const closeIt = (id: string) => run((unit) => close(unit, { conversationId: id }, 'BY_HAND', plugins));
const mails = (id: string) => db.selectFrom('system_mail').selectAll().where('conversation_id', '=', id).orderBy('created_at').execute();
const leftOut = async (id: string) =>
  (await db.selectFrom('event').select('why').where('conversation_id', '=', id).where('kind', '=', 'MESSAGE_LEFT_OUT').execute()).map((row) => row.why);
const later = (id: string) => sql`update system_mail set created_at = created_at - interval '61 seconds' where conversation_id = ${id}`.execute(db);

it('mails what was said in the chat, without comments and without what went by mail [CHAT-4]', async () => {
  const one = await chat(await talk({ onClose: false }), 'ben@out.example', false);
  await answer(one, 'We send a new one.');
  await run((unit) => comment(unit, { conversationId: one.id, text: 'He is always late with paying.' }));
  await run((unit) => reply(unit, plugins, { conversationId: one.id, text: 'The code is 4711.', channelId: mail.id }));
  expect(await wish(one)).toBe('queued');
  const [sent] = await mails(one.id);
  expect(sent).toMatchObject({ kind: 'TRANSCRIPT', recipient: 'ben@out.example', subject: 'Your conversation with Acme chat', channel_id: null });
  expect(sent?.text).toMatch(/^Ben, .*:\n {2}My lamp is broken\.\n\nAda Lindqvist, .*:\n {2}We send a new one\./);
  for (const hidden of ['late with paying', '4711']) expect(`${sent?.text}${sent?.html}`).not.toContain(hidden);
});

it('only where an address is known, and a conversation is there [CHAT-4]', async () => {
  const channel = await talk({ onClose: true });
  const one = await chat(channel);
  expect(await wish(one)).toBe('no-address');
  await closeIt(one.id);
  expect(await mails(one.id)).toEqual([]);
  expect(await wish({ ...one, who: { kind: 'visitor', value: 'nobody' } })).toBe('no-conversation');
  // A visitor of another widget of ours has none on this one.
  expect(await wish({ ...one, channel: await talk({ onClose: false }) })).toBe('no-conversation');
  await answer(one, 'Where are you?');
  await give(channel, one.who, 'late@out.example');
  expect(await wish(one)).toBe('queued');
});

it('an address that was only typed gets nothing before a person has answered, and the timeline of a close says so [CHAT-4]', async () => {
  const channel = await talk({ onClose: true });
  const one = await chat(channel, 'stranger@out.example', false);
  expect(await wish(one)).toBe('no-conversation');
  // What a machine says is no answer.
  await sql`insert into message (conversation_id, channel_id, direction, automatic, text, occurred_at) values (${one.id}, ${channel.id}, 'OUTBOUND', true, 'Welcome', now())`.execute(
    db,
  );
  expect(await wish(one)).toBe('no-conversation');
  await closeIt(one.id);
  expect(await mails(one.id)).toEqual([]);
  expect(await leftOut(one.id)).toEqual(['TRANSCRIPT_UNANSWERED']);
  await run((unit) => reopen(unit, { conversationId: one.id }));
  await answer(one, 'Good morning.');
  await closeIt(one.id);
  expect(await mails(one.id)).toHaveLength(1);
});

it('one that mail came from needs no answer, nor does an agent who sends it [CHAT-4]', async () => {
  const channel = await talk({ onClose: false });
  const proven = await chat(channel, 'proven@out.example', false);
  await db
    .insertInto('thread_key')
    .values({ channel_id: mail.id, key: `signed ${proven.id}`, conversation_id: proven.id })
    .execute();
  const message = inbound('proven@out.example');
  await take(db, mail, [{ ...message, thread: { ...message.thread, proven: [`signed ${proven.id}`] } }]);
  expect(await wish(proven)).toBe('queued');
  const sent = await chat(channel, 'by-hand@out.example', false);
  await run((unit) => sendTranscript(unit, plugins, { conversationId: sent.id }));
  expect(await mails(sent.id)).toHaveLength(1);
});

it('three a day to one address, however many visitors typed it at once, wherever, and whoever asks [CHAT-4]', async () => {
  const channels = await Promise.all([talk({ onClose: false }), talk({ onClose: true }), talk({ onClose: false })]);
  const chats: Chat[] = [];
  for (let index = 0; index < 30; index += 1) chats.push(await chat(channels[index % 3] ?? mail, 'victim@out.example'));
  const answers = await Promise.all(chats.map((one, index) => (index % 3 === 1 ? closeIt(one.id).then(() => 'closed') : wish(one))));
  const sent = () => db.selectFrom('system_mail').select('id').where('recipient', '=', 'victim@out.example').execute();
  expect(await sent()).toHaveLength(TRANSCRIPTS_TO_ADDRESS);
  const closed = chats.filter((_, index) => index % 3 === 1);
  const left = (await Promise.all(closed.map((one) => leftOut(one.id)))).flat();
  expect(new Set(left)).toEqual(new Set(['TOO_MANY_TRANSCRIPTS']));
  expect(answers.filter((one) => one === 'queued').length + closed.length - left.length).toBe(TRANSCRIPTS_TO_ADDRESS);
  expect(answers.filter((one) => one === 'too-many').length).toBe(20 - answers.filter((one) => one === 'queued').length);
  const refused = chats.find((_, index) => answers[index] === 'too-many');
  await expect(run((unit) => sendTranscript(unit, plugins, { conversationId: refused?.id ?? '' }))).rejects.toMatchObject(
    new NotPossible('TOO_MANY_TRANSCRIPTS'),
  );
  // A day later it may be another.
  await sql`update system_mail set created_at = created_at - interval '25 hours' where recipient = 'victim@out.example'`.execute(db);
  if (refused !== undefined) expect(await wish(refused)).toBe('queued');
});

it('one that is asked for while the last of the day is being written waits for it, and is one too many [CHAT-4]', async () => {
  const chats: Chat[] = [];
  for (let index = 0; index <= TRANSCRIPTS_TO_ADDRESS; index += 1) chats.push(await chat(await talk({ onClose: false }), 'waiting@out.example'));
  const [last, late, ...first] = chats;
  if (last === undefined || late === undefined) throw new Error('too few');
  for (const one of first) expect(await wish(one)).toBe('queued');
  const written = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const writing = run(async (unit) => {
    const answered = await requestTranscript(unit, plugins, { channelId: last.channel.id, visitor: last.who });
    written.resolve();
    await held.promise;
    return answered;
  });
  await written.promise;
  let done = false;
  const waiting = wish(late).finally(() => (done = true));
  await eventually(async () => {
    const { rows } =
      await sql`select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`.execute(
        db,
      );
    return done || rows.length > 0;
  });
  held.resolve();
  expect([await writing, await waiting]).toEqual(['queued', 'too-many']);
});

it('two hundred a day of one channel, to whatever addresses [CHAT-4]', async () => {
  const channel = await talk({ onClose: false });
  const one = await chat(channel, 'last@out.example');
  const other = await chat(channel, 'too-late@out.example');
  const fill = (count: number) =>
    sql`insert into system_mail (kind, recipient, subject, text, conversation_id, state, reason)
    select 'TRANSCRIPT', 'x' || n || '@out.example', '', '', ${one.id}, 'UNSENT', 'none' from generate_series(1, ${count}::int) n`.execute(db);
  await fill(TRANSCRIPTS_OF_CHANNEL - 1);
  expect(await wish(other)).toBe('queued');
  await later(one.id);
  expect(await wish(one)).toBe('too-many');
  // Another channel has its own.
  expect(await wish(await chat(await talk({ onClose: false }), 'elsewhere@out.example'))).toBe('queued');
});

it('fifty wishes at once are one mail; a minute later it is another [CHAT-4]', async () => {
  const one = await chat(await talk({ onClose: false }), 'many@out.example');
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      index % 2 === 0 ? wish(one) : run((unit) => sendTranscript(unit, plugins, { conversationId: one.id })).then(() => 'queued'),
    ),
  );
  expect(new Set(answers)).toEqual(new Set(['queued']));
  expect(await mails(one.id)).toHaveLength(1);
  await later(one.id);
  await wish(one);
  expect(await mails(one.id)).toHaveLength(2);
});

it('goes out once for each closing where the settings say so, however many close at once, and not while the channel is off [CHAT-4, CH-9]', async () => {
  const channel = await talk({ onClose: true });
  const one = await chat(channel, 'closing@out.example');
  await Promise.all(Array.from({ length: 20 }, () => closeIt(one.id)));
  expect(await mails(one.id)).toHaveLength(1);
  expect((await mails(one.id))[0]?.text).toContain('when the conversation was closed');
  await run((unit) => reopen(unit, { conversationId: one.id }));
  await closeIt(one.id);
  expect(await mails(one.id)).toHaveLength(2);
  await run((unit) => setChannelEnabled(unit, { channelId: channel.id, enabled: false }));
  await run((unit) => reopen(unit, { conversationId: one.id }));
  await closeIt(one.id);
  expect(await mails(one.id)).toHaveLength(2);
  const quiet = await chat(await talk({ onClose: false }), 'quiet@out.example');
  await closeIt(quiet.id);
  expect(await mails(quiet.id)).toEqual([]);
});

it('also where the chat went on by mail before it was closed [CHAT-4, MODEL-5]', async () => {
  const one = await chat(await talk({ onClose: true }), 'by-mail@out.example');
  await run((unit) => reply(unit, plugins, { conversationId: one.id, text: 'By mail.', channelId: mail.id }));
  await closeIt(one.id);
  const [sent] = await mails(one.id);
  expect(sent?.recipient).toBe('by-mail@out.example');
  expect(sent?.text).not.toContain('By mail.');
});

it('goes by the channel the settings name, without a system sender; once that is gone, as all else does [CHAT-4, CH-12]', async () => {
  const sender = await makeChannel(db);
  const channel = await talk({ onClose: false, from: sender.key });
  const one = await chat(channel, 'named@out.example');
  await wish(one);
  expect((await mails(one.id))[0]).toMatchObject({ state: 'QUEUED', channel_id: sender.id });
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const engine = { db, keys: testKeys, plugins, log, now: () => Date.now() };
  await sendWaiting(engine);
  expect((await mails(one.id))[0]).toMatchObject({ state: 'SENT' });
  expect(handed.at(-1)).toMatchObject({
    kind: 'start',
    to: { kind: 'email-address', value: 'named@out.example' },
    sender: 'automation',
    subject: 'Your conversation with Acme chat',
  });

  await later(one.id);
  await wish(one);
  await run((unit) => disconnectChannel(unit, { channelId: sender.id }));
  await sendWaiting(engine);
  expect((await mails(one.id))[1]).toMatchObject({ state: 'UNSENT', channel_id: null });
  await later(one.id);
  await wish(one);
  expect((await mails(one.id))[2]).toMatchObject({ state: 'UNSENT', channel_id: null });
});

it('refuses settings that name no channel which can mail, with the path of the field [CH-3, CHAT-4]', async () => {
  const wrong = { name: 'InvalidInput', problems: [{ path: 'settings.transcript.from', message: expect.stringContaining('connected channel') }] };
  await expect(talk({ onClose: true, from: 'nothing-1' })).rejects.toMatchObject(wrong);
  const other = await talk({ onClose: false });
  await expect(talk({ onClose: true, from: other.key })).rejects.toMatchObject(wrong);
  await expect(
    run((unit) => updateChannel(unit, deps, { channelId: other.id, settings: { transcript: { onClose: true, from: other.key } } })),
  ).rejects.toMatchObject(wrong);
});

it('an agent is told why there is none [CHAT-4]', async () => {
  const one = await chat(await talk({ onClose: false }));
  await expect(run((unit) => sendTranscript(unit, plugins, { conversationId: one.id }))).rejects.toMatchObject(new NotPossible('NO_ADDRESS'));
  await take(db, mail, [inbound('only-mail@out.example', { providerMessageId: 'only-mail' })]);
  const row = await db.selectFrom('message').select('conversation_id').where('provider_message_id', '=', 'only-mail').executeTakeFirstOrThrow();
  await expect(run((unit) => sendTranscript(unit, plugins, { conversationId: row.conversation_id }))).rejects.toMatchObject(new NotPossible('NO_TRANSCRIPT'));
});

it('tells the newest so many, and that there were more [CHAT-4]', async () => {
  const one = await chat(await talk({ onClose: false }), 'long@out.example');
  await sql`insert into message (conversation_id, channel_id, direction, text, occurred_at)
    select ${one.id}, ${one.channel.id}, 'INBOUND', 'line ' || n, now() from generate_series(1, ${TRANSCRIPT_MESSAGES}) n`.execute(db);
  await wish(one);
  const [sent] = await mails(one.id);
  expect(sent?.text.split('\n')[0]).toBe('Earlier messages are left out.');
  expect(sent?.text).not.toContain('My lamp is broken.');
  expect(sent?.text).toContain(`line ${TRANSCRIPT_MESSAGES}`);
});

it('an erased contact’s transcript is gone with them, also one that is asked for at that moment, and nobody waits for ever [OPS-9]', async () => {
  const channel = await talk({ onClose: true });
  for (let round = 0; round < 10; round += 1) {
    const one = await chat(channel, `erased-${round}@out.example`);
    const { contact_id: contactId } = await db.selectFrom('conversation').select('contact_id').where('id', '=', one.id).executeTakeFirstOrThrow();
    await Promise.all([wish(one), closeIt(one.id), run((unit) => eraseContact(unit, { contactId: contactId ?? '' }))]);
    expect(await mails(one.id)).toEqual([]);
  }
});

it('a transcript to an address that another contact has is gone when that one is erased [OPS-9]', async () => {
  await take(db, mail, [inbound('cleo@out.example')]);
  const one = await chat(await talk({ onClose: false }), 'cleo@out.example');
  await wish(one);
  const { contact_id: contactId } = await db
    .selectFrom('contact_identity')
    .select('contact_id')
    .where('value', '=', 'cleo@out.example')
    .executeTakeFirstOrThrow();
  await run((unit) => eraseContact(unit, { contactId }));
  expect(await mails(one.id)).toEqual([]);
});

import { definePlugin, type Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { disconnectChannel } from '#commands/channels.ts';
import { reply } from '#commands/conversations.ts';
import { claimNext, settleSend } from '#commands/outbox.ts';
import { ChangedMeanwhile, NoReplyChannel, NotFound, NotPossible } from '#commands/refusals.ts';
import { replyChannelsOf } from '#commands/reply-channels.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, type MadeChannel, type TestChannel } from '../support/fixtures.ts';

/** A page that sends nothing itself: answers go to the mail address that was given. */
const pageCapabilities = { ...plainCapabilities, outbound: 'none', repliesThrough: 'email-address' } as const;
const pagePlugin: Plugin = definePlugin({
  key: 'paper',
  name: 'Paper',
  contract: 1,
  settings: z.object({ address: z.string(), replyChannel: z.string().optional() }),
  secrets: [],
  capabilities: pageCapabilities,
  address: (settings) => settings.address,
  parse: async () => [],
  replyChannel: (settings) => settings.replyChannel,
});
const plugins = [plainPlugin, pagePlugin];

let database: TestDatabase;
let db: Db;
let agent: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  agent = await makeUser(db);
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const as = <T>(userId: string, work: (unit: Unit) => Promise<T>) => transact(db, { actor: 'USER', userId }, work);
const conversationOf = (id: string) => db.selectFrom('conversation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const eventsOf = (id: string, kind: string) =>
  db.selectFrom('event').selectAll().where('conversation_id', '=', id).where('kind', '=', kind).orderBy('id').execute();

async function makePage(replyChannel?: string, options: TestChannel = {}): Promise<MadeChannel> {
  const page = await makeChannel(db, options);
  const settings = JSON.stringify({ address: page.key, ...(replyChannel === undefined ? {} : { replyChannel }) });
  // The address of a channel never changes, and neither does its plugin: a row of its own.
  await sql`alter table channel disable trigger channel_keeps_identity`.execute(db);
  await sql`update channel set plugin = 'paper', settings = ${settings}::jsonb where id = ${page.id}`.execute(db);
  await sql`alter table channel enable trigger channel_keeps_identity`.execute(db);
  return page;
}

let visitors = 0;
/** What somebody left on the page. */
async function submitted(page: MadeChannel, from: string | null = `visitor-${(visitors += 1)}@out.example`): Promise<string> {
  const event = { ...inbound('x'), contact: from === null ? null : ({ kind: 'email-address', value: from } as const), subject: 'A lamp' };
  await take(db, page, [event], pageCapabilities);
  const row = await db.selectFrom('message').select('conversation_id').where('provider_message_id', '=', event.providerMessageId).executeTakeFirstOrThrow();
  return row.conversation_id;
}

const answer = (conversationId: string, more: { readonly channelId?: string; readonly userId?: string } = {}) =>
  as(more.userId ?? agent, (unit) => reply(unit, plugins, { conversationId, text: 'We send a new one.', channelId: more.channelId ?? null }));

/** Sends what waits, as the outbox would, under the id `mail-<n>`. */
async function send(conversationId: string, id: string) {
  const { value: claim } = await claimNext(db, conversationId, () => ({ providerMessageId: id, keys: [id] }));
  if (claim.kind !== 'send') throw new Error(`nothing to send: ${claim.kind}`);
  const receipt = { providerMessageId: id, keys: [id], state: 'sent' as const };
  await settleSend(db, claim.claimed.message.id, claim.claimed.attempt, { kind: 'sent', receipt });
  return claim.claimed;
}

it('answers by the channel the page names, which is the current one from then on, and the contact’s answer comes back into the conversation [FORM-3, MODEL-5]', async () => {
  const [mail, other] = [await makeChannel(db), await makeChannel(db)];
  const page = await makePage(mail.key);
  const conversationId = await submitted(page, 'ben@out.example');
  const before = await conversationOf(conversationId);
  await answer(conversationId);

  const after = await conversationOf(conversationId);
  expect(after).toMatchObject({ channel_id: mail.id, origin_channel_id: page.id, place_id: before.place_id, ticket_id: before.ticket_id });
  const [changed, ...more] = await eventsOf(conversationId, 'CURRENT_CHANNEL_CHANGED');
  expect(more).toEqual([]);
  expect(changed).toMatchObject({ actor_user_id: agent, channel_id: mail.id, why: 'REPLY', data: { from: page.id, to: mail.id } });

  const sent = await send(conversationId, '<first@desk>');
  expect(sent.channelKey).toBe(mail.key);
  expect(sent.message).toMatchObject({ kind: 'start', subject: 'A lamp', to: { kind: 'email-address', value: 'ben@out.example' }, precedingIds: [] });

  const back = inbound('ben@out.example', { joins: ['<first@desk>'] });
  await take(db, mail, [back], { ...plainCapabilities, joinsParticipantsOnly: true });
  const found = await db.selectFrom('message').select('conversation_id').where('provider_message_id', '=', back.providerMessageId).executeTakeFirstOrThrow();
  expect(found.conversation_id).toBe(conversationId);

  await answer(conversationId);
  const second = await send(conversationId, '<second@desk>');
  expect(second).toMatchObject({ channelKey: mail.key, message: { kind: 'reply', inReplyTo: back.providerMessageId } });
  expect(await eventsOf(conversationId, 'CURRENT_CHANNEL_CHANGED')).toHaveLength(1);
  expect(other.key).not.toBe(mail.key);
});

it('answers by the channel the agent names, whatever the page prefers [FORM-3]', async () => {
  const [mail, other] = [await makeChannel(db), await makeChannel(db)];
  const conversationId = await submitted(await makePage(mail.key));
  await answer(conversationId, { channelId: other.id });
  expect((await conversationOf(conversationId)).channel_id).toBe(other.id);
});

it('a conversation goes on by another channel when the agent says so, and back again as an answer in the thread it has there [MODEL-5]', async () => {
  const [one, two] = [await makeChannel(db), await makeChannel(db)];
  await take(db, one, [inbound('carla@out.example', { providerMessageId: '<carla@out>' })]);
  const { conversation_id: conversationId } = await db
    .selectFrom('message')
    .select('conversation_id')
    .where('provider_message_id', '=', '<carla@out>')
    .executeTakeFirstOrThrow();
  await answer(conversationId, { channelId: two.id });
  expect((await send(conversationId, '<two-1@desk>')).message).toMatchObject({ kind: 'start', precedingIds: [], inReplyTo: null });
  await answer(conversationId, { channelId: one.id });
  expect((await send(conversationId, '<one-1@desk>')).message).toMatchObject({ kind: 'reply', inReplyTo: '<carla@out>' });
  expect((await eventsOf(conversationId, 'CURRENT_CHANNEL_CHANGED')).map((event) => event.channel_id)).toEqual([two.id, one.id]);
});

it('says so where several channels could carry the answer and none is named, and where there is none [FORM-3]', async () => {
  const page = await makePage();
  const conversationId = await submitted(page);
  await expect(answer(conversationId)).rejects.toMatchObject(new NoReplyChannel('CHOOSE_ONE'));

  const lonely = await testDatabase();
  try {
    const { id } = await lonely.db
      .selectFrom('app_user')
      .select('id')
      .executeTakeFirst()
      .then(async (row) => row ?? { id: await makeUser(lonely.db) });
    const channel = await makeChannel(lonely.db);
    await take(lonely.db, channel, [inbound('dora@out.example')]);
    const row = await lonely.db.selectFrom('conversation').select('id').executeTakeFirstOrThrow();
    const mute = definePlugin({ ...pagePlugin, key: 'plain' });
    const alone = transact(lonely.db, { actor: 'USER', userId: id }, (unit) => reply(unit, [mute], { conversationId: row.id, text: 'x' }));
    await expect(alone).rejects.toMatchObject(new NoReplyChannel('NONE_CONNECTED'));
  } finally {
    await lonely.drop();
  }
});

it('refuses where the sender left no address, and writes nothing then [FORM-3]', async () => {
  const mail = await makeChannel(db);
  const conversationId = await submitted(await makePage(mail.key), null);
  await expect(answer(conversationId)).rejects.toMatchObject(new NotPossible('NO_CONTACT'));
  expect(await db.selectFrom('outbound').selectAll().where('conversation_id', '=', conversationId).execute()).toEqual([]);
});

it('knows no channel of a place the agent has no access to, but for the one the page names [API-6]', async () => {
  const { id: closed } = await db.insertInto('place').values({ kind: 'INBOX', name: 'Board' }).returning('id').executeTakeFirstOrThrow();
  const secret = await makeChannel(db);
  const mail = await makeChannel(db);
  await sql`alter table channel disable trigger channel_keeps_place`.execute(db);
  await db.updateTable('channel').set({ place: 'INBOX', place_id: closed }).where('id', '=', secret.id).execute();
  await sql`alter table channel enable trigger channel_keeps_place`.execute(db);
  const plain = await submitted(await makePage(mail.key));
  await expect(answer(plain, { channelId: secret.id })).rejects.toBeInstanceOf(NotFound);
  expect((await replyChannelsOf(db, plugins, agent, [plain])).get(plain)).not.toContainEqual(expect.objectContaining({ channelId: secret.id }));

  const named = await submitted(await makePage(secret.key));
  expect((await replyChannelsOf(db, plugins, agent, [named])).get(named)).toContainEqual({ channelId: secret.id, isDefault: true });
  await answer(named);
  expect((await conversationOf(named)).channel_id).toBe(secret.id);
});

it('refuses a channel that was disconnected, named or current [CH-10]', async () => {
  const mail = await makeChannel(db);
  const page = await makePage(mail.key);
  const conversationId = await submitted(page);
  await transact(db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId: mail.id }));
  await expect(answer(conversationId, { channelId: mail.id })).rejects.toMatchObject(new NotPossible('CHANNEL_DISCONNECTED'));
  await transact(db, { actor: 'SYSTEM' }, (unit) => disconnectChannel(unit, { channelId: page.id }));
  const other = await makeChannel(db);
  await expect(answer(conversationId, { channelId: other.id })).rejects.toMatchObject(new NotPossible('CHANNEL_DISCONNECTED'));
  expect((await replyChannelsOf(db, plugins, agent, [conversationId])).get(conversationId)).toEqual([]);
});

it('an inbox conversation stays in its inbox when it goes on by a help-desk channel: only a move takes it away [MODEL-10]', async () => {
  const mail = await makeChannel(db, { place: 'HELP_DESK' });
  const conversationId = await submitted(await makePage(mail.key, { place: 'INBOX' }));
  await answer(conversationId);
  expect(await conversationOf(conversationId)).toMatchObject({ place: 'INBOX', channel_id: mail.id, ticket_id: null });
});

it('the current channel is that of the newest message, however many answer by different channels while the contact writes [MODEL-5]', async () => {
  const channels = await Promise.all(Array.from({ length: 3 }, () => makeChannel(db)));
  const [home = channels[0]] = channels;
  if (home === undefined) throw new Error('no channel');
  await take(db, home, [inbound('emma@out.example', { providerMessageId: '<emma@out>' })]);
  const { conversation_id: conversationId } = await db
    .selectFrom('message')
    .select('conversation_id')
    .where('provider_message_id', '=', '<emma@out>')
    .executeTakeFirstOrThrow();
  const results = await Promise.allSettled(
    Array.from({ length: 24 }, async (_, index) => {
      if (index % 3 === 0) return take(db, home, [inbound('emma@out.example', { joins: ['<emma@out>'] })]);
      return answer(conversationId, index % 3 === 1 ? {} : { channelId: channels[index % channels.length]?.id ?? home.id });
    }),
  );
  const refused = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  expect(refused.filter((error) => !(error instanceof ChangedMeanwhile))).toEqual([]);
  const [newest] = await db
    .selectFrom('message')
    .select('channel_id')
    .where('conversation_id', '=', conversationId)
    .orderBy('occurred_at', 'desc')
    .orderBy('arrival', 'desc')
    .limit(1)
    .execute();
  expect((await conversationOf(conversationId)).channel_id).toBe(newest?.channel_id);
  const written = await eventsOf(conversationId, 'MESSAGE_WRITTEN');
  expect(written).toHaveLength(16 - refused.length);
});

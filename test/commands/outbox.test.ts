import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Failure } from '@trunkline/channel-sdk';
import { reply } from '#commands/conversations.ts';
import { applyDeliveries } from '#commands/intake.ts';
import { InvalidInput } from '#commands/refusals.ts';
import { claimNext, retryMessage, settleMaybeSent, settleSend, type Claim, type Claimed } from '#commands/outbox.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { deliver, inbound, makeChannel, makeUser, plainCapabilities, plainPlugin, take, testKeys } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
let user: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  user = await makeUser(db);
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

async function answered(...texts: readonly string[]) {
  const channel = await makeChannel(db);
  await take(db, channel, [inbound('reader@out.example')]);
  const { id } = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  const messageIds: string[] = [];
  for (const text of texts) {
    const { value } = await transact(db, { actor: 'USER', userId: user }, (unit) => reply(unit, [plainPlugin], { conversationId: id, text }));
    messageIds.push(value.messageId);
  }
  return { channel, conversationId: id, messageIds };
}
const claim = async (conversationId: string): Promise<Claim> => (await claimNext(db, conversationId, () => undefined)).value;
async function sending(conversationId: string): Promise<Claimed> {
  const next = await claim(conversationId);
  if (next.kind !== 'send') throw new Error(`expected a claim, got ${next.kind}`);
  return next.claimed;
}
const stateOf = (messageId: string | undefined) =>
  db
    .selectFrom('outbound')
    .selectAll()
    .where('message_id', '=', messageId ?? '')
    .executeTakeFirstOrThrow();
const sent = (id: string) => ({ kind: 'sent' as const, receipt: { providerMessageId: `p-${id}`, keys: [`p-${id}`], state: 'sent' as const } });
const failed = (failure: Failure) => ({ kind: 'failed' as const, failure });

it('commits SENDING before the provider is called, to one of many who claim at once [CH-5]', async () => {
  const { conversationId, messageIds } = await answered('one');
  const claims = await Promise.all(Array.from({ length: 10 }, () => claim(conversationId)));
  expect(claims.filter((one) => one.kind === 'send')).toHaveLength(1);
  expect(claims.filter((one) => one.kind === 'wait')).toHaveLength(9);
  expect(await stateOf(messageIds[0])).toMatchObject({ state: 'SENDING', attempt: 1 });
});

it('counts what a page shows as sent once it is written, and takes nothing that it could not show [CH-5, CHAT-2]', async () => {
  const { channel, conversationId } = await answered();
  const outboundContent = { ...plainCapabilities.outboundContent, maxTextLength: 10 };
  const paged = { ...plainPlugin, capabilities: { ...plainCapabilities, live: true, shownByPage: true, outboundContent } };
  const write = (text: string) => transact(db, { actor: 'USER', userId: user }, (unit) => reply(unit, [paged], { conversationId, text }));
  const { value, wakes } = await write('short');
  expect(wakes.filter(({ kind }) => kind === 'outbox')).toEqual([]);
  expect(await stateOf(value.messageId)).toMatchObject({ state: 'SENT', attempt: 1, channel_id: channel.id });
  // Known by its own id, as a provider would have given it: what is read and what is echoed finds it.
  const { provider_message_id: providerId } = await db
    .selectFrom('message')
    .select('provider_message_id')
    .where('id', '=', value.messageId)
    .executeTakeFirstOrThrow();
  expect(providerId).toBe(value.messageId);
  expect((await claim(conversationId)).kind).toBe('idle');
  await expect(write('longer than it may be')).rejects.toBeInstanceOf(InvalidInput);
});

it('sends the messages of a conversation in the order in which they were written [CH-5]', async () => {
  const { conversationId } = await answered('first', 'second', 'third');
  const texts: string[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    const { message, attempt } = await sending(conversationId);
    texts.push(message.text);
    await settleSend(db, message.id, attempt, sent(message.id));
  }
  expect(texts).toEqual(['first', 'second', 'third']);
  expect((await claim(conversationId)).kind).toBe('idle');
});

it('lets the next pass one that failed for good, and holds it behind one that waits [CH-5]', async () => {
  const { conversationId, messageIds } = await answered('first', 'second');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'Unavailable', reason: 'down' }));
  expect(await claim(conversationId)).toMatchObject({ kind: 'wait', messageId: messageIds[0], why: 'Unavailable' });
  await db
    .updateTable('outbound')
    .set({ not_before: new Date() })
    .where('message_id', '=', messageIds[0] ?? '')
    .execute();
  const again = await sending(conversationId);
  expect(again).toMatchObject({ attempt: 2, message: { id: messageIds[0] } });
  await settleSend(db, again.message.id, again.attempt, failed({ code: 'Rejected', reason: '550' }));
  expect(await stateOf(messageIds[0])).toMatchObject({ state: 'FAILED', failure_code: 'Rejected', failure_reason: '550', can_retry: false });
  expect((await sending(conversationId)).message.id).toBe(messageIds[1]);
});

it('never sends again by itself what may have been sent; a person decides [CH-5]', async () => {
  const { conversationId, messageIds } = await answered('maybe');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'MaybeSent', reason: 'timed out' }));
  expect((await claim(conversationId)).kind).toBe('idle');
  const decide = (messageId: string, wasSent: boolean) =>
    transact(db, { actor: 'USER', userId: user }, (unit) => settleMaybeSent(unit, { messageId, sent: wasSent }));
  await decide(messageIds[0] ?? '', false);
  expect((await sending(conversationId)).attempt).toBe(2);
  const other = await answered('maybe too');
  const second = await sending(other.conversationId);
  await settleSend(db, second.message.id, second.attempt, failed({ code: 'MaybeSent', reason: 'timed out' }));
  await decide(other.messageIds[0] ?? '', true);
  expect((await stateOf(other.messageIds[0])).state).toBe('SENT');
});

it('calls the outcome unknown where SENDING is older than a send may take [CH-5]', async () => {
  const { conversationId, messageIds } = await answered('lost');
  await sending(conversationId);
  expect((await claim(conversationId)).kind).toBe('wait');
  await db
    .updateTable('outbound')
    .set({ sending_since: new Date(Date.now() - 60_000) })
    .where('message_id', '=', messageIds[0] ?? '')
    .execute();
  expect(await claim(conversationId)).toMatchObject({ kind: 'unknown', claimed: { attempt: 1, message: { id: messageIds[0] } } });
});

it('lets an echo before the answer end the send without a second message [CH-5, FB-7]', async () => {
  const { channel, conversationId, messageIds } = await answered('echoed');
  const reserved = { providerMessageId: 'echo-1', keys: ['echo-1'] };
  const { value } = await claimNext(db, conversationId, () => reserved);
  if (value.kind !== 'send') throw new Error('expected a claim');
  await take(db, channel, [inbound('reader@out.example', { direction: 'echo', providerMessageId: 'echo-1', joins: ['echo-1'] })]);
  expect((await stateOf(messageIds[0])).state).toBe('SENT');
  const { value: late } = await settleSend(db, value.claimed.message.id, 1, failed({ code: 'MaybeSent', reason: 'timed out' }));
  expect(late.settled).toBe(false);
  expect((await stateOf(messageIds[0])).state).toBe('SENT');
  expect(await db.selectFrom('message').select('id').where('conversation_id', '=', conversationId).where('direction', '=', 'OUTBOUND').execute()).toHaveLength(
    1,
  );
});

it('remembers the ids it reserved, so that an answer to a send of unknown outcome finds its thread [CH-5, EMAIL-5]', async () => {
  const { channel, conversationId } = await answered('reserved');
  await claimNext(db, conversationId, () => ({ providerMessageId: 'own-1', keys: ['own-1'] }));
  await take(db, channel, [inbound('reader@out.example', { joins: ['own-1'] })]);
  expect(await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute()).toHaveLength(1);
});

it('keeps to a provider’s rate limit for the whole channel [CH-5]', async () => {
  const { channel, conversationId } = await answered('fast');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'RateLimited', retryAfterSeconds: 600 }));
  expect(await claim(conversationId)).toMatchObject({ kind: 'wait', why: 'CHANNEL_RATE_LIMITED' });
  const row = await db.selectFrom('channel').select('send_after').where('id', '=', channel.id).executeTakeFirstOrThrow();
  expect(row.send_after.getTime()).toBeGreaterThan(Date.now() + 500_000);
});

it('marks the channel, keeps the reply queued, and fails it after 72 hours when the provider is lost [CH-4]', async () => {
  const { channel, conversationId, messageIds } = await answered('stranded');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'Disconnected', reason: 'token revoked' }));
  expect(await db.selectFrom('channel').select(['health', 'health_reason']).where('id', '=', channel.id).executeTakeFirstOrThrow()).toEqual({
    health: 'DISCONNECTED',
    health_reason: 'token revoked',
  });
  expect(await claim(conversationId)).toMatchObject({ kind: 'wait', why: 'CHANNEL_DISCONNECTED' });
  expect((await stateOf(messageIds[0])).state).toBe('QUEUED');
  await db
    .updateTable('outbound')
    .set({ queued_at: new Date(Date.now() - 73 * 3_600_000) })
    .where('message_id', '=', messageIds[0] ?? '')
    .execute();
  await claim(conversationId);
  expect(await stateOf(messageIds[0])).toMatchObject({ state: 'FAILED', failure_code: 'TooLate', can_retry: true });
  await transact(db, { actor: 'USER', userId: user }, (unit) => retryMessage(unit, { messageId: messageIds[0] ?? '' }));
  expect((await stateOf(messageIds[0])).state).toBe('QUEUED');
});

it('asks every few minutes, by one message, whether a lost provider is back; then all goes on [CH-4]', async () => {
  const { channel, conversationId } = await answered('lost');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'Disconnected', reason: '535' }));
  expect(await claim(conversationId)).toMatchObject({ kind: 'wait', why: 'CHANNEL_DISCONNECTED' });
  await db.updateTable('channel').set({ send_after: new Date() }).where('id', '=', channel.id).execute();
  const probe = await sending(conversationId);
  const { wakes } = await settleSend(db, probe.message.id, probe.attempt, sent(probe.message.id));
  expect(wakes).toEqual([]);
  expect(await db.selectFrom('channel').select(['health', 'health_reason']).where('id', '=', channel.id).executeTakeFirstOrThrow()).toEqual({
    health: 'CONNECTED',
    health_reason: null,
  });
});

it('believes a late word that it was sent, and sends nothing twice [CH-5]', async () => {
  const { conversationId, messageIds } = await answered('late');
  const first = await sending(conversationId);
  await settleSend(db, first.message.id, first.attempt, failed({ code: 'MaybeSent', reason: 'no answer' }));
  await transact(db, { actor: 'USER', userId: user }, (unit) => settleMaybeSent(unit, { messageId: messageIds[0] ?? '', sent: false }));
  await settleSend(db, first.message.id, first.attempt, sent(first.message.id));
  expect((await stateOf(messageIds[0])).state).toBe('SENT');
  expect((await claim(conversationId)).kind).toBe('idle');
});

it('makes one message of an echo that came before the answer and could not be told to be ours [FB-7]', async () => {
  const { channel, conversationId, messageIds } = await answered('unknown echo');
  const first = await sending(conversationId);
  const echo = inbound('reader@out.example', { direction: 'echo', providerMessageId: 'theirs-1', outboundId: 'not an id of ours' });
  await take(db, channel, [{ ...echo, thread: { joins: ['x'], keys: ['theirs-1'] } }]);
  await settleSend(db, first.message.id, first.attempt, { kind: 'sent', receipt: { providerMessageId: 'theirs-1', keys: [], state: 'sent' } });
  expect((await stateOf(messageIds[0])).state).toBe('SENT');
  expect(await db.selectFrom('message').select('id').where('provider_message_id', '=', 'theirs-1').execute()).toEqual([{ id: messageIds[0] }]);
});

it('settles sends, receipts and messages of the same conversations at once without a deadlock [CH-5]', async () => {
  const made = await Promise.all(Array.from({ length: 4 }, () => answered('one', 'two', 'three', 'four', 'five', 'six')));
  await Promise.all(
    made.map(async ({ channel, conversationId }) => {
      for (let turn = 0; turn < 6; turn += 1) {
        const { message, attempt } = await sending(conversationId);
        const id = `p-${message.id}`;
        await settleSend(db, message.id, attempt, sent(message.id));
        const receipt = { type: 'receipt' as const, dedupeKey: `r-${message.id}`, providerMessageId: id, state: 'delivered' as const };
        const delivery = await deliver(db, channel, [inbound('reader@out.example', { joins: [id] })]);
        await Promise.all([
          applyDeliveries(db, { keys: testKeys, capabilities: plainCapabilities }, channel.id, [{ ...delivery, events: [receipt, ...delivery.events] }]),
          settleSend(db, message.id, attempt, sent(message.id)),
          claimNext(db, conversationId, () => undefined),
        ]);
        await db
          .updateTable('outbound')
          .set({ state: 'QUEUED', sending_since: null })
          .where('conversation_id', '=', conversationId)
          .where('state', '=', 'SENDING')
          .execute();
      }
    }),
  );
});

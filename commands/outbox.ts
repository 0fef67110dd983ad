import type { Failure, MessagingWindow, OutboundMessage, ReservedIds, SendRate, SendReceipt } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockChannelShared } from '#db/locks.ts';
import type { StoredIdentity, StoredQuickReply, StoredTemplate } from '#db/schema.ts';
import { backOffSeconds, GIVE_UP_AFTER_SECONDS, SEND_LIMIT_SECONDS } from '#domain/outbox.ts';
import { storedFiles } from './attachments.ts';
import { readWholeBlob } from './blobs.ts';
import { channelAnswers, setHealth } from './channel-health.ts';
import { windowNow } from './messaging-windows.ts';
import { NotFound, NotPossible } from './refusals.ts';
import { keepPace } from './send-pace.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** What the outbox of a conversation is to do next. */
export type Claim =
  /** Nothing is queued. */
  | { readonly kind: 'idle' }
  /** The first waits: until `until` (ISO 8601), because of `why` (a code). */
  | { readonly kind: 'wait'; readonly until: string; readonly messageId: string; readonly why: string }
  /** Committed as `SENDING`: send it now, once. */
  | { readonly kind: 'send'; readonly claimed: Claimed }
  /** It was being sent when something died; its outcome is unknown: ask the provider, else settle as `MaybeSent`. */
  | { readonly kind: 'unknown'; readonly claimed: Claimed };

export interface Claimed {
  readonly channelKey: string;
  readonly attempt: number;
  readonly message: OutboundMessage;
}

/** Names the ids a message will carry, where its plugin chooses them. */
export type Reserve = (channelKey: string, message: OutboundMessage) => ReservedIds | undefined | Promise<ReservedIds | undefined>;

/** What a channel's plugin declares of when and how fast something may be said by it. */
export interface SendLimits {
  /** After the contact's last message. */
  readonly windows: readonly MessagingWindow[];
  readonly rate: SendRate;
}
export type LimitsOf = (channelKey: string) => SendLimits;

const NO_LIMITS: SendLimits = { windows: [], rate: {} };

/**
 * Claims the first message of a conversation that is not settled: `QUEUED → SENDING` is committed with the attempt's number before the provider is
 * called, so that nothing is ever sent twice by itself (CH-5). One that waits holds those after it; one whose window closes meanwhile fails (CH-4).
 */
export async function claimNext(db: Db, conversationId: string, reserve: Reserve, limitsOf: LimitsOf = () => NO_LIMITS): Promise<Committed<Claim>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit): Promise<Claim> => {
    const { tx } = unit;
    await lockInOrder(tx, conversationId);
    const { rows } = await sql<QueuedRow>`
      select o.message_id, o.state, o.attempt, o.recipient, o.kind, o.sender, o.channel_id, h.key as channel_key,
        o.sending_since > now() - make_interval(secs => ${SEND_LIMIT_SECONDS}) as in_flight,
        o.sending_since + make_interval(secs => ${SEND_LIMIT_SECONDS}) as limit_at,
        greatest(o.not_before, h.send_after) as not_before, greatest(o.not_before, h.send_after) > now() as waits, h.send_after > now() as limited,
        h.health, h.disconnected_at is not null as gone, o.queued_at < now() - make_interval(secs => ${GIVE_UP_AFTER_SECONDS}) as too_old,
        o.failure_code, o.template, o.slot_at = o.not_before as paced
      from outbound o join channel h on h.id = o.channel_id
      where o.conversation_id = ${conversationId} and o.state in ('QUEUED', 'SENDING')
      order by o.arrival limit 1 for no key update of o`.execute(tx);
    const row = rows[0];
    if (row === undefined) return { kind: 'idle' };
    const { message_id: messageId } = row;
    if (row.state === 'SENDING') {
      if (row.in_flight) return { kind: 'wait', until: iso(row.limit_at), messageId, why: 'BEING_SENT' };
      return { kind: 'unknown', claimed: await claimed(db, tx, conversationId, row, row.attempt) };
    }
    if (row.gone || row.too_old) {
      await fail(
        unit,
        conversationId,
        row.channel_id,
        messageId,
        row.gone ? 'Disconnected' : 'TooLate',
        row.gone ? 'the channel was disconnected' : 'waited for 72 hours',
        true,
      );
      return { kind: 'wait', until: new Date().toISOString(), messageId, why: 'FAILED' };
    }
    const limits = limitsOf(row.channel_key);
    const window = await windowNow(tx, limits.windows, {
      conversationId,
      channelId: row.channel_id,
      sender: row.sender === 'PERSON' ? 'person' : 'automation',
    });
    const approved = row.template !== null && window?.afterwards === 'template';
    if (window !== null && window.closedAt !== null && !approved) {
      await fail(unit, conversationId, row.channel_id, messageId, 'OutsideWindow', `closed at ${iso(window.closedAt)}`, false);
      return { kind: 'wait', until: new Date().toISOString(), messageId, why: 'FAILED' };
    }
    /** What waits fails when its window closes, and not when it would be tried. */
    const sooner = (until: string): string => (window?.openUntil == null || iso(window.openUntil) > until ? until : iso(window.openUntil));
    const lost = row.health === 'DISCONNECTED';
    if (lost && (row.waits || !(await mayProbe(tx, row.channel_id)))) {
      return { kind: 'wait', until: sooner(row.waits ? iso(row.not_before) : inSeconds(PROBE_SECONDS)), messageId, why: 'CHANNEL_DISCONNECTED' };
    }
    if (row.waits) return { kind: 'wait', until: sooner(iso(row.not_before)), messageId, why: whyItWaits(row) };
    const wait = await keepPace(tx, limits.rate, { messageId, channelId: row.channel_id, recipient: row.recipient });
    if (wait !== null) return { kind: 'wait', until: sooner(iso(wait.until)), messageId, why: wait.why };
    const claim = await claimed(db, tx, conversationId, row, row.attempt + 1);
    const reserved = await reserve(row.channel_key, claim.message);
    if (reserved !== undefined) await remember(tx, conversationId, row.channel_id, messageId, reserved);
    await tx
      .updateTable('outbound')
      .set({
        state: 'SENDING',
        attempt: claim.attempt,
        sending_since: sql<Date>`now()`,
        failure_code: null,
        failure_reason: null,
        updated_at: sql<Date>`now()`,
      })
      .where('message_id', '=', messageId)
      .execute();
    return { kind: 'send', claimed: claim };
  });
}

function whyItWaits({ limited, paced, failure_code: code }: QueuedRow): string {
  return limited ? 'CHANNEL_RATE_LIMITED' : paced ? 'SEND_RATE' : (code ?? 'BACK_OFF');
}

/** Seconds between two tries on a channel whose provider is lost: one message at a time asks whether it is back (CH-4). */
const PROBE_SECONDS = 300;

/** True for one message of the channel every `PROBE_SECONDS`; the others wait for what becomes of it. */
async function mayProbe(tx: Tx, channelId: string): Promise<boolean> {
  const probing = await tx
    .updateTable('channel')
    .set({ send_after: sql<Date>`now() + make_interval(secs => ${PROBE_SECONDS})` })
    .where('id', '=', channelId)
    .where('send_after', '<=', sql<Date>`now()`)
    .returning('id')
    .executeTakeFirst();
  return probing !== undefined;
}

/** The channels of what waits in a conversation, shared, then the conversation: before any outbound row, as everywhere. */
async function lockInOrder(tx: Tx, conversationId: string): Promise<void> {
  const { rows } = await sql<{ channel_id: string }>`
    select distinct channel_id from outbound where conversation_id = ${conversationId} and state in ('QUEUED', 'SENDING', 'MAYBE_SENT') order by 1`.execute(tx);
  for (const { channel_id: channelId } of rows) await lockChannelShared(tx, channelId);
  await tx.selectFrom('conversation').select('id').where('id', '=', conversationId).forNoKeyUpdate().executeTakeFirst();
}

/** What came of a send. */
export type Outcome = { readonly kind: 'sent'; readonly receipt: SendReceipt } | { readonly kind: 'failed'; readonly failure: Failure };

/**
 * Writes the outcome of one attempt while it is `SENDING` (an echo or a receipt can have ended it before). That it was sent is also believed later, of the
 * same attempt: then nobody need guess, and nothing queued anew goes out twice.
 */
export async function settleSend(db: Db, messageId: string, attempt: number, outcome: Outcome): Promise<Committed<{ readonly settled: boolean }>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const found = await tx.selectFrom('outbound').select('conversation_id').where('message_id', '=', messageId).executeTakeFirst();
    if (found !== undefined) await lockInOrder(tx, found.conversation_id);
    const row = await tx
      .selectFrom('outbound')
      .select(['conversation_id', 'channel_id', 'state', 'attempt'])
      .where('message_id', '=', messageId)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (row === undefined) return { settled: false };
    if (outcome.kind === 'sent') await remember(tx, row.conversation_id, row.channel_id, messageId, outcome.receipt);
    const open = row.state === 'SENDING' || (outcome.kind === 'sent' && (row.state === 'MAYBE_SENT' || row.state === 'QUEUED'));
    if (!open || row.attempt !== attempt) return { settled: false };
    if (outcome.kind === 'sent') {
      await tx
        .updateTable('outbound')
        .set({
          state: outcome.receipt.state === 'delivered' ? 'DELIVERED' : 'SENT',
          sending_since: null,
          failure_code: null,
          failure_reason: null,
          updated_at: sql<Date>`now()`,
        })
        .where('message_id', '=', messageId)
        .execute();
      await deliveryChanged(unit, row.conversation_id, row.channel_id, messageId, 'SENT');
      await channelAnswers(unit, row.channel_id);
      return { settled: true };
    }
    await settleFailure(unit, row.conversation_id, row.channel_id, messageId, attempt, outcome.failure);
    return { settled: true };
  });
}

/** Lets a message that failed, where trying again can help, be sent again: its own decision, by a person (CH-5). Throws `NotFound`, `NotPossible`. */
export async function retryMessage(unit: Unit, input: { readonly messageId: string }): Promise<{ messageId: string }> {
  const row = await lockOutbound(unit.tx, input.messageId);
  if (row.state !== 'FAILED' || row.can_retry !== true) throw new NotPossible('NOT_WAITING');
  if (row.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  await requeue(unit, row);
  return input;
}

/** A person decides on a message of which nobody knows whether it was sent: `sent` true ends it, false queues it again (CH-5). */
export async function settleMaybeSent(unit: Unit, input: { readonly messageId: string; readonly sent: boolean }): Promise<{ messageId: string }> {
  const row = await lockOutbound(unit.tx, input.messageId);
  if (row.state !== 'MAYBE_SENT') throw new NotPossible('NOT_WAITING');
  if (!input.sent) {
    if (row.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
    await requeue(unit, row);
    return { messageId: input.messageId };
  }
  await unit.tx
    .updateTable('outbound')
    .set({ state: 'SENT', failure_code: null, failure_reason: null, updated_at: sql<Date>`now()` })
    .where('message_id', '=', input.messageId)
    .execute();
  await deliveryChanged(unit, row.conversation_id, row.channel_id, input.messageId, 'SENT');
  return { messageId: input.messageId };
}

interface QueuedRow {
  readonly message_id: string;
  readonly state: 'QUEUED' | 'SENDING';
  readonly attempt: number;
  readonly recipient: StoredIdentity;
  readonly kind: 'REPLY' | 'START';
  readonly sender: 'PERSON' | 'AUTOMATION';
  readonly channel_id: string;
  readonly channel_key: string;
  readonly in_flight: boolean | null;
  readonly limit_at: Date | null;
  readonly not_before: Date;
  readonly waits: boolean;
  readonly limited: boolean;
  readonly health: string;
  readonly gone: boolean;
  readonly too_old: boolean;
  readonly failure_code: string | null;
  /** It waits for its turn. */
  readonly paced: boolean | null;
  readonly template: StoredTemplate | null;
}

/** The id a message names itself by, also where it is kept under another because its sender had used that one before. */
const ITS_OWN_ID = sql<string>`regexp_replace(provider_message_id, ' again:[0-9a-f]{16}$', '')`;

async function claimed(db: Db, tx: Tx, conversationId: string, row: QueuedRow, attempt: number): Promise<Claimed> {
  const { rows } = await sql<{
    text: string;
    html: string | null;
    subject: string | null;
    quick_replies: StoredQuickReply[] | null;
    author: string | null;
    inbound: string | null;
    inbound_at: Date | null;
    ids: string[] | null;
  }>`
    select m.text, m.html, m.quick_replies, coalesce(m.subject, c.subject, begun.subject) as subject, u.name as author, last.id as inbound, last.received_at as inbound_at,
      (select array_agg(p.id order by p.occurred_at, p.arrival) from (
        select ${ITS_OWN_ID} as id, occurred_at, arrival from message
        where conversation_id = c.id and channel_id = m.channel_id and provider_message_id is not null and id <> m.id
        order by occurred_at desc, arrival desc limit 50) p) as ids
    from message m join conversation c on c.id = m.conversation_id
    left join app_user u on u.id = m.author_user_id
    -- The thread it goes on in may have a subject where the conversation, which began elsewhere, has none.
    left join lateral (
      select subject from message where conversation_id = c.id and channel_id = m.channel_id and subject is not null and direction <> 'COMMENT'
      order by occurred_at, arrival limit 1) begun on true
    left join lateral (
      select ${ITS_OWN_ID} as id, received_at from message
      where conversation_id = c.id and channel_id = m.channel_id and direction = 'INBOUND' and not automatic
      order by occurred_at desc, arrival desc limit 1) last on true
    where m.id = ${row.message_id} and m.conversation_id = ${conversationId}`.execute(tx);
  const message = rows[0];
  if (message === undefined) throw new NotFound('message', row.message_id);
  const { kind, value, name } = row.recipient;
  return {
    channelKey: row.channel_key,
    attempt,
    message: {
      id: row.message_id,
      kind: row.kind === 'START' ? 'start' : 'reply',
      to: { kind: kind as OutboundMessage['to']['kind'], value, ...(name === undefined ? {} : { name }) },
      cc: [],
      subject: message.subject,
      text: message.text,
      html: message.html,
      author: message.author === null ? null : authorOf(message.author),
      sender: row.sender === 'PERSON' ? 'person' : 'automation',
      precedingIds: message.ids ?? [],
      inReplyTo: message.inbound,
      ...(row.template === null ? {} : { template: row.template }),
      ...(message.inbound_at === null ? {} : { lastInboundAt: message.inbound_at.toISOString() }),
      ...(message.quick_replies === null ? {} : { quickReplies: message.quick_replies }),
      attachments: (await storedFiles(tx, row.message_id)).map(({ sha256, ...file }) => ({ ...file, read: () => readWholeBlob(db, sha256) })),
    },
  };
}

function authorOf(fullName: string): { fullName: string; firstName: string; lastName: string } {
  const [firstName = fullName, ...rest] = fullName.split(/\s+/);
  return { fullName, firstName, lastName: rest.join(' ') };
}

/** The ids it carries, so that answers, receipts and echoes find it. */
async function remember(tx: Tx, conversationId: string, channelId: string, messageId: string, ids: ReservedIds): Promise<void> {
  // An echo that came before the provider's answer, and could not be told to be ours, is this very message (FB-7).
  await tx
    .deleteFrom('message')
    .where('channel_id', '=', channelId)
    .where('provider_message_id', '=', ids.providerMessageId)
    .where('id', '<>', messageId)
    .where('direction', '=', 'OUTBOUND')
    .where('author_user_id', 'is', null)
    .execute();
  await tx.updateTable('message').set({ provider_message_id: ids.providerMessageId }).where('id', '=', messageId).execute();
  for (const key of ids.keys) {
    await tx
      .insertInto('thread_key')
      .values({ channel_id: channelId, key, conversation_id: conversationId })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

async function settleFailure(unit: Unit, conversationId: string, channelId: string, messageId: string, attempt: number, failure: Failure): Promise<void> {
  const { tx } = unit;
  switch (failure.code) {
    case 'RateLimited':
      await tx
        .updateTable('channel')
        .set({ send_after: sql<Date>`greatest(send_after, now() + make_interval(secs => ${failure.retryAfterSeconds}))` })
        .where('id', '=', channelId)
        .execute();
      return again(unit, messageId, failure.retryAfterSeconds, failure.code, 'the provider limits the rate');
    case 'Unavailable':
      return again(unit, messageId, backOffSeconds(attempt), failure.code, failure.reason);
    case 'Disconnected':
      await setHealth(unit, channelId, 'DISCONNECTED', failure.reason);
      await tx
        .updateTable('channel')
        .set({ send_after: sql<Date>`now() + make_interval(secs => ${PROBE_SECONDS})` })
        .where('id', '=', channelId)
        .execute();
      return again(unit, messageId, 0, failure.code, failure.reason);
    case 'MaybeSent':
      await tx
        .updateTable('outbound')
        .set({ state: 'MAYBE_SENT', sending_since: null, failure_code: failure.code, failure_reason: failure.reason, updated_at: sql<Date>`now()` })
        .where('message_id', '=', messageId)
        .execute();
      return deliveryChanged(unit, conversationId, channelId, messageId, 'MAYBE_SENT');
    case 'OutsideWindow':
      return fail(unit, conversationId, channelId, messageId, failure.code, `closed at ${failure.closedAt}`, false);
    case 'Rejected':
      return fail(unit, conversationId, channelId, messageId, failure.code, failure.reason, false);
    case 'Malformed':
    case 'Unauthentic':
      return fail(unit, conversationId, channelId, messageId, failure.code, 'the plugin could not make the message', true);
  }
}

async function again(unit: Unit, messageId: string, seconds: number, code: string, reason: string): Promise<void> {
  await unit.tx
    .updateTable('outbound')
    .set({
      state: 'QUEUED',
      sending_since: null,
      not_before: sql<Date>`now() + make_interval(secs => ${seconds})`,
      failure_code: code,
      failure_reason: reason,
      updated_at: sql<Date>`now()`,
    })
    .where('message_id', '=', messageId)
    .execute();
}

async function fail(unit: Unit, conversationId: string, channelId: string, messageId: string, code: string, reason: string, canRetry: boolean): Promise<void> {
  await unit.tx
    .updateTable('outbound')
    .set({ state: 'FAILED', sending_since: null, failure_code: code, failure_reason: reason, can_retry: canRetry, updated_at: sql<Date>`now()` })
    .where('message_id', '=', messageId)
    .execute();
  await deliveryChanged(unit, conversationId, channelId, messageId, 'FAILED');
}

/** Tells that a message's delivery has changed, to whoever sees its conversation. */
export async function deliveryChanged(unit: Unit, conversationId: string, channelId: string, messageId: string, why: string): Promise<void> {
  const row = await unit.tx.selectFrom('conversation').select(['ticket_id', 'place_id']).where('id', '=', conversationId).executeTakeFirstOrThrow();
  unit.record({ kind: 'DELIVERY_CHANGED', channelId, conversationId, ticketId: row.ticket_id, messageId, placeId: row.place_id, why });
}

async function lockOutbound(tx: Tx, messageId: string) {
  const found = await tx.selectFrom('outbound').select('conversation_id').where('message_id', '=', messageId).executeTakeFirst();
  if (found !== undefined) await lockInOrder(tx, found.conversation_id);
  const row = await tx
    .selectFrom('outbound')
    .innerJoin('channel', 'channel.id', 'outbound.channel_id')
    .select([
      'outbound.message_id',
      'outbound.conversation_id',
      'outbound.channel_id',
      'outbound.state',
      'outbound.can_retry',
      'channel.key',
      'channel.plugin',
      'channel.disconnected_at',
    ])
    .where('message_id', '=', messageId)
    .forNoKeyUpdate('outbound')
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('outbound message', messageId);
  return row;
}

async function requeue(unit: Unit, row: Awaited<ReturnType<typeof lockOutbound>>): Promise<void> {
  await unit.tx
    .updateTable('outbound')
    .set({
      state: 'QUEUED',
      failure_code: null,
      failure_reason: null,
      can_retry: null,
      queued_at: sql<Date>`now()`,
      not_before: sql<Date>`now()`,
      updated_at: sql<Date>`now()`,
    })
    .where('message_id', '=', row.message_id)
    .execute();
  await deliveryChanged(unit, row.conversation_id, row.channel_id, row.message_id, 'QUEUED');
  unit.wake({ kind: 'outbox', conversationId: row.conversation_id, channelKey: row.key, plugin: row.plugin });
}

function iso(date: Date | null): string {
  return (date ?? new Date()).toISOString();
}

function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

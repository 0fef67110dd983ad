import type { Capabilities } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { joinable, placeMessage, type ArrivingMessage } from '#domain/threading.ts';
import { ChatflowBatch } from './chatflow-intake.ts';
import { identityKey, type AddedIdentity } from './contacts.ts';
import { writeFiltered, type FilteredArrival } from './filtered.ts';
import { Batch, type ArrivedMessage, type BatchChannel, type Held, type NewMessage } from './intake-batch.ts';
import { onlyNew } from './intake-known.ts';
import { findSpam } from './sender-rules.ts';
import type { Unit } from './unit.ts';

/**
 * Writes a batch of messages in order of arrival. Everything a batch touches is read first and locked in id order, decided in memory, and written by a handful
 * of set-based statements, so that a batch of fifty costs about twenty statements. What is spam, or automatic and answers nothing, is kept
 * apart before there is a contact or a conversation of it (EMAIL-6). `added`: by what else its contacts are known from now on.
 */
export async function applyMessages(
  unit: Unit,
  capabilities: Capabilities,
  channelId: string,
  arrived: readonly ArrivedMessage[],
  added: readonly AddedIdentity[] = [],
): Promise<Taken> {
  if (arrived.length === 0) return { filtered: new Set(), kept: new Map() };
  const { tx } = unit;
  const channel = await readChannel(tx, channelId);
  const fresh = await onlyNew(unit, channel, arrived);
  const spam = await findSpam(tx, capabilities.address === 'email-address' ? channel.address : null, fresh);
  const filtered: FilteredArrival[] = [...spam].map(([message, reason]) => ({ message, kind: 'SPAM', reason }));
  const wanted = fresh.filter((message) => !spam.has(message));
  const threads = await readThreads(tx, channel.id, wanted);
  const chatflows = await ChatflowBatch.of(tx, channel, capabilities);
  const batch = new Batch(unit, channel, capabilities.inboundAttachments ?? capabilities.outboundContent.attachments, chatflows);
  for (const message of wanted) {
    if (place(batch, message, threads, channel, capabilities.joinsParticipantsOnly) === 'filtered') {
      filtered.push({ message, kind: 'FILTERED', reason: 'ANSWERS_NOTHING' });
    }
  }
  await writeFiltered(unit, channel, filtered);
  await batch.write(added);
  return { filtered: new Set(filtered.map(({ message }) => message.deliveryId)), kept: countBy(fresh.map((message) => message.deliveryId)) };
}

function countBy<Key>(keys: readonly Key[]): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** Deliveries of a batch, by what became of their messages. */
export interface Taken {
  readonly filtered: ReadonlySet<number | null>;
  /** How many of its messages were new, those that were filtered too; null: what came without a delivery. One that brought none is not in it. */
  readonly kept: ReadonlyMap<number | null, number>;
}

interface Threads {
  /** Where each key leads. */
  readonly keys: Map<string, string>;
  /** Those of them that are ids of messages we sent on this channel. */
  readonly sent: Set<string>;
  readonly held: Map<string, Held>;
}

/** Decides where one message goes and puts it there; `filtered`: nowhere. */
function place(batch: Batch, message: NewMessage, { keys, sent, held }: Threads, channel: BatchChannel, joinsParticipantsOnly: boolean): 'filtered' | 'placed' {
  const { event } = message;
  const { contact, thread } = event;
  const arriving: ArrivingMessage = { automatic: event.automatic ?? null, verdict: event.authentication?.verdict ?? null };
  const led = (list: readonly string[]) => {
    const id = list.map((key) => keys.get(key)).find((one) => one !== undefined);
    const conversation = id === undefined ? undefined : held.get(id);
    if (conversation === undefined) return null;
    return { conversation, closedAt: conversation.closedAt, senderTakesPart: contact !== null && conversation.participants.has(identityKey(contact)) };
  };
  const proven = led(thread.proven ?? []);
  const joined = joinable(arriving, { proven, named: led(thread.joins), sent: led(thread.joins.filter((key) => sent.has(key))) }, joinsParticipantsOnly);
  const placement = placeMessage(arriving, joined, { reopening: channel.reopening, reopenDays: channel.reopen_days }, channel.now);
  if (placement === 'filtered' && message.releasedAs === null) return 'filtered';
  let target: Held;
  if (joined === null || placement === 'succeed') {
    target = batch.start(message, joined?.conversation);
    held.set(target.id, target);
    if (joined !== null) batch.succeed(keys, joined.conversation, target);
  } else {
    target = joined.conversation;
    const person = event.automatic === undefined && event.direction === 'inbound';
    if (placement === 'reopen') batch.reopen(target, event);
    if (placement === 'kept' && person) batch.keepClosed(target);
    if (person) batch.answer(target);
  }
  // Only who has what was sent to the address they gave can answer by our key; a machine answers for anybody.
  if (joined !== null && joined === proven && event.automatic === undefined && arriving.verdict !== 'fail') batch.prove(event, joined.conversation);
  for (const key of thread.keys) if (!keys.has(key)) batch.lead(keys, key, target.id);
  if (event.direction === 'echo') sent.add(message.providerMessageId);
  batch.add(message, target);
  return 'placed';
}

async function readChannel(tx: Tx, channelId: string): Promise<BatchChannel> {
  return tx
    .selectFrom('channel')
    .innerJoin('ticket_status', 'ticket_status.id', 'channel.default_status_id')
    .select([
      'channel.id',
      'key',
      'plugin',
      'address',
      'place_id',
      'place',
      'enabled',
      'create_tickets',
      'reopening',
      'reopen_days',
      'default_pipeline_id',
      'default_status_id',
      'default_priority',
      'default_properties',
    ])
    .select((eb) => [eb('ticket_status.category', '=', 'CLOSED').as('default_closed'), sql<Date>`now()`.as('now')])
    .$castTo<BatchChannel>()
    .where('channel.id', '=', channelId)
    .executeTakeFirstOrThrow();
}

/** Every key by which a message may find a thread or by which it will be found. */
export function threadKeys({ event: { thread } }: Pick<ArrivedMessage, 'event'>): string[] {
  return [...(thread.proven ?? []), ...thread.joins, ...thread.keys];
}

/** Where the batch's thread keys lead, those conversations locked in id order, and who takes part in each. */
async function readThreads(tx: Tx, channelId: string, arrived: readonly ArrivedMessage[]): Promise<Threads> {
  const wanted = [...new Set(arrived.flatMap(threadKeys))];
  const held = new Map<string, Held>();
  if (wanted.length === 0) return { keys: new Map(), sent: new Set(), held };
  const found = await tx
    .selectFrom('thread_key')
    .select(['key', 'conversation_id'])
    .select(
      sql<boolean>`exists (select 1 from message m
        where m.channel_id = thread_key.channel_id and m.provider_message_id = thread_key.key and m.direction = 'OUTBOUND')`.as('sent'),
    )
    .where('channel_id', '=', channelId)
    .where(sql<boolean>`key = any(${wanted}::text[])`)
    .execute();
  const ids = [...new Set(found.map((row) => row.conversation_id))].toSorted();
  if (ids.length > 0) {
    const rows = await tx
      .selectFrom('conversation')
      .select(['id', 'ticket_id', 'place_id', 'channel_id', 'contact_id', 'closed_at', 'last_message_at'])
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    for (const row of rows) {
      held.set(row.id, {
        id: row.id,
        ticketId: row.ticket_id,
        placeId: row.place_id,
        contactId: row.contact_id,
        participants: new Set(),
        given: new Set(),
        channelId: row.channel_id,
        closedAt: row.closed_at,
        lastMessageAt: row.last_message_at,
      });
    }
    const takingPart = await tx
      .selectFrom('participant')
      .selectAll()
      .where(sql<boolean>`conversation_id = any(${ids}::uuid[])`)
      .execute();
    for (const row of takingPart) {
      held.get(row.conversation_id)?.participants.add(identityKey(row));
      if (row.given_at !== null) held.get(row.conversation_id)?.given.add(identityKey(row));
    }
  }
  return {
    keys: new Map(found.map((row) => [row.key, row.conversation_id])),
    sent: new Set(found.flatMap((row) => (row.sent ? [row.key] : []))),
    held,
  };
}

import type { Capabilities, InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { PlaceKind, Priority, Reopening } from '#db/schema.ts';
import { placeMessage, ticketName } from '#domain/threading.ts';
import { ensureContacts, identityKey } from './contacts.ts';
import { ownId } from './own-ids.ts';
import { deliveryChanged } from './outbox.ts';
import { notify } from './notifications.ts';
import { lockSubject } from './subjects.ts';
import { reopen } from './tickets.ts';
import type { Unit } from './unit.ts';

/** A message with the delivery that brought it. */
export interface ArrivedMessage {
  readonly event: InboundMessage;
  readonly deliveryId: number;
  readonly receivedAt: string;
}

interface ChannelRow {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly place_id: string;
  readonly place: PlaceKind;
  readonly enabled: boolean;
  readonly create_tickets: boolean;
  readonly reopening: Reopening;
  readonly reopen_days: number | null;
  readonly default_pipeline_id: string;
  readonly default_status_id: string;
  readonly default_priority: Priority;
  readonly default_properties: Record<string, unknown>;
  readonly default_closed: boolean;
}

/** A conversation as the batch knows it: read under its lock, or made by this batch. */
interface Held {
  readonly id: string;
  readonly ticketId: string | null;
  readonly ticketNumber: number | null;
  readonly ownerId: string | null;
  readonly placeId: string;
  readonly participants: Set<string>;
  channelId: string;
  closedAt: Date | null;
  lastMessageAt: Date;
}

/**
 * Writes a batch of messages in order of arrival. Everything a batch touches is read first and locked in id order, decided in memory, and written by a handful
 * of set-based statements, so that a batch of fifty costs about twenty statements. Returns the deliveries that were filtered (automatic mail that answers nothing).
 */
export async function applyMessages(
  unit: Unit,
  capabilities: Capabilities,
  channelId: string,
  arrived: readonly ArrivedMessage[],
): Promise<ReadonlySet<number>> {
  const filtered = new Set<number>();
  if (arrived.length === 0) return filtered;
  const { tx } = unit;
  const channel = await readChannel(tx, channelId);
  const fresh = await onlyNew(unit, channel, arrived);
  if (fresh.length === 0) return filtered;
  const contacts = await ensureContacts(
    tx,
    fresh.flatMap(({ event }) => (event.contact === null ? [] : [event.contact])),
  );
  const { keys, held } = await readThreads(tx, channel.id, fresh);
  const { now } = await tx.selectNoFrom(sql<Date>`now()`.as('now')).executeTakeFirstOrThrow();
  const batch = new Batch(unit, channel, now);

  for (const message of fresh) {
    const { event } = message;
    const contactId = event.contact === null ? null : (contacts.get(identityKey(event.contact)) ?? null);
    const foundId = event.thread.joins.map((key) => keys.get(key)).find((id) => id !== undefined);
    const found = foundId === undefined ? undefined : held.get(foundId);
    const placement = placeMessage(
      { automatic: event.automatic !== undefined },
      found === undefined ? null : { closedAt: found.closedAt, senderTakesPart: event.contact !== null && found.participants.has(identityKey(event.contact)) },
      { reopening: channel.reopening, reopenDays: channel.reopen_days },
      capabilities.joinsParticipantsOnly,
      now,
    );
    if (placement === 'filtered') {
      filtered.add(message.deliveryId);
      continue;
    }
    let target: Held;
    if (found === undefined || placement === 'start' || placement === 'succeed') {
      const previous = placement === 'succeed' ? found : undefined;
      target = batch.start(message, contactId, previous);
      held.set(target.id, target);
      if (previous !== undefined) batch.succeed(keys, previous, target);
    } else {
      target = found;
      if (placement === 'reopen') batch.reopen.push(target);
      if (placement === 'kept' && event.automatic === undefined) batch.keptClosed.push(target);
      if (placement === 'reopen') target.closedAt = null;
    }
    for (const key of event.thread.keys) if (!keys.has(key)) batch.lead(keys, key, target.id);
    batch.add(message, contactId, target);
  }
  await batch.write();
  return filtered;
}

/** Collects what a batch writes. */
class Batch {
  readonly reopen: Held[] = [];
  readonly keptClosed: Held[] = [];
  readonly #unit: Unit;
  readonly #channel: ChannelRow;
  readonly #now: Date;
  readonly #conversations: object[] = [];
  readonly #tickets: { readonly id: string; readonly conversation_id: string; readonly linked_ticket_id: string | null; readonly [more: string]: unknown }[] =
    [];
  #keys: { readonly key: string; readonly conversation_id: string }[] = [];
  readonly #participants = new Map<string, { readonly conversation_id: string; readonly kind: string; readonly value: string }>();
  readonly #messages: object[] = [];
  readonly #touched = new Map<string, Held>();
  readonly #moved: Held[] = [];
  readonly #succeeded: { readonly from: string; readonly to: string }[] = [];

  constructor(unit: Unit, channel: ChannelRow, now: Date) {
    this.#unit = unit;
    this.#channel = channel;
    this.#now = now;
  }

  /** A new conversation where the channel lives, with a ticket in the help desk or where the channel makes them (CH-1). */
  start(message: ArrivedMessage, contactId: string | null, previous: Held | undefined): Held {
    const { event } = message;
    const channel = this.#channel;
    const id = newId();
    // The successor of a conversation with a ticket has one too (MODEL-6).
    const withTicket = channel.place === 'HELP_DESK' || channel.create_tickets || (previous?.ticketId ?? null) !== null;
    const ticketId = withTicket ? newId() : null;
    // Off: it is taken in and kept, but nobody is chosen for it (CH-9).
    const pending = channel.enabled && event.direction === 'inbound' ? this.#now : null;
    this.#conversations.push({
      id,
      channel_id: channel.id,
      place_id: channel.place_id,
      place: channel.place,
      contact_id: contactId,
      subject: event.subject ?? null,
      ticket_id: ticketId,
      route_pending_since: ticketId === null ? pending : null,
      previous_conversation_id: previous?.id ?? null,
      started_at: message.receivedAt,
      last_message_at: earlier(event.occurredAt, message.receivedAt),
    });
    if (ticketId !== null) {
      this.#tickets.push({
        id: ticketId,
        conversation_id: id,
        name: ticketName(event.subject, event.text),
        route_pending_since: channel.default_closed ? null : pending,
        linked_ticket_id: previous?.ticketId ?? null,
        created_at: message.receivedAt,
      });
    }
    this.#unit.record({
      kind: 'CONVERSATION_STARTED',
      channelId: channel.id,
      conversationId: id,
      placeId: channel.place_id,
      why: previous === undefined ? 'FIRST_MESSAGE' : 'CLOSED_LONG_AGO',
    });
    return {
      id,
      ticketId,
      ticketNumber: null,
      ownerId: null,
      placeId: channel.place_id,
      participants: new Set(),
      channelId: channel.id,
      closedAt: null,
      lastMessageAt: new Date(earlier(event.occurredAt, message.receivedAt)),
    };
  }

  /** From now on every key of the old thread leads to the new conversation, and whoever took part still does (MODEL-6). */
  succeed(keys: Map<string, string>, previous: Held, target: Held): void {
    for (const [key, id] of keys) if (id === previous.id) keys.set(key, target.id);
    this.#keys = this.#keys.map((row) => (row.conversation_id === previous.id ? { ...row, conversation_id: target.id } : row));
    for (const one of previous.participants) target.participants.add(one);
    this.#succeeded.push({ from: previous.id, to: target.id });
  }

  lead(keys: Map<string, string>, key: string, conversationId: string): void {
    keys.set(key, conversationId);
    this.#keys.push({ key, conversation_id: conversationId });
  }

  add(message: ArrivedMessage, contactId: string | null, target: Held): void {
    const { event, receivedAt } = message;
    const id = newId();
    // The provider's date counts, never later than our receipt (MODEL-4).
    const occurredAt = earlier(event.occurredAt, receivedAt);
    this.#messages.push({
      id,
      conversation_id: target.id,
      channel_id: this.#channel.id,
      direction: event.direction === 'inbound' ? 'INBOUND' : 'OUTBOUND',
      provider_message_id: event.providerMessageId,
      contact_id: event.direction === 'inbound' ? contactId : null,
      sender: event.direction === 'inbound' ? event.contact : null,
      automatic: event.automatic !== undefined,
      subject: event.subject ?? null,
      text: event.text,
      html: event.html ?? null,
      participants: event.participants,
      attachments: event.attachments,
      occurred_at: occurredAt,
      received_at: receivedAt,
      raw_delivery_id: message.deliveryId,
    });
    for (const one of [event.contact, ...event.participants]) {
      if (one === null) continue;
      const key = identityKey(one);
      target.participants.add(key);
      this.#participants.set(`${target.id} ${key}`, { conversation_id: target.id, kind: one.kind, value: one.value });
    }
    const newest = new Date(occurredAt) >= target.lastMessageAt;
    if (newest && target.channelId !== this.#channel.id) {
      target.channelId = this.#channel.id;
      this.#moved.push(target);
    }
    if (newest) target.lastMessageAt = new Date(occurredAt);
    this.#touched.set(target.id, target);
    this.#unit.record({
      kind: 'MESSAGE_RECEIVED',
      by: { actor: event.direction === 'inbound' ? 'CONTACT' : 'CHANNEL' },
      channelId: this.#channel.id,
      conversationId: target.id,
      ticketId: target.ticketId,
      messageId: id,
      placeId: target.placeId,
      ...(event.automatic === undefined ? {} : { why: 'AUTOMATIC' }),
    });
  }

  async write(): Promise<void> {
    const { tx } = this.#unit;
    if (this.#conversations.length > 0) {
      await sql`
        insert into conversation (id, channel_id, origin_channel_id, place_id, place, contact_id, subject, ticket_id, route_pending_since, previous_conversation_id, started_at, last_message_at)
        select id, channel_id, channel_id, place_id, place, contact_id, subject, ticket_id, route_pending_since, previous_conversation_id, started_at, last_message_at
        from json_to_recordset(${JSON.stringify(this.#conversations)}::json) as n (id uuid, channel_id uuid, place_id uuid, place text, contact_id uuid,
          subject text, ticket_id uuid, route_pending_since timestamptz, previous_conversation_id uuid, started_at timestamptz, last_message_at timestamptz)`.execute(
        tx,
      );
    }
    if (this.#tickets.length > 0) await this.#writeTickets(tx);
    for (const { from, to } of this.#succeeded) {
      await sql`update thread_key set conversation_id = ${to} where conversation_id = ${from} and channel_id = ${this.#channel.id}`.execute(tx);
      await sql`insert into participant select ${to}::uuid, kind, value from participant where conversation_id = ${from} on conflict do nothing`.execute(tx);
    }
    if (this.#keys.length > 0) {
      await sql`
        insert into thread_key (channel_id, key, conversation_id)
        select distinct on (key) ${this.#channel.id}::uuid, key, conversation_id
        from json_to_recordset(${JSON.stringify(this.#keys.map((row, place) => ({ ...row, place })))}::json) as n (key text, conversation_id uuid, place int)
        order by key, place desc
        on conflict (channel_id, key) do update set conversation_id = excluded.conversation_id`.execute(tx);
    }
    if (this.#participants.size > 0) {
      await sql`
        insert into participant (conversation_id, kind, value)
        select conversation_id, kind, value from json_to_recordset(${JSON.stringify([...this.#participants.values()])}::json) as n (conversation_id uuid, kind text, value text)
        on conflict do nothing`.execute(tx);
    }
    await sql`
      insert into message (id, conversation_id, channel_id, direction, provider_message_id, contact_id, sender, automatic, subject, text, html,
        participants, attachments, occurred_at, received_at, raw_delivery_id)
      select id, conversation_id, channel_id, direction, provider_message_id, contact_id, sender, automatic, subject, text, html,
        participants, attachments, occurred_at, received_at, raw_delivery_id
      from json_to_recordset(${JSON.stringify(this.#messages)}::json) as n (id uuid, conversation_id uuid, channel_id uuid, direction text,
        provider_message_id text, contact_id uuid, sender jsonb, automatic boolean, subject text, text text, html text, participants jsonb,
        attachments jsonb, occurred_at timestamptz, received_at timestamptz, raw_delivery_id bigint)`.execute(tx);
    await sql`
      update conversation c set last_message_at = greatest(c.last_message_at, n.at), channel_id = n.channel_id
      from json_to_recordset(${JSON.stringify([...this.#touched.values()].map((one) => ({ id: one.id, at: one.lastMessageAt, channel_id: one.channelId })))}::json)
        as n (id uuid, at timestamptz, channel_id uuid)
      where c.id = n.id`.execute(tx);
    await this.#afterwards();
  }

  async #writeTickets(tx: Tx): Promise<void> {
    const channel = this.#channel;
    const { rows } = await sql<{ id: string; number: number; conversation_id: string }>`
      insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, properties, source, route_pending_since, linked_ticket_id, created_at, closed_at)
      select id, conversation_id, name, ${channel.default_pipeline_id}, ${channel.default_status_id}, ${channel.default_priority},
        ${JSON.stringify(channel.default_properties)}::jsonb, ${channel.key}, route_pending_since, linked_ticket_id, created_at, ${channel.default_closed ? this.#now : null}
      from json_to_recordset(${JSON.stringify(this.#tickets)}::json) as n (id uuid, conversation_id uuid, name text, route_pending_since timestamptz, linked_ticket_id uuid, created_at timestamptz)
      returning id, number, conversation_id`.execute(tx);
    for (const row of rows) {
      this.#unit.record({
        kind: 'TICKET_CREATED',
        channelId: channel.id,
        conversationId: row.conversation_id,
        ticketId: row.id,
        placeId: channel.place_id,
        why: 'CHANNEL',
      });
      this.#unit.wake({ kind: 'ticket', number: row.number, channelKey: channel.key, plugin: channel.plugin });
    }
  }

  /** What is rare, one by one, through the same commands that people use. */
  async #afterwards(): Promise<void> {
    for (const one of new Set(this.reopen)) await reopen(this.#unit, { conversationId: one.id }, 'CONTACT_WROTE');
    for (const one of new Set(this.#moved)) {
      this.#unit.record({ kind: 'CURRENT_CHANNEL_CHANGED', channelId: this.#channel.id, conversationId: one.id, ticketId: one.ticketId, placeId: one.placeId });
    }
    for (const one of new Set(this.keptClosed)) {
      const subject = await lockSubject(this.#unit.tx, { conversationId: one.id });
      if (subject.ownerId !== null) await notify(this.#unit, 'MESSAGE_IN_CLOSED', [subject.ownerId], subject);
    }
  }
}

/** The provider's date where there is one and it is not later than our receipt. */
function earlier(providers: string | undefined, receivedAt: string): string {
  const moment = providers === undefined ? Number.NaN : Date.parse(providers);
  return Number.isNaN(moment) || moment > Date.parse(receivedAt) ? receivedAt : new Date(moment).toISOString();
}

async function readChannel(tx: Tx, channelId: string): Promise<ChannelRow> {
  return tx
    .selectFrom('channel')
    .innerJoin('ticket_status', 'ticket_status.id', 'channel.default_status_id')
    .select([
      'channel.id',
      'key',
      'plugin',
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
    .select((eb) => eb('ticket_status.category', '=', 'CLOSED').as('default_closed'))
    .$castTo<ChannelRow>()
    .where('channel.id', '=', channelId)
    .executeTakeFirstOrThrow();
}

/** Leaves out messages this channel has already, an echo of our own send among them, which settles that send (FB-7, MODEL-4). */
async function onlyNew(unit: Unit, channel: ChannelRow, arrived: readonly ArrivedMessage[]): Promise<readonly ArrivedMessage[]> {
  const known = await unit.tx
    .selectFrom('message')
    .leftJoin('outbound', 'outbound.message_id', 'message.id')
    .select(['message.id', 'message.provider_message_id', 'message.conversation_id', 'outbound.state'])
    .where('message.channel_id', '=', channel.id)
    .where((eb) =>
      eb.or([
        sql<boolean>`message.provider_message_id = any(${arrived.map(({ event }) => event.providerMessageId)}::text[])`,
        sql<boolean>`message.id = any(${arrived.flatMap(({ event }) => ownId(event.outboundId))}::uuid[])`,
      ]),
    )
    .execute();
  for (const row of known) {
    if (row.state !== 'SENDING' && row.state !== 'MAYBE_SENT') continue;
    await unit.tx
      .updateTable('outbound')
      .set({ state: 'SENT', sending_since: null, failure_code: null, failure_reason: null, updated_at: sql<Date>`now()` })
      .where('message_id', '=', row.id)
      .where('state', 'in', ['SENDING', 'MAYBE_SENT'])
      .execute();
    await deliveryChanged(unit, row.conversation_id, channel.id, row.id, 'SENT');
  }
  const seen = new Set<string>();
  for (const row of known) {
    seen.add(row.id);
    if (row.provider_message_id !== null) seen.add(row.provider_message_id);
  }
  return arrived.filter(({ event }) => {
    if (seen.has(event.providerMessageId) || ownId(event.outboundId).some((id) => seen.has(id))) return false;
    seen.add(event.providerMessageId);
    return true;
  });
}

/** Where the batch's thread keys lead, those conversations locked in id order, and who takes part in each. */
async function readThreads(tx: Tx, channelId: string, arrived: readonly ArrivedMessage[]): Promise<{ keys: Map<string, string>; held: Map<string, Held> }> {
  const wanted = [...new Set(arrived.flatMap(({ event }) => [...event.thread.joins, ...event.thread.keys]))];
  const found = await tx
    .selectFrom('thread_key')
    .select(['key', 'conversation_id'])
    .where('channel_id', '=', channelId)
    .where(sql<boolean>`key = any(${wanted}::text[])`)
    .execute();
  const ids = [...new Set(found.map((row) => row.conversation_id))].toSorted();
  const held = new Map<string, Held>();
  if (ids.length > 0) {
    const rows = await tx
      .selectFrom('conversation')
      .leftJoin('ticket', 'ticket.id', 'conversation.ticket_id')
      .select([
        'conversation.id',
        'conversation.ticket_id',
        'ticket.number',
        'conversation.place_id',
        'conversation.channel_id',
        'conversation.closed_at',
        'conversation.last_message_at',
        'ticket.owner_id as ticket_owner',
        'conversation.owner_id',
      ])
      .where(sql<boolean>`conversation.id = any(${ids}::uuid[])`)
      .orderBy('conversation.id')
      .forNoKeyUpdate('conversation')
      .execute();
    for (const row of rows) {
      held.set(row.id, {
        id: row.id,
        ticketId: row.ticket_id,
        ticketNumber: row.number,
        ownerId: row.ticket_owner ?? row.owner_id,
        placeId: row.place_id,
        participants: new Set(),
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
    for (const row of takingPart) held.get(row.conversation_id)?.participants.add(identityKey(row));
  }
  return { keys: new Map(found.map((row) => [row.key, row.conversation_id])), held };
}

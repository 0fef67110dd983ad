import type { AttachmentLimits, Identity, InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { PlaceKind, Priority, Reopening } from '#db/schema.ts';
import { ticketName } from '#domain/threading.ts';
import { recordInboundAttachments } from './attachments.ts';
import { onContactReply } from './automation.ts';
import type { ChatflowBatch } from './chatflow-intake.ts';
import { ensureContacts, identityKey, type AddedIdentity } from './contacts.ts';
import { notify } from './notifications.ts';
import type { SafeParts } from './safe-html.ts';
import { lockSubject } from './subjects.ts';
import { reopen } from './tickets.ts';
import type { Unit } from './unit.ts';

/** A message with the delivery that brought it. */
export interface ArrivedMessage {
  readonly event: InboundMessage;
  /** Null: it came of catching up, without one. */
  readonly deliveryId: number | null;
  readonly receivedAt: string;
  /** What may be shown of its HTML; null: none of it. */
  readonly safe: SafeParts | null;
  /** A person let it pass whatever it was filtered for: the id it was filtered under. */
  readonly releasedAs: string | null;
  /** It came of catching up: it may be long past, and answered since. */
  readonly recovered?: boolean;
}

/** A message that is not here yet, with the id it is kept under. */
export interface NewMessage extends ArrivedMessage {
  readonly providerMessageId: string;
}

/** The channel the batch came in on. */
export interface BatchChannel {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly address: string;
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
  /** PostgreSQL's clock. */
  readonly now: Date;
}

/** A conversation as the batch knows it: read under its lock, or made by this batch. */
export interface Held {
  readonly id: string;
  readonly ticketId: string | null;
  readonly placeId: string;
  /** Whose it is; null: nobody's, or it begins in this batch. */
  readonly contactId: string | null;
  readonly participants: Set<string>;
  /** Those of them that the contact gave to be answered at. */
  readonly given: Set<string>;
  channelId: string;
  closedAt: Date | null;
  lastMessageAt: Date;
}

interface NewTicketRow {
  readonly id: string;
  readonly conversation_id: string;
  readonly name: string;
  readonly description: string | null;
  readonly route_pending_since: Date | null;
  readonly linked_ticket_id: string | null;
  readonly created_at: string;
}

/** Hours after which what catching up brings is history: no bot begins to talk about it. */
export const HISTORY_AFTER_HOURS = 1;

function isHistory({ recovered, event, receivedAt }: NewMessage, now: Date): boolean {
  return recovered === true && now.getTime() - Date.parse(earlier(event.occurredAt, receivedAt)) > HISTORY_AFTER_HOURS * 3_600_000;
}

/** Collects what a batch writes, and writes it by a number of statements that does not grow with the messages. */
export class Batch {
  readonly #unit: Unit;
  readonly #channel: BatchChannel;
  readonly #limits: AttachmentLimits | null;
  readonly #chatflows: ChatflowBatch;
  readonly #conversations: { readonly id: string; readonly contact: string | null; readonly last_message_at: string; readonly [column: string]: unknown }[] =
    [];
  readonly #tickets: NewTicketRow[] = [];
  #keys: { readonly key: string; readonly conversation_id: string }[] = [];
  readonly #participants = new Map<string, { readonly conversation_id: string; readonly kind: string; readonly value: string }>();
  readonly #messages: { readonly id: string; readonly contact: string | null; readonly [column: string]: unknown }[] = [];
  readonly #events: InboundMessage[] = [];
  readonly #touched = new Map<string, Held>();
  /** Begun here, and still without a message. */
  readonly #begun = new Set<string>();
  /** Those that go on by this channel, with the one they went by before. */
  readonly #moved = new Map<Held, string>();
  readonly #succeeded: { readonly from: string; readonly to: string }[] = [];
  readonly #reopened = new Set<Held>();
  readonly #keptClosed = new Set<Held>();
  readonly #answered = new Set<Held>();
  /** Whose newest message, of what catching up brought, is an answer of ours. */
  readonly #answeredSince = new Set<string>();
  readonly #proven = new Map<string, { readonly sender: Identity; readonly conversation: Held }>();

  /** `limits`: what a contact may attach. */
  constructor(unit: Unit, channel: BatchChannel, limits: AttachmentLimits | null, chatflows: ChatflowBatch) {
    this.#unit = unit;
    this.#channel = channel;
    this.#limits = limits;
    this.#chatflows = chatflows;
  }

  /** A new conversation where the channel lives, with a ticket in the help desk or where the channel makes them (CH-1). */
  start(message: NewMessage, previous: Held | undefined): Held {
    const { event, receivedAt } = message;
    const channel = this.#channel;
    const id = newId();
    // The successor of a conversation with a ticket has one too (MODEL-6).
    const withTicket = channel.place === 'HELP_DESK' || channel.create_tickets || (previous?.ticketId ?? null) !== null;
    const ticketId = withTicket ? newId() : null;
    // Off: it is taken in and kept, but nobody is chosen for it (CH-9). A bot answers before people do (CHAT-5).
    const bot = !isHistory(message, channel.now) && this.#chatflows.begin(id, event) === 'bot';
    const pending = !bot && channel.enabled && event.direction === 'inbound' ? channel.now : null;
    const occurredAt = earlier(event.occurredAt, receivedAt);
    this.#conversations.push({
      id,
      channel_id: channel.id,
      place_id: channel.place_id,
      place: channel.place,
      contact: contactKey(event),
      subject: event.subject ?? null,
      ticket_id: ticketId,
      route_pending_since: ticketId === null ? pending : null,
      previous_conversation_id: previous?.id ?? null,
      started_at: receivedAt,
      last_message_at: occurredAt,
    });
    if (ticketId !== null) {
      this.#tickets.push({
        id: ticketId,
        conversation_id: id,
        name: ticketName(event.subject, event.text),
        description: event.ticketDescription ?? null,
        route_pending_since: channel.default_closed ? null : pending,
        linked_ticket_id: previous?.ticketId ?? null,
        created_at: receivedAt,
      });
    }
    this.#unit.record({
      kind: 'CONVERSATION_STARTED',
      channelId: channel.id,
      conversationId: id,
      placeId: channel.place_id,
      why: previous === undefined ? 'FIRST_MESSAGE' : 'CLOSED_LONG_AGO',
    });
    const lastMessageAt = new Date(occurredAt);
    const target: Held = {
      id,
      ticketId,
      placeId: channel.place_id,
      contactId: null,
      participants: new Set(),
      given: new Set(),
      channelId: channel.id,
      closedAt: null,
      lastMessageAt,
    };
    this.#admit(event, target);
    this.#begun.add(id);
    return target;
  }

  /** From now on every key of the old thread leads to the new conversation, and whoever took part still does (MODEL-6). */
  succeed(keys: Map<string, string>, previous: Held, target: Held): void {
    for (const [key, id] of keys) if (id === previous.id) keys.set(key, target.id);
    this.#keys = this.#keys.map((row) => (row.conversation_id === previous.id ? { ...row, conversation_id: target.id } : row));
    for (const one of previous.participants) target.participants.add(one);
    this.#succeeded.push({ from: previous.id, to: target.id });
  }

  /** It was closed and is open from here on. */
  reopen(target: Held, event: InboundMessage): void {
    target.closedAt = null;
    this.#chatflows.reopen(target.id, event);
    this.#reopened.add(target);
  }

  /** A person wrote in it, and it stays closed. */
  keepClosed(target: Held): void {
    this.#keptClosed.add(target);
  }

  /** The contact wrote in it, and it was there before this message. */
  answer(target: Held): void {
    this.#answered.add(target);
  }

  /** The sender answers what was sent to them there: an address the contact gave is theirs from now on, where nobody has it. */
  prove({ contact }: InboundMessage, conversation: Held): void {
    if (contact === null || !conversation.given.has(identityKey(contact))) return;
    this.#proven.set(identityKey(contact), { sender: contact, conversation });
  }

  lead(keys: Map<string, string>, key: string, conversationId: string): void {
    keys.set(key, conversationId);
    this.#keys.push({ key, conversation_id: conversationId });
  }

  add(message: NewMessage, target: Held): void {
    const { event, receivedAt, safe } = message;
    const id = newId();
    const inbound = event.direction === 'inbound';
    // The provider's date counts, never later than our receipt (MODEL-4).
    const occurredAt = earlier(event.occurredAt, receivedAt);
    this.#messages.push({
      id,
      conversation_id: target.id,
      channel_id: this.#channel.id,
      direction: inbound ? 'INBOUND' : 'OUTBOUND',
      provider_message_id: message.providerMessageId,
      contact: inbound ? contactKey(event) : null,
      sender: inbound ? event.contact : null,
      automatic: event.automatic !== undefined,
      subject: event.subject ?? null,
      text: event.text,
      html: event.originalHtml ?? event.html ?? null,
      html_safe: safe?.html ?? null,
      quoted_text: event.quoted?.text ?? null,
      quoted_html_safe: safe?.quoted ?? null,
      choice: event.choice ?? null,
      authentication: event.authentication ?? null,
      participants: event.participants,
      occurred_at: occurredAt,
      received_at: receivedAt,
      counted_at: message.recovered === true ? occurredAt : null,
      raw_delivery_id: message.deliveryId,
    });
    this.#events.push(event);
    if (message.recovered === true && !inbound) this.#answeredSince.add(target.id);
    else this.#answeredSince.delete(target.id);
    // Who is named takes part from then on; but not by a machine's word, nor by somebody who is not who they say they are.
    if (event.automatic === undefined && event.authentication?.verdict !== 'fail') this.#admit(event, target);
    const newest = new Date(occurredAt) >= target.lastMessageAt;
    if (newest && target.channelId !== this.#channel.id) {
      this.#moved.set(target, target.channelId);
      target.channelId = this.#channel.id;
    }
    if (newest) target.lastMessageAt = new Date(occurredAt);
    // A conversation is written with its first message's date.
    if (!this.#begun.delete(target.id)) {
      this.#touched.set(target.id, target);
      if (!isHistory(message, this.#channel.now)) this.#chatflows.add(target.id, event);
    }
    this.#unit.record({
      kind: 'MESSAGE_RECEIVED',
      by: { actor: inbound ? 'CONTACT' : 'CHANNEL' },
      channelId: this.#channel.id,
      conversationId: target.id,
      ticketId: target.ticketId,
      messageId: id,
      placeId: target.placeId,
      ...(event.automatic === undefined
        ? { said: { by: inbound ? 'CONTACT' : 'PERSON', at: message.recovered === true ? occurredAt : receivedAt } }
        : { why: 'AUTOMATIC' }),
    });
  }

  async write(added: readonly AddedIdentity[]): Promise<void> {
    if (this.#messages.length === 0) return;
    const { tx } = this.#unit;
    const proven = await this.#holdProven(tx);
    const contacts = await ensureContacts(
      tx,
      this.#events.flatMap(({ contact }) => (contact === null ? [] : [contact])),
      added,
      proven,
    );
    this.#tellProven(proven, contacts);
    const contactId = (key: string | null): string | null => (key === null ? null : (contacts.get(key) ?? null));
    await this.#writeConversations(tx, contactId);
    await this.#writeTickets(tx);
    await this.#writeThreads(tx);
    await this.#writeMessages(tx, contactId);
    await this.#writeSubmissions(tx, contactId);
    await recordInboundAttachments(
      this.#unit,
      this.#channel,
      this.#limits,
      this.#messages.map(({ id }, at) => ({ messageId: id, refs: this.#events[at]?.attachments ?? [] })),
    );
    await this.#writeNewest(tx);
    await this.#closeDecisions(tx);
    await this.#afterwards();
  }

  /**
   * Of the addresses that were proven those that nobody has, with the contacts who gave them. Conversations are locked by now, so whoever is being erased at
   * this moment is passed over, not waited for; the sender then begins anew.
   */
  async #holdProven(tx: Tx): Promise<ReadonlyMap<string, string>> {
    if (this.#proven.size === 0) return new Map();
    const wanted = [...this.#proven.values()].map(({ sender: { kind, value }, conversation }) => ({ kind, value, contact_id: conversation.contactId }));
    const { rows } = await sql<{ kind: string; value: string; contact_id: string }>`
      select n.kind, n.value, c.id as contact_id
      from json_to_recordset(${json(wanted)}::json) as n (kind text, value text, contact_id uuid) join contact c on c.id = n.contact_id and c.erased_at is null
      where not exists (select 1 from contact_identity i where i.kind = n.kind and i.value = n.value)
      order by c.id for key share of c skip locked`.execute(tx);
    return new Map(rows.map((row) => [identityKey(row), row.contact_id]));
  }

  #tellProven(proven: ReadonlyMap<string, string>, contacts: ReadonlyMap<string, string>): void {
    for (const [key, contactId] of proven) {
      const one = this.#proven.get(key);
      // Another channel may have been first.
      if (one === undefined || contacts.get(key) !== contactId) continue;
      const { conversation, sender } = one;
      this.#unit.record({
        kind: 'CONTACT_CHANGED',
        channelId: this.#channel.id,
        conversationId: conversation.id,
        ticketId: conversation.ticketId,
        placeId: conversation.placeId,
        why: 'IDENTITY_PROVEN',
        data: { contactId, identity: sender.kind },
      });
    }
  }

  /** What was answered before it was fetched is nobody's to be given any more. */
  async #closeDecisions(tx: Tx): Promise<void> {
    if (this.#answeredSince.size === 0) return;
    const ids = [...this.#answeredSince];
    await sql`update conversation set route_pending_since = null, version = version + 1 where id = any(${ids}::uuid[]) and route_pending_since is not null`.execute(
      tx,
    );
    await sql`update ticket set route_pending_since = null, version = version + 1 where conversation_id = any(${ids}::uuid[]) and route_pending_since is not null`.execute(
      tx,
    );
  }

  /** What is new of conversations that were there, or have had more than their first message. */
  async #writeNewest(tx: Tx): Promise<void> {
    const rows = [...this.#touched.values()];
    if (rows.length === 0) return;
    await sql`
      update conversation c set last_message_at = greatest(c.last_message_at, n.at), channel_id = n.channel_id
      from json_to_recordset(${json(rows.map((one) => ({ id: one.id, at: one.lastMessageAt, channel_id: one.channelId })))}::json)
        as n (id uuid, at timestamptz, channel_id uuid)
      where c.id = n.id`.execute(tx);
  }

  #admit(event: InboundMessage, target: Held): void {
    for (const one of [event.contact, ...event.participants]) {
      if (one === null) continue;
      const key = identityKey(one);
      target.participants.add(key);
      this.#participants.set(`${target.id} ${key}`, { conversation_id: target.id, kind: one.kind, value: one.value });
    }
  }

  async #writeConversations(tx: Tx, contactId: (key: string | null) => string | null): Promise<void> {
    if (this.#conversations.length === 0) return;
    const rows = this.#conversations.map(({ contact, ...row }) => ({ ...row, contact_id: contactId(contact) }));
    await sql`
      insert into conversation (id, channel_id, origin_channel_id, place_id, place, contact_id, subject, ticket_id, route_pending_since, previous_conversation_id, started_at, last_message_at)
      select id, channel_id, channel_id, place_id, place, contact_id, subject, ticket_id, route_pending_since, previous_conversation_id, started_at, last_message_at
      from json_to_recordset(${json(rows)}::json) as n (id uuid, channel_id uuid, place_id uuid, place text, contact_id uuid,
        subject text, ticket_id uuid, route_pending_since timestamptz, previous_conversation_id uuid, started_at timestamptz, last_message_at timestamptz)`.execute(
      tx,
    );
  }

  async #writeTickets(tx: Tx): Promise<void> {
    if (this.#tickets.length === 0) return;
    const channel = this.#channel;
    const { rows } = await sql<{ id: string; number: number; conversation_id: string }>`
      insert into ticket (id, conversation_id, name, description, pipeline_id, status_id, priority, properties, source, route_pending_since, linked_ticket_id, created_at, closed_at)
      select id, conversation_id, name, description, ${channel.default_pipeline_id}, ${channel.default_status_id}, ${channel.default_priority},
        ${json(channel.default_properties)}::jsonb, ${channel.key}, route_pending_since, linked_ticket_id, created_at, ${channel.default_closed ? channel.now : null}
      from json_to_recordset(${json(this.#tickets)}::json) as n (id uuid, conversation_id uuid, name text, description text, route_pending_since timestamptz, linked_ticket_id uuid, created_at timestamptz)
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

  /** Keys and who takes part. A successor gets them all, those by which the old one is known on other channels too. */
  async #writeThreads(tx: Tx): Promise<void> {
    if (this.#succeeded.length > 0) {
      const pairs = json(this.#succeeded);
      await sql`update thread_key k set conversation_id = n."to"
        from json_to_recordset(${pairs}::json) as n ("from" uuid, "to" uuid) where k.conversation_id = n."from"`.execute(tx);
      await sql`insert into participant (conversation_id, kind, value, given_at)
        select n."to", p.kind, p.value, p.given_at from participant p join json_to_recordset(${pairs}::json) as n ("from" uuid, "to" uuid) on n."from" = p.conversation_id
        on conflict do nothing`.execute(tx);
    }
    if (this.#keys.length > 0) {
      await sql`
        insert into thread_key (channel_id, key, conversation_id)
        select distinct on (key) ${this.#channel.id}::uuid, key, conversation_id
        from json_to_recordset(${json(this.#keys.map((row, place) => ({ ...row, place })))}::json) as n (key text, conversation_id uuid, place int)
        order by key, place desc
        on conflict (channel_id, key) do update set conversation_id = excluded.conversation_id`.execute(tx);
    }
    if (this.#participants.size > 0) {
      await sql`
        insert into participant (conversation_id, kind, value)
        select conversation_id, kind, value from json_to_recordset(${json([...this.#participants.values()])}::json) as n (conversation_id uuid, kind text, value text)
        on conflict do nothing`.execute(tx);
    }
  }

  async #writeMessages(tx: Tx, contactId: (key: string | null) => string | null): Promise<void> {
    const rows = this.#messages.map(({ contact, ...row }) => ({ ...row, contact_id: contactId(contact) }));
    await sql`
      insert into message (id, conversation_id, channel_id, direction, provider_message_id, contact_id, sender, automatic, subject, text, html, html_safe,
        quoted_text, quoted_html_safe, authentication, participants, occurred_at, received_at, raw_delivery_id, choice, counted_at)
      select id, conversation_id, channel_id, direction, provider_message_id, contact_id, sender, automatic, subject, text, html, html_safe,
        quoted_text, quoted_html_safe, authentication, participants, occurred_at, received_at, raw_delivery_id, choice, counted_at
      from json_to_recordset(${json(rows)}::json) as n (id uuid, conversation_id uuid, channel_id uuid, direction text, provider_message_id text,
        contact_id uuid, sender jsonb, automatic boolean, subject text, text text, html text, html_safe text, quoted_text text, quoted_html_safe text,
        authentication jsonb, participants jsonb, occurred_at timestamptz, received_at timestamptz, raw_delivery_id bigint, choice text, counted_at timestamptz)`.execute(
      tx,
    );
  }

  /** A form's answers with the labels they had then, hidden ones too; the message shows what the plugin put there (FORM-3, FORM-4). */
  async #writeSubmissions(tx: Tx, contactId: (key: string | null) => string | null): Promise<void> {
    const rows = this.#messages.flatMap((message, at) => {
      const fields = this.#events[at]?.fields;
      if (fields === undefined) return [];
      return [{ message_id: message.id, contact_id: contactId(message.contact), fields, submitted_at: message['received_at'] }];
    });
    if (rows.length === 0) return;
    await sql`
      insert into form_submission (message_id, channel_id, contact_id, fields, submitted_at)
      select message_id, ${this.#channel.id}::uuid, contact_id, fields, submitted_at
      from json_to_recordset(${json(rows)}::json) as n (message_id uuid, contact_id uuid, fields jsonb, submitted_at timestamptz)`.execute(tx);
  }

  /** What is rare, one by one, through the same commands that people use; MODEL-6 first, then what the channel does with an open ticket (CH-8). */
  async #afterwards(): Promise<void> {
    for (const one of this.#reopened) await reopen(this.#unit, { conversationId: one.id }, 'CONTACT_WROTE');
    for (const [one, from] of this.#moved) {
      this.#unit.record({
        kind: 'CURRENT_CHANNEL_CHANGED',
        channelId: this.#channel.id,
        conversationId: one.id,
        ticketId: one.ticketId,
        placeId: one.placeId,
        data: { from, to: this.#channel.id },
      });
    }
    for (const one of this.#keptClosed) {
      const subject = await lockSubject(this.#unit.tx, { conversationId: one.id });
      if (subject.ownerId !== null) await notify(this.#unit, 'MESSAGE_IN_CLOSED', [subject.ownerId], subject);
    }
    await onContactReply(
      this.#unit,
      [...this.#answered].map((one) => one.id),
    );
    await this.#chatflows.write(
      this.#unit,
      this.#messages.map(({ id }) => id),
    );
  }
}

function contactKey(event: InboundMessage): string | null {
  return event.contact === null ? null : identityKey(event.contact);
}

function json(value: unknown): string {
  return JSON.stringify(value);
}

/** The provider's date where there is one and it is not later than our receipt. */
function earlier(providers: string | undefined, receivedAt: string): string {
  const moment = providers === undefined ? Number.NaN : Date.parse(providers);
  return Number.isNaN(moment) || moment > Date.parse(receivedAt) ? receivedAt : new Date(moment).toISOString();
}

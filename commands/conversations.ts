import type { Capabilities, Identity, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockChannelShared } from '#db/locks.ts';
import type { StoredIdentity } from '#db/schema.ts';
import { ticketName } from '#domain/threading.ts';
import { ensureContacts, identityKey } from './contacts.ts';
import { takeByReply } from './owners.ts';
import { InvalidInput, NotFound, NotPossible } from './refusals.ts';
import { lockSubject, subjectIds, type Subject } from './subjects.ts';
import type { Unit } from './unit.ts';

export interface Reply {
  readonly conversationId: string;
  readonly text: string;
  readonly html?: string | null;
}

/**
 * Writes an agent's reply and queues it on the conversation's current channel; if nobody has the conversation it becomes the sender's (ROUTE-2).
 * Throws `NotFound`, `NotPossible`, `InvalidInput`. The unit's actor must be a user.
 */
export async function reply(unit: Unit, plugins: readonly Plugin[], input: Reply): Promise<{ messageId: string }> {
  const userId = acting(unit);
  const channelId = await currentChannel(unit.tx, input.conversationId);
  await lockChannelShared(unit.tx, channelId);
  const subject = await lockSubject(unit.tx, { conversationId: input.conversationId });
  // Should a message of another channel have come between, the outbox finds out if that one is disconnected meanwhile.
  const channel = await sendingChannel(unit.tx, plugins, subject.channelId ?? channelId);
  checkText(input.text, channel.capabilities);
  const recipient = await recipientOf(unit.tx, input.conversationId, channel.capabilities);
  const messageId = await writeOutbound(unit, subject, userId, { text: input.text, html: input.html ?? null, recipient, kind: 'REPLY', subject: null });
  await takeByReply(unit, subject, userId);
  return { messageId };
}

/** An internal comment: never sent, changes neither current channel nor owner. */
export async function comment(unit: Unit, input: { readonly conversationId: string; readonly text: string }): Promise<{ messageId: string }> {
  const userId = acting(unit);
  if (input.text.trim() === '') throw new InvalidInput([{ path: 'text', message: 'must not be empty' }]);
  const subject = await lockSubject(unit.tx, { conversationId: input.conversationId });
  const { id } = await unit.tx
    .insertInto('message')
    .values({
      id: newId(),
      conversation_id: input.conversationId,
      direction: 'COMMENT',
      author_user_id: userId,
      text: input.text,
      occurred_at: sql<Date>`now()`,
      received_at: sql<Date>`now()`,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'COMMENT_WRITTEN', ...subjectIds(subject), messageId: id });
  return { messageId: id };
}

export interface NewConversation {
  readonly channelId: string;
  readonly to: StoredIdentity;
  readonly subject?: string | null;
  readonly text: string;
}

/** An agent's first message to somebody, where the plugin can start a conversation: the sender owns it (CH-11). Throws `NotFound`, `NotPossible`, `InvalidInput`. */
export async function startConversation(
  unit: Unit,
  plugins: readonly Plugin[],
  input: NewConversation,
): Promise<{ conversationId: string; messageId: string }> {
  const { tx } = unit;
  const userId = acting(unit);
  await lockChannelShared(tx, input.channelId);
  const channel = await sendingChannel(tx, plugins, input.channelId);
  if (channel.capabilities.outbound !== 'start') throw new NotPossible('CHANNEL_CANNOT_START');
  checkText(input.text, channel.capabilities);
  const to = checkRecipient(input.to, channel.capabilities);
  const contacts = await ensureContacts(tx, [to]);
  const conversationId = newId();
  const withTicket = channel.place === 'HELP_DESK';
  const ticketId = withTicket ? newId() : null;
  await tx
    .insertInto('conversation')
    .values({
      id: conversationId,
      channel_id: input.channelId,
      origin_channel_id: input.channelId,
      place_id: channel.place_id,
      place: channel.place,
      contact_id: contacts.get(identityKey(to)) ?? null,
      subject: input.subject ?? null,
      ticket_id: ticketId,
      owner_id: withTicket ? null : userId,
    })
    .execute();
  if (ticketId !== null) {
    await sql`
      insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, properties, source, owner_id)
      select ${ticketId}, ${conversationId}, ${ticketName(input.subject, input.text)}, default_pipeline_id, default_status_id, default_priority,
        default_properties, key, ${userId} from channel where id = ${input.channelId}`.execute(tx);
  }
  await tx.insertInto('participant').values({ conversation_id: conversationId, kind: to.kind, value: to.value }).execute();
  const subject = await lockSubject(tx, { conversationId });
  unit.record({ kind: 'CONVERSATION_STARTED', ...subjectIds(subject), why: 'BY_HAND' });
  if (ticketId !== null) {
    unit.record({ kind: 'TICKET_CREATED', ...subjectIds(subject), why: 'BY_HAND' });
    unit.wake({ kind: 'ticket', number: subject.ticketNumber ?? 0, channelKey: subject.channelKey, plugin: subject.plugin });
  }
  unit.record({ kind: 'OWNER_CHANGED', ...subjectIds(subject), userId, why: 'STARTED_IT', data: { from: null, to: userId, fromTeam: null, toTeam: null } });
  const messageId = await writeOutbound(unit, subject, userId, { text: input.text, html: null, recipient: to, kind: 'START', subject: input.subject ?? null });
  return { conversationId, messageId };
}

interface Outgoing {
  readonly text: string;
  readonly html: string | null;
  readonly subject: string | null;
  readonly recipient: StoredIdentity;
  readonly kind: 'REPLY' | 'START';
}

async function writeOutbound(unit: Unit, subject: Subject, userId: string, outgoing: Outgoing): Promise<string> {
  const { tx } = unit;
  const { conversationId, channelId, channelKey, plugin } = subject;
  if (conversationId === null || channelId === null || channelKey === null || plugin === null) throw new NotPossible('CHANNEL_CANNOT_SEND');
  const message = await tx
    .insertInto('message')
    .values({
      id: newId(),
      conversation_id: conversationId,
      channel_id: channelId,
      direction: 'OUTBOUND',
      author_user_id: userId,
      subject: outgoing.subject,
      text: outgoing.text,
      html: outgoing.html,
      occurred_at: sql<Date>`now()`,
      received_at: sql<Date>`now()`,
    })
    .returning(['id', 'arrival'])
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('outbound')
    .values({
      message_id: message.id,
      conversation_id: conversationId,
      channel_id: channelId,
      arrival: message.arrival,
      kind: outgoing.kind,
      sender: 'PERSON',
      recipient: JSON.stringify(outgoing.recipient),
    })
    .execute();
  await tx
    .updateTable('conversation')
    .set({ last_message_at: sql<Date>`greatest(last_message_at, now())` })
    .where('id', '=', conversationId)
    .execute();
  await tx
    .insertInto('participant')
    .values({ conversation_id: conversationId, kind: outgoing.recipient.kind, value: outgoing.recipient.value })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  unit.record({ kind: 'MESSAGE_WRITTEN', ...subjectIds(subject), messageId: message.id, why: outgoing.kind });
  unit.wake({ kind: 'outbox', conversationId, channelKey, plugin });
  return message.id;
}

interface SendingChannel {
  readonly place: 'INBOX' | 'HELP_DESK';
  readonly place_id: string;
  readonly capabilities: Capabilities;
}

async function sendingChannel(tx: Tx, plugins: readonly Plugin[], channelId: string): Promise<SendingChannel> {
  const channel = await tx.selectFrom('channel').select(['place', 'place_id', 'plugin', 'disconnected_at']).where('id', '=', channelId).executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  const plugin = plugins.find((one) => one.key === channel.plugin);
  if (plugin === undefined || plugin.capabilities.outbound === 'none') throw new NotPossible('CHANNEL_CANNOT_SEND');
  return { place: channel.place, place_id: channel.place_id, capabilities: plugin.capabilities };
}

async function currentChannel(tx: Tx, conversationId: string): Promise<string> {
  const row = await tx.selectFrom('conversation').select('channel_id').where('id', '=', conversationId).executeTakeFirst();
  if (row === undefined) throw new NotFound('conversation', conversationId);
  return row.channel_id;
}

/** Whom a reply goes to: who wrote last on this channel, else an identity of the contact that the channel can reach. */
async function recipientOf(tx: Tx, conversationId: string, capabilities: Capabilities): Promise<StoredIdentity> {
  const kinds = [...capabilities.identities];
  const { rows } = await sql<{ recipient: StoredIdentity | null }>`
    select coalesce(
      (select m.sender from message m where m.conversation_id = c.id and m.direction = 'INBOUND' and not m.automatic
         and m.sender ->> 'kind' = any(${kinds}::text[]) order by m.occurred_at desc, m.arrival desc limit 1),
      (select jsonb_build_object('kind', i.kind, 'value', i.value) from contact_identity i
         where i.contact_id = c.contact_id and i.kind = any(${kinds}::text[]) order by i.created_at limit 1)
    ) as recipient
    from conversation c where c.id = ${conversationId}`.execute(tx);
  const recipient = rows[0]?.recipient;
  if (recipient === undefined || recipient === null) throw new NotPossible('NO_CONTACT');
  return recipient;
}

function checkText(text: string, capabilities: Capabilities): void {
  if (text.trim() === '') throw new InvalidInput([{ path: 'text', message: 'must not be empty' }]);
  const limit = capabilities.outboundContent.maxTextLength;
  if (limit !== null && text.length > limit)
    throw new InvalidInput([{ path: 'text', message: `is ${text.length} characters long, this channel takes ${limit}` }]);
}

function checkRecipient(to: StoredIdentity, capabilities: Capabilities): Identity {
  const kind = capabilities.identities.find((one) => one === to.kind);
  if (kind === undefined) throw new InvalidInput([{ path: 'to.kind', message: `this channel reaches ${capabilities.identities.join(', ')}` }]);
  const value = kind === 'email-address' ? to.value.trim().toLowerCase() : to.value.trim();
  if (value === '' || (kind === 'email-address' && !/^[^\s@<>,;]+@[^\s@<>,;]+$/.test(value))) {
    throw new InvalidInput([{ path: 'to.value', message: `is not a valid ${kind}` }]);
  }
  return { kind, value, ...(to.name === undefined ? {} : { name: to.name }) };
}

function acting(unit: Unit): string {
  if (unit.actor.actor !== 'USER') throw new Error('only a user writes messages');
  return unit.actor.userId;
}

import type { Capabilities, Identity, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockChannelShared, tryLockChannelShared } from '#db/locks.ts';
import type { StoredIdentity, StoredTemplate } from '#db/schema.ts';
import { ticketName } from '#domain/threading.ts';
import { onAgentReply } from './automation.ts';
import { endRuns } from './chatflow-ends.ts';
import { ensureContacts, identityKey } from './contacts.ts';
import { canUseTemplate, requireOpenWindow } from './messaging-windows.ts';
import { takeByReply } from './owners.ts';
import { ChangedMeanwhile, InvalidInput, NotFound, NotPossible } from './refusals.ts';
import { reachedAt } from './recipients.ts';
import { chooseChannel } from './reply-channels.ts';
import { lockSubject, subjectIds, type Subject } from './subjects.ts';
import type { ChosenTemplate } from './templates.ts';
import { attachUploads } from './uploads.ts';
import type { Unit } from './unit.ts';

export interface Reply {
  readonly conversationId: string;
  readonly text: string;
  readonly html?: string | null;
  /** The channel to answer through; none: the conversation's current one, or where that can not send, the one its settings prefer (FORM-3). */
  readonly channelId?: string | null;
  /** Uploads of the sender's that go along. */
  readonly uploadIds?: readonly string[];
  /** An approved text of the provider's, in place of one's own. */
  readonly template?: ChosenTemplate | null;
}

/**
 * Writes an agent's reply and queues it; the channel it goes through is the conversation's current one from then on (MODEL-5). If nobody has the
 * conversation it becomes the sender's (ROUTE-2). Throws `NotFound`, `NotPossible`, `NoReplyChannel`, `OutsideWindow`, `ChangedMeanwhile`, `InvalidInput`, `FilesRefused`. The
 * unit's actor must be a user.
 */
export async function reply(unit: Unit, plugins: readonly Plugin[], input: Reply): Promise<{ messageId: string }> {
  const { tx } = unit;
  const userId = acting(unit);
  const { subject, channelId } = await lockForReply(tx, plugins, userId, input);
  const channel = await sendingChannel(tx, plugins, channelId);
  const template = input.template ?? null;
  // It is of the channel that was the conversation's when it was chosen.
  if (template !== null && template.channelId !== channelId) throw new ChangedMeanwhile('conversation');
  const text = saidBy(input, channel.capabilities);
  // Some providers take an approved text when free words may no longer be said (WA-2).
  if (template === null || !canUseTemplate(channel.capabilities.windows, 'person')) {
    await requireOpenWindow(tx, channel.capabilities.windows, { conversationId: input.conversationId, channelId, sender: 'person' });
  }
  const recipient = await recipientOf(tx, input.conversationId, channel.capabilities);
  const start = channelId === subject.channelId ? null : await startsThread(tx, input.conversationId, channel);
  const messageId = await writeOutbound(unit, subject, channel, {
    userId,
    text,
    html: input.html ?? null,
    template,
    recipient,
    kind: start === null ? 'REPLY' : 'START',
    subject: start?.subject ?? null,
    uploadIds: input.uploadIds ?? [],
  });
  await endRuns(unit, [input.conversationId], 'TAKEN_OVER', 'REPLIED');
  await takeByReply(unit, subject, userId);
  await onAgentReply(unit, subject);
  return { messageId };
}

/** Chooses the channel, takes its lock and that of the current one, then the conversation's. What another message changed in between is chosen anew. */
export async function lockForReply(
  tx: Tx,
  plugins: readonly Plugin[],
  userId: string,
  input: Pick<Reply, 'conversationId' | 'channelId'>,
): Promise<{ subject: Subject; channelId: string }> {
  const asked = { conversationId: input.conversationId, userId, channelId: input.channelId ?? null };
  const { channelId, currentId } = await chooseChannel(tx, plugins, asked);
  for (const id of [...new Set([channelId, currentId])].toSorted()) await lockChannelShared(tx, id);
  const subject = await lockSubject(tx, { conversationId: input.conversationId });
  if (subject.channelId === currentId) return { subject, channelId };
  const now = await chooseChannel(tx, plugins, asked);
  // Locks of channels come before the conversation's: with it held already, waiting for one could be for ever.
  if (!(await tryLockChannelShared(tx, now.channelId))) throw new ChangedMeanwhile('conversation');
  return { subject, channelId: now.channelId };
}

/** An internal comment: never sent, changes neither current channel nor owner. */
export async function comment(
  unit: Unit,
  input: { readonly conversationId: string; readonly text: string; readonly uploadIds?: readonly string[] },
): Promise<{ messageId: string }> {
  const userId = acting(unit);
  checkNotEmpty(input.text, input.uploadIds);
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
  await attachUploads(unit, id, userId, input.uploadIds ?? [], 'comment');
  unit.record({ kind: 'COMMENT_WRITTEN', ...subjectIds(subject), messageId: id });
  return { messageId: id };
}

export interface NewConversation {
  readonly channelId: string;
  /** Its value in the canonical form, as in the events of plugins. */
  readonly to: StoredIdentity;
  readonly subject?: string | null;
  readonly text: string;
  readonly uploadIds?: readonly string[];
  /** An approved text of the provider's, in place of one's own. */
  readonly template?: ChosenTemplate | null;
}

/** An agent's first message to somebody, where the plugin can start a conversation: the sender owns it (CH-11). Throws `NotFound`, `NotPossible`, `InvalidInput`, `FilesRefused`. */
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
  const text = saidBy(input, channel.capabilities);
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
      select ${ticketId}, ${conversationId}, ${ticketName(input.subject, text)}, default_pipeline_id, default_status_id, default_priority,
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
  const messageId = await writeOutbound(unit, subject, channel, {
    userId,
    text,
    html: null,
    template: input.template ?? null,
    recipient: to,
    kind: 'START',
    subject: input.subject ?? null,
    uploadIds: input.uploadIds ?? [],
  });
  return { conversationId, messageId };
}

interface Outgoing {
  /** Whose words they are. */
  readonly userId: string;
  /** Who sends them; none: that person. */
  readonly sender?: 'AUTOMATION';
  /** For the timeline; none: its kind. */
  readonly why?: string;
  readonly text: string;
  readonly html: string | null;
  readonly template: StoredTemplate | null;
  readonly subject: string | null;
  readonly recipient: StoredIdentity;
  readonly kind: 'REPLY' | 'START';
  readonly uploadIds: readonly string[];
}

/** The subject must be locked, and the channel: it becomes the conversation's current one. */
export async function writeOutbound(unit: Unit, subject: Subject, channel: SendingChannel, outgoing: Outgoing): Promise<string> {
  const { tx } = unit;
  const { conversationId } = subject;
  if (conversationId === null) throw new NotPossible('CHANNEL_CANNOT_SEND');
  // Dated after what came while this transaction waited for its locks: the current channel is that of the newest message (MODEL-5). The moment
  // travels as text, for a date of JavaScript's loses the microseconds that tell the two apart.
  const { at } = await tx
    .updateTable('conversation')
    .set({ channel_id: channel.id, last_message_at: sql<Date>`greatest(last_message_at, clock_timestamp())` })
    .where('id', '=', conversationId)
    .returning(sql<string>`last_message_at::text`.as('at'))
    .executeTakeFirstOrThrow();
  const id = newId();
  const shown = isShownOnceWritten(channel.capabilities, outgoing);
  const message = await tx
    .insertInto('message')
    .values({
      id,
      ...(shown ? { provider_message_id: id } : {}),
      conversation_id: conversationId,
      channel_id: channel.id,
      direction: 'OUTBOUND',
      author_user_id: outgoing.userId,
      automatic: outgoing.sender === 'AUTOMATION',
      subject: outgoing.subject,
      text: outgoing.text,
      html: outgoing.html,
      occurred_at: sql<Date>`${at}::timestamptz`,
      received_at: sql<Date>`${at}::timestamptz`,
    })
    .returning(['id', 'arrival'])
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('outbound')
    .values({
      message_id: message.id,
      conversation_id: conversationId,
      channel_id: channel.id,
      arrival: message.arrival,
      kind: outgoing.kind,
      sender: outgoing.sender ?? 'PERSON',
      recipient: JSON.stringify(outgoing.recipient),
      template: outgoing.template === null ? null : storedTemplate(outgoing.template),
      ...(shown ? { state: 'SENT', attempt: 1 } : {}),
    })
    .execute();
  await attachUploads(unit, message.id, outgoing.userId, outgoing.uploadIds, channel.capabilities.outboundContent.attachments);
  await tx
    .insertInto('participant')
    .values({ conversation_id: conversationId, kind: outgoing.recipient.kind, value: outgoing.recipient.value })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const ids = { ...subjectIds(subject), channelId: channel.id };
  // The conversation keeps its place. One that is in an inbox and now goes on through a channel that was moved with all of its conversations follows
  // it to the help desk; that is the move's doing (MODEL-10), which finds it by this event and by the row.
  if (channel.id !== subject.channelId) {
    unit.record({ kind: 'CURRENT_CHANNEL_CHANGED', ...ids, why: 'REPLY', data: { from: subject.channelId, to: channel.id } });
  }
  const said = outgoing.sender === 'AUTOMATION' ? {} : { said: { by: 'PERSON' as const } };
  unit.record({ kind: 'MESSAGE_WRITTEN', ...ids, messageId: message.id, why: outgoing.why ?? outgoing.kind, ...said });
  if (!shown) unit.wake({ kind: 'outbox', conversationId, channelKey: channel.key, plugin: channel.plugin });
  return message.id;
}

/** A page has it with the commit: there is nothing to hand to anybody. */
function isShownOnceWritten({ shownByPage }: Capabilities, { template, uploadIds }: Outgoing): boolean {
  return shownByPage === true && template === null && uploadIds.length === 0;
}

interface SendingChannel {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly place: 'INBOX' | 'HELP_DESK';
  readonly place_id: string;
  readonly capabilities: Capabilities;
}

export async function sendingChannel(tx: Tx, plugins: readonly Plugin[], channelId: string): Promise<SendingChannel> {
  const channel = await tx
    .selectFrom('channel')
    .select(['id', 'key', 'place', 'place_id', 'plugin', 'disconnected_at'])
    .where('id', '=', channelId)
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  const plugin = plugins.find((one) => one.key === channel.plugin);
  if (plugin === undefined || plugin.capabilities.outbound === 'none') throw new NotPossible('CHANNEL_CANNOT_SEND');
  return { ...channel, capabilities: plugin.capabilities };
}

/**
 * Nothing of the conversation has come or gone through this channel yet: it has no thread there to answer in. The subject to begin one with; what began
 * without any, and goes on where there are subjects, has the name its contact knows: that of the channel it began on.
 */
export async function startsThread(tx: Tx, conversationId: string, channel: SendingChannel): Promise<{ readonly subject: string | null } | null> {
  const { rows } = await sql<{ subject: string | null; name: string }>`
    select nullif(trim(c.subject), '') as subject, h.name from conversation c join channel h on h.id = c.origin_channel_id where c.id = ${conversationId}
      and not exists (select 1 from message m where m.conversation_id = c.id and m.channel_id = ${channel.id})`.execute(tx);
  const [row] = rows;
  if (row === undefined) return null;
  return { subject: row.subject ?? (channel.capabilities.outboundContent.subject ? `Your conversation with ${row.name}` : null) };
}

/** Whom a reply goes to: who wrote last on this channel, or the address that was given since; else an identity of the contact that the channel can reach. */
export async function recipientOf(tx: Tx, conversationId: string, capabilities: Capabilities): Promise<StoredIdentity> {
  const recipient = await reachedAt(tx, conversationId, capabilities.identities);
  if (recipient === null) throw new NotPossible('NO_CONTACT');
  return recipient;
}

function storedTemplate({ name, language, parameters }: StoredTemplate): string {
  return JSON.stringify({ name, language, parameters });
}

/** One's own words, or the template's: not both. */
function saidBy({ text, html, uploadIds = [], template }: Pick<Reply, 'text' | 'html' | 'uploadIds' | 'template'>, capabilities: Capabilities): string {
  if (template == null) {
    checkText(text, capabilities, uploadIds);
    return text;
  }
  const beside = [text.trim() === '' ? [] : ['text'], (html ?? '') === '' ? [] : ['html'], uploadIds.length === 0 ? [] : ['attachmentIds']].flat();
  if (beside.length > 0) throw new InvalidInput(beside.map((path) => ({ path, message: 'a template brings all that is said' })));
  return template.text;
}

/** Files may go along without a word. */
function checkNotEmpty(text: string, uploadIds: readonly string[] = []): void {
  if (text.trim() === '' && uploadIds.length === 0) throw new InvalidInput([{ path: 'text', message: 'must not be empty' }]);
}

function checkText(text: string, capabilities: Capabilities, uploadIds: readonly string[] = []): void {
  checkNotEmpty(text, uploadIds);
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

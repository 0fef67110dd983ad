import type { MessagingWindow } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { StoredIdentity, StoredQuickReply } from '#db/schema.ts';
import { leaveOutOutsideWindow } from './messaging-windows.ts';
import { subjectIds, type Subject } from './subjects.ts';
import type { Unit } from './unit.ts';

/** What an automation says: plain text. */
export interface AutomatedMessage {
  readonly text: string;
  /** Written out as a list where the channel's plugin can not show them. */
  readonly quickReplies?: readonly StoredQuickReply[];
  /** Which automation, a code for the timeline. */
  readonly why: 'CHATFLOW' | 'ON_CLOSE';
  /** What the channel's plugin declares: outside of them nothing is written, and the timeline says so. */
  readonly windows?: readonly MessagingWindow[];
}

/**
 * Writes an automation's message and queues it through the conversation's current channel, which the caller holds shared, and the conversation locked. It
 * is nobody's reply: it takes no ownership and is no first reply of a person. Null: nobody to write to, for they were erased or have never written there.
 */
export async function writeAutomated(unit: Unit, subject: Subject, { text, quickReplies, why, windows = [] }: AutomatedMessage): Promise<string | null> {
  const { tx } = unit;
  const { conversationId, channelId, channelKey, plugin } = subject;
  if (conversationId === null || channelId === null || channelKey === null || plugin === null) return null;
  const recipient = await automatedRecipient(tx, conversationId, channelId);
  if (recipient === null || (await leaveOutOutsideWindow(unit, subject, windows, why))) return null;
  // Dated after what came while this transaction waited for its locks, as a person's reply is (MODEL-5).
  const { at } = await tx
    .updateTable('conversation')
    .set({ last_message_at: sql<Date>`greatest(last_message_at, clock_timestamp())` })
    .where('id', '=', conversationId)
    .returning(sql<string>`last_message_at::text`.as('at'))
    .executeTakeFirstOrThrow();
  const message = await tx
    .insertInto('message')
    .values({
      id: newId(),
      conversation_id: conversationId,
      channel_id: channelId,
      direction: 'OUTBOUND',
      automatic: true,
      text,
      quick_replies: quickReplies === undefined || quickReplies.length === 0 ? null : JSON.stringify(quickReplies),
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
      channel_id: channelId,
      arrival: message.arrival,
      kind: 'REPLY',
      sender: 'AUTOMATION',
      recipient: JSON.stringify(recipient),
    })
    .execute();
  unit.record({ kind: 'MESSAGE_WRITTEN', by: { actor: 'SYSTEM' }, ...subjectIds(subject), messageId: message.id, why });
  unit.wake({ kind: 'outbox', conversationId, channelKey, plugin });
  return message.id;
}

/** Who wrote last by this channel, else whom we wrote to by it. */
async function automatedRecipient(tx: Tx, conversationId: string, channelId: string): Promise<StoredIdentity | null> {
  const { rows } = await sql<{ recipient: StoredIdentity | null }>`
    select coalesce(
      (select m.sender from message m
        where m.conversation_id = c.id and m.channel_id = ${channelId} and m.direction = 'INBOUND' and not m.automatic and m.sender is not null
        order by m.occurred_at desc, m.arrival desc limit 1),
      (select o.recipient from outbound o where o.conversation_id = c.id and o.channel_id = ${channelId} order by o.arrival desc limit 1)) as recipient
    from conversation c join contact p on p.id = c.contact_id and p.erased_at is null
    where c.id = ${conversationId}`.execute(tx);
  return rows[0]?.recipient ?? null;
}

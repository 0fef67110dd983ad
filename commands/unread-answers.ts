import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { Wake } from '#domain/wake.ts';
import { lockForReply, recipientOf, sendingChannel, startsThread, writeOutbound } from './conversations.ts';
import { requireOpenWindow } from './messaging-windows.ts';
import { ChangedMeanwhile, Refusal } from './refusals.ts';
import { transact, type Unit } from './unit.ts';

/** States of an answer that its page has not shown, as far as anybody knows. */
const UNREAD = ['QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'MAYBE_SENT'];

/**
 * Sends on what people answered on a live page to visitors who then left without reading it, through the channel an answer would go through now (CHAT-3): once, however
 * many processes look. At most `limit` visitors; one whose conversation fails stays due, and the first failure is thrown once the others are done.
 */
export async function carryUnread(db: Db, plugins: readonly Plugin[], limit: number): Promise<readonly Wake[]> {
  const { rows: left } = await sql<LeftVisitor>`
    select channel_id, kind, value, seen_at::text as seen_at from visitor_presence where unread_due order by seen_at limit ${limit}`.execute(db);
  const wakes: Wake[] = [];
  const failures: unknown[] = [];
  for (const one of left) {
    try {
      for (const conversationId of await unreadConversations(db, one)) wakes.push(...(await carry(db, plugins, conversationId, one.channel_id)));
      await settle(db, one);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return wakes;
}

interface LeftVisitor {
  readonly channel_id: string;
  readonly kind: string;
  readonly value: string;
  /** As text, for a date of JavaScript's loses the microseconds. */
  readonly seen_at: string;
}

async function unreadConversations(db: Db, { channel_id, kind, value }: LeftVisitor): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select c.id from contact_identity i join conversation c on c.contact_id = i.contact_id and c.status = 'OPEN'
    where i.kind = ${kind} and i.value = ${value} and exists (
      select 1 from outbound o where o.conversation_id = c.id and o.channel_id = ${channel_id} and o.sender = 'PERSON'
        and o.state = any(${UNREAD}::text[]) and o.carried_by is null)
    order by c.id`.execute(db);
  return rows.map((row) => row.id);
}

/** Not where they came and left again meanwhile: that is looked at anew. */
async function settle(db: Db, { channel_id, kind, value, seen_at }: LeftVisitor): Promise<void> {
  await sql`update visitor_presence set unread_due = false
    where channel_id = ${channel_id} and kind = ${kind} and value = ${value} and seen_at = ${seen_at}::timestamptz and unread_due`.execute(db);
}

async function carry(db: Db, plugins: readonly Plugin[], conversationId: string, pageId: string): Promise<readonly Wake[]> {
  try {
    return (await transact(db, { actor: 'SYSTEM' }, (unit) => carryOne(unit, plugins, conversationId, pageId))).wakes;
  } catch (error) {
    // No channel can be chosen, or none may say anything now: the answers wait on the page.
    if (error instanceof Refusal && !(error instanceof ChangedMeanwhile)) return [];
    throw error;
  }
}

/** One message of them all, in the name of who wrote the last: nobody's reply, so it changes no owner. */
async function carryOne(unit: Unit, plugins: readonly Plugin[], conversationId: string, pageId: string): Promise<void> {
  const { tx } = unit;
  const { rows: authors } = await sql<{ user_id: string | null }>`
    select m.author_user_id as user_id from outbound o join message m on m.id = o.message_id
    where o.conversation_id = ${conversationId} and o.channel_id = ${pageId} and o.sender = 'PERSON' and o.carried_by is null
    order by o.arrival desc limit 1`.execute(tx);
  const userId = authors[0]?.user_id ?? null;
  if (userId === null) return;
  const { subject, channelId } = await lockForReply(tx, plugins, userId, { conversationId, channelId: null });
  if (channelId === pageId || subject.conversationOpen !== true) return;
  // Under the conversation's lock: who comes second finds them carried.
  const { rows } = await sql<{ message_id: string; text: string }>`
    select o.message_id, m.text from outbound o join message m on m.id = o.message_id
    where o.conversation_id = ${conversationId} and o.channel_id = ${pageId} and o.sender = 'PERSON' and o.state = any(${UNREAD}::text[])
      and o.carried_by is null and m.text <> ''
    order by o.arrival for no key update of o`.execute(tx);
  if (rows.length === 0) return;
  const channel = await sendingChannel(tx, plugins, channelId);
  await requireOpenWindow(tx, channel.capabilities.windows, { conversationId, channelId, sender: 'automation' });
  const recipient = await recipientOf(tx, conversationId, channel.capabilities);
  const start = channelId === subject.channelId ? null : await startsThread(tx, conversationId, channel);
  const messageId = await writeOutbound(unit, subject, channel, {
    userId,
    sender: 'AUTOMATION',
    why: 'UNREAD_WHEN_LEFT',
    text: rows.map((row) => row.text).join('\n\n'),
    html: null,
    template: null,
    recipient,
    kind: start === null ? 'REPLY' : 'START',
    subject: start?.subject ?? null,
    uploadIds: [],
  });
  await sql`update outbound set carried_by = ${messageId} where message_id = any(${rows.map((row) => row.message_id)}::uuid[])`.execute(tx);
}

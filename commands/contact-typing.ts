import type { Capabilities, Identity, InboundEvent } from '@trunkline/channel-sdk';
import { announceTyping } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import { openConversation } from './visitor-messages.ts';

/** Seconds after which it is of no more use to know that somebody was writing. */
export const TYPING_FRESH_SECONDS = 10;
/** Contacts of one batch that are told of; a signal that is left out is made good by the next. */
const MOST_AT_ONCE = 50;

/** What was parsed of one delivery. */
interface Arrived {
  readonly receivedAt: string;
  readonly events: readonly InboundEvent[];
}

/**
 * Tells agents who of a channel's contacts is writing, as their provider says it: after the batch it came with was taken in, where it is fresh, and never
 * stored (CHAT-2). Where a contact has no open conversation there is nobody to tell. Resolves with how many were told of; a failure is nobody's.
 */
export async function tellTyping(
  db: Db,
  { typing }: Pick<Capabilities, 'typing'>,
  channelId: string,
  arrived: readonly Arrived[],
  now: number,
): Promise<number> {
  if (!typing) return 0;
  const isFresh = (at: string): boolean => now - Date.parse(at) < TYPING_FRESH_SECONDS * 1000;
  const writing = new Map<string, Identity>();
  for (const { receivedAt, events } of arrived) {
    if (!isFresh(receivedAt)) continue;
    for (const event of events) {
      if (event.type === 'typing' && isFresh(event.occurredAt ?? receivedAt)) writing.set(`${event.contact.kind} ${event.contact.value}`, event.contact);
    }
  }
  let told = 0;
  for (const visitor of [...writing.values()].slice(0, MOST_AT_ONCE)) {
    const conversationId = await openConversation(db, { channelId, visitor }).catch(() => null);
    if (conversationId === null) continue;
    announceTyping(db, { conversationId, channelId, userId: null });
    told += 1;
  }
  return told;
}

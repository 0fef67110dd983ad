/** What a channel's setting says of a contact's message in a closed conversation. */
export interface ReopeningPolicy {
  readonly reopening: 'REOPEN' | 'NEW_AFTER' | 'KEEP_CLOSED';
  /** Days since closing; set with NEW_AFTER only. */
  readonly reopenDays: number | null;
}

/** A conversation a thread key led to, as far as the decision needs it. */
export interface FoundConversation {
  readonly closedAt: Date | null;
  readonly senderTakesPart: boolean;
}

/** What an arriving message's keys lead to: the first known key of each list counts; null: none of that list is known. */
export interface FoundThreads<Found extends FoundConversation> {
  /** By a key that only we could have signed. */
  readonly proven: Found | null;
  /** By a key that anybody can write: a header. */
  readonly named: Found | null;
  /** By the first of those keys that is the id of a message we sent. */
  readonly sent: Found | null;
}

export interface ArrivingMessage {
  /** Written by a machine; null: by a person. */
  readonly automatic: 'auto-reply' | 'bounce' | null;
  /** Whether the sender is who they say they are; null: the plugin's provider vouches for every sender. */
  readonly verdict: 'pass' | 'fail' | 'unknown' | null;
}

/**
 * The conversation a message may join, or null (EMAIL-5, EMAIL-8). A signed key comes first and needs no proof of the sender; a header joins only
 * where the sender is who they say they are. Both join only somebody who takes part, where the plugin asks for that. A bounce is excepted from
 * that: it comes from a mail server, which takes part in nothing and signs for nobody, and it changes no state. But only what we sent can come
 * back, so it joins by our signed key or by the id of a message of ours, and never by a contact's.
 */
export function joinable<Found extends FoundConversation>(
  message: ArrivingMessage,
  { proven, named, sent }: FoundThreads<Found>,
  joinsParticipantsOnly: boolean,
): Found | null {
  if (message.automatic === 'bounce') return proven ?? sent;
  const welcome = (found: Found): boolean => !joinsParticipantsOnly || found.senderTakesPart;
  if (proven !== null && welcome(proven)) return proven;
  const vouched = message.verdict === null || message.verdict === 'pass';
  return named !== null && vouched && welcome(named) ? named : null;
}

/**
 * What becomes of a message: `start` a conversation, `continue` an open one, `reopen` a closed one, `succeed` it by a new one linked to
 * the old, be `kept` in a closed one that stays closed, or be `filtered` (automatic mail that answers nothing of ours).
 */
export type Placement = 'start' | 'continue' | 'reopen' | 'succeed' | 'kept' | 'filtered';

const DAY_MS = 86_400_000;

/** What becomes of a message that joins `joined`, or nothing where it is null (MODEL-6, EMAIL-6). Pure. */
export function placeMessage(message: Pick<ArrivingMessage, 'automatic'>, joined: FoundConversation | null, policy: ReopeningPolicy, now: Date): Placement {
  const automatic = message.automatic !== null;
  if (joined === null) return automatic ? 'filtered' : 'start';
  if (joined.closedAt === null) return 'continue';
  if (automatic) return 'kept';
  switch (policy.reopening) {
    case 'REOPEN':
      return 'reopen';
    case 'KEEP_CLOSED':
      return 'kept';
    case 'NEW_AFTER':
      return now.getTime() - joined.closedAt.getTime() >= (policy.reopenDays ?? 0) * DAY_MS ? 'succeed' : 'reopen';
  }
}

/** A ticket's name: the subject, else the first words of the text, at most 120 characters, never empty. */
export function ticketName(subject: string | null | undefined, text: string): string {
  const line = (subject ?? '').trim() || text.trim().replace(/\s+/g, ' ');
  if (line === '') return '(no subject)';
  return line.length <= 120 ? line : `${line.slice(0, 119).trimEnd()}…`;
}

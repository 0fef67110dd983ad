/** What a channel's setting says of a contact's message in a closed conversation. */
export interface ReopeningPolicy {
  readonly reopening: 'REOPEN' | 'NEW_AFTER' | 'KEEP_CLOSED';
  /** Days since closing; set with NEW_AFTER only. */
  readonly reopenDays: number | null;
}

/** The conversation a thread key led to, as far as the decision needs it. */
export interface FoundConversation {
  readonly closedAt: Date | null;
  readonly senderTakesPart: boolean;
}

export interface ArrivingMessage {
  readonly automatic: boolean;
}

/**
 * What becomes of a message: `start` a conversation, `continue` an open one, `reopen` a closed one, `succeed` it by a new one linked to
 * the old, be `kept` in a closed one that stays closed, or be `filtered` (automatic mail that answers nothing of ours).
 */
export type Placement = 'start' | 'continue' | 'reopen' | 'succeed' | 'kept' | 'filtered';

const DAY_MS = 86_400_000;

/** Where an arriving message goes (MODEL-6, EMAIL-5, EMAIL-6). Pure; `found` is null where no thread key leads anywhere. */
export function placeMessage(
  message: ArrivingMessage,
  found: FoundConversation | null,
  policy: ReopeningPolicy,
  joinsParticipantsOnly: boolean,
  now: Date,
): Placement {
  // A bounce comes from a mail server, which takes part in nothing; it changes no state, so it may join all the same.
  const joins = found !== null && (!joinsParticipantsOnly || found.senderTakesPart || message.automatic);
  if (!joins) return message.automatic ? 'filtered' : 'start';
  if (found.closedAt === null) return 'continue';
  if (message.automatic) return 'kept';
  switch (policy.reopening) {
    case 'REOPEN':
      return 'reopen';
    case 'KEEP_CLOSED':
      return 'kept';
    case 'NEW_AFTER':
      return now.getTime() - found.closedAt.getTime() >= (policy.reopenDays ?? 0) * DAY_MS ? 'succeed' : 'reopen';
  }
}

/** A ticket's name: the subject, else the first words of the text, at most 120 characters, never empty. */
export function ticketName(subject: string | null | undefined, text: string): string {
  const line = (subject ?? '').trim() || text.trim().replace(/\s+/g, ' ');
  if (line === '') return '(no subject)';
  return line.length <= 120 ? line : `${line.slice(0, 119).trimEnd()}…`;
}

import type { MailWords, TicketWords } from './system-mail.ts';

/** Messages of the contact that one mail to an offline owner holds, the newest; and characters of each. */
export const OFFLINE_OWNER = { messages: 10, charactersEach: 5_000 } as const;

interface OfflineOwner {
  readonly ticket: TicketWords | null;
  /** The contact's owner, or who stands in where there is none. */
  readonly as: 'OWNER' | 'DEFAULT_USER';
  /** The oldest first. */
  readonly texts: readonly string[];
}

/** What the contact wrote, for the owner who is not there (ROUTE-10). */
export function offlineOwnerMail({ ticket, as, texts }: OfflineOwner): MailWords {
  const where = ticket === null ? 'A conversation' : `Ticket ${ticket.number}`;
  const said = texts.map((text) => (text.length > OFFLINE_OWNER.charactersEach ? `${text.slice(0, OFFLINE_OWNER.charactersEach)} […]` : text));
  const why = as === 'OWNER' ? "for you are the contact's owner" : "for you are the channel's default user, and the contact has no owner who could have it";
  return {
    subject: as === 'OWNER' ? `${where} of a contact of yours, while you are away` : `${where} for you, while you are away`,
    text: [`${where} became yours, ${why}. You are set to away, so here is what they wrote.`, ...said].join('\n\n'),
  };
}

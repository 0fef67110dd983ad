import type { MailWords, TicketWords } from './system-mail.ts';

/** Messages of the contact that one mail to an offline owner holds, the newest; and characters of each. */
export const OFFLINE_OWNER = { messages: 10, charactersEach: 5_000 } as const;

/** What the contact wrote, for the owner who is not there (ROUTE-10). `texts`: the oldest first. */
export function offlineOwnerMail({ ticket, texts }: { readonly ticket: TicketWords | null; readonly texts: readonly string[] }): MailWords {
  const where = ticket === null ? 'A conversation' : `Ticket ${ticket.number}`;
  const said = texts.map((text) => (text.length > OFFLINE_OWNER.charactersEach ? `${text.slice(0, OFFLINE_OWNER.charactersEach)} […]` : text));
  return {
    subject: `${where} of a contact of yours, while you are away`,
    text: [`${where} became yours, for you are the contact's owner. You are set to away, so here is what they wrote.`, ...said].join('\n\n'),
  };
}

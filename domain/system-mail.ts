/** Seconds after which a mail of the system's own that is being sent has an unknown outcome. */
export const MAIL_LIMIT_SECONDS = 60;

export interface TicketWords {
  readonly number: number;
  readonly name: string;
}

/** A deadline of a ticket. */
export interface GoalWords {
  /** 'first reply' */
  readonly name: string;
  /** The deadline by a clock: 'Sat 21 Nov 14:05 Europe/Berlin'. */
  readonly due: string;
}

export interface ChannelWords {
  readonly key: string;
  readonly name: string;
  readonly health: 'CONNECTED' | 'DEGRADED' | 'DISCONNECTED';
  /** A code or a fixed phrase. */
  readonly reason: string | null;
}

/** Tickets that the move of a channel has made, told of once (MIG-17). */
export interface MovedWords {
  readonly count: number;
  /** The name of the channel. */
  readonly channel: string;
}

/** What a notification tells of. */
export type NotificationWords =
  | { readonly kind: 'TICKET_ASSIGNED' | 'TICKET_UNASSIGNED' | 'SLA_OVERDUE'; readonly moved: MovedWords }
  | { readonly kind: 'MIGRATION_WITHDRAWN'; readonly channel: string; readonly why: 'NOT_ELIGIBLE' | 'NOT_SUPER_ADMIN' }
  | { readonly kind: 'TICKET_ASSIGNED' | 'TICKET_UNASSIGNED' | 'MESSAGE_IN_CLOSED'; readonly ticket: TicketWords | null }
  | { readonly kind: 'SLA_DUE_SOON' | 'SLA_OVERDUE'; readonly ticket: TicketWords | null; readonly goal: GoalWords }
  | { readonly kind: 'CHANNEL_HEALTH'; readonly channel: ChannelWords };

export interface MailWords {
  /** One line. */
  readonly subject: string;
  readonly text: string;
}

const FOOT = 'This mail was written by a machine; nobody reads an answer to it. Notifications by mail can be switched off for each kind of event.';
const HEALTH = {
  CONNECTED: 'works again',
  DEGRADED: 'has trouble',
  DISCONNECTED: 'has lost its provider',
} as const;

/** A notification as a mail (MODEL-12): what happened in words, with number and name. No link, for there is no page that it could lead to. */
export function notificationMail(words: NotificationWords): MailWords {
  const [subject, ...lines] = said(words);
  return { subject: oneLine(subject), text: [...lines.map(oneLine), '', FOOT].join('\n') };
}

function said(words: NotificationWords): readonly [string, ...string[]] {
  if (words.kind === 'CHANNEL_HEALTH') {
    const { key, name, health, reason } = words.channel;
    const what = `The channel ${name} (${key}) ${HEALTH[health]}`;
    return [what, `${what}${reason === null || health === 'CONNECTED' ? '.' : `: ${reason}.`}`, WAITS[health]];
  }
  if (words.kind === 'MIGRATION_WITHDRAWN') {
    const what = `The move of ${words.channel} to the help desk did not start`;
    return [what, `${what}: ${WITHDRAWN[words.why]}. Nothing was changed.`];
  }
  if ('moved' in words) return ofMove(words.kind, words.moved);
  const { ticket } = words;
  const of = ticket === null ? 'A conversation' : `Ticket ${ticket.number}`;
  const about = ticket === null ? '' : `: ${ticket.name}`;
  switch (words.kind) {
    case 'TICKET_ASSIGNED':
      return [`${of} is yours${about}`, `${of} became yours${about}`];
    case 'TICKET_UNASSIGNED':
      return [`${of} waits for somebody${about}`, `${of} has come and nobody has it${about}`];
    case 'MESSAGE_IN_CLOSED':
      return [
        `${of} stays closed though the contact wrote${about}`,
        `The contact wrote in what is closed and, as its channel says, stays closed. ${of}${about}`,
      ];
    case 'SLA_DUE_SOON':
      return [`${of}: ${words.goal.name} is due soon${about}`, `The ${words.goal.name} of this ticket is due ${words.goal.due}. ${of}${about}`];
    case 'SLA_OVERDUE':
      return [`${of}: ${words.goal.name} is overdue${about}`, `The ${words.goal.name} of this ticket was due ${words.goal.due}. ${of}${about}`];
  }
}

function ofMove(kind: 'TICKET_ASSIGNED' | 'TICKET_UNASSIGNED' | 'SLA_OVERDUE', { count, channel }: MovedWords): readonly [string, string] {
  const tickets = `${count} ${count === 1 ? 'ticket' : 'tickets'} of ${channel}`;
  switch (kind) {
    case 'TICKET_ASSIGNED':
      return [
        `${tickets} ${count === 1 ? 'is' : 'are'} yours`,
        `${channel} was moved to the help desk. What you had there became tickets, and they are yours: ${count}.`,
      ];
    case 'TICKET_UNASSIGNED':
      return [`${tickets} ${count === 1 ? 'waits' : 'wait'} for somebody`, `${channel} was moved to the help desk. Tickets that nobody has: ${count}.`];
    case 'SLA_OVERDUE':
      return [`${tickets} ${count === 1 ? 'is' : 'are'} overdue`, `${channel} was moved to the help desk. Tickets that were overdue already: ${count}.`];
  }
}

const WITHDRAWN = {
  NOT_ELIGIBLE: 'when its hour came, something stood in its way',
  NOT_SUPER_ADMIN: 'who had set it is no super admin any more',
} as const;

const WAITS = {
  CONNECTED: 'Replies that waited go out now.',
  DEGRADED: 'What arrives is kept; replies may be late.',
  DISCONNECTED: 'What arrives is kept; replies wait for 72 hours at most. Mend its settings, or give it new credentials.',
} as const;

/** A name comes from outside: it adds no lines, and is no longer than a subject may be. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\s\u0000-\u001f\u007f\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, 200)
    .toWellFormed();
}

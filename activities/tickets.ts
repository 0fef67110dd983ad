import { readTicketState } from '#commands/tickets.ts';
import type { Engine } from './dependencies.ts';

/** What a ticket's workflow knows of its ticket: ids, codes and moments. */
export interface TicketView {
  /** False: the row is gone, and the rest says nothing. */
  readonly found: boolean;
  readonly number: number;
  readonly ownerId: string | null;
  /** One sentence, by ids. */
  readonly ownerWhy: string | null;
  readonly statusCategory: 'OPEN' | 'CLOSED' | null;
  readonly closed: boolean;
  readonly due: 'decide-owner' | null;
  /** ISO 8601; null: nothing has a moment. */
  readonly nextMomentIso: string | null;
  readonly nextMomentSummary: string | null;
  readonly channelKey: string | null;
  readonly plugin: string | null;
  readonly version: number;
}

export function createTicketActivities({ db }: Engine) {
  return {
    /** One read of what is due for a ticket and what its details show. */
    async readTicket(number: number): Promise<TicketView> {
      const state = await readTicketState(db, number);
      if (state === undefined) return { ...GONE, number };
      return {
        found: true,
        number,
        ownerId: state.ownerId,
        ownerWhy: state.ownerWhy,
        statusCategory: state.category,
        closed: state.category === 'CLOSED',
        due: state.due === 'DECIDE_OWNER' ? 'decide-owner' : null,
        nextMomentIso: null,
        nextMomentSummary: null,
        channelKey: state.channelKey,
        plugin: state.plugin,
        version: state.version,
      };
    },
  };
}

const GONE: Omit<TicketView, 'number'> = {
  found: false,
  ownerId: null,
  ownerWhy: null,
  statusCategory: null,
  closed: true,
  due: null,
  nextMomentIso: null,
  nextMomentSummary: null,
  channelKey: null,
  plugin: null,
  version: 0,
};

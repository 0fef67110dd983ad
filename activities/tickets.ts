import { reachMoment, readSlaView } from '#commands/sla-moments.ts';
import { readTicketState } from '#commands/tickets.ts';
import type { GoalState } from '#domain/sla.ts';
import { goalWords } from '#domain/sla-words.ts';
import type { Engine } from './dependencies.ts';
import { wake } from './wakes.ts';

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
  readonly due: 'decide-owner' | 'reach-moment' | null;
  /** ISO 8601; null: nothing has a moment. */
  readonly nextMomentIso: string | null;
  readonly nextMomentSummary: string | null;
  /** Milliseconds until then by PostgreSQL's clock: Temporal's may be another; null: nothing has a moment. */
  readonly nextMomentInMs?: number | null;
  /** The goals that are not over, each in a line; left out by what was recorded before there were any. */
  readonly goals?: readonly string[];
  /** The state of the goal that needs somebody most; null: none is running. */
  readonly slaState?: GoalState | null;
  readonly channelKey: string | null;
  readonly plugin: string | null;
  readonly version: number;
}

/** The first of these that a goal is in. */
const PRESSING: readonly GoalState[] = ['OVERDUE', 'DUE_SOON', 'ACTIVE', 'PAUSED'];

export function createTicketActivities(engine: Engine) {
  const { db } = engine;
  return {
    /** One read of what is due for a ticket and what its details show. */
    async readTicket(number: number): Promise<TicketView> {
      const state = await readTicketState(db, number);
      if (state === undefined) return { ...GONE, number };
      const sla = await readSlaView(db, state.ticketId);
      return {
        found: true,
        number,
        ownerId: state.ownerId,
        ownerWhy: state.ownerWhy,
        statusCategory: state.category,
        closed: state.category === 'CLOSED',
        due: state.due === 'DECIDE_OWNER' ? 'decide-owner' : sla?.due === true ? 'reach-moment' : null,
        nextMomentIso: sla?.nextAt == null ? null : new Date(sla.nextAt).toISOString(),
        nextMomentSummary: sla?.nextWords ?? null,
        nextMomentInMs: sla?.nextInMs ?? null,
        goals: (sla?.goals ?? []).toSorted((a, b) => PRESSING.indexOf(a.state) - PRESSING.indexOf(b.state)).map(goalWords),
        slaState: PRESSING.find((one) => sla?.goals.some(({ state: its }) => its === one)) ?? null,
        channelKey: state.channelKey,
        plugin: state.plugin,
        version: state.version,
      };
    },

    /** Has the ticket's goals change at the moment that has come, tells who is to know, and has done what the policy names (SLA-12). Returns how many it told of. */
    async reachMoment(number: number): Promise<{ readonly fired: number }> {
      const { value, wakes } = await reachMoment(db, number, Math.random, engine.plugins);
      // The ticket's own workflow is the one that asked; it looks again anyway.
      await wake(
        engine,
        wakes.filter((one) => one.kind !== 'ticket' || one.number !== number),
      );
      return value;
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

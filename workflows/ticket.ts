import { condition, continueAsNew, proxyActivities, proxyLocalActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { TicketView } from '#activities/tickets.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';
import { showTicket } from './search-attributes.ts';
import { ticketDetails } from './ticket-details.ts';

// A read of one row: without a task queue in between it costs one marker in the history.
const { readTicket } = proxyLocalActivities<Activities>({ startToCloseTimeout: '10s', retry: RETRY });
const { decideOwner, reachMoment } = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry: RETRY });

/** How long a decision that did not settle waits before it is tried again. */
const AGAIN_MS = 5_000;
/** How long it waits for a moment at least. */
const SOONEST_MS = 10;

/**
 * A ticket's life: asks what is due, does it by an activity named for it, waits for the next moment or a wake. Completes when
 * the ticket is closed and nothing is due, or when its row is gone; the next wake starts it again.
 */
export async function ticket(number: number): Promise<void> {
  let view: TicketView | null = null;
  let doing = 'reads the ticket';
  const woken = handleMessages({ status: () => doing, explain: () => explain(number, view) });

  for (;;) {
    woken.raised = false;
    const seen: TicketView = await readTicket.executeWithOptions({ summary: `reads what is due for ticket ${number}` }, [number]);
    view = seen;
    showTicket(seen);
    setCurrentDetails(ticketDetails(seen));

    if (seen.due === 'decide-owner') {
      doing = 'decides its owner';
      const { settled } = await decideOwner.executeWithOptions({ summary: `decides who gets ticket ${number}` }, [number]);
      if (settled) continue;
      doing = 'waits to decide its owner again';
      await condition(() => woken.raised, AGAIN_MS, { summary: `decides the owner of ticket ${number} again` });
      continue;
    }
    if (seen.due === 'reach-moment') {
      doing = 'tells of a deadline';
      await reachMoment.executeWithOptions({ summary: `tells of what has come: ${seen.nextMomentSummary ?? `a deadline of ticket ${number}`}` }, [number]);
      continue;
    }
    // The flag is read and the run ended in one breath, so a wake is either seen here or makes the server ask again.
    if (ended(seen) && !woken.raised) {
      doing = seen.found ? 'is done: the ticket is closed and nothing is due' : 'is done: there is no such ticket';
      return;
    }
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof ticket>(number);
    if (seen.nextMomentIso === null) {
      doing = 'waits until something changes';
      await condition(() => woken.raised);
    } else {
      doing = `waits until ${seen.nextMomentIso}`;
      const summary = seen.nextMomentSummary ?? `next moment of ticket ${number}`;
      // By PostgreSQL's clock, which decides: a workflow whose own is ahead would ask again and again.
      const wait = Math.max(SOONEST_MS, seen.nextMomentInMs ?? millisecondsUntil(seen.nextMomentIso));
      await condition(() => woken.raised, wait, { summary });
    }
  }
}

function ended(view: TicketView): boolean {
  return !view.found || (view.closed && view.nextMomentIso === null);
}

function explain(number: number, view: TicketView | null) {
  return {
    ticket: number,
    owner: view?.ownerId ?? null,
    why: view?.ownerWhy ?? null,
    status: view?.statusCategory ?? null,
    due: view?.due ?? null,
    nextMoment: view?.nextMomentIso ?? null,
    goals: (view?.goals ?? []).join('; '),
    version: view?.version ?? null,
    channel: view?.channelKey ?? null,
  };
}

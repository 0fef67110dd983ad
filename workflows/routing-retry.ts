import { condition, continueAsNew, proxyActivities, proxyLocalActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { RetryView } from '#activities/routing-retry.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

const { readRetries } = proxyLocalActivities<Activities>({ startToCloseTimeout: '10s', retry: RETRY });
const { flipAvailability } = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry: RETRY });
// It begins no decision after ten seconds.
const { retryRouting } = proxyActivities<Activities>({ startToCloseTimeout: '2m', heartbeatTimeout: '15s', retry: RETRY });

/**
 * One for the account: waits for the next moment at which anybody's availability changes, brings that up to date, and decides again what stayed unassigned
 * because nobody was free, once somebody is (ROUTE-12, ROUTE-13). Completes when nobody's availability has a next change and nothing is to be decided
 * again; the next wake starts it again.
 */
export async function routingRetry(): Promise<void> {
  let doing = 'looks';
  let view: RetryView | null = null;
  const sum = { flipped: 0, assigned: 0, nobodyFree: 0 };
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({ waiting: view?.waiting ?? null, concerned: view?.concerned ?? null, next: view?.nextIso ?? null, ...sum }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'looks';
    const seen: RetryView = await readRetries.executeWithOptions({ summary: 'reads whose availability changes, and what waits for somebody' }, []);
    view = seen;
    setCurrentDetails(details(seen, sum));
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof routingRetry>();
    if (seen.due > 0) {
      doing = 'brings availability up to date';
      sum.flipped += await flipAvailability.executeWithOptions({ summary: `brings the availability of ${seen.due} up to date` }, []);
      continue;
    }
    if (seen.causes > 0) {
      doing = 'decides again';
      const summary = seen.concerned === 0 ? 'somebody became free; nothing waits for them' : `retries ${seen.concerned} that waited`;
      const run = await retryRouting.executeWithOptions({ summary }, []);
      sum.assigned += run.assigned;
      sum.nobodyFree += run.nobodyFree;
      continue;
    }
    if (woken.raised) continue;
    if (seen.nextIso === null) break;
    doing = `waits until ${seen.nextIso}`;
    await condition(() => woken.raised, millisecondsUntil(seen.nextIso), { summary: `next change of somebody's availability at ${seen.nextIso}` });
  }
  doing = 'is done: no availability changes by itself, and nothing is to be decided again';
}

function details(view: RetryView, sum: { flipped: number; assigned: number; nobodyFree: number }): string {
  return [
    view.waiting === 0 ? 'Nothing waits for somebody to become free.' : `**${view.waiting}** wait for somebody to become free.`,
    '',
    view.nextIso === null ? "- Nobody's availability changes by itself." : `- The next change of somebody's availability is at ${view.nextIso}.`,
    `- Of this run: ${sum.flipped} changes of availability; ${sum.assigned} assigned, ${sum.nobodyFree} times nobody was free.`,
  ].join('\n');
}

import { condition, continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { WebhookRun } from '#activities/webhooks.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

// It begins no call after a minute, and each may take ten seconds; an outcome that is known is held until PostgreSQL takes it.
const { callWebhooks } = proxyActivities<Activities>({ startToCloseTimeout: '10m', heartbeatTimeout: '15s', retry: RETRY });

/** Calls the webhooks that policies name (SLA-12). Completes when no delivery waits; the next one starts it again. */
export async function webhooks(): Promise<void> {
  let doing = 'calls';
  let sent = 0;
  let last: WebhookRun | null = null;
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({ sent, remaining: last?.remaining ?? null, heldBy: last?.heldBy ?? null, nextTry: last?.nextTryAtIso ?? null }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'calls';
    last = await callWebhooks.executeWithOptions({ summary: 'calls the webhooks for which something waits' }, []);
    sent += last.sent;
    if (last.remaining === 0 && !woken.raised) break;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof webhooks>();
    if (last.remaining > 0 && last.nextTryAtIso !== null) {
      const summary = `tries again at ${last.nextTryAtIso}${last.heldBy === null ? '' : `, ${last.heldBy}`}`;
      doing = 'waits';
      setCurrentDetails(`${last.remaining} deliveries to webhooks wait. It ${summary}.`);
      await condition(() => woken.raised, millisecondsUntil(last.nextTryAtIso), { summary });
    }
  }
  doing = 'is done: no delivery waits';
  setCurrentDetails(`No delivery waits. Sent by this run: ${sent}.`);
}

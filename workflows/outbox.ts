import { condition, continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { SendResult } from '#activities/outbox.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

// Long, for an outcome that is known is held until PostgreSQL takes it; a process that died is known by its heartbeat.
const { sendNext } = proxyActivities<Activities>({ startToCloseTimeout: '10m', heartbeatTimeout: '15s', retry: RETRY });

/** Sends a conversation's messages one after the other, in the order in which they were written (CH-5). Completes when none is queued. */
export async function outbox(conversationId: string): Promise<void> {
  let doing = 'sends';
  let last: SendResult | null = null;
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({
      conversation: conversationId,
      message: last?.messageId ?? null,
      outcome: last?.outcome ?? null,
      heldBy: last?.heldBy ?? null,
      nextTry: last?.nextTryAtIso ?? null,
      remaining: last?.remaining ?? null,
    }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'sends';
    last = await sendNext.executeWithOptions({ summary: `sends the next message of conversation ${conversationId}` }, [conversationId]);
    if (last.remaining === 0 && !woken.raised) break;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof outbox>(conversationId);
    if (last.remaining > 0 && last.nextTryAtIso !== null) {
      const summary = `sends message ${last.messageId} again at ${last.nextTryAtIso}, ${last.heldBy ?? 'it waits'}`;
      doing = 'waits';
      setCurrentDetails(`Conversation \`${conversationId}\`: ${last.remaining} to send. It ${summary}.`);
      await condition(() => woken.raised, millisecondsUntil(last.nextTryAtIso), { summary });
    }
  }
  doing = 'is done: nothing is queued';
  setCurrentDetails(`Conversation \`${conversationId}\`: nothing is queued.`);
}

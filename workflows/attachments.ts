import { condition, continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { Fetched } from '#activities/attachments.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

const { fetchAttachments } = proxyActivities<Activities>({
  // It goes on for ten seconds and then ends what it is at: some files of one delivery, each within its time.
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry: RETRY,
});

/** Fetches what is attached to a channel's messages, out of their deliveries or from the provider (CH-6). Completes when nothing waits; the next message with a file starts it again. */
export async function channelAttachments(channelKey: string): Promise<void> {
  let doing = 'fetches';
  let last: Fetched | null = null;
  const sum = { stored: 0, refused: 0, failed: 0 };
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({
      channel: channelKey,
      ...sum,
      remaining: last?.remaining ?? null,
      heldBy: last?.heldBy ?? null,
      nextTry: last?.nextTryAtIso ?? null,
    }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'fetches';
    last = await fetchAttachments.executeWithOptions({ summary: `fetches what is attached to messages of channel ${channelKey}` }, [channelKey]);
    sum.stored += last.stored;
    sum.refused += last.refused;
    sum.failed += last.failed;
    if (last.remaining === 0 && !woken.raised) break;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof channelAttachments>(channelKey);
    if (last.remaining > 0 && last.nextTryAtIso !== null) {
      const summary = `fetches ${last.remaining} again at ${last.nextTryAtIso}${last.heldBy === null ? '' : `, held by ${last.heldBy}`}`;
      doing = `waits until ${last.nextTryAtIso}`;
      setCurrentDetails(details(channelKey, sum, `It ${summary}.`));
      await condition(() => woken.raised, millisecondsUntil(last.nextTryAtIso), { summary });
    }
  }
  doing = 'is done: nothing waits';
  setCurrentDetails(details(channelKey, sum, 'Nothing waits. The next message with a file starts it again.'));
}

function details(channelKey: string, { stored, refused, failed }: { stored: number; refused: number; failed: number }, state: string): string {
  return [`**Channel \`${channelKey}\`**: ${state}`, '', `- Stored by this run: ${stored}`, `- Refused: ${refused}`, `- Not to be had: ${failed}`].join('\n');
}

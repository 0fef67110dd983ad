import { continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import { handleMessages } from './handlers.ts';
import { RETRY } from './options.ts';

const { drainChannel } = proxyActivities<Activities>({
  // It drains for ten seconds and then finishes the batch it is at, in which each delivery may take parse's limit.
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry: RETRY,
});

/** Takes in what arrived on a channel, in order, until nothing came for a second. The next delivery's wake starts it again. */
export async function channelIntake(channelKey: string): Promise<void> {
  let doing = 'takes in what arrived';
  let processed = 0;
  let setAside = 0;
  const woken = handleMessages({ status: () => doing, explain: () => ({ channel: channelKey, processed, setAside }) });

  for (;;) {
    woken.raised = false;
    setCurrentDetails(details(channelKey, processed, setAside, 'It takes in what arrives, and goes on until nothing came for a second.'));
    const result = await drainChannel.executeWithOptions({ summary: `takes in what arrived on channel ${channelKey}` }, [channelKey]);
    processed += result.processed;
    setAside += result.setAside;
    if (!result.more && !woken.raised) break;
    // A wake after this is kept by the server and comes with the next run.
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof channelIntake>(channelKey);
  }
  doing = 'is done: nothing waits';
  setCurrentDetails(details(channelKey, processed, setAside, 'Nothing waits. The next delivery starts it again.'));
}

function details(channelKey: string, processed: number, setAside: number, state: string): string {
  const lines = [`**Channel \`${channelKey}\`**: ${state}`, '', `- Taken in by this run: ${processed}`];
  if (setAside > 0)
    lines.push(`- Set aside by this run after three tries: ${setAside}. They wait, listed, until the plugin is mended and somebody lets them in again.`);
  return lines.join('\n');
}

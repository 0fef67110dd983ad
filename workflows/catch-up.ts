import { condition, continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { CaughtUp } from '#activities/catch-up.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

const { catchUpChannel } = proxyActivities<Activities>({
  // It goes on for ten seconds and then finishes the page it is at, which may take the provider's half minute.
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry: RETRY,
});

/** Fetches what a channel's provider holds, page by page from where it stopped last (PLUG-7). Completes when that was all; the next request starts it again. */
export async function channelCatchUp(channelKey: string): Promise<void> {
  let doing = 'fetches';
  let last: CaughtUp | null = null;
  const sum = { pages: 0, fresh: 0 };
  const woken = handleMessages({
    status: () => doing,
    explain: () => ({ channel: channelKey, ...sum, recovered: last?.recovered ?? null, heldBy: last?.heldBy ?? null, nextTry: last?.nextTryAtIso ?? null }),
  });

  for (;;) {
    woken.raised = false;
    doing = 'fetches';
    last = await catchUpChannel.executeWithOptions({ summary: `fetches what the provider of channel ${channelKey} holds` }, [channelKey]);
    sum.pages += last.pages;
    sum.fresh += last.fresh;
    if (!last.more && !woken.raised) break;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof channelCatchUp>(channelKey);
    if (last.more && last.nextTryAtIso !== null) {
      const summary = `asks again at ${last.nextTryAtIso}${last.heldBy === null ? '' : `, held by ${last.heldBy}`}`;
      doing = `waits until ${last.nextTryAtIso}`;
      setCurrentDetails(details(channelKey, sum, `It ${summary}.`));
      await condition(() => woken.raised, millisecondsUntil(last.nextTryAtIso), { summary });
    }
  }
  doing = 'is done: everything was fetched';
  const gap = last.recovered === null ? '' : ` What was missed meanwhile: ${last.recovered}.`;
  setCurrentDetails(details(channelKey, sum, `Everything was fetched.${gap} The next request starts it again.`));
}

function details(channelKey: string, { pages, fresh }: { pages: number; fresh: number }, state: string): string {
  return [`**Channel \`${channelKey}\`**: ${state}`, '', `- Pages of this run: ${pages}`, `- Messages that were not here before: ${fresh}`].join('\n');
}

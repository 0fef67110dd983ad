import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';

// Each provider has half a minute to answer. Two tries: the schedule comes again in ten minutes anyway.
const { renewChannels } = proxyActivities<Activities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '15s',
  retry: { maximumAttempts: 2, initialInterval: '1s' },
});

/** Calls of one run: more than are due by then wait for the next. */
const MOST_CALLS = 20;

/**
 * Renews, about daily, what channels hold at their providers (watches, subscriptions, keys), so that what is said goes on coming in (EMAIL-9). With a channel's
 * key only that one's, because its door could not judge a delivery.
 */
export async function channelRenewals(channelKey: string | null = null): Promise<{ readonly renewed: number; readonly inTrouble: number }> {
  let renewed = 0;
  const inTrouble: string[] = [];
  for (let call = 0; call < MOST_CALLS; call += 1) {
    const summary = channelKey === null ? 'renews what is due at the providers' : `renews what channel ${channelKey} holds at its provider`;
    const run = await renewChannels.executeWithOptions({ summary }, [channelKey]);
    renewed += run.renewed;
    inTrouble.push(...run.inTrouble);
    setCurrentDetails(details(renewed, inTrouble));
    if (!run.more) break;
  }
  return { renewed, inTrouble: inTrouble.length };
}

function details(renewed: number, inTrouble: readonly string[]): string {
  if (inTrouble.length === 0) return `Renewed: ${renewed}. None is in trouble.`;
  return `Renewed: ${renewed}. Could not be renewed: ${inTrouble.length}.\n\n${inTrouble
    .slice(0, 20)
    .map((key) => `- \`${key}\``)
    .join('\n')}`;
}

import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';

// Each provider has half a minute to answer. Two tries: the schedule comes again in ten minutes anyway.
const { checkChannels } = proxyActivities<Activities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '15s',
  retry: { maximumAttempts: 2, initialInterval: '1s' },
});

/** Calls of one run: more than are due by then wait for the next. */
const MOST_CALLS = 20;

/** Asks every connected channel's provider whether its credentials are still good, and sets the channel's health by the answer (CH-4). */
export async function channelCheck(): Promise<{ readonly checked: number; readonly inTrouble: number }> {
  let checked = 0;
  const inTrouble: string[] = [];
  for (let call = 0; call < MOST_CALLS; call += 1) {
    const run = await checkChannels.executeWithOptions({ summary: 'asks providers whether their channels are still good' }, []);
    checked += run.checked;
    inTrouble.push(...run.inTrouble);
    setCurrentDetails(details(checked, inTrouble));
    if (!run.more) break;
  }
  return { checked, inTrouble: inTrouble.length };
}

function details(checked: number, inTrouble: readonly string[]): string {
  if (inTrouble.length === 0) return `Checked: ${checked}. None is in trouble.`;
  return `Checked: ${checked}. In trouble: ${inTrouble.length}.\n\n${inTrouble
    .slice(0, 20)
    .map((key) => `- \`${key}\``)
    .join('\n')}`;
}

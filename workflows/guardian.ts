import { proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { Mended } from '#activities/guardian.ts';

// Two tries: the schedule comes again in twenty seconds anyway.
const { mend } = proxyActivities<Activities>({ startToCloseTimeout: '60s', retry: { maximumAttempts: 2, initialInterval: '1s' } });

/**
 * One look at what should have moved and has not, by the rows and not by what Temporal says. The last look's list comes from the
 * schedule, so that what a wake did not help is ended and started anew.
 */
export async function guardian(): Promise<Mended> {
  const before = workflowInfo().lastResult as Mended | undefined;
  const mended = await mend.executeWithOptions({ summary: 'wakes what should have moved' }, [before?.woken ?? []]);
  setCurrentDetails(
    mended.woken.length === 0
      ? 'Nothing was stuck.'
      : `Woken: ${mended.woken.length}. Ended and started anew: ${mended.restarted}.\n\n${mended.woken
          .slice(0, 20)
          .map((one) => `- \`${one.workflowId}\``)
          .join('\n')}`,
  );
  return mended;
}

import { proxyActivities, setCurrentDetails } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';

// Two tries: the schedule comes again in an hour, and the guardian sees what is late.
const { carryHorizon } = proxyActivities<Activities>({ startToCloseTimeout: '2m', retry: { maximumAttempts: 2, initialInterval: '1s' } });

/** Calls of one run: more than are owed by then wait for the next. */
const MOST_CALLS = 200;

/** Hourly: tickets whose goals were set many at once get a workflow, or a timer, when their next moment is within a day (SLA-13). */
export async function slaHorizon(): Promise<{ readonly woken: number }> {
  let woken = 0;
  for (let call = 0; call < MOST_CALLS; call += 1) {
    const run = await carryHorizon.executeWithOptions({ summary: 'wakes tickets whose next moment is within a day' }, []);
    woken += run.woken;
    setCurrentDetails(`Woken because their next moment is within a day: ${woken}.`);
    if (!run.more) break;
  }
  return { woken };
}

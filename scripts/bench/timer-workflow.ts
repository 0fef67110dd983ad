import { proxyActivities, sleep } from '@temporalio/workflow';
import type { TimerActivities } from './sla-timers.ts';

const { reached } = proxyActivities<TimerActivities>({ startToCloseTimeout: '30s' });

/** The baseline of a deadline: a timer until an instant, then one activity. */
export async function timer(round: string, dueAt: number): Promise<void> {
  await sleep(Math.max(1, dueAt - Date.now()));
  await reached(round, dueAt);
}

import { ScheduleNotFoundError, ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptionsAction } from '@temporalio/client';
import { GUARDIAN_SCHEDULE, TASK_QUEUE } from '#workflows/contract.ts';

/** Milliseconds between two runs of the guardian, and between two looks at its schedule. */
export const GUARDIAN_EVERY_MS = 20_000;
/** A schedule this late is made anew. */
const LATE_MS = 3 * GUARDIAN_EVERY_MS;
const CALL_MS = 5_000;

/**
 * Sees to it that the guardian's schedule is there and runs: makes it when it is missing, unpauses it when somebody paused it, makes it anew when it is late.
 * Called by every worker, again and again; two at once do no harm. Returns what it did, or null.
 */
export async function keepGuardianSchedule(client: Client, now: () => number): Promise<'made' | 'unpaused' | 'made anew' | null> {
  return client.withDeadline(Date.now() + CALL_MS, async () => {
    const handle = client.schedule.getHandle(GUARDIAN_SCHEDULE);
    try {
      const { state, info } = await handle.describe();
      if (state.paused) {
        await handle.unpause('a worker: the guardian is never paused for long');
        return 'unpaused';
      }
      const last = info.recentActions.at(-1)?.takenAt ?? info.createdAt;
      if (now() - last.getTime() < LATE_MS) return null;
      // It is late, or a run of it hangs and holds the next back (overlap SKIP).
      await Promise.all(
        info.runningActions.map((action) =>
          client.workflow
            .getHandle(action.workflow.workflowId)
            .terminate('late')
            .catch(() => undefined),
        ),
      );
      await handle.delete();
      return (await make(client)) ? 'made anew' : null;
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
      return (await make(client)) ? 'made' : null;
    }
  });
}

async function make(client: Client): Promise<boolean> {
  const action: ScheduleOptionsAction = {
    type: 'startWorkflow',
    workflowType: 'guardian',
    workflowId: 'guardian',
    taskQueue: TASK_QUEUE,
    args: [],
    workflowRunTimeout: '2m',
    staticSummary: 'wakes what should have moved',
  };
  try {
    await client.schedule.create({
      scheduleId: GUARDIAN_SCHEDULE,
      spec: { intervals: [{ every: GUARDIAN_EVERY_MS }] },
      action,
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1m' },
      state: { triggerImmediately: true },
    });
    return true;
  } catch (error) {
    // Another worker was faster.
    if (error instanceof ScheduleAlreadyRunning) return false;
    throw error;
  }
}

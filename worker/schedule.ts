import { ScheduleNotFoundError, ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptionsAction } from '@temporalio/client';
import { CHANNEL_CHECK_SCHEDULE, CHANNEL_RENEWALS_SCHEDULE, GUARDIAN_SCHEDULE, SLA_HORIZON_SCHEDULE, TASK_QUEUE } from '#workflows/contract.ts';

/** Milliseconds between two runs of the guardian, and between two looks at the schedules. */
export const GUARDIAN_EVERY_MS = 20_000;
const CHECK_EVERY_MS = 10 * 60_000;
const CALL_MS = 5_000;

/** A workflow that Temporal starts again and again. */
interface Kept {
  readonly scheduleId: string;
  readonly workflowType: 'guardian' | 'channelCheck' | 'channelRenewals' | 'slaHorizon';
  readonly everyMs: number;
  /** Milliseconds one run may take. */
  readonly runMs: number;
  readonly summary: string;
}

const GUARDIAN: Kept = {
  scheduleId: GUARDIAN_SCHEDULE,
  workflowType: 'guardian',
  everyMs: GUARDIAN_EVERY_MS,
  runMs: 120_000,
  summary: 'wakes what should have moved',
};
const CHANNEL_CHECK: Kept = {
  scheduleId: CHANNEL_CHECK_SCHEDULE,
  workflowType: 'channelCheck',
  everyMs: CHECK_EVERY_MS,
  // Shorter than the time after which it counts as late.
  runMs: 2 * CHECK_EVERY_MS,
  summary: 'asks providers whether their channels are still good',
};

const CHANNEL_RENEWALS: Kept = {
  scheduleId: CHANNEL_RENEWALS_SCHEDULE,
  workflowType: 'channelRenewals',
  // Each channel about once a day; the run looks oftener, so that one that failed is tried again soon.
  everyMs: CHECK_EVERY_MS,
  runMs: 2 * CHECK_EVERY_MS,
  summary: 'renews what is due at the providers',
};

const SLA_HORIZON: Kept = {
  scheduleId: SLA_HORIZON_SCHEDULE,
  workflowType: 'slaHorizon',
  everyMs: 60 * 60_000,
  runMs: 60 * 60_000,
  summary: 'wakes tickets whose next moment is within a day',
};

type Mended = 'made' | 'unpaused' | 'made anew' | null;

/**
 * Sees to it that the guardian's schedule is there and runs: makes it when it is missing, unpauses it when somebody paused it, makes it anew when it is late.
 * Called by every worker, again and again; two at once do no harm. Returns what it did, or null.
 */
export async function keepGuardianSchedule(client: Client, now: () => number): Promise<Mended> {
  return keep(client, GUARDIAN, now);
}

/** The same for the check of the channels' credentials (CH-4). */
export async function keepChannelCheckSchedule(client: Client, now: () => number): Promise<Mended> {
  return keep(client, CHANNEL_CHECK, now);
}

/** The same for the renewal of what channels hold at their providers (EMAIL-9). */
export async function keepChannelRenewalsSchedule(client: Client, now: () => number): Promise<Mended> {
  return keep(client, CHANNEL_RENEWALS, now);
}

/** The same for the horizon of tickets' deadlines (SLA-13). */
export async function keepSlaHorizonSchedule(client: Client, now: () => number): Promise<Mended> {
  return keep(client, SLA_HORIZON, now);
}

async function keep(client: Client, kept: Kept, now: () => number): Promise<Mended> {
  return client.withDeadline(Date.now() + CALL_MS, async () => {
    const handle = client.schedule.getHandle(kept.scheduleId);
    try {
      const { state, info } = await handle.describe();
      if (state.paused) {
        await handle.unpause(`a worker: ${kept.scheduleId} is never paused for long`);
        return 'unpaused';
      }
      const last = info.recentActions.at(-1)?.takenAt ?? info.createdAt;
      if (now() - last.getTime() < 3 * kept.everyMs) return null;
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
      return (await make(client, kept)) ? 'made anew' : null;
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
      return (await make(client, kept)) ? 'made' : null;
    }
  });
}

async function make(client: Client, { scheduleId, workflowType, everyMs, runMs, summary }: Kept): Promise<boolean> {
  const action: ScheduleOptionsAction = {
    type: 'startWorkflow',
    workflowType,
    workflowId: scheduleId,
    taskQueue: TASK_QUEUE,
    args: [],
    workflowRunTimeout: runMs,
    staticSummary: summary,
  };
  try {
    await client.schedule.create({
      scheduleId,
      spec: { intervals: [{ every: everyMs }] },
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

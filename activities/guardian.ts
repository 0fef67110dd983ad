import { NotFound } from '#commands/refusals.ts';
import { findStuck, type Stuck } from '#commands/guardian.ts';
import { removeExpired } from '#commands/retention.ts';
import { decide } from '#commands/routing.ts';
import { startRequest } from '#workflows/contract.ts';
import type { Engine } from './dependencies.ts';
import { inCodes, isAway } from './failures.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

/** One thing that was woken, and since when it was overdue then. */
export interface Woken {
  readonly workflowId: string;
  /** Milliseconds since 1970: the same as long as nothing moves. */
  readonly overdueSince: number;
}

export interface Mended {
  readonly woken: readonly Woken[];
  /** How many of them were ended and started anew, for the last wake had not helped. */
  readonly restarted: number;
  /** Decisions of conversations without a ticket, made here: they have no workflow to wake. */
  readonly decided: number;
}

type Mender = Pick<Engine, 'db' | 'waker' | 'log' | 'now'> & Partial<Pick<Engine, 'plugins'>>;

const AT_ONCE = 20;
/** Two readings of the same moment differ by the time between the clocks. */
const SAME_MS = 1_500;

export function createGuardianActivities(engine: Engine) {
  return {
    /** Wakes what should have moved. `before`: the last run's list; what has not moved since is ended first. */
    async mend(before: readonly Woken[]): Promise<Mended> {
      const mended = await runGuardianOnce(engine, before);
      // Housekeeping comes last, and never keeps a repair from being told.
      await removeExpired(engine.db, LIMITS.removalsPerRun).catch((error: unknown) =>
        engine.log.warn(inCodes(error), 'what is past its time could not be removed'),
      );
      return mended;
    },
  };
}

/** One look of the guardian, also outside Temporal (chaos, tests). */
export async function runGuardianOnce(mender: Mender, before: readonly Woken[] = []): Promise<Mended> {
  const { stuck, undecided } = await findStuck(mender.db, LIMITS.repairsPerRun);
  const last = new Map(before.map((one) => [one.workflowId, one.overdueSince]));
  const at = mender.now();
  const woken: Woken[] = [];
  let restarted = 0;
  for (let start = 0; start < stuck.length; start += AT_ONCE) {
    await Promise.all(
      stuck.slice(start, start + AT_ONCE).map(async (one) => {
        const { workflowId } = startRequest(one.wake);
        const overdueSince = Math.round(at - one.overdueSeconds * 1000);
        const anew = Math.abs((last.get(workflowId) ?? Number.NEGATIVE_INFINITY) - overdueSince) < SAME_MS;
        if (await repair(mender, one, anew)) restarted += 1;
        woken.push({ workflowId, overdueSince });
      }),
    );
  }
  const decided = await decideAll(
    mender,
    undecided.slice(0, LIMITS.repairsPerRun - woken.length).map((one) => one.conversationId),
  );
  if (woken.length + decided > 0) mender.log.warn({ woken: woken.length, restarted, decided }, 'the guardian mended what was stuck');
  return { woken, restarted, decided };
}

/** Wakes it; where that was tried and nothing moved (a paused activity, code that can not go on), ends it first. A wake that fails is for the next run. */
async function repair({ waker, log }: Mender, one: Stuck, anew: boolean): Promise<boolean> {
  const request = startRequest(one.wake);
  try {
    const ended = anew && (await waker.terminate(request.workflowId, 'the guardian: no progress since the last wake, started anew'));
    await waker.signalWithStart(request);
    return ended;
  } catch {
    log.warn({ workflowId: request.workflowId }, 'the guardian could not wake a workflow');
    return false;
  }
}

async function decideAll(mender: Mender, conversationIds: readonly string[]): Promise<number> {
  let decided = 0;
  for (const conversationId of conversationIds) {
    try {
      const { value, wakes } = await decide(mender.db, { conversationId }, Math.random, mender.plugins);
      await wake(mender, wakes);
      if (value.decided) decided += 1;
    } catch (error) {
      if (error instanceof NotFound) continue;
      // One that can not be decided keeps neither the others nor this run's account from their due.
      mender.log.error({ conversationId, ...inCodes(error) }, 'the guardian could not decide a conversation');
      if (isAway(error)) break;
    }
  }
  return decided;
}

import { Context } from '@temporalio/activity';
import { NotFound } from '#commands/refusals.ts';
import { decide, type Decided } from '#commands/routing.ts';
import { readCauses, readRetryState, readWaiting, removeCauses, renewCauses, type WaitingOne, type WaitingPool } from '#commands/routing-retry.ts';
import { transact } from '#commands/unit.ts';
import { flipDueNow } from '#commands/user-availability.ts';
import type { Wake } from '#domain/wake.ts';
import type { Engine } from './dependencies.ts';
import { inCodes, isAway } from './failures.ts';
import { LIMITS } from './limits.ts';
import { wake } from './wakes.ts';

/** What the workflow knows: counts and a moment. */
export interface RetryView {
  /** Users whose availability is to be brought up to date. */
  readonly due: number;
  /** Reasons to decide again. */
  readonly causes: number;
  /** Of what waits, how much these concern. */
  readonly concerned: number;
  /** All that waits for somebody to become free. */
  readonly waiting: number;
  /** ISO 8601; null: nobody's availability changes by itself. */
  readonly nextIso: string | null;
}

/** What deciding again came to. */
export interface RetryRun {
  readonly assigned: number;
  /** Decisions that found nobody free: one for each of those that wait for the same people. */
  readonly nobodyFree: number;
  /** Time was up: the next call goes on. */
  readonly more: boolean;
}

type Retrier = Pick<Engine, 'db' | 'waker' | 'log' | 'now' | 'plugins'>;

export function createRoutingRetryActivities(engine: Engine) {
  return {
    /** One read of whose availability is due, and what waits for somebody to become free. */
    async readRetries(): Promise<RetryView> {
      const { next, ...counts } = await readRetryState(engine.db);
      return { ...counts, nextIso: next === null ? null : next.toISOString() };
    },

    /** Brings everybody up to date whose moment has come (ROUTE-12), once however late. Returns how many there were. */
    async flipAvailability(): Promise<number> {
      return flipDueNow(engine.db, async (wakes) => wake(engine, wakes.filter(isAnothers)));
    },

    /** Decides again what waited for those who became free, the longest waiting first (ROUTE-13). */
    async retryRouting(): Promise<RetryRun> {
      const context = Context.current();
      return retryWaiting(
        engine,
        () => context.cancellationSignal.aborted,
        () => context.heartbeat(),
      );
    },
  };
}

/**
 * One such call, also outside Temporal (tests). Of those that wait for the same people, the first that finds nobody free speaks for all: so a thousand
 * that wait for one person with room for three cost four decisions. The reasons are removed only when all of it is done: whoever ends before begins again.
 */
export async function retryWaiting(engine: Retrier, stopped: () => boolean = () => false, beat: () => void = () => undefined): Promise<RetryRun> {
  const end = engine.now() + LIMITS.drainMs;
  const { value: causes } = await transact(engine.db, { actor: 'ROUTING' }, ({ tx }) => readCauses(tx));
  const passed: string[] = [];
  let pools = causes.pools;
  let assigned = 0;
  let nobodyFree = 0;
  for (;;) {
    const found = pools.length === 0 ? [] : await readWaiting(engine.db, pools, passed, LIMITS.retriesAtOnce);
    if (found.length === 0) break;
    for (const one of found) {
      if (!pools.some((pool) => isSame(pool, one))) continue;
      if (stopped() || engine.now() >= end) {
        await renewCauses(engine.db, causes.ids);
        return { assigned, nobodyFree, more: true };
      }
      beat();
      const outcome = await decideAgain(engine, one);
      // Whatever came of it, it is not tried twice by one call.
      passed.push(one.id);
      if (outcome === 'ASSIGNED') assigned += 1;
      if (typeof outcome === 'string') continue;
      nobodyFree += 1;
      // For whom it waits may have changed since it was left: then it says nothing about the others.
      const { waitsFor } = outcome;
      if (waitsFor?.ruleId === one.ruleId && waitsFor.pool === one.pool) pools = pools.filter((pool) => !isSame(pool, one));
    }
  }
  await removeCauses(engine.db, causes.ids);
  return { assigned, nobodyFree, more: false };
}

/** It stays with nobody, and waits for these, by what is so now. */
type NobodyFree = Required<Pick<Decided, 'waitsFor'>>;

async function decideAgain(engine: Retrier, { ref, id }: WaitingOne): Promise<'ASSIGNED' | 'NOT_DECIDED' | NobodyFree> {
  try {
    const { value, wakes } = await decide(engine.db, ref, Math.random, engine.plugins, 'WAITING');
    await wake(engine, wakes.filter(isAnothers));
    if (!value.decided) return 'NOT_DECIDED';
    return value.ownerId === null ? { waitsFor: value.waitsFor ?? null } : 'ASSIGNED';
  } catch (error) {
    if (error instanceof NotFound) return 'NOT_DECIDED';
    if (isAway(error)) throw error;
    // One that can not be decided keeps none of the others.
    engine.log.error({ conversationId: id, ...inCodes(error) }, 'a conversation that waited could not be decided again');
    return 'NOT_DECIDED';
  }
}

/** The workflow that asked looks again anyway. */
function isAnothers({ kind }: Wake): boolean {
  return kind !== 'routing-retry';
}

function isSame(one: WaitingPool, other: WaitingPool): boolean {
  return one.channelId === other.channelId && one.ruleId === other.ruleId && one.pool === other.pool;
}

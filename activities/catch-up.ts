import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { isChannelFailure, type Failure, type Plugin } from '@trunkline/channel-sdk';
import { applyPage, failCatchUp, finishCatchUp, nextCatchUpStep, type CatchUpPlace, type CheckedPage } from '#commands/catch-up.ts';
import { loadChannel, type LoadedChannel } from '#commands/channel-settings.ts';
import { checkPage } from './catch-up-schema.ts';
import type { Engine } from './dependencies.ts';
import { inCodes } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';
import { wake } from './wakes.ts';

/** What one call of catching up did; counts and codes only. */
export interface CaughtUp {
  readonly pages: number;
  /** Messages that were not here before. */
  readonly fresh: number;
  /** Of the gap that was closed by this call: how many messages it gave back; null: none was. */
  readonly recovered: number | null;
  /** There is more to do. */
  readonly more: boolean;
  /** ISO 8601; null: at once. */
  readonly nextTryAtIso: string | null;
  /** Why it waits: a code; null: it does not. */
  readonly heldBy: string | null;
}

const HEARTBEAT_MS = 4_000;
/** Milliseconds to wait for another transaction that writes what comes in on this channel. */
const BUSY_MS = 100;

export function createCatchUpActivities(engine: Engine) {
  return {
    /** Fetches what a channel's provider holds and takes it in, page by page, until that was all or ten seconds are over (PLUG-7). */
    async catchUpChannel(channelKey: string): Promise<CaughtUp> {
      const context = Context.current();
      context.heartbeat();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await catchUp(engine, channelKey, () => context.cancellationSignal.aborted);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One call of it, also outside Temporal (tests). `stopped`: nobody waits for it any more. */
export async function catchUp(engine: Engine, channelKey: string, stopped: () => boolean = () => false): Promise<CaughtUp> {
  const sum = { pages: 0, fresh: 0 };
  const account = (more: boolean, rest: Partial<CaughtUp> = {}): CaughtUp => ({ ...sum, recovered: null, more, nextTryAtIso: null, heldBy: null, ...rest });
  const end = engine.now() + LIMITS.drainMs;
  while (engine.now() < end && !stopped()) {
    const step = await nextCatchUpStep(engine.db, channelKey, LIMITS.catchUpSeconds + LIMITS.parseMs / 1000);
    if (step.kind === 'idle') return account(false);
    if (step.kind === 'wait') return account(true, { nextTryAtIso: step.until.toISOString(), heldBy: step.why });
    if (step.kind === 'finish') {
      const { value, wakes } = await finishCatchUp(engine.db, channelKey);
      await wake(engine, wakes);
      if (value.recovered !== null) return account(await isAskedAgain(engine, channelKey), { recovered: value.recovered });
      continue;
    }
    const fresh = await fetchOne(engine, channelKey, step.from, stopped);
    if (fresh !== null) {
      sum.pages += 1;
      sum.fresh += fresh;
    }
  }
  return account(true);
}

async function isAskedAgain({ db }: Engine, channelKey: string): Promise<boolean> {
  return (await nextCatchUpStep(db, channelKey, 0)).kind !== 'idle';
}

/** Fetches one page and takes it in. Null: it could not be had, or somebody else took it in. */
async function fetchOne(engine: Engine, channelKey: string, from: CatchUpPlace, stopped: () => boolean): Promise<number | null> {
  const channel = await loadChannel(engine.db, engine.keys, { key: channelKey });
  if (channel === undefined) return null;
  const plugin = engine.plugins.find((one) => one.key === channel.plugin);
  const page = await fetchPage(engine, plugin, channel, from);
  if ('failure' in page) {
    const { wakes } = await failCatchUp(engine.db, from, page.failure);
    await wake(engine, wakes);
    engine.log.warn({ channel: channelKey, code: page.failure.code }, 'a channel could not catch up');
    return null;
  }
  if (plugin === undefined) return null;
  for (;;) {
    const { value, wakes } = await applyPage(engine.db, { keys: engine.keys, capabilities: plugin.capabilities }, from, page.page);
    if (value.outcome === 'busy') {
      if (stopped()) return null;
      await sleep(BUSY_MS);
      continue;
    }
    await wake(engine, wakes);
    if (value.leftOut > 0) engine.log.warn({ channel: channelKey, leftOut: value.leftOut }, 'a provider holds events that are not taken in yet');
    return value.outcome === 'applied' ? value.fresh : null;
  }
}

type Fetched = { readonly page: CheckedPage } | { readonly failure: Failure };

/** What the plugin gives is checked as a delivery's events are, in a thread of the channel's own. */
async function fetchPage(engine: Engine, plugin: Plugin | undefined, channel: LoadedChannel, from: CatchUpPlace): Promise<Fetched> {
  if (plugin === undefined) return unavailable('the config names no plugin that could catch up');
  // Asked of a plugin that has none to give: that was all.
  if (plugin.catchUp === undefined) return { page: { events: [], safe: [], deliveries: [], cursor: undefined, more: false } };
  let given: unknown;
  try {
    given = await within((signal) => plugin.catchUp?.(from.cursor ?? undefined, contextOf(engine, plugin, channel, signal)));
  } catch (error) {
    if (error instanceof TimeUp) return unavailable('no answer in time');
    if (isChannelFailure(error)) return { failure: error.failure };
    engine.log.error({ channel: channel.key, ...inCodes(error) }, 'catching up failed in a way that says nothing of the provider');
    return { failure: { code: 'Malformed', where: 'catchUp' } };
  }
  const checked = checkPage(given, from.cursor);
  if ('where' in checked) return { failure: { code: 'Malformed', where: checked.where } };
  const { events, ...rest } = checked.page;
  if (events.length === 0) return { page: { ...rest, events: [], safe: [] } };
  const parsed = await engine.pool.check(plugin.key, channel.info, events);
  return parsed.ok ? { page: { ...rest, events: parsed.events, safe: parsed.safe } } : { failure: { code: 'Malformed', where: parsed.reason } };
}

function unavailable(reason: string): Fetched {
  return { failure: { code: 'Unavailable', reason } };
}

class TimeUp extends Error {}

/** At most `catchUpSeconds`, whether or not the plugin heeds its signal. */
async function within<Value>(run: (signal: AbortSignal) => Promise<Value> | undefined): Promise<Value | undefined> {
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    controller.abort();
    late.reject(new TimeUp());
  }, LIMITS.catchUpSeconds * 1000);
  try {
    return await Promise.race([run(controller.signal), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

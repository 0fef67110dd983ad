import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { isChannelFailure, type Failure, type InboundEvent, type Plugin } from '@trunkline/channel-sdk';
import {
  applyPage,
  failCatchUp,
  finishCatchUp,
  nextCatchUpStep,
  UNUSABLE_THRICE,
  type CatchUpPlace,
  type CheckedPage,
  type PageApplied,
  type SetAsideEvent,
} from '#commands/catch-up.ts';
import { loadChannel, type LoadedChannel } from '#commands/channel-settings.ts';
import { checkPage } from './catch-up-schema.ts';
import { undeclared } from './declared.ts';
import type { Engine } from './dependencies.ts';
import { classAndCode, inCodes, isOfTheValue } from './failures.ts';
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
  const turn: Turn = { engine, plugin, from, stopped };
  try {
    const value = await writePage(turn, page.page);
    if (value === null) return null;
    if (value.leftOut > 0) engine.log.warn({ channel: channelKey, leftOut: value.leftOut }, 'a provider holds events that are not taken in yet');
    const aside = page.page.setAside ?? [];
    if (aside.length > 0) engine.log.warn({ channel: channelKey, setAside: aside.length }, 'a provider holds events that cannot be kept');
    return value.outcome === 'applied' ? value.fresh : null;
  } catch (error) {
    if (!isOfTheValue(error)) throw error;
    engine.log.warn({ channel: channelKey, ...inCodes(error) }, 'a page could not be written');
    // Like a delivery it is tried three times; then what is at fault is set aside, and the rest goes on (PLUG-11).
    if (from.tries + 1 >= UNUSABLE_THRICE) return writeEach(turn, page.page);
    await wake(engine, (await failCatchUp(engine.db, from, { code: 'Malformed', where: 'page' })).wakes);
    return null;
  }
}

/** What one page is written with. */
interface Turn {
  readonly engine: Engine;
  readonly plugin: Plugin;
  readonly from: CatchUpPlace;
  readonly stopped: () => boolean;
}

/** Null: nobody waits for it any more. */
async function writePage({ engine, plugin, from, stopped }: Turn, page: CheckedPage): Promise<PageApplied | null> {
  for (;;) {
    const { value, wakes } = await applyPage(engine.db, { keys: engine.keys, capabilities: plugin.capabilities }, from, page);
    if (value.outcome !== 'busy') {
      await wake(engine, wakes);
      return value;
    }
    if (stopped()) return null;
    await sleep(BUSY_MS);
  }
}

/** Each event in a transaction of its own, from which the cursor stays where it is; then the rest of the page moves it. Begun anew, what is in already is known. */
async function writeEach(turn: Turn, page: CheckedPage): Promise<number | null> {
  const { engine, from, stopped } = turn;
  const setAside: SetAsideEvent[] = [...(page.setAside ?? [])];
  let fresh = 0;
  for (const [at, event] of page.events.entries()) {
    if (stopped()) return null;
    try {
      const value = await writePage(turn, { events: [event], safe: [page.safe[at] ?? null], deliveries: [], cursor: from.cursor ?? undefined, more: true });
      if (value?.outcome !== 'applied') return null;
      fresh += value.fresh;
    } catch (error) {
      if (!isOfTheValue(error)) throw error;
      setAside.push({ ...nameOf(event), code: 'NotApplied', reason: classAndCode(error) });
    }
  }
  const value = await writePage(turn, { ...page, events: [], safe: [], setAside });
  if (value?.outcome !== 'applied') return null;
  engine.log.warn({ channel: from.channelId, setAside: setAside.length }, 'a provider holds events that cannot be kept');
  return fresh;
}

function nameOf(event: Partial<InboundEvent>): Pick<SetAsideEvent, 'type' | 'providerId'> {
  return { type: event.type ?? '', providerId: 'providerMessageId' in event && typeof event.providerMessageId === 'string' ? event.providerMessageId : null };
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
  let parsed = await engine.pool.check(plugin.key, channel.info, events);
  const oversized = new Set(parsed.ok ? [] : parsed.oversized);
  const setAside = events.flatMap((event, at) =>
    oversized.has(at) ? [{ ...nameOf(asEvent(event)), code: 'Malformed' as const, reason: 'too large to be kept' }] : [],
  );
  if (oversized.size > 0) {
    const rest = events.filter((_, at) => !oversized.has(at));
    parsed = rest.length === 0 ? { ok: true, events: [], safe: [] } : await engine.pool.check(plugin.key, channel.info, rest);
  }
  const where = parsed.ok ? undeclared(plugin.capabilities, parsed.events) : undefined;
  if (where !== undefined) return { failure: { code: 'Malformed', where } };
  return parsed.ok ? { page: { ...rest, events: parsed.events, safe: parsed.safe, setAside } } : { failure: { code: 'Malformed', where: parsed.reason } };
}

/** Only of what passed as one but for its size. */
function asEvent(given: unknown): Partial<InboundEvent> {
  return typeof given === 'object' && given !== null ? given : {};
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

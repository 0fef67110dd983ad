import { Context } from '@temporalio/activity';
import type { Plugin } from '@trunkline/channel-sdk';
import { loadChannel } from '#commands/channel-settings.ts';
import { tellTyping } from '#commands/contact-typing.ts';
import {
  applyDeliveries,
  failDelivery,
  setIntakeUntil,
  takeDeliveries,
  untake,
  INTAKE_AHEAD_SECONDS,
  type ParsedDelivery,
  type TakenDeliveries,
} from '#commands/intake.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { undeclared } from './declared.ts';
import type { Engine } from './dependencies.ts';
import { classAndCode, isConnectionTrouble, throughTrouble } from './failures.ts';
import { LIMITS } from './limits.ts';
import { decideConversations } from './routing.ts';
import { wake } from './wakes.ts';

export interface Drained {
  /** Deliveries taken in. */
  readonly processed: number;
  /** Deliveries set aside after their last try. */
  readonly setAside: number;
  /** True: the time was up before the channel was quiet. */
  readonly more: boolean;
}

/** Milliseconds between two looks while nothing comes, and none is told of. */
const LOOK_MS = 50;
/** Milliseconds after which what is parsed so far is written, so that a slow plugin's channel still shows progress. */
const WRITE_AFTER_MS = 2_000;
/** Milliseconds to wait for another transaction that writes this channel's deliveries. */
const BUSY_MS = 100;

/** Milliseconds between two signs of life, whatever is waited for: a thread, a plugin that loads, a lock. */
const BEAT_MS = 4_000;
/** How often a try is taken back in vain before it is left counted: about three minutes, within the call's own limit. */
const UNTAKE_TRIES = 40;
/** The same once nobody waits for the drain any more. */
const UNTAKE_TRIES_STOPPED = 4;

/** What a drain tells and asks while it runs; Temporal's heartbeat in production. */
export interface DrainWatch {
  beat(): void;
  /** True: nobody waits for it any more (its workflow was ended), so it stops. */
  stopped(): boolean;
}

export function createIntakeActivities(engine: Engine) {
  return {
    /** Takes a channel's deliveries in, in order of arrival, until nothing came for a second or ten seconds are over. */
    async drainChannel(channelKey: string): Promise<Drained> {
      const context = Context.current();
      return drain(engine, channelKey, { beat: () => context.heartbeat(), stopped: () => context.cancellationSignal.aborted });
    },
  };
}

/** One call of the drain, also outside Temporal (bench, tests). */
export async function drain(engine: Engine, channelKey: string, watch: DrainWatch): Promise<Drained> {
  watch.beat();
  const beat = setInterval(() => watch.beat(), BEAT_MS);
  try {
    return await drainOn(engine, channelKey, watch);
  } finally {
    clearInterval(beat);
  }
}

/** What one call of the drain has done so far. */
interface Tally {
  processed: number;
  setAside: number;
  /** Conversations that could not be decided; not tried again by this call. */
  readonly undecided: Set<string>;
}

async function drainOn(engine: Engine, channelKey: string, watch: DrainWatch): Promise<Drained> {
  const { db, now } = engine;
  const end = now() + LIMITS.drainMs;
  const sum: Tally = { processed: 0, setAside: 0, undecided: new Set() };
  const account = (more: boolean): Drained => ({ processed: sum.processed, setAside: sum.setAside, more });
  await warm(engine, channelKey);
  let quietSince = now();
  let saidAt = 0;
  while (now() < end && !watch.stopped()) {
    // At most once a second: it is a write to a row that every door reads.
    if (now() - saidAt > 1_000) {
      await setIntakeUntil(db, channelKey, INTAKE_AHEAD_SECONDS);
      saidAt = now();
    }
    if (await step(engine, channelKey, watch, sum)) {
      quietSince = now();
    } else if (now() - quietSince >= LIMITS.drainIdleMs) {
      await setIntakeUntil(db, channelKey, 0);
      // What came between the last look and that word was told that somebody is at work: look once more.
      if (!(await step(engine, channelKey, watch, sum))) return account(false);
      quietSince = now();
      saidAt = 0;
    } else {
      await (engine.bell?.wait(channelKey, LOOK_MS) ?? sleep(LOOK_MS));
    }
  }
  return account(true);
}

/** A try is counted before it begins: what ends the process while the plugin is loaded is no delivery's fault, and must not be held against the first of them. */
async function warm({ db, pool, plugins }: Engine, channelKey: string): Promise<void> {
  const channel = await db.selectFrom('channel').select('plugin').where('key', '=', channelKey).executeTakeFirst();
  if (channel !== undefined && plugins.some(({ key }) => key === channel.plugin)) await pool.warm(channel.plugin, channelKey);
}

/** Takes, parses and writes once, and decides what became open; true where there was anything to do. */
async function step(engine: Engine, channelKey: string, watch: DrainWatch, sum: Tally): Promise<boolean> {
  const { db } = engine;
  const taken = await takeDeliveries(db, channelKey, LIMITS.deliveriesTaken);
  if (taken === undefined) return false;
  if (taken.deliveries.length > 0) {
    const unsettled = new Set(taken.deliveries.map((one) => one.id));
    try {
      await takeIn(engine, taken, unsettled, watch, sum);
    } finally {
      // Begun and not finished for no fault of theirs: PostgreSQL went away, or the drain was stopped.
      if (unsettled.size > 0) await takeBack(engine, [...unsettled], watch);
    }
  }
  return (await decideConversations(engine, channelKey, sum.undecided)) > 0 || taken.deliveries.length > 0;
}

/** Never throws: what made the drain end is what is told of it. */
async function takeBack({ db, log }: Engine, deliveryIds: readonly number[], watch: DrainWatch): Promise<void> {
  try {
    await throughTrouble(
      () => untake(db, deliveryIds),
      (failures) => failures < (watch.stopped() ? UNTAKE_TRIES_STOPPED : UNTAKE_TRIES),
    );
  } catch {
    log.warn({ deliveryIds }, 'a try could not be taken back');
  }
}

async function takeIn(engine: Engine, taken: TakenDeliveries, unsettled: Set<number>, watch: DrainWatch, sum: Tally): Promise<void> {
  const { db, keys, plugins, pool, now } = engine;
  const plugin = plugins.find((one) => one.key === taken.plugin);
  if (plugin === undefined) throw new PluginMissing(taken.plugin);
  // Also once disconnected: what had arrived by then is kept.
  const channel = await loadChannel(db, keys, { key: taken.channelKey }, { disconnectedToo: true });
  if (channel === undefined) return;
  const { info } = channel;
  let parsed: ParsedDelivery[] = [];
  let writtenAt = now();
  const write = async (): Promise<void> => {
    if (parsed.length > 0) await apply(engine, plugin, taken, parsed, unsettled, watch, sum);
    parsed = [];
    writtenAt = now();
  };
  // All are asked for at once: the thread goes on to the next while what it has read is written.
  const results = taken.deliveries.map(({ raw }) => pool.parse(taken.plugin, info, raw));
  for (const result of results) result.catch(() => undefined);
  for (const [index, { id, raw }] of taken.deliveries.entries()) {
    if (watch.stopped()) break;
    const result = await results[index];
    if (result === undefined) break;
    const where = result.ok ? undeclared(plugin.capabilities, result.events) : undefined;
    if (where !== undefined) {
      await fail(engine, taken, id, 'Malformed', where, unsettled, sum);
    } else if (result.ok) {
      parsed.push({ deliveryId: id, receivedAt: raw.receivedAt, events: result.events, safe: result.safe });
    } else {
      await fail(engine, taken, id, result.code, result.reason, unsettled, sum);
    }
    if (parsed.length >= LIMITS.deliveriesPerBatch || now() - writtenAt > WRITE_AFTER_MS) await write();
  }
  await write();
}

/** One transaction for all; where it fails one for each, so that only the one at fault is held against. */
async function apply(
  engine: Engine,
  plugin: Plugin,
  taken: TakenDeliveries,
  parsed: readonly ParsedDelivery[],
  unsettled: Set<number>,
  watch: DrainWatch,
  sum: Tally,
): Promise<void> {
  const { db, keys } = engine;
  try {
    for (;;) {
      const { value, wakes } = await applyDeliveries(db, { keys, capabilities: plugin.capabilities }, taken.channelId, parsed);
      if (value.busy) {
        // They stay unsettled, and their try is taken back.
        if (watch.stopped()) return;
        await sleep(BUSY_MS);
        continue;
      }
      sum.processed += value.applied;
      for (const { deliveryId } of parsed) unsettled.delete(deliveryId);
      await wake(engine, wakes);
      await tellTyping(db, plugin.capabilities, taken.channelId, parsed, engine.now());
      return;
    }
  } catch (error) {
    if (isConnectionTrouble(error)) throw error;
    const [only] = parsed;
    if (parsed.length === 1 && only !== undefined) {
      return fail(engine, taken, only.deliveryId, 'NotApplied', classAndCode(error), unsettled, sum);
    }
    for (const one of parsed) await apply(engine, plugin, taken, [one], unsettled, watch, sum);
  }
}

async function fail(
  engine: Engine,
  { channelKey }: TakenDeliveries,
  deliveryId: number,
  code: string,
  reason: string,
  unsettled: Set<number>,
  sum: Tally,
): Promise<void> {
  const { value, wakes } = await failDelivery(engine.db, deliveryId, code, reason);
  unsettled.delete(deliveryId);
  if (value.setAside) sum.setAside += 1;
  engine.log.warn({ channel: channelKey, deliveryId, code, setAside: value.setAside }, 'a delivery could not be taken in');
  await wake(engine, wakes);
}

/** The config no longer names a plugin that has channels; what arrives waits until it does again. */
class PluginMissing extends Error {
  constructor(plugin: string) {
    super(`the config names no plugin "${plugin}"`);
    this.name = 'PluginMissing';
  }
}

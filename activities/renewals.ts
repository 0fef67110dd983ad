import { Context } from '@temporalio/activity';
import { isChannelFailure, type Plugin } from '@trunkline/channel-sdk';
import { type Checked } from '#commands/channel-health.ts';
import { loadChannel, SecretsUnreadable } from '#commands/channel-settings.ts';
import { undoOverdue } from '#commands/connecting.ts';
import type { ContextFor } from '#commands/provider-calls.ts';
import { settleRenewal, takeChannelsToRenew, type DueRenewal } from '#commands/renewals.ts';
import { tellOverdue } from '#commands/telling.ts';
import { createPluginContext, webhookUrlOf } from '#runtime/plugin-context.ts';
import type { Engine } from './dependencies.ts';
import { inCodes } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';
import { wake } from './wakes.ts';

/** What a call of renewing came to: channel keys and counts. */
export interface RenewRun {
  readonly renewed: number;
  /** Keys of channels that could not be renewed. */
  readonly inTrouble: readonly string[];
  /** Connections and edits left behind by a process that died, which the provider was told of now. */
  readonly mended: number;
  /** There may be more that are due. */
  readonly more: boolean;
}

const HEARTBEAT_MS = 4_000;

type Renewer = Omit<Engine, 'pool'>;

export function createRenewalActivities(engine: Engine) {
  return {
    /** Renews what is due at the providers, a few channels at a time, or one channel; and tells providers how things stand where whoever was to tell them died. */
    async renewChannels(channelKey: string | null): Promise<RenewRun> {
      const context = Context.current();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await renewDue(engine, channelKey);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One such call, also outside Temporal (tests). */
export async function renewDue(engine: Renewer, channelKey: string | null = null): Promise<RenewRun> {
  const renewable = engine.plugins.filter((one) => one.renew !== undefined);
  const due = await takeChannelsToRenew(
    engine.db,
    renewable.map((one) => one.key),
    LIMITS.renewalsPerCall,
    channelKey,
  );
  const inTrouble: string[] = [];
  const queue = [...due];
  const work = async (): Promise<void> => {
    for (let channel = queue.shift(); channel !== undefined; channel = queue.shift()) {
      if (!(await renewOne(engine, renewable, channel))) inTrouble.push(channel.key);
    }
  };
  await Promise.all(Array.from({ length: LIMITS.checksAtOnce }, work));
  const mended = channelKey === null ? await mend(engine) : 0;
  return { renewed: due.length - inTrouble.length, inTrouble: inTrouble.toSorted(), mended, more: due.length === LIMITS.renewalsPerCall };
}

/** True: it was renewed. */
async function renewOne(engine: Renewer, plugins: readonly Plugin[], { id, key, plugin: pluginKey }: DueRenewal): Promise<boolean> {
  const plugin = plugins.find((one) => one.key === pluginKey);
  if (plugin === undefined) return false;
  const outcome = await ask(engine, plugin, id);
  const { wakes } = await settleRenewal(engine.db, id, outcome, { catchesUp: plugin.catchUp !== undefined });
  await wake(engine, wakes);
  if (outcome.kind !== 'good') engine.log.warn({ channel: key, found: outcome.kind }, 'a channel could not be renewed');
  return outcome.kind === 'good';
}

/** Asks once, within `sendSeconds`. One whose secrets cannot be opened is in trouble, and does not keep the others from being renewed. */
async function ask(engine: Renewer, plugin: Plugin, channelId: string): Promise<Checked> {
  const channel = await loadChannel(engine.db, engine.keys, { id: channelId }).catch((error: unknown) => {
    if (error instanceof SecretsUnreadable) return undefined;
    throw error;
  });
  if (channel === undefined) return { kind: 'unknown' };
  const late = new AbortController();
  const timeUp = Promise.withResolvers<Checked>();
  const timer = setTimeout(() => {
    late.abort();
    timeUp.resolve({ kind: 'unreachable', reason: 'the provider did not answer in time' });
  }, LIMITS.sendSeconds * 1000);
  const renew = async (): Promise<Checked> => {
    try {
      await plugin.renew?.(contextOf(engine, plugin, channel, late.signal));
      return { kind: 'good' };
    } catch (error) {
      if (isChannelFailure(error)) {
        const { failure } = error;
        if (failure.code === 'Disconnected') return { kind: 'lost', reason: failure.reason };
        if (failure.code === 'Unavailable' || failure.code === 'Rejected') return { kind: 'unreachable', reason: failure.reason };
        if (failure.code === 'RateLimited') return { kind: 'unreachable', reason: 'the provider limits the rate' };
      }
      engine.log.error({ channel: channel.key, ...inCodes(error) }, 'renewing a channel failed in a way that says nothing of it');
      return { kind: 'unknown' };
    }
  };
  try {
    return await Promise.race([renew(), timeUp.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A few a run: each may take its provider's half minute. */
const MENDED_AT_ONCE = 5;

async function mend(engine: Renewer): Promise<number> {
  const { db, plugins, keys, log, now, publicUrl } = engine;
  const contextFor: ContextFor = (pluginKey, info) => {
    const plugin = plugins.find((one) => one.key === pluginKey) ?? { key: pluginKey };
    return createPluginContext(info, {
      sign: (text) => keys.signFor(info.key, text),
      log: (message, fields) => log.info({ ...fields }, message),
      now,
      ...(publicUrl === undefined ? {} : { webhookUrl: webhookUrlOf(publicUrl, plugin, info.key) }),
    });
  };
  const undone = await undoOverdue(db, { plugins, keys }, contextFor, MENDED_AT_ONCE);
  const told = await tellOverdue(db, { plugins, keys }, contextFor, MENDED_AT_ONCE);
  if (undone + told > 0) log.warn({ undone, told }, 'providers were told of what was left behind');
  return undone + told;
}

import { Context } from '@temporalio/activity';
import { isChannelFailure, type Plugin } from '@trunkline/channel-sdk';
import { settleCheck, takeChannelsToCheck, type Checked } from '#commands/channel-health.ts';
import { loadChannel, SecretsUnreadable } from '#commands/channel-settings.ts';
import type { Engine } from './dependencies.ts';
import { inCodes } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';
import { wake } from './wakes.ts';

/** What a call of the check came to: channel keys and counts. */
export interface CheckRun {
  readonly checked: number;
  /** Keys of channels whose provider is lost or could not be reached. */
  readonly inTrouble: readonly string[];
  /** There may be more that are due. */
  readonly more: boolean;
}

const HEARTBEAT_MS = 4_000;

export function createChannelCheckActivities(engine: Engine) {
  return {
    /** Asks the providers of the channels that are due whether their credentials are still good, a few at a time (CH-4). */
    async checkChannels(): Promise<CheckRun> {
      const context = Context.current();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await checkDue(engine);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One such call, also outside Temporal (tests). */
export async function checkDue(engine: Omit<Engine, 'pool'>): Promise<CheckRun> {
  const checkable = engine.plugins.filter((one) => one.check !== undefined);
  const due = await takeChannelsToCheck(
    engine.db,
    checkable.map((one) => one.key),
    LIMITS.checksPerCall,
  );
  const inTrouble: string[] = [];
  const queue = [...due];
  const work = async (): Promise<void> => {
    for (let channel = queue.shift(); channel !== undefined; channel = queue.shift()) {
      const plugin = checkable.find((one) => one.key === channel?.plugin);
      const found = plugin === undefined ? { kind: 'unknown' as const } : await checkOne(engine, plugin, channel.id);
      const { wakes } = await settleCheck(engine.db, channel.id, found, { catchesUp: plugin?.catchUp !== undefined });
      await wake(engine, wakes);
      if (found.kind === 'lost' || found.kind === 'unreachable') {
        inTrouble.push(channel.key);
        engine.log.warn({ channel: channel.key, found: found.kind }, 'a channel is in trouble');
      }
    }
  };
  await Promise.all(Array.from({ length: LIMITS.checksAtOnce }, work));
  return { checked: due.length, inTrouble: inTrouble.toSorted(), more: due.length === LIMITS.checksPerCall };
}

/** Asks once, within `sendSeconds`. Only what the plugin says by a typed failure counts against the channel, and not being answered. */
async function checkOne(engine: Omit<Engine, 'pool'>, plugin: Plugin, channelId: string): Promise<Checked> {
  const channel = await loadChannel(engine.db, engine.keys, { id: channelId }).catch((error: unknown) => {
    if (error instanceof SecretsUnreadable) return undefined;
    throw error;
  });
  if (channel === undefined) return { kind: 'unknown' };
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<Checked>((resolve) => {
    timer = setTimeout(() => {
      late.abort();
      resolve({ kind: 'unreachable', reason: 'the provider did not answer in time' });
    }, LIMITS.sendSeconds * 1000);
  });
  const context = contextOf(engine, plugin, channel, late.signal);
  try {
    return await Promise.race([asked(engine, plugin, context), timeUp]);
  } finally {
    clearTimeout(timer);
  }
}

async function asked(engine: Omit<Engine, 'pool'>, plugin: Plugin, context: Parameters<NonNullable<Plugin['check']>>[0]): Promise<Checked> {
  try {
    await plugin.check?.(context);
    return { kind: 'good' };
  } catch (error) {
    if (isChannelFailure(error) && error.failure.code === 'Disconnected') return { kind: 'lost', reason: error.failure.reason };
    if (isChannelFailure(error) && error.failure.code === 'Unavailable') return { kind: 'unreachable', reason: error.failure.reason };
    engine.log.error({ channel: context.channel.key, ...inCodes(error) }, 'the check of a channel failed in a way that says nothing of it');
    return { kind: 'unknown' };
  }
}

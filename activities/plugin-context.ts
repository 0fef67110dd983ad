import type { Plugin, PluginContext } from '@trunkline/channel-sdk';
import { channelState } from '#commands/channel-state.ts';
import type { LoadedChannel } from '#commands/channel-settings.ts';
import { createPluginContext, webhookUrlOf } from '#runtime/plugin-context.ts';
import type { Dependencies } from './dependencies.ts';

/** What a plugin's function gets in a worker: all of the contract but what depends on its arguments alone (`reserve`, `parse`). `signal`: nobody waits any more. */
export function contextOf(
  { db, keys, log, now, publicUrl }: Pick<Dependencies, 'db' | 'keys' | 'log' | 'now' | 'publicUrl'>,
  plugin: Pick<Plugin, 'key' | 'sharedDoor'>,
  channel: LoadedChannel,
  signal: AbortSignal,
): PluginContext<unknown> {
  return createPluginContext(channel.info, {
    sign: (text) => keys.signFor(channel.key, text),
    log: (message, fields) => log.info({ ...fields }, message),
    now,
    signal,
    state: channelState(db, keys, channel),
    ...(publicUrl === undefined ? {} : { webhookUrl: webhookUrlOf(publicUrl, plugin, channel.key) }),
  });
}

import type { Plugin, PluginContext } from '@trunkline/channel-sdk';
import type { LoadedChannel } from '#commands/channel-settings.ts';
import { createCache } from './cache.ts';

/** A connected channel with what its plugin's functions get. */
export interface DoorChannel {
  readonly plugin: Plugin;
  readonly channel: LoadedChannel;
  readonly context: PluginContext<unknown>;
}

/** Milliseconds a channel is remembered: a changed or disconnected one is noticed within that time. */
export const REMEMBER_MS = 1_000;

/** Remembers channels for a moment, so that a busy webhook reads and decrypts nothing; of many at once one reads. */
export function createChannelCache(
  load: (key: string) => Promise<DoorChannel | undefined>,
  rememberMs = REMEMBER_MS,
): (key: string) => Promise<DoorChannel | undefined> {
  return createCache(load, rememberMs);
}

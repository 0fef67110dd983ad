import type { Plugin, PluginContext } from '@trunkline/channel-sdk';
import type { LoadedChannel } from '#commands/channel-settings.ts';

/** A connected channel with what its plugin's functions get. */
export interface DoorChannel {
  readonly plugin: Plugin;
  readonly channel: LoadedChannel;
  readonly context: PluginContext<unknown>;
}

interface Entry {
  readonly until: number;
  readonly value: Promise<DoorChannel | undefined>;
}

/** Milliseconds a channel is remembered: a changed or disconnected one is noticed within that time. */
export const REMEMBER_MS = 1_000;
const MOST = 5_000;

/** Remembers channels for a moment, so that a busy webhook reads and decrypts nothing; of many at once one reads. */
export function createChannelCache(
  load: (key: string) => Promise<DoorChannel | undefined>,
  rememberMs = REMEMBER_MS,
): (key: string) => Promise<DoorChannel | undefined> {
  const entries = new Map<string, Entry>();
  return (key) => {
    const now = performance.now();
    const known = entries.get(key);
    if (known !== undefined && known.until > now) return known.value;
    // Made-up keys must not fill the memory.
    if (entries.size >= MOST) entries.clear();
    const value = load(key);
    const entry = { until: now + rememberMs, value };
    entries.set(key, entry);
    const forget = (): void => {
      if (entries.get(key) === entry) entries.delete(key);
    };
    // One just connected is there at once, and a failure is asked about again.
    value.then((found) => found ?? forget(), forget);
    return value;
  };
}

import { DELIVERY_CHANNEL } from '#db/announce.ts';
import { startListening } from '#db/listen.ts';

/** Tells a drain that waits that something came for its channel. */
export interface Bell {
  /** Resolves when something came since the last call, and after `ms` at the latest. */
  wait(channelKey: string, ms: number): Promise<void>;
  close(): Promise<void>;
}

/** One connection for all drains of a worker. A ring that is lost does no harm: a drain looks by itself after a moment. */
export function createBell(directUrl: string): Bell {
  /** Rung with nobody waiting: a key for each channel at the most. */
  const rung = new Set<string>();
  const waiting = new Map<string, Set<() => void>>();
  const connection = startListening({
    directUrl,
    name: 'trunkline-bell',
    channels: [DELIVERY_CHANNEL],
    onNotification(_channel, channelKey) {
      const drains = waiting.get(channelKey);
      if (drains === undefined) rung.add(channelKey);
      else for (const resolve of drains) resolve();
    },
  });
  return {
    wait(channelKey, ms) {
      if (rung.delete(channelKey)) return Promise.resolve();
      return new Promise((resolve) => {
        const drains = waiting.get(channelKey) ?? new Set();
        waiting.set(channelKey, drains);
        const done = (): void => {
          clearTimeout(timer);
          drains.delete(done);
          if (drains.size === 0) waiting.delete(channelKey);
          resolve();
        };
        const timer = setTimeout(done, ms);
        drains.add(done);
      });
    },
    close: () => connection.close(),
  };
}

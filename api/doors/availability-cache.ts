import { ruleAvailable } from '#commands/availability.ts';
import type { Db } from '#db/database.ts';
import { createCache } from './cache.ts';

/** Milliseconds for which a process remembers whether somebody is there: every view of a page with a widget asks. */
export const AVAILABLE_MS = 15_000;

/** Whether one of those whom a channel's rule names is available, as of the last 15 s. */
export function createAvailability(db: Db, rememberMs = AVAILABLE_MS): (channelId: string) => Promise<boolean> {
  const known = createCache((channelId) => ruleAvailable(db, channelId), rememberMs);
  return async (channelId) => (await known(channelId)) === true;
}

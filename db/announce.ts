import { sql } from 'kysely';
import type { Db } from './database.ts';

/** The channel on which readers of the event feed listen. */
export const EVENT_CHANNEL = 'trunkline_event';
/** The channel on which api processes tell one another what is not stored: who is writing just now. */
export const SIGNAL_CHANNEL = 'trunkline_live';

/** The channel on which intakes that are at work listen, for the key of a channel something came on. */
export const DELIVERY_CHANNEL = 'trunkline_delivery';

/** Milliseconds in which readers are told once more at the most. */
const GATHER_MS = 50;

/** Who was told just now, by what they were told; `again`: something came since. */
const told = new WeakMap<Db, Map<string, { again: boolean }>>();

/**
 * Tells readers that there are new events: after the commit, for inside the transaction a NOTIFY halves the rate. The first at once, for somebody waits for it; what
 * follows within 50 ms together at their end. A lost one does no harm: readers look once a second anyway.
 */
export function announce(db: Db): void {
  tell(db, EVENT_CHANNEL, '');
}

/** In the same way, that something came for a channel whose intake is at work: it looks by itself only after a moment. */
export function announceDelivery(db: Db, channelKey: string): void {
  tell(db, DELIVERY_CHANNEL, channelKey);
}

function tell(db: Db, channel: string, payload: string): void {
  const what = `${channel} ${payload}`;
  const all = told.get(db) ?? new Map<string, { again: boolean }>();
  told.set(db, all);
  const before = all.get(what);
  if (before !== undefined) {
    before.again = true;
    return;
  }
  const state = { again: false };
  all.set(what, state);
  sql`select pg_notify(${channel}, ${payload})`.execute(db).catch(() => undefined);
  setTimeout(() => {
    all.delete(what);
    if (state.again) tell(db, channel, payload);
  }, GATHER_MS).unref();
}

/** Tells every api process that somebody is writing: ids only, never stored, and outside any transaction. `userId` null: the contact. One that is lost is made good by the next. */
export function announceTyping(db: Db, typing: { readonly conversationId: string; readonly channelId: string; readonly userId: string | null }): void {
  const { conversationId, channelId, userId } = typing;
  sql`select pg_notify(${SIGNAL_CHANNEL}, ${`typing ${conversationId} ${channelId} ${userId ?? 'visitor'}`})`.execute(db).catch(() => undefined);
}

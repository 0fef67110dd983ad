import { sql } from 'kysely';
import type { Db } from './database.ts';

/** The channel on which readers of the event feed listen. */
export const EVENT_CHANNEL = 'trunkline_event';
/** The channel on which api processes tell one another what is not stored: who is writing just now. */
export const SIGNAL_CHANNEL = 'trunkline_live';

/** Milliseconds in which readers are told once more at the most. */
const GATHER_MS = 50;

/** While it is there readers have just been told; `again`: something came since. */
const told = new WeakMap<Db, { again: boolean }>();

/**
 * Tells readers that there are new events: after the commit, for inside the transaction a NOTIFY halves the rate. The first at once, for somebody waits for it; what
 * follows within 50 ms together at their end. A lost one does no harm: readers look once a second anyway.
 */
export function announce(db: Db): void {
  const state = told.get(db);
  if (state === undefined) tell(db);
  else state.again = true;
}

function tell(db: Db): void {
  const state = { again: false };
  told.set(db, state);
  sql`select pg_notify(${EVENT_CHANNEL}, '')`.execute(db).catch(() => undefined);
  setTimeout(() => {
    told.delete(db);
    if (state.again) tell(db);
  }, GATHER_MS).unref();
}

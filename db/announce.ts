import { sql } from 'kysely';
import type { Db } from './database.ts';

/** The channel on which readers of the event feed listen. */
export const EVENT_CHANNEL = 'trunkline_event';

const pending = new WeakSet<Db>();

/**
 * Tells readers that there are new events: after the commit and at most once in 50 ms, for inside the transaction a NOTIFY halves the rate.
 * A lost one does no harm: readers look once a second anyway.
 */
export function announce(db: Db): void {
  if (pending.has(db)) return;
  pending.add(db);
  setTimeout(() => {
    pending.delete(db);
    sql`select pg_notify(${EVENT_CHANNEL}, '')`.execute(db).catch(() => undefined);
  }, 50).unref();
}

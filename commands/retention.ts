import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { dropOrphanBlobs } from './blobs.ts';

/** How long rows are kept that nobody reads any more, in days; the table in `docs/limits.md` is held against these. */
export const RETENTION_DAYS = { idempotencyKeys: 7, rawDeliveries: 30, spam: 90, filtered: 90 } as const;

export interface Removed {
  readonly idempotencyKeys: number;
  /** Spam, and automatic mail that answered nothing; with their deliveries, which had to last as long. */
  readonly filteredMessages: number;
  readonly rawDeliveries: number;
}

/** Removes what is past its time, at most `limit` rows of each kind, so that no call is a long one. Deliveries that wait or were set aside stay. */
export async function removeExpired(db: Db, limit: number): Promise<Removed> {
  const keys = await sql<{ gone: number }>`with gone as (
      delete from idempotency_key where (caller, key) in (
        select caller, key from idempotency_key where created_at < now() - make_interval(days => ${RETENTION_DAYS.idempotencyKeys}) limit ${limit})
      returning 1) select count(*) as gone from gone`.execute(db);
  const filtered = await sql<{ gone: number }>`with gone as (
      delete from filtered_message where id in (
        select id from filtered_message
        where received_at < now() - make_interval(days => case kind when 'SPAM' then ${RETENTION_DAYS.spam}::int else ${RETENTION_DAYS.filtered}::int end)
          and received_at < now() - make_interval(days => ${Math.min(RETENTION_DAYS.spam, RETENTION_DAYS.filtered)})
        order by received_at, id limit ${limit})
      returning 1) select count(*) as gone from gone`.execute(db);
  const raw = await sql<{ gone: number }>`with gone as (
      delete from raw_delivery where id in (
        select id from raw_delivery r where state = 'DONE' and received_at < now() - make_interval(days => ${RETENTION_DAYS.rawDeliveries})
          and not exists (select 1 from filtered_message f where f.raw_delivery_id = r.id) limit ${limit})
      returning 1) select count(*) as gone from gone`.execute(db);
  return { idempotencyKeys: keys.rows[0]?.gone ?? 0, filteredMessages: filtered.rows[0]?.gone ?? 0, rawDeliveries: raw.rows[0]?.gone ?? 0 };
}

import { sql } from 'kysely';
import type { Db } from '#db/database.ts';

/** How long rows are kept that nobody reads any more, in days; the table in `docs/limits.md` is held against these. */
export const RETENTION_DAYS = { idempotencyKeys: 7, rawDeliveries: 30 } as const;

export interface Removed {
  readonly idempotencyKeys: number;
  readonly rawDeliveries: number;
}

/** Removes what is past its time, at most `limit` rows of each kind, so that no call is a long one. Deliveries that wait or were set aside stay. */
export async function removeExpired(db: Db, limit: number): Promise<Removed> {
  const keys = await sql<{ gone: number }>`with gone as (
      delete from idempotency_key where (caller, key) in (
        select caller, key from idempotency_key where created_at < now() - make_interval(days => ${RETENTION_DAYS.idempotencyKeys}) limit ${limit})
      returning 1) select count(*) as gone from gone`.execute(db);
  const raw = await sql<{ gone: number }>`with gone as (
      delete from raw_delivery where id in (
        select id from raw_delivery where state = 'DONE' and received_at < now() - make_interval(days => ${RETENTION_DAYS.rawDeliveries}) limit ${limit})
      returning 1) select count(*) as gone from gone`.execute(db);
  return { idempotencyKeys: keys.rows[0]?.gone ?? 0, rawDeliveries: raw.rows[0]?.gone ?? 0 };
}

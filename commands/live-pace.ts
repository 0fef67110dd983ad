import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { LivePace } from '#domain/migration.ts';

/** Minutes back in which what is taken in now may have arrived. */
const LOOKED_BACK_MINUTES = 10;

/** Seconds for which what waits to be taken in counts: what waits longer waits for something else, a plugin that is not there. */
const WAITS_SECONDS = 60;

/** How long deliveries of the last `seconds` took from their receipt until they were in their conversations; what waits still counts with the time it has waited (MIG-19). */
export async function readLivePace(db: Db | Tx, seconds: number): Promise<LivePace> {
  const { rows } = await sql<{ p99: number | null; messages: number }>`
    select percentile_disc(0.99) within group (order by ms) as p99, count(*) as messages from (
      select extract(epoch from settled_at - received_at)::float8 * 1000 as ms from raw_delivery
      where state = 'DONE' and not recovered and received_at > now() - make_interval(mins => ${LOOKED_BACK_MINUTES}) and settled_at > now() - make_interval(secs => ${seconds})
      union all
      select extract(epoch from clock_timestamp() - received_at)::float8 * 1000 from raw_delivery where state = 'WAITING' and not recovered
        and received_at > now() - make_interval(secs => ${WAITS_SECONDS})
    ) live`.execute(db);
  const [row] = rows;
  return { p99Ms: row?.p99 ?? null, messages: row?.messages ?? 0 };
}

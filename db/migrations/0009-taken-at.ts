import { sql, type Kysely } from 'kysely';

/** When a delivery was last taken to be read: one that several take in at the same time is not worn out by that. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table raw_delivery add column taken_at timestamptz`.execute(db);
}

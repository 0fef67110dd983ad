import type { Kysely } from 'kysely';
import { buildIndexBeside } from '../index-beside.ts';

/** The tables are large where an account has been here for long, and every delivery and every message writes to them. */
export const alone = true;

/** What catching up and keeping pace look for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await buildIndexBeside(db, { name: 'raw_delivery_recovered', on: `raw_delivery (channel_id) where recovered and state = 'WAITING'` });
  await buildIndexBeside(db, { name: 'outbound_by_recipient', on: `outbound (channel_id, (recipient ->> 'value'), claimed_at) where claimed_at is not null` });
}

import type { Kysely } from 'kysely';
import { buildIndexBeside } from '../index-beside.ts';

/** The tables are large where an account has been here for long, and every message writes to them. */
export const alone = true;

/**
 * What the preflight of a move counts: a channel's inbound messages by hour, which every inbound message pays for with one entry more; and what began on a channel and
 * goes on by another, of which only a change of channel writes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await buildIndexBeside(db, { name: 'message_inbound_volume', on: `message (channel_id, received_at) where direction = 'INBOUND'` });
  await buildIndexBeside(db, {
    name: 'conversation_went_on',
    on: `conversation (origin_channel_id, channel_id, id) where place = 'INBOX' and origin_channel_id <> channel_id`,
  });
}

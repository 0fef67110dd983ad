import type { Kysely } from 'kysely';
import { buildIndexBeside } from '../index-beside.ts';

/** The tables are large where an account has been here for long, and every message writes to them. */
export const alone = true;

/** What a move walks and counts. The first two hold what lives in an inbox only, so what has moved costs them nothing. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await buildIndexBeside(db, { name: 'conversation_inbox_channel', on: `conversation (channel_id, id) where place = 'INBOX'` });
  await buildIndexBeside(db, { name: 'conversation_inbox_owner', on: `conversation (owner_id, channel_id) where place = 'INBOX' and owner_id is not null` });
  await buildIndexBeside(db, { name: 'ticket_owner', on: `ticket (owner_id) where owner_id is not null` });
}

import { sql, type Kysely } from 'kysely';

/**
 * Answers on a page that its visitor left without reading. The indexes hold only what is new, so nothing of size is sorted while a table is locked.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- The visitor left, and what they have not read is still to be sent on.
alter table visitor_presence add column unread_due boolean not null default false;
create index visitor_presence_unread on visitor_presence (seen_at) where unread_due;
-- The message by which an unread answer was sent on; null: by none.
alter table outbound add column carried_by uuid references message;
create index outbound_carried on outbound (carried_by) where carried_by is not null;
`;

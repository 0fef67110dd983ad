import { sql, type Kysely } from 'kysely';

/** An import lets go of its file when it is over. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table ticket_import alter column sha256 drop not null`.execute(db);
  await sql`update ticket_import set sha256 = null where state <> 'RUNNING'`.execute(db);
}

import { sql, type Kysely } from 'kysely';

/** How many transcripts went to an address, or from a channel, in a day is counted before each. The table holds weeks of mail, nothing of size. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`create index system_mail_transcripts on system_mail (created_at) where kind = 'TRANSCRIPT'`).execute(db);
}

import { sql, type Kysely } from 'kysely';

/** Which address a contact asked to be answered at. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- When the contact gave this address to be answered at, where they did: of several, the one they gave last counts.
alter table participant add column given_at timestamptz;
`;

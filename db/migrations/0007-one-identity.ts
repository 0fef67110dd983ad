import { sql, type Kysely } from 'kysely';

/** A user is one person to a provider: an address given to somebody new does not sign them in as who had it before (API-5). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
create unique index sign_in_identity_once on sign_in_identity (issuer, user_id);
alter table api_token add constraint api_token_scopes check (cardinality(scopes) > 0 and scopes <@ array['*', 'read', 'work', 'configure', 'people']);
`;

import { sql, type Kysely } from 'kysely';

/** An index for a table that is large and in use. `on`: what follows `on` in its statement. */
export interface IndexBeside {
  readonly name: string;
  readonly on: string;
}

/**
 * Builds an index while others go on writing; only in a step that is `alone`. Where it is there already nothing happens, and what an earlier try left
 * half-built is built anew. It waits for every transaction that began before it, however long that takes: nobody waits for it.
 */
export async function buildIndexBeside(db: Kysely<unknown>, { name, on }: IndexBeside): Promise<void> {
  const index = sql.id(name);
  await sql`set lock_timeout = 0`.execute(db);
  try {
    const { rows } = await sql`select 1 from pg_index where indexrelid = to_regclass(${name}) and not indisvalid`.execute(db);
    if (rows.length > 0) await sql`drop index concurrently ${index}`.execute(db);
    await sql`create index concurrently if not exists ${index} on ${sql.raw(on)}`.execute(db);
  } finally {
    await sql`reset lock_timeout`.execute(db);
  }
}

import type pg from 'pg';

const pools = new WeakMap<object, pg.Pool>();

/** Remembers the pool behind a `Db`, for the few statements that are worth preparing. */
export function rememberPool(db: object, pool: pg.Pool): void {
  pools.set(db, pool);
}

export interface Prepared {
  /** Unique for its text: PostgreSQL plans it once for each connection. */
  readonly name: string;
  readonly text: string;
}

/**
 * Runs a named prepared statement outside any transaction. For the statement every delivery waits for: planned each time it costs a third more.
 * Behind a transaction pooler this needs one that knows prepared statements (PgBouncer 1.21 or later).
 */
export async function runPrepared<Row extends object>(db: object, prepared: Prepared, values: readonly unknown[]): Promise<readonly Row[]> {
  const pool = pools.get(db);
  if (pool === undefined) throw new Error('this database was not opened by openDatabase');
  const { rows } = await pool.query<Row>({ ...prepared, values: [...values] });
  return rows;
}

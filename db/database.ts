import { Kysely, PostgresDialect, type PostgresPool, type Transaction } from 'kysely';
import pg from 'pg';
import { rememberPool } from './prepared.ts';
import type { Database } from './schema.ts';

/** The pool every layer reads and writes through. */
export type Db = Kysely<Database>;
/** A transaction: what a command gets. */
export type Tx = Transaction<Database>;

// Counts and ids are bigint in the database; here they stay below 2^53, and a string would compare wrongly.
pg.types.setTypeParser(pg.types.builtins.INT8, (value) => {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError('a bigint from the database exceeds 2^53');
  return number;
});

export interface OpenOptions {
  /** Connections at the most. */
  readonly max?: number;
  /** Shown in pg_stat_activity. */
  readonly name?: string;
  /** Milliseconds a transaction may last; 0: as long as it likes. */
  readonly transactionMs?: number;
  /** Milliseconds a statement waits for a lock. */
  readonly lockMs?: number;
  /** Called for every statement, with its SQL text (never its values). */
  readonly onStatement?: (text: string) => void;
}

/**
 * Opens a pool. Sessions run at READ COMMITTED; no transaction lasts longer than 30 s unless asked for, for the event feed waits for the oldest one.
 * A connection lost while idle is dropped and replaced without an error.
 */
export function openDatabase(url: string, options: OpenOptions = {}): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.name ?? 'trunkline',
    connectionTimeoutMillis: 10_000,
    options: `-c transaction_timeout=${options.transactionMs ?? 30_000} -c lock_timeout=${options.lockMs ?? 20_000}`,
  });
  pool.on('error', () => undefined);
  // A connection that is lost between two statements of a transaction belongs to nobody's query: unheard, its error would end the process.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  const { onStatement } = options;
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool: closing(pool) }),
    ...(onStatement === undefined ? {} : { log: (event) => onStatement(event.query.sql) }),
  });
  rememberPool(db, pool);
  return db;
}

/**
 * A pool as Kysely sees it. Kysely forgets its pool before it ends it, and loses a connection that comes about just then: the pool would wait for
 * that one for ever, and with it whoever closes.
 */
function closing(pool: pg.Pool): PostgresPool {
  let ended = false;
  return {
    options: pool.options,
    async connect() {
      const client = await pool.connect();
      if (!ended) return client;
      client.release();
      throw new Error('the pool is closed');
    },
    end() {
      ended = true;
      return pool.end();
    },
  };
}

/** A stand-alone connection, for LISTEN. */
export function openConnection(url: string, name: string): pg.Client {
  return new pg.Client({ connectionString: url, application_name: name, connectionTimeoutMillis: 10_000, keepAlive: true });
}

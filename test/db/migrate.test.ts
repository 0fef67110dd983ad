import { afterEach, beforeEach, expect, it } from 'vitest';
import { sql, type Kysely } from 'kysely';
import type { Db } from '#db/database.ts';
import { buildIndexBeside } from '#db/index-beside.ts';
import { migrateToLatest, pendingMigrations, type SchemaStep } from '#db/migrate.ts';
import { eventually } from '../support/wait.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Db;
beforeEach(async () => {
  database = await testDatabase();
  db = database.db;
  // The steps of the tests begin from nothing taken.
  await sql`truncate kysely_migration`.execute(db);
  await sql`create table noted (name text, xid text, limits text)`.execute(db);
});
afterEach(() => database.drop());

type Steps = Readonly<Record<string, SchemaStep>>;
const migrate = (steps: Steps, more: { lockMs?: number; tries?: number } = {}) =>
  migrateToLatest(database.url, undefined, { steps: async () => steps, ...more });
const noting = (name: string): SchemaStep => ({
  up: async (tx: Kysely<unknown>) =>
    void (await sql`insert into noted select ${name}, pg_current_xact_id()::text, current_setting('transaction_timeout')`.execute(tx)),
});
const noted = async () => (await sql<{ name: string; xid: string; limits: string }>`select * from noted order by xid::bigint`.execute(db)).rows;
const failing: SchemaStep = {
  up: async (tx) => {
    await sql`insert into noted values ('half', '0', '')`.execute(tx);
    await sql`select 1 / 0`.execute(tx);
  },
};

it('each step is a transaction of its own, as long as it must be; those before one that failed stay [OPS-8]', async () => {
  const steps = { '1-a': noting('a'), '2-b': noting('b') };
  await expect(migrate({ ...steps, '3-c': failing, '4-d': noting('d') })).rejects.toThrow('schema migration 3-c failed');
  expect((await noted()).map(({ name, limits }) => [name, limits])).toEqual([
    ['a', '0'],
    ['b', '0'],
  ]);
  expect(new Set((await noted()).map(({ xid }) => xid)).size).toBe(2);
  expect(await migrate({ ...steps, '3-c': noting('c'), '4-d': noting('d') })).toEqual(['3-c', '4-d']);
});

it('a step that was written later and sorts before one that was taken is taken too [OPS-8]', async () => {
  expect(await migrate({ '2-b': noting('b') })).toEqual(['2-b']);
  expect(await migrate({ '1-a': noting('a'), '2-b': noting('b') })).toEqual(['1-a']);
  expect((await noted()).map(({ name }) => name)).toEqual(['b', 'a']);
});

it('ten at once take each step once, also one that is built beside them [OPS-8]', async () => {
  const steps: Steps = {
    '1-a': noting('a'),
    '2-b': { alone: true, up: (one) => buildIndexBeside(one, { name: 'noted_name', on: 'noted (name)' }) },
    '3-c': noting('c'),
  };
  const taken = await Promise.all(Array.from({ length: 10 }, () => migrate(steps)));
  expect(taken.flat().toSorted()).toEqual(['1-a', '2-b', '3-c']);
  expect((await noted()).map(({ name }) => name)).toEqual(['a', 'c']);
});

it('a step makes way for who uses its table, and comes again [OPS-8]', async () => {
  const steps: Steps = { '1-a': { up: async (tx) => void (await sql`alter table noted add column more text`.execute(tx)) } };
  const done = Promise.withResolvers<undefined>();
  const using = Promise.withResolvers<undefined>();
  const user = db.transaction().execute(async (tx) => {
    await sql`select 1 from noted`.execute(tx);
    using.resolve(undefined);
    await done.promise;
  });
  await using.promise;
  await expect(migrate(steps, { lockMs: 50, tries: 2 })).rejects.toThrow('schema migration 1-a failed');
  const migrated = migrate(steps, { lockMs: 50 });
  // Who came later is not held up by the step that waits.
  for (let reads = 0; reads < 5; reads += 1) await sql`select 1 from noted`.execute(db);
  done.resolve(undefined);
  await user;
  expect(await migrated).toEqual(['1-a']);
});

it('an index is built while its table is written to, and one that was left half-built is built anew [OPS-8]', async () => {
  const building = (): Steps => ({ '1-a': { alone: true, up: (one) => buildIndexBeside(one, { name: 'noted_name', on: 'noted (name)' }) } });
  const valid = async () =>
    (await sql<{ indisvalid: boolean }>`select indisvalid from pg_index where indexrelid = to_regclass('noted_name')`.execute(db)).rows[0]?.indisvalid;
  await sql`insert into noted (name) values ('x'), ('x')`.execute(db);
  // A unique one that fails stays behind, of no use to anybody.
  await expect(sql`create unique index concurrently noted_name on noted (name)`.execute(db)).rejects.toThrow();
  expect(await valid()).toBe(false);
  const done = Promise.withResolvers<undefined>();
  const began = Promise.withResolvers<undefined>();
  const writer = db.transaction().execute(async (tx) => {
    await sql`insert into noted (name) values ('y')`.execute(tx);
    began.resolve(undefined);
    await done.promise;
  });
  await began.promise;
  const migrated = migrate(building());
  const waits = sql`select 1 from pg_stat_activity where datname = current_database() and query like '%index concurrently%' and wait_event_type = 'Lock'`;
  await eventually(async () => expect((await waits.execute(db)).rows.length).toBeGreaterThan(0));
  await sql`insert into noted (name) values ('z')`.execute(db);
  done.resolve(undefined);
  await writer;
  expect(await migrated).toEqual(['1-a']);
  expect(await valid()).toBe(true);
});

it('the newest schema has nothing to be taken, and its indexes beside the tables are valid [OPS-8]', async () => {
  const fresh = await testDatabase();
  try {
    expect(await pendingMigrations(fresh.url)).toEqual([]);
    const { rows } =
      await sql`select 1 from pg_index where indexrelid in ('raw_delivery_recovered'::regclass, 'outbound_by_recipient'::regclass) and indisvalid`.execute(
        fresh.db,
      );
    expect(rows).toHaveLength(2);
  } finally {
    await fresh.drop();
  }
});

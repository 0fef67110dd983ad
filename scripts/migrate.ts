import { migrateToLatest, pendingMigrations } from '#db/migrate.ts';
import { Command } from 'commander';

import { readDatabaseUrl } from '#runtime/environment.ts';
import { fail } from './servers/fail.ts';
import { createProgress } from './servers/progress.ts';

const program = new Command('db:migrate')
  .description('Brings the schema of the database at DATABASE_URL up to date, forward only; safe beside the old version')
  .option('--check', 'only name what is missing; exit code 1 when something is')
  .parse();
const { check = false } = program.opts<{ check?: boolean }>();

try {
  // Steps hold session locks, which a transaction pooler does not keep.
  const direct = process.env['DATABASE_DIRECT_URL'];
  const url = direct ? readDatabaseUrl({ DATABASE_URL: direct }) : readDatabaseUrl();
  if (check) {
    const missing = await pendingMigrations(url);
    console.log(missing.length === 0 ? 'The schema is up to date.' : `Missing: ${missing.join(', ')}`);
    process.exitCode = missing.length === 0 ? 0 : 1;
  } else {
    const taken = await createProgress().during('Bringing the schema up to date', (step) => migrateToLatest(url, step.update));
    console.log(taken.length === 0 ? 'The schema was up to date.' : `Done: ${taken.join(', ')}`);
  }
} catch (error) {
  fail(error);
}

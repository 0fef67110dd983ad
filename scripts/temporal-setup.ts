import { Command } from 'commander';

import { readTemporalSettings } from '#runtime/environment.ts';
import { connectClient } from '#runtime/temporal.ts';
import { ensureTemporalSetup, missingTemporalSetup } from '#runtime/temporal-setup.ts';
import { fail } from './servers/fail.ts';

const program = new Command('temporal:setup')
  .description('Registers search attributes and retention in the namespace at TEMPORAL_ADDRESS; again and again without harm')
  .option('--check', 'only name what is missing; exit code 1 when something is')
  .parse();
const { check = false } = program.opts<{ check?: boolean }>();

try {
  const settings = readTemporalSettings();
  const { connection } = await connectClient(settings);
  try {
    if (check) {
      const missing = await missingTemporalSetup(connection, settings.namespace);
      console.log(missing.length === 0 ? 'Nothing is missing.' : `Missing: ${missing.join(', ')}`);
      process.exitCode = missing.length === 0 ? 0 : 1;
    } else {
      const changed = await ensureTemporalSetup(connection, settings.namespace);
      console.log(changed.length === 0 ? 'Everything was in place.' : `Done: ${changed.join(', ')}`);
    }
  } finally {
    await connection.close();
  }
} catch (error) {
  fail(error);
}

import type { Client } from '@temporalio/client';
import { Command } from 'commander';

import { readTemporalSettings } from '#runtime/environment.ts';
import { connectClient } from '#runtime/temporal.ts';
import { ensureTemporalSetup, missingTemporalSetup } from '#runtime/temporal-setup.ts';
import { keepChannelCheckSchedule, keepGuardianSchedule } from '#worker/schedule.ts';
import { CHANNEL_CHECK_SCHEDULE, GUARDIAN_SCHEDULE } from '#workflows/contract.ts';
import { fail } from './servers/fail.ts';

/** Workers look after them too; made here, they are there before the first worker. */
async function ensureSchedules(client: Client): Promise<readonly string[]> {
  const now = (): number => Date.now();
  const guardian = await keepGuardianSchedule(client, now);
  const check = await keepChannelCheckSchedule(client, now);
  return [
    ...(guardian === null ? [] : [`schedule ${GUARDIAN_SCHEDULE} (${guardian})`]),
    ...(check === null ? [] : [`schedule ${CHANNEL_CHECK_SCHEDULE} (${check})`]),
  ];
}

const program = new Command('temporal:setup')
  .description('Registers search attributes, retention and schedules in the namespace at TEMPORAL_ADDRESS; again and again without harm')
  .option('--check', 'only name what is missing; exit code 1 when something is')
  .parse();
const { check = false } = program.opts<{ check?: boolean }>();

try {
  const settings = readTemporalSettings();
  const { client, connection } = await connectClient(settings);
  try {
    if (check) {
      const missing = await missingTemporalSetup(connection, settings.namespace);
      console.log(missing.length === 0 ? 'Nothing is missing.' : `Missing: ${missing.join(', ')}`);
      process.exitCode = missing.length === 0 ? 0 : 1;
    } else {
      const changed = [...(await ensureTemporalSetup(connection, settings.namespace)), ...(await ensureSchedules(client))];
      console.log(changed.length === 0 ? 'Everything was in place.' : `Done: ${changed.join(', ')}`);
    }
  } finally {
    await connection.close();
  }
} catch (error) {
  fail(error);
}

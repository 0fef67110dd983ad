import { Command } from 'commander';

import { readEnvironment, readDatabaseUrl, readTemporalSettings, type Mode } from '#runtime/environment.ts';
import { createLifecycle } from '#runtime/lifecycle.ts';
import { explain } from './servers/fail.ts';
import { createProgress } from './servers/progress.ts';
import { startStack, type Stack, type StackOptions } from './servers/stack.ts';

const program = new Command('start')
  .description('Starts everything: PostgreSQL, Temporal, worker and API. DATABASE_URL and TEMPORAL_ADDRESS use your own servers.')
  .option('--migrate', 'bring the schema of the database at DATABASE_URL up to date')
  .parse();
const { migrate = false } = program.opts<{ migrate?: boolean }>();

const progress = createProgress();
const calledOff = new AbortController();
const lifecycle = createLifecycle({ timeoutMs: 120_000 });
let starting: Promise<Stack> | undefined;

lifecycle.onShutdown('stack', async () => {
  process.stderr.write('\n');
  calledOff.abort(new Error('The start was called off.'));
  const stack = await starting?.catch(() => undefined);
  await stack?.stop();
  progress.note('Stopped; the data is kept.');
});

try {
  starting = startStack({ ...optionsFrom(process.env), progress, migrate, signal: calledOff.signal, onDeath });
  print(await starting);
} catch (error) {
  if (!lifecycle.stopping()) {
    process.stderr.write(`\n${explain(error)}\n`);
    process.exit(1);
  }
}

function onDeath(name: string, how: string): void {
  if (lifecycle.stopping()) return;
  process.stderr.write(`\nThe ${name} ended unexpectedly (${how}); its log is ${name}.log in the data directory. Stopping the rest.\n`);
  void lifecycle.shutdown(`${name} ended`).then(() => process.exit(1));
}

/** What the environment says of this start. Checked as the children will check it, so that one error names all of it. */
function optionsFrom(source: NodeJS.ProcessEnv): StackOptions {
  const ownDatabase = Boolean(source['DATABASE_URL']);
  const ownTemporal = Boolean(source['TEMPORAL_ADDRESS']);
  // Outside development there is no default credential, so somebody's own database gets none unless asked for.
  const mode: Mode = source['TRUNKLINE_MODE'] === 'development' || (!source['TRUNKLINE_MODE'] && !ownDatabase) ? 'development' : 'production';
  const settings = readEnvironment({
    // What this start brings itself stands in for what is not given.
    DATABASE_URL: 'postgres://embedded',
    TEMPORAL_ADDRESS: '127.0.0.1:7233',
    // Of an own database the secret must be given: the folder's may be gone tomorrow, and with it what it encrypted.
    ...(ownDatabase && mode === 'production' ? {} : { TRUNKLINE_SECRET: '0'.repeat(64) }),
    ...given(source),
    TRUNKLINE_MODE: source['TRUNKLINE_MODE'] || mode,
  });
  return {
    mode,
    host: settings.host,
    ports: { api: settings.port, worker: settings.workerPort, smtp: settings.smtpPort },
    ...(source['PUBLIC_URL'] ? { publicUrl: settings.publicUrl } : {}),
    ...(source['TRUNKLINE_SECRET'] ? { secret: settings.secret } : {}),
    ...(ownDatabase ? { databaseUrl: readDatabaseUrl(source), databaseDirectUrl: settings.databaseDirectUrl } : {}),
    ...(ownTemporal ? { temporal: readTemporalSettings(source) } : {}),
  };
}

function given(source: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
}

function print(stack: Stack): void {
  const { addresses, token } = stack;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Web', addresses.web],
    ['GraphQL', addresses.graphql],
    ['Temporal UI', addresses.temporalUi],
    ['Temporal', addresses.temporal],
    ['SMTP', addresses.smtp],
    ['Token', token],
    ['Data, logs', stack.dataDirectory],
  ];
  const shown = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  const lines = shown.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
  console.log(`\nTrunkline is running.\n\n${lines.join('\n')}\n\nCtrl-C stops it and keeps the data.`);
}

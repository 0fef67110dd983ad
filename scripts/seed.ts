import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import config from '#config';
import { Refusal } from '#commands/refusals.ts';
import { keysFrom } from '#commands/secrets.ts';
import { openDatabase } from '#db/database.ts';
import { readDatabaseUrl } from '#runtime/environment.ts';
import { fail } from './servers/fail.ts';
import { createProgress } from './servers/progress.ts';
import { seedInbox } from './seed/inbox.ts';
import { KINDS, type Kind } from './seed/people.ts';

const MOST = 10_000_000;
const LARGEST_SEED = 999_999_999;

/** `npm run seed`: an inbox as it looks after some months, to try a move, a list or a report on (docs/guides/seed.md). */
const program = new Command('seed')
  .description('Fills the database at DATABASE_URL, or that of the running `npm start` of this folder, with an invented inbox')
  .option('--conversations <number>', 'how many', whole(MOST), 10_000)
  .option('--channels <kinds>', `what they begin by, with commas between: ${KINDS.join(', ')}`, kinds, KINDS)
  .option('--seed <number>', 'the same gives the same conversations; one that was used in this database is refused', whole(LARGEST_SEED))
  .parse();

interface Options {
  readonly conversations: number;
  readonly channels: readonly Kind[];
  readonly seed?: number;
}

const { conversations, channels, seed = randomInt(1, LARGEST_SEED) } = program.opts<Options>();

try {
  const db = openDatabase(process.env['DATABASE_URL'] ? readDatabaseUrl() : developmentUrl(), { max: 4, name: 'trunkline-seed' });
  try {
    // Nothing it writes is sealed.
    const deps = { plugins: config.plugins, keys: keysFrom(randomBytes(32).toString('hex')) };
    const started = performance.now();
    const cast = await createProgress().during(`Seeding ${conversations} conversations, seed ${seed}`, ({ update }) =>
      seedInbox(db, deps, { conversations, kinds: channels, seed }, update),
    );
    const keys = Object.values(cast.channels).map(({ key }) => key);
    console.log(`${conversations} conversations in ${((performance.now() - started) / 1000).toFixed(1)} s; seed ${seed}; channels ${keys.join(', ')}`);
  } finally {
    await db.destroy();
  }
} catch (error) {
  fail(error instanceof Refusal ? new Error(`${error.message} Seed ${seed} was used in this database already; choose another.`) : error);
}

/** The database of the running `npm start` in this folder. */
function developmentUrl(): string {
  try {
    const file: unknown = JSON.parse(readFileSync('.trunkline/dev.json', 'utf8'));
    if (typeof file === 'object' && file !== null && 'database' in file && typeof file.database === 'string') return file.database;
  } catch {
    // Said below.
  }
  throw new Error('There is no DATABASE_URL, and no .trunkline/dev.json of a running `npm start` in this folder.');
}

function whole(most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1 || number > most) throw new InvalidArgumentError(`1 to ${most}`);
    return number;
  };
}

function kinds(text: string): readonly Kind[] {
  const named = new Set(text.split(',').map((one) => one.trim()));
  const known = KINDS.filter((kind) => named.delete(kind));
  if (named.size > 0 || known.length === 0) throw new InvalidArgumentError(`of ${KINDS.join(', ')}`);
  return known;
}

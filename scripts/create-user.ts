import { Command, InvalidArgumentError, Option } from 'commander';
import { createUser, type UserInput } from '#commands/people.ts';
import { mailboxAddress } from '#commands/mailboxes.ts';
import { AlreadyExists, Refusal } from '#commands/refusals.ts';
import { createApiToken } from '#commands/tokens.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { openDatabase } from '#db/database.ts';
import type { Role, Seat } from '#db/schema.ts';
import { readDatabaseUrl } from '#runtime/environment.ts';
import { fail } from './servers/fail.ts';

/** `npm run user:create`: outside development nobody can sign in until somebody was made here (API-5). */
const program = new Command('user:create')
  .description('Adds a user to the database at DATABASE_URL, and prints a token for the API once')
  .requiredOption('--email <address>', 'their email address')
  .option('--name <name>', 'their full name; needed for a new user')
  .addOption(new Option('--role <role>', 'what they may do').choices(['AGENT', 'ADMIN', 'SUPER_ADMIN']).default('AGENT'))
  .addOption(new Option('--seat <seat>', 'whether they can be assigned automatically').choices(['NONE', 'PAID']).default('NONE'))
  .option('--time-zone <zone>', 'their IANA time zone', 'UTC')
  .option('--expires-in-days <days>', 'when the token ends; without it, never', days)
  .option('--no-token', 'makes no token: they sign in through a provider')
  .option('--existing', 'makes another token for a user there is, and changes nothing else')
  .parse();

interface Options {
  readonly email: string;
  readonly name?: string;
  readonly role: Role;
  readonly seat: Seat;
  readonly timeZone: string;
  readonly expiresInDays?: number;
  readonly token: boolean;
  readonly existing?: boolean;
}

const options = program.opts<Options>();

try {
  const db = openDatabase(readDatabaseUrl(), { max: 1, name: 'trunkline-user-create' });
  try {
    const { value } = await transact(db, { actor: 'SYSTEM' }, run);
    if (value.made !== undefined) console.log(`Added ${options.email} as ${options.role}.`);
    if (value.token !== undefined)
      console.log(`Their token, shown this once:\n\n  ${value.token}\n\nSend it as “Authorization: Bearer …”. It is stored as a hash.`);
  } finally {
    await db.destroy();
  }
} catch (error) {
  if (error instanceof AlreadyExists) fail(new Error('There is a user with this address already. With --existing they get another token.'));
  else fail(error instanceof Refusal ? new Error(error.message) : error);
}

/** One transaction: no user without the token that was asked for. */
async function run(unit: Unit): Promise<{ readonly made?: string; readonly token?: string }> {
  const userId = options.existing === true ? await existing(unit) : await make(unit);
  if (!options.token) return { made: userId };
  const expiresAt = options.expiresInDays === undefined ? null : new Date(Date.now() + options.expiresInDays * 86_400_000);
  const { token } = await createApiToken(unit, { userId, name: 'user:create', scopes: ['*'], expiresAt });
  return { ...(options.existing === true ? {} : { made: userId }), token };
}

async function make(unit: Unit): Promise<string> {
  if (options.name === undefined) throw new Error('--name is needed for a new user');
  const input: UserInput = { email: options.email, name: options.name, role: options.role, seat: options.seat, timeZone: options.timeZone };
  return (await createUser(unit, input)).userId;
}

async function existing(unit: Unit): Promise<string> {
  const user = await unit.tx
    .selectFrom('app_user')
    .select('id')
    .where('email', '=', mailboxAddress(options.email) ?? '')
    .executeTakeFirst();
  if (user === undefined) throw new Error('There is no user with this address.');
  return user.id;
}

function days(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 3_650) throw new InvalidArgumentError('1 to 3650');
  return number;
}

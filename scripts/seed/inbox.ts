import { availableParallelism } from 'node:os';
import { sql } from 'kysely';
import type { ChannelDeps } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import type { Db, Tx } from '#db/database.ts';
import { spreadOverHours } from './hours.ts';
import { hire, KINDS, type Cast, type Kind } from './people.ts';
import { writeConversations, writeCustomers, type Script } from './rows.ts';

export interface Wanted {
  readonly conversations: number;
  /** What conversations begin by; with email, some of the others go on by it. */
  readonly kinds: readonly Kind[];
  /** A whole number; the same gives the same conversations. */
  readonly seed: number;
  /** Of forms and chats those that go on by email; as in life unless given. */
  readonly continued?: number;
}

/** Told of every few thousand rows. */
export type Say = (done: string) => void;

/** How often each begins a conversation, where all do. */
const SHARES: Readonly<Record<Kind, number>> = { mails: 0.6, forms: 0.22, chats: 0.18 };
const CONTINUED = { forms: 0.6, chats: 0.35 } as const;
/** So small that a transaction is over within seconds: the event feed waits for the oldest one. */
const PER_TRANSACTION = 10_000;
/** As many as there are processors, within what a pool has. */
const AT_ONCE = Math.min(4, availableParallelism());
const THIRTY_WEEKS_MS = 30 * 7 * 24 * 3_600_000;
const MINUTE_MS = 60_000;

/** Makes an inbox with its people, channels and conversations, by set-based statements in short transactions. What was committed stays where it fails. */
export async function seedInbox(db: Db, deps: ChannelDeps, wanted: Wanted, say: Say = () => undefined): Promise<Cast> {
  const { value: cast } = await transact(db, { actor: 'SYSTEM' }, (unit) =>
    hire(
      unit,
      deps,
      KINDS.filter((kind) => wanted.kinds.includes(kind)),
      wanted.seed,
    ),
  );
  const script = scriptOf(wanted, cast, new Date(Date.now() - MINUTE_MS));
  await inChunks(
    db,
    script.customers,
    (tx, from, to) => writeCustomers(tx, script, from, to),
    (done) => say(`${done} of ${script.customers} contacts`),
  );
  const hours = spreadOverHours(wanted.conversations, script.until);
  await inChunks(
    db,
    wanted.conversations,
    (tx, from, to) => writeConversations(tx, script, hours, from, to),
    (done) => say(`${done} of ${wanted.conversations} conversations`),
  );
  say('telling the planner');
  for (const table of TABLES) await sql`analyze ${sql.table(table)}`.execute(db);
  return cast;
}

const TABLES = [
  'contact',
  'contact_identity',
  'conversation',
  'ticket',
  'message',
  'outbound',
  'thread_key',
  'participant',
  'form_submission',
  'event',
] as const;

function scriptOf({ conversations, kinds, seed, continued }: Wanted, cast: Cast, until: Date): Script {
  const share = (kind: Kind): number => (kinds.includes(kind) ? SHARES[kind] : 0);
  const all = KINDS.reduce((sum, kind) => sum + share(kind), 0);
  const goesOn = (kind: 'forms' | 'chats'): number => (kinds.includes('mails') ? (continued ?? CONTINUED[kind]) : 0);
  return {
    seed,
    cast,
    customers: Math.ceil(conversations / 3),
    shares: { mails: share('mails') / all, forms: share('forms') / all, chats: share('chats') / all },
    continued: { forms: goesOn('forms'), chats: goesOn('chats') },
    since: new Date(until.getTime() - THIRTY_WEEKS_MS - MINUTE_MS),
    until,
  };
}

/** The numbers from 1 to `total`, in order, a transaction for so many of them, some at the same time. */
async function inChunks(db: Db, total: number, write: (tx: Tx, from: number, to: number) => Promise<void>, say: (done: number) => void): Promise<void> {
  let next = 1;
  let done = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next <= total) {
        const from = next;
        const to = Math.min(total, from + PER_TRANSACTION - 1);
        next = to + 1;
        await db.transaction().execute((tx) => write(tx, from, to));
        done += to - from + 1;
        say(done);
      }
    }),
  );
}

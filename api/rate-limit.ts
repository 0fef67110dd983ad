import { createHash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRes, RLWrapperTimeouts } from 'rate-limiter-flexible';
import type { Db } from '#db/database.ts';
import { runPrepared } from '#db/prepared.ts';
import { RATES, type RateLimitName } from './limits.ts';

export type RateAnswer = { readonly allowed: true } | { readonly allowed: false; readonly retryAfterSeconds: number };

export interface RateLimits {
  /** Counts one request of this key: an address, a user's id. Never throws. */
  take(limit: RateLimitName, key: string): Promise<RateAnswer>;
  /** What this process knows already, without counting and without the database. */
  peek(limit: RateLimitName, key: string): RateAnswer;
}

/** A share of a window's requests, taken from the database at once and spent here. */
interface Share {
  left: number;
  /** Milliseconds of the clock: the window's end. */
  until: number;
  /** Known to be used up until then. */
  refused: boolean;
  fetching: Promise<void> | undefined;
}

const WINDOW_SECONDS = 60;
/** A window is taken in this many shares, so most requests cost no statement. */
const SHARES = 40;
/** A database that has not counted by then is passed over. */
const COUNT_MS = 3_000;
/** Above this, what has ended is forgotten. */
const REMEMBERED = 10_000;

/**
 * Limits by caller for all processes together (API-7). Each window of a minute is counted in PostgreSQL in shares of a fortieth: so all processes
 * together never allow more than the limit, and each further one may refuse up to a fortieth too early. Who is refused costs no
 * statement. While the database does not answer, each process counts for itself.
 */
export function createRateLimits(db: Db, rates: Readonly<Record<RateLimitName, number>> = RATES): RateLimits {
  const storeClient = {
    query: async ({ name, text, values = [] }: { readonly name: string; readonly text: string; readonly values?: readonly unknown[] }) => {
      const rows = await runPrepared(db, { name, text }, values);
      return { rows, rowCount: rows.length };
    },
  };
  const limits = Object.fromEntries(Object.entries(rates).map(([name, points]) => [name, createLimit(name, points, storeClient)])) as unknown as Readonly<
    Record<RateLimitName, Limit>
  >;
  return {
    take: (limit, key) => limits[limit].take(key),
    peek: (limit, key) => limits[limit].peek(key),
  };
}

interface Limit {
  take(key: string): Promise<RateAnswer>;
  peek(key: string): RateAnswer;
}

function createLimit(name: string, points: number, storeClient: object): Limit {
  const common = { keyPrefix: name, points, duration: WINDOW_SECONDS };
  const size = Math.max(1, Math.floor(points / SHARES));
  const counted = new RLWrapperTimeouts({
    ...common,
    timeoutMs: COUNT_MS,
    limiter: new RateLimiterPostgres({
      ...common,
      storeClient,
      storeType: 'client',
      tableName: 'rate_limit',
      tableCreated: true,
      insuranceLimiter: new RateLimiterMemory(common),
    }),
  });
  const shares = new Map<string, Share>();

  async function fetch(key: string, share: Share): Promise<void> {
    try {
      const { msBeforeNext } = await counted.consume(stored(key), size);
      Object.assign(share, { left: size, until: Date.now() + msBeforeNext, refused: false });
    } catch (error) {
      // Refused; whatever else it is, neither everybody is let in nor everybody shut out for longer than a moment.
      const ms = error instanceof RateLimiterRes ? error.msBeforeNext : 1_000;
      Object.assign(share, { left: 0, until: Date.now() + Math.max(ms, 1), refused: true });
    } finally {
      share.fetching = undefined;
    }
  }

  function shareOf(key: string): Share {
    const known = shares.get(key);
    if (known !== undefined) return known;
    if (shares.size >= REMEMBERED) forget(shares);
    const share: Share = { left: 0, until: 0, refused: false, fetching: undefined };
    shares.set(key, share);
    return share;
  }

  return {
    async take(key) {
      const share = shareOf(key);
      for (;;) {
        const now = Date.now();
        if (now < share.until) {
          if (share.refused) return refusal(share.until - now);
          if (share.left > 0) {
            share.left -= 1;
            return ALLOWED;
          }
        }
        // Those who wait share one statement; who gets nothing of what it brought asks for more.
        share.fetching ??= fetch(key, share);
        await share.fetching;
      }
    },
    peek(key) {
      const share = shares.get(key);
      const now = Date.now();
      return share?.refused === true && now < share.until ? refusal(share.until - now) : ALLOWED;
    },
  };
}

const ALLOWED = { allowed: true } as const;

function refusal(ms: number): RateAnswer {
  return { allowed: false, retryAfterSeconds: Math.max(1, Math.ceil(ms / 1_000)) };
}

/** Windows that are over, then the oldest: a stranger with many addresses fills no memory. */
function forget(shares: Map<string, Share>): void {
  const now = Date.now();
  for (const [key, share] of shares) if (share.until <= now && share.fetching === undefined) shares.delete(key);
  for (const [key, share] of shares) {
    if (shares.size < REMEMBERED) break;
    if (share.fetching === undefined) shares.delete(key);
  }
}

/** Of one length, and no address stands in the table. */
function stored(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}

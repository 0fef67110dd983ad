import type { IncomingMessage } from 'node:http';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { hashToken } from '#commands/secrets.ts';
import { bindIdentity, userOfIdentity } from '#commands/sign-in.ts';
import { maybeToken } from '#commands/tokens.ts';
import { transact } from '#commands/unit.ts';
import { activeToken, type Viewer } from './access.ts';
import { createClientAddress, type ClientAddress } from './client-address.ts';
import type { RateLimitName } from './limits.ts';
import { createRateLimits, type RateAnswer, type RateLimits } from './rate-limit.ts';
import { ProviderUnavailable, type SignIn } from './sign-in.ts';

/** Who asks, or the answer to give in their place: 401, 429 or 503. */
export type Admission = { readonly viewer: Viewer } | { readonly refusal: Response };

/** In front of everything that needs a token, whatever it is: GraphQL, uploads, downloads. */
export type Gate = (request: Request, incoming?: IncomingMessage) => Promise<Admission>;

export interface GateOptions {
  readonly db: Db;
  readonly rates?: RateLimits;
  readonly clientAddress?: ClientAddress;
  /** Undefined: no provider is configured, and no JWT counts. */
  readonly signIn?: SignIn | undefined;
  /** Told of an error nobody expected; returns the id the client is given. */
  readonly onError: (error: unknown) => string;
}

/** How long a token that was good is let through beside an address that has failed too often. */
const GOOD_MS = 300_000;
const REMEMBERED = 10_000;
/** How often `last_active_at` and `last_used_at` are written for one token, at most. */
const TOUCH_MS = 60_000;

/** Asks the token, then the limits by caller. Revoked tokens and deactivated users are refused like unknown ones (API-5, API-7). */
export function createGate({ db, rates = createRateLimits(db), clientAddress = createClientAddress([]), signIn, onError }: GateOptions): Gate {
  /** By the token's hash: whose it was when it last counted. It lets nobody in; it spares the database what will be refused. */
  const good = new Map<string, { readonly userId: string; readonly at: number }>();
  const touched = new Map<string, number>();

  async function judge(token: string): Promise<Viewer | string> {
    if (isJwt(token)) return signIn === undefined ? UNKNOWN : judgeJwt(db, signIn, token);
    if (!maybeToken(token)) return UNKNOWN;
    const row = await activeToken(db).where('api_token.token_hash', '=', hashToken(token)).executeTakeFirst();
    if (row === undefined) return UNKNOWN;
    const { tokenId, expiresAt, ...whose } = row;
    return { ...whose, credential: { kind: 'token', tokenId, expiresAt } };
  }

  return async (request, incoming) => {
    const address = clientAddress(request, incoming);
    const token = /^Bearer ([\x21-\x7e]{8,8192})$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    const hash = token === undefined ? '' : hashToken(token).toString('base64');
    const before = remembered(good, hash, GOOD_MS);
    // Who will be refused by a limit costs no statement: a known caller by their own, anybody else by their address.
    const known = before === undefined ? rates.peek('unauthenticatedPerMinute', address) : rates.peek('callerPerMinute', before.userId);
    if (!known.allowed) return tooMany(before === undefined ? 'unauthenticatedPerMinute' : 'callerPerMinute', known);
    let judged: Viewer | string;
    try {
      judged = token === undefined ? MISSING : await judge(token);
    } catch (error) {
      const errorId = onError(error);
      const what = error instanceof ProviderUnavailable ? 'the sign-in provider does not answer' : 'the database does not answer';
      return { refusal: refuse(503, `${what} (error ${errorId})`, 'UNAVAILABLE', { 'retry-after': '5' }) };
    }
    if (typeof judged === 'string') {
      good.delete(hash);
      const counted = await rates.take('unauthenticatedPerMinute', address);
      return counted.allowed ? { refusal: unauthenticated(judged, token !== undefined) } : tooMany('unauthenticatedPerMinute', counted);
    }
    const counted = await rates.take('callerPerMinute', judged.userId);
    remember(good, hash, { userId: judged.userId, at: Date.now() });
    if (!counted.allowed) return tooMany('callerPerMinute', counted);
    if (Date.now() - (touched.get(hash) ?? 0) >= TOUCH_MS) {
      remember(touched, hash, Date.now());
      // What fails here is not worth a refusal.
      await touch(db, judged).catch((error: unknown) => void onError(error));
    }
    return { viewer: judged };
  };
}

function isJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]*\.[\w-]*$/.test(token);
}

/** The first time, by a verified address; from then on by issuer and subject, whatever the address becomes. */
async function judgeJwt(db: Db, signIn: SignIn, token: string): Promise<Viewer | string> {
  const says = await signIn(token);
  if ('rejected' in says) return `The token is not valid: ${says.rejected}.`;
  const { verifiedEmail, issuer, subject, expiresAt } = says;
  let user = await userOfIdentity(db, says);
  if (user === undefined && verifiedEmail !== null) {
    ({ value: user } = await transact(db, { actor: 'SYSTEM' }, (unit) => bindIdentity(unit, { issuer, subject }, verifiedEmail)));
  }
  if (user === undefined) return verifiedEmail === null ? NO_ADDRESS : NO_USER;
  return { ...user, scopes: ['*'], credential: { kind: 'sign-in', issuer, subject, expiresAt } };
}

const MISSING = 'Send a token: “Authorization: Bearer …”.';
const UNKNOWN = 'The token is unknown, revoked or over, or its user is deactivated.';
const NO_ADDRESS = 'The token is valid, but nobody here is bound to it, and it names no address that its provider has verified.';
const NO_USER = 'The token is valid, but nobody who may sign in here has its address, or they are bound to another identity of this provider.';

/** Several processes may each think it is time: the rows decide. */
async function touch(db: Db, { userId, credential }: Viewer): Promise<void> {
  const tokenId = credential.kind === 'token' ? credential.tokenId : null;
  await sql`
    with used as (
      update api_token set last_used_at = now() where id = ${tokenId}::uuid and (last_used_at is null or last_used_at < now() - interval '1 minute')
    )
    update app_user set last_active_at = now() where id = ${userId}::uuid and (last_active_at is null or last_active_at < now() - interval '1 minute')`.execute(
    db,
  );
}

function remembered<Value extends { readonly at: number }>(map: ReadonlyMap<string, Value>, key: string, ms: number): Value | undefined {
  const value = map.get(key);
  return value === undefined || Date.now() - value.at > ms ? undefined : value;
}

/** The newest last; beyond the bound the oldest go. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > REMEMBERED && oldest.done !== true) map.delete(oldest.value);
}

function unauthenticated(message: string, given: boolean): Response {
  const challenge = given ? 'Bearer realm="trunkline", error="invalid_token"' : 'Bearer realm="trunkline"';
  return refuse(401, message, 'UNAUTHENTICATED', { 'www-authenticate': challenge });
}

function tooMany(limit: RateLimitName, answer: RateAnswer): Admission {
  const seconds = answer.allowed ? 1 : answer.retryAfterSeconds;
  return { refusal: refuse(429, `too many requests: the limit ${limit}`, 'LIMIT_EXCEEDED', { 'retry-after': String(seconds) }, { limit }) };
}

/** An answer in the form of GraphQL's errors, for what never reaches it. */
export function refuse(
  status: number,
  message: string,
  code: string,
  headers: Readonly<Record<string, string>> = {},
  extensions: Readonly<Record<string, string | number>> = {},
): Response {
  return Response.json({ errors: [{ message, extensions: { code, ...extensions } }] }, { status, headers: { ...headers, 'cache-control': 'no-store' } });
}

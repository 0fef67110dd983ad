import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { sql } from 'kysely';
import type { TokenScope } from '#db/schema.ts';
import { requireName } from './names.ts';
import { Forbidden, InvalidInput, NotFound, type Problem } from './refusals.ts';
import { hashToken } from './secrets.ts';
import type { Unit } from './unit.ts';

export interface NewToken {
  readonly userId: string;
  readonly name: string;
  /** Besides reading, which every token may; never more than the user's role (API-5). */
  readonly scopes: readonly TokenScope[];
  /** Null: until it is revoked. */
  readonly expiresAt: Date | null;
}

/** The key with which a token is asked for: what it makes has no more scopes and does not outlive it. */
export interface TokenBounds {
  readonly scopes: readonly TokenScope[];
  readonly expiresAt: Date | null;
}

/** A bearer token, told once and stored as a hash. Throws `NotFound`, `InvalidInput`, `Forbidden` (more than `bounds`). */
export async function createApiToken(
  unit: Unit,
  { userId, name, scopes, expiresAt }: NewToken,
  bounds?: TokenBounds,
): Promise<{ readonly tokenId: string; readonly token: string }> {
  const user = await unit.tx
    .selectFrom('app_user')
    .select(['deactivated_at', sql<Date>`clock_timestamp()`.as('now')])
    .where(sql<string>`id::text`, '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (user === undefined) throw new NotFound('user', userId);
  const problems: Problem[] = [];
  if (user.deactivated_at !== null) problems.push({ path: 'userId', message: 'this user is deactivated' });
  if (scopes.length === 0) problems.push({ path: 'scopes', message: 'at least one; READ lets it read and nothing else' });
  if (expiresAt !== null && expiresAt <= user.now) problems.push({ path: 'expiresAt', message: 'must lie ahead' });
  if (problems.length > 0) throw new InvalidInput(problems);
  if (bounds !== undefined) hold(bounds, scopes, expiresAt);
  const token = makeToken();
  const { id } = await unit.tx
    .insertInto('api_token')
    .values({
      user_id: userId,
      name: requireName(name),
      token_hash: hashToken(token),
      scopes: [...new Set(scopes)],
      expires_at: expiresAt,
      created_by: unit.actor.actor === 'USER' ? unit.actor.userId : null,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'PEOPLE_CHANGED', userId, why: 'TOKEN_CREATED', data: { tokenId: id } });
  return { tokenId: id, token };
}

/** Ends a token at once, its streams within seconds. What is revoked already stays as it is. `ownerId`: only where it is theirs. Throws `NotFound`. */
export async function revokeApiToken(unit: Unit, { tokenId, ownerId }: { readonly tokenId: string; readonly ownerId: string | null }): Promise<void> {
  const token = await unit.tx
    .selectFrom('api_token')
    .select(['id', 'user_id', 'revoked_at'])
    .where(sql<string>`id::text`, '=', tokenId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (token === undefined || (ownerId !== null && token.user_id !== ownerId)) throw new NotFound('token', tokenId);
  if (token.revoked_at !== null) return;
  await unit.tx
    .updateTable('api_token')
    .set({ revoked_at: sql<Date>`now()`, revoked_by: unit.actor.actor === 'USER' ? unit.actor.userId : null })
    .where('id', '=', token.id)
    .execute();
  unit.record({ kind: 'PEOPLE_CHANGED', userId: token.user_id, why: 'TOKEN_REVOKED', data: { tokenId: token.id } });
}

function hold(bounds: TokenBounds, scopes: readonly TokenScope[], expiresAt: Date | null): void {
  if (!bounds.scopes.includes('*') && scopes.some((scope) => scope !== 'read' && !bounds.scopes.includes(scope))) {
    throw new Forbidden('a token that has the scopes it gives');
  }
  if (bounds.expiresAt !== null && (expiresAt === null || expiresAt > bounds.expiresAt)) throw new Forbidden('a token that lives as long as the one it makes');
}

const PREFIX = 'tlk_';
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** `tlk_`, 256 random bits as 43 letters and digits, six more that check them: scanners for secrets find it, and know it from a look-alike. */
export function makeToken(): string {
  const body = base62(BigInt(`0x${randomBytes(32).toString('hex')}`), 43);
  return `${PREFIX}${body}${checksum(body)}`;
}

/** False for what begins as a token of ours and is none: mistyped or made up, so nobody need look for it. */
export function maybeToken(text: string): boolean {
  if (!text.startsWith(PREFIX)) return true;
  const match = /^([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/.exec(text.slice(PREFIX.length));
  return match?.[1] !== undefined && checksum(match[1]) === match[2];
}

function checksum(body: string): string {
  return base62(BigInt(crc32(body)), 6);
}

function base62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = DIGITS.charAt(Number(rest % 62n)) + text;
  return text.padStart(length, '0');
}

import { createRemoteJWKSet, customFetch, decodeJwt, errors, jwtVerify, type JWTPayload } from 'jose';
import type { SignInSettings } from '#runtime/environment.ts';
import { LIMITS } from './limits.ts';

/** What a provider's token says, once it is judged good. */
export interface SignedIn {
  readonly issuer: string;
  readonly subject: string;
  /** Null: none, or the provider does not say that it has verified it. */
  readonly verifiedEmail: string | null;
  readonly expiresAt: Date;
}

/** Why a token does not count, in words that repeat nothing of it. */
export interface Rejected {
  readonly rejected: string;
}

/** The provider's keys can not be had, so nothing can be said of its tokens. */
export class ProviderUnavailable extends Error {
  constructor(cause?: unknown) {
    super('the OpenID Connect provider does not answer', { cause });
    this.name = 'ProviderUnavailable';
  }
}

/** Judges the tokens of the configured providers (API-5). Throws `ProviderUnavailable`. */
export type SignIn = (token: string) => Promise<SignedIn | Rejected>;

/** Signatures by a private key only: with a shared secret, whoever can check a token can make one. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
const TYPES = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt', 'application/jwt']);

export function createSignIn(settings: SignInSettings, times: Partial<ProviderTimes> = {}): SignIn {
  const providers = new Map(settings.issuers.map((issuer) => [issuer, createProvider(issuer, { ...TIMES, ...times })]));
  return async (token) => {
    const issuer = issuerOf(token);
    const provider = issuer === undefined ? undefined : providers.get(issuer);
    if (issuer === undefined || provider === undefined) return { rejected: 'its issuer is not one this API trusts' };
    const keys = await provider.keys();
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience: [...settings.audiences],
        clockTolerance: LIMITS.clockSkewSeconds,
        maxTokenAge: LIMITS.tokenAgeSeconds,
        requiredClaims: ['exp', 'iat', 'sub'],
      });
      // What else a provider signs, as a logout, lets nobody in.
      if (!TYPES.has(verified.protectedHeader.typ?.toLowerCase())) return { rejected: 'it is another kind of token' };
      ({ payload } = verified);
    } catch (error) {
      return { rejected: reasonOf(error) };
    }
    const { sub, exp } = payload;
    if (sub === undefined || sub === '' || sub.length > 255 || exp === undefined) return { rejected: 'it does not say whose it is' };
    return { issuer, subject: sub, verifiedEmail: verifiedEmailOf(payload, settings), expiresAt: new Date(exp * 1_000) };
  };
}

/** Before anything is believed: only whose keys to ask for. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

function verifiedEmailOf(payload: JWTPayload, { emailClaim, verifiedClaim }: SignInSettings): string | null {
  const email = payload[emailClaim];
  const verified = payload[verifiedClaim];
  // Some providers write booleans as text.
  return typeof email === 'string' && (verified === true || verified === 'true') ? email : null;
}

/** Throws on what says nothing about the token. */
function reasonOf(error: unknown): string {
  if (error instanceof ProviderUnavailable) throw error;
  if (error instanceof errors.JWTExpired) return 'it is over';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return 'a claim is missing';
    if (error.claim === 'aud') return 'it is meant for somebody else (aud)';
    return error.claim === 'nbf' || error.claim === 'iat' ? 'it does not count yet' : 'a claim is wrong';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'it is signed in a way that is not taken';
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC')) {
    throw new ProviderUnavailable(error);
  }
  return 'its signature or form is not valid';
}

export interface ProviderTimes {
  /** Milliseconds after which keys are fetched again, beside the requests. */
  readonly freshMs: number;
  /** Milliseconds for which known keys go on while the provider does not answer. */
  readonly staleMs: number;
  /** Milliseconds between two fetches because tokens name keys that are not known. */
  readonly cooldownMs: number;
  /** Milliseconds for which a provider that has failed is not asked again. */
  readonly retryMs: number;
  /** Milliseconds for one answer of the provider. */
  readonly timeoutMs: number;
}

const TIMES: ProviderTimes = { freshMs: 600_000, staleMs: 3_600_000, cooldownMs: 30_000, retryMs: 5_000, timeoutMs: 5_000 };

type KeySet = ReturnType<typeof createRemoteJWKSet>;

/** One provider's keys: found by discovery, kept, and fetched again when they are old or a token names another one. */
function createProvider(issuer: string, { freshMs, staleMs, cooldownMs, retryMs, timeoutMs }: ProviderTimes): { keys(): Promise<KeySet> } {
  let known: { readonly uri: string; readonly keys: KeySet } | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;

  /** A provider that has just failed is not asked again at once, whoever asks. */
  async function ask(url: string, options: RequestInit): Promise<Response> {
    if (Date.now() - failedAt < retryMs) throw new ProviderUnavailable();
    try {
      const response = await fetch(url, { ...options, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) });
      if (response.status !== 200) throw new TypeError(`status ${response.status}`);
      return response;
    } catch (cause) {
      failedAt = Date.now();
      throw new ProviderUnavailable(cause);
    }
  }

  async function load(): Promise<void> {
    const response = await ask(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, { headers: { accept: 'application/json' } });
    const uri = keysUri(await response.json(), issuer);
    if (uri === undefined) throw new TypeError('the discovery document is not this issuer’s');
    const keys =
      known?.uri === uri
        ? known.keys
        : createRemoteJWKSet(new URL(uri), {
            cacheMaxAge: Number.POSITIVE_INFINITY,
            cooldownDuration: cooldownMs,
            timeoutDuration: timeoutMs,
            [customFetch]: (url, options) => ask(url, options),
          });
    await keys.reload();
    known = { uri, keys };
    fetchedAt = Date.now();
  }

  function refresh(): Promise<void> {
    fetching ??= load()
      .catch((error: unknown) => {
        if (error instanceof ProviderUnavailable) throw error;
        failedAt = Date.now();
        throw new ProviderUnavailable(error);
      })
      .finally(() => {
        fetching = undefined;
      });
    return fetching;
  }

  return {
    async keys() {
      const age = Date.now() - fetchedAt;
      if (known !== undefined && age < staleMs) {
        // Nobody waits for it; what the provider took back is gone with the answer.
        if (age >= freshMs && Date.now() - failedAt >= retryMs) refresh().catch(() => undefined);
        return known.keys;
      }
      await refresh();
      if (known === undefined) throw new ProviderUnavailable();
      return known.keys;
    },
  };
}

/** Where the keys are; undefined where the document speaks for another issuer, or names no place that can be trusted. */
function keysUri(document: unknown, issuer: string): string | undefined {
  if (typeof document !== 'object' || document === null || !('issuer' in document) || !('jwks_uri' in document)) return undefined;
  const { issuer: says, jwks_uri: uri } = document;
  if (says !== issuer || typeof uri !== 'string' || !URL.canParse(uri)) return undefined;
  // As trustworthy as the issuer's own address: https, or what the operator has set up without it.
  return new URL(uri).protocol === 'https:' || new URL(issuer).protocol === 'http:' ? uri : undefined;
}

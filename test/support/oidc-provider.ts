import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTHeaderParameters, type JWTPayload } from 'jose';
import { serverPort, stopServer } from './http.ts';

export interface ProviderKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

/** A stand-in for an OpenID Connect provider: discovery and keys over real HTTP, and whatever tokens a test wants signed. */
export interface OidcProvider {
  readonly issuer: string;
  /** What it publishes; a test rotates by changing it. */
  keys: ProviderKey[];
  /** How many times each path was asked. */
  readonly asked: Map<string, number>;
  /** What it does instead of answering. */
  trouble: 'none' | 'error' | 'silent' | 'garbage' | 'other-issuer' | 'plain-text-keys';
  /** A token with sensible claims; `claims` and `header` replace them, undefined takes one out. */
  token(claims?: Readonly<Record<string, unknown>>, options?: { readonly key?: ProviderKey; readonly header?: Partial<JWTHeaderParameters> }): Promise<string>;
  close(): Promise<void>;
}

export async function makeKey(kid: string, alg = 'RS256'): Promise<ProviderKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export const AUDIENCE = 'trunkline-test';

export async function startOidcProvider(): Promise<OidcProvider> {
  const asked = new Map<string, number>();
  const first = await makeKey('key-1');
  let issuer = '';
  const server: Server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const json = (value: unknown, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    switch (provider.trouble) {
      case 'silent':
        return;
      case 'error':
        json({ error: 'down' }, 503);
        return;
      case 'garbage':
        response.end('<html>');
        return;
      default:
    }
    if (path === '/.well-known/openid-configuration') {
      json({ issuer: provider.trouble === 'other-issuer' ? 'https://elsewhere.example' : issuer, jwks_uri: `${issuer}/keys` });
    } else if (path === '/keys') {
      if (provider.trouble === 'plain-text-keys') response.end('not json');
      else json({ keys: provider.keys.map(({ jwk }) => jwk) });
    } else json({}, 404);
  });
  const provider: OidcProvider = {
    get issuer() {
      return issuer;
    },
    keys: [first],
    asked,
    trouble: 'none',
    async token(claims = {}, { key = provider.keys[0] ?? first, header = {} } = {}) {
      const now = Math.floor(Date.now() / 1_000);
      const payload = { iss: issuer, aud: AUDIENCE, sub: 'subject-1', iat: now, exp: now + 300, ...claims };
      return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })
        .sign(key.privateKey, { crit: { 'x-odd': true } });
    },
    close: () => stopServer(server),
  };
  issuer = `http://127.0.0.1:${await serverPort(server)}`;
  return provider;
}

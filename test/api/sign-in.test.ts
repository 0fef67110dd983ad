import { createHmac, createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deactivateUser } from '#commands/people.ts';
import { transact } from '#commands/unit.ts';
import { RATES } from '#api/limits.ts';
import { createSignIn, type SignIn } from '#api/sign-in.ts';
import { serverPort, stopServer } from '../support/http.ts';
import { AUDIENCE, makeKey, startOidcProvider, type OidcProvider } from '../support/oidc-provider.ts';
import { eventually } from '../support/wait.ts';
import { openWorld, type Answer, type Person, type World } from './support.ts';

let provider: OidcProvider;
let world: World;
let superAdmin: Person;

const settings = () => ({ issuers: [provider.issuer], audiences: ['another-client', AUDIENCE], emailClaim: 'email', verifiedClaim: 'email_verified' });

beforeAll(async () => {
  provider = await startOidcProvider();
  world = await openWorld({
    signIn: createSignIn(settings(), { cooldownMs: 0 }),
    rates: { ...RATES, unauthenticatedPerMinute: 10_000 },
  });
  superAdmin = await world.user({ role: 'SUPER_ADMIN' });
});
afterAll(async () => {
  await world?.close();
  await provider?.close();
});
beforeEach(() => {
  provider.trouble = 'none';
});

interface Came extends Answer {
  readonly headers: Headers;
}

async function ask(token: string, query = '{ viewer { user { id email } } }', endpoint = world.endpoint): Promise<Came> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
  });
  const body = (await response.json()) as { data?: Answer['data']; errors?: Answer['errors'] };
  return { status: response.status, headers: response.headers, data: body.data ?? {}, errors: body.errors ?? [] };
}

let counter = 0;
/** A user and the claims of a provider who knows them. */
async function known(): Promise<{ readonly id: string; readonly email: string; readonly claims: Record<string, unknown> }> {
  counter += 1;
  const email = `signed-${counter}@inside.example`;
  const { id } = await world.user({ email });
  return { id, email, claims: { sub: `sub-${counter}`, email, email_verified: true } };
}

const identities = (userId: string) => world.db.selectFrom('sign_in_identity').select(['issuer', 'subject']).where('user_id', '=', userId).execute();

test('a token of the provider signs in: the first time by its verified address, then by issuer and subject, whatever the address is [API-5]', async () => {
  const { id, email, claims } = await known();
  expect(await ask(await provider.token(claims))).toMatchObject({ status: 200, data: { viewer: { user: { email } } } });
  expect(await identities(id)).toEqual([{ issuer: provider.issuer, subject: claims['sub'] }]);
  // Another address, none, one not verified: the subject says who it is.
  for (const later of [{ email: 'new@elsewhere.example', email_verified: true }, { email: undefined }, { email_verified: false }]) {
    expect(await ask(await provider.token({ ...claims, ...later }))).toMatchObject({ status: 200, data: { viewer: { user: { email } } } });
  }
  const row = await world.db.selectFrom('event').select(['why', 'actor']).where('user_id', '=', id).where('why', '=', 'SIGN_IN_BOUND').execute();
  expect(row).toEqual([{ why: 'SIGN_IN_BOUND', actor: 'SYSTEM' }]);
});

test('an address the provider has not verified binds nobody; the answer says why and repeats no address [API-5]', async () => {
  const { id, email, claims } = await known();
  for (const unverified of [{ email_verified: false }, { email_verified: undefined }, { email_verified: 1 }, { email_verified: 'yes' }, { email: [email] }]) {
    const answer = await ask(await provider.token({ ...claims, ...unverified }));
    expect(answer.status).toBe(401);
    expect(answer.errors[0]?.message).toContain('no address that its provider has verified');
    expect(JSON.stringify(answer)).not.toContain(email);
  }
  const stranger = await ask(await provider.token({ sub: 'stranger', email: 'stranger@outside.example', email_verified: true }));
  expect(stranger.status).toBe(401);
  expect(stranger.headers.get('www-authenticate')).toContain('error="invalid_token"');
  expect(JSON.stringify(stranger)).not.toContain('stranger@');
  expect(await identities(id)).toEqual([]);
});

test('fifty first sign-ins at once bind one identity, and all of them are let in [API-5]', async () => {
  const { id, claims } = await known();
  const tokens = await Promise.all(Array.from({ length: 50 }, () => provider.token(claims)));
  const answers = await Promise.all(tokens.map((token) => ask(token)));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
  expect(await identities(id)).toHaveLength(1);
});

test('fifty different subjects with one address at once: one is bound, the others are nobody, until a super admin lets go of it [API-5]', async () => {
  const { id, claims } = await known();
  const tokens = await Promise.all(Array.from({ length: 50 }, (_, index) => provider.token({ ...claims, sub: `recycled-${counter}-${index}` })));
  const answers = await Promise.all(tokens.map((token) => ask(token)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(49);
  expect(await identities(id)).toHaveLength(1);
  const { removeSignIn } = await superAdmin.ask(
    'mutation ($input: RemoveSignInInput!) { removeSignIn(input: $input) { __typename ... on User { signIns { issuer } } } }',
    { input: { userId: Buffer.from(`User:${id}`).toString('base64'), issuer: provider.issuer } },
  );
  expect(removeSignIn).toEqual({ __typename: 'User', signIns: [] });
  expect((await ask(await provider.token({ ...claims, sub: `new-${counter}` }))).status).toBe(200);
});

test('a user who is deactivated is refused at once, and is not bound anew [API-5]', async () => {
  const { id, claims } = await known();
  const token = await provider.token(claims);
  expect((await ask(token)).status).toBe(200);
  await transact(world.db, { actor: 'SYSTEM' }, (unit) => deactivateUser(unit, { userId: id }));
  expect((await ask(token)).status).toBe(401);
  expect((await ask(await provider.token({ ...claims, sub: 'another-one' }))).status).toBe(401);
});

test('a stream of a signed-in user ends when the token is over, and when the identity is removed [API-3] [API-5]', async () => {
  const { id, claims } = await known();
  const now = Math.floor(Date.now() / 1_000);
  // Over in three seconds, with the minute that clocks may differ: the stream counts the provider's own time.
  const short = await provider.token({ ...claims, exp: now + 3 });
  const long = await provider.token(claims);
  expect((await ask(short)).status).toBe(200);
  const open = async (token: string) => {
    const response = await fetch(world.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'subscription { events { __typename } }' }),
    });
    expect(response.status).toBe(200);
    let ended = false;
    const text = response.text().then((all) => {
      ended = true;
      return all;
    });
    return { text, ended: () => ended };
  };
  const [first, second] = [await open(short), await open(long)];
  expect(await first.text).toContain('event: complete');
  expect(second.ended()).toBe(false);
  await world.db.deleteFrom('sign_in_identity').where('user_id', '=', id).execute();
  expect(await second.text).toContain('event: complete');
});

test('what is forged, over, early, meant for somebody else or signed in a weak way is refused, each with its reason [API-5]', async () => {
  const { claims } = await known();
  const now = Math.floor(Date.now() / 1_000);
  const stranger = await makeKey('key-1');
  const publicPem = createPublicKey({ key: provider.keys[0]?.jwk ?? {}, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = encode({ iss: provider.issuer, aud: AUDIENCE, iat: now, exp: now + 300, ...claims });
  const hmac = (header: object, secret: string | Buffer) => {
    const signed = `${encode(header)}.${body}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  const good = await provider.token(claims);
  const [goodHeader = '', goodBody = '', goodSignature = ''] = good.split('.');
  const attempts: Readonly<Record<string, readonly [string, RegExp]>> = {
    'another key of the same name': [await provider.token(claims, { key: stranger }), /signature/],
    'claims changed': [`${goodHeader}.${body.slice(0, -4)}AAAA.${goodSignature}`, /signature|issuer/],
    'signature cut': [`${goodHeader}.${goodBody}.${goodSignature.slice(0, -6)}`, /signature/],
    'signature gone': [`${goodHeader}.${goodBody}.`, /signature/],
    'alg none': [`${encode({ alg: 'none', typ: 'JWT' })}.${body}.`, /signed in a way that is not taken/],
    'alg nOnE': [`${encode({ alg: 'nOnE', typ: 'JWT' })}.${body}.`, /signed in a way that is not taken/],
    'HS256 with the public key': [hmac({ alg: 'HS256', kid: 'key-1' }, publicPem), /signed in a way that is not taken/],
    'RS256 in name, HMAC in truth': [hmac({ alg: 'RS256', kid: 'key-1' }, publicPem), /signature/],
    'RS1-like weak alg': [await provider.token(claims, { key: await makeKey('weak', 'RS512') }), /signed in a way that is not taken/],
    over: [await provider.token({ ...claims, exp: now - 120, iat: now - 600 }), /is over/],
    'issued too long ago': [await provider.token({ ...claims, iat: now - 90_000 }), /is over/],
    'issued in the future': [await provider.token({ ...claims, iat: now + 600, exp: now + 900 }), /does not count yet/],
    'not yet': [await provider.token({ ...claims, nbf: now + 600 }), /does not count yet/],
    'no end': [await provider.token({ ...claims, exp: undefined }), /claim is missing/],
    'no beginning': [await provider.token({ ...claims, iat: undefined }), /claim is missing/],
    'nobody’s': [await provider.token({ ...claims, sub: undefined }), /claim is missing/],
    'empty subject': [await provider.token({ ...claims, sub: '' }), /whose it is/],
    'for another service': [await provider.token({ ...claims, aud: 'somebody-else' }), /somebody else/],
    'for nobody': [await provider.token({ ...claims, aud: undefined }), /missing|somebody else/],
    'another issuer': [await provider.token({ ...claims, iss: 'https://elsewhere.example' }), /issuer/],
    'the issuer with a slash': [await provider.token({ ...claims, iss: `${provider.issuer}/` }), /issuer/],
    'a logout': [await provider.token(claims, { header: { typ: 'logout+jwt' } }), /another kind/],
    'a header nobody knows and all must': [await provider.token(claims, { header: { crit: ['x-odd'], 'x-odd': true } }), /signature/],
    'a path as key': [await provider.token(claims, { key: stranger, header: { kid: '../../../../dev/null' } }), /signature/],
    'SQL as key': [await provider.token(claims, { key: stranger, header: { kid: "x' or '1'='1" } }), /signature/],
    'three words': ['eyJ.not.json', /issuer/],
  };
  for (const [name, [token, reason]] of Object.entries(attempts)) {
    const answer = await ask(token);
    expect(answer.status, name).toBe(401);
    expect(answer.errors[0]?.message, name).toMatch(reason);
    expect(answer.errors[0]?.extensions, name).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(answer.headers.get('www-authenticate'), name).toMatch(/^Bearer /);
  }
  expect(world.errors).toEqual([]);
  // The clock may differ by a minute.
  expect((await ask(await provider.token({ ...claims, exp: now - 20, iat: now - 600 }))).status).toBe(200);
  expect((await ask(await provider.token({ ...claims, iat: now + 30, nbf: now + 30 }))).status).toBe(200);
});

test('keys that a token brings along or points to are not looked at [API-5]', async () => {
  const { claims } = await known();
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'mine', alg: 'RS256', use: 'sig' };
  let fetched = 0;
  const evil = createServer((_request, response) => {
    fetched += 1;
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  const url = `http://127.0.0.1:${await serverPort(evil)}/keys`;
  try {
    const now = Math.floor(Date.now() / 1_000);
    for (const header of [{ jwk }, { jku: url }, { x5u: url }, { x5c: ['AAAA'] }]) {
      const token = await new SignJWT({ iss: provider.issuer, aud: AUDIENCE, iat: now, exp: now + 60, ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'mine', ...header })
        .sign(privateKey);
      expect((await ask(token)).status).toBe(401);
    }
    expect(fetched).toBe(0);
  } finally {
    await stopServer(evil);
  }
});

test('ES256, PS256 and EdDSA are taken as RS256 is [API-5]', async () => {
  const { claims } = await known();
  const before = provider.keys;
  for (const alg of ['ES256', 'PS256', 'EdDSA']) {
    const key = await makeKey(`of-${alg}`, alg);
    provider.keys = [...before, key];
    expect((await ask(await provider.token(claims, { key }))).status, alg).toBe(200);
  }
  provider.keys = before;
});

test('keys rotate: a new one is found when a token names it, one taken back no longer counts once keys are fetched anew [API-5]', async () => {
  const rotating = await startOidcProvider();
  try {
    const signIn = createSignIn({ ...settings(), issuers: [rotating.issuer] }, { cooldownMs: 0, freshMs: 0 });
    const [old] = rotating.keys;
    if (old === undefined) throw new Error('no key');
    expect(await signIn(await rotating.token())).toMatchObject({ subject: 'subject-1' });
    const next = await makeKey('key-2', 'ES256');
    rotating.keys = [old, next];
    expect(await signIn(await rotating.token({}, { key: next }))).toMatchObject({ subject: 'subject-1' });
    rotating.keys = [next];
    // Known keys are fetched again beside the requests: soon the old one is gone.
    await eventually(async () => 'rejected' in (await signIn(await rotating.token({}, { key: old }))));
    expect(await signIn(await rotating.token({}, { key: next }))).toMatchObject({ subject: 'subject-1' });
  } finally {
    await rotating.close();
  }
});

test('tokens that name keys nobody has do not make us ask the provider again and again [API-5] [API-7]', async () => {
  const calm = await startOidcProvider();
  try {
    const signIn = createSignIn({ ...settings(), issuers: [calm.issuer] });
    const stranger = await makeKey('unknown');
    expect(await signIn(await calm.token())).toMatchObject({ subject: 'subject-1' });
    const token = await calm.token({}, { key: stranger });
    for (let index = 0; index < 50; index += 1) expect(await signIn(token)).toHaveProperty('rejected');
    expect(calm.asked.get('/keys')).toBe(1);
    expect(calm.asked.get('/.well-known/openid-configuration')).toBe(1);
  } finally {
    await calm.close();
  }
});

test('a provider that is away: what can not be judged gets 503 and not 401, what can be goes on with the known keys [API-5]', async () => {
  const shaky = await startOidcProvider();
  // Time enough for a provider that is there, however busy the machine is.
  const times = { cooldownMs: 0, retryMs: 0, timeoutMs: 3_000 };
  const make = (more = {}): SignIn => createSignIn({ ...settings(), issuers: [shaky.issuer] }, { ...times, ...more });
  const other = await openWorld({ signIn: make() });
  try {
    const { id: userId } = await other.user({ email: 'shaky@inside.example' });
    const claims = { sub: 'shaky', email: 'shaky@inside.example', email_verified: true };
    const token = await shaky.token(claims);
    for (const trouble of ['error', 'silent', 'garbage', 'other-issuer', 'plain-text-keys'] as const) {
      shaky.trouble = trouble;
      const answer = await ask(token, undefined, other.endpoint);
      expect(answer.status, trouble).toBe(503);
      expect(answer.headers.get('retry-after'), trouble).toBe('5');
      expect(answer.errors[0]?.message, trouble).toContain('sign-in provider');
    }
    // A token of ours does not care.
    const own = await other.user();
    expect((await own.raw('{ viewer { user { id } } }')).status).toBe(200);
    shaky.trouble = 'none';
    expect((await ask(token, undefined, other.endpoint)).status).toBe(200);
    shaky.trouble = 'error';
    expect((await ask(token, undefined, other.endpoint)).status).toBe(200);
    expect((await ask(await shaky.token(claims, { key: await makeKey('newer') }), undefined, other.endpoint)).status).toBe(503);
    expect(await other.db.selectFrom('sign_in_identity').select('user_id').execute()).toEqual([{ user_id: userId }]);
    // Known keys do not go on for ever.
    shaky.trouble = 'none';
    const forgetful = make({ freshMs: 0, staleMs: 0 });
    expect(await forgetful(token)).toMatchObject({ subject: 'shaky' });
    shaky.trouble = 'error';
    await expect(forgetful(token)).rejects.toThrow('does not answer');
  } finally {
    await other.close();
    await shaky.close();
  }
});

test('a provider that has failed is left alone for a while, however many ask [API-5] [API-7]', async () => {
  const down = await startOidcProvider();
  try {
    down.trouble = 'error';
    const signIn = createSignIn({ ...settings(), issuers: [down.issuer] });
    const token = await down.token();
    for (let index = 0; index < 20; index += 1) await expect(signIn(token)).rejects.toThrow('does not answer');
    await Promise.all(Array.from({ length: 50 }, () => signIn(token).catch(() => undefined)));
    expect(down.asked.get('/.well-known/openid-configuration')).toBe(1);
  } finally {
    await down.close();
  }
});

test('without a configured provider no JWT counts [API-5]', async () => {
  const plain = await openWorld();
  try {
    expect((await ask(await provider.token(), undefined, plain.endpoint)).status).toBe(401);
  } finally {
    await plain.close();
  }
});

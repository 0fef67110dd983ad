import { expect, it } from 'vitest';
import { EnvironmentError, readEnvironment, type Environment } from '#runtime/environment.ts';

const read = (more: NodeJS.ProcessEnv): Environment =>
  readEnvironment({ DATABASE_URL: 'postgres://db.example/trunkline', TEMPORAL_ADDRESS: 'temporal.example:7233', TRUNKLINE_SECRET: 'ab'.repeat(32), ...more });

function wrong(more: NodeJS.ProcessEnv): readonly string[] {
  try {
    read(more);
  } catch (error) {
    if (error instanceof EnvironmentError) return error.variables;
    throw error;
  }
  return [];
}

it('has no provider, no origin and no proxy unless told [API-5] [API-7]', () => {
  expect(read({})).toMatchObject({ signIn: undefined, corsOrigins: [], trustedProxies: [] });
});

it('reads providers with what their tokens must say [API-5]', () => {
  expect(read({ OIDC_ISSUERS: 'https://a.example, https://b.example/tenant/', OIDC_AUDIENCE: 'one,two' }).signIn).toEqual({
    issuers: ['https://a.example', 'https://b.example/tenant/'],
    audiences: ['one', 'two'],
    emailClaim: 'email',
    verifiedClaim: 'email_verified',
  });
  expect(read({ OIDC_ISSUERS: 'http://127.0.0.1:9000', OIDC_AUDIENCE: 'x', OIDC_EMAIL_CLAIM: 'upn', OIDC_VERIFIED_CLAIM: 'xms_edov' }).signIn).toMatchObject({
    emailClaim: 'upn',
    verifiedClaim: 'xms_edov',
  });
});

it('takes no provider without https, and none without an audience: any other service’s tokens would count [API-5]', () => {
  for (const issuer of ['http://login.example', 'login.example', 'ftp://a.example', 'https://a.example?x=1', 'http://127.0.0.1.evil.example']) {
    expect(wrong({ OIDC_ISSUERS: issuer, OIDC_AUDIENCE: 'x' }), issuer).toEqual(['OIDC_ISSUERS']);
  }
  expect(wrong({ OIDC_ISSUERS: 'https://a.example' })).toEqual(['OIDC_AUDIENCE']);
  expect(wrong({ OIDC_ISSUERS: 'https://a.example', OIDC_AUDIENCE: ' , ' })).toEqual(['OIDC_AUDIENCE']);
});

it('takes origins as browsers send them, and networks as they are written, and nothing else [API-7]', () => {
  expect(read({ CORS_ORIGINS: 'https://a.example,http://localhost:5173' }).corsOrigins).toEqual(['https://a.example', 'http://localhost:5173']);
  for (const origin of ['*', 'https://a.example/', 'https://a.example/app', 'a.example', 'https://*.example', 'null']) {
    expect(wrong({ CORS_ORIGINS: origin }), origin).toEqual(['CORS_ORIGINS']);
  }
  expect(read({ TRUSTED_PROXIES: '10.0.0.0/8, ::1' }).trustedProxies).toEqual(['10.0.0.0/8', '::1']);
  for (const proxy of ['proxy.example', '10.0.0.0/33', '*', '10.0.0.0/8/8']) expect(wrong({ TRUSTED_PROXIES: proxy }), proxy).toEqual(['TRUSTED_PROXIES']);
});

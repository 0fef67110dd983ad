import { expect, test } from 'vitest';

import { decodeSecret, EnvironmentError, readEnvironment } from '#runtime/environment.ts';

const good = {
  DATABASE_URL: 'postgres://someone:a-password@db.example:5432/trunkline',
  TEMPORAL_ADDRESS: 'temporal.example:7233',
  TRUNKLINE_SECRET: 'ab'.repeat(32),
};

function failure(source: NodeJS.ProcessEnv): EnvironmentError {
  try {
    readEnvironment(source);
  } catch (error) {
    if (error instanceof EnvironmentError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

test('reads real servers with namespace, TLS and API key [OPS-2]', () => {
  const environment = readEnvironment({
    ...good,
    TEMPORAL_NAMESPACE: 'support.prod',
    TEMPORAL_TLS: 'true',
    TEMPORAL_API_KEY: 'a-key',
  });
  expect(environment.temporal).toEqual({ address: 'temporal.example:7233', namespace: 'support.prod', tls: true, apiKey: 'a-key' });
  expect(environment.databaseDirectUrl).toBe(good.DATABASE_URL);
});

test('is production on the loopback address unless told otherwise [OPS-2]', () => {
  const environment = readEnvironment(good);
  expect(environment).toMatchObject({ mode: 'production', host: '127.0.0.1', publicUrl: 'http://127.0.0.1:4000' });
  expect(environment.temporal.namespace).toBe('default');
  expect(environment.secretKey).toHaveLength(32);
});

test('names every wrong variable in one error [OPS-2]', () => {
  const { variables, message } = failure({
    DATABASE_URL: 'mysql://x',
    TEMPORAL_TLS: 'perhaps',
    PORT: '99999',
    TRUNKLINE_SECRET: 'short',
    TRUNKLINE_MODE: 'staging',
    LOG_LEVEL: 'loud',
    PUBLIC_URL: 'ftp://x',
  });
  const expected = ['DATABASE_URL', 'LOG_LEVEL', 'PORT', 'PUBLIC_URL', 'TEMPORAL_ADDRESS', 'TEMPORAL_TLS', 'TRUNKLINE_MODE', 'TRUNKLINE_SECRET'];
  expect(variables.toSorted()).toEqual(expected);
  for (const variable of expected) expect(message.split(`${variable}:`)).toHaveLength(2);
});

test('quotes no value of a wrong variable [OPS-2]', () => {
  const { message } = failure({
    DATABASE_URL: 'mysql://someone:hunter2@db',
    DATABASE_DIRECT_URL: 'nonsense-hunter2',
    TEMPORAL_ADDRESS: 'http://hunter2',
    TRUNKLINE_SECRET: 'hunter2',
    PUBLIC_URL: 'hunter2',
  });
  expect(message).not.toContain('hunter2');
});

test('takes an empty variable as one that is not set [OPS-2]', () => {
  expect(readEnvironment({ ...good, TEMPORAL_NAMESPACE: '', PORT: '', TEMPORAL_API_KEY: '' })).toMatchObject({
    port: 4000,
    temporal: { namespace: 'default', apiKey: undefined },
  });
  expect(failure({ ...good, DATABASE_URL: '' }).variables).toEqual(['DATABASE_URL']);
});

test('takes 32 bytes as hex or base64 and nothing shorter [OPS-2]', () => {
  const bytes = Buffer.alloc(32, 7);
  expect(decodeSecret(bytes.toString('hex'))).toEqual(bytes);
  expect(decodeSecret(bytes.toString('base64'))).toEqual(bytes);
  expect(decodeSecret(bytes.subarray(1).toString('hex'))).toBeUndefined();
  expect(decodeSecret(bytes.subarray(1).toString('base64'))).toBeUndefined();
});

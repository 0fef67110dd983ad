import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';

import { isFree, portFinder } from '#scripts/servers/ports.ts';

/** Listens on a free port until the test is over. */
async function take(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

test('steps over a port that is taken [OPS-1]', async () => {
  const taken = await take();
  expect(await isFree(taken)).toBe(false);
  const found = await portFinder().near(taken);
  expect(found).toBeGreaterThan(taken);
  expect(await isFree(found)).toBe(true);
});

test('prefers the port that was asked for [OPS-1]', async () => {
  const free = await portFinder().any();
  expect(await portFinder().near(free)).toBe(free);
});

test('gives no port twice, though nobody listens there yet [OPS-1]', async () => {
  const ports = portFinder();
  const first = await ports.any();
  expect(await ports.near(first)).not.toBe(first);
});

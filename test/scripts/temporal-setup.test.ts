import { afterAll, beforeAll, expect, test } from 'vitest';

import { startTemporal, type TemporalServer } from '#scripts/servers/temporal.ts';
import { run } from '#scripts/servers/process.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atLeast, connectClient, type TemporalClient } from '#runtime/temporal.ts';
import { ensureTemporalSetup, missingTemporalSetup, SEARCH_ATTRIBUTES } from '#runtime/temporal-setup.ts';
import { portFinder } from '#scripts/servers/ports.ts';
import { findTemporal } from '#scripts/servers/temporal-program.ts';
import { eventually } from '../support/wait.ts';

let directory: string;
let stop: () => Promise<void>;
let temporal: TemporalClient;

// A bare server, as an operator's own is: no search attributes, the dev server's own retention.
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trunkline-bare-'));
  const port = await portFinder().any();
  const { path } = await findTemporal();
  const server = await run({
    command: path,
    arguments: ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--headless'],
    logFile: join(directory, 'log'),
  });
  stop = () => server.stop();
  const settings = { address: `127.0.0.1:${port}`, namespace: 'default', tls: false, apiKey: undefined };
  temporal = await eventually(async () => {
    const client = await connectClient(settings, 2_000);
    await client.connection.workflowService.describeNamespace({ namespace: 'default' });
    return client;
  });
});
afterAll(async () => {
  await temporal?.connection.close();
  await stop?.();
  rmSync(directory, { recursive: true, force: true });
});

test('names what is missing and changes nothing [OPS-2]', async () => {
  const before = await missingTemporalSetup(temporal.connection, 'default');
  expect(before).toHaveLength(Object.keys(SEARCH_ATTRIBUTES).length + 1);
  expect(before.join()).toContain('TrunklineMigrationState');
  expect(before.join()).toContain('30 days (it is 1)');
  expect(await missingTemporalSetup(temporal.connection, 'default')).toEqual(before);
});

test('setup twice does no harm [OPS-2]', async () => {
  expect(await ensureTemporalSetup(temporal.connection, 'default')).toHaveLength(Object.keys(SEARCH_ATTRIBUTES).length + 1);
  expect(await missingTemporalSetup(temporal.connection, 'default')).toEqual([]);
  expect(await ensureTemporalSetup(temporal.connection, 'default')).toEqual([]);
  expect(await missingTemporalSetup(temporal.connection, 'default')).toEqual([]);
});

test('a namespace that does not exist is named, not made [OPS-2]', async () => {
  expect(await missingTemporalSetup(temporal.connection, 'nowhere')).toEqual(['namespace nowhere']);
  await expect(ensureTemporalSetup(temporal.connection, 'nowhere')).rejects.toThrow('no namespace "nowhere"');
});

test('says where nothing answers, and does not hang [OPS-2]', async () => {
  const address = `127.0.0.1:${await portFinder().any()}`;
  await expect(connectClient({ address, namespace: 'default', tls: false, apiKey: undefined }, 1_000)).rejects.toThrow(
    `No Temporal server answers at ${address}`,
  );
});

test('does not hang on something that accepts and never speaks [OPS-2]', async () => {
  const mute: Server = createServer(() => {});
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  try {
    const at = mute.address();
    const address = `127.0.0.1:${typeof at === 'object' ? at?.port : ''}`;
    await expect(connectClient({ address, namespace: 'default', tls: false, apiKey: undefined }, 1_000)).rejects.toThrow('No Temporal server answers');
  } finally {
    mute.close();
  }
});

test.each([
  ['1.28.0', '1.28.0', true],
  ['1.29.1', '1.28.0', true],
  ['2.0.0', '1.28.0', true],
  ['1.9.0', '1.28.0', false],
  ['1.27.9', '1.28.0', false],
  ['', '1.28.0', false],
])('version %s is at least %s: %s [OPS-3]', (version, minimum, expected) => {
  expect(atLeast(version, minimum)).toBe(expected);
});

test('a dev server keeps its workflows between starts, and steps to the next port when its own is taken [OPS-1]', async () => {
  const home = mkdtempSync(join(tmpdir(), 'trunkline-kept-'));
  const servers: TemporalServer[] = [];
  try {
    const port = await portFinder().any();
    const first = await startTemporal({ directory: home, port, throwaway: true, namespaces: ['kept'] });
    servers.push(first);
    const second = await startTemporal({ directory: mkdtempSync(join(home, 'other-')), port, throwaway: true });
    servers.push(second);
    expect(first.port).toBe(port);
    expect(second.port).not.toBe(port);
    const settings = { address: first.address, namespace: 'kept', tls: false, apiKey: undefined };
    const { client, connection } = await connectClient(settings);
    await client.workflow.start('nobodyRunsIt', { workflowId: 'kept/1', taskQueue: 'none' });
    await connection.close();
    await first.stop();

    const again = await startTemporal({ directory: home, fixedPorts: { port, uiPort: undefined }, throwaway: true });
    servers.push(again);
    expect(again.port).toBe(port);
    const after = await connectClient(settings);
    const { status } = await after.client.workflow.getHandle('kept/1').describe();
    await after.connection.close();
    expect(status.name).toBe('RUNNING');
  } finally {
    for (const server of servers) await server.stop();
    rmSync(home, { recursive: true, force: true });
  }
});

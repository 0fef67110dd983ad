import { readdirSync, readFileSync } from 'node:fs';
import { DeterminismViolationError } from '@temporalio/workflow';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { bundleWorkflows } from '#worker/bundle.ts';
import { readHistory } from './histories.ts';

const folder = new URL('../histories/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const read = (file: string): string => readFileSync(new URL(file, folder), 'utf8');
const quiet = new DefaultLogger('ERROR', () => undefined);

let workflowBundle: Awaited<ReturnType<typeof bundleWorkflows>>;
beforeAll(async () => {
  Runtime.install({ logger: quiet, shutdownSignals: [] });
  workflowBundle = await bundleWorkflows(quiet);
});

test('there is a recorded history of every workflow [OPS-8]', async () => {
  const recorded = new Set(files.map((file) => file.split('.')[0]));
  expect([...recorded].toSorted()).toEqual([
    'channelAttachments',
    'channelCatchUp',
    'channelCheck',
    'channelIntake',
    'channelMigration',
    'channelRenewals',
    'chatflow',
    'guardian',
    'migrationSla',
    'outbox',
    'routingRetry',
    'slaHorizon',
    'slaReevaluation',
    'systemMail',
    'ticket',
    'ticketImport',
    'webhooks',
  ]);
  const entry = readFileSync(new URL('../../workflows/index.ts', import.meta.url), 'utf8');
  const exported = [...entry.matchAll(/export \{ (\w+) \}/g)].map((match) => match[1]);
  expect(exported.toSorted()).toEqual([...recorded].toSorted());
});

test.each(files)('the workflow code still replays %s [OPS-8]', async (file) => {
  await Worker.runReplayHistory({ workflowBundle }, readHistory(read(file)));
});

test('a change of what a workflow does is found out by replaying [OPS-8]', async () => {
  const file = files.find((one) => one.startsWith('ticket.')) ?? '';
  const changed = read(file).replaceAll('"decideOwner"', '"decideSomethingElse"');
  expect(changed).not.toBe(read(file));
  await expect(Worker.runReplayHistory({ workflowBundle }, readHistory(changed))).rejects.toThrow(DeterminismViolationError);
});

test("recorded histories hold no machine's name [OPS-4]", () => {
  for (const file of files) {
    const identities = [...read(file).matchAll(/"identity": "([^"]*)"/g)].map((match) => match[1]);
    expect(new Set(identities)).toEqual(new Set(['recorded']));
    expect(read(file)).not.toMatch(/"\d+@/);
  }
});

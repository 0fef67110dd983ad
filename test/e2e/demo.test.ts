import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkInvariants } from '#db/invariants.ts';
import { openDatabase } from '#db/database.ts';
import { playDay } from '#scripts/demo/day.ts';
import { createProgress } from '#scripts/servers/progress.ts';
import { startStack, type Stack } from '#scripts/servers/stack.ts';

let stack: Stack;
const directory = mkdtempSync(join(tmpdir(), 'trunkline-e2e-'));
beforeAll(async () => {
  stack = await startStack({ dataDirectory: directory, mode: 'development', throwaway: true, quiet: true });
});
afterAll(async () => {
  await stack?.stop();
  rmSync(directory, { recursive: true, force: true });
});

it('plays a day through SMTP and GraphQL on real servers, and all is as it should be [OPS-1, API-1, CH-1, CH-11, EMAIL-1, EMAIL-2, EMAIL-5]', async () => {
  const episodes = await playDay(stack, createProgress({ quiet: true }));
  expect(episodes.length).toBeGreaterThan(10);
  expect(episodes.filter((one) => one.found !== one.expected)).toEqual([]);
  const db = openDatabase(stack.databaseUrl, { max: 1 });
  const findings = await checkInvariants(db);
  await db.destroy();
  expect(findings.filter((one) => one.violations !== 0)).toEqual([]);
});

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkInvariants, type Finding } from '#db/invariants.ts';
import { openDatabase } from '#db/database.ts';
import { createLifecycle } from '#runtime/lifecycle.ts';
import { playDay } from './demo/day.ts';
import { printOutcome } from './demo/outcome.ts';
import { explain } from './servers/fail.ts';
import { createProgress } from './servers/progress.ts';
import { startStack, type Stack } from './servers/stack.ts';

/**
 * `npm run demo`: everything from an empty folder, a day through the front doors, and what became of it. Exit 0 only if all is as it
 * should be. `--keep` leaves it running.
 */
const keep = process.argv.includes('--keep');
const directory = join(process.cwd(), '.trunkline', 'demo');
const progress = createProgress();
const lifecycle = createLifecycle({ timeoutMs: 120_000 });
let stack: Stack | undefined;
lifecycle.onShutdown('stack', async () => stack?.stop());

try {
  // The demo is the same every time: it begins with nothing.
  rmSync(directory, { recursive: true, force: true });
  stack = await startStack({ dataDirectory: directory, mode: 'development', progress });
  const outcome = await playDay(stack, progress);
  const findings = await doctor(stack.databaseUrl);
  const asItShouldBe = printOutcome(outcome, findings, stack);
  if (keep) {
    progress.note('It stays; Ctrl-C stops it.');
  } else {
    await lifecycle.shutdown('the demo is over');
    process.exit(asItShouldBe ? 0 : 1);
  }
} catch (error) {
  process.stderr.write(`\n${explain(error)}\n`);
  await lifecycle.shutdown('the demo failed');
  process.exit(1);
}

async function doctor(url: string): Promise<readonly Finding[]> {
  const db = openDatabase(url, { max: 1, name: 'trunkline-demo' });
  try {
    return await checkInvariants(db);
  } finally {
    await db.destroy();
  }
}

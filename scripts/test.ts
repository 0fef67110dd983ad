import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Runs vitest with whatever is given after `npm test --`, and says last, in one plain line, how it ended.
const root = fileURLToPath(new URL('..', import.meta.url));
const given = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'trunkline-counts-'));
const file = join(directory, 'counts.json');
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const reporters = given.some((argument) => argument.startsWith('--reporter')) ? [] : ['--reporter=default'];

const child = spawn(process.execPath, [vitest, 'run', ...reporters, '--reporter=./test/support/counting-reporter.ts', ...given], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TRUNKLINE_TEST_COUNTS: file },
});
// A terminal sends its Ctrl-C to both; vitest ends its servers, then this ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));

const code = await new Promise<number>((resolve) => {
  child.once('error', () => resolve(1));
  child.once('exit', (status) => resolve(status ?? 1));
});
const { passed, failed, skipped } = readCounts(code);
rmSync(directory, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = code === 0 && failed === 0 ? 0 : code || 1;

function readCounts(status: number): { passed: number; failed: number; skipped: number } {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value === 'object' && value !== null && 'passed' in value && 'failed' in value && 'skipped' in value) {
      const counts = { passed: Number(value.passed), failed: Number(value.failed), skipped: Number(value.skipped) };
      // Ended with a failure nobody counted, such as a threshold or a teardown.
      return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
    }
  } catch {
    // It ended before the first test: the servers did not start, or an option is wrong.
  }
  return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

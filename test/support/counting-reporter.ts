import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** How a run of the tests ended. */
export type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };

/** The variable that names the file the counts are written to. */
export const COUNTS_FILE = 'TRUNKLINE_TEST_COUNTS';

/** Counts the tests of a run, for the last line of `npm test`. */
export default class CountingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env[COUNTS_FILE];
    if (file !== undefined) writeFileSync(file, JSON.stringify(count(modules, unhandled)));
  }
}

function count(modules: readonly TestModule[], unhandled: readonly SerializedError[]): Counts {
  // An error outside any test is a failure too, or a red run would read "0 failed".
  let failed = unhandled.length;
  let passed = 0;
  let skipped = 0;
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'failed') failedHere += 1;
      else skipped += 1;
    }
    // A file that cannot be loaded, or whose hooks fail, fails without a failed test.
    failed += failedHere === 0 && module.state() === 'failed' ? 1 : failedHere;
  }
  return { passed, failed, skipped };
}

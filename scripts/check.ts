import { STEPS } from './checks/steps.ts';
import { run } from './checks/run.ts';

/** `npm run check`: everything that must hold before a change is taken. `--fast` leaves the tests out. */
const fast = process.argv.includes('--fast');
const steps = STEPS.filter((step) => !fast || step.slow !== true);
const width = Math.max(...steps.map(({ name }) => name.length));
let failed = 0;

for (const step of steps) {
  process.stdout.write(`${step.name.padEnd(width)}  `);
  const { problem, output, seconds } = await run(step);
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${problem === null ? 'ok' : `failed: ${problem}`}`);
  if (problem === null) continue;
  failed += 1;
  console.log(`\n${output.trimEnd()}\n`);
}

console.log(failed === 0 ? `\nAll ${steps.length} checks passed.` : `\n${failed} of ${steps.length} checks failed.`);
process.exitCode = failed === 0 ? 0 : 1;

import type { Finding } from '#db/invariants.ts';
import type { Stack } from '../servers/stack.ts';
import type { Episode } from './day.ts';

/** Prints what became of each, the doctor's verdict and the links; true where all is as it should be. */
export function printOutcome(episodes: readonly Episode[], findings: readonly Finding[], stack: Stack): boolean {
  const width = Math.max(...episodes.map((one) => one.what.length));
  console.log('\nWhat became of each\n');
  for (const { what, expected, found } of episodes) {
    const right = expected === found;
    console.log(`  ${right ? '✓' : '✗'} ${what.padEnd(width)}  ${found}${right ? '' : `  (expected: ${expected})`}`);
  }
  const wrong = episodes.filter((one) => one.expected !== one.found).length;
  const broken = findings.filter((one) => one.violations !== 0);
  console.log(
    `\nThe doctor: ${broken.length === 0 ? `all ${findings.length} invariants hold` : `${broken.length} of ${findings.length} invariants do not hold`}`,
  );
  for (const { invariant, violations } of broken) console.log(`  ✗ ${invariant.rule} ${invariant.holds}: ${violations}`);
  const { addresses } = stack;
  console.log(`\nGraphiQL     ${addresses.graphql}\nTemporal UI  ${addresses.temporalUi ?? '(your own)'}\n`);
  console.log(wrong === 0 && broken.length === 0 ? 'All is as it should be.' : `${wrong} of ${episodes.length} are not as they should be.`);
  return wrong === 0 && broken.length === 0;
}

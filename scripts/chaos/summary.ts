import { styleText } from 'node:util';
import { checkInvariants } from '#db/invariants.ts';
import type { Db } from '#db/database.ts';

/** What a run has found, line by line. */
export interface Summary {
  /** `found` is said whether it is right or not. */
  say(what: string, right: boolean, found: string): void;
  /** Prints the table, what is not right in red; whether all of it is. */
  print(): boolean;
}

export function openSummary(): Summary {
  const lines: (readonly [string, boolean, string])[] = [];
  return {
    say: (what, right, found) => void lines.push([what, right, found]),
    print() {
      const width = Math.max(...lines.map(([what]) => what.length));
      console.log('');
      for (const [what, right, found] of lines) {
        const line = `  ${right ? '✓' : '✗'} ${what.padEnd(width)}  ${found}`;
        console.log(right ? line : styleText('red', line));
      }
      return lines.every(([, right]) => right);
    },
  };
}

/** The doctor's whole list. */
export async function sayDoctor(summary: Summary, db: Db): Promise<void> {
  const findings = await checkInvariants(db);
  const broken = findings.filter((one) => one.violations !== 0);
  const found = broken.length === 0 ? `all ${findings.length} invariants hold` : broken.map((one) => `${one.invariant.rule}: ${one.violations}`).join(', ');
  summary.say('the doctor', broken.length === 0, found);
}

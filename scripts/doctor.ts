import { readFileSync } from 'node:fs';
import { openDatabase } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';

/** `npm run doctor`: every invariant with its count of violations; exit 1 where one does not hold (OPS-11). */
const url = process.env['DATABASE_URL'] ?? developmentUrl();
const db = openDatabase(url, { max: 1, name: 'trunkline-doctor' });
try {
  const findings = await checkInvariants(db);
  for (const { invariant, violations } of findings) {
    console.log(`${violations === 0 ? 'ok' : 'BROKEN'}  ${String(violations).padStart(6)}  ${invariant.rule.padEnd(9)}  ${invariant.holds}`);
  }
  const broken = findings.filter((one) => one.violations !== 0).length;
  console.log(broken === 0 ? `all ${findings.length} invariants hold` : `${broken} of ${findings.length} invariants do not hold`);
  process.exitCode = broken === 0 ? 0 : 1;
} finally {
  await db.destroy();
}

/** The database of the running `npm start` in this folder. */
function developmentUrl(): string {
  try {
    const file: unknown = JSON.parse(readFileSync('.trunkline/dev.json', 'utf8'));
    if (typeof file === 'object' && file !== null && 'database' in file && typeof file.database === 'string') return file.database;
  } catch {
    // Said below.
  }
  console.error('doctor: no DATABASE_URL, and no .trunkline/dev.json of a running `npm start` in this folder');
  process.exit(2);
}

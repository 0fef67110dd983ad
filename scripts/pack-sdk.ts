import { relative, resolve } from 'node:path';
import { fail } from './servers/fail.ts';
import { packSdk } from './sdk/pack.ts';

/** `npm run sdk:pack [-- <folder>]`: the kit as a package to publish or to install from the file; in `.trunkline/packages` unless a folder is given. */
try {
  const folder = resolve(process.env['INIT_CWD'] ?? process.cwd(), process.argv[2] ?? '.trunkline/packages');
  console.log(relative(process.cwd(), await packSdk(folder)));
} catch (error) {
  fail(error);
}

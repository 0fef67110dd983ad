/** `npm run chaos -- <name> [seed]`: breaks things under load and says whether anything was lost, doubled or left half done. */
const RUNS: Readonly<Record<string, () => Promise<{ run(seed: number): Promise<boolean> }>>> = {
  intake: () => import('./chaos/intake.ts'),
};

const name = process.argv[2] ?? '';
const chaos = RUNS[name];
if (chaos === undefined) {
  console.error(`chaos: there is no run "${name}"; there are: ${Object.keys(RUNS).join(', ')}`);
  process.exit(2);
}
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}: npm run chaos -- ${name} ${seed}`);
process.exit((await (await chaos()).run(seed)) ? 0 : 1);

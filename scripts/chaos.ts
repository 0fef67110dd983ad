import { parseArgs } from 'node:util';

/** What a run may be told besides its seed. */
interface Options {
  readonly conversations?: number;
  readonly blows?: number;
}

/**
 * `npm run chaos -- <name> [seed]`: breaks things under load and says whether anything was lost, doubled or left half done. `migration` takes `--conversations <number>` and
 * `--blows <number>`.
 */
const RUNS: Readonly<Record<string, () => Promise<{ run(seed: number, options: Options): Promise<boolean> }>>> = {
  intake: () => import('./chaos/intake.ts'),
  migration: () => import('./chaos/migration.ts'),
};

const { positionals, values } = parseArgs({ allowPositionals: true, options: { conversations: { type: 'string' }, blows: { type: 'string' } } });
const [name = '', given] = positionals;
const chaos = RUNS[name];
if (chaos === undefined) {
  console.error(`chaos: there is no run "${name}"; there are: ${Object.keys(RUNS).join(', ')}`);
  process.exit(2);
}
const seed = whole('the seed', given) ?? Math.floor(Math.random() * 2 ** 31);
const [conversations, blows] = [whole('--conversations', values.conversations), whole('--blows', values.blows)];
const options = { ...(conversations === undefined ? {} : { conversations }), ...(blows === undefined ? {} : { blows }) };
console.log(`seed ${seed}: npm run chaos -- ${[name, seed, ...Object.entries(options).map(([option, value]) => `--${option} ${value}`)].join(' ')}`);
process.exit((await (await chaos()).run(seed, options)) ? 0 : 1);

function whole(what: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  console.error(`chaos: ${what} must be a whole number over 0`);
  process.exit(2);
}

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import config from '#config';
import { openDatabase } from '#db/database.ts';
import { readDatabaseUrl } from '#runtime/environment.ts';
import { storedDelivery } from './plugin-sample/known.ts';
import { makeSample, type Signer } from './plugin-sample/sample.ts';
import { fail } from './servers/fail.ts';

/** `npm run plugin:sample -- <delivery id>`: a stored delivery as a sample with nobody's data in it (PLUG-13). */
const program = new Command('plugin:sample')
  .description('Writes a stored delivery of the database at DATABASE_URL as a sample: people replaced, signed anew where the samples of its plugin can')
  .argument('<delivery>', 'its id', deliveryId)
  .option('--samples <file>', "the plugin's samples; plugins/<key>/test/samples.ts unless given")
  .option('--out <file>', 'where it is written; plugins/<key>/fixtures/delivery-<id>.json unless given')
  .parse();

const root = fileURLToPath(new URL('..', import.meta.url));
const called = process.env['INIT_CWD'] ?? process.cwd();
const [id] = program.processedArgs as [number];
const given = program.opts<{ samples?: string; out?: string }>();

try {
  const db = openDatabase(readDatabaseUrl(), { max: 1, name: 'trunkline-plugin-sample' });
  try {
    const stored = await storedDelivery(db, id);
    if (stored === undefined) throw new Error(`There is no stored delivery ${id}: deliveries are removed some time after they were taken in.`);
    const own = join(root, 'plugins', stored.plugin);
    const samples = given.samples === undefined ? join(own, 'test/samples.ts') : resolve(called, given.samples);
    if (given.samples !== undefined && !existsSync(samples)) throw new Error(`There is no file ${given.samples}.`);
    const signer = existsSync(samples) ? await signerIn(samples) : undefined;
    const file = given.out === undefined ? join(existsSync(own) ? join(own, 'fixtures') : called, `delivery-${id}.json`) : resolve(called, given.out);
    if (existsSync(file)) throw new Error(`${relative(called, file)} is there already; nothing was written.`);
    const plugin = config.plugins.find(({ key }) => key === stored.plugin);
    const { sample, signed } = await makeSample(stored, plugin, signer);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(sample, undefined, 2)}\n`);
    console.log(`Wrote ${relative(called, file)}. Read it before you give it to anybody: what nobody knew to be a name stays as it was.`);
    console.log(signed ? 'It is signed anew, for the settings of the samples.' : 'It is not signed: the plugin has no samples that sign.');
    if (sample.gives === undefined) console.log('What it must give (`gives`) is left out: there are no samples with settings to parse it with.');
  } finally {
    await db.destroy();
  }
} catch (error) {
  fail(error);
}

async function signerIn(file: string): Promise<Signer> {
  const module = (await import(pathToFileURL(file).href)) as { readonly samples?: Signer; readonly default?: Signer };
  const samples = module.samples ?? module.default;
  if (samples?.settings === undefined) throw new Error(`${relative(called, file)} exports no samples.`);
  return samples;
}

function deliveryId(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('a whole number above 0');
  return number;
}

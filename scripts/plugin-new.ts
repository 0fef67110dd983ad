import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { makePlugin, stepsFor } from './plugin-new/make.ts';
import { fail } from './servers/fail.ts';

/** `npm run plugin:new <name>`: a working webhook channel with its tests, to be made into another one (PLUG-9). */
const program = new Command('plugin:new')
  .description('Makes a channel plugin that works and is tested, in plugins/<name>')
  .argument('<name>', "the plugin's key: lower-case letters, digits and dashes")
  .option('--package <folder>', 'makes it a package of its own in this folder, built to JavaScript')
  .parse();

const root = fileURLToPath(new URL('..', import.meta.url));
const [name = ''] = program.args;
const { package: given } = program.opts<{ package?: string }>();
// npm runs this in the root of the repository, whoever called it from where.
const folder = given === undefined ? resolve(root, 'plugins', name) : resolve(process.env['INIT_CWD'] ?? process.cwd(), given);

try {
  const files = makePlugin({ name, folder, own: given !== undefined, taken: readdirSync(resolve(root, 'plugins')) });
  // A name of another length may move a line's end.
  const formatter = resolve(root, 'node_modules/.bin/oxfmt');
  if (existsSync(formatter)) spawnSync(process.execPath, [formatter, '--config', resolve(root, '.oxfmtrc.json'), folder], { stdio: 'ignore' });
  console.log(
    `Made ${relative(process.cwd(), folder) || folder}:\n${files.map((file) => `  ${file}`).join('\n')}\n\nNow${given === undefined ? '' : ' in there'}:`,
  );
  for (const step of stepsFor(name, given !== undefined)) console.log(`  ${step}`);
} catch (error) {
  fail(error);
}

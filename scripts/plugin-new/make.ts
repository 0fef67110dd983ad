import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TSCONFIG, manifestOf } from './manifest.ts';

/** What is asked for. */
export interface NewPlugin {
  /** The key: in rows, workflow ids and URLs. */
  readonly name: string;
  /** Absolute; made here. */
  readonly folder: string;
  /** Whether it is a package of its own, built to JavaScript, or a part of this repository. */
  readonly own: boolean;
  /** Keys that are taken. */
  readonly taken: readonly string[];
}

const TEMPLATE = fileURLToPath(new URL('./template', import.meta.url));

/** Makes the folder whole or not at all; the paths of its files. Throws where the name or the folder can not be used. */
export function makePlugin({ name, folder, own, taken }: NewPlugin): readonly string[] {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name) || name.length < 2 || name.length > 31) {
    throw new Error(`"${name}" can not be a plugin's key: 2 to 31 lower-case letters, digits and single dashes, a letter first`);
  }
  if (taken.includes(name)) throw new Error(`there is a plugin with the key "${name}" already`);
  if (existsSync(folder)) throw new Error(`${folder} is there already; nothing was changed`);
  // Beside its place, so that the last step is one rename: nobody finds half a plugin.
  const unfinished = `${folder}.unfinished-${process.pid}`;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    cpSync(TEMPLATE, unfinished, { recursive: true });
    for (const file of filesIn(unfinished)) writeFileSync(file, renamed(readFileSync(file, 'utf8'), name, own));
    writeFileSync(join(unfinished, 'package.json'), manifestOf(name, own));
    if (own) {
      writeFileSync(join(unfinished, 'tsconfig.json'), TSCONFIG);
      writeFileSync(join(unfinished, '.gitignore'), 'node_modules/\ndist/\n*.tgz\n');
    }
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  }
  return filesIn(folder).map((file) => relative(folder, file));
}

/** What to do next, one command a line. */
export function stepsFor(name: string, own: boolean): readonly string[] {
  return own ? ['npm install', 'npm test', 'npm pack'] : [`npm test -- plugins/${name}`, `TRUNKLINE_PLUGINS=./plugins/${name} npm start`];
}

/** The template is a plugin itself, checked like all code here; only its names are replaced. */
function renamed(text: string, name: string, own: boolean): string {
  const title = name.split('-').join(' ');
  const runner = own ? 'node:test' : 'vitest';
  return text
    .replaceAll("from 'vitest'", `from '${runner}'`)
    .replaceAll('new-channel', name)
    .replaceAll('New channel', `${title[0]?.toUpperCase() ?? ''}${title.slice(1)}`)
    .replace('@@STEPS@@', () => ['```sh', ...stepsFor(name, own), '```', ...(own ? [OWN] : [IN_HERE(name)])].join('\n'));
}

const OWN = `
The package that \`npm pack\` makes is compiled JavaScript. Install it where Trunkline runs and name it there: \`TRUNKLINE_PLUGINS=<this package's name>\`.`;
const IN_HERE = (name: string) => `
To have it always: \`npm install\`, then import \`@trunkline/plugin-${name}\` in \`trunkline.config.ts\`.`;

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, basename(entry.name)))
    .toSorted();
}

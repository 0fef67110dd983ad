import { existsSync, readFileSync, statSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigError, configProblems, type Config, type NamedPlugin } from '@trunkline/channel-sdk/config';
import type { Plugin } from '@trunkline/channel-sdk';

/** Which plugins there are. */
export interface PluginList {
  /** Imported ones, and others by package name (`@acme/trunkline-sms`) or path (`./sms`, `./sms/index.js`). */
  readonly plugins: readonly (Plugin | string)[];
  /** Further names with commas between, as `TRUNKLINE_PLUGINS` has them; undefined or empty: none. */
  readonly further?: string | undefined;
  /** URL of the configuration: its paths are relative to it; those of `further` to the working directory. */
  readonly from: string;
}

/** Milliseconds in which a plugin's module must have loaded: a top-level await that never ends would be a start that never ends. */
const LOADING_MS = 20_000;

/** Loads what is named and checks all of it; throws one {@link ConfigError} that names every problem and its plugin (PLUG-8). */
export async function loadConfig({ plugins, further = '', from }: PluginList): Promise<Config> {
  const here = dirname(fileURLToPath(from));
  const named = further.split(',').map((name) => name.trim());
  const entries: readonly Entry[] = [
    ...plugins.map((plugin): Entry => (typeof plugin === 'string' ? { name: plugin, folders: [here, process.cwd()] } : { plugin })),
    ...named.filter((name) => name !== '').map((name): Entry => ({ name, folders: [process.cwd(), here] })),
  ];
  const loaded = await Promise.all(entries.map(load));
  const problems = [
    ...loaded.flatMap((one) => ('problem' in one ? [one.problem] : [])),
    ...configProblems(loaded.flatMap((one) => ('problem' in one ? [] : [one]))),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return { plugins: loaded.flatMap((one) => ('problem' in one ? [] : [one.plugin as Plugin])) };
}

/** `folders`: where it is looked for, best first; a path only in the first. */
type Entry = { readonly plugin: Plugin } | { readonly name: string; readonly folders: readonly [string, ...string[]] };

async function load(entry: Entry): Promise<NamedPlugin | { readonly problem: string }> {
  if ('plugin' in entry) return { plugin: entry.plugin };
  const { name } = entry;
  const found = isPath(name) ? atPath(name, entry.folders[0]) : inPackages(name, entry.folders);
  if ('problem' in found) return { problem: `"${name}": ${found.problem}` };
  try {
    const module = await inTime(import(/* @vite-ignore */ pathToFileURL(found.file).href));
    if (!('default' in module)) return { problem: `"${name}": has no default export: export default definePlugin({…})` };
    return { name, plugin: module.default };
  } catch (error) {
    return { problem: `"${name}": its module can not be loaded: ${error instanceof Error ? error.message : `it threw ${typeof error}`}` };
  }
}

type Found = { readonly file: string } | { readonly problem: string };

function isPath(name: string): boolean {
  return /^\.{0,2}\//.test(name) || name.startsWith('file:');
}

function atPath(name: string, folder: string): Found {
  if (name.startsWith('file:') && !URL.canParse(name)) return { problem: 'is no file: URL' };
  const path = name.startsWith('file:') ? fileURLToPath(name) : resolve(folder, name);
  if (!existsSync(path)) return { problem: `there is nothing at ${path}` };
  return statSync(path).isDirectory() ? entryOf(path) : { file: path };
}

/** The name of an npm package, and no path inside of one: a plugin is what its package exports by default. */
const PACKAGE = /^(@[a-z0-9-][a-z0-9._-]*\/)?[a-z0-9-][a-z0-9._-]*$/;

function inPackages(name: string, folders: readonly string[]): Found {
  if (!PACKAGE.test(name)) return { problem: 'is neither the name of a package nor a path (./…)' };
  for (const folder of folders) {
    // Up through every node_modules, as an import there would.
    const manifest = manifestOf(name, folder);
    if (manifest !== undefined) return entryOf(dirname(manifest));
  }
  return { problem: `is not installed: no node_modules of ${[...new Set(folders)].join(' or ')} has it` };
}

function manifestOf(name: string, folder: string): string | undefined {
  try {
    return findPackageJSON(name, pathToFileURL(join(folder, 'any.js')));
  } catch {
    return undefined;
  }
}

/** The module a package, or a folder without a `package.json`, is entered by. */
function entryOf(folder: string): Found {
  const entries = [...exported(folder), './index.js', './index.ts'];
  const file = entries.map((entry) => join(folder, entry)).find((path) => existsSync(path) && !statSync(path).isDirectory());
  return file === undefined ? { problem: `${folder} has none of ${[...new Set(entries)].join(', ')}; is it built?` } : { file };
}

function exported(folder: string): readonly string[] {
  const path = join(folder, 'package.json');
  if (!existsSync(path)) return [];
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return [];
  }
  if (typeof manifest !== 'object' || manifest === null) return [];
  const target = 'exports' in manifest ? targetOf(manifest.exports) : 'main' in manifest ? manifest.main : undefined;
  return typeof target === 'string' ? [target] : [];
}

/** The conditions by which Node itself chooses for an import. */
const CONDITIONS: readonly string[] = ['import', 'node', 'module-sync', 'default'];

/** What `exports` gives for the package's own name. */
function targetOf(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return undefined;
  for (const [key, value] of Object.entries(exports)) {
    const target = key === '.' || CONDITIONS.includes(key) ? targetOf(value) : undefined;
    if (target !== undefined) return target;
  }
  return undefined;
}

async function inTime(loading: Promise<Readonly<Record<string, unknown>>>): Promise<Readonly<Record<string, unknown>>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it has not finished loading after ${LOADING_MS / 1000} s`)), LOADING_MS);
  });
  try {
    return await Promise.race([loading, late]);
  } finally {
    clearTimeout(timer);
  }
}

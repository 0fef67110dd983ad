import { describe, expect, test } from 'vitest';
import { CONFIG_READERS, LAYERS, layerTable, type Layer } from '#scripts/checks/layers.ts';
import { FEWEST_MODULES, tooFewModules } from '#scripts/checks/steps.ts';
import { files, importsOf, read, sourceFiles, type Import } from './source.ts';

interface Manifest {
  readonly imports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const manifest = (path: string): Manifest => JSON.parse(read(path)) as Manifest;
const root = manifest('package.json');
const aliases = new Map(Object.entries(root.imports ?? {}).map(([alias, target]) => [alias, target.replace(/^\.\//, '')]));
const imports = sourceFiles().flatMap((file) => importsOf(file, aliases));

/** `plugins/email/parse.ts` → `plugins/email`; else the first folder. A file of the root stands for itself. */
function area(path: string): string {
  return path
    .split('/')
    .slice(0, path.startsWith('plugins/') ? 2 : 1)
    .join('/');
}
const within = (name: string, path: string) => path === name || path === `${name}.ts` || path.startsWith(`${name}/`);
/** The kit's suite runs where tests run, so it may use Node's own modules; the contract may not. */
const isTest = (path: string) => path.startsWith('test/') || path.includes('/test/') || path.startsWith('channel-sdk/testing/');
const free = (path: string) => path.startsWith('scripts/') || path.startsWith('test/');
const layerOf = (path: string): Layer | undefined => LAYERS.find(({ folder }) => within(folder, path));
const say = (list: readonly Import[]) => list.map(({ from, specifier, typeOnly }) => `${from}: ${typeOnly ? 'type of ' : ''}${specifier}`);

function allowed({ from, to, typeOnly }: Import, layer: Layer): boolean {
  if (area(from) === area(to)) return true;
  if (to === 'trunkline.config.ts') return CONFIG_READERS.includes(from);
  return layer.code.some((name) => within(name, to)) || (typeOnly && layer.types.some((name) => within(name, to)));
}

describe('import table', () => {
  test('the reader sees the code: imports of every layer are found', () => {
    expect(sourceFiles().length).toBeGreaterThan(FEWEST_MODULES);
    // domain needs nobody, so it may well have no import at all.
    const readable = LAYERS.filter(({ folder }) => folder !== 'domain');
    expect(readable.filter(({ folder }) => !imports.some(({ from }) => within(folder, from))).map(({ folder }) => folder)).toEqual([]);
  });

  test.each(LAYERS.map((layer) => [layer.folder, layer] as const))('%s imports what its row allows', (folder, layer) => {
    const crossed = imports.filter((one) => within(folder, one.from) && one.ours && !allowed(one, layer));
    expect(say(crossed)).toEqual([]);
  });

  test.each(LAYERS.filter(({ packages }) => packages !== undefined).map((layer) => [layer.folder, layer] as const))(
    '%s imports no other packages than its row names',
    (folder, { packages = [] }) => {
      const foreign = imports.filter(({ from, ours, to }) => within(folder, from) && !isTest(from) && !ours && !packages.includes(to));
      expect(say(foreign)).toEqual([]);
    },
  );

  test('a layer is entered by its `#` name, never by a relative path', () => {
    const relative = imports.filter(({ from, to, ours, specifier }) => ours && specifier.startsWith('.') && area(from) !== area(to));
    expect(say(relative)).toEqual([]);
  });

  test('every folder with code has a row, or may import anything', () => {
    expect(sourceFiles().filter((path) => !free(path) && layerOf(path) === undefined)).toEqual([]);
  });

  test('the table in ARCHITECTURE.md is the one the rules use', () => {
    expect(read('ARCHITECTURE.md')).toContain(layerTable());
  });
});

describe('plugins', () => {
  const folders = files('plugins/*/package.json').map((path) => path.replace('/package.json', ''));

  test.each(folders)('%s uses the kit, Node and its own packages, and nothing else [PLUG-1]', (folder) => {
    const { dependencies = {} } = manifest(`${folder}/package.json`);
    const own = new Set([...Object.keys(dependencies), ...(Object.keys(root.devDependencies ?? {}) as string[])]);
    const used = imports.filter(({ from }) => within(folder, from));
    const foreign = used.filter(({ from, ours, to }) => {
      if (ours) return !within(folder, to) && !within('channel-sdk', to);
      return !to.startsWith('node:') && !(isTest(from) ? own.has(to) : Object.hasOwn(dependencies, to));
    });
    expect(say(foreign)).toEqual([]);
  });
});

describe('dependency-cruiser', () => {
  test('a run that read nothing is not a success', () => {
    expect(tooFewModules('no dependency violations found (0 modules, 0 dependencies cruised)')).toMatch('0 modules');
    expect(tooFewModules('✔ no dependency violations found')).not.toBeNull();
    expect(tooFewModules('✔ no dependency violations found (248 modules, 815 dependencies cruised)')).toBeNull();
  });
});

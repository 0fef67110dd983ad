import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const kit = join(root, 'channel-sdk');
const run = promisify(execFile);

/**
 * Packs the kit as it is published: compiled JavaScript with types, for Node runs no TypeScript inside node_modules. The path of the tarball, which
 * needs no registry to be installed: what the kit's types need is in it. Throws with what the compiler or npm said.
 */
export async function packSdk(folder: string): Promise<string> {
  const manifest = JSON.parse(readFileSync(join(kit, 'package.json'), 'utf8')) as Manifest;
  const stage = mkdtempSync(join(tmpdir(), 'trunkline-sdk-'));
  try {
    await compile(Object.values(manifest.exports), stage);
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(published(manifest), undefined, 2)}\n`);
    cpSync(join(kit, 'README.md'), join(stage, 'README.md'));
    cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'));
    const { resolve } = createRequire(join(kit, 'package.json'));
    for (const name of Object.keys(manifest.dependencies)) {
      const from = resolve(name).replace(/(.*node_modules\/(?:@[^/]+\/)?[^/]+)\/.*/, '$1');
      cpSync(from, join(stage, 'node_modules', name), { recursive: true, dereference: true });
    }
    mkdirSync(folder, { recursive: true });
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: stage });
    return join(folder, fileNameIn(stdout));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

async function compile(entries: readonly string[], stage: string): Promise<void> {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      rootDir: kit,
      outDir: stage,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      typeRoots: [join(root, 'node_modules/@types')],
    },
    files: entries.map((entry) => join(kit, entry)),
    exclude: [],
  };
  const path = join(stage, 'tsconfig.json');
  writeFileSync(path, JSON.stringify(config));
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  try {
    await run(process.execPath, [tsc, '-p', path]);
  } catch (error) {
    throw new Error(`The kit can not be compiled:\n${error instanceof Error && 'stdout' in error ? String(error.stdout) : ''}`, { cause: error });
  }
  rmSync(path);
  // The compiler rewrites imports in the code and leaves those of the types.
  for (const file of readdirSync(stage, { recursive: true, encoding: 'utf8' }).filter((one) => one.endsWith('.d.ts'))) {
    const at = join(stage, file);
    writeFileSync(at, readFileSync(at, 'utf8').replace(/((?:from|import\()\s*'\.{1,2}\/[^']*)\.ts'/g, "$1.js'"));
  }
}

function published({ name, version, description, license, exports, dependencies }: Manifest): object {
  const built = (path: string, extension: string) => path.replace(/\.ts$/, extension);
  return {
    name,
    version,
    description,
    license,
    type: 'module',
    exports: Object.fromEntries(Object.entries(exports).map(([entry, path]) => [entry, { types: built(path, '.d.ts'), default: built(path, '.js') }])),
    files: ['**/*.js', '**/*.d.ts'],
    engines: { node: '>=22' },
    dependencies,
    bundleDependencies: Object.keys(dependencies),
  };
}

/** npm has printed a list, and an object by name. */
function fileNameIn(stdout: string): string {
  const name = /"filename":\s*"([^"]+\.tgz)"/.exec(stdout)?.[1];
  if (name === undefined) throw new Error(`npm pack does not say which file it made: ${stdout.slice(0, 500)}`);
  return name.replace('@', '').replace('/', '-');
}

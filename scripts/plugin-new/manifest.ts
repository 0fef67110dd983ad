import { readFileSync } from 'node:fs';

interface Manifest {
  readonly version: string;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Manifest;

/** The `package.json` of a new plugin. */
export function manifestOf(name: string, own: boolean): string {
  const kit = read('../../channel-sdk/package.json').version;
  const description = `The channel ${name} for Trunkline.`;
  const manifest = own
    ? {
        name: `trunkline-plugin-${name}`,
        version: '0.1.0',
        description,
        type: 'module',
        exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
        files: ['dist'],
        scripts: { build: 'tsc', test: 'node --test "test/*.test.ts"', prepack: 'npm run build' },
        engines: { node: '>=22.18' },
        // The engine's own copy would do; beside it, a copy of the same version is as good.
        peerDependencies: { '@trunkline/channel-sdk': `^${kit}` },
        devDependencies: { '@trunkline/channel-sdk': `^${kit}`, '@types/node': installed('@types/node'), typescript: installed('typescript') },
      }
    : {
        name: `@trunkline/plugin-${name}`,
        version: '0.1.0',
        description,
        license: 'Apache-2.0',
        type: 'module',
        exports: './index.ts',
        dependencies: { '@trunkline/channel-sdk': kit },
      };
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}

/** The versions this repository is checked with are known to work together. */
function installed(name: string): string {
  return read('../../package.json').devDependencies?.[name] ?? '*';
}

/** Of a package of its own: TypeScript that Node runs as it stands, built to JavaScript with types. Tests stay out of the build. */
export const TSCONFIG = `${JSON.stringify(
  {
    compilerOptions: {
      target: 'es2024',
      lib: ['es2024', 'dom', 'dom.iterable'],
      module: 'nodenext',
      types: ['node'],
      rootDir: '.',
      outDir: 'dist',
      declaration: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      erasableSyntaxOnly: true,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
      skipLibCheck: true,
    },
    include: ['*.ts'],
  },
  undefined,
  2,
)}\n`;

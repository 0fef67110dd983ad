import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SOURCES } from '#scripts/checks/steps.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** One import as it is written. */
export interface Import {
  /** The importing file, from the root. */
  readonly from: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
  /** What it names, from the root, when it is ours; else the package's name, or `node:…`. */
  readonly to: string;
  readonly ours: boolean;
}

/** A file of the repository as text. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Files that match, from the root, in order. */
export function files(pattern: string): readonly string[] {
  const skipped = (path: string) => path.includes('node_modules') || path.includes('.trunkline');
  return globSync(pattern, { cwd: root })
    .filter((path) => !skipped(path))
    .toSorted();
}

/** Every TypeScript file of ours. */
export function sourceFiles(): readonly string[] {
  return SOURCES.flatMap((source) => (source.endsWith('.ts') ? [source] : files(`${source}/**/*.ts`)));
}

/** The code alone: comments are replaced by nothing, texts stay. */
export function withoutComments(text: string): string {
  // Texts and regular expressions are stepped over, so that `//` in a URL begins no comment.
  return text.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|(?<=^|[\s;,{}()])\/\/[^\n]*/g,
    (_whole, kept: string | undefined) => kept ?? '',
  );
}

const STATEMENT = /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/g;

/** Every import of a file: statements, re-exports, `import('…')`. */
export function importsOf(from: string, aliases: ReadonlyMap<string, string>): readonly Import[] {
  return [...withoutComments(read(from)).matchAll(STATEMENT)].map(([, typeOnly, statement, call]) => {
    const specifier = statement ?? call ?? '';
    return { from, specifier, typeOnly: typeOnly !== undefined, ...resolve(from, specifier, aliases) };
  });
}

function resolve(from: string, specifier: string, aliases: ReadonlyMap<string, string>): Pick<Import, 'to' | 'ours'> {
  if (specifier.startsWith('.')) return { to: normalize(join(dirname(from), specifier)), ours: true };
  const [, scope, rest] = /^(#[^/]+)(?:\/(.*))?$/.exec(specifier) ?? [];
  if (scope !== undefined) {
    const target = aliases.get(rest === undefined ? scope : `${scope}/*`);
    return { to: normalize((target ?? `no alias ${scope}`).replace('*', rest ?? '')), ours: true };
  }
  const kit = /^@trunkline\/channel-sdk(?:\/(.*))?$/.exec(specifier);
  if (kit !== null) return { to: `channel-sdk/${kit[1] ?? 'index'}.ts`, ours: true };
  const plugin = /^@trunkline\/plugin-([^/]+)/.exec(specifier);
  if (plugin !== null) return { to: `plugins/${plugin[1]}/index.ts`, ours: true };
  if (specifier.startsWith('node:')) return { to: specifier, ours: false };
  return {
    to: specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/'),
    ours: false,
  };
}

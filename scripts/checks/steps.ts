/** One check: a program of a package and its arguments. */
export interface Step {
  readonly name: string;
  /** A file below `node_modules/.bin`, run by this Node. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** Left out with `--fast`. */
  readonly slow?: boolean;
  /** A reason to fail although the program was content, or null. */
  readonly doubt?: (output: string) => string | null;
}

/** Folders with code of ours; `trunkline.config.ts` stands beside them. */
export const SOURCES = [
  'channel-sdk',
  'plugins',
  'domain',
  'db',
  'commands',
  'activities',
  'workflows',
  'worker',
  'api',
  'runtime',
  'scripts',
  'test',
  'trunkline.config.ts',
] as const;

/** In order: what is quick comes first. */
export const STEPS: readonly Step[] = [
  { name: 'format', program: 'oxfmt', arguments: ['--check', '.'] },
  { name: 'lint, with types', program: 'oxlint', arguments: ['--type-aware', '--report-unused-disable-directives', '--deny-warnings'] },
  {
    name: 'import directions',
    program: 'depcruise',
    arguments: ['--config', '.dependency-cruiser.cjs', '--output-type', 'err', ...SOURCES],
    doubt: tooFewModules,
  },
  { name: 'unused code', program: 'knip', arguments: ['--no-config-hints'] },
  { name: 'types', program: 'tsc', arguments: ['--noEmit'] },
  { name: 'tests', program: 'npm', arguments: ['test'], slow: true },
];

/** Without its parser dependency-cruiser finds no module at all and calls that a success. */
export const FEWEST_MODULES = 50;

export function tooFewModules(output: string): string | null {
  const cruised = /([\d.,]+) modules/.exec(output)?.[1]?.replace(/\D/g, '');
  if (cruised === undefined) return 'it does not say how many modules it read';
  return Number(cruised) < FEWEST_MODULES ? `it read ${cruised} modules only; is @swc/core installed?` : null;
}

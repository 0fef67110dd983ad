/** One folder and what may be imported there from the others. */
export interface Layer {
  readonly folder: string;
  /** Folders, or single modules (`workflows/contract`), whose code may be imported. */
  readonly code: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types: readonly string[];
  /** Packages that may be imported; left out: any that package.json lists. */
  readonly packages?: readonly string[];
  /** What else there is to say, as it stands in ARCHITECTURE.md. */
  readonly note?: string;
}

/**
 * The import table: dependency-cruiser's rules are made from it, `test/structure/layers.test.ts` reads the code against it, and the table in
 * ARCHITECTURE.md is held equal to it. `scripts` and `test` may import anything and so have no row.
 */
export const LAYERS: readonly Layer[] = [
  { folder: 'channel-sdk', code: [], types: [], packages: ['@standard-schema/spec'], note: 'nothing of ours' },
  { folder: 'plugins', code: ['channel-sdk'], types: [], note: 'its own packages; never another plugin (PLUG-1)' },
  { folder: 'domain', code: [], types: ['channel-sdk'], packages: [], note: 'no package: pure functions' },
  { folder: 'workflows', code: ['domain'], types: ['activities'], packages: ['@temporalio/workflow', '@temporalio/common'] },
  { folder: 'db', code: ['domain'], types: [] },
  { folder: 'commands', code: ['domain', 'db'], types: ['channel-sdk'] },
  { folder: 'runtime', code: ['channel-sdk', 'workflows/contract'], types: [] },
  { folder: 'activities', code: ['domain', 'db', 'commands', 'channel-sdk', 'workflows/contract', 'runtime'], types: [], note: 'plugins come as an argument' },
  { folder: 'api', code: ['domain', 'db', 'commands', 'channel-sdk', 'workflows/contract', 'runtime'], types: [] },
  {
    folder: 'worker',
    code: ['activities', 'db', 'commands/secrets', 'channel-sdk', 'workflows/contract', 'runtime'],
    types: [],
    note: 'names the workflows by path, for the bundle',
  },
  { folder: 'trunkline.config.ts', code: ['plugins', 'channel-sdk', 'runtime'], types: [], note: 'the only file that names plugins' },
];

/** Besides scripts and tests, only these may import `trunkline.config.ts`; the parsing thread gets its URL as data. */
export const CONFIG_READERS: readonly string[] = ['api/main.ts', 'worker/main.ts', 'worker/config.ts'];

/** The table as it stands in ARCHITECTURE.md. */
export function layerTable(): string {
  const rows = LAYERS.map(({ folder, code, types, packages, note }) => {
    const may = [...code.map((one) => `\`${one}\``), ...types.map((one) => `types of \`${one}\``), ...(packages ?? []).map((one) => `\`${one}\``)].join(', ');
    return `| \`${folder}\` | ${may || '–'} | ${note ?? ''} |`;
  });
  return ['| folder | may import | |', '| --- | --- | --- |', ...rows, '| `scripts`, `test` | anything | |'].join('\n');
}

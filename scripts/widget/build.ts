import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'rolldown';

export interface Widget {
  readonly entry: string;
  readonly output: string;
}

const PLUGINS = fileURLToPath(new URL('../../plugins/', import.meta.url));

/** The plugins that have browser code of their own. */
export function widgets(): readonly Widget[] {
  return readdirSync(PLUGINS)
    .map((name) => ({ entry: join(PLUGINS, name, 'widget', 'main.ts'), output: join(PLUGINS, name, 'assets', 'widget.js') }))
    .filter(({ entry }) => existsSync(entry));
}

/** One classic script, small, of an entry and all it imports; nothing is written. */
export async function buildWidget(entry: string): Promise<string> {
  const { output } = await build({
    input: entry,
    cwd: PLUGINS,
    write: false,
    logLevel: 'warn',
    plugins: [stylesAsText],
    transform: { target: 'es2022' },
    output: { format: 'iife', minify: true, codeSplitting: false },
  });
  const [only, ...others] = output;
  if (only?.type !== 'chunk' || others.length > 0) throw new Error(`${entry} did not become one script`);
  return only.code.endsWith('\n') ? only.code : `${only.code}\n`;
}

/** A style sheet is a text to its importer: without comments and needless space. */
const stylesAsText: Plugin = {
  name: 'styles-as-text',
  transform: {
    filter: { id: /\.css$/ },
    handler: (css) => ({ code: `export default ${JSON.stringify(squeezed(css))}`, moduleType: 'js' }),
  },
};

function squeezed(css: string): string {
  return css
    .replace(/\/\*.*?\*\//gs, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{};,]) ?/g, '$1')
    .replace(/: /g, ':')
    .replace(/;}/g, '}')
    .trim();
}

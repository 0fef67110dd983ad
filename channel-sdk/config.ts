import { pluginProblems } from './define.ts';
import type { Plugin } from './plugin.ts';

/** What `trunkline.config.ts` exports. */
export interface Config {
  readonly plugins: readonly Plugin[];
}

/** Checks every plugin and that no two share a key; throws one error that names each problem and its plugin (PLUG-8). */
export function defineConfig(config: Config): Config {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [index, plugin] of config.plugins.entries()) {
    const name = typeof plugin?.key === 'string' ? `plugin "${plugin.key}"` : `plugin number ${index + 1}`;
    for (const problem of pluginProblems(plugin)) problems.push(`${name}: ${problem}`);
    if (seen.has(plugin?.key)) problems.push(`${name}: another plugin has this key already`);
    seen.add(plugin?.key);
  }
  if (problems.length > 0) throw new TypeError(`trunkline.config.ts can not be used:\n- ${problems.join('\n- ')}`);
  return config;
}

import { pluginProblems } from './define.ts';
import type { Plugin } from './plugin.ts';

/** What `trunkline.config.ts` exports. */
export interface Config {
  readonly plugins: readonly Plugin[];
}

/** Whatever was exported as a plugin, and the package or path it came from, where it was named by that. */
export interface NamedPlugin {
  readonly name?: string;
  readonly plugin: unknown;
}

/** The configuration can not be used: every problem with the plugin it is of. Its stack is its message alone: where it was thrown helps nobody. */
export class ConfigError extends TypeError {
  constructor(problems: readonly string[]) {
    super(`trunkline.config.ts can not be used:\n- ${problems.join('\n- ')}`);
    this.name = 'ConfigError';
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** Checks every plugin and that no two share a key; throws one {@link ConfigError} that names each problem and its plugin (PLUG-8). */
export function defineConfig(config: Config): Config {
  const problems = configProblems(config.plugins.map((plugin) => ({ plugin })));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** What is wrong with these plugins, together and one by one; empty: nothing. */
export function configProblems(plugins: readonly NamedPlugin[]): readonly string[] {
  const owners = new Map<string, string>();
  return plugins.flatMap(({ name, plugin }, index) => {
    const key = keyOf(plugin);
    const who = name === undefined ? (key === undefined ? `plugin number ${index + 1}` : `plugin "${key}"`) : `"${name}"`;
    const problems = pluginProblems(plugin);
    const owner = key === undefined ? undefined : owners.get(key);
    if (owner !== undefined) problems.push(name === undefined ? 'another plugin has this key already' : `its key "${key}" is that of ${owner}`);
    else if (key !== undefined) owners.set(key, who);
    return problems.map((problem) => `${who}: ${problem}`);
  });
}

function keyOf(plugin: unknown): string | undefined {
  return typeof plugin === 'object' && plugin !== null && 'key' in plugin && typeof plugin.key === 'string' ? plugin.key : undefined;
}

import type { Plugin, RoutingTargets } from '@trunkline/channel-sdk';
import type { Db, Tx } from '#db/database.ts';
import { loadChannel, SecretsUnreadable } from './channel-settings.ts';
import { InvalidInput } from './refusals.ts';
import { requireAssignable } from './routing-rules.ts';
import type { Keys } from './secrets.ts';

/** What a plugin may declare and this engine does not do yet: said at connecting, not found out by what never happens. */
const NOT_OFFERED: readonly (readonly [string, (plugin: Plugin) => boolean])[] = [
  ['control of calls', ({ capabilities, placeCall }) => capabilities.callControl || placeCall !== undefined],
  ['consent before anything is taken in', ({ capabilities }) => capabilities.consent === true],
];

/** Throws `InvalidInput` where a plugin needs what this engine does not offer yet. */
export function requireOffered(plugin: Plugin): void {
  const missing = NOT_OFFERED.flatMap(([what, needs]) => (needs(plugin) ? [what] : []));
  if (missing.length === 0) return;
  throw new InvalidInput(missing.map((what) => ({ path: 'plugin', message: `needs ${what}, which this engine does not offer yet` })));
}

/** Users and teams that a channel's own settings name must be such as a rule may name (ROUTE-4). Throws `NotAssignable`. */
export async function requireTargets(tx: Tx, placeId: string, plugin: Plugin | undefined, settings: unknown): Promise<void> {
  const targets = plugin?.routingTargets?.(settings);
  if (targets !== undefined) await requireAssignable(tx, placeId, targets);
}

/** Why a channel can not be moved to the help desk, by its plugin's own lights. `PLUGIN`: it is not configured, or broke; `NOT_MOVABLE`: it declares so. */
export interface PluginObstacle {
  readonly code: 'PLUGIN' | 'NOT_MOVABLE' | 'PLUGIN_SAYS';
  /** For people. */
  readonly reason: string;
}

/** What a channel's plugin says of its move: what stands in the way, and whom its settings name as targets of a hand-off; null: it names none, or can not be asked. */
export async function askPlugin(
  db: Db | Tx,
  { plugins, keys }: { readonly plugins: readonly Plugin[]; readonly keys: Keys },
  channel: { readonly id: string; readonly plugin: string },
): Promise<{ readonly obstacles: readonly PluginObstacle[]; readonly targets: RoutingTargets | null }> {
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  if (plugin === undefined) return { obstacles: [{ code: 'PLUGIN', reason: 'its plugin is not configured' }], targets: null };
  const { movable } = plugin.capabilities;
  const declared: PluginObstacle[] = movable.allowed ? [] : [{ code: 'NOT_MOVABLE', reason: movable.reason }];
  if (plugin.migrationProblems === undefined && plugin.routingTargets === undefined) return { obstacles: declared, targets: null };
  const settings = await settingsOf(db, keys, channel.id);
  if (settings === null) return { obstacles: [...declared, BROKE], targets: null };
  try {
    const says = plugin.migrationProblems?.(settings) ?? [];
    const targets = plugin.routingTargets?.(settings) ?? null;
    return { obstacles: [...declared, ...says.map((reason): PluginObstacle => ({ code: 'PLUGIN_SAYS', reason }))], targets };
  } catch {
    return { obstacles: [...declared, BROKE], targets: null };
  }
}

/** The same as texts; empty: nothing stands in the way. A plugin that breaks over it, or is gone, is one reason more. */
export async function migrationProblems(db: Db, context: Parameters<typeof askPlugin>[1], channel: Parameters<typeof askPlugin>[2]): Promise<string[]> {
  const { obstacles } = await askPlugin(db, context, channel);
  return obstacles.map(({ reason }) => reason);
}

const BROKE: PluginObstacle = { code: 'PLUGIN', reason: 'its plugin could not say' };

/** Null: its secrets can not be opened, so nothing can be asked of its plugin. */
async function settingsOf(db: Db | Tx, keys: Keys, channelId: string): Promise<unknown> {
  try {
    return (await loadChannel(db, keys, { id: channelId }, { disconnectedToo: true }))?.info.settings ?? null;
  } catch (error) {
    if (error instanceof SecretsUnreadable) return null;
    throw error;
  }
}

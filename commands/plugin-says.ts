import type { Plugin } from '@trunkline/channel-sdk';
import type { Db, Tx } from '#db/database.ts';
import { loadChannel } from './channel-settings.ts';
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

/** Why a channel can not be moved to the help desk, by its plugin's own lights; empty: nothing stands in the way. A plugin that breaks over it, or is gone, is one reason more. */
export async function migrationProblems(
  db: Db,
  { plugins, keys }: { readonly plugins: readonly Plugin[]; readonly keys: Keys },
  channel: { readonly id: string; readonly plugin: string },
): Promise<string[]> {
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  if (plugin === undefined) return ['its plugin is not configured'];
  const { movable } = plugin.capabilities;
  const declared = movable.allowed ? [] : [movable.reason];
  if (plugin.migrationProblems === undefined) return declared;
  const loaded = await loadChannel(db, keys, { id: channel.id }, { disconnectedToo: true });
  try {
    return [...declared, ...plugin.migrationProblems(loaded?.info.settings)];
  } catch {
    return [...declared, 'its plugin could not say'];
  }
}

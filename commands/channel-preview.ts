import type { Plugin, Preview } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import { changedSettings, isRecord, openSecrets, settingsProblems, type ValidSettings } from './channel-settings.ts';
import type { ChannelDeps } from './channels.ts';
import { InvalidInput, NotFound, type Problem } from './refusals.ts';

/** Settings as they are typed: over those of a channel, or for a new one of a plugin. Nothing is stored, no provider is asked. */
export interface PreviewInput {
  readonly of: { readonly channelId: string } | { readonly pluginKey: string };
  readonly settings: unknown;
  /** Who writes. */
  readonly authorId: string;
}

/** How a message would look outside (EMAIL-3, FB-2); empty where the plugin shows nothing. The settings are checked as an edit's are. Throws `NotFound`, `InvalidInput`. */
export async function previewChannel(db: Db, deps: ChannelDeps, input: PreviewInput): Promise<readonly Preview[]> {
  const author = await db.selectFrom('app_user').select('name').where('id', '=', input.authorId).executeTakeFirst();
  if (author === undefined) throw new NotFound('user', input.authorId);
  const { plugin, valid } =
    'channelId' in input.of ? await ofChannel(db, deps, input.of.channelId, input.settings) : await ofPlugin(deps, input.of.pluginKey, input.settings);
  if ('problems' in valid) throw new InvalidInput(valid.problems);
  const [firstName = author.name, ...rest] = author.name.split(/\s+/);
  return plugin?.preview?.(valid.all, { fullName: author.name, firstName, lastName: rest.join(' ') }) ?? [];
}

interface Checked {
  readonly plugin: Plugin | undefined;
  readonly valid: ValidSettings | { readonly problems: readonly Problem[] };
}

async function ofChannel(db: Db, { plugins, keys }: ChannelDeps, channelId: string, settings: unknown): Promise<Checked> {
  const channel = await db.selectFrom('channel').select(['key', 'plugin', 'address', 'settings', 'secrets']).where('id', '=', channelId).executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  return { plugin, valid: await changedSettings(plugin, channel, openSecrets(keys, channel.key, channel.secrets), settings) };
}

async function ofPlugin({ plugins }: ChannelDeps, pluginKey: string, settings: unknown): Promise<Checked> {
  const plugin = plugins.find(({ key }) => key === pluginKey);
  if (plugin === undefined) throw new InvalidInput([{ path: 'pluginKey', message: 'there is no such plugin' }]);
  const valid = await settingsProblems(plugin, settings);
  if (!('problems' in valid) || !isRecord(settings)) return { plugin, valid };
  // A look needs no password: where nothing but secrets is missing, something stands in for them.
  const missing = plugin.secrets.filter((name) => settings[name] === undefined && valid.problems.some(({ path }) => path === `settings.${name}`));
  if (missing.length === 0) return { plugin, valid };
  return { plugin, valid: await settingsProblems(plugin, { ...settings, ...Object.fromEntries(missing.map((name) => [name, STANDS_IN])) }) };
}

const STANDS_IN = 'stands in for a secret';

import type { ChannelInfo, IdentityKind, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { InvalidInput, type Problem } from './refusals.ts';
import type { Keys } from './secrets.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A channel as doors, intake and outbox need it. */
export interface LoadedChannel {
  readonly id: string;
  readonly key: string;
  readonly plugin: string;
  readonly placeId: string;
  readonly connected: boolean;
  /** With its secrets opened: for the plugin only, never to be logged, stored or returned. */
  readonly info: ChannelInfo<unknown>;
}

/** One of these; an address belongs to a plugin. */
export type ChannelRef = { readonly key: string } | { readonly id: string } | { readonly plugin: string; readonly address: string };

/** Reads a channel and opens its secrets; undefined where there is none, or it is disconnected and `disconnectedToo` was not asked for. Throws `SecretsUnreadable`. */
export async function loadChannel(
  db: Db | Tx,
  keys: Keys,
  by: ChannelRef,
  options: { readonly disconnectedToo?: boolean } = {},
): Promise<LoadedChannel | undefined> {
  let query = db.selectFrom('channel').select(['id', 'key', 'plugin', 'name', 'address', 'place_id', 'settings', 'secrets', 'enabled', 'disconnected_at']);
  if ('key' in by) query = query.where('key', '=', by.key);
  else if ('id' in by) query = query.where('id', '=', by.id);
  else query = query.where('plugin', '=', by.plugin).where('address', '=', by.address);
  if (options.disconnectedToo !== true) query = query.where('disconnected_at', 'is', null);
  // An address may have had several channels: the one that is connected, else the last.
  const row = await query
    .orderBy('disconnected_at', (order) => order.desc().nullsFirst())
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    id: row.id,
    key: row.key,
    plugin: row.plugin,
    placeId: row.place_id,
    connected: row.disconnected_at === null,
    info: {
      key: row.key,
      address: row.address,
      name: row.name,
      enabled: row.enabled,
      settings: { ...row.settings, ...openSecrets(keys, row.key, row.secrets) },
    },
  };
}

/** Keys of a plugin's connected channels: of these addresses, or of all. */
export async function connectedKeys(db: Db, plugin: string, addresses: readonly string[] | 'any'): Promise<readonly string[]> {
  let query = db.selectFrom('channel').select('key').where('plugin', '=', plugin).where('disconnected_at', 'is', null);
  if (addresses !== 'any') query = query.where(sql<boolean>`address = any(${[...addresses]}::text[])`);
  return (await query.orderBy('id').execute()).map((row) => row.key);
}

/** A row was sealed with another secret of the deployment's, or its bytes were changed: its plugin can be asked nothing. */
export class SecretsUnreadable extends Error {
  constructor(channelKey: string, cause: unknown) {
    super(`the secrets of channel "${channelKey}" cannot be opened`, { cause });
    this.name = 'SecretsUnreadable';
  }
}

/** The secret settings of a row; empty where it has none. Throws `SecretsUnreadable`. */
export function openSecrets(keys: Keys, channelKey: string, sealed: Buffer | null): Record<string, unknown> {
  if (sealed === null) return {};
  try {
    return keys.open(channelKey, sealed);
  } catch (cause) {
    throw new SecretsUnreadable(channelKey, cause);
  }
}

/** Settings as they are stored: apart from the secrets, which are sealed. */
export interface ValidSettings {
  readonly settings: Fields;
  readonly secrets: Fields;
  /** Both, as the plugin's schema gave them. */
  readonly all: Fields;
}

/** Parses what an admin typed by the plugin's own schema. Throws one `InvalidInput` that names every wrong field and repeats no secret (CH-3). */
export async function validateSettings(plugin: Plugin, input: unknown): Promise<ValidSettings> {
  const problems = await settingsProblems(plugin, input);
  if ('problems' in problems) throw new InvalidInput(problems.problems);
  return problems;
}

/** The same as a value, for a caller with problems of its own to add. */
export async function settingsProblems(plugin: Plugin, input: unknown): Promise<ValidSettings | { readonly problems: readonly Problem[] }> {
  const result = await plugin.settings['~standard'].validate(input);
  if (result.issues !== undefined) {
    const hidden = secretTexts(plugin, input);
    return {
      problems: result.issues.map(({ message, path }) => ({
        path: ['settings', ...(path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))].join('.'),
        message: hidden.some((text) => message.includes(text)) ? 'is not valid' : message,
      })),
    };
  }
  if (!isRecord(result.value)) return { problems: [{ path: 'settings', message: 'must be an object' }] };
  const entries = Object.entries(result.value);
  const isSecret = ([name]: readonly [string, unknown]): boolean => plugin.secrets.includes(name);
  return {
    settings: Object.fromEntries(entries.filter((entry) => !isSecret(entry))),
    secrets: Object.fromEntries(entries.filter((entry) => isSecret(entry) && entry[1] !== undefined)),
    all: result.value,
  };
}

/** What is stored with the changes over it (null takes one away), parsed as a whole: fields may depend on one another. The address stays. */
export async function changedSettings(
  plugin: Plugin | undefined,
  channel: { readonly address: string; readonly settings: object },
  secrets: Fields,
  changes: unknown,
): Promise<ValidSettings | { readonly problems: readonly Problem[] }> {
  if (plugin === undefined) return { problems: [{ path: 'settings', message: 'the plugin of this channel is not configured' }] };
  if (!isRecord(changes)) return { problems: [{ path: 'settings', message: 'must be an object' }] };
  const merged = Object.entries({ ...channel.settings, ...secrets, ...changes }).filter(([, value]) => value !== null);
  const valid = await settingsProblems(plugin, Object.fromEntries(merged));
  if ('problems' in valid || plugin.address(valid.all) === channel.address) return valid;
  return { problems: [{ path: 'settings', message: 'the connected address can not be changed: connect the other one as a channel of its own' }] };
}

/** Whether a plugin can write the first message to such an identity. */
export function canStartWith({ capabilities }: Plugin, kind: IdentityKind): boolean {
  return capabilities.outbound === 'start' && capabilities.identities[0] === kind;
}

/** The path of the first setting that is this text: where a plugin names a text and not its field. */
export function settingPath(settings: unknown, text: string): string {
  return ['settings', ...(pathOf(settings, text) ?? [])].join('.');
}

function pathOf(value: unknown, wanted: string): readonly string[] | undefined {
  if (value === wanted) return [];
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, part] of Object.entries(value)) {
    const rest = pathOf(part, wanted);
    if (rest !== undefined) return [name, ...rest];
  }
  return undefined;
}

/** Sealed for the row, or null where there are none. */
export function sealSecrets(keys: Keys, channelKey: string, secrets: Fields): Buffer | null {
  return Object.keys(secrets).length === 0 ? null : keys.seal(channelKey, secrets);
}

/** Every text within the secrets that were typed: a schema's message could quote one. */
function secretTexts(plugin: Plugin, input: unknown): readonly string[] {
  if (!isRecord(input)) return [];
  const texts: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === 'string' || typeof value === 'number') {
      if (String(value) !== '') texts.push(String(value));
    } else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect);
  };
  for (const name of plugin.secrets) collect(input[name]);
  return texts;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

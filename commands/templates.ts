import type { Plugin, Template } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { StoredTemplate } from '#db/schema.ts';
import { templateText } from '#domain/template-text.ts';
import { loadChannel } from './channel-settings.ts';
import { channelState } from './channel-state.ts';
import { refusalOf, type ContextFor } from './provider-calls.ts';
import { InvalidInput, NotFound, NotPossible, ProviderRefused } from './refusals.ts';
import type { Keys } from './secrets.ts';

interface Deps {
  readonly plugins: readonly Plugin[];
  readonly keys: Keys;
}

/** Seconds `listTemplates` may take: somebody is waiting. */
export const TEMPLATES_SECONDS = 10;
/** Seconds a channel's templates are remembered at one process. */
export const TEMPLATES_REMEMBERED_SECONDS = 30;

interface Remembered {
  readonly until: number;
  readonly templates: Promise<readonly Template[]>;
}
const remembered = new WeakMap<Db, Map<string, Remembered>>();

/** The provider's templates of a channel, asked of it or remembered for a moment; of many at once one asks. None where its plugin has none. Throws `NotFound`, `NotPossible`, `ProviderRefused`. */
export async function channelTemplates(db: Db, deps: Deps, channelId: string, contextFor: ContextFor): Promise<readonly Template[]> {
  const all = remembered.get(db) ?? new Map<string, Remembered>();
  remembered.set(db, all);
  const known = all.get(channelId);
  if (known !== undefined && known.until > performance.now()) return known.templates;
  const templates = ask(db, deps, channelId, contextFor);
  const entry = { until: performance.now() + TEMPLATES_REMEMBERED_SECONDS * 1000, templates };
  all.set(channelId, entry);
  templates.catch(() => {
    if (all.get(channelId) === entry) all.delete(channelId);
  });
  return templates;
}

async function ask(db: Db, { plugins, keys }: Deps, channelId: string, contextFor: ContextFor): Promise<readonly Template[]> {
  const channel = await loadChannel(db, keys, { id: channelId }, { disconnectedToo: true });
  if (channel === undefined) throw new NotFound('channel', channelId);
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  if (plugin?.listTemplates === undefined) return [];
  if (!channel.connected) throw new NotPossible('CHANNEL_DISCONNECTED');
  const late = new AbortController();
  const timeUp = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.abort();
    timeUp.reject(new ProviderRefused('UNAVAILABLE', 'the provider did not answer in time'));
  }, TEMPLATES_SECONDS * 1000);
  try {
    const context = contextFor(plugin.key, channel.info);
    const signal = AbortSignal.any([context.signal, late.signal]);
    const given = await Promise.race([plugin.listTemplates({ ...context, state: channelState(db, keys, channel), signal }), timeUp.promise]);
    if (!Array.isArray(given)) throw new ProviderRefused('UNAVAILABLE', 'the plugin gave no list of templates');
    return given;
  } catch (error) {
    throw refusalOf(error) ?? error;
  } finally {
    clearTimeout(timer);
  }
}

/** A template that was chosen, checked against what its provider has: with the text agents are shown, and the channel it is of. */
export interface ChosenTemplate extends StoredTemplate {
  readonly channelId: string;
  readonly text: string;
}

/** Checks a choice against the provider's templates. Throws `InvalidInput` where there is no such one, it is not approved or is filled in wrongly, and what `channelTemplates` throws. */
export async function chooseTemplate(db: Db, deps: Deps, channelId: string, choice: StoredTemplate, contextFor: ContextFor): Promise<ChosenTemplate> {
  const found = (await channelTemplates(db, deps, channelId, contextFor)).find(({ name, language }) => name === choice.name && language === choice.language);
  if (found === undefined) throw new InvalidInput([{ path: 'template.name', message: 'this channel has no such template in this language' }]);
  if (!found.approved) throw new InvalidInput([{ path: 'template.name', message: 'this template is not approved' }]);
  if (choice.parameters.length !== found.parameters || choice.parameters.some((one) => one.trim() === '')) {
    throw new InvalidInput([{ path: 'template.parameters', message: `this template takes ${found.parameters}, none of them empty` }]);
  }
  return { ...choice, channelId, text: templateText(found.text, choice.parameters) };
}

/** The channel an answer in a conversation would go through unless another is named. Throws `NotFound`. */
export async function currentChannel(db: Db, conversationId: string): Promise<string> {
  const row = await db
    .selectFrom('conversation')
    .select('channel_id')
    .where(sql<string>`id::text`, '=', conversationId)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('conversation', conversationId);
  return row.channel_id;
}

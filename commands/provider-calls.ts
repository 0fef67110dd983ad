import type { ChannelInfo, Plugin, PluginContext } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import { isRecord } from './channel-settings.ts';
import { channelState, type StateOf } from './channel-state.ts';
import { ProviderRefused } from './refusals.ts';
import type { Keys } from './secrets.ts';

/** Seconds a plugin may take over `connect`, `update` or `disconnect`, its calls to the provider included. */
export const TELL_SECONDS = 30;
/** Seconds for which whoever asks a provider has that to itself: longer than asking may take. After them it counts as dead. */
export const HELD_SECONDS = 90;

/** Makes what a plugin gets while its channel is connected, edited or let go; the state is added here. */
export type ContextFor = (pluginKey: string, info: ChannelInfo<unknown>) => PluginContext<unknown>;

/** What came of asking a provider. */
export type Told =
  | { readonly kind: 'done' }
  /** It said no, or can not be reached: certainly nothing happened there. */
  | { readonly kind: 'refused'; readonly refusal: ProviderRefused }
  /** No answer in time, or the plugin broke: nobody knows what happened there. */
  | { readonly kind: 'unknown'; readonly error: unknown };

/** Whom the provider is asked for. */
export interface ToldOf extends StateOf {
  readonly info: ChannelInfo<unknown>;
}

/** Asks a plugin for one of the calls that talk to its provider about the channel itself, for at most `TELL_SECONDS`. Never throws. */
export async function tellProvider(
  what: 'connect' | 'update' | 'disconnect',
  { db, keys }: { readonly db: Db; readonly keys: Keys },
  plugin: Plugin,
  channel: ToldOf,
  contextFor: ContextFor,
  seconds = TELL_SECONDS,
): Promise<Told> {
  const late = new AbortController();
  const timeUp = Promise.withResolvers<Told>();
  const timer = setTimeout(() => {
    late.abort();
    timeUp.resolve({ kind: 'unknown', error: new ProviderRefused('UNAVAILABLE', 'the provider did not answer in time') });
  }, seconds * 1000);
  const context = contextFor(plugin.key, channel.info);
  const asked = async (): Promise<Told> => {
    try {
      await plugin[what]?.({ ...context, state: channelState(db, keys, channel), signal: AbortSignal.any([context.signal, late.signal]) });
      return { kind: 'done' };
    } catch (error) {
      const refusal = refusalOf(error);
      return refusal === undefined ? { kind: 'unknown', error } : { kind: 'refused', refusal };
    }
  };
  try {
    const told = await Promise.race([asked(), timeUp.promise]);
    if (told.kind !== 'done')
      context.log('the provider of a channel could not be told', { what, code: told.kind === 'refused' ? told.refusal.code : 'UNKNOWN' });
    return told;
  } finally {
    clearTimeout(timer);
  }
}

/** A typed failure as a refusal; undefined: it is none. Told by its shape, for commands know only the contract's types; codes and reasons hold no content. */
export function refusalOf(error: unknown): ProviderRefused | undefined {
  const failure: unknown = error instanceof Error ? Reflect.get(error, 'failure') : undefined;
  if (!isRecord(failure)) return undefined;
  const reason = typeof failure['reason'] === 'string' ? failure['reason'] : '';
  switch (failure['code']) {
    case 'Rejected':
    case 'Disconnected':
      return new ProviderRefused('REJECTED', reason);
    case 'Unavailable':
      return new ProviderRefused('UNAVAILABLE', reason);
    case 'RateLimited':
      return new ProviderRefused('UNAVAILABLE', 'the provider limits the rate');
    default:
      return undefined;
  }
}

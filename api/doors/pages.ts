import type { PageContext } from '@trunkline/channel-sdk';
import type { Keys } from '#commands/secrets.ts';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** A plugin's public page. What visitors would be shown of their conversations is not offered yet: their history is empty and no news comes. */
export async function servePage(
  keeper: Doorkeeper,
  keys: Keys,
  request: Request,
  path: { readonly plugin: string; readonly channelKey: string },
): Promise<Response> {
  const door = await keeper.find(path.channelKey);
  const page = door?.plugin.page;
  if (door === undefined || page === undefined || door.plugin.key !== path.plugin) return new Response(null, { status: 404 });
  return page.call(door.plugin, request, pageContext(keeper, keys, door));
}

function pageContext(keeper: Doorkeeper, keys: Keys, door: DoorChannel): PageContext<unknown> {
  return {
    ...door.context,
    deliver: (raw) => keeper.store(door, raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    available: async () => door.channel.info.enabled,
    signingKey: () => signingKey(keys, door.channel.key),
    allow: async () => true,
  };
}

/** A key of the channel's own, made of the deployment's secret: the same in every process. */
function signingKey(keys: Keys, channelKey: string): Promise<CryptoKey> {
  const bytes = new Uint8Array(keys.hashEventKey(`page signing key of ${channelKey}`));
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
}

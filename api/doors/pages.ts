import type { PageContext } from '@trunkline/channel-sdk';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** A plugin's public page. What visitors would be shown of their conversations is not offered yet: their history is empty and no news comes. */
export async function servePage(keeper: Doorkeeper, request: Request, path: { readonly plugin: string; readonly channelKey: string }): Promise<Response> {
  const door = await keeper.find(path.channelKey);
  const page = door?.plugin.page;
  if (door === undefined || page === undefined || door.plugin.key !== path.plugin) return new Response(null, { status: 404 });
  return page.call(door.plugin, request, pageContext(keeper, door));
}

function pageContext(keeper: Doorkeeper, door: DoorChannel): PageContext<unknown> {
  return {
    ...door.context,
    deliver: (raw) => keeper.store(door, raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    available: async () => door.channel.info.enabled,
    pageUrl: `${keeper.publicUrl}/pages/${door.plugin.key}/${door.channel.key}`,
    allow: async () => true,
  };
}

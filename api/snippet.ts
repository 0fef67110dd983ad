import type { Plugin } from '@trunkline/channel-sdk';

/** What puts a channel into a page of the account's own, as HTML; null where its plugin has none, or is no longer there. */
export function snippetOf(
  plugins: readonly Plugin[],
  publicUrl: string,
  channel: { readonly key: string; readonly plugin: string; readonly settings: unknown },
): string | null {
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  return plugin?.snippet?.(channel.settings, `${publicUrl}/pages/${plugin.key}/${channel.key}`) || null;
}

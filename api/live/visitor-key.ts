import type { Identity } from '@trunkline/channel-sdk';

/** One string for a visitor on a channel. */
export function visitorKey(channelId: string, { kind, value }: Pick<Identity, 'kind' | 'value'>): string {
  return `${channelId} ${kind}:${value}`;
}

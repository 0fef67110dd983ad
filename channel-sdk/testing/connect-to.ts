import type { ChannelInfo } from '../index.ts';
import { providerContext } from './bench.ts';
import type { Subject } from './check.ts';
import { valueOf } from './outcome.ts';
import type { StandIn } from './samples.ts';

/** Connects the channel to this provider; what it keeps is then found by whoever asks for a context with the same provider. */
export async function connectTo({ plugin }: Subject, channel: ChannelInfo<unknown>, provider: StandIn): Promise<void> {
  const { connect, renew } = plugin;
  if (connect !== undefined) await valueOf('connect', () => connect(providerContext(channel, provider)));
  if (renew !== undefined) await valueOf('renew', () => renew(providerContext(channel, provider)));
}

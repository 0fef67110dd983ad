import type { ChannelInfo, ChannelState } from '../index.ts';
import { providerContext, quietContext, stateAt, type BenchContext } from './bench.ts';
import type { Subject } from './check.ts';
import { withProvider } from './checks/with-provider.ts';
import { valueOf } from './outcome.ts';
import type { StandIn } from './samples.ts';
import { createState, readOnly } from './state.ts';

/** Connects the channel to this provider; what it keeps is then found by whoever asks for a context with the same provider. */
export async function connectTo({ plugin }: Subject, channel: ChannelInfo<unknown>, provider: StandIn): Promise<void> {
  const { connect, renew } = plugin;
  if (connect !== undefined) await valueOf('connect', () => connect(providerContext(channel, provider)));
  if (renew !== undefined) await valueOf('renew', () => renew(providerContext(channel, provider)));
}

/** The context of `verify` for a channel that is connected: what it kept can be read there. */
export async function doorContext(subject: Subject, channel: ChannelInfo<unknown>): Promise<BenchContext> {
  return { ...quietContext(channel), state: readOnly(await keptBy(subject, channel)) };
}

/** What this channel keeps once it is connected and renewed; nothing, where the plugin does neither. */
async function keptBy(subject: Subject, channel: ChannelInfo<unknown>): Promise<ChannelState> {
  const { connect, renew } = subject.plugin;
  if (connect === undefined && renew === undefined) return createState();
  return withProvider(subject, channel.key === 'sample-1' ? 'valid' : 'second', async (provider) => stateAt(provider));
}

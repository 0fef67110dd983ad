import type { ChannelInfo, ChannelState } from '../index.ts';
import { quietContext, stateAt, type BenchContext } from './bench.ts';
import type { Subject } from './check.ts';
import { withProvider } from './checks/with-provider.ts';
import { createState, readOnly } from './state.ts';

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

import type { ChannelInfo } from '../../index.ts';
import { channelOf, type Which } from '../bench.ts';
import { fail, type Subject } from '../check.ts';
import type { OutboundSamples, StandIn } from '../samples.ts';

/** Runs with a new stand-in and the channel that is connected to it; ends the stand-in in any case. */
export async function withProvider<Value>(
  subject: Subject,
  which: Which,
  run: (provider: StandIn, channel: ChannelInfo<unknown>, outbound: OutboundSamples) => Promise<Value>,
): Promise<Value> {
  const { outbound } = subject.samples;
  if (outbound === undefined) return fail('there is no stand-in for the provider', 'give the sample outbound');
  const provider = await outbound.provider(which);
  try {
    return await run(provider, await channelOf(subject, which, provider.settings ?? subject.samples.settings[which]), outbound);
  } finally {
    await provider.close?.();
  }
}

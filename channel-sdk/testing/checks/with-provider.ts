import type { ChannelInfo } from '../../index.ts';
import { channelOf, type Which } from '../bench.ts';
import { connectTo } from '../connect-to.ts';
import { fail, must, type Subject } from '../check.ts';
import type { StandIn } from '../samples.ts';

/** What is done with a stand-in and its channel. */
type Doing<Value> = (provider: StandIn, channel: ChannelInfo<unknown>) => Promise<Value>;

/** Runs with a new stand-in and the channel that is connected to it; ends the stand-in in any case. */
export function withProvider<Value>(subject: Subject, which: Which, run: Doing<Value>): Promise<Value> {
  return withStranger(subject, which, async (provider, channel) => {
    await connectTo(subject, channel, provider);
    return run(provider, channel);
  });
}

/** The same before the channel is connected. */
export async function withStranger<Value>(subject: Subject, which: Which, run: Doing<Value>): Promise<Value> {
  const provider = await standInOf(subject, which);
  try {
    return await run(provider, await channelOf(subject, which, provider.settings ?? subject.samples.settings[which]));
  } finally {
    await provider.close?.();
  }
}

/** Whether nobody else is asked: the channel's own page shows what is sent. */
export function isOwnPage(provider: StandIn): boolean {
  return OWN_PAGES.has(provider);
}

/** Ends a check unless the provider took that many messages. What a page of the channel's own shows is handed to nobody, so nobody counts it. */
export function mustHaveTaken(provider: StandIn, count: number, what: string, mend: string): void {
  if (!isOwnPage(provider)) must(provider.taken() === count, what, mend);
}

/** Ends a check where the provider took it again, though the first try's outcome was open: that is how customers get everything twice. */
export function mustHaveSentOnce(provider: StandIn, what: string): void {
  const taken = provider.taken();
  must(taken <= 1, `${what}: the provider took it ${taken} times`, "ask once, and repeat nothing: whether to try again is the engine's decision");
}

/** What its stand-in shows, by a member the samples must give. */
export function shownBy<Name extends 'last' | 'subscriptions' | 'expire' | 'echo' | 'remember'>(
  provider: StandIn,
  name: Name,
  where: string,
): NonNullable<StandIn[Name]> {
  return provider[name] ?? fail(`the stand-in has no ${name}`, `give it ${where}`);
}

async function standInOf({ plugin, samples }: Subject, which: Which): Promise<StandIn> {
  const made = samples.outbound?.provider ?? samples.provider;
  if (made !== undefined) return made(which);
  if (plugin.capabilities.live === true) {
    const page: StandIn = { behave: () => undefined, taken: () => 0, onTaken: () => undefined };
    OWN_PAGES.add(page);
    return page;
  }
  return fail('there is no stand-in for the provider', 'give the sample outbound.provider, or provider where nothing is sent');
}

const OWN_PAGES = new WeakSet<StandIn>();

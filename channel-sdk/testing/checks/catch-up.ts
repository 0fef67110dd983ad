import type { ChannelInfo } from '../../index.ts';
import { providerContext, quietContext } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { createHost, type Host } from '../host.ts';
import { valueOf } from '../outcome.ts';
import { hasProvider, type StandIn } from '../samples.ts';
import { shownBy, withProvider } from './with-provider.ts';

const MOST_PAGES = 1_000;

/** History, and what was missed. */
export function catchUpChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { catchUp } = plugin;
  const [first] = samples.deliveries;
  if (catchUp === undefined || first === undefined || !hasProvider(samples)) return [];
  /** Up to the end; the cursor as it comes out of a database. */
  const follow = async (host: Host, from: string | undefined, provider: StandIn, channel: ChannelInfo<unknown>): Promise<string | undefined> => {
    let cursor = from;
    for (let pages = 0; pages < MOST_PAGES; pages += 1) {
      const asked = cursor;
      const page = await valueOf('catchUp', () => catchUp(asked, providerContext(channel, provider)));
      host.apply(page.events);
      for (const raw of page.deliveries ?? []) host.apply(await valueOf('parse of what catchUp gave', () => plugin.parse(raw, quietContext(channel))));
      cursor = page.cursor ?? cursor;
      if (!page.more) return cursor;
      must(cursor !== asked, 'catchUp says that there is more, and gives the same cursor again', 'give the cursor behind the last event');
    }
    return fail(`catchUp has no end after ${MOST_PAGES} pages`, 'give more: false at the end');
  };
  const remember = (provider: StandIn, from: number, to: number) => {
    const keep = shownBy(provider, 'remember', 'where the plugin has catchUp');
    for (let n = from; n < to; n += 1) keep(n);
  };
  return [
    {
      name: 'goes on from its cursor after a restart, and catches up on a gap',
      rule: 'PLUG-7',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          remember(provider, 0, 30);
          const host = createHost(subject, channel);
          const cursor = await follow(host, undefined, provider, channel);
          must(host.messages.length === 30, `${host.messages.length} of 30 messages of the history`, 'give every page, oldest first');
          must(cursor !== undefined, 'catchUp gives no cursor', 'give one, or the next start reads everything again');
          remember(provider, 30, 42);
          const after = createHost(subject, channel);
          await follow(after, cursor, provider, channel);
          must(after.messages.length === 12, `${after.messages.length} messages after the cursor, where 12 are new`, 'go on right behind the cursor');
        }),
    },
    {
      name: 'gives what is caught up the keys it has when it is delivered',
      rule: 'MODEL-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          remember(provider, 0, 5);
          const host = createHost(subject, channel);
          for (const n of [3, 4]) await host.take(await first.raw(n, channel));
          await follow(host, undefined, provider, channel);
          must(
            host.messages.length === 5,
            `${host.messages.length} messages of 5, of which 2 came twice`,
            'make dedupeKey the same way in parse and in catchUp',
          );
        }),
    },
  ];
}

import type { InboundEvent } from '../../index.ts';
import { channelOf, providerContext, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { valueOf } from '../outcome.ts';
import { mustHaveTaken, withProvider } from './with-provider.ts';

const AT_ONCE = 5;

/** One process serves all channels of a plugin. */
export function isolationChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { send } = plugin;
  const checks: ConformanceCheck[] = [
    {
      name: 'does not mix two channels that are parsed at once',
      rule: 'PLUG-11',
      async run() {
        const channels = [await channelOf(subject), await channelOf(subject, 'second')];
        const work: (() => Promise<readonly InboundEvent[]>)[] = [];
        for (const sample of samples.deliveries) {
          for (let n = 0; n < AT_ONCE; n += 1) {
            for (const channel of channels) {
              const raw = await sample.raw(n, channel);
              work.push(() => valueOf(`parse of "${sample.name}"`, () => plugin.parse(raw, quietContext(channel))));
            }
          }
        }
        const alone: (readonly InboundEvent[])[] = [];
        for (const run of work) alone.push(await run());
        const together = await Promise.all(work.map((run) => run()));
        must(same(alone, together), 'parse gives other events while another channel is parsed', 'keep nothing outside the function');
      },
    },
  ];
  const { outbound } = samples;
  if (send === undefined || outbound === undefined) return checks;
  checks.push({
    name: 'does not mix two channels that send at once',
    rule: 'PLUG-11',
    run: () =>
      withProvider(subject, 'valid', (one, first) =>
        withProvider(subject, 'second', async (two, second) => {
          const messages = Array.from({ length: AT_ONCE }, (_, n) => outbound.message(n));
          await Promise.all(
            messages.flatMap((message) => [
              valueOf('send', () => send(message, providerContext(first, one))),
              valueOf('send by the second channel', () => send({ ...message, id: `${message.id}-b` }, providerContext(second, two))),
            ]),
          );
          for (const provider of [one, two])
            mustHaveTaken(
              provider,
              AT_ONCE,
              `of ${AT_ONCE} messages each, one provider took ${one.taken()}, the other ${two.taken()}`,
              'take everything from context.channel, each time',
            );
        }),
      ),
  });
  return checks;
}

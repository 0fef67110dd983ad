import type { ChannelInfo, InboundEvent, RawDelivery } from '../../index.ts';
import { channelOf, quietContext, SAMPLE_NOW } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { difference, same } from '../compare.ts';
import { eventProblems } from '../event-problems.ts';
import { createHost } from '../host.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import type { ExpectedEvent } from '../samples.ts';

const MANY = 1_000;
const YEAR = 365 * 24 * 3_600_000;

/** What becomes of deliveries that are as the provider promises. */
export function deliveryChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const [first] = samples.deliveries;
  if (first === undefined) return [];
  const parsed = (raw: RawDelivery, channel: ChannelInfo<unknown>, what: string, context = quietContext(channel)) =>
    valueOf(`parse of ${what}`, () => plugin.parse(raw, context), samples.parseMillis);
  const gives = (events: readonly InboundEvent[], expected: readonly ExpectedEvent[], what: string) => {
    const problems = eventProblems(events, plugin.capabilities);
    must(problems.length === 0, `${what}: ${problems.join('; ')}`, 'give events as the contract describes them');
    const where = difference(expected, events);
    must(where === undefined, `${what}: ${where}`, 'mend parse, or what the sample says it gives');
  };
  return [
    {
      name: 'gives the events its samples name',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.deliveries)
          gives(await parsed(await sample.raw(0, channel), channel, `"${sample.name}"`), sample.gives(0), `"${sample.name}"`);
      },
    },
    {
      name: 'parses by bytes and settings alone',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.deliveries) {
          const raw = await sample.raw(0, channel);
          const contexts = [quietContext(channel), quietContext(channel), quietContext(channel, SAMPLE_NOW + YEAR)] as const;
          const [once, again, later] = [
            await parsed(raw, channel, `"${sample.name}"`, contexts[0]),
            await parsed({ ...raw, body: Uint8Array.from(raw.body) }, channel, `"${sample.name}"`, contexts[1]),
            await parsed(raw, channel, `"${sample.name}"`, contexts[2]),
          ];
          must(same(once, again), `"${sample.name}" gives other events the second time`, 'keep nothing between calls, and take no random ids');
          must(same(once, later), `"${sample.name}" gives other events a year later`, 'take times from the delivery');
          must(
            contexts.every((context) => context.calls() === 0),
            `"${sample.name}": parse calls somebody`,
            'fetch in fetchAttachment or catchUp',
          );
        }
      },
    },
    {
      name: 'takes what it does not know for nothing',
      rule: 'PLUG-10',
      async run() {
        const channel = await channelOf(subject);
        gives(await parsed(await samples.unknownFields(channel), channel, 'unknownFields'), first.gives(0), 'unknownFields');
      },
    },
    {
      name: 'reads what is left where something is missing',
      rule: 'PLUG-10',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.missingFields) {
          const what = `missingFields "${sample.name}"`;
          const raw = await sample.raw(channel);
          const outcome = await outcomeOf(`parse of ${what}`, () => plugin.parse(raw, quietContext(channel)), samples.parseMillis);
          const code = outcome.failure?.code;
          if (sample.gives === 'Malformed')
            must(code === 'Malformed', `${what}: ${code ?? 'taken'}, not Malformed`, 'throw Malformed with the place that is wrong');
          else if (outcome.failure !== undefined) fail(`${what}: ${outcome.error.message}`, 'take in what is there');
          else gives(outcome.value, sample.gives, what);
        }
      },
    },
    {
      name: 'makes one message of the same delivery 20 times at once',
      rule: 'MODEL-4',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.deliveries) {
          const raw = await sample.raw(1, channel);
          const host = createHost(subject, channel);
          await Promise.all(Array.from({ length: 20 }, () => host.take(raw)));
          const expected = sample.gives(1).filter(({ type }) => type === 'message').length;
          const calls = sample.gives(1).some(({ type }) => type === 'call') ? 1 : 0;
          must(
            host.messages.length === expected && host.calls.size === calls,
            `"${sample.name}" 20 times at once: ${host.messages.length} messages, ${host.calls.size} calls`,
            'make dedupeKey of what the provider calls the event',
          );
        }
      },
    },
    {
      name: 'keeps every message of a batch of 1,000',
      rule: 'MODEL-4',
      async run() {
        const channel = await channelOf(subject);
        const host = createHost(subject, channel);
        if (samples.batch !== undefined) await host.take(samples.batch(MANY, channel));
        else for (let n = 0; n < MANY; n += 1) await host.take(await first.raw(n, channel));
        const ofCalls = first.gives(0).some(({ type }) => type === 'call');
        const wanted = MANY * (ofCalls ? 1 : first.gives(0).filter(({ type }) => type === 'message').length);
        const found = ofCalls ? host.calls.size : host.messages.length;
        must(found === wanted, `${found} of ${wanted} ${ofCalls ? 'calls' : 'messages'} are left`, 'give every event a dedupeKey of its own');
      },
    },
    {
      name: 'gives the same in whatever order deliveries come',
      rule: 'MODEL-4',
      async run() {
        const channel = await channelOf(subject);
        const jobs = samples.deliveries.flatMap((sample) => Array.from({ length: 8 }, (_, n) => ({ sample, n })));
        const read = async (order: typeof jobs) => {
          const found = new Map<string, readonly InboundEvent[]>();
          for (const { sample, n } of order) {
            found.set(`${sample.name} ${n}`, await parsed(await sample.raw(n, channel), channel, `"${sample.name}" in another order`));
          }
          return found;
        };
        const [forwards, backwards] = [await read(jobs), await read(jobs.toReversed())];
        for (const [name, events] of forwards)
          must(same(events, backwards.get(name)), `"${name}" is read otherwise in another order`, 'keep nothing between calls of parse');
        const keys = [...forwards.values()].flatMap((events) => events.map(({ dedupeKey }) => dedupeKey));
        must(
          new Set(keys).size === keys.length,
          'different deliveries share a dedupeKey',
          'make dedupeKey of the kind of event and what the provider calls it',
        );
      },
    },
  ];
}

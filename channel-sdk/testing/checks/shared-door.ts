import { channelOf, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { difference, same } from '../compare.ts';
import { outcomeOf, valueOf } from '../outcome.ts';

/** One webhook for all accounts of an app. */
export function sharedDoorChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { sharedDoor } = plugin;
  const { shared } = samples;
  const [first] = samples.deliveries;
  if (sharedDoor === undefined || shared === undefined || first === undefined) return [];
  return [
    {
      name: 'tells at the shared door which channels a delivery speaks of',
      rule: 'PLUG-4',
      async run() {
        const [one, two] = [await channelOf(subject), await channelOf(subject, 'second')];
        const both = shared(one, two);
        const found = await valueOf('sharedDoor', () => sharedDoor(both));
        const right = found !== 'any' && [one, two].every(({ address }) => found.includes(address)) && new Set(found).size === 2;
        must(right, 'sharedDoor does not name both channels of samples.shared, and those alone', 'give the addresses as address(settings) gives them');
        must(same(found, sharedDoor(both)), 'sharedDoor gives another answer the second time', 'make it of the delivery alone');
        for (const channel of [one, two]) {
          for (const sample of samples.deliveries) {
            const raw = await sample.raw(0, channel);
            const named = await valueOf('sharedDoor', () => sharedDoor(raw));
            must(
              same(named, [channel.address]),
              `sharedDoor does not find the channel of "${sample.name}"`,
              'name each connected address the delivery speaks of',
            );
          }
        }
        for (const handshake of samples.webhook?.handshakes ?? []) {
          const named = await valueOf('sharedDoor', () => sharedDoor(handshake.raw(one)));
          must(named === 'any' || named.includes(one.address), `sharedDoor lets nobody answer the handshake "${handshake.name}"`, "answer 'any'");
        }
        for (const text of ['', 'null', '[]', '{"events":[null,0,{}]}', '\u0000', '{"events":{}}', 'a'.repeat(1_000_000)]) {
          const outcome = await outcomeOf('sharedDoor of garbage', () => sharedDoor({ ...both, body: new TextEncoder().encode(text) }));
          must(outcome.failure === undefined || outcome.failure.code === 'Malformed', 'sharedDoor of garbage fails', 'name no channel, or throw Malformed');
        }
      },
    },
    {
      name: 'parses only its own part of a delivery to several channels',
      rule: 'PLUG-4',
      async run() {
        const channels = [await channelOf(subject), await channelOf(subject, 'second')] as const;
        const both = shared(...channels);
        for (const channel of channels) {
          const events = await valueOf('parse of samples.shared', () => plugin.parse(both, quietContext(channel)));
          const where = difference(first.gives(0), events);
          must(
            where === undefined,
            `its part of a delivery to two channels: ${where ?? ''}`,
            'leave out what is of another address than context.channel.address',
          );
        }
      },
    },
  ];
}

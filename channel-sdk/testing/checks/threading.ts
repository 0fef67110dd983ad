import type { InboundMessage } from '../../index.ts';
import { channelOf, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { valueOf } from '../outcome.ts';

/** How many messages of each kind. */
const SOME = 4;

/** Which conversation a message leads to, where the plugin says that each contact has one. */
export function threadingChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const ofMessages = samples.deliveries.some((sample) => sample.gives(0).some(({ type, direction }) => type === 'message' && direction !== 'echo'));
  if (plugin.capabilities.threading !== 'participant' || !ofMessages) return [];
  return [
    {
      name: 'leads all messages of a contact to one conversation, and nobody else to it',
      rule: 'PLUG-3',
      async run() {
        const kinds = await messagesOf(subject);
        for (const [name, messages] of kinds) {
          for (const [one, two] of pairsOf(messages)) {
            if (contactOf(one) === contactOf(two)) continue;
            must(!joins(one, two), `"${name}": messages of two contacts join one conversation`, 'make the keys of thread of what tells contacts apart');
          }
        }
        let shared = 0;
        for (const [one, two] of pairsOf([...kinds.values()].flat())) {
          if (contactOf(one) !== contactOf(two) || one.providerMessageId === two.providerMessageId) continue;
          shared += 1;
          const where = 'give the same key of the contact in thread.joins and in thread.keys of each message';
          must(joins(one, two), 'two messages of one contact do not join one conversation', where);
        }
        must(
          shared > 0,
          'no contact of the samples writes twice',
          'give deliveries a second kind of message, whose n is of the same contact as n of the first',
        );
      },
    },
  ];
}

/** Messages that came in, by the kind of delivery; without those whose sender can not be told. */
async function messagesOf({ plugin, samples }: Subject): Promise<ReadonlyMap<string, readonly InboundMessage[]>> {
  const channel = await channelOf({ plugin, samples });
  const found = new Map<string, readonly InboundMessage[]>();
  const read = async (name: string, rawOf: (n: number) => ReturnType<(typeof samples.deliveries)[number]['raw']>) => {
    const messages: InboundMessage[] = [];
    for (let n = 0; n < SOME; n += 1) {
      const raw = await rawOf(n);
      const events = await valueOf(`parse of "${name}"`, () => plugin.parse(raw, quietContext(channel)), samples.parseMillis);
      messages.push(...events.filter((event) => event.type === 'message').filter(({ direction, contact }) => direction === 'inbound' && contact !== null));
    }
    found.set(name, messages);
  };
  for (const { name, raw } of samples.deliveries) await read(name, (n) => raw(n, channel));
  const choice = samples.outbound?.choice;
  if (choice !== undefined) await read('outbound.choice', (n) => choice('any', n, channel));
  return found;
}

function pairsOf(messages: readonly InboundMessage[]): (readonly [InboundMessage, InboundMessage])[] {
  return messages.flatMap((one) => messages.filter((two) => two !== one).map((two) => [one, two] as const));
}

function contactOf({ contact }: InboundMessage): string {
  return `${contact?.kind ?? ''}:${contact?.value ?? ''}`;
}

/** Whether the second goes where the first has gone. */
function joins({ thread: { keys } }: InboundMessage, { thread: { proven = [], joins: own } }: InboundMessage): boolean {
  return [...proven, ...own].some((key) => keys.includes(key));
}

import type { OutboundMessage } from '../../index.ts';
import { channelOf, providerContext, quietContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import type { OutboundSamples, StandIn, TakenMessage } from '../samples.ts';
import { mustHaveTaken, shownBy, withProvider } from './with-provider.ts';

type QuickReplies = NonNullable<OutboundMessage['quickReplies']>;

/** Choices under a message, and the question for consent. */
export function choiceChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { send, capabilities } = plugin;
  const { outbound } = samples;
  if (send === undefined || outbound === undefined) return [];
  const checks: ConformanceCheck[] = [];
  const limits = capabilities.quickReplies;
  if (limits !== undefined && outbound.provider !== undefined) {
    checks.push({
      name: 'sends quick replies up to the declared limits, and says or refuses what is more',
      rule: 'CHAT-5',
      async run() {
        const { maxCount, maxLength } = limits;
        await shownAsChoices(subject, outbound, choices(maxCount, maxLength), {});
        const over = [
          ['one quick reply too many', choices(maxCount + 1, Math.min(maxLength, 12))],
          ['a label over the limit', choices(1, maxLength + 1)],
        ] as const;
        for (const [what, quickReplies] of over) {
          await withProvider(subject, 'valid', async (provider, channel) => {
            const message = { ...outbound.message(0), quickReplies };
            const { failure } = await outcomeOf(`send of ${what}`, () => send(message, providerContext(channel, provider)));
            if (failure !== undefined) {
              must(failure.code === 'Rejected', `send of ${what}: ${failure.code}, not Rejected`, 'throw Rejected before anything goes out');
              return mustHaveTaken(provider, 0, `${what} went out all the same`, 'throw Rejected before anything goes out');
            }
            const { text } = lastOf(provider);
            const said = quickReplies.every(({ label }) => text.includes(label));
            must(said, `${what}: the contact does not learn of it`, 'write the labels out in the text, or throw Rejected');
          });
        }
      },
    });
  }
  if (limits !== undefined && outbound.choice !== undefined) {
    const { choice } = outbound;
    checks.push({
      name: 'gives back which quick reply was chosen',
      rule: 'CHAT-5',
      async run() {
        const channel = await channelOf(subject);
        for (const wanted of ['talk-to-a-person', 'step:2/"ü"', '0']) {
          const raw = await choice(wanted, 1, channel);
          const events = await valueOf('parse of outbound.choice', () => plugin.parse(raw, quietContext(channel)));
          const [message] = events.filter((event) => event.type === 'message');
          must(message?.choice === wanted, 'parse does not say which quick reply was chosen', 'give it as choice, letter for letter as send was given it');
          must((message?.text ?? '') !== '', 'what was chosen has no text', 'give the label, or what the contact saw, as text');
        }
      },
    });
  }
  if (capabilities.consent === true && outbound.provider !== undefined) {
    checks.push({
      name: 'asks for consent with a yes and a no',
      rule: 'FB-4',
      run: () => shownAsChoices(subject, outbound, [choiceOf('Yes', 'yes'), choiceOf('No', 'no')], { kind: 'consent', author: null, sender: 'automation' }),
    });
  }
  return checks;
}

/** Sends a message with these, and looks at what the provider got. */
function shownAsChoices(subject: Subject, outbound: OutboundSamples, quickReplies: QuickReplies, more: Partial<OutboundMessage>): Promise<void> {
  const { send } = subject.plugin;
  return withProvider(subject, 'valid', async (provider, channel) => {
    const message: OutboundMessage = { ...outbound.message(0), ...more, quickReplies };
    await valueOf('send of quick replies', () => send?.(message, providerContext(channel, provider)));
    mustHaveTaken(provider, 1, 'a message with quick replies did not go out', 'send what the capabilities allow');
    const last = lastOf(provider);
    must(last.text.includes(message.text), 'the text above the quick replies did not go out', 'send the text too');
    must(same(last.quickReplies, quickReplies), 'the provider got other quick replies', 'hand over label and choice of each, in their order');
  });
}

function lastOf(provider: StandIn): TakenMessage {
  return shownBy(provider, 'last', 'where quickReplies or consent is declared')() ?? { to: '', text: '' };
}

function choices(count: number, length: number): QuickReplies {
  return Array.from({ length: count }, (_, index) => choiceOf(`${index} `.padEnd(length, 'a').slice(0, length), `choice-${index}`));
}

function choiceOf(label: string, choice: string): QuickReplies[number] {
  return { label, choice };
}

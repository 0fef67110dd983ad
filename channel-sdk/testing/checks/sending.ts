import type { FailureCode, OutboundMessage } from '../../index.ts';
import { providerContext, quietContext, thenAt } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { createHost } from '../host.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { PROVIDER_FAULTS, type OutboundSamples, type ProviderFault, type StandIn } from '../samples.ts';
import { isOwnPage, mustHaveSentOnce, mustHaveTaken, shownBy, withProvider } from './with-provider.ts';

/** What each fault of a provider is called. */
export const CODES: Readonly<Record<ProviderFault, FailureCode>> = {
  refused: 'Unavailable',
  'rate-limit': 'RateLimited',
  unavailable: 'Unavailable',
  reject: 'Rejected',
  disconnect: 'Disconnected',
  garbage: 'MaybeSent',
  huge: 'MaybeSent',
  silence: 'MaybeSent',
};

/** Sending, and what may go wrong at it. */
export function sendingChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { send, findSent, reserve } = plugin;
  const { outbound } = samples;
  if (send === undefined || outbound === undefined) return [];
  // Nobody else is asked where the channel's own page shows what is sent.
  const faults = outbound.provider === undefined ? [] : PROVIDER_FAULTS.filter((fault) => outbound.lacks?.[fault] === undefined);
  const checks: ConformanceCheck[] = [
    {
      name: 'sends a message once and gives its ids',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const message = outbound.message(0);
          const receipt = await valueOf('send', () => send(message, providerContext(channel, provider)));
          mustHaveTaken(provider, 1, `the provider took ${provider.taken()} messages`, 'send once, and repeat nothing: the engine decides on that');
          must(receipt.providerMessageId !== '', 'the receipt has no providerMessageId', "give the provider's id of the message");
          const other = await valueOf('send', () => send(outbound.message(1), providerContext(channel, provider)));
          must(receipt.providerMessageId !== other.providerMessageId, 'two messages have one providerMessageId', "give the provider's id of the message");
        }),
    },
    {
      name: 'sends what was written to whom it was written to',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          for (const n of [0, 1]) {
            const message = outbound.message(n);
            await valueOf('send', () => send(message, providerContext(channel, provider)));
            mustHaveUnderstood(provider, message);
          }
        }),
    },
    ...faults.map((fault): ConformanceCheck => {
      const code = CODES[fault];
      return {
        name: `calls the provider's fault "${fault}" ${code}`,
        rule: code === 'MaybeSent' ? 'CH-5' : 'PLUG-6',
        run: () =>
          withProvider(subject, 'valid', async (provider, channel) => {
            provider.behave(fault);
            const outcome = await outcomeOf(`send at "${fault}"`, () => send(outbound.message(0), providerContext(channel, provider, thenAt(fault, 'leave'))));
            mustHaveSentOnce(provider, `send at "${fault}"`);
            if (outcome.failure === undefined) return fail(`send at "${fault}" gives a receipt`, `throw ${code}`);
            const { failure } = outcome;
            must(failure.code === code, `send at "${fault}" is ${failure.code}, not ${code}`, advice(code));
            if (failure.code === 'RateLimited')
              must(failure.retryAfterSeconds > 0, 'retryAfterSeconds is not above 0', 'give the seconds the provider names, or a fixed number');
          }),
      };
    }),
  ];
  if (plugin.capabilities.outbound === 'start') {
    checks.push({
      name: 'sends the first message of a conversation',
      rule: 'PLUG-3',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          for (const n of [0, 1]) {
            const message = outbound.start?.(n) ?? firstOf(subject, outbound, n);
            await valueOf('send of a first message (kind "start")', () => send(message, providerContext(channel, provider)));
            mustHaveTaken(provider, n + 1, 'the first message of a conversation did not go out', 'send it: capabilities.outbound is "start"');
            mustHaveUnderstood(provider, message);
          }
        }),
    });
  }
  if (findSent !== undefined && faults.includes('silence')) {
    checks.push({
      name: 'finds out what became of a send without an answer',
      rule: 'CH-5',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const never = await valueOf('findSent', () => findSent(outbound.message(1), providerContext(channel, provider)));
          must(never === undefined, 'findSent finds a message that was never sent', 'ask for this message, by its id');
          provider.behave('silence');
          await outcomeOf('send', () => send(outbound.message(0), providerContext(channel, provider, 'leave')));
          provider.behave('well');
          const found = await valueOf('findSent', () => findSent(outbound.message(0), providerContext(channel, provider)));
          must(found !== undefined, 'findSent does not find a message the provider took', 'ask for it by OutboundMessage.id, or by what reserve gave');
          mustHaveTaken(provider, 1, 'findSent sends', 'ask only');
        }),
    });
  }
  if (reserve !== undefined) {
    checks.push({
      name: 'reserves the same ids at every try, and sends under them',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const message = outbound.message(0);
          const quiet = quietContext(channel);
          const ids = reserve(message, quiet);
          must(
            same(ids, reserve({ ...message }, quietContext(channel, Date.UTC(2030, 0)))),
            'reserve gives other ids the second time',
            'make them of message.id and context.sign',
          );
          must(
            ids.providerMessageId !== reserve(outbound.message(1), quiet).providerMessageId,
            'reserve gives two messages one id',
            'make them of message.id and context.sign',
          );
          must(quiet.calls() === 0, 'reserve calls somebody', 'make the ids of the message alone');
          const receipt = await valueOf('send', () => send(message, providerContext(channel, provider)));
          const kept = receipt.providerMessageId === ids.providerMessageId && ids.keys.every((key) => receipt.keys.includes(key));
          must(kept, 'send gives other ids than reserve did', 'send under the reserved ids, and add what the provider gives beside them');
        }),
    });
  }
  if (reserve !== undefined && outbound.answer !== undefined) {
    const { answer } = outbound;
    checks.push({
      name: 'leads answers home by the reserved keys',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (_provider, channel) => {
          const message = outbound.message(0);
          const ids = reserve(message, quietContext(channel));
          const raw = answer(ids, message, channel);
          const events = await valueOf('parse of outbound.answer', () => plugin.parse(raw, quietContext(channel)));
          const home = events.some(
            (event) => event.type === 'message' && [...(event.thread.proven ?? []), ...event.thread.joins].some((key) => ids.keys.includes(key)),
          );
          must(home, 'the answer joins by none of the reserved keys', 'name in thread.joins or thread.proven what reserve gave as keys');
        }),
    });
  }
  if (outbound.echoes) {
    checks.push({
      name: 'knows its own message where the echo comes before the answer',
      rule: 'FB-7',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const echo = shownBy(provider, 'echo', 'where outbound.echoes is true');
          const host = createHost(subject, channel);
          provider.onTaken(() => host.take(echo()));
          const sent = await host.send(outbound.message(0), providerContext(channel, provider));
          must(sent.failure === undefined, 'send failed', 'mend send first');
          await host.take(echo());
          must(
            host.messages.length === 1,
            `one message sent, ${host.messages.length} there`,
            'give direction "echo", and outboundId or the providerMessageId of the receipt',
          );
        }),
    });
  }
  return checks;
}

/** The same contact is written to, who has never written here. */
function firstOf({ plugin }: Subject, { message, template }: OutboundSamples, n: number): OutboundMessage {
  const { lastInboundAt: _never, ...first } = message(n);
  const { windows, outboundContent } = plugin.capabilities;
  const onlyTemplates = template !== undefined && windows.some(({ sender, afterwards }) => sender === first.sender && afterwards === 'template');
  const subject = outboundContent.subject ? (first.subject ?? 'A question') : null;
  return { ...first, kind: 'start', subject, precedingIds: [], inReplyTo: null, ...(onlyTemplates ? { template } : {}) };
}

/** Ends a check unless the provider was given this text for this recipient. Space and line ends are the plugin's to set. */
function mustHaveUnderstood(provider: StandIn, message: OutboundMessage): void {
  if (isOwnPage(provider)) return;
  const last = shownBy(provider, 'last', 'so that it shows what went out')();
  must(last?.to === message.to.value, 'the provider got another recipient', 'send to message.to; the stand-in writes it as message.to.value');
  const wrapped = (text: string) => text.replace(/\s+/g, ' ').trim();
  const said = wrapped(last?.text ?? '').includes(wrapped(message.text));
  must(message.template !== undefined || said, 'the provider got another text', 'send message.text; the stand-in undoes how the provider writes it');
}

function advice(code: FailureCode): string {
  if (code === 'MaybeSent')
    return 'once the request is out, an answer that is none or that can not be read leaves the outcome open; nothing else may be retried safely';
  if (code === 'Unavailable') return 'a connection that was not made (context.fetch throws Unavailable), or a provider that took nothing: throw Unavailable';
  return `read the provider's error and throw ${code}`;
}

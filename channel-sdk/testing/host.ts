import type { ChannelInfo, InboundEvent, InboundMessage, OutboundMessage, RawDelivery, SendReceipt } from '../index.ts';
import { quietContext, type BenchContext } from './bench.ts';
import type { Subject } from './check.ts';
import { doorContext } from './connected.ts';
import { outcomeOf, valueOf, type Outcome } from './outcome.ts';

/** A message as the host keeps it: ours once it was sent, whoever told of it first. */
interface HostMessage {
  readonly providerIds: Set<string>;
  readonly outboundId?: string;
}

/** The little of the engine that a plugin's answers must fit: dedupe keys, ids, echoes. In memory. */
export interface Host {
  readonly messages: HostMessage[];
  /** Ids of calls: each has several events. */
  readonly calls: ReadonlySet<string>;
  /** As at the door: verified if it is a webhook, parsed, taken in. */
  take(raw: RawDelivery): Promise<void>;
  apply(events: readonly InboundEvent[]): void;
  send(message: OutboundMessage, context: BenchContext): Promise<Outcome<SendReceipt>>;
}

export function createHost(subject: Subject, channel: ChannelInfo<unknown>): Host {
  const { plugin, samples } = subject;
  const seen = new Set<string>();
  let door = async () => {
    const context = await doorContext(subject, channel);
    door = async () => context;
    return context;
  };
  const messages: HostMessage[] = [];
  const calls = new Set<string>();
  const apply = (events: readonly InboundEvent[]) => {
    for (const event of events) {
      if (seen.has(event.dedupeKey)) continue;
      seen.add(event.dedupeKey);
      if (event.type === 'message') place(event);
      else if (event.type === 'call') calls.add(event.providerMessageId);
    }
  };
  const place = (event: InboundMessage) => {
    const known = event.direction === 'echo' ? messages.find((one) => isOf(one, event)) : undefined;
    if (known === undefined)
      messages.push({ providerIds: new Set([event.providerMessageId]), ...(event.outboundId === undefined ? {} : { outboundId: event.outboundId }) });
    else known.providerIds.add(event.providerMessageId);
  };
  return {
    messages,
    calls,
    apply,
    async take(raw) {
      const signed = samples.webhook?.sign(raw, channel) ?? raw;
      if (plugin.verify !== undefined) {
        const { verify } = plugin;
        const verdict = await valueOf('verify of a signed sample', async () => verify(signed, await door()));
        if (!verdict.store) return;
      }
      apply(await valueOf('parse of a sample', () => plugin.parse(signed, quietContext(channel)), samples.parseMillis));
    },
    async send(message, context) {
      const ids = plugin.reserve?.(message, context);
      messages.push({ providerIds: new Set(ids === undefined ? [] : [ids.providerMessageId]), outboundId: message.id });
      const sent = await outcomeOf('send', async () => plugin.send?.(message, context));
      if (sent.failure !== undefined) return sent;
      if (sent.value === undefined) throw new TypeError('a plugin that sends nothing was asked to');
      settle(message.id, sent.value.providerMessageId);
      return { value: sent.value };
    },
  };

  /** The provider's answer: an echo that came first, under the same id, was this message. */
  function settle(outboundId: string, providerMessageId: string): void {
    const ours = messages.find((one) => one.outboundId === outboundId);
    ours?.providerIds.add(providerMessageId);
    const earlier = messages.findIndex((one) => one !== ours && one.providerIds.has(providerMessageId));
    if (earlier >= 0) messages.splice(earlier, 1);
  }
}

function isOf(message: HostMessage, event: InboundMessage): boolean {
  return message.providerIds.has(event.providerMessageId) || (event.outboundId !== undefined && message.outboundId === event.outboundId);
}

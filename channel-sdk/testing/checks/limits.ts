import type { OutboundAttachment, OutboundMessage } from '../../index.ts';
import { providerContext, SAMPLE_NOW } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { mustHaveTaken, withProvider } from './with-provider.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** What the plugin declares that it does not send. */
export function limitChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { send, capabilities } = plugin;
  const { outbound } = samples;
  if (send === undefined || outbound === undefined) return [];
  const refused = (message: OutboundMessage, code: 'Rejected' | 'OutsideWindow', what: string) =>
    withProvider(subject, 'valid', async (provider, channel) => {
      const outcome = await outcomeOf(`send of ${what}`, () => send(message, providerContext(channel, provider)));
      must(outcome.failure?.code === code, `send of ${what}: ${outcome.failure?.code ?? 'a receipt'}, not ${code}`, `throw ${code} before anything goes out`);
      mustHaveTaken(provider, 0, `${what} went out all the same`, `throw ${code} before anything goes out`);
      return outcome.failure;
    });
  const taken = (message: OutboundMessage, what: string) =>
    withProvider(subject, 'valid', async (provider, channel) => {
      await valueOf(`send of ${what}`, () => send(message, providerContext(channel, provider)));
      mustHaveTaken(provider, 1, `${what} did not go out`, 'send what the capabilities allow');
    });
  const checks: ConformanceCheck[] = [];
  const { attachments: limits } = capabilities.outboundContent;
  if (limits !== null) {
    checks.push({
      name: 'sends attachments up to the declared limits and refuses more',
      rule: 'CH-6',
      async run() {
        const type = limits.types === '*' ? 'text/plain' : (limits.types[0] ?? 'text/plain');
        const message = outbound.message(0);
        await taken({ ...message, attachments: [file(2, type)] }, 'one attachment');
        await refused({ ...message, attachments: Array.from({ length: limits.maxCount + 1 }, () => file(1, type)) }, 'Rejected', 'one attachment too many');
        await refused({ ...message, attachments: [file(limits.maxBytes + 1, type)] }, 'Rejected', 'an attachment over the limit');
        const total = limits.maxTotalBytes;
        if (total !== undefined && total < limits.maxBytes * limits.maxCount) {
          const size = Math.ceil((total + 1) / limits.maxCount);
          await refused(
            { ...message, attachments: Array.from({ length: limits.maxCount }, () => file(size, type)) },
            'Rejected',
            'attachments over the limit together',
          );
        }
        if (limits.types !== '*')
          await refused({ ...message, attachments: [file(1, 'application/x-none-of-them')] }, 'Rejected', 'an attachment of another type');
      },
    });
  }
  if (capabilities.outboundContent.maxTextLength !== null) {
    const longest = capabilities.outboundContent.maxTextLength;
    checks.push({
      name: 'sends texts up to the declared length and refuses longer ones',
      rule: 'PLUG-3',
      async run() {
        await taken({ ...outbound.message(0), text: 'a'.repeat(longest) }, 'the longest text');
        await refused({ ...outbound.message(0), text: 'a'.repeat(longest + 1) }, 'Rejected', 'a text over the limit');
      },
    });
  }
  const senders = [...new Set(capabilities.windows.map(({ sender }) => sender))];
  for (const sender of senders) {
    const windows = capabilities.windows.filter((window) => window.sender === sender).toSorted((a, b) => b.hours - a.hours);
    const [widest] = windows;
    if (widest === undefined) continue;
    checks.push({
      name: `keeps the window of ${widest.hours} hours of the sender "${sender}"`,
      rule: 'PLUG-3',
      async run() {
        const written = (before: number): OutboundMessage => ({ ...outbound.message(0), sender, lastInboundAt: new Date(SAMPLE_NOW - before).toISOString() });
        const closed = widest.hours * HOUR;
        await taken(written(closed - MINUTE), 'a message a minute before the window closes');
        const failure = await refused(written(closed + MINUTE), 'OutsideWindow', 'a message a minute after the window closed');
        const at = failure?.code === 'OutsideWindow' ? Date.parse(failure.closedAt) : Number.NaN;
        must(at === SAMPLE_NOW - MINUTE, 'closedAt is not when the window closed', 'give lastInboundAt plus the hours of the window, ISO 8601');
        if (widest.afterwards === 'template') {
          const { template } = outbound;
          if (template === undefined) return fail('outbound.template is missing', 'give a template the provider knows');
          await taken({ ...written(closed + MINUTE), template }, 'a template after the window closed');
        }
      },
    });
  }
  return checks;
}

function file(bytes: number, type: string): OutboundAttachment {
  return { fileName: 'file.txt', type, bytes, read: async () => new Uint8Array(bytes).fill(0x61) };
}

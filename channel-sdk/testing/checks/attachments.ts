import type { AttachmentRef } from '../../index.ts';
import { channelOf, providerContext, quietContext } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { withProvider } from './with-provider.ts';

const NO_REFS = ['', '99999', '../../etc/passwd', 'x'.repeat(10_000)];

/** Attachments that came in. */
export function attachmentChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { extractAttachments, fetchAttachment } = plugin;
  if (extractAttachments === undefined && fetchAttachment === undefined) return [];
  return [
    {
      name: 'gives attachments as they were sent',
      rule: 'PLUG-4',
      async run() {
        for (const sample of samples.deliveries) {
          const wanted = sample.files?.(0);
          if (wanted === undefined) continue;
          const channel = await channelOf(subject);
          const raw = await sample.raw(0, channel);
          const events = await valueOf(`parse of "${sample.name}"`, () => plugin.parse(raw, quietContext(channel)));
          const refs = events.flatMap((event) =>
            event.type === 'message' ? event.attachments : event.type === 'call' && event.recording !== undefined ? [event.recording] : [],
          );
          const lost = (n: number) => fail(`"${sample.name}": attachment ${n} is not what was sent`, 'give the bytes as they came, in the order of refs');
          must(refs.length === wanted.length, `"${sample.name}": ${refs.length} attachments in place of ${wanted.length}`, 'name each in attachments');
          if (extractAttachments !== undefined) {
            const found = await valueOf('extractAttachments', () => extractAttachments(refs, raw, quietContext(channel)));
            for (const [n, bytes] of wanted.entries()) if (!equal(found[n] ?? null, bytes)) lost(n);
            const none = await valueOf('extractAttachments of refs that are none', () => extractAttachments(NO_REFS.map(refOf), raw, quietContext(channel)));
            must(none.length === NO_REFS.length && none.every((one) => one === null), 'refs that are none give bytes', 'give null for each');
          } else if (fetchAttachment !== undefined) {
            await withProvider(subject, 'valid', async (provider, connected) => {
              for (const [n, bytes] of wanted.entries()) {
                const ref = refs[n];
                if (ref === undefined) return lost(n);
                const found = await valueOf('fetchAttachment', () => fetchAttachment(ref, providerContext(connected, provider), raw));
                if (!equal(found, bytes)) lost(n);
              }
              for (const ref of NO_REFS) {
                const outcome = await outcomeOf('fetchAttachment of a ref that is none', () =>
                  fetchAttachment(refOf(ref), providerContext(connected, provider), raw),
                );
                must(outcome.failure !== undefined, 'a ref that is none gives bytes', 'throw Rejected where the provider knows no such file');
              }
            });
          }
        }
      },
    },
  ];
}

function refOf(ref: string): AttachmentRef {
  return { ref, fileName: 'none', type: 'text/plain' };
}

function equal(left: Uint8Array | null, right: Uint8Array): boolean {
  return left !== null && Buffer.compare(left, right) === 0;
}

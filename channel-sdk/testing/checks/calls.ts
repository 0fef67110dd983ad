import type { CallInstruction } from '../../index.ts';
import { channelOf, providerContext, quietContext, thenAt } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { same } from '../compare.ts';
import { doorContext } from '../connected.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { hasProvider, PROVIDER_FAULTS } from '../samples.ts';
import { CODES } from './sending.ts';
import { mustHaveSentOnce, mustHaveTaken, withProvider } from './with-provider.ts';

/** What no provider's format takes as it stands. */
const AWKWARD = 'Acme & Söhne: "press 1" <now> ]]> \'please\'';

/** Every kind of decision the engine makes. */
const INSTRUCTIONS: readonly CallInstruction[] = [
  { type: 'ring', target: { kind: 'phone-number', value: '+4930123456' }, seconds: 20, record: true, announcement: AWKWARD },
  { type: 'ring', target: { kind: 'phone-number', value: '+4930123457' }, seconds: 45, record: false, announcement: null },
  { type: 'voicemail', announcement: AWKWARD },
  { type: 'hang-up', announcement: AWKWARD },
  { type: 'hang-up', announcement: null },
];

/** Calls, while somebody waits. */
export function callChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { verify, answerCall, placeCall } = plugin;
  const { calls, webhook } = samples;
  const checks: ConformanceCheck[] = [];
  if (calls !== undefined && verify !== undefined && webhook !== undefined) {
    checks.push({
      name: 'asks what is to become of a call, under the id of its events',
      rule: 'CALL-2',
      async run() {
        const channel = await channelOf(subject);
        const door = await doorContext(subject, channel);
        for (const { name, raw, asks } of calls.questions) {
          const signed = webhook.sign(raw(1, channel), channel);
          const verdict = await valueOf(`verify of "${name}"`, () => verify(signed, door));
          must(same(verdict.call, asks(1)), `"${name}" does not ask what its sample says`, "give verdict.call with the call's id, its contact and the step");
          const unsigned = await outcomeOf(`verify of "${name}" without a signature`, () => verify(raw(1, channel), door));
          must(unsigned.failure?.code === 'Unauthentic', `"${name}" without a signature is taken`, 'throw Unauthentic: whoever asks gets numbers of agents');
          if (!verdict.store) continue;
          const events = await valueOf(`parse of "${name}"`, () => plugin.parse(signed, quietContext(channel)));
          const known = events.every((event) => event.type !== 'call' || event.providerMessageId === verdict.call?.callId);
          must(known, `"${name}" and its events name different calls`, 'give callId and providerMessageId the same id');
        }
      },
    });
  }
  if (calls !== undefined && answerCall !== undefined) {
    checks.push({
      name: 'puts every decision on a call into words the provider understands',
      rule: 'CALL-2',
      async run() {
        const channel = await channelOf(subject);
        for (const { name, asks } of calls.questions) {
          for (const instruction of INSTRUCTIONS) {
            const what = `answerCall of "${name}" with ${instruction.type}`;
            const context = quietContext(channel);
            const answer = await valueOf(what, () => answerCall(asks(1), instruction, context));
            must(answer.ok, `${what} is ${answer.status}`, 'answer with 200: nobody asks twice while a caller waits');
            must(context.calls() === 0, `${what} calls somebody`, 'make it of its arguments alone');
            const understood = await calls.understands(answer);
            must(same(understood, instruction), `${what} is understood otherwise`, 'say all of it, and escape what people wrote');
          }
        }
      },
    });
  }
  if (placeCall !== undefined && calls?.call !== undefined && hasProvider(samples)) {
    const { call } = calls;
    const placed = (n: number) => ({ id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`, ...call });
    checks.push({
      name: 'calls back once, and says by a typed failure why not',
      rule: 'CALL-4',
      async run() {
        await withProvider(subject, 'valid', async (provider, channel) => {
          const one = await valueOf('placeCall', () => placeCall(placed(1), providerContext(channel, provider)));
          mustHaveTaken(provider, 1, `the provider was asked for ${provider.taken()} calls`, 'ask once');
          const two = await valueOf('placeCall', () => placeCall(placed(2), providerContext(channel, provider)));
          const apart = one.providerMessageId !== '' && one.providerMessageId !== two.providerMessageId;
          must(apart, 'two calls have one providerMessageId, or none', "give the provider's id of the call");
        });
        const lacks = samples.connection?.lacks ?? samples.outbound?.lacks ?? {};
        for (const fault of PROVIDER_FAULTS.filter((one) => lacks[one] === undefined)) {
          await withProvider(subject, 'valid', async (provider, channel) => {
            provider.behave(fault);
            const context = providerContext(channel, provider, thenAt(fault, 'leave'));
            const { failure } = await outcomeOf(`placeCall at "${fault}"`, () => placeCall(placed(1), context));
            const code = CODES[fault];
            mustHaveSentOnce(provider, `placeCall at "${fault}"`);
            if (failure?.code !== code) fail(`placeCall at "${fault}" is ${failure?.code ?? 'a receipt'}, not ${code}`, `throw ${code}`);
          });
        }
      },
    });
  }
  return checks;
}

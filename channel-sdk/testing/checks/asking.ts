import type { FailureCode } from '../../index.ts';
import { providerContext, thenAt, type BenchContext } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { outcomeOf } from '../outcome.ts';
import { hasProvider, PROVIDER_FAULTS, type ConformanceSamples, type ProviderFault } from '../samples.ts';
import { withProvider, withStranger } from './with-provider.ts';

/** What a fault may be called by a function that only asks, so that nothing of it can have happened twice. Garbage may be called anything typed. */
const BY_ASKING: Partial<Readonly<Record<ProviderFault, readonly FailureCode[]>>> = {
  refused: ['Unavailable'],
  'rate-limit': ['RateLimited', 'Unavailable'],
  unavailable: ['Unavailable'],
  disconnect: ['Disconnected'],
  silence: ['Unavailable'],
};
/** An admin waits: what they typed is wrong, or the provider is away. Nothing is connected yet that could be gone. */
const BY_CONNECTING: typeof BY_ASKING = { ...BY_ASKING, disconnect: ['Rejected'], reject: ['Rejected'] };

/** A function that asks the provider for something, and what it may say of each fault. */
interface Asking {
  readonly member: 'connect' | 'update' | 'disconnect' | 'check' | 'renew' | 'listTemplates' | 'catchUp' | 'fetchAttachment';
  ask(context: BenchContext): Promise<unknown>;
  readonly codes: typeof BY_ASKING;
  readonly lacks: ConnectionLacks;
}

type ConnectionLacks = Partial<Readonly<Record<ProviderFault, string>>>;

/** What functions say when the provider does not answer, or says no. */
export function askingChecks(subject: Subject): ConformanceCheck[] {
  if (!hasProvider(subject.samples)) return [];
  return askingsOf(subject).map(({ member, ask, codes, lacks }): ConformanceCheck => {
    const connecting = member === 'connect';
    return {
      name: `${member} says by a typed failure why it could not be done`,
      rule: 'PLUG-6',
      async run() {
        for (const fault of PROVIDER_FAULTS) {
          if (lacks[fault] !== undefined) continue;
          // What connects is tried before anything is connected; everything else on a channel that is.
          await (connecting ? withStranger : withProvider)(subject, 'valid', async (provider, channel) => {
            provider.behave(fault);
            const what = `${member} at "${fault}"`;
            const context = providerContext(channel, provider, thenAt(fault, 'hurry'));
            const { failure } = await outcomeOf(what, () => ask(context));
            const allowed = codes[fault];
            // An edit that changes nothing at the provider asks nobody.
            if (allowed === undefined || (member === 'update' && failure === undefined && context.calls() === 0)) return;
            if (failure === undefined) fail(`${what} ends well`, `throw ${allowed.join(' or ')}, or say in lacks why this provider has no such fault`);
            must(allowed.includes(failure.code), `${what} is ${failure.code}, not ${allowed.join(' or ')}`, `throw ${allowed.join(' or ')}`);
          });
        }
      },
    };
  });
}

/** Every function of the plugin that asks, ready to be called. */
export function askingsOf({ plugin, samples }: Subject): readonly Asking[] {
  const { connect, update, disconnect, check, renew, listTemplates, catchUp, fetchAttachment } = plugin;
  const found: Asking[] = [];
  const lacks = samples.connection?.lacks ?? {};
  const add = (member: Asking['member'], ask: Asking['ask'], codes = BY_ASKING) =>
    found.push({ member, ask, codes, lacks: member === 'listTemplates' || member === 'catchUp' || member === 'fetchAttachment' ? lacksOf(samples) : lacks });
  if (connect !== undefined) add('connect', async (context) => connect(context), BY_CONNECTING);
  if (update !== undefined) add('update', async (context) => update(context), BY_CONNECTING);
  if (disconnect !== undefined) add('disconnect', async (context) => disconnect(context), {});
  if (check !== undefined) add('check', async (context) => check(context));
  if (renew !== undefined) add('renew', async (context) => renew(context));
  if (listTemplates !== undefined) add('listTemplates', async (context) => listTemplates(context));
  if (catchUp !== undefined) add('catchUp', async (context) => catchUp(undefined, context));
  if (fetchAttachment !== undefined) {
    const ref = { ref: 'file-1', fileName: 'file.txt', type: 'text/plain' };
    add('fetchAttachment', async (context) => fetchAttachment(ref, context, null));
  }
  return found;
}

function lacksOf({ outbound, connection }: ConformanceSamples): ConnectionLacks {
  return outbound?.lacks ?? connection?.lacks ?? {};
}

import { createHash } from 'node:crypto';
import { channelOf, providerContext, quietContext, stateAt } from '../bench.ts';
import { fail, must, type ConformanceCheck, type Subject } from '../check.ts';
import { doorContext } from '../connected.ts';
import { outcomeOf, valueOf } from '../outcome.ts';
import { createState, readOnly } from '../state.ts';
import { shownBy, withProvider, withStranger } from './with-provider.ts';

const AT_ONCE = 3;

/** From connecting to disconnecting, and what is kept in between. */
export function connectionChecks(subject: Subject): ConformanceCheck[] {
  const { plugin, samples } = subject;
  const { connect, disconnect, renew, verify } = plugin;
  const { connection, webhook } = samples;
  const checks: ConformanceCheck[] = [];
  if (verify !== undefined && webhook !== undefined) {
    checks.push({
      name: 'tells the provider to come again where it lacks what it needs to tell',
      rule: 'PLUG-4',
      async run() {
        const channel = await channelOf(subject);
        for (const sample of samples.deliveries) {
          const signed = webhook.sign(await sample.raw(0, channel), channel);
          const context = { ...quietContext(channel), state: readOnly(createState()) };
          const { failure } = await outcomeOf('verify before anything is in state', () => verify(signed, context));
          must(
            failure === undefined || failure.code === 'Unavailable',
            `verify of the sample "${sample.name}" is ${failure?.code ?? ''} while state holds nothing`,
            'throw Unavailable where a key is not in state yet: the provider comes again, and renew is called',
          );
        }
      },
    });
  }
  if (connection?.subscribes === true && connect !== undefined) {
    checks.push({
      name: 'subscribes once, and leaves nothing behind',
      rule: 'CH-3',
      run: () =>
        withStranger(subject, 'valid', async (provider, channel) => {
          const count = shownBy(provider, 'subscriptions', 'where connection.subscribes is true');
          const context = () => providerContext(channel, provider);
          await valueOf('connect', () => connect(context()));
          must(count() === 1, `${count()} subscriptions after connect`, 'subscribe in connect, with context.webhookUrl');
          if (renew !== undefined) await valueOf('renew', () => renew(context()));
          must(count() === 1, `${count()} subscriptions after renew`, 'renew the one that is there, or one of the same name');
          await valueOf('disconnect', () => (disconnect === undefined ? fail('there is no disconnect', 'unsubscribe there') : disconnect(context())));
          must(count() === 0, `${count()} subscriptions after disconnect`, 'unsubscribe in disconnect what connect and renew have subscribed');
        }),
    });
  }
  if (renew !== undefined) {
    checks.push({
      name: 'renews as often as it is asked, also twice at once',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          await Promise.all(Array.from({ length: AT_ONCE }, () => valueOf('renew', () => renew(providerContext(channel, provider)))));
          await valueOf('renew, once more', () => renew(providerContext(channel, provider)));
          if (connection?.subscribes !== true) return;
          const count = shownBy(provider, 'subscriptions', 'where connection.subscribes is true')();
          must(count === 1, `${count} subscriptions after renewing ${AT_ONCE + 1} times`, 'renew the one that is there, or one of the same name');
        }),
    });
  }
  if (renew !== undefined && connection?.refreshes === true) {
    checks.push({
      name: 'reads back what it has refreshed, in every process',
      rule: 'PLUG-4',
      run: () =>
        withProvider(subject, 'valid', async (provider, channel) => {
          const fingerprint = async () =>
            createHash('sha256')
              .update(JSON.stringify(await stateAt(provider).read()))
              .digest('hex');
          const before = await fingerprint();
          shownBy(provider, 'expire', 'where connection.refreshes is true')();
          await valueOf('renew', () => renew(providerContext(channel, provider)));
          must((await fingerprint()) !== before, 'renew keeps nothing of what it refreshed', 'write it with context.state.update');
          const { check, send } = plugin;
          const { outbound } = samples;
          // As another process does it: nothing but what was kept is known there.
          if (check !== undefined) await valueOf('check after renew', () => check(providerContext(channel, provider)));
          if (send !== undefined && outbound !== undefined)
            await valueOf('send after renew', () => send(outbound.message(0), providerContext(channel, provider)));
          if (verify === undefined || webhook === undefined) return;
          const [sample] = samples.deliveries;
          const raw = await sample?.raw(0, channel);
          const door = await doorContext(subject, channel);
          if (raw !== undefined) await valueOf('verify after renew', () => verify(webhook.sign(raw, channel), door));
        }),
    });
  }
  return checks;
}

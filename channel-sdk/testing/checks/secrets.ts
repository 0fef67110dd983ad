import { inspect } from 'node:util';
import { channelOf, providerContext, quietContext, thenAt, type BenchContext } from '../bench.ts';
import { must, type ConformanceCheck, type Subject } from '../check.ts';
import { doorContext } from '../connected.ts';
import { outcomeOf } from '../outcome.ts';
import { hasProvider, isRecord, PROVIDER_FAULTS } from '../samples.ts';
import { askingsOf } from './asking.ts';
import { withProvider, withStranger } from './with-provider.ts';

/** Things said: where, and in which words. */
type Said = [string, string][];

/** What gets out: errors, log lines, events. */
export function secretChecks(subject: Subject): ConformanceCheck[] {
  const { plugin } = subject;
  return [
    {
      name: 'lets no secret into an error, a log line or an event',
      rule: 'CH-8',
      async run() {
        const { settings } = await channelOf(subject);
        const secrets = plugin.secrets.flatMap((name) => (isRecord(settings) ? textsIn(settings[name]) : []));
        for (const [where, words] of [
          ...(await saidOfDeliveries(subject)),
          ...(await saidOfSettings(subject)),
          ...(await saidOfSends(subject)),
          ...(await saidOfAskings(subject)),
        ]) {
          must(
            !secrets.some((secret) => words.includes(secret)),
            `a secret stands in ${where}`,
            'name codes and fixed phrases only; keep causes out that quote requests',
          );
        }
      },
    },
    {
      name: 'lets no text or address into an error or a log line',
      rule: 'PLUG-6',
      async run() {
        const { outbound } = subject.samples;
        const content = outbound === undefined ? [] : [outbound.message(0).text, outbound.message(0).to.value];
        for (const [where, words] of await saidOfSends(subject)) {
          must(!content.some((one) => one !== '' && words.includes(one)), `what was written, or to whom, stands in ${where}`, 'name ids and codes only');
        }
      },
    },
  ];
}

async function saidOfDeliveries(subject: Subject): Promise<Said> {
  const { plugin, samples } = subject;
  const channel = await channelOf(subject);
  const said: Said = [];
  for (const sample of samples.deliveries) {
    const raw = await sample.raw(0, channel);
    for (const one of [raw, { ...raw, body: raw.body.slice(0, raw.body.length / 2) }, { ...raw, body: new Uint8Array() }]) {
      const context = quietContext(channel);
      const parsed = await outcomeOf('parse', () => plugin.parse(one, context));
      if (parsed.failure === undefined) said.push([`the events of "${sample.name}"`, JSON.stringify(parsed.value)]);
      else said.push(['an error of parse', inspect(parsed.error, { depth: 6 })]);
      const { verify } = plugin;
      const door = verify === undefined ? undefined : await outcomeOf('verify', async () => verify(one, await doorContext(subject, channel)));
      if (door?.failure !== undefined) said.push(['an error of verify', inspect(door.error, { depth: 6 })]);
      said.push(...lines(context));
    }
  }
  return said;
}

async function saidOfSettings({ plugin, samples }: Subject): Promise<Said> {
  const said: Said = [];
  const wrong = samples.settings.invalid.map(({ settings }) => settings);
  const { valid } = samples.settings;
  const twisted = isRecord(valid) ? Object.keys(valid).map((name) => ({ ...valid, [name]: [valid[name]] })) : [];
  for (const typed of [...wrong, ...twisted]) {
    const outcome = await outcomeOf('settings', () => plugin.settings['~standard'].validate(typed));
    if (outcome.failure === undefined && outcome.value.issues !== undefined) {
      said.push(['an issue of settings', outcome.value.issues.map(({ message }) => message).join('\n')]);
    }
  }
  return said;
}

async function saidOfSends(subject: Subject): Promise<Said> {
  const { plugin, samples } = subject;
  const { send } = plugin;
  const { outbound } = samples;
  if (send === undefined || outbound === undefined) return [];
  const said: Said = [];
  for (const how of ['well', ...PROVIDER_FAULTS.filter((fault) => outbound.lacks?.[fault] === undefined)] as const) {
    await withProvider(subject, 'valid', async (provider, channel) => {
      provider.behave(how);
      const context = providerContext(channel, provider, thenAt(how, 'leave'));
      const outcome = await outcomeOf('send', () => send(outbound.message(0), context));
      if (outcome.failure !== undefined) said.push([`the error of send at "${how}"`, inspect(outcome.error, { depth: 6 })]);
      said.push(...lines(context));
    });
  }
  return said;
}

async function saidOfAskings(subject: Subject): Promise<Said> {
  if (!hasProvider(subject.samples)) return [];
  const said: Said = [];
  for (const { member, ask } of askingsOf(subject)) {
    for (const how of ['well', ...PROVIDER_FAULTS] as const) {
      await (member === 'connect' ? withStranger : withProvider)(subject, 'valid', async (provider, channel) => {
        provider.behave(how);
        const context = providerContext(channel, provider, thenAt(how, 'hurry'));
        const outcome = await outcomeOf(member, () => ask(context));
        if (outcome.failure !== undefined) said.push([`the error of ${member} at "${how}"`, inspect(outcome.error, { depth: 6 })]);
        said.push(...lines(context));
      });
    }
  }
  return said;
}

function lines(context: BenchContext): Said {
  return context.lines.map((line) => ['a log line', line]);
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

import { describe, expect, it, test } from 'vitest';
import type { Plugin } from '../index.ts';
import { conformanceChecks, describeConformance, type ConformanceSamples } from '../testing/index.ts';
import { reference } from '../testing/reference.ts';
import { liveReference } from '../testing/reference-live.ts';
import { liveSamples } from '../testing/reference-live-samples.ts';
import { referenceSamples } from '../testing/reference-samples.ts';
import { voiceReference } from '../testing/reference-voice.ts';
import { voiceSamples } from '../testing/reference-voice-samples.ts';
import { ALSO_BROKEN, BROKEN } from './broken-plugins.ts';
import { honest, listening, listeningSamples } from './listening-plugin.ts';

// With a server of its own it has every kind of function there is a check for.
const whole = listening(honest);
describeConformance({ describe, test }, whole, listeningSamples);
describeConformance({ describe, test }, voiceReference, voiceSamples);
describeConformance({ describe, test }, liveReference, liveSamples);

type Left = Partial<{ [Name in keyof ConformanceSamples]: ConformanceSamples[Name] | undefined }>;

/** They take half a second and more: run where one of them is the one that must find something. */
const SLOW = /any bytes|silence|without an answer|garbage on its pages|into an error|typed failure/;

describe('the suite', () => {
  it('has a broken plugin for every check, and registers each check once [PLUG-10]', () => {
    const all = [
      conformanceChecks(whole, listeningSamples),
      conformanceChecks(voiceReference, voiceSamples),
      conformanceChecks(liveReference, liveSamples),
    ].map((checks) => checks.map(({ name }) => name));
    for (const names of all) expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(BROKEN).toSorted()).toEqual([...new Set(all.flat())].toSorted());
  });

  it.each([...Object.entries(BROKEN), ...ALSO_BROKEN])(
    'finds the plugin that breaks "%s", by that check alone [PLUG-10]',
    async (name, { plugin, samples, says }) => {
      const found: string[] = [];
      for (const check of conformanceChecks(plugin ?? reference, samples ?? referenceSamples)) {
        if (check.name !== name && SLOW.test(check.name)) continue;
        await check.run().catch((error: unknown) => {
          found.push(check.name);
          if (check.name === name) expect(String(error)).toMatch(says);
          else expect.fail(`${check.name}: ${String(error)}`);
        });
      }
      expect(found).toEqual([name]);
    },
  );

  const { deliveries, settings, outbound = never() } = listeningSamples;
  const leftOut: readonly (readonly [string, Left, Plugin?, ConformanceSamples?])[] = [
    ['deliveries: a message of a contact', { deliveries: deliveries.filter(({ name }) => name === 'what became of a message') }],
    ['deliveries: one with files', { deliveries: deliveries.filter(({ files }) => files === undefined) }],
    ['deliveries: one that says the contact is writing', { deliveries: deliveries.filter(({ name }) => !name.includes('writing')) }],
    ['deliveries: one in which consent is refused', { deliveries: deliveries.filter(({ name }) => !name.startsWith('a no')) }],
    ['settings.invalid', { settings: { ...settings, invalid: [] } }],
    ['settings.valid: a value for the secret "token"', { settings: { ...settings, valid: { account: 'Acme', appSecret: 'correct horse' } } }],
    ['missingFields', { missingFields: [] }],
    ['webhook', { webhook: undefined }],
    ['page', { page: undefined }],
    ['listener', { listener: undefined }],
    ['outbound: a stand-in', { outbound: undefined }],
    ['outbound.provider', { outbound: without(outbound, 'provider') }],
    ['outbound.answer', { outbound: without(outbound, 'answer') }],
    ['outbound.template (windows)', { outbound: without(outbound, 'template') }],
    ['outbound.template (capabilities.templates)', { outbound: without(outbound, 'template') }],
    ['outbound.choice', { outbound: without(outbound, 'choice') }],
    ['outbound.lacks: "boredom" is no fault', { outbound: Object.assign({ ...outbound }, { lacks: { boredom: 'it is never bored' } }) }],
    ['page.live', { page: without(liveSamples.page ?? never(), 'live') }, liveReference, liveSamples],
    ['outbound.choice', { outbound: without(liveSamples.outbound ?? never(), 'choice') }, liveReference, liveSamples],
    ['deliveries: one that tells what became of a call', { deliveries }, voiceReference, voiceSamples],
    ['calls: deliveries that ask', { calls: undefined }, voiceReference, voiceSamples],
    ['calls.call', { calls: without(voiceSamples.calls ?? never(), 'call') }, voiceReference, voiceSamples],
    ['shared', { shared: undefined }, voiceReference, voiceSamples],
    ['connection', { connection: undefined }, voiceReference, voiceSamples],
    ['provider', { provider: undefined }, voiceReference, voiceSamples],
  ];
  it.each(leftOut.map(([named, left, plugin = whole, given = listeningSamples]) => ({ named, left, plugin, given })))(
    'fails where a sample that a capability calls for is left out, and names it: $named [PLUG-10]',
    async ({ named, left, plugin, given }) => {
      const samples: ConformanceSamples = Object.assign({ ...given }, left);
      const check = conformanceChecks(plugin, samples).find(({ name }) => name.startsWith('leaves out no sample')) ?? never();
      await expect(check.run()).rejects.toThrow(`\n- ${named}`);
    },
  );

  it.each(['subscriptions', 'expire', 'fetch', 'last', 'echo', 'remember'] as const)('names what a stand-in lacks: %s [PLUG-10]', async (member) => {
    const [plugin, given] = member === 'subscriptions' || member === 'expire' ? [voiceReference, voiceSamples] : [reference, referenceSamples];
    const provider = given.outbound?.provider ?? given.provider ?? never();
    const lacking = async (which: 'valid' | 'second') => without(await provider(which), member);
    const samples = { ...given, ...(given.outbound === undefined ? { provider: lacking } : { outbound: { ...given.outbound, provider: lacking } }) };
    const said: string[] = [];
    for (const check of conformanceChecks(plugin, samples)) {
      if (/subscribes once|reads back|connects|sends (a message once|a template)|knows its own|goes on from/.test(check.name)) {
        await check.run().catch((error: unknown) => said.push(String(error)));
      }
    }
    expect(said.join('\n')).toContain(member === 'fetch' ? 'send failed' : `the stand-in has no ${member}`);
  });

  it.each([
    ['waits for ever', () => new Promise<never>(() => undefined), /did not end within 50 ms/],
    ['works too long without a pause', works, /did not end within 50 ms/],
  ])('does not wait for a parse that %s [PLUG-10, PLUG-11]', async (_name, parse, says) => {
    const check = conformanceChecks({ ...reference, parse }, { ...referenceSamples, parseMillis: 50 }).find(({ name }) =>
      name.includes('any bytes with events'),
    );
    await expect((check ?? never()).run()).rejects.toThrow(says);
  });
});

async function works(): Promise<[]> {
  const before = process.cpuUsage();
  while (process.cpuUsage(before).user < 200_000) Math.random();
  return [];
}

function without<Whole extends object, Name extends keyof Whole>(whole: Whole, name: Name): Omit<Whole, Name> {
  const { [name]: _left, ...rest } = whole;
  return rest;
}

function never(): never {
  throw new Error('it is there');
}

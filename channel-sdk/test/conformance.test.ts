import { describe, expect, it, test } from 'vitest';
import { conformanceChecks, describeConformance, type ConformanceSamples } from '../testing/index.ts';
import { reference } from '../testing/reference.ts';
import { liveReference } from '../testing/reference-live.ts';
import { liveSamples } from '../testing/reference-live-samples.ts';
import { referenceSamples } from '../testing/reference-samples.ts';
import { voiceReference } from '../testing/reference-voice.ts';
import { voiceSamples } from '../testing/reference-voice-samples.ts';
import { BROKEN } from './broken-plugins.ts';
import { honest, listening, listeningSamples } from './listening-plugin.ts';

// With a server of its own it has every kind of function there is a check for.
const whole = listening(honest);
describeConformance({ describe, test }, whole, listeningSamples);
describeConformance({ describe, test }, voiceReference, voiceSamples);
describeConformance({ describe, test }, liveReference, liveSamples);

/** They take half a second and more: run where one of them is the one that must find something. */
const SLOW = /any bytes|silence|without an answer|garbage on its pages|into an error/;

describe('the suite', () => {
  it('has a broken plugin for every check, and registers each check once [PLUG-10]', () => {
    const names = conformanceChecks(whole, listeningSamples).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(BROKEN).toSorted()).toEqual(names.toSorted());
  });

  it.each(Object.entries(BROKEN))('finds the plugin that breaks "%s", by that check alone [PLUG-10]', async (name, { plugin, samples, says }) => {
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
  });

  const { deliveries, settings, outbound } = listeningSamples;
  const { answer: _answer, template: _template, ...sendingOnly } = outbound ?? never();
  it.each<readonly [string, Partial<{ [Name in keyof ConformanceSamples]: ConformanceSamples[Name] | undefined }>]>([
    ['deliveries: a message of a contact', { deliveries: deliveries.filter(({ name }) => name === 'what became of a message') }],
    ['deliveries: one with files', { deliveries: deliveries.filter(({ files }) => files === undefined) }],
    ['settings.invalid', { settings: { ...settings, invalid: [] } }],
    ['settings.valid: a value for the secret "token"', { settings: { ...settings, valid: { account: 'Acme', appSecret: 'correct horse' } } }],
    ['missingFields', { missingFields: [] }],
    ['webhook', { webhook: undefined }],
    ['page', { page: undefined }],
    ['listener', { listener: undefined }],
    ['outbound: a stand-in', { outbound: undefined }],
    ['outbound.answer', { outbound: sendingOnly }],
    ['outbound.template', { outbound: sendingOnly }],
  ])('fails where a sample that a capability calls for is left out, and names it: %s [PLUG-10]', async (named, without) => {
    const samples: ConformanceSamples = Object.assign({ ...listeningSamples }, without);
    const check = conformanceChecks(whole, samples).find(({ name }) => name.startsWith('leaves out no sample')) ?? never();
    await expect(check.run()).rejects.toThrow(`\n- ${named}`);
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

function never(): never {
  throw new Error('it is there');
}

import { describe, expect, it, test } from 'vitest';
import { conformanceChecks, describeConformance } from '../testing/index.ts';
import { reference } from '../testing/reference.ts';
import { referenceSamples } from '../testing/reference-samples.ts';
import { BROKEN } from './broken-plugins.ts';
import { honest, listening, listeningSamples } from './listening-plugin.ts';

// With a server of its own it has every kind of function there is a check for.
const whole = listening(honest);
describeConformance({ describe, test }, whole, listeningSamples);

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
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { definePlugin, pluginProblems, type Capabilities, type PluginDefinition } from '../index.ts';
import { definition } from './fake-plugin.ts';

const never = () => {
  throw new Error('not called');
};

describe('definePlugin', () => {
  it('returns a plugin whose capabilities and functions say the same [PLUG-1, PLUG-2]', () => {
    const plain = definition();
    expect(definePlugin(plain)).toBe(plain);
  });

  it('takes what is shown by a page only where its pages are live [PLUG-3]', () => {
    expect(pluginProblems(definition({}, { shownByPage: true }))).toEqual(['capabilities.shownByPage: only where the pages are live']);
    expect(pluginProblems(definition({}, { shownByPage: true, live: true }))).toEqual([]);
  });

  const pairs: readonly (readonly [keyof PluginDefinition, Partial<Capabilities>])[] = [
    ['verify', { inbound: ['webhook'] }],
    ['listen', { inbound: ['listener'] }],
    ['page', { inbound: ['page'] }],
    ['catchUp', { inbound: ['catch-up'] }],
    ['send', { outbound: 'reply' }],
    ['listTemplates', { templates: true }],
    ['answerCall', { callControl: true }],
  ];
  it.each(pairs)('refuses a capability without its function and the function without its capability: %s [PLUG-3, PLUG-4]', (name, can) => {
    expect(pluginProblems(definition({}, can))).toEqual([expect.stringMatching(`^${name}: missing, though `)]);
    expect(pluginProblems(definition({ [name]: never }))).toEqual([`${name}: is there, but the capabilities do not say so`]);
    expect(pluginProblems(definition({ [name]: never }, can))).toEqual([]);
  });

  it('refuses any other version of the contract [PLUG-8]', () => {
    expect(pluginProblems({ ...definition(), contract: 2 })).toEqual(['contract: written for version 2, this engine speaks version 1']);
    expect(pluginProblems({ ...definition(), contract: undefined })[0]).toMatch(/^contract: /);
  });

  it('refuses a key that can not stand in a row, a workflow id and a URL [PLUG-2]', () => {
    for (const key of ['', 'a', 'Email', '1st', 'my plugin', 'a/b', 'x'.repeat(32)]) {
      expect(pluginProblems(definition({ key })), key).toEqual([expect.stringMatching(/^key: /)]);
    }
  });

  it('names every problem in one error, with the plugin [PLUG-8]', () => {
    const wrong = definition({ name: '', secrets: [] }, { inbound: ['webhook'], maxDeliveryBytes: 0 });
    expect(() => definePlugin(wrong)).toThrow(/^plugin "printer" does not keep the contract:\n- name: .*\n- capabilities\.maxDeliveryBytes: .*\n- verify: /);
  });

  it('refuses a rate by which nothing would ever leave, and takes the slowest and the fastest that make sense [PLUG-3]', () => {
    const problems = (sendRate: object) => pluginProblems(definition({}, { sendRate }));
    for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 0.0001, '80', null]) {
      expect(problems({ accountPerSecond: rate }), String(rate)).toEqual([expect.stringMatching(/^capabilities\.sendRate\.accountPerSecond: /)]);
    }
    for (const rate of [0, -6, Number.NaN, 86_401, '6', null]) {
      expect(problems({ recipientSeconds: rate }), String(rate)).toEqual([expect.stringMatching(/^capabilities\.sendRate\.recipientSeconds: /)]);
    }
    expect(pluginProblems(definition({}, JSON.parse('{"sendRate":null}')))).toEqual([expect.stringMatching(/^capabilities\.sendRate: /)]);
    for (const rate of [{}, { accountPerSecond: 1 / 3600, recipientSeconds: 0.1 }, { accountPerSecond: 1_000, recipientSeconds: 86_400 }])
      expect(problems(rate)).toEqual([]);
  });

  it('says what is wrong with any value at all, and never throws over it [PLUG-8]', () => {
    expect(pluginProblems(undefined)).toEqual(['the default export is not a plugin: use definePlugin({…})']);
    expect(pluginProblems({ ...definition(), capabilities: {} }).length).toBeGreaterThan(3);
    fc.assert(fc.property(fc.anything(), (value) => pluginProblems(value).length > 0));
    fc.assert(fc.property(fc.anything(), (value) => pluginProblems({ ...definition(), capabilities: value }).length > 0));
  });
});

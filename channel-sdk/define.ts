import type { Capabilities } from './capabilities.ts';
import { CONTRACT_VERSION, type Plugin, type PluginDefinition } from './plugin.ts';

/**
 * Checks that capabilities and functions say the same, and returns the plugin.
 * Throws one error that names every disagreement; called at import time, so a wrong plugin fails at start and not at a customer's message.
 */
export function definePlugin<Settings>(definition: PluginDefinition<Settings>): Plugin {
  const problems = pluginProblems(definition);
  if (problems.length > 0) {
    throw new TypeError(`plugin "${String(definition?.key)}" does not keep the contract:\n- ${problems.join('\n- ')}`);
  }
  return definition as unknown as Plugin;
}

/** What keeps a value from being a plugin of this contract's version; empty: nothing. Never throws, whatever the value (PLUG-8). */
export function pluginProblems(candidate: unknown): string[] {
  if (typeof candidate !== 'object' || candidate === null) return ['the default export is not a plugin: use definePlugin({…})'];
  const plugin = candidate as Partial<PluginDefinition>;
  const problems: string[] = [];
  if (plugin.contract !== CONTRACT_VERSION) {
    problems.push(`contract: written for version ${String(plugin.contract)}, this engine speaks version ${CONTRACT_VERSION}`);
  }
  if (typeof plugin.key !== 'string' || !/^[a-z][a-z0-9-]{1,30}$/.test(plugin.key)) {
    problems.push('key: 2 to 31 lower-case letters, digits and dashes, a letter first');
  }
  if (typeof plugin.name !== 'string' || plugin.name === '') problems.push('name: missing');
  if (typeof plugin.settings?.['~standard']?.validate !== 'function') problems.push('settings: not a Standard Schema');
  if (!Array.isArray(plugin.secrets) || plugin.secrets.some((name) => typeof name !== 'string')) {
    problems.push('secrets: a list of top-level settings, empty if there are none');
  }
  for (const name of ['address', 'parse'] as const) {
    if (typeof plugin[name] !== 'function') problems.push(`${name}: missing`);
  }
  const { capabilities } = plugin;
  if (typeof capabilities !== 'object' || capabilities === null) return [...problems, 'capabilities: missing'];
  return [...problems, ...shapeProblems(capabilities), ...disagreements(plugin, capabilities)];
}

/** Both ways round: what is declared is there, and what is there is declared. */
function disagreements(plugin: Partial<PluginDefinition>, capabilities: Partial<Capabilities>): string[] {
  const inbound: readonly string[] = Array.isArray(capabilities.inbound) ? capabilities.inbound : [];
  const needs: readonly (readonly [boolean, keyof PluginDefinition, string])[] = [
    [inbound.includes('webhook'), 'verify', 'inbound has "webhook"'],
    [inbound.includes('listener'), 'listen', 'inbound has "listener"'],
    [inbound.includes('page'), 'page', 'inbound has "page"'],
    [inbound.includes('catch-up'), 'catchUp', 'inbound has "catch-up"'],
    [capabilities.outbound !== 'none', 'send', `outbound is "${String(capabilities.outbound)}"`],
    [capabilities.templates === true, 'listTemplates', 'templates is true'],
    [capabilities.callControl === true, 'answerCall', 'callControl is true'],
  ];
  const problems: string[] = [];
  for (const [declared, name, why] of needs) {
    const there = typeof plugin[name] === 'function';
    if (declared && !there) problems.push(`${name}: missing, though ${why}`);
    if (!declared && there) problems.push(`${name}: is there, but the capabilities do not say so`);
  }
  return problems;
}

/** Enough of the shape to rely on; types see to the rest for whoever writes TypeScript. */
function shapeProblems(capabilities: Partial<Capabilities>): string[] {
  const problems: string[] = [];
  if (!Array.isArray(capabilities.identities) || capabilities.identities.length === 0) problems.push('capabilities.identities: at least one kind');
  if (!Array.isArray(capabilities.inbound)) problems.push('capabilities.inbound: a list, empty if nothing comes in');
  if (!Array.isArray(capabilities.windows)) problems.push('capabilities.windows: a list, empty if there are none');
  if (!['none', 'reply', 'start'].includes(String(capabilities.outbound))) problems.push('capabilities.outbound: "none", "reply" or "start"');
  if (!(typeof capabilities.maxDeliveryBytes === 'number' && capabilities.maxDeliveryBytes > 0)) {
    problems.push('capabilities.maxDeliveryBytes: a number of bytes above 0');
  }
  if (capabilities.routing === undefined) problems.push('capabilities.routing: missing');
  if (capabilities.shownByPage === true && capabilities.live !== true) problems.push('capabilities.shownByPage: only where the pages are live');
  return [...problems, ...rateProblems(capabilities.sendRate)];
}

/** Messages a second: one an hour. A rate below it is a mistake of units, and would have a channel wait for ever. */
const SLOWEST = 1 / 3600;
/** Seconds between two messages to one recipient: a day. */
const LONGEST = 86_400;

function rateProblems(rate: unknown): string[] {
  if (typeof rate !== 'object' || rate === null) return ['capabilities.sendRate: an object, empty if the provider has no limit'];
  const { accountPerSecond, recipientSeconds }: { readonly accountPerSecond?: unknown; readonly recipientSeconds?: unknown } = rate;
  const within = (given: unknown, least: number, most: number): boolean => typeof given === 'number' && given >= least && given <= most;
  const problems: string[] = [];
  if (accountPerSecond !== undefined && !within(accountPerSecond, SLOWEST, Number.MAX_VALUE)) {
    problems.push('capabilities.sendRate.accountPerSecond: messages a second, at least one an hour; absent if there is no limit');
  }
  if (recipientSeconds !== undefined && (recipientSeconds === 0 || !within(recipientSeconds, 0, LONGEST))) {
    problems.push('capabilities.sendRate.recipientSeconds: seconds above 0, at most a day; absent if there is no limit');
  }
  return problems;
}

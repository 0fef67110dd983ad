import { createHmac } from 'node:crypto';
import { setTimeout as passed } from 'node:timers/promises';
import { ChannelFailure, type ChannelInfo, type ChannelState, type ListenContext, type PageContext, type PluginContext, type RawDelivery } from '../index.ts';
import { fail, type Subject } from './check.ts';
import type { ProviderFault, StandIn } from './samples.ts';
import { createState } from './state.ts';

/** What the time is in every check: samples whose content depends on it may rely on that. */
export const SAMPLE_NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
/** Milliseconds after which nobody waits for the provider any more. */
const PATIENCE = 10_000;
const A_MOMENT = 50;
const HURRY = 300;
const ORIGIN = 'https://help.acme.example';

/** How long one waits for a provider: as long as it takes, for a moment, until it has taken a message; or no connection is made. */
type Then = 'wait' | 'hurry' | 'leave' | 'refuse';

/** How the check of a fault asks. `silent`: what it does where no answer will come. */
export function thenAt(fault: ProviderFault | 'well', silent: Then): Then {
  if (fault === 'refused') return 'refuse';
  return fault === 'silence' ? silent : 'wait';
}

export type Which = 'valid' | 'second';

/** A context whose log lines are kept and whose calls are counted. */
export interface BenchContext extends PluginContext<unknown> {
  readonly lines: string[];
  /** Times `fetch` was called. */
  calls(): number;
}

/** One connected channel, made from the samples' settings or a stand-in's. */
export async function channelOf({ plugin, samples }: Subject, which: Which = 'valid', typed: unknown = samples.settings[which]): Promise<ChannelInfo<unknown>> {
  const result = await plugin.settings['~standard'].validate(typed);
  if (result.issues !== undefined) {
    const told = result.issues.map(({ message, path }) => `${pathText(path)}: ${message}`).join('; ');
    fail(`settings.${which} of the samples are refused: ${told}`, 'give settings the schema takes');
  }
  const settings = result.value;
  return { key: which === 'valid' ? 'sample-1' : 'sample-2', address: plugin.address(settings), name: 'Sample', enabled: true, settings };
}

export function pathText(path: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined): string {
  return (path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
}

/** For `parse`, `reserve` and `verify`: whoever calls somebody is found out by `calls()`. */
export function quietContext(channel: ChannelInfo<unknown>, now = SAMPLE_NOW): BenchContext {
  return contextWith(channel, now, () => Promise.reject(new TypeError('nobody may be called here')), new AbortController().signal);
}

/** What the channel of this stand-in keeps: the same in every context that has to do with it, as in every process of the engine. */
export function stateAt(provider: StandIn): ChannelState {
  const state = STATES.get(provider) ?? createState();
  STATES.set(provider, state);
  return state;
}

const STATES = new WeakMap<StandIn, ChannelState>();

/**
 * For `send` and the like: the provider is the stand-in. With `leave`, nobody waits any longer once it has taken a message; with `hurry`, for a moment;
 * otherwise for a long time.
 */
export function providerContext(channel: ChannelInfo<unknown>, provider: StandIn, then: Then = 'wait'): BenchContext {
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  // Whoever never asks the provider leaves nobody to hear this.
  late.promise.catch(() => undefined);
  const leave = () => {
    const reason = new DOMException('nobody waits any longer', 'TimeoutError');
    controller.abort(reason);
    late.reject(reason);
  };
  setTimeout(leave, then === 'hurry' ? HURRY : PATIENCE).unref();
  // A moment later, so that the stand-in has done with it.
  if (then === 'leave') provider.onTaken(async () => void setTimeout(leave, A_MOMENT));
  const call = provider.fetch ?? (() => Promise.reject(new TypeError('the stand-in of the samples has no fetch')));
  // Also a stand-in that heeds no signal is left in the end, as the engine leaves a provider.
  const context = contextWith(
    channel,
    SAMPLE_NOW,
    (input, init) => {
      // As the engine's own.
      if (then === 'refuse') return Promise.reject(new ChannelFailure({ code: 'Unavailable', reason: 'no connection to the provider' }));
      // What is asked after that still reaches the provider, as it would over a line with a limit for each request.
      const end = controller.signal.aborted ? passed(A_MOMENT).then(() => late.promise) : late.promise;
      return Promise.race([call(input, { ...init, signal: init?.signal ?? controller.signal }), end]);
    },
    controller.signal,
  );
  return { ...context, webhookUrl: `${ORIGIN}/hooks/${channel.key}`, state: stateAt(provider) };
}

/** For `page`: deliveries are kept. */
export function pageContext(
  channel: ChannelInfo<unknown>,
  pageUrl: string,
): PageContext<unknown> & { readonly delivered: RawDelivery[]; readonly lines: string[] } {
  const delivered: RawDelivery[] = [];
  return {
    ...quietContext(channel),
    pageUrl,
    delivered,
    deliver: async (raw) => void delivered.push(raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    transcript: async () => 'no-conversation',
    available: async () => true,
    allow: async () => true,
  };
}

/** For `listen`; `deliver` is the check's. */
export function listenContext(channel: ChannelInfo<unknown>, deliver: ListenContext<unknown>['deliver']): ListenContext<unknown> {
  return {
    host: '127.0.0.1',
    port: 0,
    findChannel: async (by) => (('key' in by ? by.key === channel.key : by.address === channel.address) ? channel : undefined),
    deliver,
    resolveDns: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
    now: () => SAMPLE_NOW,
    log: () => undefined,
  };
}

function contextWith(channel: ChannelInfo<unknown>, now: number, call: typeof fetch, signal: AbortSignal): BenchContext {
  const lines: string[] = [];
  let calls = 0;
  return {
    channel,
    now: () => now,
    fetch: (input, init) => {
      calls += 1;
      return call(input, init);
    },
    sign: (text) => base32(createHmac('sha256', `key of ${channel.key}`).update(text).digest()),
    log: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    signal,
    lines,
    calls: () => calls,
  };
}

function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return [...bits.matchAll(/.{1,5}/g)].map(([five]) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
}

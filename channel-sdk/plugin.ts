import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Capabilities } from './capabilities.ts';
import type { ListenContext, Listener, PluginContext } from './context.ts';
import type { AttachmentRef, InboundEvent } from './events.ts';
import type { OutboundMessage, ReservedIds, SendReceipt } from './outbound.ts';

/** The version of this contract. A plugin names the one it was written for; the engine refuses any other (PLUG-8). */
export const CONTRACT_VERSION = 1;

/** A delivery as it came, byte for byte, and as it is stored. */
export interface RawDelivery {
  /** The HTTP method, or a word of the plugin's own listener ('SMTP'). */
  readonly method: string;
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** ISO 8601, by our clock. */
  readonly receivedAt: string;
}

/** What to tell the provider now, before anything is parsed. */
export interface Verdict {
  /** Handshakes and call instructions are this answer. */
  readonly answer: Response;
  /** Whether the delivery is kept and parsed; a handshake is not. */
  readonly store: boolean;
}

/** A page of what the provider has from before: oldest first; no cursor: that was all. */
export interface CatchUpPage {
  readonly events: readonly InboundEvent[];
  readonly cursor?: string;
  readonly more: boolean;
}

/** Users and teams that a plugin's own settings name; the engine checks their access and seats. */
export interface RoutingTargets {
  readonly userIds: readonly string[];
  readonly teamIds: readonly string[];
}

/** The plugin as its author writes it. Every function may be called at the same time for several channels. */
export interface PluginDefinition<Settings = unknown> {
  /** 'email': in rows, workflow ids and URLs, so never renamed. Lower-case letters, digits and dashes. */
  readonly key: string;
  /** For people: 'Email'. */
  readonly name: string;
  readonly contract: typeof CONTRACT_VERSION;
  /** Validates and normalises what an admin typed; every issue has its path (CH-3). */
  readonly settings: StandardSchemaV1<unknown, Settings>;
  /** Top-level settings that are secrets: stored encrypted, never returned, never logged. */
  readonly secrets: readonly string[];
  readonly capabilities: Capabilities;

  /** The canonical connected address of these settings ('support@acme.com'); two channels of a plugin never share one (CH-2). Pure. */
  address(settings: Settings): string;

  /** Webhooks: is it authentic, over the raw bytes, and with which answer. Called before anything is stored. Throws `Unauthentic` or `Malformed`. Must not call the provider. */
  verify?(raw: RawDelivery, context: PluginContext<Settings>): Promise<Verdict>;
  /** A stored delivery to events. Depends on bytes and settings only: it is called again when mended. Runs in a thread of its own with limits of time and memory (PLUG-11). Must not call anybody. */
  parse(raw: RawDelivery, context: PluginContext<Settings>): Promise<readonly InboundEvent[]>;

  /** The ids a message will carry, where the plugin chooses them. Pure; called before `send`, and stored first, so that an answer finds its thread even when the send's outcome is unknown. */
  reserve?(message: OutboundMessage, context: PluginContext<Settings>): ReservedIds;
  /** Sends one message once. Resolves only when the provider has taken it; throws a `ChannelFailure`; anything else thrown counts as `MaybeSent`. */
  send?(message: OutboundMessage, context: PluginContext<Settings>): Promise<SendReceipt>;
  /** Asks the provider whether it has that message; undefined: it certainly has not. Settles a `MaybeSent`. */
  findSent?(message: OutboundMessage, context: PluginContext<Settings>): Promise<SendReceipt | undefined>;
  /** Fetches what an event referred to. Called after the message is in, so that a slow download holds nobody up. `raw`: the delivery the event came from, for what is carried in it; null after `catchUp`. */
  fetchAttachment?(ref: AttachmentRef, context: PluginContext<Settings>, raw: RawDelivery | null): Promise<Uint8Array>;

  /** A server of the plugin's own, one for all of its channels. */
  listen?(context: ListenContext<Settings>): Promise<Listener>;

  /** At connecting: checks the credentials, subscribes webhooks. Throws `Rejected` or `Unavailable`; nothing is kept then. */
  connect?(context: PluginContext<Settings>): Promise<void>;
  /** At disconnecting: unsubscribes. A failure does not keep the channel. */
  disconnect?(context: PluginContext<Settings>): Promise<void>;
  /** Whether the credentials are still good. Throws `Disconnected` or `Unavailable`. */
  check?(context: PluginContext<Settings>): Promise<void>;
  /** Renews watches and subscriptions; called daily. */
  renew?(context: PluginContext<Settings>): Promise<void>;
  /** History since a cursor the engine kept (PLUG-7). */
  catchUp?(cursor: string | undefined, context: PluginContext<Settings>): Promise<CatchUpPage>;
  /** Public pages of a channel: widget, form. */
  page?(request: Request, context: PluginContext<Settings>): Promise<Response>;
  /** Whom the settings name as targets of a hand-off. Pure. */
  routingTargets?(settings: Settings): RoutingTargets;
  /** Why a channel with these settings can not be moved, by the plugin's own lights. Pure; fixed phrases. */
  migrationProblems?(settings: Settings): readonly string[];
}

/** A plugin the engine can load. Only `definePlugin` makes one. */
export type Plugin<Settings = unknown> = PluginDefinition<Settings>;

/**
 * Checks that capabilities and functions say the same, and returns the plugin.
 * Throws one error that names every disagreement; called at import time, so a wrong plugin fails at start and not at a customer's message.
 */
export function definePlugin<Settings>(definition: PluginDefinition<Settings>): Plugin {
  const problems = pluginProblems(definition);
  if (problems.length > 0) {
    throw new TypeError(`plugin "${String(definition.key)}" does not keep the contract:\n- ${problems.join('\n- ')}`);
  }
  return definition as unknown as Plugin;
}

/** What keeps a value from being a plugin of this contract's version; empty: nothing. */
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
  if (!Array.isArray(plugin.secrets)) problems.push('secrets: a list of top-level settings, empty if there are none');
  for (const name of ['address', 'parse'] as const) {
    if (typeof plugin[name] !== 'function') problems.push(`${name}: missing`);
  }
  const capabilities = plugin.capabilities;
  if (capabilities === undefined) return [...problems, 'capabilities: missing'];
  const needs: readonly (readonly [boolean, keyof PluginDefinition, string])[] = [
    [capabilities.inbound.includes('webhook'), 'verify', 'inbound has "webhook"'],
    [capabilities.inbound.includes('listener'), 'listen', 'inbound has "listener"'],
    [capabilities.inbound.includes('page'), 'page', 'inbound has "page"'],
    [capabilities.inbound.includes('catch-up'), 'catchUp', 'inbound has "catch-up"'],
    [capabilities.outbound !== 'none', 'send', `outbound is "${capabilities.outbound}"`],
  ];
  for (const [declared, name, why] of needs) {
    const there = typeof plugin[name] === 'function';
    if (declared && !there) problems.push(`${name}: missing, though ${why}`);
    if (!declared && there) problems.push(`${name}: is there, but the capabilities do not say so`);
  }
  if (capabilities.identities.length === 0) problems.push('capabilities.identities: at least one kind');
  if (!(capabilities.maxDeliveryBytes > 0)) problems.push('capabilities.maxDeliveryBytes: a number of bytes above 0');
  return problems;
}

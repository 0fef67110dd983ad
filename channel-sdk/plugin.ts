import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Capabilities } from './capabilities.ts';
import type { CallInstruction, CallQuestion, OutboundCall } from './calls.ts';
import type { ListenContext, Listener, PluginContext } from './context.ts';
import type { AttachmentRef, InboundEvent } from './events.ts';
import type { Author, OutboundMessage, Preview, ReservedIds, SendReceipt, Template } from './outbound.ts';
import type { PageContext } from './page.ts';
import type { RawDelivery } from './raw-delivery.ts';

/** The version of this contract. A plugin names the one it was written for; the engine refuses any other (PLUG-8). */
export const CONTRACT_VERSION = 1;

/** What to tell the provider now, before anything is parsed. */
export interface Verdict {
  /** Handshakes and call instructions are this answer. */
  readonly answer: Response;
  /** Whether the delivery is kept and parsed; a handshake is not. */
  readonly store: boolean;
  /** What is to become of a call, right now: the engine decides and answers with `answerCall` in place of `answer`. */
  readonly call?: CallQuestion;
}

/** A page of what the provider has from before: oldest first; no cursor: that was all. */
export interface CatchUpPage {
  readonly events: readonly InboundEvent[];
  /** What is best kept as it came (a whole mail): stored like any delivery and parsed from there, in one transaction with the cursor. */
  readonly deliveries?: readonly RawDelivery[];
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

  /** Webhooks: is it authentic, over the raw bytes, and with which answer. Called before anything is stored. Throws `Unauthentic` or `Malformed`, or `Unavailable` where it can not tell yet (a signing key not in `state`): the provider is told to come again and `renew` is called. Must not call the provider. A new channel's handshakes come while its `connect` still runs. */
  verify?(raw: RawDelivery, context: PluginContext<Settings>): Promise<Verdict>;
  /** Where a provider has one webhook for all accounts of an app: the connected addresses a delivery speaks of, or 'any' for a handshake (every channel is asked, the first that does not throw `Unauthentic` answers). It is stored for each of them that `verify` does not refuse, or for none, and each parses only its own part. `webhookUrl` is that one webhook's then. Pure. */
  sharedDoor?(raw: RawDelivery): readonly string[] | 'any';
  /** A stored delivery to events. Depends on bytes and settings only: it is called again when mended. Runs in a thread of its own with limits of time and memory (PLUG-11). Must not call anybody. */
  parse(raw: RawDelivery, context: PluginContext<Settings>): Promise<readonly InboundEvent[]>;

  /** The ids a message will carry, where the plugin chooses them. Pure; called before `send`, and stored first, so that an answer finds its thread even when the send's outcome is unknown. */
  reserve?(message: OutboundMessage, context: PluginContext<Settings>): ReservedIds;
  /** Sends one message once. Resolves only when the provider has taken it; throws a `ChannelFailure`; anything else thrown counts as `MaybeSent`. */
  send?(message: OutboundMessage, context: PluginContext<Settings>): Promise<SendReceipt>;
  /** Asks the provider whether it has that message; undefined: it certainly has not. Settles a `MaybeSent`. */
  findSent?(message: OutboundMessage, context: PluginContext<Settings>): Promise<SendReceipt | undefined>;
  /** Takes attachments out of the delivery they came in, all at once, in the order of `refs`; null for one that is not in it. As `parse`: depends on bytes and settings only, runs in a thread of its own with the same limits, must not call anybody. Where it is there, `fetchAttachment` is asked only for events without a delivery. */
  extractAttachments?(refs: readonly AttachmentRef[], raw: RawDelivery, context: PluginContext<Settings>): Promise<readonly (Uint8Array | null)[]>;
  /** Fetches from the provider what an event referred to. Called after the message is in, so that a slow download holds nobody up. `raw`: the delivery the event came from; null after `catchUp`. */
  fetchAttachment?(ref: AttachmentRef, context: PluginContext<Settings>, raw: RawDelivery | null): Promise<Uint8Array>;

  /** The provider's templates, as an agent may choose them (WA-2). */
  listTemplates?(context: PluginContext<Settings>): Promise<readonly Template[]>;

  /** Puts a decision on a call into the provider's words. Pure; the caller is waiting. */
  answerCall?(question: CallQuestion, instruction: CallInstruction, context: PluginContext<Settings>): Response;
  /** Calls a contact back (CALL-4): rings the agent first, then the contact. Outcomes come in as call events. */
  placeCall?(call: OutboundCall, context: PluginContext<Settings>): Promise<{ readonly providerMessageId: string }>;

  /** A server of the plugin's own, one for all of its channels. */
  listen?(context: ListenContext<Settings>): Promise<Listener>;

  /** At connecting: checks the credentials, subscribes webhooks. Throws `Rejected` or `Unavailable`; nothing is kept then. */
  connect?(context: PluginContext<Settings>): Promise<void>;
  /** After settings were edited: tells the provider what it shows itself (a greeting). Throws `Rejected` or `Unavailable`; the edit is undone then. */
  update?(context: PluginContext<Settings>): Promise<void>;
  /** At disconnecting: unsubscribes. A failure does not keep the channel. Also called to take a `connect` back whose outcome nobody knows, or that came to nothing. */
  disconnect?(context: PluginContext<Settings>): Promise<void>;
  /** Whether the credentials are still good. Throws `Disconnected` or `Unavailable`. */
  check?(context: PluginContext<Settings>): Promise<void>;
  /** Renews watches and subscriptions; called daily. */
  renew?(context: PluginContext<Settings>): Promise<void>;
  /** History since a cursor the engine kept (PLUG-7). */
  catchUp?(cursor: string | undefined, context: PluginContext<Settings>): Promise<CatchUpPage>;
  /** Public pages of a channel: widget, form. */
  page?(request: Request, context: PageContext<Settings>): Promise<Response>;
  /** What an admin puts into a page of their own, as HTML: a script tag, a frame (CHAT-1, FORM-2). `pageUrl`: as in `PageContext`. Pure. */
  snippet?(settings: Settings, pageUrl: string): string;
  /** Whether a conversation is mailed to the visitor when it is closed, and through which channel: its key; none: the account's system sender (CHAT-4). Pure. */
  transcripts?(settings: Settings): { readonly onClose: boolean; readonly from?: string };
  /** How a message of this author would look outside: from name and signature, greetings. Pure; for the admin who edits the settings. */
  preview?(settings: Settings, author: Author): readonly Preview[];
  /** Where `repliesThrough` is declared: the key of the channel by which answers go unless the agent picks another. The engine checks that it can. Pure. */
  replyChannel?(settings: Settings): string | undefined;
  /** Whom the settings name as targets of a hand-off. Pure. */
  routingTargets?(settings: Settings): RoutingTargets;
  /** Why a channel with these settings can not be moved, by the plugin's own lights. Pure; fixed phrases. */
  migrationProblems?(settings: Settings): readonly string[];
}

/** A plugin the engine can load. Only `definePlugin` makes one. */
export type Plugin<Settings = unknown> = PluginDefinition<Settings>;

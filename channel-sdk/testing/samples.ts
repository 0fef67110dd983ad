import type { CallInstruction, CallQuestion, ChannelInfo, Identity, OutboundMessage, PageContext, RawDelivery, ReservedIds } from '../index.ts';

/** A delivery, made at once or with effort (through the plugin's own page). */
type Made = RawDelivery | Promise<RawDelivery>;

/** Part of an event: what is named must be equal, what is not named may be anything. */
export type ExpectedEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

/** One kind of delivery the provider makes. */
export interface DeliverySample {
  /** For people: 'a text message'. */
  readonly name: string;
  /** As the provider sends it, unsigned. Another `n` is another message of the same kind; the same `n` the same bytes. */
  raw(n: number, channel: ChannelInfo<unknown>): Made;
  /** What it must give, in order. */
  gives(n: number): readonly ExpectedEvent[];
  /** The bytes of the attachments of its messages and of the recordings of its calls, in order. */
  files?(n: number): readonly Uint8Array[];
}

/** The provider asks whether this address is ours; nobody signs that. */
export interface HandshakeSample {
  readonly name: string;
  raw(channel: ChannelInfo<unknown>): RawDelivery;
  readonly answer: { readonly status: number; readonly body: string };
}

/** Webhooks: how the provider signs. */
export interface WebhookSamples {
  /** The same delivery with the signature the provider gives it for this channel. */
  sign(raw: RawDelivery, channel: ChannelInfo<unknown>): RawDelivery;
  /** Empty: this provider makes none. */
  readonly handshakes: readonly HandshakeSample[];
}

/** What a stand-in for the provider does with everything it is asked from now on. */
export const PROVIDER_FAULTS = ['refused', 'rate-limit', 'unavailable', 'reject', 'disconnect', 'garbage', 'huge', 'silence'] as const;
/** `refused`: no connection is made; the suite does it itself where the stand-in is a `fetch`, a server of its own stops listening. `garbage`: takes it, answers nonsense. `huge`: takes it, answers 10 MB. `silence`: takes it, never answers. The others refuse it. */
export type ProviderFault = (typeof PROVIDER_FAULTS)[number];

/** A message as the provider understood it. */
export interface TakenMessage {
  /** Whom it goes to, written as `OutboundMessage.to.value`: the provider's own way of writing a number or an id is undone. Several: the first. */
  readonly to: string;
  /** What the recipient reads; what the plugin adds to it (a signature) may stand there too. */
  readonly text: string;
  readonly template?: OutboundMessage['template'];
  readonly quickReplies?: OutboundMessage['quickReplies'];
}

/** A stand-in for the provider, made anew for each check. */
export interface StandIn {
  /** Settings as an admin types them, where they say where the provider is; absent: the samples' valid ones. */
  readonly settings?: unknown;
  /** What `context.fetch` is; absent: the plugin speaks another way. */
  readonly fetch?: typeof fetch;
  behave(how: ProviderFault | 'well'): void;
  /** How many messages it has taken. */
  taken(): number;
  /** Called when it has taken a message and before it answers. */
  onTaken(listener: () => Promise<void>): void;
  /** The message it took last: called for by `send`. */
  last?(): TakenMessage | undefined;
  /** The message it took last, sent back as the provider sends it, unsigned. */
  echo?(): RawDelivery;
  /** How many subscriptions it holds for this channel: called for by `connection.subscribes`. */
  subscriptions?(): number;
  /** What it gave until now (tokens, keys) is no good any more: called for by `connection.refreshes`. */
  expire?(): void;
  /** Puts message `n` of the first delivery sample into its history. */
  remember?(n: number): void;
  close?(): Promise<void>;
}

/** Sending. */
export interface OutboundSamples {
  /** Absent where the channel's own live page shows what is sent: nobody else is asked, and nothing of a provider's can fail. */
  provider?(channel: 'valid' | 'second'): StandIn | Promise<StandIn>;
  /** Another `n` is another message to another contact; the last message of the contact is a minute old. */
  message(n: number): OutboundMessage;
  /** A message to contact `n` that begins a conversation, where it needs more than `message(n)` without what came before (and `template`, where only that may be sent). */
  start?(n: number): OutboundMessage;
  /** A template the provider knows: called for by templates, and by windows that leave only those. */
  readonly template?: NonNullable<OutboundMessage['template']>;
  /** Faults this provider does not have, each with the reason. */
  readonly lacks?: Partial<Readonly<Record<ProviderFault, string>>>;
  /** Whether the provider sends back what we sent. */
  readonly echoes: boolean;
  /** What a contact answers to a message with these ids: called for by `reserve`. */
  answer?(ids: ReservedIds, message: OutboundMessage, channel: ChannelInfo<unknown>): RawDelivery;
  /** What comes in when contact `n` chooses the quick reply with this choice: called for by `quickReplies`. */
  choice?(choice: string, n: number, channel: ChannelInfo<unknown>): Made;
}

/** Calls, where `callControl` is declared. */
export interface CallSamples {
  /** Deliveries that wait for what is to become of a call, and what `verify` must make of each. */
  readonly questions: readonly { readonly name: string; raw(n: number, channel: ChannelInfo<unknown>): RawDelivery; asks(n: number): CallQuestion }[];
  /** What the provider makes of an answer of `answerCall`. */
  understands(answer: Response): Promise<CallInstruction>;
  /** Whom contact and agent are for `placeCall`. */
  readonly call?: { readonly agent: Identity; readonly to: Identity };
}

/** `connect`, `update`, `disconnect`, `check`, `renew`. */
export interface ConnectionSamples {
  /** `connect` has the provider send us what happens, `renew` keeps it so, `disconnect` ends it. */
  readonly subscribes: boolean;
  /** `renew` fetches what expires (tokens, keys) and keeps it in `state`. */
  readonly refreshes: boolean;
  /** Faults this provider does not have when it is asked for these, each with the reason. */
  readonly lacks?: Partial<Readonly<Record<ProviderFault, string>>>;
}

/** Public pages. */
export interface PageSamples {
  /** Paths below the page's own address that do something, such as '/' or '/submissions'. */
  readonly paths: readonly string[];
  /** What a visitor does, and what must come of it. */
  readonly visits: readonly {
    readonly name: string;
    request(pageUrl: string, context: PageContext<unknown>): Request | Promise<Request>;
    readonly status: number;
    /** Whether a delivery is made of it. */
    readonly delivers: boolean;
  }[];
  /** Called for by `live`. */
  readonly live?: LiveSamples;
}

/** A visitor of a live page, with what their page asks for. */
export interface LiveVisit {
  readonly visitor: Identity;
  /** Opens the stream; `after`: the id of the last message this page has. */
  stream(after?: string): Request;
  /** Says it. The same `n` is the same message once more. */
  write(text: string, n: number): Request;
  /** Gives a sign of life, as its script does while the page is open. */
  here(): Request;
  /** Is writing: called for by `typing`. */
  typing?(): Request;
  /** What somebody would ask for who makes up who they are: another's id, a proof cut short, none. */
  forged(): readonly Request[];
}

/** Live pages. */
export interface LiveSamples {
  /** Comes as a new visitor, by asking the page as its own script does. */
  visit(ask: (request: Request) => Promise<Response>, pageUrl: string): Promise<LiveVisit>;
}

/** A server of the plugin's own. */
export interface ListenerSamples {
  /** Hands message `n` over as the provider's server would; whether it was confirmed. */
  handOver(port: number, channel: ChannelInfo<unknown>, n: number): Promise<boolean>;
}

/** Everything the author of a plugin knows of the provider that the suite can not know. */
export interface ConformanceSamples {
  readonly settings: {
    /** As an admin types them, with a value for each secret. */
    readonly valid: unknown;
    /** Another channel of the same plugin: another address, other secrets. */
    readonly second: unknown;
    /** Settings that are called a token, a secret, a password or a key and are none, each with the reason. */
    readonly open?: Readonly<Record<string, string>>;
    /** Each with the field that is wrong: 'smtp.host'. */
    readonly invalid: readonly { readonly name: string; readonly settings: unknown; readonly path: string }[];
  };
  /** The first is a message of a contact. */
  readonly deliveries: readonly DeliverySample[];
  /** Message `0` of the first sample with something in it that the provider may add tomorrow. */
  unknownFields(channel: ChannelInfo<unknown>): Made;
  /** Deliveries in which something is missing; `Malformed` or the events that are left. */
  readonly missingFields: readonly {
    readonly name: string;
    raw(channel: ChannelInfo<unknown>): Made;
    readonly gives: readonly ExpectedEvent[] | 'Malformed';
  }[];
  /** Messages `0` to `count - 1` of the first sample in one delivery, where the provider does that. */
  batch?(count: number, channel: ChannelInfo<unknown>): RawDelivery;
  readonly webhook?: WebhookSamples;
  /** One delivery with message `0` of the first sample for each of two channels: called for by `sharedDoor`. */
  shared?(one: ChannelInfo<unknown>, two: ChannelInfo<unknown>): RawDelivery;
  /** The provider where nothing is sent to it, but it is asked: to connect, to call. */
  provider?(channel: 'valid' | 'second'): StandIn | Promise<StandIn>;
  readonly connection?: ConnectionSamples;
  readonly calls?: CallSamples;
  readonly outbound?: OutboundSamples;
  readonly page?: PageSamples;
  readonly listener?: ListenerSamples;
  /** Milliseconds one `parse` may take; 5,000 unless given, as in the engine. */
  readonly parseMillis?: number;
}

/** Whether it has fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether there is a stand-in for the provider. */
export function hasProvider({ outbound, provider }: ConformanceSamples): boolean {
  return outbound?.provider !== undefined || provider !== undefined;
}

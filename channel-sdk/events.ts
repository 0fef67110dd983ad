import type { IdentityKind } from './capabilities.ts';

/** One way to recognise somebody. `value` is already in its canonical form (a lower-case mail address, E.164, …). */
export interface Identity {
  readonly kind: IdentityKind;
  readonly value: string;
  /** A display name the provider gave, if any. */
  readonly name?: string;
}

/** An attachment, known but not yet fetched (`fetchAttachment`), or carried in the delivery itself. */
export interface AttachmentRef {
  /** What the plugin needs to fetch it again: opaque to the engine. */
  readonly ref: string;
  readonly fileName: string;
  readonly type: string;
  /** Size in bytes where it is known. */
  readonly bytes?: number;
  /** What the HTML calls it in a `cid:` address, without brackets: it belongs into the text, not under it. */
  readonly contentId?: string;
}

interface EventBase {
  /** The same delivery gives the same key, however often it comes; different events of one channel never share one (MODEL-4). */
  readonly dedupeKey: string;
  /** The provider's own date (ISO 8601), never the sender's; leave out where the provider gives none. Later than our receipt counts as our receipt. */
  readonly occurredAt?: string;
}

/** Where a message belongs. Keys are opaque to the engine and unique within one channel. */
export interface Thread {
  /** Keys that something only we could have signed named (a token in our own Reply-To address), best first. They come before `joins`, and join also where the sender's authentication is not `pass`. */
  readonly proven?: readonly string[];
  /** Keys of conversations it may continue, best first: the first known one counts. */
  readonly joins: readonly string[];
  /** Keys that lead to its conversation from now on. */
  readonly keys: readonly string[];
}

/** What is known of whether the sender is who they say they are. */
export interface Authentication {
  /** `pass`: the sender's own domain vouches for it. `fail`: it denies it. `unknown`: nobody said; thread keys alone do not join then (EMAIL-8). */
  readonly verdict: 'pass' | 'fail' | 'unknown';
  /** Who judged: fixed words of the plugin's ('forwarder', 'arc', 'direct'), for people. */
  readonly by: string;
  /** Each check by its name ('spf', 'dkim', 'dmarc', 'arc') with its result in one word ('pass', 'fail', 'none', 'temperror', …). */
  readonly checks: Readonly<Record<string, string>>;
}

/** Something said by a contact, or by us elsewhere (`echo`: sent from the provider's own app, or our own send coming back). */
export interface InboundMessage extends EventBase {
  readonly type: 'message';
  readonly direction: 'inbound' | 'echo';
  /** The provider's id of the message; one message of a channel has one, however often it is delivered. With `authentication` it is only the sender's word: another sender, text or file under the same id (and another `dedupeKey`) is another message, and kept too. */
  readonly providerMessageId: string;
  /** Null: the sender can not be told, and is never matched to anybody (EMAIL-7). For an echo: whom it was sent to. */
  readonly contact: Identity | null;
  /** Who really sent it, where the contact is somebody else (a forward): the account's lists of senders judge this one too (EMAIL-6). */
  readonly author?: Identity;
  /** Others who take part: cc, other recipients. Not our own addresses. */
  readonly participants: readonly Identity[];
  readonly thread: Thread;
  readonly subject?: string;
  /** What is new in it; quoted history stands in `quoted`. */
  readonly text: string;
  /** As it came, quoted history left out; the engine sanitises it before it is shown. */
  readonly html?: string;
  /** The history it quotes, split off: shown on demand (CH-7). */
  readonly quoted?: { readonly text: string; readonly html?: string };
  /** All of the HTML as it came, where `html` leaves something out: kept, never shown. */
  readonly originalHtml?: string;
  /** Absent: the plugin's provider vouches for every sender. */
  readonly authentication?: Authentication;
  readonly attachments: readonly AttachmentRef[];
  /** For an echo: our own `OutboundMessage.id`, where the provider carries one through; so an echo before the send's answer is known (FB-7). */
  readonly outboundId?: string;
  /** What was chosen among quick replies, or a postback's payload. */
  readonly choice?: string;
  /** Where the conversation was begun (a link's `ref`): may choose the chatflow (FB-2). */
  readonly entryPoint?: string;
  /** What a ticket that begins with it says of itself, beside its name, which is the subject (FORM-1). */
  readonly ticketDescription?: string;
  /** A form's answers with the labels they had then, so that a later edit changes nothing (FORM-4). Hidden ones are not shown to agents. */
  readonly fields?: readonly { readonly name: string; readonly label: string; readonly value: string; readonly hidden: boolean }[];
  /** Written by a machine: never answered, reopens nothing, and answering nothing of ours makes no conversation (EMAIL-6). */
  readonly automatic?: 'auto-reply' | 'bounce';
}

/** What became of a message we sent. */
export interface ReceiptEvent extends EventBase {
  readonly type: 'receipt';
  readonly providerMessageId: string;
  readonly state: 'sent' | 'delivered' | 'read' | 'failed';
  /** A provider's code or a fixed phrase; never an address or a text. */
  readonly reason?: string;
  /** Our own `OutboundMessage.id`, where the provider carries one through: settles a send whose outcome was unknown. */
  readonly outboundId?: string;
}

/** Everything we sent to a contact up to a moment has been delivered or read: some providers tell no ids. */
export interface WatermarkEvent extends EventBase {
  readonly type: 'watermark';
  readonly contact: Identity;
  readonly state: 'delivered' | 'read';
  /** ISO 8601, by the provider's clock. */
  readonly through: string;
}

/** A step in the life of a call. */
export interface CallEvent extends EventBase {
  readonly type: 'call';
  readonly providerMessageId: string;
  readonly direction: 'inbound' | 'outbound';
  readonly contact: Identity | null;
  readonly phase: 'ringing' | 'answered' | 'missed' | 'voicemail' | 'ended';
  readonly durationSeconds?: number;
  readonly recording?: AttachmentRef;
}

/** The contact is writing. Told to agents within 10 s where `typing` is declared, never stored. */
export interface TypingEvent extends EventBase {
  readonly type: 'typing';
  readonly contact: Identity;
}

/** The provider says a contact's identity has changed (a new phone number). */
export interface IdentityChangedEvent extends EventBase {
  readonly type: 'identity-changed';
  readonly old: Identity;
  readonly new: Identity;
}

/**
 * One more identity of a contact (CHAT-3). A mail address or a number here is one that was typed: the contact is answered there, and recognised by it only once
 * mail from there proves it. For what the provider vouches for there is `identity-changed`.
 */
export interface IdentityAddedEvent extends EventBase {
  readonly type: 'identity-added';
  readonly contact: Identity;
  readonly added: Identity;
}

/** A contact said yes or no to what the channel asked. `processing`: being stored at all (FB-4). `business-initiated`: being written to first; a stop word says no (WA-3). */
export interface ConsentEvent extends EventBase {
  readonly type: 'consent';
  readonly contact: Identity;
  readonly purpose: 'processing' | 'business-initiated';
  readonly given: boolean;
}

/** A visitor's page is connected or has gone. Taken in and not used: a word without a sign of life after it would be wrong within a minute. Who is here is known from open pages (CHAT-6). */
export interface PresenceEvent extends EventBase {
  readonly type: 'presence';
  readonly contact: Identity;
  readonly here: boolean;
}

/** The provider says only that there is something to fetch: the engine calls `catchUp`. `gap`: something was missed, and what is recovered is counted (EMAIL-9). */
export interface CatchUpEvent extends EventBase {
  readonly type: 'catch-up';
  readonly why: 'news' | 'gap';
}

/** The channel's health as the provider tells it: a revoked token, a page removed (CH-4). */
export interface HealthEvent extends EventBase {
  readonly type: 'health';
  readonly health: 'CONNECTED' | 'DEGRADED' | 'DISCONNECTED';
  readonly reason: string;
}

/** Everything `parse` and `catchUp` may return. */
export type InboundEvent =
  | InboundMessage
  | ReceiptEvent
  | CallEvent
  | TypingEvent
  | WatermarkEvent
  | IdentityChangedEvent
  | IdentityAddedEvent
  | ConsentEvent
  | PresenceEvent
  | CatchUpEvent
  | HealthEvent;

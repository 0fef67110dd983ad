import type { Identity } from './events.ts';

/** A person who writes, as the outside may see them. */
export interface Author {
  readonly fullName: string;
  readonly firstName: string;
  readonly lastName: string;
}

/** A file to send along: stored by the engine, read only when it is needed. */
export interface OutboundAttachment {
  readonly fileName: string;
  readonly type: string;
  readonly bytes: number;
  /** What the message's HTML calls it in a `cid:` address, without brackets: it goes into the text, not under it. */
  readonly contentId?: string;
  /** All of it. Rejects with `Unavailable`. */
  read(): Promise<Uint8Array>;
}

/** One message to send. The engine calls `send` for it once; it never repeats a send whose outcome is unknown (CH-5). */
export interface OutboundMessage {
  /** Ours, never changes, the same at every try: an idempotency key where the provider takes one. */
  readonly id: string;
  /** `consent`: asks before there is a conversation (FB-4); its quick replies are yes and no. */
  readonly kind: 'reply' | 'start' | 'consent';
  readonly to: Identity;
  readonly cc: readonly Identity[];
  readonly subject: string | null;
  readonly text: string;
  readonly html: string | null;
  readonly author: Author | null;
  /** Who speaks: windows and tags differ. */
  readonly sender: 'person' | 'automation';
  /** Provider message ids of the conversation so far on this channel, oldest first, at most the last 50. */
  readonly precedingIds: readonly string[];
  /** The newest message of the contact on this channel, if any. */
  readonly inReplyTo: string | null;
  /** When the contact last wrote here, ISO 8601: what may be said, and under which tag, can depend on it (FB-5). */
  readonly lastInboundAt?: string;
  readonly quickReplies?: readonly { readonly label: string; readonly choice: string }[];
  readonly attachments: readonly OutboundAttachment[];
  /** An approved text of the provider's (WA-2). */
  readonly template?: { readonly name: string; readonly language: string; readonly parameters: readonly string[] };
}

/** One thing that would be seen outside, for a preview. */
export interface Preview {
  /** What it is: 'From', 'Signature'. */
  readonly label: string;
  readonly text: string;
  /** Sanitised by the plugin. */
  readonly html?: string;
}

/** The ids a message will carry, where the plugin (not the provider) chooses them. */
export interface ReservedIds {
  readonly providerMessageId: string;
  /** Thread keys by which an answer finds the conversation. */
  readonly keys: readonly string[];
}

/** The provider has taken it. */
export interface SendReceipt extends ReservedIds {
  readonly state: 'sent' | 'delivered';
}

/** A template as the provider knows it. */
export interface Template {
  readonly name: string;
  readonly language: string;
  readonly text: string;
  readonly parameters: number;
  readonly approved: boolean;
}

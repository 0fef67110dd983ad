import type { PluginContext } from './context.ts';
import type { Identity } from './events.ts';
import type { RawDelivery } from './raw-delivery.ts';

/** A message as a visitor's own page may see it. */
export interface VisibleMessage {
  readonly id: string;
  readonly from: 'visitor' | 'us';
  /** Of the visitor's own: the `providerMessageId` its plugin gave it, so that a page knows what it sent itself. */
  readonly providerMessageId: string | null;
  /** The name an agent shows outside; null for a machine and for the visitor. */
  readonly author: string | null;
  readonly text: string;
  readonly html: string | null;
  readonly quickReplies: readonly { readonly label: string; readonly choice: string }[];
  /** ISO 8601. */
  readonly at: string;
}

/** What a visitor's open page is told at once. */
export type PageNews =
  | { readonly type: 'message'; readonly message: VisibleMessage }
  | { readonly type: 'typing'; readonly author: string }
  | { readonly type: 'joined'; readonly author: string }
  /** An agent has closed the conversation; what the visitor writes next opens it again, or begins another. */
  | { readonly type: 'closed' };

/** What a public page can do beyond `PluginContext`. Nobody is signed in: the plugin proves who a visitor is by a token it signed (`sign`). */
export interface PageContext<Settings> extends PluginContext<Settings> {
  /** The page's own public address, without a slash at its end: `https://help.acme.com/pages/<plugin>/<channel key>`. */
  readonly pageUrl: string;
  /** Takes a delivery in, as if a provider had sent it: stored durably once this resolves, then parsed. Rejects with `Unavailable`. */
  deliver(raw: RawDelivery): Promise<void>;
  /** A visitor's messages, oldest first, after one of them or from the start; at most 100: ask until there are none. After one that an earlier request was given, some may come again; the page knows messages by their ids. */
  history(visitor: Identity, after?: string): Promise<readonly VisibleMessage[]>;
  /** What happens from this call on, until `signal` is aborted. Call it first and read `history` then: what is said in between may come twice, and is never missed. */
  news(visitor: Identity, signal: AbortSignal): AsyncIterable<PageNews>;
  /**
   * Never stored, never parsed. `typing`: the visitor is writing. `here`: a sign of life by the visitor's page itself, about every 25 s while it is open; never by the plugin of its own
   * accord, for a page that was frozen or vanished keeps its stream. Whose page gave none for a minute has left (CHAT-6).
   */
  tell(visitor: Identity, what: 'typing' | 'here'): void;
  /**
   * Has the visitor's newest conversation mailed to them (CHAT-4). `no-address`: none is known; `no-conversation`: there is none, or nothing that may be sent to an address
   * that was only typed, for no person has answered; `too-many`: that address, or this channel, has had its transcripts of the day: answer 429.
   */
  transcript(visitor: Identity): Promise<'queued' | 'no-address' | 'no-conversation' | 'too-many'>;
  /** Whether one of those whom the channel's rule names is available now; where it names nobody, anybody who works in its place (CHAT-3). */
  available(): Promise<boolean>;
  /** Counts a request against the limits of its origin. False: too many, answer 429. */
  allow(origin: string): Promise<boolean>;
}

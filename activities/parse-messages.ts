import type { AttachmentRef, ChannelInfo, Failure, RawDelivery } from '@trunkline/channel-sdk';

/** What a parsing thread is started with. */
export interface ThreadData {
  /** The config module, the only one that names plugins. */
  readonly configUrl: string;
  readonly pluginKey: string;
}

export interface ParseRequest {
  readonly id: number;
  readonly channel: ChannelInfo<unknown>;
  /** The key behind the channel's `sign`. */
  readonly signingKey: Uint8Array;
  readonly raw: RawDelivery;
  /** Given: these are taken out of the delivery, and it is not parsed to events. */
  readonly refs?: readonly AttachmentRef[];
  /** Given: these are events already, of no delivery; only what may be shown of them is made. */
  readonly given?: readonly unknown[];
}

/** `events` and `files` are what the plugin gave, unchecked; where events bring HTML, `safe` follows: what may be shown of it, event by event. `error`: the class of what it threw, for its message may hold content. */
export type ParseAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'events'; readonly id: number; readonly events: unknown; readonly html: boolean }
  | { readonly type: 'safe'; readonly id: number; readonly safe: unknown }
  | { readonly type: 'files'; readonly id: number; readonly files: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly failure: Failure }
  | { readonly type: 'error'; readonly id: number; readonly error: string };

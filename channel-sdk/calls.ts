import type { Identity } from './events.ts';

/** A provider waits for what to do with a call: in seconds, for somebody hears the silence. */
export interface CallQuestion {
  /** The provider's id of the call; the `providerMessageId` of its events. */
  readonly callId: string;
  readonly contact: Identity | null;
  /** `new`: it rings. `not-answered`: who was rung did not pick up. `recorded`: the caller has spoken after the tone. */
  readonly step: 'new' | 'not-answered' | 'recorded';
}

/** What is to become of it. The engine decides by the same rules as for messages (CALL-2). */
export type CallInstruction =
  | { readonly type: 'ring'; readonly target: Identity; readonly seconds: number; readonly record: boolean; readonly announcement: string | null }
  | { readonly type: 'voicemail'; readonly announcement: string }
  | { readonly type: 'hang-up'; readonly announcement: string | null };

/** A call an agent begins. */
export interface OutboundCall {
  /** Ours, the same at every try. */
  readonly id: string;
  readonly agent: Identity;
  readonly to: Identity;
}

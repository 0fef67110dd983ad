import type { Checked } from './checked.ts';

/** How a mail was handed in, as SMTP told it. */
export interface Handover {
  /** The client's address. */
  readonly ip: string;
  /** What it calls itself. */
  readonly helo: string;
  /** The envelope's sender; empty for a bounce. */
  readonly sender: string;
}

/** What a thread finds out: all but who the client is. */
export type Found = Omit<Checked, 'client' | 'local'>;

/** What a checking thread is told. `job`: one mail. */
export type CheckRequest =
  | { readonly type: 'check'; readonly job: number; readonly mail: Uint8Array; readonly handover: Handover }
  | { readonly type: 'answer'; readonly question: number; readonly records?: readonly unknown[]; readonly code?: string };

/** What it says. `ready`: it has loaded. */
export type CheckAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'ask'; readonly job: number; readonly question: number; readonly name: string; readonly rrtype: string }
  | { readonly type: 'found'; readonly job: number; readonly found: Found };

/** What is said of a mail that was not looked at. */
export function nothing(result: string): Found {
  return { spf: { result, domain: null }, dkim: [], dmarc: { result, from: null, signed: false }, arc: { result, sealer: null, says: '' } };
}

import type { SendRate } from '@trunkline/channel-sdk';

/** How things stand with a channel and a message that is to leave; milliseconds since 1970. */
export interface Pace {
  readonly now: number;
  /** Before then nothing leaves by the channel. */
  readonly pacedAt: number;
  /** The end of the line: the first turn nobody has taken. */
  readonly lineAt: number;
  /** The message's turn; null: it has taken none. */
  readonly slotAt: number | null;
  /** When its recipient was last written to by this channel; null: never. */
  readonly recipientAt: number | null;
}

/** `go`: it leaves now, and the channel stands as given. `wait`: until then, with that turn. */
export type PaceDecision =
  | { readonly kind: 'go'; readonly pacedAt: number; readonly lineAt: number }
  | { readonly kind: 'wait'; readonly until: number; readonly why: 'SEND_RATE' | 'RECIPIENT_RATE'; readonly slotAt: number | null; readonly lineAt: number };

/** What leaves evenly does not arrive evenly: so much of the rate is used. */
const SHARE = 0.9;
/** Milliseconds between two messages at the most, whatever a rate says: a definition with less than one an hour is refused. */
const LONGEST_GAP_MS = 3_600_000 / SHARE;
/** Milliseconds beyond the time between two messages to one recipient, for the same reason. */
const MARGIN_MS = 250;
/** Turns lie a little further apart than what leaves must: so a line that fell behind catches up. */
const TURNS_APART = 1.1;
/** Gaps by which one may come too late for its turn and still wait at the door for the next one; later it takes another turn. */
const LATE_GAPS = 3;

/**
 * Whether a message may leave by its channel's rate. Who can not leave takes a turn and comes back for it, so that of many that wait each asks a few times and
 * not all of them all the time. A turn is only when to come: what leaves is decided by when the last one left, so a line that was held up is not made up for.
 */
export function paceMessage({ accountPerSecond, recipientSeconds }: SendRate, { now, pacedAt: stored, lineAt, slotAt, recipientAt }: Pace): PaceDecision {
  const free = recipientSeconds === undefined || recipientAt === null ? now : recipientAt + recipientSeconds * 1000 + MARGIN_MS;
  if (free > now) return { kind: 'wait', until: free, why: 'RECIPIENT_RATE', slotAt: null, lineAt };
  if (accountPerSecond === undefined) return { kind: 'go', pacedAt: stored, lineAt };
  const gap = Math.min(1000 / (accountPerSecond * SHARE), LONGEST_GAP_MS);
  // Further ahead than one gap it was put by a slower rate, which counts no more.
  const pacedAt = Math.min(stored, now + gap);
  const itsTurn = slotAt === null ? lineAt <= now : slotAt <= now;
  if (itsTurn && pacedAt <= now) return { kind: 'go', pacedAt: now + gap, lineAt: Math.max(lineAt, now + gap) };
  const waits = (until: number, slot: number, line: number): PaceDecision => ({ kind: 'wait', until, why: 'SEND_RATE', slotAt: slot, lineAt: line });
  if (slotAt !== null && slotAt > now) return waits(slotAt, slotAt, lineAt);
  if (slotAt !== null && now - slotAt < LATE_GAPS * gap) return waits(pacedAt, slotAt, lineAt);
  const slot = Math.max(lineAt, pacedAt, now);
  return waits(slot, slot, slot + gap * TURNS_APART);
}

/** A conversation before its move to the help desk, as far as its ticket depends on it. */
export interface Moving {
  readonly hasTicket: boolean;
  readonly open: boolean;
  /** Whose it is, whichever row that stands in. */
  readonly ownerId: string | null;
  readonly ownerHasAccess: boolean;
  /** The statuses that new tickets get; null where they are not chosen yet. */
  readonly openStatusId: string | null;
  readonly closedStatusId: string | null;
}

/** What a moved conversation becomes, and why its owner is who it is. */
export interface Becomes {
  readonly ticket: 'KEPT' | 'NEW';
  readonly ownerId: string | null;
  /** Of a new ticket; null: the one its ticket has, or it is not chosen yet. */
  readonly statusId: string | null;
  readonly why: 'TICKET_KEPT' | 'OWNER_HAS_ACCESS' | 'OWNER_WITHOUT_ACCESS' | 'NOBODY_HAD_IT';
}

/** What the move makes of a conversation (MIG-9): a ticket that is there stays as it is; a new one has the owner, if they have access to the help desk, and a status by the mapping. */
export function becomes({ hasTicket, open, ownerId, ownerHasAccess, openStatusId, closedStatusId }: Moving): Becomes {
  if (hasTicket) return { ticket: 'KEPT', ownerId, statusId: null, why: 'TICKET_KEPT' };
  const statusId = open ? openStatusId : closedStatusId;
  if (ownerId === null) return { ticket: 'NEW', ownerId, statusId, why: 'NOBODY_HAD_IT' };
  return ownerHasAccess
    ? { ticket: 'NEW', ownerId, statusId, why: 'OWNER_HAS_ACCESS' }
    : { ticket: 'NEW', ownerId: null, statusId, why: 'OWNER_WITHOUT_ACCESS' };
}

/** Milliseconds that one transaction of the walk takes at best: beside live work, which waits no longer for its locks; and where nothing comes in. */
export const BATCH_AIM_MS = { besideLiveWork: 50, alone: 250 } as const;
const SMALLEST_BATCH = 50;
const LARGEST_BATCH = 5_000;

/**
 * How many conversations the next transaction takes, from how long the last one lasted: at most twice as many, so that one quick batch does not make the next a long one.
 * Never fewer than a handful because it was slow: what a transaction costs by itself would be all that is done.
 */
export function nextBatchSize(size: number, tookMs: number, aimMs: number): number {
  const fits = Math.max(SMALLEST_BATCH, Math.round((size * aimMs) / Math.max(1, tookMs)));
  return Math.min(LARGEST_BATCH, 2 * size, fits);
}

/** How live work is doing: the 99th percentile, in milliseconds, of how long deliveries waited to be taken in, and of how many. */
export interface LivePace {
  readonly p99Ms: number | null;
  readonly messages: number;
}

const FLOOR_MS = 200;
const SLOWED = 3;
const FEWEST_MESSAGES = 20;

/** Whether the walk lets live work go first (MIG-19): it is over three times as slow as in the minute before the start, and not merely a little slow. */
export function mustWait(now: LivePace, beforeMs: number | null): boolean {
  if (now.p99Ms === null || now.messages < FEWEST_MESSAGES) return false;
  return now.p99Ms > Math.max(FLOOR_MS, SLOWED * (beforeMs ?? 0));
}

/** Milliseconds after which the walk moves one batch, however slow live work is (MIG-19). */
export const LONGEST_WAIT_MS = 5_000;

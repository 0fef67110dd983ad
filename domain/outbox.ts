const STEPS_SECONDS = [5, 15, 60, 300, 900] as const;

/** Seconds a reply may wait for its channel before it fails (CH-4). */
export const GIVE_UP_AFTER_SECONDS = 72 * 3600;
/** Seconds a send may take; older, its outcome is unknown. */
export const SEND_LIMIT_SECONDS = 30;

/** Seconds until the next try after the n-th failed (1, 2, …): 5 s, 15 s, 1 min, 5 min, then every 15 min. */
export function backOffSeconds(attempt: number): number {
  return STEPS_SECONDS[Math.min(attempt, STEPS_SECONDS.length) - 1] ?? STEPS_SECONDS[0];
}

/** Delivery states in the order in which they follow one another; a receipt never leads back (CH-5). */
const RANK = { QUEUED: 0, SENDING: 1, MAYBE_SENT: 2, SENT: 3, DELIVERED: 4, READ: 5 } as const;

/** Whether a receipt moves a message on: never backwards, and `FAILED` only before it was delivered. */
export function receiptMovesOn(from: string, to: 'SENT' | 'DELIVERED' | 'READ' | 'FAILED'): boolean {
  if (from === 'FAILED' || from === 'QUEUED') return false;
  const rank = RANK[from as keyof typeof RANK];
  return to === 'FAILED' ? rank < RANK.DELIVERED : RANK[to] > rank;
}

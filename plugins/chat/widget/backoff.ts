const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** A server that asks for more is asked again after this. */
const LONGEST_ASKED_MS = 10 * 60_000;

/** How long to wait before try number `attempt` (from 0): doubling to 30 s, the second half of it by chance, so that all visitors of a restarted server do not come at once. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return full / 2 + (full / 2) * random;
}

/** `retry-after` as milliseconds from now: seconds or a date. Null: there is none that can be read. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null || header.trim() === '') return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? null : Math.min(LONGEST_ASKED_MS, Math.max(0, ms));
}

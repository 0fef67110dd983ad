const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const SPREAD_MS = { least: 1_000, most: 8_000 } as const;
/** A server that asks for more is asked again after this. */
const LONGEST_ASKED_MS = 10 * 60_000;

/** How long to wait before try number `attempt` (from 0): doubling to 30 s, the second half of it by chance. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return full / 2 + (full / 2) * random;
}

/** After a good stream was ended from outside: 1 to 8 s by chance, for a server that stops ends those of all its visitors at once, and they must not come back at once. */
export function spreadMs(random: number): number {
  return SPREAD_MS.least + (SPREAD_MS.most - SPREAD_MS.least) * random;
}

/** `retry-after` as milliseconds from now: seconds or a date. Null: there is none that can be read. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null || header.trim() === '') return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? null : Math.min(LONGEST_ASKED_MS, Math.max(0, ms));
}

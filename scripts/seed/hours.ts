/** One hour, how many conversations begin in it, and the number of its first. */
export interface Hour {
  readonly from: Date;
  readonly first: number;
  readonly count: number;
}

const HOUR_MS = 3_600_000;
const RECENT_WEEKS = 4;
const EARLIER_WEEKS = 26;
/** Of all conversations those that began before the last four weeks. */
const EARLIER_SHARE = 0.2;

/** By hour of the day, UTC: people write while they are awake, and most before noon. */
const BY_HOUR = [3, 2, 1, 1, 1, 2, 5, 14, 34, 56, 64, 58, 44, 48, 58, 54, 46, 38, 28, 22, 18, 14, 9, 5] as const;
/** By weekday, from Sunday on. */
const BY_WEEKDAY = [0.22, 1.15, 1.05, 1, 0.95, 0.85, 0.32] as const;

/** Every hour of the last thirty weeks that ends at `until`, in order, with its share of `total` conversations. The shares add up to the total exactly. */
export function spreadOverHours(total: number, until: Date): readonly Hour[] {
  const hours = Array.from({ length: (RECENT_WEEKS + EARLIER_WEEKS) * 7 * 24 }, (_, index, all = (RECENT_WEEKS + EARLIER_WEEKS) * 7 * 24) => {
    const from = new Date(until.getTime() - (all - index) * HOUR_MS);
    const weight = (BY_HOUR[from.getUTCHours()] ?? 0) * (BY_WEEKDAY[from.getUTCDay()] ?? 0);
    return { from, weight, recent: all - index <= RECENT_WEEKS * 7 * 24 };
  });
  const weightOf = (recent: boolean): number => hours.reduce((sum, hour) => sum + (hour.recent === recent ? hour.weight : 0), 0);
  const perRecent = (1 - EARLIER_SHARE) / weightOf(true);
  const perEarlier = EARLIER_SHARE / weightOf(false);
  let share = 0;
  let first = 1;
  return hours.map(({ from, weight, recent }) => {
    share += weight * (recent ? perRecent : perEarlier);
    // Rounded from the sum, so that no hour's rest is lost.
    const count = Math.min(total, Math.round(share * total)) + 1 - first;
    const hour = { from, first, count };
    first += count;
    return hour;
  });
}

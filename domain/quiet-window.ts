/** Messages that came in within an hour. */
export interface HourCount {
  /** When it began: a full hour. */
  readonly at: Date;
  readonly count: number;
}

/** When a move would meet the fewest messages. */
export interface QuietWindow {
  readonly startAt: Date;
  /** Messages to be expected from then until it is over: the mean of the four weeks. */
  readonly expected: number;
}

const HOUR_MS = 3_600_000;
const WEEK_HOURS = 7 * 24;
/** Weeks that are looked back on. */
const WEEKS = 4;
/** Hours that are looked back on. */
export const VOLUME_HOURS = WEEKS * WEEK_HOURS;

/**
 * The full hour within the next seven days from which on, for so many milliseconds, the fewest messages came in the four weeks before: those of the same hours of the
 * week, summed over the weeks; of several the soonest (MIG-6). Of an hour that is covered in part, that part of its messages counts. What lasts longer than a week
 * counts an hour as often as it meets it.
 *
 * A week is 168 hours here, and knows no time zone: an account has none, for contacts and agents live in several. In the four weeks after the clocks changed a quiet
 * hour shows up to an hour off, no more.
 */
export function quietWindow(hours: readonly HourCount[], spanMs: number, now: Date): QuietWindow {
  const counts = Array<number>(WEEK_HOURS).fill(0);
  for (const { at, count } of hours) counts[hourOfWeek(at.getTime() / HOUR_MS)] = (counts[hourOfWeek(at.getTime() / HOUR_MS)] ?? 0) + count;
  const first = Math.ceil(now.getTime() / HOUR_MS);
  // What takes no time begins in an hour all the same.
  const span = Math.max(1, Math.ceil(spanMs));
  const candidates = Array.from({ length: WEEK_HOURS }, (_, ahead) => ({ start: first + ahead, weight: weightFrom(counts, first + ahead, span) }));
  // `reduce` keeps the one before where both weigh the same.
  const quietest = candidates.reduce((best, one) => (one.weight < best.weight ? one : best));
  return { startAt: new Date(quietest.start * HOUR_MS), expected: quietest.weight / HOUR_MS / WEEKS };
}

/** Messages times milliseconds, which are whole numbers: two spans with the same messages weigh exactly the same. */
function weightFrom(counts: readonly number[], start: number, span: number): number {
  const weeks = Math.floor(span / (WEEK_HOURS * HOUR_MS));
  let weight = weeks === 0 ? 0 : weeks * HOUR_MS * counts.reduce((sum, one) => sum + one, 0);
  let rest = span - weeks * WEEK_HOURS * HOUR_MS;
  for (let hour = start; rest > 0; hour += 1, rest -= HOUR_MS) weight += Math.min(rest, HOUR_MS) * (counts[hourOfWeek(hour)] ?? 0);
  return weight;
}

/** Which of the 168 hours: of an hour counted from 1970. */
function hourOfWeek(hour: number): number {
  return Math.floor(hour) % WEEK_HOURS;
}

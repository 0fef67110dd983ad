import type { WorkingPeriod } from './working-time.ts';

/** What somebody's availability may be made of, and how many are brought up to date in one transaction. */
export const AVAILABILITY_LIMITS = {
  /** Working periods of one user. */
  periods: 70,
  /** Ranges out of office of one user that are not over. */
  outOfOffice: 100,
  /** Days ahead at which such a range ends at the latest: further is a slip of the pen. */
  outOfOfficeDays: 3_650,
  /** Users whose state is changed in one transaction when their moment has come. */
  flips: 500,
} as const;

/** Minutes after midnight of a time on the clock, '09:30', up to '24:00'; undefined: it is none. */
export function minutesOf(time: string): number | undefined {
  const found = /^(\d\d):(\d\d)$/.exec(time);
  if (found === null) return undefined;
  const [hours, minutes] = [Number(found[1]), Number(found[2])];
  const sum = hours * 60 + minutes;
  return minutes > 59 || sum > 1440 ? undefined : sum;
}

/** The same as text: '09:30'. */
export function clockTime(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}

/** Whether two periods share a minute. Those that touch do not. */
export function overlaps(one: WorkingPeriod, other: WorkingPeriod): boolean {
  return one.weekday === other.weekday && one.from < other.to && other.from < one.to;
}

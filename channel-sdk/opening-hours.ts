export const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A stretch of one day by the local clock. Several on one day are a split shift; one over midnight is written as two. */
export interface OpeningPeriod {
  readonly day: Weekday;
  /** `09:00`: open from this minute on. */
  readonly from: string;
  /** `17:30`: closed from this minute on; `24:00` is the end of the day. */
  readonly to: string;
}

/** When somebody is there. */
export interface OpeningHours {
  /** An IANA time zone: `Europe/Berlin`. */
  readonly timeZone: string;
  readonly periods: readonly OpeningPeriod[];
  /** Days of that time zone on which nobody is there, whatever the periods say: `2026-12-25`. */
  readonly closedOn: readonly string[];
}

/**
 * Whether it is open at a moment, in milliseconds since 1970. The local clock decides, so a change to or from daylight saving time moves nothing: an hour
 * that the clock leaves out is never open, and one that it shows twice is open twice. Throws `RangeError` for a time zone that does not exist.
 */
export function isOpen(hours: OpeningHours, at: number): boolean {
  const { day, date, time } = localClock(hours.timeZone, at);
  if (hours.closedOn.includes(date)) return false;
  // Times of one length compare as texts.
  return hours.periods.some((period) => period.day === day && period.from <= time && time < period.to);
}

/** Whether it names a time zone by its place; a fixed offset such as `+02:00` does not. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    clockOf(name);
    return true;
  } catch {
    return false;
  }
}

interface LocalClock {
  readonly day: string;
  readonly date: string;
  readonly time: string;
}

/** What calendar and clock on the wall show there. */
function localClock(timeZone: string, at: number): LocalClock {
  const parts = new Map(
    clockOf(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? '';
  return {
    day: part('weekday').toLowerCase(),
    date: `${part('year')}-${part('month')}-${part('day')}`,
    time: `${part('hour')}:${part('minute')}`,
  };
}

const clocks = new Map<string, Intl.DateTimeFormat>();
/** There are about 600 names; upper and lower case make no difference to Intl, but they would here. */
const CLOCKS_KEPT = 1_000;

/** Making one takes far longer than asking it. */
function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone,
    weekday: 'long',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  if (clocks.size >= CLOCKS_KEPT) clocks.clear();
  clocks.set(timeZone, made);
  return made;
}

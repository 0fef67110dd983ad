import { offsetSpans } from './time-zone.ts';
import { workingStretches, type Calendar, type Stretch } from './working-time.ts';

/** What one day by the local clock gave to a deadline. */
export interface CountedDay {
  /** By the calendar's own clock: '2026-03-29'. */
  readonly date: string;
  /** Milliseconds since 1970; the last of the last day ends at the deadline. */
  readonly stretches: readonly Stretch[];
  /** Milliseconds of working time of this day, and of all until its end. */
  readonly countedMs: number;
  readonly soFarMs: number;
  /** The clocks of this day are put forward or back: hours, negative where one is left out. */
  readonly shiftHours: number;
}

export interface Count {
  /** Null: the days that may be listed did not suffice. */
  readonly dueAt: number | null;
  /** Only days that gave something; the others between them gave nothing. */
  readonly days: readonly CountedDay[];
}

const DAY_MS = 24 * 3_600_000;
/** Days by the clock that are looked at: more than a year, for a goal is longer only by a slip of the pen. */
export const COUNTED_DAYS = 400;

/** How a deadline comes about, day by day: so that an admin sees what a calendar does to it (SLA-3). `ALWAYS` is told in UTC. */
export function countDays(calendar: Calendar, from: number, duration: number): Count {
  const timeZone = calendar.kind === 'ALWAYS' ? 'UTC' : calendar.timeZone;
  const days: CountedDay[] = [];
  let soFar = 0;
  for (const day of localDays(timeZone, from)) {
    const stretches: Stretch[] = [];
    let counted = 0;
    for (const stretch of workingStretches(calendar, Math.max(day.from, from), day.to)) {
      const left = duration - soFar - counted;
      if (left <= 0) break;
      const to = Math.min(stretch.to, stretch.from + left);
      stretches.push({ from: stretch.from, to });
      counted += to - stretch.from;
    }
    if (counted === 0) continue;
    soFar += counted;
    days.push({ date: day.date, stretches, countedMs: counted, soFarMs: soFar, shiftHours: (day.to - day.from - DAY_MS) / 3_600_000 });
    if (soFar >= duration) return { dueAt: stretches.at(-1)?.to ?? null, days };
  }
  return { dueAt: duration <= 0 ? from : null, days };
}

interface LocalDay extends Stretch {
  readonly date: string;
}

/** The days by a zone's clock from that of an instant on; one that a zone leaves out is not among them. */
function* localDays(timeZone: string, from: number): Generator<LocalDay, void, undefined> {
  let day: LocalDay | undefined;
  for (const span of offsetSpans(timeZone, from - DAY_MS * 2, from + COUNTED_DAYS * DAY_MS)) {
    for (let local = Math.floor((span.from + span.offset) / DAY_MS) * DAY_MS; local < span.to + span.offset; local += DAY_MS) {
      const date = new Date(local).toISOString().slice(0, 10);
      const begins = Math.max(local - span.offset, span.from);
      const ends = Math.min(local + DAY_MS - span.offset, span.to);
      // The clocks changed within it: it goes on.
      if (day?.date === date) {
        day = { ...day, to: ends };
        continue;
      }
      if (day !== undefined && day.to > from) yield day;
      day = { date, from: begins, to: ends };
    }
  }
  if (day !== undefined && day.to > from) yield day;
}

import { offsetSpans } from './time-zone.ts';

/** A stretch of one weekday by the local clock, in minutes after midnight: `[from, to)`; `to` is at most 1440. */
export interface WorkingPeriod {
  /** 1 is Monday, 7 is Sunday. */
  readonly weekday: number;
  readonly from: number;
  readonly to: number;
}

/** When time counts. Any number of periods a day (split shifts); one over midnight is written as two. */
export type Calendar =
  | { readonly kind: 'ALWAYS' }
  | {
      readonly kind: 'HOURS';
      /** An IANA time zone. */
      readonly timeZone: string;
      readonly periods: readonly WorkingPeriod[];
      /** Local dates, `2026-12-25`, of which no time counts. */
      readonly holidays: ReadonlySet<string>;
    };

/** A stretch in which all time counts: milliseconds since 1970, `[from, to)`. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Days that are looked at in one go. */
const WINDOW_DAYS = 14;
/** Years after which a calendar that has offered too little is given up. */
const YEARS_AHEAD = 20;

/**
 * The stretches of working time within `[from, to)`, in order, none touching another of the same day. An instant counts where the local clock shows a time inside a
 * period (SLA-3): so across a change of the clocks a period is shorter or longer, an edge in the hour that is left out is the instant of change, and an
 * hour that is shown twice counts twice.
 */
export function* workingStretches(calendar: Calendar, from: number, to: number): Generator<Stretch, void, undefined> {
  if (calendar.kind === 'ALWAYS') {
    if (from < to) yield { from, to };
    return;
  }
  for (const span of offsetSpans(calendar.timeZone, from, to)) {
    // On the wall's own clock, read as if it were UTC, all days have 24 hours.
    const end = span.to + span.offset;
    for (let day = floorDay(span.from + span.offset); day < end; day += DAY_MS) {
      for (const { from: opens, to: closes } of periodsOf(calendar, day)) {
        const stretch = {
          from: Math.max(day + opens * MINUTE_MS - span.offset, span.from),
          to: Math.min(day + closes * MINUTE_MS - span.offset, span.to),
        };
        if (stretch.from < stretch.to) yield stretch;
      }
    }
  }
}

/** Milliseconds of working time in `[from, to)`; 0 where `to` is not later. */
export function workingTimeBetween(calendar: Calendar, from: number, to: number): number {
  let sum = 0;
  for (const stretch of workingStretches(calendar, from, to)) sum += stretch.to - stretch.from;
  return sum;
}

/**
 * The first instant by which so much working time (milliseconds) has passed since `from`; `from` itself for 0 (SLA-14). Null where the calendar does not offer that
 * much within twenty years.
 */
export function addWorkingTime(calendar: Calendar, from: number, duration: number): number | null {
  if (duration <= 0) return from;
  if (calendar.kind === 'ALWAYS') return from + duration;
  let left = duration;
  const end = from + YEARS_AHEAD * 366 * DAY_MS;
  for (let at = from; at < end; at += WINDOW_DAYS * DAY_MS) {
    for (const stretch of workingStretches(calendar, at, Math.min(at + WINDOW_DAYS * DAY_MS, end))) {
      const length = stretch.to - stretch.from;
      if (left <= length) return stretch.from + left;
      left -= length;
    }
  }
  return null;
}

/** Whether an instant counts. */
export function isWorking(calendar: Calendar, at: number): boolean {
  return !workingStretches(calendar, at, at + 1).next().done;
}

/** The next instant after `at` at which time begins or ceases to count; null where it never does within a year. */
export function nextWorkingChange(calendar: Calendar, at: number): number | null {
  if (calendar.kind === 'ALWAYS') return null;
  const end = at + 366 * DAY_MS;
  if (!isWorking(calendar, at)) {
    for (const stretch of workingStretches(calendar, at, end)) return stretch.from;
    return null;
  }
  let until = at;
  for (const stretch of workingStretches(calendar, at, end)) {
    // Stretches that touch, as at midnight or where the clocks change, are one.
    if (stretch.from > until) return until;
    until = stretch.to;
  }
  return until >= end ? null : until;
}

function floorDay(local: number): number {
  return Math.floor(local / DAY_MS) * DAY_MS;
}

/** In order and without overlap. */
function periodsOf({ periods, holidays }: Extract<Calendar, { kind: 'HOURS' }>, day: number): readonly WorkingPeriod[] {
  const date = new Date(day);
  if (holidays.has(date.toISOString().slice(0, 10))) return [];
  const weekday = date.getUTCDay() === 0 ? 7 : date.getUTCDay();
  const today = periods.filter((period) => period.weekday === weekday);
  return today.length < 2 ? today : today.toSorted((a, b) => a.from - b.from);
}

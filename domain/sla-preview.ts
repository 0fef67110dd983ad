import type { GoalKind, Target } from './sla.ts';
import { clockOf, clockWords } from './sla-words.ts';
import { calendarOf, GOAL_KINDS, termsFor, type PolicyTarget, type StoredCalendar } from './sla-policy.ts';
import { offsetSpans } from './time-zone.ts';
import { countDays, COUNTED_DAYS } from './working-days.ts';
import { clockTime } from './working-hours.ts';
import { addWorkingTime, type Stretch } from './working-time.ts';

/** What a policy would ask from a moment on, and how it comes about (SLA-3). Moments are milliseconds since 1970. */
export interface ForetoldGoal {
  readonly kind: GoalKind;
  readonly target: Target;
  readonly dueAt: Told;
  /** Null: it is never due soon before it is due. */
  readonly dueSoonAt: Told | null;
  /** Those that gave something, in their order. */
  readonly days: readonly ForetoldDay[];
  /** False: the deadline is so far away that its last days are not listed. */
  readonly whole: boolean;
}

/** A moment, and how it reads by the calendar's clock. */
export interface Told {
  readonly at: number;
  readonly clock: string;
}

export interface ForetoldDay {
  /** By the calendar's clock: '2026-03-29'. */
  readonly date: string;
  readonly stretches: readonly ForetoldStretch[];
  readonly countedMs: number;
  readonly soFarMs: number;
  readonly shiftHours: number;
}

export interface ForetoldStretch extends Stretch {
  /** '09:00', and '24:00' for the end of the day. */
  readonly fromClock: string;
  readonly toClock: string;
}

const DAY_MS = 24 * 3_600_000;
const HOUR_MINUTES = 60;

/** The goals of a ticket of a priority that begins at a moment and never rests; null: of one that has no targets of its own. */
export function foretellGoals(targets: readonly PolicyTarget[], stored: StoredCalendar, at: number, priority: string | null): readonly ForetoldGoal[] {
  const calendar = calendarOf(stored);
  const timeZone = clockOf(stored);
  const of = termsFor({ id: '', policyId: '', number: 0, conditions: [], pauseStatusIds: [], actions: [], targets, calendar: stored }, priority ?? '').targets;
  return GOAL_KINDS.flatMap((kind) => {
    const target = of[kind];
    const dueAt = target === undefined ? null : addWorkingTime(calendar, at, target.durationMs);
    if (target === undefined || dueAt === null) return [];
    const { durationMs, dueSoonMs } = target;
    const dueSoonAt = dueSoonMs > 0 ? addWorkingTime(calendar, at, durationMs - dueSoonMs) : null;
    const count = countDays(calendar, at, durationMs);
    const last = at + (COUNTED_DAYS - 1) * DAY_MS;
    // The last day that is looked at need not be a whole one.
    const days = count.dueAt === null ? count.days.filter(({ stretches }) => (stretches[0]?.from ?? last) < last) : count.days;
    return [
      {
        kind,
        target,
        dueAt: told(dueAt, timeZone),
        dueSoonAt: dueSoonAt === null ? null : told(dueSoonAt, timeZone),
        days: days.map((day) => ({ ...day, stretches: day.stretches.map((stretch) => withClock(stretch, day.date, timeZone)) })),
        whole: count.dueAt !== null,
      },
    ];
  });
}

/** “the clocks are put forward by 1 hour”; null: they are not touched that day. */
export function shiftWords(shiftHours: number): string | null {
  if (shiftHours === 0) return null;
  const minutes = Math.round(Math.abs(shiftHours) * HOUR_MINUTES);
  const long = minutes % HOUR_MINUTES === 0 ? counted(minutes / HOUR_MINUTES, 'hour') : counted(minutes, 'minute');
  return `the clocks are put ${shiftHours < 0 ? 'forward' : 'back'} by ${long}`;
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function told(at: number, timeZone: string): Told {
  return { at, clock: clockWords(at, timeZone) };
}

function withClock({ from, to }: Stretch, date: string, timeZone: string): ForetoldStretch {
  return { from, to, fromClock: wallTime(from, from, date, timeZone), toClock: wallTime(to, to - 1, date, timeZone) };
}

/**
 * Hours and minutes on the wall, seen from a day: the midnight that ends it is 24:00. By the clocks as they were at `of`: what ends where they are put
 * forward ends before that.
 */
function wallTime(at: number, of: number, date: string, timeZone: string): string {
  const offset = offsetSpans(timeZone, of, of + 1)[0]?.offset ?? 0;
  const minutes = Math.floor((at + offset - Date.parse(`${date}T00:00:00Z`)) / 60_000);
  return clockTime(minutes);
}

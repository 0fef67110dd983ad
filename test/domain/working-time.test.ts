import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addWorkingTime, isWorking, nextWorkingChange, workingStretches, workingTimeBetween, type Calendar, type WorkingPeriod } from '#domain/working-time.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Both hemispheres, half hours and quarters, a change of half an hour, changes at midnight, and zones that never change. */
const ZONES = [
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/St_Johns',
  'America/Sao_Paulo',
  'America/Havana',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Australia/Sydney',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Africa/Casablanca',
  'UTC',
] as const;

/** Moments around which clocks are put forward or back somewhere. */
const CHANGES = [
  '2025-03-30T01:00Z',
  '2025-10-26T01:00Z',
  '2026-03-08T07:00Z',
  '2026-11-01T06:00Z',
  '2026-04-04T15:00Z',
  '2026-10-03T15:30Z',
  '2018-11-04T03:00Z',
  '2011-12-30T10:00Z',
];

const period = fc
  .record({ weekday: fc.integer({ min: 1, max: 7 }), a: fc.integer({ min: 0, max: 1440 }), b: fc.integer({ min: 0, max: 1440 }) })
  .filter(({ a, b }) => a !== b)
  .map(({ weekday, a, b }): WorkingPeriod => ({ weekday, from: Math.min(a, b), to: Math.max(a, b) }));

const calendars = fc
  .record({
    timeZone: fc.constantFrom(...ZONES),
    periods: fc.array(period, { maxLength: 12 }),
    holidays: fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 3 }),
  })
  .map(({ timeZone, periods, holidays }) => ({ timeZone, periods: apart(periods), holidays }));

/** As a calendar is saved: periods of one day do not overlap. */
function apart(periods: readonly WorkingPeriod[]): WorkingPeriod[] {
  const kept: WorkingPeriod[] = [];
  for (const one of periods) if (!kept.some((other) => other.weekday === one.weekday && one.from < other.to && other.from < one.to)) kept.push(one);
  return kept;
}

const starts = fc
  .record({ change: fc.constantFrom(...CHANGES), minutes: fc.integer({ min: -3 * 1440, max: 3 * 1440 }), seconds: fc.integer({ min: 0, max: 59 }) })
  .map(({ change, minutes, seconds }) => Date.parse(change) + minutes * MINUTE + seconds * 1000);

function calendarAt(made: { timeZone: string; periods: readonly WorkingPeriod[]; holidays: readonly number[] }, near: number): Calendar {
  const dates = made.holidays.map((days) => new Date(near + (days - 5) * 24 * HOUR).toISOString().slice(0, 10));
  return { kind: 'HOURS', timeZone: made.timeZone, periods: made.periods, holidays: new Set(dates) };
}

/** Asks the clock on the wall, every second of a minute apart: knows nothing of offsets. */
function counted(calendar: Calendar, from: number, to: number): number {
  if (calendar.kind === 'ALWAYS') return to - from;
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: calendar.timeZone,
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  let sum = 0;
  for (let at = from; at < to; at += MINUTE) {
    const parts = Object.fromEntries(clock.formatToParts(at).map(({ type, value }) => [type, value]));
    const weekday = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(parts['weekday'] ?? '') + 1;
    const minute = Number(parts['hour']) * 60 + Number(parts['minute']);
    const date = `${parts['year']}-${parts['month']}-${parts['day']}`;
    const open = calendar.periods.some((one) => one.weekday === weekday && one.from <= minute && minute < one.to);
    if (open && !calendar.holidays.has(date)) sum += MINUTE;
  }
  return sum;
}

describe('working time against a counter that asks the clock on the wall minute by minute [SLA-3, SLA-14]', () => {
  it('is the same over random calendars, zones and changes of the clocks', () => {
    fc.assert(
      fc.property(calendars, starts, fc.integer({ min: 0, max: 4 * 1440 }), (made, start, minutes) => {
        const from = Math.floor(start / MINUTE) * MINUTE;
        const calendar = calendarAt(made, from);
        expect(workingTimeBetween(calendar, from, from + minutes * MINUTE)).toBe(counted(calendar, from, from + minutes * MINUTE));
      }),
      { numRuns: 150 },
    );
  });
});

describe('the identities of the arithmetic [SLA-14]', () => {
  const durations = fc.integer({ min: 0, max: 10 * 24 * HOUR });

  it('what is added has passed: workingTimeBetween(t, addWorkingTime(t, d)) = d', () => {
    fc.assert(
      fc.property(calendars, starts, durations, (made, t, d) => {
        const calendar = calendarAt(made, t);
        const end = addWorkingTime(calendar, t, d);
        if (end !== null) expect(workingTimeBetween(calendar, t, end)).toBe(d);
        else expect(workingTimeBetween(calendar, t, t + 400 * 24 * HOUR)).toBeLessThan(d);
      }),
      { numRuns: 300 },
    );
  });

  it('addWorkingTime(t, workingTimeBetween(t, u)) is at most u, and u itself where the instant before u counts', () => {
    fc.assert(
      fc.property(calendars, starts, durations, (made, t, d) => {
        const calendar = calendarAt(made, t);
        const u = t + d;
        const back = addWorkingTime(calendar, t, workingTimeBetween(calendar, t, u));
        expect(back).not.toBeNull();
        expect(back ?? Number.NaN).toBeLessThanOrEqual(u);
        if (u > t && isWorking(calendar, u - 1)) expect(back).toBe(u);
      }),
      { numRuns: 300 },
    );
  });

  it('adding nothing changes nothing, and time adds up over any cut', () => {
    fc.assert(
      fc.property(calendars, starts, durations, durations, (made, t, a, b) => {
        const calendar = calendarAt(made, t);
        expect(addWorkingTime(calendar, t, 0)).toBe(t);
        expect(workingTimeBetween(calendar, t, t + a) + workingTimeBetween(calendar, t + a, t + a + b)).toBe(workingTimeBetween(calendar, t, t + a + b));
      }),
      { numRuns: 300 },
    );
  });

  it('the next change is the first instant that differs', () => {
    fc.assert(
      fc.property(calendars, starts, fc.integer({ min: 0, max: 1_000 }), (made, t, part) => {
        const calendar = calendarAt(made, t);
        const change = nextWorkingChange(calendar, t);
        const until = change ?? t + 300 * 24 * HOUR;
        const between = t + Math.floor(((until - 1 - t) * part) / 1_000);
        expect(isWorking(calendar, between)).toBe(isWorking(calendar, t));
        if (change !== null) expect(isWorking(calendar, change)).toBe(!isWorking(calendar, t));
      }),
      { numRuns: 300 },
    );
  });
});

describe('days on which the clocks are changed, read by eye [SLA-3]', () => {
  const berlin = (from: number, to: number): Calendar => ({
    kind: 'HOURS',
    timeZone: 'Europe/Berlin',
    periods: [{ weekday: 7, from, to }],
    holidays: new Set(),
  });
  const shown = (calendar: Calendar, day: string): string[] => {
    const from = Date.parse(`${day}T00:00+01:00`);
    return [...workingStretches(calendar, from, from + 25 * HOUR)].map((one) => `${new Date(one.from).toISOString()} ${(one.to - one.from) / MINUTE}`);
  };

  it('a period over the missing hour is an hour shorter', () => {
    expect(workingTimeBetween(berlin(60, 300), Date.parse('2026-03-29T00:00+01:00'), Date.parse('2026-03-30T00:00+02:00'))).toBe(3 * HOUR);
  });

  it('an edge in the missing hour is the instant of change', () => {
    expect(shown(berlin(150, 240), '2026-03-29')).toEqual(['2026-03-29T01:00:00.000Z 60']);
    expect(shown(berlin(60, 150), '2026-03-29')).toEqual(['2026-03-29T00:00:00.000Z 60']);
    expect(shown(berlin(125, 155), '2026-03-29')).toEqual([]);
  });

  it('a repeated hour counts twice', () => {
    expect(workingTimeBetween(berlin(120, 180), Date.parse('2026-10-25T00:00+02:00'), Date.parse('2026-10-26T00:00+01:00'))).toBe(2 * HOUR);
    expect(shown(berlin(135, 165), '2026-10-25')).toEqual(['2026-10-25T00:15:00.000Z 30', '2026-10-25T01:15:00.000Z 30']);
  });

  it('a day that a zone leaves out has no working time, and the days beside it lose nothing', () => {
    const everyDay: WorkingPeriod[] = [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: 0, to: 1440 }));
    const apia: Calendar = { kind: 'HOURS', timeZone: 'Pacific/Apia', periods: everyDay, holidays: new Set() };
    const from = Date.parse('2011-12-29T00:00-10:00');
    expect(workingTimeBetween(apia, from, Date.parse('2012-01-01T00:00+14:00'))).toBe(48 * HOUR);
  });
});

it('a calendar of all hours of all days has no gap at midnight, nor where the clocks change [SLA-3]', () => {
  const everyDay: WorkingPeriod[] = [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: 0, to: 1440 }));
  for (const timeZone of ZONES) {
    const calendar: Calendar = { kind: 'HOURS', timeZone, periods: everyDay, holidays: new Set() };
    const from = Date.parse('2026-01-01T12:34:56.789Z');
    expect(workingTimeBetween(calendar, from, from + 365 * 24 * HOUR)).toBe(365 * 24 * HOUR);
    expect(nextWorkingChange(calendar, from)).toBeNull();
  }
  expect(workingTimeBetween({ kind: 'ALWAYS' }, 5, 12)).toBe(7);
});

it('a calendar that offers too little in twenty years says so instead of looking for ever [SLA-3]', () => {
  expect(addWorkingTime({ kind: 'HOURS', timeZone: 'UTC', periods: [], holidays: new Set() }, 0, 1)).toBeNull();
  const anHourAWeek: Calendar = { kind: 'HOURS', timeZone: 'UTC', periods: [{ weekday: 1, from: 0, to: 60 }], holidays: new Set() };
  expect(addWorkingTime(anHourAWeek, 0, 100 * HOUR)).not.toBeNull();
  expect(addWorkingTime(anHourAWeek, 0, 2_000 * HOUR)).toBeNull();
});

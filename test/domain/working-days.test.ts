import fc from 'fast-check';
import { expect, it } from 'vitest';
import { countDays } from '#domain/working-days.ts';
import { addWorkingTime, workingTimeBetween, type Calendar } from '#domain/working-time.ts';

const HOUR = 3_600_000;
const at = (text: string): number => Date.parse(text);
const nights = (timeZone: string): Calendar => ({
  kind: 'HOURS',
  timeZone,
  periods: [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: 60, to: 300 })),
  holidays: new Set(['2026-03-28']),
});

it('a week with a change of the clocks, day by day: the night that loses an hour gives less [SLA-3]', () => {
  const { dueAt, days } = countDays(nights('Europe/Berlin'), at('2026-03-27T12:00Z'), 10 * HOUR);
  expect(days.map(({ date, countedMs, soFarMs, shiftHours }) => [date, countedMs / HOUR, soFarMs / HOUR, shiftHours])).toEqual([
    // The 28th is a holiday, and of the 29th the hour from two to three is left out.
    ['2026-03-29', 3, 3, -1],
    ['2026-03-30', 4, 7, 0],
    ['2026-03-31', 3, 10, 0],
  ]);
  expect(dueAt).toBe(at('2026-03-31T02:00Z'));
});

it('the night that has an hour twice gives more [SLA-3]', () => {
  const { days } = countDays(nights('Europe/Berlin'), at('2026-10-24T12:00Z'), 6 * HOUR);
  expect(days.map(({ date, countedMs, shiftHours }) => [date, countedMs / HOUR, shiftHours])).toEqual([
    ['2026-10-25', 5, 1],
    ['2026-10-26', 1, 0],
  ]);
});

it('a day that a zone left out is not among them [SLA-3]', () => {
  const { days } = countDays(nights('Pacific/Apia'), at('2011-12-29T00:00Z'), 9 * HOUR);
  expect(days.map(({ date }) => date)).toEqual(['2011-12-29', '2011-12-31', '2012-01-01']);
});

it('comes to the same deadline as the arithmetic, and its days add up, in any zone at any time [SLA-14]', () => {
  const zones = [
    'Europe/Berlin',
    'America/St_Johns',
    'Australia/Lord_Howe',
    'Asia/Kathmandu',
    'America/Havana',
    'Pacific/Chatham',
    'Africa/Casablanca',
    'Pacific/Apia',
  ] as const;
  fc.assert(
    fc.property(
      fc.option(fc.constantFrom(...zones)),
      fc.integer({ min: at('2010-01-01'), max: at('2027-01-01') }),
      fc.integer({ min: 1, max: 40 * 60 }),
      (zone, from, minutes) => {
        const calendar: Calendar = zone === null ? { kind: 'ALWAYS' } : nights(zone);
        const duration = minutes * 60_000;
        const { dueAt, days } = countDays(calendar, from, duration);
        expect(dueAt).toBe(addWorkingTime(calendar, from, duration));
        expect(days.at(-1)?.soFarMs).toBe(duration);
        for (const { stretches, countedMs } of days)
          expect(stretches.reduce((sum, one) => sum + workingTimeBetween(calendar, one.from, one.to), 0)).toBe(countedMs);
        expect(days.map(({ date }) => date)).toEqual([...new Set(days.map(({ date }) => date))].toSorted());
      },
    ),
    { numRuns: 400 },
  );
});

it('without enough time in more than a year there is no deadline, and nothing to wait for is due at once [SLA-3]', () => {
  const never: Calendar = { kind: 'HOURS', timeZone: 'UTC', periods: [], holidays: new Set() };
  expect(countDays(never, 0, HOUR)).toEqual({ dueAt: null, days: [] });
  expect(countDays({ kind: 'ALWAYS' }, 5, 0).dueAt).toBe(5);
});

import { expect, it } from 'vitest';
import type { StoredCalendar } from '#domain/sla-policy.ts';
import { foretellGoals, shiftWords } from '#domain/sla-preview.ts';
import { addWorkingTime } from '#domain/working-time.ts';

const MINUTE = 60_000;
const at = (text: string): number => Date.parse(text);
const close = (minutes: number, dueSoon = 0) => [{ kind: 'CLOSE', priority: null, durationMs: minutes * MINUTE, dueSoonMs: dueSoon * MINUTE }] as const;
const evenings: StoredCalendar = { kind: 'HOURS', timeZone: 'Europe/Berlin', periods: [{ weekday: 1, from: 1_380, to: 1_440 }], holidays: [] };

it('tells the midnight that ends a day as 24:00, and moments by the calendar’s clock [SLA-3]', () => {
  const [goal] = foretellGoals(close(60, 60), evenings, at('2026-01-05T12:00Z'), null);
  expect(goal?.days.map(({ date, stretches }) => [date, ...stretches.map((one) => `${one.fromClock} to ${one.toClock}`)])).toEqual([
    ['2026-01-05', '23:00 to 24:00'],
  ]);
  expect(goal?.dueAt).toEqual({ at: at('2026-01-05T23:00Z'), clock: 'Tue 6 Jan 00:00 Europe/Berlin' });
  expect(goal?.dueSoonAt).toEqual({ at: at('2026-01-05T12:00Z'), clock: 'Mon 5 Jan 13:00 Europe/Berlin' });
});

it('of a deadline further away than the days that are listed it says so, and lists no day that it has not looked at as a whole [SLA-3]', () => {
  const always: StoredCalendar = { kind: 'ALWAYS' };
  const [far] = foretellGoals(close(401 * 24 * 60), always, at('2026-01-05T12:00Z'), null);
  expect(far?.whole).toBe(false);
  expect(far?.dueAt.at).toBe(addWorkingTime({ kind: 'ALWAYS' }, at('2026-01-05T12:00Z'), 401 * 24 * 60 * MINUTE));
  expect(far?.days.every(({ shiftHours }) => shiftHours === 0)).toBe(true);
  expect(far?.days.at(-1)?.countedMs).toBe(24 * 60 * MINUTE);
});

it('leaves out a goal that the calendar never comes to [SLA-3]', () => {
  expect(foretellGoals(close(400 * 24 * 60), evenings, at('2026-01-05T12:00Z'), null)).toEqual([]);
});

it('says in words how the clocks are put [SLA-3]', () => {
  expect([-1, 1, -0.5, 2, 0].map(shiftWords)).toEqual([
    'the clocks are put forward by 1 hour',
    'the clocks are put back by 1 hour',
    'the clocks are put forward by 30 minutes',
    'the clocks are put back by 2 hours',
    null,
  ]);
});

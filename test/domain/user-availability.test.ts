import fc from 'fast-check';
import { expect, it } from 'vitest';
import { availabilityAt, nextPlannedChange, plannedState, type Plan } from '#domain/user-availability.ts';

const HOUR = 3_600_000;
const weekdays = [1, 2, 3, 4, 5];
const office: Plan = {
  calendar: { kind: 'HOURS', timeZone: 'Europe/Berlin', periods: weekdays.map((weekday) => ({ weekday, from: 9 * 60, to: 17 * 60 })), holidays: new Set() },
  outOfOffice: [{ from: Date.parse('2026-06-10T00:00+02:00'), to: Date.parse('2026-06-12T00:00+02:00') }],
};
const at = (time: string): number => Date.parse(time);
const iso = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());

it('follows working hours in their own time zone, and ranges out of office [ROUTE-12]', () => {
  expect(plannedState(office, at('2026-06-08T08:59+02:00'))).toBe('AWAY');
  expect(plannedState(office, at('2026-06-08T09:00+02:00'))).toBe('AVAILABLE');
  expect(plannedState(office, at('2026-06-08T17:00+02:00'))).toBe('AWAY');
  expect(plannedState(office, at('2026-06-10T10:00+02:00'))).toBe('AWAY');
  // Out of office for two working days: from Tuesday evening the next change is Friday morning.
  expect(iso(nextPlannedChange(office, at('2026-06-09T18:00+02:00')))).toBe('2026-06-12T07:00:00.000Z');
});

it('an override holds until the next change that hours or out of office bring, and not longer [ROUTE-12]', () => {
  const lunch = { state: 'AWAY', at: at('2026-06-08T12:00+02:00') } as const;
  expect(availabilityAt(office, lunch, at('2026-06-08T16:59+02:00'))).toEqual({ state: 'AWAY', until: at('2026-06-08T17:00+02:00') });
  expect(availabilityAt(office, lunch, at('2026-06-08T17:00+02:00')).state).toBe('AWAY');
  expect(availabilityAt(office, lunch, at('2026-06-09T09:00+02:00')).state).toBe('AVAILABLE');
  const overtime = { state: 'AVAILABLE', at: at('2026-06-08T20:00+02:00') } as const;
  expect(availabilityAt(office, overtime, at('2026-06-09T03:00+02:00')).state).toBe('AVAILABLE');
  expect(availabilityAt(office, overtime, at('2026-06-09T17:00+02:00')).state).toBe('AWAY');
  const always: Plan = { calendar: { kind: 'ALWAYS' }, outOfOffice: [] };
  expect(availabilityAt(always, { state: 'AWAY', at: 0 }, at('2030-01-01'))).toEqual({ state: 'AWAY', until: null });
});

it('is certain until the moment it names: asked at any moment before, the answer is the same [ROUTE-12]', () => {
  const plans = fc
    .record({
      periods: fc.array(
        fc.record({ weekday: fc.integer({ min: 1, max: 7 }), from: fc.integer({ min: 0, max: 1400 }), length: fc.integer({ min: 1, max: 600 }) }),
        {
          maxLength: 6,
        },
      ),
      absences: fc.array(fc.record({ start: fc.integer({ min: 0, max: 300 }), hours: fc.integer({ min: 1, max: 100 }) }), { maxLength: 3 }),
    })
    .map(({ periods, absences }): Plan => ({
      calendar: {
        kind: 'HOURS',
        timeZone: 'America/New_York',
        periods: periods.map((one) => ({ weekday: one.weekday, from: one.from, to: Math.min(1440, one.from + one.length) })),
        holidays: new Set(),
      },
      outOfOffice: absences.map(({ start, hours }) => ({ from: at('2026-03-05T00:00Z') + start * HOUR, to: at('2026-03-05T00:00Z') + (start + hours) * HOUR })),
    }));
  const overrides = fc.option(
    fc.record({
      state: fc.constantFrom<'AVAILABLE' | 'AWAY'>('AVAILABLE', 'AWAY'),
      at: fc.integer({ min: 0, max: 200 }).map((h) => at('2026-03-05T00:30Z') + h * HOUR),
    }),
  );
  fc.assert(
    fc.property(plans, overrides, fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 999 }), (plan, override, hours, part) => {
      const now = (override?.at ?? at('2026-03-05T00:30Z')) + hours * HOUR;
      const { state, until } = availabilityAt(plan, override, now);
      const end = until ?? now + 1_000 * HOUR;
      expect(end).toBeGreaterThan(now);
      expect(availabilityAt(plan, override, now + Math.floor(((end - 1 - now) * part) / 999)).state).toBe(state);
    }),
    { numRuns: 400 },
  );
});

it('an absence of a thousand years is one step: its end is the next change that is looked at [ROUTE-12]', () => {
  let looked = 0;
  const year = 365.25 * 86_400_000;
  const periods = new Proxy([{ weekday: 1, from: 540, to: 1020 }], {
    get: (target, name, receiver) => ((looked += 1), Reflect.get(target, name, receiver) as unknown),
  });
  const plan: Plan = {
    calendar: { kind: 'HOURS', timeZone: 'UTC', periods, holidays: new Set() },
    outOfOffice: [{ from: 0, to: 1_000 * year }],
  };
  const next = nextPlannedChange(plan, 5) ?? 0;
  expect(next).toBeGreaterThanOrEqual(1_000 * year);
  expect(plannedState(plan, next)).toBe('AVAILABLE');
  // Of a thousand years of Mondays, those of the last week.
  expect(looked).toBeLessThan(1_000);
});

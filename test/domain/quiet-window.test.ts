import fc from 'fast-check';
import { expect, it } from 'vitest';
import { quietWindow, VOLUME_HOURS, type HourCount } from '#domain/quiet-window.ts';

const HOUR = 3_600_000;
const WEEK = 168 * HOUR;
const NOW = new Date('2026-03-04T10:20:00Z');
const FULL_HOUR = new Date('2026-03-04T10:00:00Z').getTime();

/** The four weeks before an hour, the oldest first. */
const before = (counts: readonly number[], until = FULL_HOUR): HourCount[] =>
  counts.map((count, index) => ({ at: new Date(until - (counts.length - index) * HOUR), count }));
/** All busy but for the hours of the week named by an instant. */
const busyBut = (quiet: readonly string[], count = 9): HourCount[] =>
  before(Array<number>(VOLUME_HOURS).fill(count)).map((one) =>
    quiet.some((at) => (new Date(at).getTime() - one.at.getTime()) % WEEK === 0) ? { ...one, count: 0 } : one,
  );

it('finds the hour of the week in which the fewest messages came, within the next seven days [MIG-6]', () => {
  const hours = busyBut(['2026-03-08T03:00:00Z']);
  expect(quietWindow(hours, 20 * 60_000, NOW)).toEqual({ startAt: new Date('2026-03-08T03:00:00Z'), expected: 0 });
});

it('looks at the whole of the span: one quiet hour is no quiet night [MIG-6]', () => {
  const night = ['2026-03-06T01:00:00Z', '2026-03-06T02:00:00Z', '2026-03-06T03:00:00Z'];
  const hours = busyBut(['2026-03-05T12:00:00Z', ...night]);
  expect(quietWindow(hours, 3 * HOUR, NOW)).toEqual({ startAt: new Date('2026-03-06T01:00:00Z'), expected: 0 });
  // An hour and a half more meets a half of a busy one, of which a half is expected.
  expect(quietWindow(hours, 3.5 * HOUR, NOW)).toEqual({ startAt: new Date('2026-03-06T01:00:00Z'), expected: 4.5 });
});

it('of several it takes the soonest, and none that has begun [MIG-6]', () => {
  expect(quietWindow([], HOUR, NOW).startAt).toEqual(new Date('2026-03-04T11:00:00Z'));
  expect(quietWindow([], 0, new Date(FULL_HOUR)).startAt).toEqual(new Date(FULL_HOUR));
  // The hour that has begun is quiet again in a week.
  expect(quietWindow(busyBut(['2026-03-04T10:00:00Z']), HOUR, NOW).startAt).toEqual(new Date('2026-03-11T10:00:00Z'));
});

it('one quiet week does not make an hour quiet: the four are summed [MIG-6]', () => {
  const hours = before(Array<number>(VOLUME_HOURS).fill(3)).map((one) => {
    const at = one.at.toISOString();
    if (at === '2026-03-03T05:00:00.000Z') return { ...one, count: 0 };
    return (new Date('2026-03-05T07:00:00Z').getTime() - one.at.getTime()) % WEEK === 0 ? { ...one, count: 2 } : one;
  });
  expect(quietWindow(hours, HOUR, NOW)).toEqual({ startAt: new Date('2026-03-05T07:00:00Z'), expected: 2 });
});

/** Minute by minute, and week by week. */
function bruteForce(hours: readonly HourCount[], spanMinutes: number, now: number): { readonly at: number; readonly sum: number } {
  const countAt = (at: number): number => {
    let sum = 0;
    for (const one of hours) {
      const behind = at - one.at.getTime();
      // The same hour of the week, as often as weeks lie between.
      if (((behind % WEEK) + WEEK) % WEEK === 0) sum += one.count;
    }
    return sum;
  };
  const perHour = new Map<number, number>();
  const summed = (at: number): number => {
    const known = perHour.get(at) ?? countAt(at);
    perHour.set(at, known);
    return known;
  };
  let best: { at: number; sum: number } | undefined;
  for (let at = Math.ceil(now / HOUR) * HOUR; at < now + WEEK; at += HOUR) {
    let sum = 0;
    for (let minute = 0; minute < spanMinutes; minute += 1) sum += summed(Math.floor((at + minute * 60_000) / HOUR) * HOUR);
    if (best === undefined || sum < best.sum) best = { at, sum };
  }
  if (best === undefined) throw new Error('no full hour in seven days');
  return best;
}

it('agrees with counting minute by minute, for any volume, span and moment [MIG-6]', () => {
  const anyHours = fc.array(fc.oneof(fc.constant(0), fc.nat({ max: 3 }), fc.nat({ max: 100_000 })), { minLength: VOLUME_HOURS, maxLength: VOLUME_HOURS });
  const spanMinutes = fc.oneof(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 12_000 }));
  fc.assert(
    fc.property(anyHours, spanMinutes, fc.integer({ min: 0, max: HOUR - 1 }), fc.nat({ max: 400 }), (counts, minutes, into, later) => {
      const hours = before(counts, FULL_HOUR + later * HOUR);
      const now = FULL_HOUR + later * HOUR + into;
      const expected = bruteForce(hours, minutes, now);
      const found = quietWindow(hours, minutes * 60_000, new Date(now));
      expect(found.startAt.getTime()).toBe(expected.at);
      expect(found.expected).toBeCloseTo(expected.sum / 60 / 4, 6);
    }),
    { numRuns: 60 },
  );
});

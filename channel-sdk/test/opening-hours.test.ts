import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOpen, isTimeZone, WEEKDAYS, type OpeningHours } from '../index.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const office: OpeningHours = {
  timeZone: 'Europe/Berlin',
  periods: [
    { day: 'monday', from: '09:00', to: '12:30' },
    { day: 'monday', from: '13:30', to: '17:00' },
    { day: 'saturday', from: '22:00', to: '24:00' },
    { day: 'sunday', from: '00:00', to: '03:30' },
  ],
  closedOn: ['2026-12-21'],
};

const at = (iso: string): number => Date.parse(iso);

describe('opening hours', () => {
  it('open with their first minute and close with their last, with a break between [CHAT-3]', () => {
    const open = (time: string) => isOpen(office, at(`2026-11-16T${time}+01:00`));
    expect(['08:59:59.999', '09:00', '12:29:59.999', '12:30', '13:29', '13:30', '16:59:59', '17:00'].map(open)).toEqual([
      false,
      true,
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
    // Tuesday has none.
    expect(isOpen(office, at('2026-11-17T10:00+01:00'))).toBe(false);
  });

  it('are closed on a date that is named, by the date of their own time zone', () => {
    expect(isOpen(office, at('2026-12-21T10:00+01:00'))).toBe(false);
    expect(isOpen(office, at('2026-12-28T10:00+01:00'))).toBe(true);
    const tokyo: OpeningHours = { timeZone: 'Asia/Tokyo', periods: [{ day: 'friday', from: '00:00', to: '24:00' }], closedOn: ['2027-01-01'] };
    // In Tokyo the year 2027 begins while it is still Thursday in the rest of the world.
    expect(isOpen(tokyo, at('2026-12-31T15:00Z'))).toBe(false);
    expect(isOpen({ ...tokyo, closedOn: ['2026-12-31'] }, at('2026-12-31T15:00Z'))).toBe(true);
    expect(isOpen({ ...tokyo, closedOn: [] }, at('2026-12-31T14:59:59Z'))).toBe(false);
  });

  it('go on over midnight where two periods meet there', () => {
    for (const time of ['2026-11-14T21:59+01:00', '2026-11-15T03:30+01:00']) expect(isOpen(office, at(time)), time).toBe(false);
    for (const time of ['2026-11-14T22:00+01:00', '2026-11-14T23:59:59+01:00', '2026-11-15T00:00+01:00', '2026-11-15T03:29+01:00'])
      expect(isOpen(office, at(time)), time).toBe(true);
  });

  it('follow the clock on the wall when it jumps: what it leaves out is never open, what it shows twice is open twice [CHAT-3]', () => {
    const night: OpeningHours = { timeZone: 'Europe/Berlin', periods: [{ day: 'sunday', from: '02:00', to: '03:00' }], closedOn: [] };
    // 29 March 2026: from 01:59:59 to 03:00:00. 25 October 2026: 02:00 to 02:59 come twice.
    for (let minute = 0; minute < 24 * 60; minute += 1) expect(isOpen(night, at('2026-03-28T23:00Z') + minute * MINUTE)).toBe(false);
    const minutes = Array.from({ length: 25 * 60 }, (_, minute) => at('2026-10-24T22:00Z') + minute * MINUTE).filter((moment) => isOpen(night, moment));
    expect(minutes).toHaveLength(120);
    expect([minutes[0], minutes.at(-1)]).toEqual([at('2026-10-25T00:00Z'), at('2026-10-25T01:59Z')]);
    // Nine in the morning is nine in the morning, before and after.
    const morning: OpeningHours = { ...office, periods: WEEKDAYS.map((day) => ({ day, from: '09:00', to: '09:01' })), closedOn: [] };
    for (const time of ['2026-03-28T08:00Z', '2026-03-29T07:00Z', '2026-10-24T07:00Z', '2026-10-25T08:00Z']) expect(isOpen(morning, at(time)), time).toBe(true);
  });

  it('are right where whole days are missing, where midnight is, and where an offset has odd minutes', () => {
    const always = (timeZone: string): OpeningHours => ({ timeZone, periods: WEEKDAYS.map((day) => ({ day, from: '00:00', to: '24:00' })), closedOn: [] });
    // Samoa had no 30 December 2011; Cuba's clock jumps at midnight; Nepal is 5:45 ahead.
    const apia: OpeningHours = { ...always('Pacific/Apia'), closedOn: ['2011-12-30'] };
    for (let moment = at('2011-12-30T00:00Z'); moment < at('2012-01-01T00:00Z'); moment += 15 * MINUTE) expect(isOpen(apia, moment)).toBe(true);
    expect(isOpen({ ...always('America/Havana'), closedOn: ['2026-03-08'] }, at('2026-03-08T05:00Z'))).toBe(false);
    expect(isOpen({ ...always('America/Havana'), closedOn: ['2026-03-08'] }, at('2026-03-08T04:59Z'))).toBe(true);
    const nepal: OpeningHours = { timeZone: 'Asia/Kathmandu', periods: [{ day: 'monday', from: '09:00', to: '10:00' }], closedOn: [] };
    expect([at('2026-11-16T03:14Z'), at('2026-11-16T03:15Z')].map((moment) => isOpen(nepal, moment))).toEqual([false, true]);
  });

  it('say the same as reading the local clock minute by minute, in any zone at any time', () => {
    const zones = [
      'Europe/Berlin',
      'America/New_York',
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
      'Pacific/Apia',
      'Africa/Casablanca',
      'UTC',
    ];
    const clock = fc
      .integer({ min: 0, max: 24 * 60 })
      .map((minute) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`);
    const period = fc
      .tuple(fc.constantFrom(...WEEKDAYS), clock, clock)
      .map(([day, one, other]) => ({ day, from: one < other ? one : other, to: one < other ? other : one }));
    const moment = fc.integer({ min: at('2020-01-01T00:00Z'), max: at('2040-01-01T00:00Z') });
    // Half of them within a day of a change of the clock, where there is one.
    const nearChange = fc
      .tuple(fc.constantFrom('2026-03-29', '2026-10-25', '2027-03-14', '2027-11-07', '2026-04-05', '2026-10-04'), fc.integer({ min: -DAY, max: 2 * DAY }))
      .map(([day, offset]) => at(`${day}T00:00Z`) + offset);
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.array(period, { maxLength: 6 }),
        fc.oneof(moment, nearChange),
        fc.integer({ min: -1, max: 1 }),
        (timeZone, periods, when, shift) => {
          const local = onTheWall(timeZone, when);
          const closed = new Date(local.getTime() + shift * DAY).toISOString().slice(0, 10);
          const minute = local.getUTCHours() * 60 + local.getUTCMinutes();
          const day = WEEKDAYS[(local.getUTCDay() + 6) % 7];
          const expected = shift !== 0 && periods.some((one) => one.day === day && minutesOf(one.from) <= minute && minute < minutesOf(one.to));
          expect(isOpen({ timeZone, periods, closedOn: [closed] }, when)).toBe(expected);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  it('knows time zones by their places, and no other words', () => {
    for (const name of ['Europe/Berlin', 'UTC', 'America/Argentina/Buenos_Aires', 'europe/berlin']) expect(isTimeZone(name), name).toBe(true);
    for (const name of ['', '+02:00', 'Mars/Olympus', 'Berlin ', '__proto__', 'x'.repeat(10_000)]) expect(isTimeZone(name), name.slice(0, 20)).toBe(false);
    expect(() => isOpen({ ...office, timeZone: 'Mars/Olympus' }, 0)).toThrow(RangeError);
  });
});

/** The local clock as if it were UTC, by the offset the zone has at that moment. */
function onTheWall(timeZone: string, when: number): Date {
  const name =
    new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'longOffset' }).formatToParts(when).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign = '+', hours = '0', minutes = '0'] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(name) ?? [];
  return new Date(when + (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE);
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

import { describe, expect, it } from 'vitest';
import { beginMeasuring, measure, nextMoment, type Fact, type Goal, type GoalKind, type Measured, type Terms } from '#domain/sla.ts';
import { addWorkingTime, workingTimeBetween, type Calendar } from '#domain/working-time.ts';

/** What trackers of other help desks are full of, each by the name it has there. */

const MINUTE = 60_000;
const at = (text: string): number => Date.parse(text);
const target = (minutes: number, soon = 0) => ({ durationMs: minutes * MINUTE, dueSoonMs: soon * MINUTE });
const office = (...periods: readonly (readonly [number, number])[]): Calendar => ({
  kind: 'HOURS',
  timeZone: 'Europe/Berlin',
  periods: [1, 2, 3, 4, 5].flatMap((weekday) => periods.map(([from, to]) => ({ weekday, from: from * 60, to: to * 60 }))),
  holidays: new Set(),
});
const begun = (targets: Terms['targets'], calendar: Calendar, created: string): Measured =>
  beginMeasuring({ terms: { policyId: 'p', calendar, targets }, paused: false, createdAt: at(created), firstOwedAt: at(created) }, at(created));
const told = (start: Measured, ...facts: readonly (readonly [string, Fact])[]): Measured =>
  facts.reduce((before, [moment, fact]) => measure(before, fact, at(moment)), start);
const goal = ({ goals }: Measured, kind: GoalKind): Goal | undefined => goals.findLast((one) => one.kind === kind);

describe('traps', () => {
  it('business hours ignored: what comes on Friday evening is due on Monday [SLA-3]', () => {
    const ticket = begun({ FIRST_REPLY: target(60) }, office([9, 17]), '2026-11-20T17:30:00Z');
    expect(goal(ticket, 'FIRST_REPLY')?.dueAt).toBe(at('2026-11-23T09:00:00Z'));
  });

  it('one period a day only: the break in the middle of the day does not count [SLA-3]', () => {
    const ticket = begun({ FIRST_REPLY: target(120) }, office([9, 12], [13, 17]), '2026-11-23T10:00:00Z');
    expect(goal(ticket, 'FIRST_REPLY')?.dueAt).toBe(at('2026-11-23T13:00:00Z'));
  });

  it('a 24/7 calendar with a gap at midnight: a week of it is a week [SLA-3]', () => {
    const all: Calendar = {
      kind: 'HOURS',
      timeZone: 'Europe/Berlin',
      periods: [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: 0, to: 1440 })),
      holidays: new Set(),
    };
    const [from, to] = [at('2026-11-23T22:59:59.999Z'), at('2026-11-30T22:59:59.999Z')];
    expect(workingTimeBetween(all, from, to)).toBe(to - from);
    expect(addWorkingTime(all, from, to - from)).toBe(to);
  });

  it('next-reply counting on after resolve: it ends with the close [SLA-7, SLA-8]', () => {
    const start = begun({ FIRST_REPLY: target(60), NEXT_REPLY: target(60) }, { kind: 'ALWAYS' }, '2026-11-23T10:00:00Z');
    const resolved = told(
      start,
      ['2026-11-23T10:10:00Z', { kind: 'PERSON_REPLIED' }],
      ['2026-11-23T10:20:00Z', { kind: 'CONTACT_WROTE' }],
      ['2026-11-23T10:30:00Z', { kind: 'CLOSED' }],
    );
    const later = told(resolved, ['2026-12-23T10:00:00Z', { kind: 'TIME' }]);
    expect(goal(later, 'NEXT_REPLY')).toMatchObject({ state: 'CANCELLED', reason: 'CLOSED', usedMs: 10 * MINUTE, overdueAt: null });
    expect(nextMoment(later.goals)).toBeNull();
  });

  it('pending time on another calendar: what was left is counted by the same one [SLA-5]', () => {
    const start = begun({ CLOSE: target(240) }, office([9, 17]), '2026-11-23T08:00:00Z');
    const pending = told(start, ['2026-11-23T10:00:00Z', { kind: 'PAUSE', paused: true }], ['2026-11-27T19:00:00Z', { kind: 'PAUSE', paused: false }]);
    expect(goal(pending, 'CLOSE')?.dueAt).toBe(at('2026-11-30T10:00:00Z'));
  });

  it('warnings outside hours: due soon is counted on the same working time [SLA-4]', () => {
    const ticket = begun({ CLOSE: target(90, 60) }, office([9, 17]), '2026-11-20T15:30:00Z');
    const { dueSoonAt, dueAt } = goal(ticket, 'CLOSE') ?? {};
    expect([dueSoonAt, dueAt]).toEqual([at('2026-11-20T16:00:00Z'), at('2026-11-23T09:00:00Z')]);
    const late = begun({ CLOSE: target(90, 60) }, office([9, 17]), '2026-11-20T15:45:00Z');
    expect(goal(late, 'CLOSE')?.dueSoonAt).toBe(at('2026-11-23T08:15:00Z'));
  });

  it('misses growing after close: what was used stays as it was [SLA-8]', () => {
    const start = begun({ CLOSE: target(60) }, { kind: 'ALWAYS' }, '2026-11-23T10:00:00Z');
    const closed = told(start, ['2026-11-23T12:00:00Z', { kind: 'CLOSED' }]);
    expect(goal(closed, 'CLOSE')).toMatchObject({ state: 'COMPLETED_LATE', usedMs: 120 * MINUTE });
    expect(told(closed, ['2027-01-01T00:00:00Z', { kind: 'TIME' }]).goals).toEqual(closed.goals);
  });

  it('“instantly escalates” on reopen: it has the time that was left, however long it was closed [SLA-8]', () => {
    const start = begun({ CLOSE: target(60, 10) }, { kind: 'ALWAYS' }, '2026-11-23T10:00:00Z');
    const again = told(start, ['2026-11-23T10:20:00Z', { kind: 'CLOSED' }], ['2026-12-23T10:00:00Z', { kind: 'REOPENED' }]);
    expect(goal(again, 'CLOSE')).toMatchObject({ state: 'ACTIVE', overdueAt: null, dueAt: at('2026-12-23T10:40:00Z') });
  });

  it('one clock overruling another: a reply in time says nothing of the close, nor a miss of the one of the other [SLA-4]', () => {
    const start = begun({ FIRST_REPLY: target(30), CLOSE: target(60) }, { kind: 'ALWAYS' }, '2026-11-23T10:00:00Z');
    const replied = told(start, ['2026-11-23T10:10:00Z', { kind: 'PERSON_REPLIED' }], ['2026-11-23T11:00:00Z', { kind: 'TIME' }]);
    expect(replied.goals.map(({ kind, state }) => [kind, state])).toEqual([
      ['CLOSE', 'OVERDUE'],
      ['FIRST_REPLY', 'COMPLETED_ON_TIME'],
    ]);
    const missed = told(start, ['2026-11-23T10:30:00Z', { kind: 'TIME' }]);
    expect(goal(missed, 'CLOSE')).toMatchObject({ state: 'ACTIVE', dueAt: at('2026-11-23T11:00:00Z') });
  });
});

import { describe, expect, it } from 'vitest';
import type { TicketFacts } from '#domain/conditions.ts';
import {
  calendarProblems,
  matchingPolicy,
  policyProblems,
  SLA_LIMITS,
  termsFor,
  type PolicyTarget,
  type PolicyTerms,
  type StoredCalendar,
  type WrittenPolicy,
} from '#domain/sla-policy.ts';
import type { Calendar } from '#domain/working-time.ts';

const HOUR = 3_600_000;
const facts: TicketFacts = { pipelineId: 'p1', priority: 'HIGH', properties: { plan: 'Gold' }, teamId: 't1', source: 'support' };
const target = (kind: PolicyTarget['kind'], hours: number, more: Partial<PolicyTarget> = {}): PolicyTarget => ({
  kind,
  priority: null,
  durationMs: hours * HOUR,
  dueSoonMs: 0,
  ...more,
});
const policy = (id: string, more: Partial<PolicyTerms> = {}): PolicyTerms => ({
  id,
  policyId: id,
  number: 1,
  conditions: [],
  targets: [target('CLOSE', 8)],
  pauseStatusIds: [],
  calendar: { kind: 'ALWAYS' },
  actions: [],
  ...more,
});

describe('which policy applies', () => {
  it.each([
    ['priority', ['HIGH', 'URGENT'], true],
    ['priority', ['LOW'], false],
    ['team', ['t1'], true],
    ['team', ['t2'], false],
    ['source', ['support'], true],
    ['pipeline', ['p2'], false],
    ['properties.plan', ['gold'], true],
    ['properties.floor', ['3'], false],
  ])('by %s in %j: %s [SLA-2]', (property, values, expected) => {
    const found = matchingPolicy([policy('a', { conditions: [{ property, operator: 'IN', values }] })], facts);
    expect(found !== null).toBe(expected);
  });

  it('is the first in order of which all conditions hold; one without any is for every ticket [SLA-2]', () => {
    const team = { property: 'team', operator: 'IS', values: ['t1'] } as const;
    const low = { property: 'priority', operator: 'IS', values: ['LOW'] } as const;
    const list = [policy('both', { conditions: [team, low] }), policy('team', { conditions: [team] }), policy('all')];
    expect(matchingPolicy(list, facts)?.id).toBe('team');
    expect(matchingPolicy(list, { ...facts, priority: 'LOW' })?.id).toBe('both');
    expect(matchingPolicy(list, { ...facts, teamId: null })?.id).toBe('all');
    expect(matchingPolicy([], facts)).toBeNull();
  });

  it('its goals are those of the priority, else those of every other; what it does not name is no goal [SLA-1, SLA-2]', () => {
    const one = policy('a', { targets: [target('CLOSE', 8), target('CLOSE', 2, { priority: 'URGENT' }), target('FIRST_REPLY', 1, { priority: 'URGENT' })] });
    expect(termsFor(one, 'URGENT').targets).toEqual({
      CLOSE: { durationMs: 2 * HOUR, dueSoonMs: 0 },
      FIRST_REPLY: { durationMs: HOUR, dueSoonMs: 0 },
    });
    expect(termsFor(one, 'LOW').targets).toEqual({ CLOSE: { durationMs: 8 * HOUR, dueSoonMs: 0 } });
  });

  it('a holiday kept in its terms is a holiday of its calendar [SLA-3]', () => {
    const calendar: StoredCalendar = { kind: 'HOURS', timeZone: 'Europe/Berlin', periods: [{ weekday: 1, from: 540, to: 1020 }], holidays: ['2026-12-25'] };
    const terms = termsFor(policy('a', { calendar }), 'LOW');
    expect(terms.calendar.kind === 'HOURS' && terms.calendar.holidays.has('2026-12-25')).toBe(true);
  });
});

describe('what is wrong with a calendar', () => {
  const good = { timeZone: 'Europe/Berlin', periods: [{ weekday: 1, from: 540, to: 720 }], holidays: ['2026-12-25'] };
  it('nothing [SLA-3]', () => expect(calendarProblems(good)).toEqual([]));
  it.each([
    ['a zone that does not exist', { timeZone: 'Europe/Atlantis' }, 'timeZone'],
    ['no open hours', { periods: [] }, 'periods'],
    ['an end before its start', { periods: [{ weekday: 1, from: 720, to: 540 }] }, 'periods.0.to'],
    ['an end at its start', { periods: [{ weekday: 1, from: 720, to: 720 }] }, 'periods.0.to'],
    ['periods that overlap', { periods: [...good.periods, { weekday: 1, from: 700, to: 800 }] }, 'periods.1'],
    ['a holiday that is no day', { holidays: ['2026-02-30'] }, 'holidays.0'],
    ['a holiday twice', { holidays: ['2026-12-25', '2026-12-25'] }, 'holidays.1'],
  ])('%s, with where [SLA-3]', (_what, wrong, path) => {
    expect(calendarProblems({ ...good, ...wrong }).map((one) => one.path)).toEqual([path]);
  });
  it('but not periods that touch, or are of other days, nor split shifts [SLA-3]', () => {
    const periods = [...good.periods, { weekday: 1, from: 720, to: 800 }, { weekday: 1, from: 900, to: 1440 }, { weekday: 2, from: 0, to: 600 }];
    expect(calendarProblems({ ...good, periods })).toEqual([]);
  });
});

describe('what is wrong with a policy', () => {
  const always: Calendar = { kind: 'ALWAYS' };
  const good: WrittenPolicy = { conditions: [], targets: [target('CLOSE', 8)], pauseStatusIds: [], actions: [] };
  const paths = (more: Partial<WrittenPolicy>, calendar: Calendar = always) => policyProblems({ ...good, ...more }, calendar).map(({ path }) => path);
  it('nothing [SLA-1]', () => expect(paths({})).toEqual([]));
  it('a goal longer than the calendar ever offers [SLA-3]', () => {
    const minute: Calendar = { kind: 'HOURS', timeZone: 'UTC', periods: [{ weekday: 1, from: 0, to: 1 }], holidays: new Set() };
    expect(paths({ targets: [target('CLOSE', 24)] }, minute)).toEqual(['targets.0.minutes']);
    expect(paths({ targets: [target('CLOSE', 1)] }, minute)).toEqual([]);
  });
  it.each<[string, Partial<WrittenPolicy>, string]>([
    ['no goal at all', { targets: [] }, 'targets'],
    ['the same goal and priority twice', { targets: [target('CLOSE', 8), target('CLOSE', 9)] }, 'targets.1'],
    ['a goal of no time', { targets: [target('CLOSE', 0)] }, 'targets.0.minutes'],
    ['a goal of years', { targets: [target('CLOSE', 24 * (SLA_LIMITS.goalDays + 1))] }, 'targets.0.minutes'],
    ['due soon from the start', { targets: [target('CLOSE', 8, { dueSoonMs: 8 * HOUR })] }, 'targets.0.dueSoonMinutes'],
    ['a priority there is not', { targets: [target('CLOSE', 8, { priority: 'HIGHEST' })] }, 'targets.0.priority'],
    ['a condition on nothing', { conditions: [{ property: 'colour', operator: 'IS', values: ['red'] }] }, 'conditions.0.property'],
    ['an action of a goal it does not have', { actions: [{ on: 'OVERDUE', goal: 'NEXT_REPLY' }] }, 'actions.0.goal'],
  ])('%s, with where [SLA-1, SLA-2, SLA-12]', (_what, wrong, path) => {
    expect(paths(wrong)).toEqual([path]);
  });
});

import { allHold, conditionsProblems, PRIORITIES, type Condition, type TicketFacts, type WrittenProblem } from './conditions.ts';
import type { GoalKind, Target, Terms } from './sla.ts';
import { isTimeZone } from './time-zone.ts';
import { overlaps } from './working-hours.ts';
import { addWorkingTime, type Calendar, type WorkingPeriod } from './working-time.ts';

export const GOAL_KINDS: readonly GoalKind[] = ['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE'];

/** How long a goal may take on tickets of a priority. */
export interface PolicyTarget extends Target {
  readonly kind: GoalKind;
  /** Null: of every priority that has no target of its own for this goal. */
  readonly priority: string | null;
}

/** The moments of a goal at which something can be done. */
export type Crossing = 'DUE_SOON' | 'OVERDUE';

/** What a policy has done when a goal is due soon or overdue (SLA-12). Ids only. */
export interface PolicyAction {
  readonly on: Crossing;
  /** Null: whichever goal it is. */
  readonly goal: GoalKind | null;
  readonly act:
    | { readonly kind: 'SET_PRIORITY'; readonly priority: string }
    | { readonly kind: 'ASSIGN'; readonly ruleId: string }
    | { readonly kind: 'NOTIFY'; readonly userIds: readonly string[]; readonly teamIds: readonly string[] }
    | { readonly kind: 'WEBHOOK'; readonly webhookId: string };
}

/** A calendar as terms keep it: a set does not survive JSON. */
export type StoredCalendar =
  | { readonly kind: 'ALWAYS' }
  | { readonly kind: 'HOURS'; readonly timeZone: string; readonly periods: readonly WorkingPeriod[]; readonly holidays: readonly string[] };

/** What a policy says, at one time: which tickets it is for and what it asks. */
export interface PolicyTerms {
  readonly id: string;
  readonly policyId: string;
  /** What people call the policy by. */
  readonly number: number;
  /** All must hold; none: it is for every ticket (SLA-2). */
  readonly conditions: readonly Condition[];
  readonly targets: readonly PolicyTarget[];
  /** While a ticket has one of these statuses no time passes (SLA-5). */
  readonly pauseStatusIds: readonly string[];
  readonly calendar: StoredCalendar;
  readonly actions: readonly PolicyAction[];
}

/** The first that applies, by the order they are in; null: none does (SLA-2). */
export function matchingPolicy(inOrder: readonly PolicyTerms[], ticket: TicketFacts): PolicyTerms | null {
  return inOrder.find(({ conditions }) => allHold(conditions, ticket)) ?? null;
}

/** What it asks of tickets of a priority. */
export function termsFor(policy: PolicyTerms, priority: string): Terms {
  const targets: Partial<Record<GoalKind, Target>> = {};
  for (const kind of GOAL_KINDS) {
    const own = policy.targets.find((one) => one.kind === kind && one.priority === priority);
    const target = own ?? policy.targets.find((one) => one.kind === kind && one.priority === null);
    if (target !== undefined) targets[kind] = { durationMs: target.durationMs, dueSoonMs: target.dueSoonMs };
  }
  return { policyId: policy.policyId, calendar: calendarOf(policy.calendar), targets };
}

/** As the arithmetic takes it. */
export function calendarOf(stored: StoredCalendar): Calendar {
  return stored.kind === 'ALWAYS' ? stored : { ...stored, holidays: new Set(stored.holidays) };
}

/** What a policy or a calendar may be made of. */
export const SLA_LIMITS = {
  policies: 100,
  actions: 20,
  /** Each goal for each priority, and for the others. */
  targets: 15,
  pauseStatuses: 100,
  calendars: 200,
  periods: 70,
  holidays: 1_000,
  /** Of working time: more is a slip of the pen. */
  goalDays: 400,
  /** Of a name. */
  characters: 200,
  /** Whom one action tells. */
  told: 50,
} as const;

const DAY_MS = 24 * 3_600_000;
const OWN = ['pipeline', 'priority', 'team', 'source'];
/** A Monday; whether a calendar offers a goal does not depend on the year. */
const SOME_MOMENT = Date.UTC(2026, 0, 5);

export type WrittenPolicy = Pick<PolicyTerms, 'conditions' | 'targets' | 'pauseStatusIds'> & {
  readonly actions: readonly Pick<PolicyAction, 'on' | 'goal'>[];
};

/** Everything that is wrong with a policy as it was written; whether what it names is there is not asked. `calendar` null: it is wrong itself. */
export function policyProblems({ conditions, targets, pauseStatusIds, actions }: WrittenPolicy, calendar: Calendar | null): readonly WrittenProblem[] {
  const problems = conditionsProblems('conditions', conditions, OWN);
  if (targets.length === 0) problems.push({ path: 'targets', message: 'at least one: a policy without goals measures nothing' });
  if (targets.length > SLA_LIMITS.targets) return [...problems, { path: 'targets', message: `at most ${SLA_LIMITS.targets}` }];
  const seen = new Set<string>();
  // Who offers the longest offers the rest.
  const longest = Math.max(0, ...targets.map(({ durationMs }) => durationMs));
  const asked = calendar !== null && longest <= SLA_LIMITS.goalDays * DAY_MS && isOffered(calendar, longest) ? null : calendar;
  for (const [at, target] of targets.entries()) {
    const path = `targets.${at}`;
    const key = `${target.kind} ${target.priority}`;
    if (seen.has(key)) problems.push({ path, message: 'there is another target for the same goal and priority' });
    seen.add(key);
    if (target.priority !== null && !PRIORITIES.includes(target.priority)) {
      problems.push({ path: `${path}.priority`, message: `must be one of ${PRIORITIES.join(', ')}` });
    }
    problems.push(...targetProblems(path, target, asked));
  }
  if (pauseStatusIds.length > SLA_LIMITS.pauseStatuses) problems.push({ path: 'pauseStatusIds', message: `at most ${SLA_LIMITS.pauseStatuses}` });
  if (actions.length > SLA_LIMITS.actions) problems.push({ path: 'actions', message: `at most ${SLA_LIMITS.actions}` });
  for (const [at, { goal }] of actions.entries()) {
    if (goal !== null && !targets.some(({ kind }) => kind === goal)) {
      problems.push({ path: `actions.${at}.goal`, message: 'is no goal of this policy: it would never be done' });
    }
  }
  return problems;
}

function targetProblems(path: string, { durationMs, dueSoonMs }: Target, calendar: Calendar | null): WrittenProblem[] {
  if (durationMs <= 0) return [{ path: `${path}.minutes`, message: 'must be more than nothing' }];
  if (durationMs > SLA_LIMITS.goalDays * DAY_MS) return [{ path: `${path}.minutes`, message: `at most ${SLA_LIMITS.goalDays} days of working time` }];
  const problems: WrittenProblem[] = [];
  if (dueSoonMs < 0) problems.push({ path: `${path}.dueSoonMinutes`, message: 'must not be less than nothing' });
  if (dueSoonMs >= durationMs) problems.push({ path: `${path}.dueSoonMinutes`, message: 'must be less than the goal: it would be due soon from the start' });
  if (calendar !== null && !isOffered(calendar, durationMs)) {
    problems.push({ path: `${path}.minutes`, message: 'is longer than the calendar offers in twenty years' });
  }
  return problems;
}

/** Whether a goal of this length can ever be missed by this calendar. */
export function isOffered(calendar: Calendar, durationMs: number): boolean {
  return addWorkingTime(calendar, SOME_MOMENT, durationMs) !== null;
}

export interface WrittenCalendar {
  readonly timeZone: string;
  readonly periods: readonly WorkingPeriod[];
  /** Local dates: 2026-12-25. */
  readonly holidays: readonly string[];
}

/** Everything that is wrong with a calendar as it was written: each thing with where. */
export function calendarProblems({ timeZone, periods, holidays }: WrittenCalendar): readonly WrittenProblem[] {
  const problems: WrittenProblem[] = [];
  if (!isTimeZone(timeZone)) problems.push({ path: 'timeZone', message: 'there is no such time zone: take a name like Europe/Berlin' });
  if (periods.length === 0) problems.push({ path: 'periods', message: 'there are no open hours: no time would ever pass' });
  if (periods.length > SLA_LIMITS.periods) problems.push({ path: 'periods', message: `at most ${SLA_LIMITS.periods}` });
  for (const [at, period] of periods.entries()) {
    for (const edge of ['from', 'to'] as const)
      if (!isClock(period[edge])) problems.push({ path: `periods.${at}.${edge}`, message: 'must be a time from 00:00 to 24:00' });
    if (period.to <= period.from) problems.push({ path: `periods.${at}.to`, message: 'must be later than from; a period over midnight is two' });
    const other = periods.slice(0, at).findIndex((one) => overlaps(one, period));
    if (other !== -1) problems.push({ path: `periods.${at}`, message: `overlaps period ${other}` });
  }
  if (holidays.length > SLA_LIMITS.holidays) problems.push({ path: 'holidays', message: `at most ${SLA_LIMITS.holidays}` });
  for (const [at, date] of holidays.entries()) {
    if (!isDate(date)) problems.push({ path: `holidays.${at}`, message: 'must be a date like 2026-12-25' });
    else if (holidays.indexOf(date) < at) problems.push({ path: `holidays.${at}`, message: 'is named twice' });
  }
  return problems;
}

/** Minutes after midnight; what could not be read is no number. */
function isClock(minutes: number): boolean {
  return Number.isInteger(minutes) && minutes >= 0 && minutes <= 24 * 60;
}

/** The year 0 is none that PostgreSQL has. */
function isDate(text: string): boolean {
  const at = /^(?!0000)\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

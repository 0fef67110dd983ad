import { addWorkingTime, workingTimeBetween, type Calendar } from './working-time.ts';

/** What is measured (SLA-1). */
export type GoalKind = 'FIRST_REPLY' | 'NEXT_REPLY' | 'CLOSE';
/** Running, resting, or over (SLA-4). */
export type GoalState = 'ACTIVE' | 'DUE_SOON' | 'OVERDUE' | 'PAUSED' | 'COMPLETED_ON_TIME' | 'COMPLETED_LATE' | 'CANCELLED';
/** Why a goal no longer applies. */
export type CancelReason = 'CLOSED' | 'NO_POLICY' | 'NOT_IN_POLICY';

/** How long one goal may take, in milliseconds of working time. */
export interface Target {
  readonly durationMs: number;
  /** So much working time before the deadline it is due soon; 0: never before it. */
  readonly dueSoonMs: number;
}

/** What a policy asks of a ticket: those of its goals that apply, and when time counts. */
export interface Terms {
  readonly policyId: string;
  readonly calendar: Calendar;
  readonly targets: Readonly<Partial<Record<GoalKind, Target>>>;
}

/** One measurement. Moments are milliseconds since 1970. */
export interface Goal {
  readonly kind: GoalKind;
  /** Which of its kind on this ticket, from 1: each unanswered stretch is one (SLA-7). */
  readonly round: number;
  readonly policyId: string;
  readonly target: Target;
  readonly state: GoalState;
  readonly startedAt: number;
  /** Working time that had passed by `countingSince`, or by when it ceased to count. */
  readonly usedMs: number;
  /** Since when time counts; null: it does not now. */
  readonly countingSince: number | null;
  /** The deadline; null: it does not count, or the calendar never offers that much. */
  readonly dueAt: number | null;
  readonly dueSoonAt: number | null;
  /** The deadline that passed; stays once set. */
  readonly overdueAt: number | null;
  readonly endedAt: number | null;
  readonly reason: CancelReason | null;
}

/** A stretch in which nothing counted; `to` null: it goes on. */
export interface Rest {
  readonly from: number;
  readonly to: number | null;
}

/** All that a ticket's goals depend on besides the moment. */
export interface Measured {
  /** Null: no policy applies. */
  readonly terms: Terms | null;
  /** The ticket matches the policy's pause conditions (SLA-5). */
  readonly paused: boolean;
  readonly closed: boolean;
  /** When it was paused or closed so far: a goal that comes to apply late has not used that time. In their order. */
  readonly rests: readonly Rest[];
  /** A person has replied to the contact once. */
  readonly replied: boolean;
  /** Since when the first reply is owed: the ticket's creation, the conversation's start, or the contact's first message (SLA-6); null: nothing is owed yet. */
  readonly firstOwedAt: number | null;
  /** Since when the close is counted: the ticket's creation (SLA-8). */
  readonly createdAt: number;
  /** The first message of the contact since a person's last reply; null: there is none (SLA-7). */
  readonly unansweredSince: number | null;
  /** In the order of their beginning; of each kind at most the last is not over. */
  readonly goals: readonly Goal[];
}

/** What happens to a ticket that its goals depend on. */
export type Fact =
  /** `since`: when it was received, where that is told later; none: now (MODEL-4). */
  | { readonly kind: 'CONTACT_WROTE'; readonly since?: number }
  /** A person's reply to the contact, or an answered or returned call; not what a bot or an automatic reply says, nor a comment (SLA-6). `since`: likewise. */
  | { readonly kind: 'PERSON_REPLIED'; readonly since?: number }
  | { readonly kind: 'CLOSED' }
  | { readonly kind: 'REOPENED' }
  | { readonly kind: 'PAUSE'; readonly paused: boolean }
  /** Another policy, or the same with other goals: the time already used is kept (SLA-9). */
  | { readonly kind: 'TERMS'; readonly terms: Terms | null }
  /** Time passed. */
  | { readonly kind: 'TIME' };

/** As a ticket begins. `firstOwedAt` null: an agent began it, and the contact has not written yet. */
export function beginMeasuring(of: Pick<Measured, 'terms' | 'paused' | 'createdAt' | 'firstOwedAt'>, at: number): Measured {
  const rests = of.paused ? [{ from: of.createdAt, to: null }] : [];
  return settle({ ...of, closed: false, replied: false, unansweredSince: null, goals: [], rests }, at);
}

/**
 * What has become of a ticket's goals after a fact at a moment: one pure function, the same for what happens now and for a history that is told afterwards
 * (SLA-11). First the time until then passes by the old terms, so a deadline that lay before the fact was missed; then the fact counts.
 */
export function measure(before: Measured, fact: Fact, at: number): Measured {
  const passed = { ...before, goals: before.goals.map((goal) => passTime(goal, at)) };
  const calendar = before.terms?.calendar ?? null;
  switch (fact.kind) {
    case 'TIME':
      return passed;
    case 'CONTACT_WROTE': {
      const since = fact.since ?? at;
      return settle({ ...passed, firstOwedAt: passed.firstOwedAt ?? since, unansweredSince: passed.unansweredSince ?? since }, at);
    }
    case 'PERSON_REPLIED': {
      const since = fact.since ?? at;
      // What began after the reply was given is not answered by it, and time that passed since is not its fault.
      const answered = ({ startedAt }: Goal): boolean => startedAt <= since;
      const end = (goal: Goal): Goal => (fact.since === undefined ? complete(passTime(goal, at), calendar, at) : completeThen(goal, before, calendar, since));
      const goals = before.goals.map((goal) => (isReply(goal) && answered(goal) ? end(goal) : passTime(goal, at)));
      // What an agent writes before the contact ever did answers nothing.
      const owed = passed.firstOwedAt !== null && passed.firstOwedAt <= since;
      const unansweredSince = passed.unansweredSince !== null && passed.unansweredSince <= since ? null : passed.unansweredSince;
      return settle({ ...passed, replied: passed.replied || owed, unansweredSince, goals }, at);
    }
    case 'CLOSED': {
      if (passed.closed) return passed;
      const goals = passed.goals.map((goal) => (isReply(goal) ? endUnanswered(goal, calendar, at) : complete(goal, calendar, at)));
      return withRest({ ...passed, closed: true, unansweredSince: null, goals }, at);
    }
    case 'REOPENED': {
      if (!passed.closed) return passed;
      const goals = passed.goals.map((goal) => (wasReached(goal) ? underTerms({ ...goal, state: 'PAUSED', endedAt: null }, passed.terms, at) : goal));
      return settle(withRest({ ...passed, closed: false, goals }, at), at);
    }
    case 'PAUSE':
      return settle(withRest({ ...passed, paused: fact.paused }, at), at);
    case 'TERMS': {
      // By the old calendar until now, by the new one from here on.
      const goals = passed.goals.map((goal) => underTerms(stop(goal, calendar, at), fact.terms, at));
      return settle({ ...passed, terms: fact.terms, goals }, at);
    }
  }
}

export interface Moment {
  readonly at: number;
  readonly goal: Goal;
  readonly becomes: 'DUE_SOON' | 'OVERDUE';
}

/** The nearest moment at which a goal changes by itself; null: none does. */
export function nextMoment(goals: readonly Goal[]): Moment | null {
  let found: Moment | null = null;
  for (const goal of goals) {
    if (goal.state !== 'ACTIVE' && goal.state !== 'DUE_SOON') continue;
    const becomes = goal.state === 'ACTIVE' && goal.dueSoonAt !== null ? 'DUE_SOON' : 'OVERDUE';
    const at = becomes === 'DUE_SOON' ? goal.dueSoonAt : goal.dueAt;
    if (at !== null && (found === null || at < found.at)) found = { at, goal, becomes };
  }
  return found;
}

/** Whether it is neither completed nor cancelled. */
export function isRunning({ state }: Pick<Goal, 'state'>): boolean {
  return state === 'ACTIVE' || state === 'DUE_SOON' || state === 'OVERDUE' || state === 'PAUSED';
}

/** Working time that it has taken by a moment. */
export function usedBy(goal: Goal, calendar: Calendar, at: number): number {
  return goal.usedMs + (goal.countingSince === null ? 0 : workingTimeBetween(calendar, goal.countingSince, at));
}

/** Begins what is owed and has not begun, and lets count what should count and rest what should rest. */
function settle(of: Measured, at: number): Measured {
  const { terms } = of;
  if (terms === null || of.closed) return of;
  const { calendar } = terms;
  const goals = owed(of).reduce((all, { kind, since }) => begin(all, { of, terms, kind, since, at }), of.goals);
  return { ...of, goals: goals.map((goal) => (of.paused ? stop(goal, calendar, at) : run(goal, calendar, at))) };
}

/** What somebody owes the contact now, and since when. */
function owed({ createdAt, firstOwedAt, replied, unansweredSince, goals }: Measured): readonly { readonly kind: GoalKind; readonly since: number }[] {
  const firstIsOver = goals.some(({ kind, endedAt, reason }) => kind === 'FIRST_REPLY' && endedAt !== null && !isWaived(reason));
  return [
    { kind: 'CLOSE', since: createdAt },
    ...(firstOwedAt === null || replied || firstIsOver ? [] : [{ kind: 'FIRST_REPLY' as const, since: firstOwedAt }]),
    // Also where it was closed without any reply: whoever writes again waits for an answer.
    ...(unansweredSince !== null && (replied || firstIsOver) ? [{ kind: 'NEXT_REPLY' as const, since: unansweredSince }] : []),
  ];
}

interface Owed {
  readonly of: Measured;
  readonly terms: Terms;
  readonly kind: GoalKind;
  readonly since: number;
  readonly at: number;
}

/** A measurement that no policy asked for meanwhile goes on with what it had used; what was never measured begins when it was owed. */
function begin(goals: readonly Goal[], { of, terms, kind, since, at }: Owed): readonly Goal[] {
  const target = terms.targets[kind];
  const last = goals.findLast((goal) => goal.kind === kind);
  if (target === undefined) return goals;
  if (last !== undefined && last.startedAt === since && isWaived(last.reason)) {
    const again: Goal = { ...last, state: 'PAUSED', endedAt: null, reason: null, policyId: terms.policyId, target };
    return goals.map((goal) => (goal === last ? again : goal));
  }
  // A stretch that was answered is another than one that began in the same moment.
  if (last !== undefined && (isRunning(last) || (last.startedAt === since && kind !== 'NEXT_REPLY'))) return goals;
  const round = (last?.round ?? 0) + 1;
  const fresh: Goal = { ...FRESH, kind, round, policyId: terms.policyId, target, startedAt: since };
  return [...goals, caughtUp(fresh, of.rests, terms.calendar, at)];
}

/** As if it had been measured since it was owed: what rested then did not count. */
function caughtUp(fresh: Goal, rests: readonly Rest[], calendar: Calendar, at: number): Goal {
  let goal = fresh;
  let from = fresh.startedAt;
  for (const rest of rests) {
    if ((rest.to ?? at) <= from) continue;
    if (rest.from > from) goal = stop(passTime(run(goal, calendar, from), rest.from), calendar, rest.from);
    from = rest.to ?? at;
  }
  return from < at || from === fresh.startedAt ? passTime(run(goal, calendar, from), at) : goal;
}

const FRESH = {
  state: 'PAUSED',
  usedMs: 0,
  countingSince: null,
  dueAt: null,
  dueSoonAt: null,
  overdueAt: null,
  endedAt: null,
  reason: null,
} as const satisfies Partial<Goal>;

/** Lets it count from a moment, in the state that the time which is left calls for. What was overdue once keeps that moment. */
function run(goal: Goal, calendar: Calendar, at: number): Goal {
  if (!isRunning(goal) || goal.countingSince !== null) return goal;
  const { durationMs, dueSoonMs } = goal.target;
  const left = durationMs - goal.usedMs;
  if (left <= 0) {
    const overdueAt = goal.overdueAt ?? at;
    return { ...goal, state: 'OVERDUE', countingSince: at, dueAt: overdueAt, dueSoonAt: null, overdueAt };
  }
  const dueSoonAt = dueSoonMs > 0 ? addWorkingTime(calendar, at, Math.max(0, left - dueSoonMs)) : null;
  return passTime({ ...goal, state: 'ACTIVE', countingSince: at, dueAt: addWorkingTime(calendar, at, left), dueSoonAt }, at);
}

/** Lets it rest. */
function stop(goal: Goal, calendar: Calendar | null, at: number): Goal {
  if (!isRunning(goal) || goal.countingSince === null) return goal;
  const usedMs = calendar === null ? goal.usedMs : usedBy(goal, calendar, at);
  return { ...goal, state: 'PAUSED', usedMs, countingSince: null, dueAt: null, dueSoonAt: null };
}

/** What the time does to it by itself. A deadline is missed once it is reached. */
function passTime(goal: Goal, at: number): Goal {
  if (goal.state !== 'ACTIVE' && goal.state !== 'DUE_SOON') return goal;
  if (goal.dueAt !== null && goal.dueAt <= at) return { ...goal, state: 'OVERDUE', overdueAt: goal.overdueAt ?? goal.dueAt };
  return goal.dueSoonAt !== null && goal.dueSoonAt <= at ? { ...goal, state: 'DUE_SOON' } : goal;
}

/** On time is what took less than it may, by the terms that hold at the end. */
function complete(goal: Goal, calendar: Calendar | null, at: number): Goal {
  if (!isRunning(goal)) return goal;
  const ended = stop(goal, calendar, at);
  return { ...ended, endedAt: at, state: ended.usedMs < ended.target.durationMs ? 'COMPLETED_ON_TIME' : 'COMPLETED_LATE' };
}

/** The same by a reply that is told later: as much as had passed when it was given, in what did not rest. */
function completeThen(goal: Goal, { rests }: Measured, calendar: Calendar | null, since: number): Goal {
  if (!isRunning(goal)) return goal;
  const then = passTime(goal, since);
  const used = calendar === null ? then.usedMs : usedBy(then, calendar, since);
  const most = calendar === null ? used : workedBetween(calendar, goal.startedAt, since, rests);
  // A deadline after it was not missed, whatever was thought meanwhile.
  const overdueAt = then.overdueAt !== null && then.overdueAt > since ? null : then.overdueAt;
  return complete({ ...then, usedMs: Math.min(used, most), countingSince: null, dueAt: null, dueSoonAt: null, overdueAt }, calendar, since);
}

/** Working time outside of rests. */
function workedBetween(calendar: Calendar, from: number, to: number, rests: readonly Rest[]): number {
  let worked = 0;
  let begin = from;
  for (const rest of rests) {
    worked += workingTimeBetween(calendar, begin, Math.min(rest.from, to));
    begin = Math.max(begin, rest.to ?? to);
  }
  return worked + workingTimeBetween(calendar, begin, to);
}

/** A reply that closing found owed: late where its time was up, and nobody's any more where it was not (SLA-8). */
function endUnanswered(goal: Goal, calendar: Calendar | null, at: number): Goal {
  const ended = complete(goal, calendar, at);
  return isRunning(goal) && ended.state === 'COMPLETED_ON_TIME' ? { ...ended, state: 'CANCELLED', reason: 'CLOSED' } : ended;
}

/** The same measurement under other terms. It must not count at the moment. */
function underTerms(goal: Goal, terms: Terms | null, at: number): Goal {
  if (!isRunning(goal)) return goal;
  if (terms === null) return { ...goal, state: 'CANCELLED', endedAt: at, reason: 'NO_POLICY' };
  const target = terms.targets[goal.kind];
  return target === undefined ? { ...goal, state: 'CANCELLED', endedAt: at, reason: 'NOT_IN_POLICY' } : { ...goal, policyId: terms.policyId, target };
}

const MOST_RESTS = 500;

/** A rest begins, ends, or goes on. */
function withRest(of: Measured, at: number): Measured {
  const last = of.rests.at(-1);
  const rests = last !== undefined && last.to === null;
  if ((of.closed || of.paused) === rests) return of;
  const all = rests ? [...of.rests.slice(0, -1), { from: last.from, to: at }] : [...of.rests, { from: at, to: null }];
  // Only what begins to be measured late asks for them: the oldest of very many may be forgotten.
  return { ...of, rests: all.slice(-MOST_RESTS) };
}

/** A close that was reached is to be reached again once it is reopened (SLA-8). */
function wasReached({ kind, state }: Goal): boolean {
  return kind === 'CLOSE' && (state === 'COMPLETED_ON_TIME' || state === 'COMPLETED_LATE');
}

function isWaived(reason: CancelReason | null): boolean {
  return reason === 'NO_POLICY' || reason === 'NOT_IN_POLICY';
}

function isReply({ kind }: Goal): boolean {
  return kind !== 'CLOSE';
}

import type { Goal, GoalKind, GoalState } from './sla.ts';
import type { Crossing, StoredCalendar } from './sla-policy.ts';

/** A goal as the words need it: ids, codes and moments. */
export interface SaidGoal extends Pick<Goal, 'kind' | 'round' | 'state' | 'dueAt' | 'overdueAt'> {
  /** What people call its policy by. */
  readonly policy: number;
  /** By whose clock moments are told. */
  readonly timeZone: string;
}

const NAMES: Readonly<Record<GoalKind, string>> = { FIRST_REPLY: 'first reply', NEXT_REPLY: 'next reply', CLOSE: 'close' };

/** 'first reply' */
export function goalName(kind: GoalKind): string {
  return NAMES[kind];
}

/** By which clock moments of a policy are told: the calendar's own, else UTC. */
export function clockOf(calendar: StoredCalendar): string {
  return calendar.kind === 'HOURS' ? calendar.timeZone : 'UTC';
}

/** A timer's summary: 'first reply due Sat 21 Nov 14:05 Europe/Berlin, policy 3'. */
export function timerWords({ kind, policy, timeZone }: SaidGoal, on: Crossing, at: number): string {
  return `${goalName(kind)} ${on === 'OVERDUE' ? 'due' : 'due soon from'} ${clockWords(at, timeZone)}, policy ${policy}`;
}

/** 'Sat 21 Nov 14:05 Europe/Berlin' */
export function clockWords(at: number, timeZone: string): string {
  const parts = new Map(
    format(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? '';
  return `${part('weekday')} ${part('day')} ${part('month')} ${part('hour')}:${part('minute')} ${timeZone}`;
}

const STATES: Readonly<Record<GoalState, string>> = {
  ACTIVE: 'is due',
  DUE_SOON: 'is due soon,',
  OVERDUE: 'is **overdue** since',
  PAUSED: 'rests',
  COMPLETED_ON_TIME: 'was on time',
  COMPLETED_LATE: 'was late',
  CANCELLED: 'no longer applies',
};

/** One line for the details of a ticket's workflow. */
export function goalWords({ kind, round, state, dueAt, overdueAt, policy, timeZone }: SaidGoal): string {
  const which = `${goalName(kind)}${round > 1 ? ` ${round}` : ''} (policy ${policy})`;
  const at = state === 'OVERDUE' ? overdueAt : state === 'ACTIVE' || state === 'DUE_SOON' ? dueAt : null;
  // A calendar may never offer what is left.
  if (at === null && (state === 'ACTIVE' || state === 'DUE_SOON')) return `${which} is running, without a deadline in sight`;
  return `${which} ${STATES[state]}${at === null ? '' : ` ${clockWords(at, timeZone)}`}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB-u-ca-gregory-nu-latn', {
    timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  formats.set(timeZone, made);
  return made;
}

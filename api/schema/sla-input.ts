import type { CalendarInput } from '#commands/calendars.ts';
import type { ActionInput, TermsInput } from '#commands/sla-policies.ts';
import { minutesOf } from '#domain/working-hours.ts';
import { builder, globalId } from '../builder.ts';
import { CrossingEnum, GoalKindEnum, PriorityEnum, SkillOperatorEnum, WeekdayEnum, WEEKDAYS } from './enums.ts';
import { RuleInputRef, ruleOf } from './mutations/channel.ts';
import { StatusRef, TeamRef, UserRef } from './refs.ts';

type Types = typeof builder.$inferSchemaTypes;
type InputBuilder = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;

const MINUTE_MS = 60_000;
/** The nodes that conditions name. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ['pipeline', 'Pipeline'],
  ['team', 'Team'],
]);

/** A value of a condition as clients see it: pipelines and teams by their global ids. */
export function shownValue(property: string, value: string): string {
  const type = NAMED.get(property);
  return type === undefined ? value : globalId(type, value);
}

function meantValue(property: string, value: string): string {
  const type = NAMED.get(property);
  return type === undefined ? value : rowId(type, value);
}

/** What is no global id of the type is refused by name, like any thing of it there is not. */
function rowId(type: string, value: string): string {
  const [found, id] = Buffer.from(value, 'base64').toString('utf8').split(':');
  return found === type && id !== undefined ? id.toLowerCase() : value;
}

const PeriodInputRef = builder.inputType('BusinessPeriodInput', {
  description: 'A stretch of one weekday, by the calendar’s own clock. One over midnight is written as two.',
  fields: (t) => ({
    weekday: t.field({ type: WeekdayEnum, required: true, description: 'Which day.' }),
    from: t.string({ required: true, description: 'Hours and minutes: “09:00”.' }),
    to: t.string({ required: true, description: 'Hours and minutes, later than from; at most “24:00”.' }),
  }),
});

const HolidayInputRef = builder.inputType('HolidayInput', {
  description: 'A day of which no time counts.',
  fields: (t) => ({
    date: t.string({ required: true, description: 'By the calendar’s own clock: “2026-12-25”.' }),
    name: t.string({ description: 'What people call it.' }),
  }),
});

/** What a calendar is made of. */
export function calendarFields(t: InputBuilder) {
  return {
    timeZone: t.string({ required: true, description: 'By whose clock: an IANA time zone, “Europe/Berlin”.' }),
    periods: t.field({
      type: [PeriodInputRef],
      required: true,
      description: 'When time counts: several a day may be, none may overlap; at least one.',
    }),
    holidays: t.field({ type: [HolidayInputRef], description: 'Days of which no time counts; none: there are none.' }),
  };
}

/** A calendar as it is typed. */
export const CalendarDraftRef = builder.inputType('BusinessCalendarDraft', {
  description: 'A calendar that is not saved.',
  fields: (t) => calendarFields(t),
});

/** As the commands take it: a time that can not be read is no number, which is refused by its place. */
export function calendarOf({ timeZone, periods, holidays }: typeof CalendarDraftRef.$inferInput): Pick<CalendarInput, 'timeZone' | 'periods' | 'holidays'> {
  return {
    timeZone,
    periods: periods.map(({ weekday, from, to }) => ({
      weekday: WEEKDAYS.indexOf(weekday) + 1,
      from: minutesOf(from) ?? Number.NaN,
      to: minutesOf(to) ?? Number.NaN,
    })),
    holidays: (holidays ?? []).map(({ date, name }) => ({ date, name: name ?? null })),
  };
}

const ConditionInputRef = builder.inputType('SlaConditionInput', {
  description: 'What must hold of a ticket.',
  fields: (t) => ({
    property: t.string({ required: true, description: '“pipeline”, “priority”, “team”, “source”, or “properties.<name>” for a custom property.' }),
    operator: t.field({ type: SkillOperatorEnum, required: true, description: 'How it is compared; CONTAINS is for custom properties only.' }),
    values: t.stringList({
      required: true,
      description:
        'With what: one for IS and CONTAINS. Of “pipeline” and “team” ids, of “priority” LOW, MEDIUM, HIGH, URGENT, of “source” a channel’s key, API, IMPORT, INTEGRATION or WORKFLOW.',
    }),
  }),
});

const TargetInputRef = builder.inputType('SlaTargetInput', {
  description: 'How long a goal may take on tickets of a priority.',
  fields: (t) => ({
    goal: t.field({ type: GoalKindEnum, required: true, description: 'What is measured.' }),
    priority: t.field({ type: PriorityEnum, description: 'Of which priority; none: of each that has no target of its own for this goal.' }),
    minutes: t.int({ required: true, description: 'In whole minutes of working time; no longer than the calendar ever offers.' }),
    dueSoonMinutes: t.int({
      description: 'So many minutes of working time before the deadline it is due soon; less than `minutes`. None or 0: never before it.',
    }),
  }),
});

const NotifyInputRef = builder.inputType('SlaNotifyInput', {
  description: 'Who is notified besides those who are anyway; at least one.',
  fields: (t) => ({
    userIds: t.globalIDList({ for: [UserRef], description: 'Users.' }),
    teamIds: t.globalIDList({ for: [TeamRef], description: 'Teams, all of whose members are told.' }),
  }),
});

const ActionInputRef = builder.inputType('SlaActionInput', {
  description: 'What is to be done at a moment of a goal: give one of the four.',
  fields: (t) => ({
    on: t.field({ type: CrossingEnum, required: true, description: 'At which moment.' }),
    goal: t.field({ type: GoalKindEnum, description: 'Of which goal of the policy; none: of each.' }),
    setPriority: t.field({ type: PriorityEnum, description: 'Give the ticket this priority.' }),
    assignRule: t.field({ type: RuleInputRef, description: 'Decide anew whose the ticket is, by a rule of the kind SPECIFIC.' }),
    notify: t.field({ type: NotifyInputRef, description: 'Notify these.' }),
    webhookId: t.id({ description: 'Call this webhook.' }),
  }),
});

/** What a policy says. */
export function policyFields(t: InputBuilder) {
  return {
    conditions: t.field({ type: [ConditionInputRef], description: 'All of them must hold of a ticket; none: it is for every ticket.' }),
    targets: t.field({ type: [TargetInputRef], required: true, description: 'Its goals, each with how long it may take; at least one.' }),
    pauseStatusIds: t.globalIDList({ for: [StatusRef], description: 'While a ticket has one of these no time counts: open ones.' }),
    actions: t.field({ type: [ActionInputRef], description: 'What is done when a goal is due soon or overdue, in this order.' }),
  };
}

/** A policy as it is typed. */
export const PolicyDraftRef = builder.inputType('SlaPolicyDraft', {
  description: 'An SLA policy that is not saved.',
  fields: (t) => policyFields(t),
});

/** As the commands take it. */
export function policyTermsOf({ conditions, targets, pauseStatusIds, actions }: typeof PolicyDraftRef.$inferInput): TermsInput {
  return {
    conditions: (conditions ?? []).map(({ property, operator, values }) => ({ property, operator, values: values.map((one) => meantValue(property, one)) })),
    targets: targets.map(({ goal, priority, minutes, dueSoonMinutes }) => ({
      kind: goal,
      priority: priority ?? null,
      durationMs: minutes * MINUTE_MS,
      dueSoonMs: (dueSoonMinutes ?? 0) * MINUTE_MS,
    })),
    pauseStatusIds: ids(pauseStatusIds),
    actions: (actions ?? []).map(actionOf),
  };
}

function actionOf({ on, goal, setPriority, assignRule, notify, webhookId }: typeof ActionInputRef.$inferInput): ActionInput {
  return {
    on,
    goal: goal ?? null,
    setPriority: setPriority ?? null,
    assign: assignRule == null ? null : ruleOf(assignRule),
    notify: notify == null ? null : { userIds: ids(notify.userIds), teamIds: ids(notify.teamIds) },
    webhookId: webhookId == null ? null : rowId('Webhook', webhookId),
  };
}

type Ids = readonly ({ readonly id: string } | null | undefined)[] | null | undefined;

function ids(list: Ids): string[] {
  return (list ?? []).flatMap((one) => (one == null ? [] : [one.id]));
}

import { InvalidInput, NotFound } from '#commands/refusals.ts';
import { policyFor, previewSla, type PolicyFor, type SlaPreview } from '#commands/sla-preview.ts';
import { COUNTED_DAYS } from '#domain/working-days.ts';
import { shiftWords, type ForetoldDay, type ForetoldGoal, type ForetoldStretch } from '#domain/sla-preview.ts';
import { clockOf } from '#domain/sla-words.ts';
import { builder } from '../builder.ts';
import { GoalKindEnum, PolicyForEnum, PriorityEnum, WeekdayEnum, WEEKDAYS } from './enums.ts';
import { CalendarRef, PipelineRef, SlaPolicyRef, TeamRef, TicketRef } from './refs.ts';
import { CalendarDraftRef, calendarOf, PolicyDraftRef, policyTermsOf } from './sla-input.ts';
import { PolicyConditionRef, TargetRef } from './sla-policy.ts';

const MINUTE_MS = 60_000;
const DAYS_SHOWN = 31;
/** There are three goals. */
const GOALS = 3;

const StretchRef = builder.objectRef<ForetoldStretch>('SlaPreviewStretch').implement({
  description: 'A stretch in which all time counts.',
  fields: (t) => ({
    from: t.field({ type: 'DateTime', description: 'When it begins.', resolve: ({ from }) => new Date(from) }),
    to: t.field({ type: 'DateTime', description: 'When it is over; not included.', resolve: ({ to }) => new Date(to) }),
    fromClock: t.exposeString('fromClock', { description: 'The same by the calendar’s clock: “09:00”.' }),
    toClock: t.exposeString('toClock', { description: 'Likewise; “24:00” is the end of the day.' }),
  }),
});

const DayRef = builder.objectRef<ForetoldDay>('SlaPreviewDay').implement({
  description: 'What one day by the calendar’s clock gives to a deadline.',
  fields: (t) => ({
    date: t.exposeString('date', { description: '“2026-03-29”.' }),
    weekday: t.field({
      type: WeekdayEnum,
      description: 'Which day it is.',
      resolve: ({ date }) => WEEKDAYS[(new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7] ?? 'MONDAY',
    }),
    stretches: t.field({
      type: [StretchRef],
      description: 'When time counts, in order; the last of the last day ends at the deadline.',
      resolve: ({ stretches }) => [...stretches],
    }),
    minutes: t.float({ description: 'How much that is.', resolve: ({ countedMs }) => countedMs / MINUTE_MS }),
    minutesSoFar: t.float({ description: 'With all days before it.', resolve: ({ soFarMs }) => soFarMs / MINUTE_MS }),
    shiftHours: t.exposeFloat('shiftHours', {
      description: 'So many hours longer the day is for a change of the clocks; shorter: less than nothing; 0: as usual.',
    }),
    shift: t.string({
      nullable: true,
      description: '“the clocks are put forward by 1 hour”; null: they are not touched.',
      resolve: ({ shiftHours }) => shiftWords(shiftHours),
    }),
  }),
});

const GoalRef = builder.objectRef<ForetoldGoal>('SlaPreviewGoal').implement({
  description: 'When a goal would be due, and how that was counted.',
  fields: (t) => ({
    goal: t.field({ type: GoalKindEnum, description: 'What is measured.', resolve: ({ kind }) => kind }),
    minutes: t.int({ description: 'How long it may take, in minutes of working time.', resolve: ({ target }) => target.durationMs / MINUTE_MS }),
    dueSoonMinutes: t.int({
      description: 'How long before the deadline it is due soon; 0: never before it.',
      resolve: ({ target }) => target.dueSoonMs / MINUTE_MS,
    }),
    dueAt: t.field({ type: 'DateTime', description: 'The deadline.', resolve: ({ dueAt }) => new Date(dueAt.at) }),
    dueAtClock: t.string({ description: 'The same by the calendar’s clock: “Wed 1 Apr 10:00 Europe/Berlin”.', resolve: ({ dueAt }) => dueAt.clock }),
    dueSoonAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'From when it is due soon; null: never before it is due.',
      resolve: ({ dueSoonAt }) => (dueSoonAt === null ? null : new Date(dueSoonAt.at)),
    }),
    dueSoonAtClock: t.string({ nullable: true, description: 'The same by the calendar’s clock.', resolve: ({ dueSoonAt }) => dueSoonAt?.clock ?? null }),
    days: t.field({
      type: [DayRef],
      description: 'How the deadline comes about, day by day; days that give nothing are left out.',
      args: { first: t.arg.int({ defaultValue: DAYS_SHOWN, description: `How many, at most ${COUNTED_DAYS}.` }) },
      complexity: ({ first }) => ({ field: 1, multiplier: first ?? DAYS_SHOWN }),
      resolve: ({ days }, { first }) => days.slice(0, Math.min(Math.max(first ?? DAYS_SHOWN, 0), COUNTED_DAYS)),
    }),
    whole: t.exposeBoolean('whole', {
      description: `Whether the days come to the deadline; false: it lies more than ${COUNTED_DAYS} days ahead, and these are not all.`,
    }),
  }),
});

const PreviewRef = builder.objectRef<SlaPreview>('SlaPreview').implement({
  description: 'When the goals of a policy would be due on a ticket that begins at a moment and never pauses.',
  fields: (t) => ({
    timeZone: t.string({ description: 'By whose clock it is told; UTC where all time counts.', resolve: ({ calendar }) => clockOf(calendar) }),
    goals: t.field({
      type: [GoalRef],
      complexity: { field: 1, multiplier: GOALS },
      description: 'Those that the policy asks of the priority.',
      resolve: ({ goals }) => [...goals],
    }),
  }),
});

builder.queryField('previewSla', (t) =>
  t.field({
    type: PreviewRef,
    description:
      'When the goals of an SLA policy would be due, and how that is counted day by day. Nothing is saved. Give `policyId` or `policy`; a calendar takes the place of the policy’s own, and a `policy` without one goes by all time. What is wrong with it is refused as on saving.',
    errors: {
      types: [NotFound, InvalidInput],
      union: { name: 'PreviewSlaResult', description: 'What previewSla answers: the deadlines, or why there are none.' },
    },
    args: {
      policyId: t.arg.globalID({ for: [SlaPolicyRef], description: 'A policy that there is.' }),
      policy: t.arg({ type: PolicyDraftRef, description: 'One that is not saved.' }),
      calendarId: t.arg.globalID({ for: [CalendarRef], description: 'A calendar that there is.' }),
      calendar: t.arg({ type: CalendarDraftRef, description: 'One that is not saved.' }),
      at: t.arg({ type: 'DateTime', required: true, description: 'When time begins to count.' }),
      priority: t.arg({ type: PriorityEnum, description: 'Of a ticket of this priority; none: of one that has no targets of its own.' }),
    },
    // Counting a goal by a calendar of many short periods takes as long as hundreds of rows.
    complexity: 500,
    resolve: async (_root, { policyId, policy, calendarId, calendar, at, priority }, { db }) => {
      const written = calendar == null ? null : calendarOf(calendar);
      return previewSla(db, {
        policyId: policyId?.id ?? null,
        policy: policy == null ? null : policyTermsOf(policy),
        calendarId: calendarId?.id ?? null,
        calendar: written === null ? null : { ...written, holidays: written.holidays.map(({ date }) => date) },
        at,
        priority: priority ?? null,
      });
    },
  }),
);

const PassedOverRef = builder.objectRef<PolicyFor['passedOver'][number]>('SlaPolicyPassedOver').implement({
  description: 'A policy that does not apply, and why.',
  fields: (t) => ({
    policy: t.field({
      type: SlaPolicyRef,
      nullable: true,
      description: 'Which one; null: it was removed just now.',
      resolve: ({ policy }, _args, { load }) => load.slaPolicy.load(policy.policyId),
    }),
    condition: t.field({ type: PolicyConditionRef, description: 'The first of its conditions that does not hold.', resolve: ({ condition }) => condition }),
  }),
});

const PolicyForRef = builder.objectRef<PolicyFor>('SlaPolicyFor').implement({
  description: 'Which SLA policy applies to a ticket as it stands.',
  fields: (t) => ({
    policy: t.field({
      type: SlaPolicyRef,
      nullable: true,
      description: 'The policy; null: none applies.',
      resolve: ({ policy }, _args, { load }) => (policy === null ? null : load.slaPolicy.load(policy.policyId)),
    }),
    why: t.field({ type: PolicyForEnum, description: 'Why, or why none does.', resolve: ({ why }) => why }),
    targets: t.field({ type: [TargetRef], description: 'What it asks of the ticket’s priority.', resolve: ({ targets }) => [...targets] }),
    passedOver: t.field({
      type: [PassedOverRef],
      description: 'The policies that were tried before it, in their order.',
      resolve: ({ passedOver }) => [...passedOver],
    }),
  }),
});

builder.queryField('slaPolicyFor', (t) =>
  t.field({
    type: PolicyForRef,
    description:
      'Which SLA policy would apply to a ticket now, and why none before it. Give `ticketId` for one that there is, or describe one; a described ticket has its conversation in the help desk.',
    errors: {
      types: [NotFound, InvalidInput],
      union: { name: 'SlaPolicyForResult', description: 'What slaPolicyFor answers: the policy, or why it can not be told.' },
    },
    args: {
      ticketId: t.arg.globalID({ for: [TicketRef], description: 'A ticket that there is, as it stands; a policy it has from before may be another.' }),
      priority: t.arg({ type: PriorityEnum, description: 'Of a described ticket; none: MEDIUM.' }),
      pipelineId: t.arg.globalID({ for: [PipelineRef], description: 'Of a described ticket; none: the account’s first.' }),
      teamId: t.arg.globalID({ for: [TeamRef], description: 'Of a described ticket: the team it was given to, else its owner’s; none: it has none.' }),
      source: t.arg.string({ description: 'Of a described ticket: a channel’s key, API, IMPORT, INTEGRATION or WORKFLOW; none: unknown.' }),
      properties: t.arg({ type: 'JSONObject', description: 'Of a described ticket: its custom properties.' }),
    },
    complexity: 50,
    resolve: async (_root, { ticketId, pipelineId, teamId, ...facts }, { db, load }) => {
      if (ticketId != null && (await load.ticket.load(ticketId.id)) === null) throw new NotFound('ticket', ticketId.id);
      const described = { priority: facts.priority ?? null, source: facts.source ?? null, properties: facts.properties ?? null };
      return policyFor(db, { ticketId: ticketId?.id ?? null, pipelineId: pipelineId?.id ?? null, teamId: teamId?.id ?? null, ...described });
    },
  }),
);

import { deleteCalendar, saveCalendar } from '#commands/calendars.ts';
import { AlreadyExists, ChangedMeanwhile, NotAssignable, NotPossible } from '#commands/refusals.ts';
import { deletePolicy, orderPolicies, savePolicy } from '#commands/sla-policies.ts';
import { startReevaluation } from '#commands/sla-reevaluation.ts';
import { builder, globalId } from '../../builder.ts';
import type { Loaders } from '../../loaders.ts';
import type { CalendarRow, ReevaluationRow, SlaPolicyRow } from '../../rows.ts';
import { ApplyToEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { CalendarRef, ReevaluationRef, SlaPolicyRef } from '../refs.ts';
import { calendarFields, calendarOf, policyFields, policyTermsOf } from '../sla-input.ts';

type Types = typeof builder.$inferSchemaTypes;
type InputBuilder = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;

interface WithReevaluation {
  readonly reevaluation: ReevaluationRow | null;
}

const REEVALUATION = 'The re-evaluation of open tickets that was started; null: none was asked for, or nothing changes for any.';
const VERSION = 'The version the client has seen; if it was edited since, ChangedMeanwhile.';

const applyTo = (t: InputBuilder) => t.field({ type: ApplyToEnum, required: true, description: 'For which tickets it holds.' });

async function started(reevaluationId: string | null, load: Loaders): Promise<ReevaluationRow | null> {
  return reevaluationId === null ? null : load.slaReevaluation.load(reevaluationId);
}

const SavedCalendarRef = builder.objectRef<WithReevaluation & { readonly calendar: CalendarRow }>('SavedBusinessCalendar').implement({
  description: 'A calendar as it was saved.',
  fields: (t) => ({
    calendar: t.field({ type: CalendarRef, description: 'The calendar.', resolve: (saved) => saved.calendar }),
    reevaluation: t.field({ type: ReevaluationRef, nullable: true, description: REEVALUATION, resolve: (saved) => saved.reevaluation }),
  }),
});

mutation('saveBusinessCalendar', {
  description: 'Makes a calendar or edits one, as a whole. The policies that go by it do so from now on.',
  type: SavedCalendarRef,
  refusals: [AlreadyExists, ChangedMeanwhile],
  input: (t) => ({
    calendarId: t.globalID({ for: [CalendarRef], description: 'Which is edited; none: a new one.' }),
    expectedVersion: t.int({ description: VERSION }),
    name: t.string({ required: true, description: 'Its name, up to 200 characters, unique without regard to case.' }),
    ...calendarFields(t),
    applyTo: applyTo(t),
  }),
  work: ({ calendarId, expectedVersion, name, timeZone, periods, holidays, applyTo: to }, { unit }) => {
    const written = calendarOf({ timeZone, periods, ...(holidays == null ? {} : { holidays }) });
    return saveCalendar(unit, { calendarId: calendarId?.id ?? null, expectedVersion: expectedVersion ?? null, name, ...written }, to);
  },
  read: async ({ calendarId, reevaluationId }, { load }) => {
    const calendar = await load.calendar.load(calendarId);
    return calendar === null ? null : { calendar, reevaluation: await started(reevaluationId, load) };
  },
});

const RemovedCalendarRef = builder.objectRef<{ readonly calendarId: string }>('RemovedBusinessCalendar').implement({
  description: 'A calendar that is no more.',
  fields: (t) => ({ removedId: t.id({ description: 'The global id it had.', resolve: ({ calendarId }) => globalId('BusinessCalendar', calendarId) }) }),
});

mutation('deleteBusinessCalendar', {
  description: 'Takes a calendar off the list; one that a policy goes by stays.',
  type: RemovedCalendarRef,
  refusals: [NotPossible],
  input: (t) => ({ calendarId: t.globalID({ for: [CalendarRef], required: true, description: 'Which one.' }) }),
  work: ({ calendarId }, { unit }) => deleteCalendar(unit, { calendarId: calendarId.id }),
  read: async (answer) => answer,
});

const SavedPolicyRef = builder.objectRef<WithReevaluation & { readonly policy: SlaPolicyRow }>('SavedSlaPolicy').implement({
  description: 'An SLA policy as it was saved.',
  fields: (t) => ({
    policy: t.field({ type: SlaPolicyRef, description: 'The policy.', resolve: (saved) => saved.policy }),
    reevaluation: t.field({ type: ReevaluationRef, nullable: true, description: REEVALUATION, resolve: (saved) => saved.reevaluation }),
  }),
});

mutation('saveSlaPolicy', {
  description:
    'Makes an SLA policy or edits one, as a whole; all that is wrong is named by its path. A new one is the last in order. Whom an action assigns to needs a paid seat, and so does the admin.',
  type: SavedPolicyRef,
  refusals: [AlreadyExists, ChangedMeanwhile, NotAssignable],
  input: (t) => ({
    policyId: t.globalID({ for: [SlaPolicyRef], description: 'Which is edited; none: a new one.' }),
    expectedVersion: t.int({ description: VERSION }),
    name: t.string({ required: true, description: 'Its name, up to 200 characters, unique without regard to case.' }),
    calendarId: t.globalID({ for: [CalendarRef], description: 'When time counts; none: all time does.' }),
    ...policyFields(t),
    applyTo: applyTo(t),
  }),
  work: ({ policyId, expectedVersion, name, calendarId, applyTo: to, ...terms }, { unit }) =>
    savePolicy(
      unit,
      { policyId: policyId?.id ?? null, expectedVersion: expectedVersion ?? null, name, calendarId: calendarId?.id ?? null, ...policyTermsOf(terms) },
      to,
    ),
  read: async ({ policyId, reevaluationId }, { load }) => {
    const policy = await load.slaPolicy.load(policyId);
    return policy === null ? null : { policy, reevaluation: await started(reevaluationId, load) };
  },
});

const RemovedPolicyRef = builder.objectRef<WithReevaluation & { readonly policyId: string }>('RemovedSlaPolicy').implement({
  description: 'An SLA policy that applies to no other ticket.',
  fields: (t) => ({
    removedId: t.id({ description: 'Its global id.', resolve: ({ policyId }) => globalId('SlaPolicy', policyId) }),
    reevaluation: t.field({ type: ReevaluationRef, nullable: true, description: REEVALUATION, resolve: (removed) => removed.reevaluation }),
  }),
});

mutation('deleteSlaPolicy', {
  description: 'Takes an SLA policy off the list. Tickets that go by it keep doing so, or are brought to the next that matches.',
  type: RemovedPolicyRef,
  input: (t) => ({ policyId: t.globalID({ for: [SlaPolicyRef], required: true, description: 'Which one.' }), applyTo: applyTo(t) }),
  work: ({ policyId, applyTo: to }, { unit }) => deletePolicy(unit, { policyId: policyId.id }, to),
  read: async ({ policyId, reevaluationId }, { load }) => ({ policyId, reevaluation: await started(reevaluationId, load) }),
});

const OrderedPoliciesRef = builder.objectRef<WithReevaluation & { readonly policyIds: readonly string[] }>('OrderedSlaPolicies').implement({
  description: 'The SLA policies in their order.',
  fields: (t) => ({
    policies: t.field({
      type: [SlaPolicyRef],
      description: 'All of them, in the order in which they are tried.',
      resolve: async ({ policyIds }, _args, { load }) => {
        const policies = await Promise.all(policyIds.map((id) => load.slaPolicy.load(id)));
        return policies.filter((policy) => policy !== null);
      },
    }),
    reevaluation: t.field({ type: ReevaluationRef, nullable: true, description: REEVALUATION, resolve: (ordered) => ordered.reevaluation }),
  }),
});

mutation('orderSlaPolicies', {
  description: 'Puts the SLA policies in another order: the first whose conditions hold of a ticket applies.',
  type: OrderedPoliciesRef,
  input: (t) => ({
    policyIds: t.globalIDList({ for: [SlaPolicyRef], required: true, description: 'All of them, each once.' }),
    applyTo: applyTo(t),
  }),
  work: async ({ policyIds, applyTo: to }, { unit }) => {
    const inOrder = policyIds.flatMap((one) => (one == null ? [] : [one.id]));
    return { policyIds: inOrder, ...(await orderPolicies(unit, { policyIds: inOrder }, to)) };
  },
  read: async ({ policyIds, reevaluationId }, { load }) => ({ policyIds, reevaluation: await started(reevaluationId, load) }),
});

mutation('reevaluateSla', {
  description: 'Brings the open tickets up to what the SLA policies say now, in the background: what saving with OPEN_TICKETS_TOO starts, by hand.',
  type: ReevaluationRef,
  input: () => ({}),
  work: (_input, { unit }) => startReevaluation(unit, 'BY_HAND'),
  read: ({ reevaluationId }, { load }) => load.slaReevaluation.load(reevaluationId),
});

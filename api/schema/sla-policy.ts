import type { Condition } from '#domain/conditions.ts';
import type { PolicyAction, PolicyTarget, PolicyTerms } from '#domain/sla-policy.ts';
import { builder, globalId } from '../builder.ts';
import type { Loaders } from '../loaders.ts';
import { promised } from '../promised.ts';
import type { SlaPolicyRow } from '../rows.ts';
import { CrossingEnum, GoalKindEnum, PriorityEnum, ReevaluationStateEnum, ReevaluationWhyEnum, SkillOperatorEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { CalendarRef, ReevaluationConnection, ReevaluationRef, RuleRef, SlaPolicyConnection, SlaPolicyRef, StatusRef, TeamRef, UserRef } from './refs.ts';
import { shownValue } from './sla-input.ts';

const MINUTE_MS = 60_000;

/** Terms are never removed. */
async function termsOf(policy: SlaPolicyRow, load: Loaders): Promise<PolicyTerms> {
  return promised(await load.slaTerms.load(policy.terms_id));
}

/** What must hold of a ticket, as a policy has it. */
export const PolicyConditionRef = builder.objectRef<Condition>('SlaCondition').implement({
  description: 'What must hold of a ticket.',
  fields: (t) => ({
    property: t.exposeString('property', { description: '“pipeline”, “priority”, “team”, “source”, or “properties.<name>” for a custom property.' }),
    operator: t.field({ type: SkillOperatorEnum, description: 'How it is compared.', resolve: (one) => one.operator }),
    values: t.stringList({
      description: 'With what; of “pipeline” and “team” their ids.',
      resolve: ({ property, values }) => values.map((one) => shownValue(property, one)),
    }),
  }),
});

/** How long a goal may take. */
export const TargetRef = builder.objectRef<PolicyTarget>('SlaTarget').implement({
  description: 'How long a goal may take on tickets of a priority.',
  fields: (t) => ({
    goal: t.field({ type: GoalKindEnum, description: 'What is measured.', resolve: (target) => target.kind }),
    priority: t.field({
      type: PriorityEnum,
      nullable: true,
      description: 'Of which priority; null: of each that has no target of its own for this goal.',
      // Checked when it was saved.
      resolve: (target) => target.priority as 'MEDIUM' | null,
    }),
    minutes: t.int({ description: 'In whole minutes of working time.', resolve: ({ durationMs }) => durationMs / MINUTE_MS }),
    dueSoonMinutes: t.int({
      description: 'So many minutes of working time before the deadline it is due soon; 0: never before it.',
      resolve: ({ dueSoonMs }) => dueSoonMs / MINUTE_MS,
    }),
  }),
});

const ActionRef = builder.objectRef<PolicyAction>('SlaAction').implement({
  description: 'What is done at a moment of a goal: one of the four.',
  fields: (t) => ({
    on: t.field({ type: CrossingEnum, description: 'At which moment.', resolve: ({ on }) => on }),
    goal: t.field({ type: GoalKindEnum, nullable: true, description: 'Of which goal; null: of each.', resolve: ({ goal }) => goal }),
    setPriority: t.field({
      type: PriorityEnum,
      nullable: true,
      description: 'The priority that the ticket gets; null: it does something else.',
      // Checked when it was saved.
      resolve: ({ act }) => (act.kind === 'SET_PRIORITY' ? (act.priority as 'MEDIUM') : null),
    }),
    assignRule: t.field({
      type: RuleRef,
      nullable: true,
      description: 'The rule that decides anew whose the ticket is; null: it does something else.',
      resolve: ({ act }, _args, { load }) => (act.kind === 'ASSIGN' ? load.rule.load(act.ruleId) : null),
    }),
    notifyUsers: t.field({
      type: [UserRef],
      description: 'The users who are notified besides those who are anyway.',
      resolve: async ({ act }, _args, { load }) => {
        const users = await Promise.all(act.kind === 'NOTIFY' ? act.userIds.map((id) => load.user.load(id)) : []);
        return users.filter((user) => user !== null);
      },
    }),
    notifyTeams: t.field({
      type: [TeamRef],
      description: 'The teams whose members are.',
      resolve: async ({ act }, _args, { load }) => {
        const teams = await Promise.all(act.kind === 'NOTIFY' ? act.teamIds.map((id) => load.team.load(id)) : []);
        return teams.filter((team) => team !== null);
      },
    }),
    webhookId: t.id({
      nullable: true,
      description: 'The global id of the webhook that is called; null: it does something else.',
      resolve: ({ act }) => (act.kind === 'WEBHOOK' ? globalId('Webhook', act.webhookId) : null),
    }),
  }),
});

builder.node(SlaPolicyRef, {
  description: 'Which goals tickets have, by which hours, and what is done when they are missed. Any user sees all of them.',
  id: { resolve: (policy) => policy.id },
  loadOne: (id, { load }) => load.slaPolicy.load(id),
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'What timers and explanations call it by: “policy 3”; never used again.' }),
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    position: t.exposeInt('position', { description: 'Where it stands among the policies, ascending: the first whose conditions hold applies.' }),
    conditions: t.field({
      type: [PolicyConditionRef],
      description: 'All of them must hold of a ticket; none: it is for every ticket.',
      resolve: async (policy, _args, { load }) => (await termsOf(policy, load)).conditions,
    }),
    calendar: t.field({
      type: CalendarRef,
      nullable: true,
      description: 'When time counts; null: all time does, or both it and the policy were removed.',
      resolve: (policy, _args, { load }) => (policy.calendar_id === null ? null : load.calendar.load(policy.calendar_id)),
    }),
    targets: t.field({
      type: [TargetRef],
      description: 'Its goals, each with how long it may take.',
      resolve: async (policy, _args, { load }) => (await termsOf(policy, load)).targets,
    }),
    pauseStatuses: t.field({
      type: [StatusRef],
      description: 'While a ticket has one of these no time counts.',
      resolve: async (policy, _args, { load }) => {
        const statuses = await Promise.all((await termsOf(policy, load)).pauseStatusIds.map((id) => load.status.load(id)));
        return statuses.filter((status) => status !== null);
      },
    }),
    actions: t.field({
      type: [ActionRef],
      description: 'What is done when a goal is due soon or overdue, in this order.',
      resolve: async (policy, _args, { load }) => (await termsOf(policy, load)).actions,
    }),
    version: t.exposeInt('version', {
      description: 'Goes up with every edit, of its calendar too; given as `expectedVersion` it guards against overwriting somebody else’s.',
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (policy) => policy.created_at }),
    removedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Since when it applies to no other ticket: it was removed, and is not listed. Null: it was not.',
      resolve: (policy) => policy.deleted_at,
    }),
  }),
});

builder.queryField('slaPolicies', (t) =>
  t.connection(
    {
      type: SlaPolicyRef,
      description: 'The account’s SLA policies, in the order in which they are tried.',
      resolve: (_root, args, { load, db }) =>
        load.page(args, ORDERS.slaPolicy, db.selectFrom('sla_policy').selectAll('sla_policy').where('deleted_at', 'is', null)),
    },
    SlaPolicyConnection,
  ),
);

builder.node(ReevaluationRef, {
  description: 'Open tickets are being brought up to what the SLA policies say, or were. Admins see it.',
  id: { resolve: (one) => one.id },
  loadOne: (id, { load }) => load.slaReevaluation.load(id),
  fields: (t) => ({
    why: t.field({ type: ReevaluationWhyEnum, description: 'Why it was started.', resolve: (one) => one.why }),
    state: t.field({ type: ReevaluationStateEnum, description: 'How far it is.', resolve: (one) => one.state }),
    total: t.exposeInt('total', { description: 'Tickets that were open when it began.' }),
    lookedAt: t.exposeInt('looked_at', { description: 'Tickets looked at by now; fewer than `total` at the end, where some were closed meanwhile.' }),
    changed: t.exposeInt('changed', { description: 'Of these, tickets whose goals changed.' }),
    percent: t.int({
      description: 'Of the tickets looked at, in whole percent; 100 once it is done.',
      resolve: ({ state, total, looked_at }) => (state === 'DONE' || total === 0 ? 100 : Math.min(99, Math.floor((100 * looked_at) / total))),
    }),
    startedBy: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who saved or asked; null: no user did.',
      resolve: (one, _args, { load }) => (one.user_id === null ? null : load.user.load(one.user_id)),
    }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.', resolve: (one) => one.started_at }),
    endedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was over; null: it is not.', resolve: (one) => one.ended_at }),
  }),
});

builder.queryField('slaReevaluations', (t) =>
  t.connection(
    {
      type: ReevaluationRef,
      description: 'The re-evaluations of open tickets, the newest first. Admins see them, for others there are none.',
      resolve: async (_root, args, { load, db, see }) =>
        load.page(
          args,
          ORDERS.slaReevaluation,
          db
            .selectFrom('sla_reevaluation')
            .selectAll('sla_reevaluation')
            .where((await see()).sla_reevaluation),
        ),
    },
    ReevaluationConnection,
  ),
);

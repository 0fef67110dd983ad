import { isRunning, usedBy, type Goal } from '#domain/sla.ts';
import { calendarOf } from '#domain/sla-policy.ts';
import { builder } from '../builder.ts';
import { LIMITS } from '../limits.ts';
import type { Loaders } from '../loaders.ts';
import { promised } from '../promised.ts';
import type { SlaGoalRow } from '../rows.ts';
import { CancelReasonEnum, GoalKindEnum, GoalStateEnum } from './enums.ts';
import { SlaPolicyRef, TicketRef } from './refs.ts';

export const SlaGoalRef = builder.objectRef<SlaGoalRow>('SlaGoal').implement({
  description: 'One measurement of a ticket: a goal of its SLA policy, how much time it has taken, and when it is due.',
  fields: (t) => ({
    goal: t.field({ type: GoalKindEnum, description: 'What is measured.', resolve: (goal) => goal.kind }),
    round: t.exposeInt('round', { description: 'Which of its kind on this ticket, from 1: each unanswered stretch is one.' }),
    state: t.field({ type: GoalStateEnum, description: 'How it stands.', resolve: (goal) => goal.state }),
    startedAt: t.field({ type: 'DateTime', description: 'Since when it is owed.', resolve: (goal) => goal.started_at }),
    minutes: t.float({ description: 'How long it may take, in minutes of working time.', resolve: (goal) => toMinutes(goal.duration_ms) }),
    usedMinutes: t.float({
      description: 'Working time that it has taken by now, in minutes; of one that is over, by its end.',
      resolve: async (goal, _args, { load }) => toMinutes(await used(goal, load)),
    }),
    remainingMinutes: t.float({
      nullable: true,
      description: 'What is left of its time, in minutes; less than nothing: so much over it. Null: it is over.',
      resolve: async (goal, _args, { load }) => (isRunning(goal) ? toMinutes(goal.duration_ms - (await used(goal, load))) : null),
    }),
    dueAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Its deadline, also once that has passed; null: no time counts, or its calendar never offers that much.',
      resolve: (goal) => goal.due_at,
    }),
    dueSoonAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'From when it is due soon; null: never, or no time counts.',
      resolve: (goal) => goal.due_soon_at,
    }),
    overdueAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'The first deadline that passed: it stays, whatever becomes of the goal. Null: none has.',
      resolve: (goal) => goal.overdue_at,
    }),
    endedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was done or cancelled; null: it is running.',
      resolve: (goal) => goal.ended_at,
    }),
    reason: t.field({
      type: CancelReasonEnum,
      nullable: true,
      description: 'Why it no longer applies; null: it was not cancelled.',
      resolve: (goal) => goal.reason,
    }),
    policy: t.field({
      type: SlaPolicyRef,
      description: 'The policy it is measured by, or was last.',
      resolve: async (goal, _args, { load }) => promised(await load.slaPolicy.load(goal.policy_id)),
    }),
  }),
});

builder.objectFields(TicketRef, (t) => ({
  slaGoals: t.field({
    type: [SlaGoalRef],
    description: `Its SLA goals in the order in which they began, those that run and the newest of the others, at most ${LIMITS.ticketGoals}. None: no policy has applied, or it has no conversation in the help desk.`,
    resolve: (ticket, _args, { load }) => load.slaGoalsOf.load(ticket.id),
  }),
  slaPending: t.boolean({
    description: 'Whether it came to the help desk by a move that has still to measure it: until then it has no SLA goals.',
    resolve: (ticket, _args, { load }) => load.slaPendingOf.load(ticket.id),
  }),
  slaPolicy: t.field({
    type: SlaPolicyRef,
    nullable: true,
    description: 'The SLA policy that applies to it; null: none does.',
    resolve: async (ticket, _args, { load }) => {
      const policyId = await load.slaPolicyIdOf.load(ticket.id);
      return policyId === null ? null : load.slaPolicy.load(policyId);
    },
  }),
  nextSlaDeadline: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'The soonest deadline of its running goals, in the past where it was missed; null: none counts time now.',
    resolve: async (ticket, _args, { load }) => {
      const deadlines = (await load.slaGoalsOf.load(ticket.id)).flatMap((goal) => (isRunning(goal) ? (goal.due_at?.getTime() ?? []) : []));
      return deadlines.length === 0 ? null : new Date(Math.min(...deadlines));
    },
  }),
}));

/** Milliseconds by the moment at which it was read. While it counts, its ticket has the terms it counts by. */
async function used(row: SlaGoalRow, load: Loaders): Promise<number> {
  const terms = row.counting_since === null || row.terms_id === null ? null : await load.slaTerms.load(row.terms_id);
  return terms === null ? row.used_ms : usedBy(goalOf(row), calendarOf(terms.calendar), row.now.getTime());
}

function goalOf(row: SlaGoalRow): Goal {
  return {
    kind: row.kind,
    round: row.round,
    state: row.state,
    reason: row.reason,
    policyId: row.policy_id,
    target: { durationMs: row.duration_ms, dueSoonMs: row.due_soon_ms },
    startedAt: row.started_at.getTime(),
    usedMs: row.used_ms,
    countingSince: msOf(row.counting_since),
    dueAt: msOf(row.due_at),
    dueSoonAt: msOf(row.due_soon_at),
    overdueAt: msOf(row.overdue_at),
    endedAt: msOf(row.ended_at),
  };
}

function msOf(at: Date | null): number | null {
  return at === null ? null : at.getTime();
}

/** From milliseconds. */
export function toMinutes(ms: number): number {
  return ms / 60_000;
}

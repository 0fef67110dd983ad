import { builder } from '../builder.ts';
import type { DecisionRow } from '../rows.ts';
import { RuleKindEnum, RuleMethodEnum } from './enums.ts';
import { ConversationRef, DecisionRef, RuleRef, TeamRef, TicketRef, UserRef } from './refs.ts';

builder.node(RuleRef, {
  description: 'Who a channel’s new conversations go to.',
  id: { resolve: (rule) => rule.id },
  loadOne: (id, { load }) => load.rule.load(id),
  fields: (t) => ({
    kind: t.field({ type: RuleKindEnum, description: 'Nobody, named users and teams, or the contact’s owner.', resolve: (rule) => rule.kind }),
    method: t.field({
      type: RuleMethodEnum,
      nullable: true,
      description: 'How one of the eligible is chosen; null unless the kind is SPECIFIC.',
      resolve: (rule) => rule.method,
    }),
    availableOnly: t.exposeBoolean('available_only', { description: 'Leave out who is away. Does not apply to CONTACT_OWNER.' }),
    users: t.field({
      type: [UserRef],
      description: 'The users it names.',
      resolve: async (rule, _args, { load }) => {
        const targets = await load.targetsOf.load(rule.id);
        const users = await Promise.all(targets.flatMap(({ user_id }) => (user_id === null ? [] : [load.user.load(user_id)])));
        return users.filter((user) => user !== null);
      },
    }),
    teams: t.field({
      type: [TeamRef],
      description: 'The teams it names: their primary members can be chosen.',
      resolve: async (rule, _args, { load }) => {
        const targets = await load.targetsOf.load(rule.id);
        const teams = await Promise.all(targets.flatMap(({ team_id }) => (team_id === null ? [] : [load.team.load(team_id)])));
        return teams.filter((team) => team !== null);
      },
    }),
  }),
});

interface Note {
  readonly userId: string;
  readonly outcome: string;
  readonly reason: string | null;
}

const CandidateRef = builder.objectRef<Note>('RoutingCandidate').implement({
  description: 'Somebody the rule names, and how they fared.',
  fields: (t) => ({
    user: t.field({ type: UserRef, nullable: true, description: 'Who.', resolve: (note, _args, { load }) => load.user.load(note.userId) }),
    outcome: t.exposeString('outcome', { description: 'CHOSEN, ELIGIBLE or LEFT_OUT.' }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why they were left out: DEACTIVATED, NO_SEAT, NO_ACCESS, AWAY; null: they were not.' }),
  }),
});

builder.node(DecisionRef, {
  description: 'One automatic routing decision; it is kept with all that it rested on.',
  id: { resolve: (decision) => decision.id },
  loadOne: (id, { load }) => load.decision.load(id),
  fields: (t) => ({
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'What was decided on; null: a ticket without a conversation.',
      resolve: (decision, _args, { load }) => (decision.conversation_id === null ? null : load.conversation.load(decision.conversation_id)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'What was decided on; null: a conversation without a ticket.',
      resolve: (decision, _args, { load }) => (decision.ticket_id === null ? null : load.ticket.load(decision.ticket_id)),
    }),
    chosen: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who got it; null: nobody.',
      resolve: (decision, _args, { load }) => (decision.chosen_user_id === null ? null : load.user.load(decision.chosen_user_id)),
    }),
    outcome: t.string({ description: 'ASSIGNED, RULE_IS_NOBODY or NOBODY_ELIGIBLE.', resolve: (decision) => text(decision, 'outcome') }),
    explanation: t.field({
      type: 'JSONObject',
      description: 'All of it, as it was decided, by ids of rows (not global ids): the rule, the numbers compared, counts of those left out by reason.',
      resolve: (decision) => decision.explanation,
    }),
    candidates: t.field({
      type: [CandidateRef],
      description: 'The chosen, then the eligible, then the rest: at most 50.',
      resolve: (decision) => notes(decision),
    }),
    decidedAt: t.field({ type: 'DateTime', description: 'When it was decided.', resolve: (decision) => decision.decided_at }),
  }),
});

function text(decision: DecisionRow, name: string): string {
  const value: unknown = Reflect.get(decision.explanation, name);
  return typeof value === 'string' ? value : 'UNKNOWN';
}

/** Decisions of older versions may lack what newer ones have. */
function notes(decision: DecisionRow): Note[] {
  const value: unknown = Reflect.get(decision.explanation, 'candidates');
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('userId' in one) || typeof one.userId !== 'string') return [];
    const reason = 'reason' in one && typeof one.reason === 'string' ? one.reason : null;
    return [{ userId: one.userId, outcome: 'outcome' in one ? String(one.outcome) : 'UNKNOWN', reason }];
  });
}

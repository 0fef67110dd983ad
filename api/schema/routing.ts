import type { Db } from '#db/database.ts';
import { NotFound } from '#commands/refusals.ts';
import { previewRouting } from '#commands/routing.ts';
import type { Decision } from '#domain/routing.ts';
import { explainInWords } from '#domain/routing-words.ts';
import { builder } from '../builder.ts';
import type { DecisionRow, RuleTargetRow } from '../rows.ts';
import { RuleKindEnum, RuleMethodEnum } from './enums.ts';
import { SkillRuleRef } from './skill.ts';
import { ChannelRef, ContactRef, ConversationRef, DecisionRef, RuleRef, TeamRef, TicketRef, UserRef } from './refs.ts';

const TargetRef = builder.objectRef<RuleTargetRow>('RoutingTarget').implement({
  description: 'A user or a team that a rule names, as it stands now.',
  fields: (t) => ({
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'The user; null: it is a team.',
      resolve: (target, _args, { load }) => (target.user_id === null ? null : load.user.load(target.user_id)),
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'The team; null: it is a user.',
      resolve: (target, _args, { load }) => (target.team_id === null ? null : load.team.load(target.team_id)),
    }),
    eligible: t.boolean({
      description: 'Whether automatic decisions may choose them, or one of the team’s primary members, availability, capacity and skills aside.',
      resolve: ({ reason }) => reason === null,
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why not: DEACTIVATED, NO_SEAT, NO_ACCESS; of a team NO_PRIMARY_MEMBER, or NOBODY_ASSIGNABLE among its primary members; null: they may.',
    }),
  }),
});

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
    defaultUser: t.field({
      type: UserRef,
      nullable: true,
      description: 'For CONTACT_OWNER on a live channel: who gets what has no owner to go to; null: it stays unassigned.',
      resolve: (rule, _args, { load }) => (rule.default_user_id === null ? null : load.user.load(rule.default_user_id)),
    }),
    targets: t.field({
      type: [TargetRef],
      description:
        'Whom it names, users first, each with whether they can get something now: who was deactivated or lost their seat or access is left out until that changes.',
      resolve: (rule, _args, { load }) => load.targetStatesOf.load(rule.id),
    }),
    skillRules: t.field({
      type: [SkillRuleRef],
      description: 'Which skills tickets ask for, in the order in which they are tried; none of them: skills do not matter.',
      resolve: (rule, _args, { load }) => load.skillRulesOf.load(rule.id),
    }),
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
  readonly as: string;
  readonly outcome: string;
  readonly reason: string | null;
  readonly open: number | null;
  readonly active: boolean | null;
  readonly lastAssignedAt: Date | null;
}

const DECIDED_BY =
  'What decided between the chosen and the next: OPEN, ACTIVE, LAST_ASSIGNED (least busy), TURN (round robin), ID (either), RANDOM, ONLY_ONE, OWNER, DEFAULT_USER; null: nobody was chosen, or not known.';

const CandidateRef = builder.objectRef<Note>('RoutingCandidate').implement({
  description: 'Somebody the rule names or finds, and how they fared.',
  fields: (t) => ({
    user: t.field({ type: UserRef, nullable: true, description: 'Who.', resolve: (note, _args, { load }) => load.user.load(note.userId) }),
    outcome: t.exposeString('outcome', { description: 'CHOSEN, ELIGIBLE or LEFT_OUT.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description:
        'Why they were left out: DEACTIVATED, NO_SEAT, NO_ACCESS, AWAY, AT_CAPACITY, MISSING_SKILL, NOT_RECOGNISED (the contact whose owner they are); null: they were not.',
    }),
    as: t.exposeString('as', { description: 'Why they were considered: NAMED, OWNER, DEFAULT_USER.' }),
    open: t.exposeInt('open', { nullable: true, description: 'Open conversations and tickets that were theirs; null: not compared.' }),
    active: t.exposeBoolean('active', {
      nullable: true,
      description: 'Whether they had asked for something of the place in the last two minutes; null: not compared.',
    }),
    lastAssignedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When they had last been given something; null: never, or not compared.',
      resolve: (note) => note.lastAssignedAt,
    }),
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
    outcome: t.string({ description: 'ASSIGNED, RULE_IS_NOBODY, NOBODY_ELIGIBLE or NO_OWNER.', resolve: (decision) => text(decision, 'outcome') }),
    decidedBy: t.string({ nullable: true, description: DECIDED_BY, resolve: (decision) => known(text(decision, 'decidedBy')) }),
    explanation: t.field({
      type: 'JSONObject',
      description: 'All of it, as it was decided, by ids of rows (not global ids): the rule, the numbers compared, counts of those left out by reason.',
      resolve: (decision) => decision.explanation,
    }),
    candidates: t.field({
      type: [CandidateRef],
      description: 'The chosen, then the eligible, then the rest: at most 50.',
      resolve: (decision) => notes(decision.explanation),
    }),
    decidedAt: t.field({ type: 'DateTime', description: 'When it was decided.', resolve: (decision) => decision.decided_at }),
  }),
});

const PreviewRef = builder.objectRef<Decision>('RoutingPreview').implement({
  description: 'Who would get a channel’s next conversation.',
  fields: (t) => ({
    chosen: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who would get it; null: nobody, or one of the eligible at random.',
      resolve: ({ ownerId }, _args, { load }) => (ownerId === null ? null : load.user.load(ownerId)),
    }),
    outcome: t.string({ description: 'ASSIGNED, RULE_IS_NOBODY, NOBODY_ELIGIBLE or NO_OWNER.', resolve: ({ explanation }) => explanation.outcome }),
    decidedBy: t.string({ nullable: true, description: DECIDED_BY, resolve: ({ explanation }) => explanation.decidedBy }),
    eligible: t.int({ description: 'How many could get it.', resolve: ({ explanation }) => explanation.eligible }),
    words: t.string({
      description: 'The same in one sentence, by ids of rows.',
      resolve: ({ explanation }) =>
        explanation.decidedBy === 'RANDOM' ? `one of ${explanation.eligible} eligible would be chosen at random` : explainInWords(explanation),
    }),
    explanation: t.field({
      type: 'JSONObject',
      description: 'All of it, as a decision would store it.',
      resolve: ({ explanation }) => ({ ...explanation }),
    }),
    candidates: t.field({
      type: [CandidateRef],
      description: 'Who would be chosen, then the eligible, then the rest: at most 50.',
      resolve: ({ explanation }) => notes(explanation),
    }),
  }),
});

builder.queryField('previewRouting', (t) =>
  t.field({
    type: PreviewRef,
    description: 'Who would get the next conversation of a channel now, and why, by the channel’s own rule. Nothing is assigned.',
    errors: { types: [NotFound], union: { name: 'PreviewRoutingResult', description: 'What previewRouting answers: the decision, or why there is none.' } },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
      contactId: t.arg.globalID({ for: [ContactRef], description: 'For CONTACT_OWNER: of this contact, taken as recognised; none: of somebody unknown.' }),
    },
    complexity: 50,
    resolve: async (_root, { channelId, contactId }, { db, deps, load }) => {
      if ((await load.channel.load(channelId.id)) === null) throw new NotFound('channel', channelId.id);
      if (contactId != null && (await load.contact.load(contactId.id)) === null) throw new NotFound('contact', contactId.id);
      return previewRouting(db, deps.plugins, { channelId: channelId.id, contactId: contactId?.id ?? null });
    },
  }),
);

/** What holds for every rule of the account. */
export const RoutingSettingsRef = builder.objectRef<{ readonly recentlyAssignedFirst: boolean }>('RoutingSettings').implement({
  description: 'What holds for every routing rule of the account.',
  fields: (t) => ({
    recentlyAssignedFirst: t.exposeBoolean('recentlyAssignedFirst', {
      description: 'LEAST_BUSY, of those who are equally busy: true gives it to who got something last, false (unless set) to who has waited longest.',
    }),
  }),
});

/** As it is stored now. */
export async function routingSettings(db: Db): Promise<{ readonly recentlyAssignedFirst: boolean }> {
  const account = await db.selectFrom('account').select('recently_assigned_first').executeTakeFirstOrThrow();
  return { recentlyAssignedFirst: account.recently_assigned_first };
}

builder.queryField('routingSettings', (t) =>
  t.field({
    type: RoutingSettingsRef,
    description: 'What holds for every routing rule of the account.',
    resolve: (_root, _args, { db }) => routingSettings(db),
  }),
);

function text(decision: DecisionRow, name: string): string {
  const value: unknown = Reflect.get(decision.explanation, name);
  return typeof value === 'string' ? value : 'UNKNOWN';
}

function known(code: string): string | null {
  return code === 'UNKNOWN' ? null : code;
}

/** Decisions of older versions may lack what newer ones have. */
function notes(explanation: object): Note[] {
  const value: unknown = Reflect.get(explanation, 'candidates');
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('userId' in one) || typeof one.userId !== 'string') return [];
    return [
      {
        userId: one.userId,
        as: 'as' in one ? String(one.as) : 'NAMED',
        outcome: 'outcome' in one ? String(one.outcome) : 'UNKNOWN',
        reason: 'reason' in one && typeof one.reason === 'string' ? one.reason : null,
        open: 'open' in one && typeof one.open === 'number' ? one.open : null,
        active: 'active' in one && typeof one.active === 'boolean' ? one.active : null,
        lastAssignedAt: 'lastAssignedAt' in one && typeof one.lastAssignedAt === 'string' ? new Date(one.lastAssignedAt) : null,
      },
    ];
  });
}

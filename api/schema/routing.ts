import type { Db } from '#db/database.ts';
import { builder } from '../builder.ts';
import type { RuleTargetRow } from '../rows.ts';
import { RuleKindEnum, RuleMethodEnum } from './enums.ts';
import { SkillRuleRef } from './skill.ts';
import { RuleRef, TeamRef, UserRef } from './refs.ts';

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
    defaultUserReason: t.string({
      nullable: true,
      description: 'Why the default user can get nothing now: DEACTIVATED, NO_SEAT, NO_ACCESS; null: they can, or there is none.',
      resolve: (rule, _args, { load }) => (rule.default_user_id === null ? null : load.defaultUserReasonOf.load(rule.id)),
    }),
    targets: t.field({
      type: [TargetRef],
      description:
        'Whom it names, users first, each with whether they can get something now: who lost their seat or access is left out until they have it again, who was deactivated for good.',
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

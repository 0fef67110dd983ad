import type { Plugin, RoutingTargets } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { RuleKind, RuleMethod } from '#db/schema.ts';
import type { WrittenSkillRule } from '#domain/skills.ts';
import { ChangedMeanwhile, Forbidden, InvalidInput, NotAssignable, NotFound, NotPossible, type IneligibleTarget, type Problem } from './refusals.ts';
import { insertSkillRules, wrongSkillRules } from './skills.ts';
import { noteChannels } from './routing-retry.ts';
import type { Unit } from './unit.ts';

/** A rule as an admin saves it; targets, method and skill rules belong to `SPECIFIC` alone, the default user to `CONTACT_OWNER`. */
export interface RuleInput {
  readonly kind: RuleKind;
  /** None: the plugin's own default (ROUTE-7, ROUTE-8). */
  readonly method?: RuleMethod | null;
  /** On unless switched off (ROUTE-5). Says nothing for `CONTACT_OWNER`. */
  readonly availableOnly?: boolean;
  readonly userIds?: readonly string[];
  readonly teamIds?: readonly string[];
  /** Who gets what has no owner to go to, on a live channel (ROUTE-10). */
  readonly defaultUserId?: string | null;
  /** In the order in which they are tried: which skills a ticket asks for (ROUTE-11). */
  readonly skillRules?: readonly WrittenSkillRule[];
}

/**
 * Gives a channel another rule (ROUTE-4). The rule is a new row and the old one stays: decisions made under it point to it. Whose turn it is goes on.
 * `expectedVersion`: refused when somebody else changed the channel since that version. Throws `NotFound`, `NotPossible`, `ChangedMeanwhile`, `Forbidden`,
 * `InvalidInput`, `NotAssignable`.
 */
export async function setRoutingRule(
  unit: Unit,
  { plugins }: { readonly plugins: readonly Plugin[] },
  { channelId, rule, expectedVersion }: { readonly channelId: string; readonly rule: RuleInput; readonly expectedVersion?: number },
): Promise<{ readonly ruleId: string }> {
  const { tx } = unit;
  const channel = await tx
    .selectFrom('channel')
    .select(['plugin', 'place_id', 'routing_rule_id', 'disconnected_at', 'version'])
    .where(sql<string>`id::text`, '=', channelId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  if (expectedVersion !== undefined && expectedVersion !== channel.version) throw new ChangedMeanwhile('channel');
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  const ruleId = await saveRule(unit, rule, { placeId: channel.place_id, plugin, replaces: channel.routing_rule_id });
  await tx
    .updateTable('channel')
    .set((eb) => ({ routing_rule_id: ruleId, version: eb('version', '+', 1) }))
    .where('id', '=', channelId)
    .execute();
  unit.record({ kind: 'CHANNEL_CHANGED', channelId, placeId: channel.place_id, why: 'ROUTING_RULE', data: { ruleId } });
  await noteChannels(unit, { channelId });
  return { ruleId };
}

export interface SavedFor {
  /** Where those it names must have access. */
  readonly placeId: string;
  /** Of the channel: how its channels pick one of several unless the rule says so (ROUTE-7, ROUTE-8), and whether it is live. */
  readonly plugin: Plugin | undefined;
  /** The rule whose place it takes: members keep their turns (ROUTE-11). None: a cycle of its own begins. */
  readonly replaces?: string | null;
}

/** Checks and writes a rule that somebody chose, a channel's or a hand-off's: they need a paid seat themself. Throws `Forbidden`, `InvalidInput`, `NotAssignable`. */
export async function saveRule(unit: Unit, rule: RuleInput, { placeId, plugin, replaces = null }: SavedFor): Promise<string> {
  await requireSeat(unit);
  const userIds = [...new Set(rule.userIds ?? [])];
  const teamIds = [...new Set(rule.teamIds ?? [])];
  const defaultUserId = rule.defaultUserId ?? null;
  const problems = await ruleProblems(unit.tx, rule, plugin);
  if (problems.length > 0) throw new InvalidInput(problems);
  const named = defaultUserId === null ? userIds : [...userIds, defaultUserId];
  const wrong = [...(await wrongUsers(unit.tx, placeId, named)), ...(await wrongTeams(unit.tx, teamIds))];
  if (wrong.length > 0) throw new NotAssignable(wrong);
  const ownMethod: RuleMethod = plugin?.capabilities.routing.defaultMethod === 'least-busy' ? 'LEAST_BUSY' : 'RANDOM';
  const method = rule.kind === 'SPECIFIC' ? (rule.method ?? ownMethod) : null;
  const ruleId = await insertRule(unit.tx, { kind: rule.kind, method, availableOnly: rule.availableOnly ?? true, defaultUserId, replaces }, userIds, teamIds);
  await insertSkillRules(unit.tx, ruleId, rule.skillRules ?? []);
  return ruleId;
}

/**
 * All that is wrong with a rule as it is written, apart from whom it names: what goes with another kind of rule or channel, and its skill rules.
 * `under`: the field it came in, with which the paths begin. Holds the skills till the commit.
 */
export async function ruleProblems(tx: Tx, rule: RuleInput, plugin: Plugin | undefined, under = RULE): Promise<readonly Problem[]> {
  const problems = [...shapeProblems(rule, plugin), ...(await wrongSkillRules(tx, rule.skillRules ?? []))];
  return problems.map(({ path, message }) => ({ path: `${under}${path.slice(RULE.length)}`, message }));
}

/** Where problems say they are until somebody says otherwise, those of skill rules too. */
const RULE = 'rule';

/** Whom a plugin's own settings name, held to the same as a rule. Throws `NotAssignable`. */
export async function requireAssignable(tx: Tx, placeId: string, { userIds, teamIds }: RoutingTargets): Promise<void> {
  const wrong = [...(await wrongUsers(tx, placeId, [...new Set(userIds)])), ...(await wrongTeams(tx, [...new Set(teamIds)]))];
  if (wrong.length > 0) throw new NotAssignable(wrong);
}

/** Of the equally busy, who got something last goes first, or (unless set) last (ROUTE-9). Holds for every decision from the next one on. */
export async function setRoutingSettings(unit: Unit, { recentlyAssignedFirst }: { readonly recentlyAssignedFirst: boolean }): Promise<void> {
  const changed = await unit.tx
    .updateTable('account')
    .set({ recently_assigned_first: recentlyAssignedFirst })
    .where('recently_assigned_first', '<>', recentlyAssignedFirst)
    .returning('id')
    .executeTakeFirst();
  if (changed !== undefined) unit.record({ kind: 'ROUTING_SETTINGS_CHANGED', data: { recentlyAssignedFirst } });
}

/** The rule a channel has until somebody gives it one: nothing is assigned (ROUTE-1, ROUTE-6). */
export async function insertDefaultRule(tx: Tx): Promise<string> {
  return insertRule(tx, { kind: 'NOBODY', method: null, availableOnly: true, defaultUserId: null, replaces: null }, [], []);
}

async function insertRule(
  tx: Tx,
  rule: {
    readonly kind: RuleKind;
    readonly method: RuleMethod | null;
    readonly availableOnly: boolean;
    readonly defaultUserId: string | null;
    readonly replaces: string | null;
  },
  userIds: readonly string[],
  teamIds: readonly string[],
): Promise<string> {
  const { id } = await tx
    .insertInto('routing_rule')
    .values({
      kind: rule.kind,
      method: rule.method,
      available_only: rule.availableOnly,
      default_user_id: rule.defaultUserId,
      cycle_id: rule.replaces === null ? null : sql<string>`(select coalesce(b.cycle_id, b.id) from routing_rule b where b.id = ${rule.replaces})`,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const targets = [
    ...userIds.map((userId) => ({ rule_id: id, user_id: userId, team_id: null })),
    ...teamIds.map((teamId) => ({ rule_id: id, user_id: null, team_id: teamId })),
  ];
  if (targets.length > 0) await tx.insertInto('routing_rule_target').values(targets).execute();
  return id;
}

/** The engine itself (a seed, a test) needs none. */
async function requireSeat({ tx, actor }: Unit): Promise<void> {
  if (actor.actor !== 'USER') return;
  const user = await tx.selectFrom('app_user').select(['seat', 'deactivated_at']).where('id', '=', actor.userId).executeTakeFirst();
  if (user?.seat !== 'PAID' || user.deactivated_at !== null) throw new Forbidden('a paid seat');
}

/** What goes with another kind of rule or channel, and what is missing. */
function shapeProblems(rule: RuleInput, plugin: Plugin | undefined): readonly Problem[] {
  const problems: Problem[] = [];
  const wrong = (path: string, message: string): void => void problems.push({ path: `${RULE}.${path}`, message });
  const [users, teams] = [(rule.userIds ?? []).length, (rule.teamIds ?? []).length];
  if (rule.kind === 'SPECIFIC') {
    if (users + teams === 0) wrong('userIds', 'at least one user or team');
  } else {
    if (users > 0) wrong('userIds', 'only the rule SPECIFIC names users');
    if (teams > 0) wrong('teamIds', 'only the rule SPECIFIC names teams');
    if ((rule.method ?? null) !== null) wrong('method', 'only the rule SPECIFIC has a method');
    if ((rule.skillRules ?? []).length > 0) wrong('skillRules', 'only the rule SPECIFIC asks for skills');
  }
  if ((rule.defaultUserId ?? null) === null) return problems;
  if (rule.kind !== 'CONTACT_OWNER') wrong('defaultUserId', 'only the rule CONTACT_OWNER has a default user');
  // Everywhere else what has no owner to go to waits in Unassigned (ROUTE-10).
  else if (plugin?.capabilities.live !== true) wrong('defaultUserId', 'only a live channel has a default user');
  return problems;
}

async function wrongUsers(tx: Tx, placeId: string, ids: readonly string[]): Promise<readonly IneligibleTarget[]> {
  if (ids.length === 0) return [];
  // Ids are compared as texts: one that is no UUID at all is unknown too, and no error of the database's.
  const { rows } = await sql<{ userId: string; reason: IneligibleTarget['reason'] | null }>`
    select named.id as "userId", case
      when u.id is null then 'UNKNOWN'
      when u.deactivated_at is not null then 'DEACTIVATED'
      when u.seat <> 'PAID' then 'NO_SEAT'
      when not exists (select 1 from place_assignable p where p.place_id = ${placeId} and p.user_id = u.id) then 'NO_ACCESS'
    end as reason
    from unnest(${ids}::text[]) as named (id) left join app_user u on u.id::text = named.id`.execute(tx);
  return rows.flatMap(({ userId, reason }) => (reason === null ? [] : [{ userId, teamId: null, reason }]));
}

/** A team whose members can not be assigned just now is fine, for that changes; one that has nobody to assign is a mistake. */
async function wrongTeams(tx: Tx, ids: readonly string[]): Promise<readonly IneligibleTarget[]> {
  if (ids.length === 0) return [];
  const { rows } = await sql<{ teamId: string; reason: IneligibleTarget['reason'] | null }>`
    select named.id as "teamId", case
      when t.id is null then 'UNKNOWN'
      when not exists (select 1 from team_member m where m.team_id = t.id and m.kind = 'PRIMARY') then 'NO_PRIMARY_MEMBER'
    end as reason
    from unnest(${ids}::text[]) as named (id) left join team t on t.id::text = named.id`.execute(tx);
  return rows.flatMap(({ teamId, reason }) => (reason === null ? [] : [{ userId: null, teamId, reason }]));
}

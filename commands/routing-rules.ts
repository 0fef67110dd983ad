import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { RuleKind, RuleMethod } from '#db/schema.ts';
import { Forbidden, InvalidInput, NotAssignable, NotFound, NotPossible, type IneligibleTarget } from './refusals.ts';
import type { Unit } from './unit.ts';

/** A rule as an admin saves it; targets belong to `SPECIFIC` alone. */
export interface RuleInput {
  readonly kind: RuleKind;
  /** None: the plugin's own default (ROUTE-7, ROUTE-8). */
  readonly method?: RuleMethod | null;
  /** On unless switched off (ROUTE-5). */
  readonly availableOnly?: boolean;
  readonly userIds?: readonly string[];
  readonly teamIds?: readonly string[];
}

/**
 * Gives a channel another rule (ROUTE-4). The rule is a new row and the old one stays: decisions made under it point to it.
 * Throws `NotFound`, `NotPossible`, `Forbidden`, `InvalidInput`, `NotAssignable`.
 */
export async function setRoutingRule(
  unit: Unit,
  { plugins }: { readonly plugins: readonly Plugin[] },
  { channelId, rule }: { readonly channelId: string; readonly rule: RuleInput },
): Promise<{ readonly ruleId: string }> {
  const { tx } = unit;
  const channel = await tx
    .selectFrom('channel')
    .select(['plugin', 'place_id', 'disconnected_at'])
    .where(sql<string>`id::text`, '=', channelId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (channel === undefined) throw new NotFound('channel', channelId);
  if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
  const plugin = plugins.find(({ key }) => key === channel.plugin);
  const ruleId = await saveRule(unit, rule, { placeId: channel.place_id, defaultMethod: defaultMethod(plugin) });
  await tx
    .updateTable('channel')
    .set((eb) => ({ routing_rule_id: ruleId, version: eb('version', '+', 1) }))
    .where('id', '=', channelId)
    .execute();
  unit.record({ kind: 'CHANNEL_CHANGED', channelId, placeId: channel.place_id, why: 'ROUTING_RULE', data: { ruleId } });
  return { ruleId };
}

/** What the engine can decide by so far; a rule it could not keep is not saved. */
const OFFERED = { kinds: ['NOBODY', 'SPECIFIC'], methods: ['RANDOM'] } as const satisfies { kinds: readonly RuleKind[]; methods: readonly RuleMethod[] };

/** How the plugin's channels pick one of several, unless their rule says otherwise; at random while the plugin's own method is not offered. */
export function defaultMethod(plugin: Plugin | undefined): RuleMethod {
  const own: RuleMethod = plugin?.capabilities.routing.defaultMethod === 'least-busy' ? 'LEAST_BUSY' : 'RANDOM';
  return OFFERED.methods.find((one) => one === own) ?? 'RANDOM';
}

/** Checks and writes a rule that somebody chose: they need a paid seat themself. */
export async function saveRule(
  unit: Unit,
  rule: RuleInput,
  { placeId, defaultMethod }: { readonly placeId: string; readonly defaultMethod: RuleMethod },
): Promise<string> {
  await requireSeat(unit);
  const userIds = [...new Set(rule.userIds ?? [])];
  const teamIds = [...new Set(rule.teamIds ?? [])];
  checkShape(rule, userIds.length + teamIds.length);
  const wrong = [...(await wrongUsers(unit.tx, placeId, userIds)), ...(await wrongTeams(unit.tx, teamIds))];
  if (wrong.length > 0) throw new NotAssignable(wrong);
  const method = rule.kind === 'SPECIFIC' ? (rule.method ?? defaultMethod) : null;
  return insertRule(unit.tx, { kind: rule.kind, method, availableOnly: rule.availableOnly ?? true }, userIds, teamIds);
}

/** The rule a channel has until somebody gives it one: nothing is assigned (ROUTE-1, ROUTE-6). */
export async function insertDefaultRule(tx: Tx): Promise<string> {
  return insertRule(tx, { kind: 'NOBODY', method: null, availableOnly: true }, [], []);
}

async function insertRule(
  tx: Tx,
  rule: { readonly kind: RuleKind; readonly method: RuleMethod | null; readonly availableOnly: boolean },
  userIds: readonly string[],
  teamIds: readonly string[],
): Promise<string> {
  const { id } = await tx
    .insertInto('routing_rule')
    .values({ kind: rule.kind, method: rule.method, available_only: rule.availableOnly })
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

function checkShape(rule: RuleInput, targets: number): void {
  if (!OFFERED.kinds.some((one) => one === rule.kind)) throw new InvalidInput([{ path: 'rule.kind', message: 'is not offered yet' }]);
  if (rule.method != null && !OFFERED.methods.some((one) => one === rule.method))
    throw new InvalidInput([{ path: 'rule.method', message: 'is not offered yet' }]);
  if (rule.kind === 'SPECIFIC' && targets === 0) throw new InvalidInput([{ path: 'rule.userIds', message: 'at least one user or team' }]);
  if (rule.kind !== 'SPECIFIC' && targets > 0) throw new InvalidInput([{ path: 'rule.userIds', message: 'only the rule SPECIFIC names users and teams' }]);
  if (rule.kind !== 'SPECIFIC' && (rule.method ?? null) !== null) {
    throw new InvalidInput([{ path: 'rule.method', message: 'only the rule SPECIFIC has a method' }]);
  }
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

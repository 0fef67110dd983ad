import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { ACTIVE_SECONDS, EXPLAINED, NEAREST_FIRST, type Candidate, type Further, type LeftOutReason, type Rule } from '#domain/routing.ts';
import { limitsOf, mostInGroup, type Grouped } from './capacity.ts';

/** Those a decision chooses among, as one statement read them. */
export interface Pool {
  readonly candidates: readonly Candidate[];
  readonly further: Further;
}

/** Whom it is about: those a rule names, themselves or as primary members of named teams (ROUTE-4), or a team's primary members (ROUTE-3). */
export type Named = { readonly ruleId: string } | { readonly teamId: string };

/** What reading a pool needs besides whom it is about. */
export interface PoolOf {
  readonly placeId: string;
  readonly rule: Rule;
  /** The group of channels whose limits count; null: only the limit of all does. */
  readonly grouped: Grouped | null;
  /** By turns: whose cycle is running. */
  readonly cycleId?: string | null;
}

interface PoolRow extends Pick<Candidate, 'userId' | 'deactivated' | 'hasSeat' | 'hasAccess' | 'available'> {
  readonly open: number | null;
  readonly active: boolean | null;
  readonly lastAssignedAt: Date | null;
  readonly most: number | null;
  readonly total: number | null;
  readonly mostInGroup: number | null;
  readonly inGroup: number | null;
  readonly missing: readonly string[] | null;
  readonly served: boolean | null;
  readonly lastTurn: number | null;
  readonly reason: LeftOutReason | null;
  /** Of all, by what speaks against them. */
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * Reads the pool with what counts for or against each. For "least busy" and "round robin" PostgreSQL ranks, and brings the nearest fifty with counts of
 * the rest; the choice among them is the domain's. "At random" needs everybody and no ranks. All that is counted is counted for the whole pool in
 * one go. Under the routing lock, when it is for a decision (ROUTE-15).
 */
export async function readPool(db: Db | Tx, named: Named, { placeId, rule, grouped, cycleId = null }: PoolOf): Promise<Pool> {
  const compares = rule.method === 'LEAST_BUSY';
  const turns = rule.method === 'ROUND_ROBIN' && cycleId !== null;
  const ranks = compares || turns;
  const required = rule.skillRule?.required ?? [];
  // Who lacks skills alone comes after those who have them, for they are next where the skills are waived.
  const waivable = rule.skillRule?.otherwise === 'FALL_BACK';
  const near = waivable ? sql`(p.reason is null or p.reason = 'MISSING_SKILL')` : sql`p.reason is null`;
  const inOrder = compares
    ? sql`${ofNear(near, sql`p.work`)}, ${ofNear(near, sql`p.active`)} desc, ${ofNear(near, sql`p.last`)} ${rule.recentlyAssignedFirst === true ? sql`desc nulls last` : sql`nulls first`},`
    : turns
      ? sql`${ofNear(near, sql`p.served`)}, ${ofNear(near, sql`p.turn`)} nulls last,`
      : sql``;
  const judgeable = sql`(p.reason is null or p.reason in ('AT_CAPACITY', 'MISSING_SKILL'))`;
  const { rows } = await sql<PoolRow>`
    with pool as materialized (
      select u.id, u.deactivated_at is not null as deactivated, u.seat = 'PAID' as seat, ${assignable(placeId)} as access,
        u.availability = 'AVAILABLE' as available, date_trunc('milliseconds', u.last_assigned_at) as last,
        u.capacity_total as most, ${mostInGroup(grouped)} as most_in_group
      from app_user u where u.id in (${idsOf(named)})
    ), held as (${openWork(compares)}
    ), filled as (${fullInGroup(grouped)}
    ), lacking as (${skillsLacking(required)}
    ), judged as (
      select p.*, coalesce(w.work, 0) as work, coalesce(w.tickets, 0) as tickets, l.missing,
        case when p.deactivated then 'DEACTIVATED' when not p.seat then 'NO_SEAT' when not p.access then 'NO_ACCESS'
          when ${rule.availableOnly}::boolean and not p.available then 'AWAY' when coalesce(w.tickets, 0) >= p.most or p.id in (select f.id from filled f) then 'AT_CAPACITY'
          when l.missing is not null then 'MISSING_SKILL' end as reason
      from pool p left join held w on w.owner_id = p.id left join lacking l on l.id = p.id
    ), compared as materialized (
      select p.*, ${compares}::boolean and ${near} as compared, coalesce(y.at > clock_timestamp() - make_interval(secs => ${ACTIVE_SECONDS}), false) as active,
        coalesce(t.cycle = k.cycle, false) as served, t.turn
      from judged p
      left join place_activity y on ${compares}::boolean and y.place_id = ${placeId} and y.user_id = p.id
      left join routing_cycle k on ${turns}::boolean and k.rule_id = ${cycleId}::uuid
      left join routing_turn t on t.rule_id = k.rule_id and t.user_id = p.id
    ), nearest as (
      select p.* from compared p order by p.reason is not null, not ${near}, ${inOrder} array_position(${[...NEAREST_FIRST]}::text[], p.reason), p.id limit ${ranks ? EXPLAINED : null}::int
    ), counts as (
      select jsonb_object_agg(coalesce(g.reason, 'ELIGIBLE'), g.n) as counts from (select p.reason, count(*) as n from compared p group by p.reason) g
    )
    select p.id as "userId", p.deactivated, p.seat as "hasSeat", p.access as "hasAccess", p.available, p.reason, p.last as "lastAssignedAt",
      case when p.compared then p.work end as open, case when p.compared then p.active end as active,
      p.most, p.most_in_group as "mostInGroup", case when ${judgeable} then p.tickets end as total,
      case when ${judgeable} and p.most_in_group is not null then ${inGroup(grouped)} end as "inGroup",
      p.missing, case when ${turns}::boolean and ${near} then p.served end as served, p.turn as "lastTurn", (select c.counts from counts c) as counts
    from nearest p`.execute(db);
  return { candidates: rows.map((row) => candidateOf(row, grouped)), further: furtherThan(rows) };
}

function idsOf(named: Named): RawBuilder<unknown> {
  if ('teamId' in named) return sql`select m.user_id from team_member m where m.team_id = ${named.teamId} and m.kind = 'PRIMARY'`;
  return sql`
    select t.user_id from routing_rule_target t where t.rule_id = ${named.ruleId} and t.user_id is not null
    union
    select m.user_id from routing_rule_target t join team_member m on m.team_id = t.team_id and m.kind = 'PRIMARY' where t.rule_id = ${named.ruleId}`;
}

/** Of who is left out nothing is compared: they come by what keeps them from it, then by their ids. */
function ofNear(near: RawBuilder<unknown>, value: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`case when ${near} then ${value} end`;
}

/** As the view `place_assignable` has it, asked once for everybody: the view makes a list of all who can be assigned in the place first. */
function assignable(placeId: string): RawBuilder<boolean> {
  return sql<boolean>`(exists (select from access_entry e where e.place_id = ${placeId} and e.everyone) or u.id in (
        select e.user_id from access_entry e where e.place_id = ${placeId} and e.user_id is not null
        union all select m.user_id from access_entry e join team_member m on m.team_id = e.team_id and m.kind = 'PRIMARY' where e.place_id = ${placeId}))`;
}

/** What they own: open conversations and tickets, a conversation with its ticket once, and of these the tickets. Not counted where nothing hangs on it. */
function openWork(compares: boolean): RawBuilder<unknown> {
  return sql`
      select o.owner_id, count(*) as work, count(*) filter (where o.ticket) as tickets
      from (
        select t.owner_id, true as ticket from pool p join ticket t on t.owner_id = p.id and t.closed_at is null
        where ${compares}::boolean or exists (select from pool l where l.most is not null or l.most_in_group is not null)
        union all
        select c.owner_id, false from pool p join conversation c on c.owner_id = p.id and c.status = 'OPEN' and c.ticket_id is null where ${compares}::boolean
      ) o group by o.owner_id`;
}

/** Their open tickets by the channel the conversation goes on in now. */
function inGroup(grouped: Grouped | null): RawBuilder<number> {
  if (grouped === null) return sql<number>`0`;
  return sql<number>`(
        select count(*) from ticket t join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id
        where t.owner_id = p.id and t.closed_at is null and h.plugin = any(${[...grouped.plugins]}::text[]))`;
}

/** Who has reached a group's limit. Nobody has more tickets of a group than they have in all, so few are looked at closely. */
function fullInGroup(grouped: Grouped | null): RawBuilder<unknown> {
  if (grouped === null) return sql`select null::uuid as id where false`;
  return sql`
      select p.id
      from pool p join held w on w.owner_id = p.id and w.tickets >= p.most_in_group
      left join (ticket t join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id and h.plugin = any(${[...grouped.plugins]}::text[]))
        on t.owner_id = p.id and t.closed_at is null
      group by p.id, p.most_in_group having count(t.id) >= p.most_in_group
      union all select p.id from pool p where p.most_in_group = 0`;
}

function skillsLacking(required: readonly string[]): RawBuilder<unknown> {
  if (required.length === 0) return sql`select null::uuid as id, null::uuid[] as missing where false`;
  return sql`
      select p.id, array_agg(s.id order by s.id) as missing
      from pool p cross join unnest(${[...required]}::uuid[]) as s (id)
      where not exists (select from user_skill k where k.user_id = p.id and k.skill_id = s.id)
      group by p.id`;
}

function candidateOf(row: PoolRow, grouped: Grouped | null): Candidate {
  const { userId, deactivated, hasSeat, hasAccess, available, open, active, lastAssignedAt, missing, served, lastTurn } = row;
  const limits = limitsOf({ most: row.most, total: row.total, mostInGroup: row.mostInGroup, grouped: row.inGroup }, grouped);
  return {
    userId,
    deactivated,
    hasSeat,
    hasAccess,
    available,
    load: open === null || active === null ? null : { open, active, lastAssignedAt },
    ...(limits.length === 0 ? {} : { limits }),
    ...(missing === null ? {} : { missing }),
    ...(served === null ? {} : { turn: { served, last: lastTurn } }),
  };
}

/** All but those who were read. */
function furtherThan(rows: readonly PoolRow[]): Further {
  const rest = { ...rows[0]?.counts };
  for (const { reason } of rows) rest[reason ?? 'ELIGIBLE'] = (rest[reason ?? 'ELIGIBLE'] ?? 0) - 1;
  const { ELIGIBLE: eligible = 0, ...leftOut } = Object.fromEntries(Object.entries(rest).filter(([, count]) => count > 0));
  return { eligible, leftOut: leftOut as Partial<Record<LeftOutReason, number>> };
}

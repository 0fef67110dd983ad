import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { ACTIVE_SECONDS, EXPLAINED, type Candidate, type Further, type LeftOutReason, type Rule } from '#domain/routing.ts';
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
  readonly further: Readonly<Record<string, number>> | null;
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
    ? sql`p.open, p.active desc, ${rule.recentlyAssignedFirst === true ? sql`p.near_last desc nulls last` : sql`p.near_last nulls first`},`
    : turns
      ? sql`p.served, p.turn nulls last,`
      : sql``;
  const { rows } = await sql<PoolRow>`
    with pool as materialized (
      select u.id, u.deactivated_at is not null as deactivated, u.seat = 'PAID' as seat, a.user_id is not null as access,
        u.availability = 'AVAILABLE' as available, date_trunc('milliseconds', u.last_assigned_at) as last,
        u.capacity_total as most, ${mostInGroup(grouped)} as most_in_group,
        case when u.deactivated_at is not null then 'DEACTIVATED' when u.seat <> 'PAID' then 'NO_SEAT' when a.user_id is null then 'NO_ACCESS'
          when ${rule.availableOnly}::boolean and u.availability <> 'AVAILABLE' then 'AWAY' end as reason
      from app_user u left join place_assignable a on a.user_id = u.id and a.place_id = ${placeId}
      where u.id in (${idsOf(named)})
    ), held as (${openWork(compares)}
    ), held_in_group as (${openInGroup(grouped)}
    ), lacking as (${skillsLacking(required)}
    ), judged as (
      select p.id, p.deactivated, p.seat, p.access, p.available, p.last, p.most, p.most_in_group,
        case when p.reason is null then coalesce(w.work, 0) end as work,
        case when p.reason is null and p.most is not null then coalesce(w.tickets, 0) end as total,
        case when p.reason is null and p.most_in_group is not null then coalesce(g.tickets, 0) end as in_group,
        case when p.reason is null then l.missing end as missing,
        coalesce(p.reason, case when coalesce(w.tickets, 0) >= p.most or coalesce(g.tickets, 0) >= p.most_in_group then 'AT_CAPACITY'
          when l.missing is not null then 'MISSING_SKILL' end) as reason
      from pool p left join held w on w.owner_id = p.id left join held_in_group g on g.owner_id = p.id left join lacking l on l.id = p.id
    ), compared as (
      select p.*, case when ${compares}::boolean and ${near} then p.work end as open,
        case when ${compares}::boolean and ${near} then coalesce(y.at > clock_timestamp() - make_interval(secs => ${ACTIVE_SECONDS}), false) end as active,
        case when ${compares}::boolean and ${near} then p.last end as near_last,
        case when ${turns}::boolean and ${near} then coalesce(t.cycle = k.cycle, false) end as served, case when ${near} then t.turn end as turn
      from judged p
      left join place_activity y on ${compares}::boolean and y.place_id = ${placeId} and y.user_id = p.id
      left join routing_cycle k on ${turns}::boolean and k.rule_id = ${cycleId}::uuid
      left join routing_turn t on t.rule_id = k.rule_id and t.user_id = p.id
    ), ranked as (
      select p.*, row_number() over (order by p.reason is not null, not ${near}, ${inOrder} p.id) as rank from compared p
    ), further as (
      select jsonb_object_agg(coalesce(g.reason, 'ELIGIBLE'), g.n) as counts
      from (select r.reason, count(*) as n from ranked r where ${ranks}::boolean and r.rank > ${EXPLAINED} group by r.reason) g
    )
    select r.id as "userId", r.deactivated, r.seat as "hasSeat", r.access as "hasAccess", r.available, r.open, r.active, r.last as "lastAssignedAt",
      r.most, r.total, r.most_in_group as "mostInGroup", r.in_group as "inGroup", r.missing, r.served, r.turn as "lastTurn",
      (select f.counts from further f) as further
    from ranked r where not ${ranks}::boolean or r.rank <= ${EXPLAINED} order by r.rank`.execute(db);
  return { candidates: rows.map((row) => candidateOf(row, grouped)), further: furtherOf(rows[0]?.further ?? {}) };
}

function idsOf(named: Named): RawBuilder<unknown> {
  if ('teamId' in named) return sql`select m.user_id from team_member m where m.team_id = ${named.teamId} and m.kind = 'PRIMARY'`;
  return sql`
    select t.user_id from routing_rule_target t where t.rule_id = ${named.ruleId} and t.user_id is not null
    union
    select m.user_id from routing_rule_target t join team_member m on m.team_id = t.team_id and m.kind = 'PRIMARY' where t.rule_id = ${named.ruleId}`;
}

/**
 * What those own who are not left out already: open conversations and tickets, a conversation with its ticket once, and of these the tickets. Who has no
 * limit is counted only where the method compares it.
 */
function openWork(compares: boolean): RawBuilder<unknown> {
  const counted = sql`select p.id from pool p where p.reason is null and (${compares}::boolean or p.most is not null)`;
  return sql`
      select o.owner_id, count(*) as work, count(*) filter (where o.ticket) as tickets
      from (
        select t.owner_id, true as ticket from ticket t where t.closed_at is null and t.owner_id in (${counted})
        union all
        select c.owner_id, false from conversation c where c.status = 'OPEN' and c.ticket_id is null and ${compares}::boolean and c.owner_id in (${counted})
      ) o group by o.owner_id`;
}

/** Their open tickets by the channel the conversation goes on in now, where a limit of that group holds for them. */
function openInGroup(grouped: Grouped | null): RawBuilder<unknown> {
  if (grouped === null) return sql`select null::uuid as owner_id, 0 as tickets where false`;
  return sql`
      select t.owner_id, count(*) as tickets
      from pool p join ticket t on t.owner_id = p.id and t.closed_at is null
      join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id and h.plugin = any(${[...grouped.plugins]}::text[])
      where p.reason is null and p.most_in_group is not null
      group by t.owner_id`;
}

function skillsLacking(required: readonly string[]): RawBuilder<unknown> {
  if (required.length === 0) return sql`select null::uuid as id, null::uuid[] as missing where false`;
  return sql`
      select p.id, array_agg(s.id order by s.id) as missing
      from pool p cross join unnest(${[...required]}::uuid[]) as s (id)
      where p.reason is null and not exists (select from user_skill k where k.user_id = p.id and k.skill_id = s.id)
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

function furtherOf(counts: Readonly<Record<string, number>>): Further {
  const { ELIGIBLE: eligible = 0, ...leftOut } = counts;
  return { eligible, leftOut: leftOut as Partial<Record<LeftOutReason, number>> };
}

import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { ACTIVE_SECONDS, EXPLAINED, type Candidate, type Further, type LeftOutReason, type Rule } from '#domain/routing.ts';

/** Those a decision chooses among, as one statement read them. */
export interface Pool {
  readonly candidates: readonly Candidate[];
  readonly further: Further;
}

/** Whom it is about: those a rule names, themselves or as primary members of named teams (ROUTE-4), or a team's primary members (ROUTE-3). */
export type Named = { readonly ruleId: string } | { readonly teamId: string };

interface PoolRow extends Omit<Candidate, 'load'> {
  readonly open: number | null;
  readonly active: boolean | null;
  readonly lastAssignedAt: Date | null;
  readonly further: Readonly<Record<string, number>> | null;
}

/**
 * Reads the pool with what counts for or against each. For "least busy" PostgreSQL counts and ranks, and brings the nearest fifty with counts of the
 * rest; the choice among them is the domain's. "At random" needs everybody and no numbers. Under the routing lock, when it is for a decision (ROUTE-15).
 */
export async function readPool(db: Db | Tx, named: Named, placeId: string, rule: Rule): Promise<Pool> {
  const compares = rule.method === 'LEAST_BUSY';
  const nearest = sql`
    p.reason is not null, p.open, p.active desc, ${rule.recentlyAssignedFirst === true ? sql`p.last desc nulls last` : sql`p.last nulls first`}, p.id`;
  const { rows } = await sql<PoolRow>`
    with pool as materialized (
      select u.id, u.deactivated_at is not null as deactivated, u.seat = 'PAID' as seat, a.user_id is not null as access,
        u.availability = 'AVAILABLE' as available, date_trunc('milliseconds', u.last_assigned_at) as last,
        case when u.deactivated_at is not null then 'DEACTIVATED' when u.seat <> 'PAID' then 'NO_SEAT' when a.user_id is null then 'NO_ACCESS'
          when ${rule.availableOnly}::boolean and u.availability <> 'AVAILABLE' then 'AWAY' end as reason
      from app_user u left join place_assignable a on a.user_id = u.id and a.place_id = ${placeId}
      where u.id in (${idsOf(named)})
    ), counted as (
      select p.*, ${compares ? openOf(sql`p.id`) : sql`null::bigint`} as open, ${compares ? activeIn(sql`p.id`, placeId) : sql`null::boolean`} as active
      from pool p where p.reason is null
      union all
      select p.*, null, null from pool p where p.reason is not null
    ), ranked as (
      select p.*, row_number() over (order by ${nearest}) as rank from counted p
    ), further as (
      select jsonb_object_agg(coalesce(g.reason, 'ELIGIBLE'), g.n) as counts
      from (select r.reason, count(*) as n from ranked r where ${compares}::boolean and r.rank > ${EXPLAINED} group by r.reason) g
    )
    select r.id as "userId", r.deactivated, r.seat as "hasSeat", r.access as "hasAccess", r.available, r.open, r.active, r.last as "lastAssignedAt",
      (select f.counts from further f) as further
    from ranked r where not ${compares}::boolean or r.rank <= ${EXPLAINED} order by r.rank`.execute(db);
  return { candidates: rows.map(candidateOf), further: furtherOf(rows[0]?.further ?? {}) };
}

function idsOf(named: Named): RawBuilder<unknown> {
  if ('teamId' in named) return sql`select m.user_id from team_member m where m.team_id = ${named.teamId} and m.kind = 'PRIMARY'`;
  return sql`
    select t.user_id from routing_rule_target t where t.rule_id = ${named.ruleId} and t.user_id is not null
    union
    select m.user_id from routing_rule_target t join team_member m on m.team_id = t.team_id and m.kind = 'PRIMARY' where t.rule_id = ${named.ruleId}`;
}

/** A conversation with its ticket is one. */
function openOf(userId: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`(select count(*) from assignment o where o.owner_id = ${userId} and o.open)`;
}

function activeIn(userId: RawBuilder<unknown>, placeId: string): RawBuilder<boolean> {
  return sql<boolean>`exists (select 1 from place_activity y where y.place_id = ${placeId} and y.user_id = ${userId}
    and y.at > clock_timestamp() - make_interval(secs => ${ACTIVE_SECONDS}))`;
}

function candidateOf({ userId, deactivated, hasSeat, hasAccess, available, open, active, lastAssignedAt }: PoolRow): Candidate {
  return { userId, deactivated, hasSeat, hasAccess, available, load: open === null || active === null ? null : { open, active, lastAssignedAt } };
}

function furtherOf(counts: Readonly<Record<string, number>>): Further {
  const { ELIGIBLE: eligible = 0, ...leftOut } = counts;
  return { eligible, leftOut: leftOut as Partial<Record<LeftOutReason, number>> };
}

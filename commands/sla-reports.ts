import { sql, type RawBuilder } from 'kysely';
import type { Db } from '#db/database.ts';
import type { GoalKind } from '#domain/sla.ts';
import { GOAL_KINDS } from '#domain/sla-policy.ts';
import { isTimeZone } from '#domain/time-zone.ts';
import { InvalidInput, type Problem } from './refusals.ts';

/** What the lines of a report are of. */
export type ReportGrouping = 'CHANNEL' | 'OWNER' | 'POLICY' | 'DAY' | 'WEEK' | 'MONTH';

/** Which goals are counted: those that ended in `[from, to)`, and those that are overdue now since then. What is null does not narrow. */
export interface ReportRequest {
  readonly from: Date;
  readonly to: Date;
  readonly by: ReportGrouping;
  readonly channelId: string | null;
  readonly ownerId: string | null;
  readonly policyId: string | null;
  readonly goal: GoalKind | null;
  /** By whose clock days, weeks and months begin. */
  readonly timeZone: string;
}

/** What became of one goal in one group. */
export interface ReportLine {
  /** The id of the channel, owner or policy, or the first day of the period (2026-11-21); null: nobody's. */
  readonly key: string | null;
  readonly goal: GoalKind;
  readonly onTime: number;
  readonly late: number;
  readonly cancelled: number;
  /** Running, and overdue, at the moment of the reading. */
  readonly overdue: number;
  /** Of what was completed, in milliseconds of working time; null: nothing was. */
  readonly medianMs: number | null;
  readonly p90Ms: number | null;
}

/** What a report may ask for. */
export const REPORT_LIMITS = { days: 400, groups: 1_000 } as const;

const DAY_MS = 24 * 3_600_000;

/**
 * How goals ended, group by group, in their order (SLA-15). One is counted with the owner and the channel that it had when it ended; one that runs, with those it
 * has now. One that a reopening made run again is counted when it ends again.
 */
export async function readSlaReport(db: Db, request: ReportRequest): Promise<readonly ReportLine[]> {
  const problems = requestProblems(request);
  if (problems.length > 0) throw new InvalidInput(problems);
  const { from, to, channelId, ownerId, policyId, goal } = request;
  const only = (channel: RawBuilder<string>, owner: RawBuilder<string>) => sql`
    and (${channelId}::uuid is null or ${channel} = ${channelId}::uuid) and (${ownerId}::uuid is null or ${owner} = ${ownerId}::uuid)
    and (${policyId}::uuid is null or g.policy_id = ${policyId}::uuid) and (${goal}::text is null or g.kind = ${goal})`;
  const kept = { channel: sql<string>`g.channel_id`, owner: sql<string>`g.owner_id`, at: sql`g.ended_at` };
  const now = { channel: sql<string>`c.channel_id`, owner: sql<string>`t.owner_id`, at: sql`g.overdue_at` };
  // One group more than allowed tells that there are too many.
  const most = (REPORT_LIMITS.groups + 1) * GOAL_KINDS.length;
  const { rows } = await sql<ReportLine>`
    with counted as (
      select ${keyOf(request, kept)} as key, g.kind, g.state, g.used_ms
      from sla_goal g where g.ended_at >= ${from} and g.ended_at < ${to} ${only(kept.channel, kept.owner)}
      union all
      select ${keyOf(request, now)}, g.kind, g.state, g.used_ms
      from sla_goal g join ticket t on t.id = g.ticket_id join conversation c on c.id = t.conversation_id
      where g.ended_at is null and g.state = 'OVERDUE' and g.overdue_at >= ${from} and g.overdue_at < ${to} ${only(now.channel, now.owner)}
    )
    select key, kind as goal,
      count(*) filter (where state = 'COMPLETED_ON_TIME') as "onTime",
      count(*) filter (where state = 'COMPLETED_LATE') as late,
      count(*) filter (where state = 'CANCELLED') as cancelled,
      count(*) filter (where state = 'OVERDUE') as overdue,
      percentile_cont(0.5) within group (order by used_ms) filter (where state in ('COMPLETED_ON_TIME', 'COMPLETED_LATE')) as "medianMs",
      percentile_cont(0.9) within group (order by used_ms) filter (where state in ('COMPLETED_ON_TIME', 'COMPLETED_LATE')) as "p90Ms"
    from counted group by key, kind
    order by key nulls last, array_position(${[...GOAL_KINDS]}::text[], kind) limit ${most}`.execute(db);
  if (new Set(rows.map(({ key }) => key)).size > REPORT_LIMITS.groups) {
    throw new InvalidInput([{ path: 'by', message: `more than ${REPORT_LIMITS.groups} groups: ask for fewer by a filter or a shorter time` }]);
  }
  return rows;
}

function requestProblems({ from, to, timeZone }: ReportRequest): readonly Problem[] {
  const problems: Problem[] = [];
  if (to <= from) problems.push({ path: 'to', message: 'must be later than from' });
  if (to.getTime() - from.getTime() > REPORT_LIMITS.days * DAY_MS) problems.push({ path: 'to', message: `at most ${REPORT_LIMITS.days} days after from` });
  // PostgreSQL takes some short names for other clocks than those of the place.
  if (!isTimeZone(timeZone) || (timeZone !== 'UTC' && !timeZone.includes('/')))
    problems.push({ path: 'timeZone', message: 'there is no such time zone: take a name like Europe/Berlin' });
  return problems;
}

interface Counted {
  readonly channel: RawBuilder<string>;
  readonly owner: RawBuilder<string>;
  /** When it is counted. */
  readonly at: RawBuilder<unknown>;
}

const PERIODS = { DAY: 'day', WEEK: 'week', MONTH: 'month' } as const;

function keyOf({ by, timeZone }: ReportRequest, { channel, owner, at }: Counted): RawBuilder<unknown> {
  switch (by) {
    case 'CHANNEL':
      return sql`${channel}::text`;
    case 'OWNER':
      return sql`${owner}::text`;
    case 'POLICY':
      return sql`g.policy_id::text`;
    default:
      return sql`date_trunc(${PERIODS[by]}, ${at} at time zone ${timeZone})::date::text`;
  }
}

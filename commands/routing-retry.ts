import { sql, type RawBuilder } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import type { Explanation } from '#domain/routing.ts';
import { waitsFor } from '#domain/routing-retry.ts';
import type { Subject, SubjectRef } from './subjects.ts';
import type { Unit } from './unit.ts';

/** Causes that one look takes together; the rest is for the next. */
const CAUSES_AT_ONCE = 10_000;

/**
 * Says that these users may be given something now that could not be before: they became available, got a seat, lost something they owned, or may own
 * more (ROUTE-13). One statement; where no channel decides again it leaves nothing behind, and it wakes nobody unless something waits.
 */
export async function noteFreed(unit: Unit, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return;
  await note(unit, sql`(user_id) select u.id from unnest(${[...new Set(userIds)]}::uuid[]) as u (id) where exists (select from channel h where ${retries()})`);
}

/**
 * Says that what waits on these channels may find somebody now: they decide again from now on, their rule is another, others have access, or something that
 * waited was closed and is open again. Of a contact: the channels on which something of theirs waits, for their owner is another.
 */
export async function noteChannels(
  unit: Unit,
  of: { readonly channelId: string } | { readonly placeId: string } | { readonly contactId: string },
): Promise<void> {
  const which =
    'channelId' in of
      ? sql`h.id = ${of.channelId}`
      : 'placeId' in of
        ? sql`h.place_id = ${of.placeId}`
        : sql`h.id in (select c.channel_id from conversation c left join ticket t on t.id = c.ticket_id
            where c.contact_id = ${of.contactId} and coalesce(t.nobody_free_since, c.nobody_free_since) is not null)`;
  await note(unit, sql`(channel_id) select h.id from channel h where ${which} and ${retries()}`);
}

async function note(unit: Unit, rows: RawBuilder<unknown>): Promise<void> {
  const { rows: found } = await sql<{ wakes: boolean }>`
    with noted as (insert into routing_retry_cause ${rows} returning id)
    select exists (select from noted) and ${anyWaiting()} as wakes`.execute(unit.tx);
  if (found[0]?.wakes === true) unit.wake({ kind: 'routing-retry' });
}

/**
 * Keeps that it waits, after a decision that found nobody free; a change of owner ends it. If it waited before, it goes on waiting since then. Who became free while the
 * decision was made has seen nothing wait: so the look is asked for here. Returns for whom it waits (`waitsFor`).
 */
export async function noteNobodyFree(unit: Unit, subject: Subject, explanation: Explanation): Promise<string | null> {
  const pool = waitsFor(explanation);
  if (pool === null) return null;
  const since = subject.nobodyFreeSince ?? new Date(explanation.decidedAt);
  const [table, id] = subject.ticketId === null ? ['conversation', subject.conversationId] : ['ticket', subject.ticketId];
  const { rows } = await sql<{ wakes: boolean }>`
    update ${sql.table(table)} set nobody_free_since = ${since}, nobody_free_pool = ${pool} where id = ${id}
    returning exists (select from routing_retry_cause) as wakes`.execute(unit.tx);
  if (subject.nobodyFreeSince === null && rows[0]?.wakes === true) unit.wake({ kind: 'routing-retry' });
  return pool;
}

/** What a look at everybody's availability and at what waits comes to. */
export interface RetryState {
  /** Users whose moment is past. */
  readonly due: number;
  /** Reasons to decide again that nobody has looked at. */
  readonly causes: number;
  /** Of what waits, how much these concern. */
  readonly concerned: number;
  /** All that waits, on channels that decide again. */
  readonly waiting: number;
  /** The next moment at which anybody's availability changes. */
  readonly next: Date | null;
}

/** One read for the workflow that waits for all this. */
export async function readRetryState(db: Db): Promise<RetryState> {
  const { rows } = await sql<RetryState>`
    with waiting as (${waiting()}), noted as (select user_id, channel_id from routing_retry_cause limit ${CAUSES_AT_ONCE}),
      cause as (select distinct user_id, channel_id from noted),
      pool as (select w.channel_id, w.rule_id, w.pool, count(*) as n from waiting w group by 1, 2, 3)
    select (select count(*) from app_user where availability_until <= clock_timestamp()) as due,
      (select count(*) from noted) as causes,
      (select coalesce(sum(p.n), 0) from pool p where ${concerned()}) as concerned,
      (select coalesce(sum(p.n), 0) from pool p) as waiting,
      (select min(availability_until) from app_user where availability_until > clock_timestamp()) as next`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('a statement without a row');
  return { ...row, due: Number(row.due), causes: Number(row.causes), concerned: Number(row.concerned), waiting: Number(row.waiting) };
}

/** Those that wait for the same people: one of them finding nobody speaks for all. */
export interface WaitingPool {
  readonly channelId: string;
  readonly ruleId: string;
  readonly pool: string;
}

export interface Causes {
  readonly ids: readonly number[];
  /** The pools these concern. */
  readonly pools: readonly WaitingPool[];
}

/**
 * The reasons there are, and whom they concern. The lock of the decisions comes between the two: a decision that was being made while somebody became free
 * did not see it, and what it left waiting is seen here.
 */
export async function readCauses(tx: Tx): Promise<Causes> {
  const { rows: causes } = await sql<{ id: number }>`select id from routing_retry_cause order by id limit ${CAUSES_AT_ONCE}`.execute(tx);
  const ids = causes.map(({ id }) => Number(id));
  if (ids.length === 0) return { ids, pools: [] };
  await lockRouting(tx);
  const { rows: pools } = await sql<WaitingPool>`
    with waiting as (${waiting()}), cause as (select distinct user_id, channel_id from routing_retry_cause where id = any(${ids}::bigint[])),
      pool as (select distinct w.channel_id, w.rule_id, w.pool from waiting w)
    select p.channel_id as "channelId", p.rule_id as "ruleId", p.pool from pool p where ${concerned()}`.execute(tx);
  return { ids, pools };
}

/** They have been looked at. */
export async function removeCauses(db: Db, ids: readonly number[]): Promise<void> {
  await sql`delete from routing_retry_cause where id = any(${[...ids]}::bigint[])`.execute(db);
}

/** It goes on: who looks after what is stuck counts from here. */
export async function renewCauses(db: Db, ids: readonly number[]): Promise<void> {
  await sql`update routing_retry_cause set at = clock_timestamp() where id = any(${[...ids]}::bigint[])`.execute(db);
}

export interface WaitingOne extends WaitingPool {
  readonly ref: SubjectRef;
  readonly id: string;
}

/** What waits in these pools, the longest waiting first. `without`: ids of those to pass over. */
export async function readWaiting(db: Db, pools: readonly WaitingPool[], without: readonly string[], limit: number): Promise<readonly WaitingOne[]> {
  const { rows } = await sql<WaitingPool & { readonly ticketId: string | null; readonly conversationId: string }>`
    with waiting as (${waiting()})
    select w.ticket_id as "ticketId", w.conversation_id as "conversationId", w.channel_id as "channelId", w.rule_id as "ruleId", w.pool
    from waiting w join json_to_recordset(${JSON.stringify(pools)}::json) as p ("channelId" uuid, "ruleId" uuid, pool text)
      on p."channelId" = w.channel_id and p."ruleId" = w.rule_id and p.pool = w.pool
    where w.conversation_id <> all(${[...without]}::uuid[])
    order by w.since, w.conversation_id limit ${limit}`.execute(db);
  return rows.map(({ ticketId, conversationId, ...pool }) => ({ ...pool, id: conversationId, ref: ticketId === null ? { conversationId } : { ticketId } }));
}

/** Whether a subject waits to be decided again. */
export function waits({ nobodyFreeSince, ownerId, teamId, open, routePendingSince }: Subject): boolean {
  return nobodyFreeSince !== null && ownerId === null && teamId === null && open && routePendingSince === null;
}

function retries(): RawBuilder<boolean> {
  return sql<boolean>`h.retry_when_available and h.enabled and h.disconnected_at is null`;
}

/** As a part of another statement; two looks into small indexes. */
function anyWaiting(): RawBuilder<boolean> {
  return sql<boolean>`(exists (select from ticket t where t.nobody_free_since is not null and t.closed_at is null)
    or exists (select from conversation c where c.nobody_free_since is not null and c.status = 'OPEN'))`;
}

/** Everything that waits on a channel that decides again. */
export function waiting(): RawBuilder<unknown> {
  return sql`
    select t.id as ticket_id, c.id as conversation_id, t.nobody_free_since as since, t.nobody_free_pool as pool, h.id as channel_id,
      coalesce(c.routing_rule_id, h.routing_rule_id) as rule_id
    from ticket t join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id
    where t.nobody_free_since is not null and t.closed_at is null and t.owner_id is null and t.team_id is null and t.route_pending_since is null and ${retries()}
    union all
    select null, c.id, c.nobody_free_since, c.nobody_free_pool, h.id, coalesce(c.routing_rule_id, h.routing_rule_id)
    from conversation c join channel h on h.id = c.channel_id
    where c.nobody_free_since is not null and c.status = 'OPEN' and c.ticket_id is null and c.owner_id is null and c.team_id is null
      and c.route_pending_since is null and ${retries()}`;
}

/**
 * Whether a pool `p` waits for somebody whom a `cause` names, and who can be given anything at all just now; whether they can be given this is for the
 * decision to say.
 */
function concerned(): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from cause k join routing_rule r on r.id = p.rule_id left join app_user u on u.id = k.user_id
    where k.channel_id = p.channel_id or (u.deactivated_at is null and u.seat = 'PAID'
      and case r.kind when 'CONTACT_OWNER' then u.id::text = any(string_to_array(p.pool, ','))
        else (u.availability = 'AVAILABLE' or not r.available_only) and exists (select from routing_rule_target t where t.rule_id = r.id and (t.user_id = u.id
          or exists (select from team_member m where m.team_id = t.team_id and m.user_id = u.id and m.kind = 'PRIMARY'))) end))`;
}

import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { TicketFacts } from '#domain/conditions.ts';
import type { Goal, Measured, Rest, Terms } from '#domain/sla.ts';
import { termsFor, type PolicyTerms } from '#domain/sla-policy.ts';

/** A hash of each value that conditions look at, by its name. */
export type Marks = Readonly<Record<string, string>>;

/** A ticket whose conversation lives in the help desk, with its goals: all that they follow from (SLA-11). */
export interface SlaTicket {
  readonly ticketId: string;
  readonly number: number;
  readonly conversationId: string;
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  readonly placeId: string;
  readonly ownerId: string | null;
  readonly statusId: string;
  readonly closed: boolean;
  /** Null: it is open. */
  readonly closedAt: number | null;
  readonly createdAt: number;
  readonly startedAt: number;
  /** When its channel was connected: what is older was taken over. */
  readonly connectedAt: number;
  /** The conversation began with what its contact, or a machine of theirs, wrote. */
  readonly begunByContact: boolean;
  readonly facts: TicketFacts;
  /** The same, value by value: what conditions name, and a hash of each value. */
  readonly marks: Marks;
  /** PostgreSQL's clock at the reading. */
  readonly now: number;
  /** Null: it is not measured yet. */
  readonly stored: StoredSla | null;
  /** It came here by a move that has not measured it yet (MIG-20). */
  readonly slaPending: boolean;
}

export interface StoredSla {
  readonly version: number;
  readonly policy: PolicyTerms | null;
  readonly measured: Measured;
  readonly marks: Marks;
  readonly nextAt: number | null;
  readonly wakeOwed: boolean;
  readonly fired: ReadonlyMap<string, Fired>;
}

/** When it was told that a goal was due soon, and overdue; null: not yet. */
export interface Fired {
  readonly dueSoon: number | null;
  readonly overdue: number | null;
}

export const NEVER_FIRED: Fired = { dueSoon: null, overdue: null };

/** What a policy asks of a ticket. */
export function termsOf(policy: PolicyTerms | null, { facts }: Pick<SlaTicket, 'facts'>): Terms | null {
  return policy === null ? null : termsFor(policy, facts.priority);
}

/** The same for the same measurement of a ticket. */
export function goalKey({ kind, round }: Pick<Goal, 'kind' | 'round'>): string {
  return `${kind}/${round}`;
}

interface GoalRow {
  readonly kind: Goal['kind'];
  readonly round: number;
  readonly policy_id: string;
  readonly duration_ms: number;
  readonly due_soon_ms: number;
  readonly state: Goal['state'];
  readonly started_at: number;
  readonly used_ms: number;
  readonly counting_since: number | null;
  readonly due_at: number | null;
  readonly due_soon_at: number | null;
  readonly overdue_at: number | null;
  readonly ended_at: number | null;
  readonly reason: Goal['reason'];
  readonly due_soon_fired_at: number | null;
  readonly overdue_fired_at: number | null;
}

interface Row {
  readonly id: string;
  readonly number: number;
  readonly conversation_id: string;
  readonly channel_id: string;
  readonly key: string;
  readonly plugin: string;
  readonly place_id: string;
  readonly owner_id: string | null;
  readonly status_id: string;
  readonly pipeline_id: string;
  readonly priority: string;
  readonly source: string;
  readonly properties: Record<string, unknown>;
  readonly team_id: string | null;
  readonly closed_at: Date | null;
  readonly created_at: Date;
  readonly started_at: Date;
  readonly connected_at: Date;
  readonly begun_by_contact: boolean | null;
  readonly now: Date;
  readonly version: number | null;
  readonly terms_id: string | null;
  readonly paused: boolean | null;
  readonly was_closed: boolean | null;
  readonly replied: boolean | null;
  readonly first_owed_at: Date | null;
  readonly unanswered_since: Date | null;
  readonly rests: readonly Rest[] | null;
  readonly marks: Marks | null;
  readonly next_at: Date | null;
  readonly wake_owed: boolean | null;
  readonly goals: readonly GoalRow[] | null;
  readonly sla_pending: boolean;
}

/**
 * Whether a ticket came to the help desk by a move that has still to give it its goals: a condition on a row of ticket's columns `id` and `conversation_id`
 * (MIG-20). A ticket that the move left without any, for there were no policies, waits for none.
 */
export function slaPending(ticket: string) {
  const id = sql.ref(`${ticket}.id`);
  return sql<boolean>`(not exists (select from sla_ticket measured where measured.ticket_id = ${id}) and exists (
    select from channel_migration_conversation moved where moved.conversation_id = ${sql.ref(`${ticket}.conversation_id`)} and moved.how in (${MOVED})
      and not exists (select from channel_migration_sla pass where pass.migration_id = moved.migration_id and pass.state = 'DONE')))`;
}

/** What a move did with a conversation that it brought to the help desk; as the index of them has it. */
export const MOVED = sql.raw(`'WALKED', 'PULLED_FORWARD', 'JOINED', 'FOLLOWED'`);

/**
 * Of these tickets those that have goals or could have: their conversation lives in the help desk, and there is a policy or they were measured before. Whoever
 * is to write them holds the locks of their conversations.
 */
export async function readSlaTickets(tx: Db | Tx, ticketIds: readonly string[]): Promise<readonly SlaTicket[]> {
  const { rows } = await sql<Row>`
    select t.id, t.number, c.id as conversation_id, c.channel_id, h.key, h.plugin, c.place_id, t.owner_id, t.status_id, t.pipeline_id, t.priority, t.source,
      t.properties, coalesce(t.team_id, (select m.team_id from team_member m where m.user_id = t.owner_id and m.kind = 'PRIMARY')) as team_id,
      t.closed_at, t.created_at, c.started_at, h.connected_at, clock_timestamp() as now,
      case when s.ticket_id is null then (select m.direction = 'INBOUND' from message m where m.conversation_id = c.id and m.direction <> 'COMMENT'
        order by m.occurred_at, m.arrival limit 1) end as begun_by_contact,
      s.version, s.terms_id, s.paused, s.closed as was_closed, s.replied, s.first_owed_at, s.unanswered_since, s.rests, s.marks, s.next_at, s.wake_owed,
      (select json_agg(json_build_object('kind', g.kind, 'round', g.round, 'policy_id', g.policy_id, 'duration_ms', g.duration_ms, 'due_soon_ms', g.due_soon_ms,
          'state', g.state, 'used_ms', g.used_ms, 'reason', g.reason, 'started_at', ${ms('g.started_at')}, 'counting_since', ${ms('g.counting_since')},
          'due_at', ${ms('g.due_at')}, 'due_soon_at', ${ms('g.due_soon_at')}, 'overdue_at', ${ms('g.overdue_at')}, 'ended_at', ${ms('g.ended_at')},
          'due_soon_fired_at', ${ms('g.due_soon_fired_at')}, 'overdue_fired_at', ${ms('g.overdue_fired_at')}) order by g.started_at, g.kind, g.round)
        from (
          -- Those that are not over, those that are to be told of, and the last of each kind: a long talk has thousands.
          select * from sla_goal r where r.ticket_id = t.id and r.ended_at is null
          union select * from sla_goal u where u.ticket_id = t.id and u.overdue_at is not null and u.overdue_fired_at is null
          union select l.* from unnest(array['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE']) as k (kind) cross join lateral (
            select * from sla_goal x where x.ticket_id = t.id and x.kind = k.kind order by x.round desc limit 1) l
        ) g) as goals,
      ${slaPending('t')} as sla_pending
    from ticket t join conversation c on c.id = t.conversation_id join channel h on h.id = c.channel_id left join sla_ticket s on s.ticket_id = t.id
    where t.id = any(${[...ticketIds]}::uuid[]) and c.place = 'HELP_DESK'
      and (s.ticket_id is not null or exists (select from sla_policy p where p.deleted_at is null))
    order by t.id`.execute(tx);
  const terms = await loadTerms(
    tx,
    rows.flatMap((row) => row.terms_id ?? []),
  );
  return rows.map((row) => {
    const facts: TicketFacts = {
      pipelineId: row.pipeline_id,
      priority: row.priority,
      properties: row.properties,
      teamId: row.team_id,
      source: row.source,
    };
    return {
      ticketId: row.id,
      number: row.number,
      conversationId: row.conversation_id,
      channelId: row.channel_id,
      channelKey: row.key,
      plugin: row.plugin,
      placeId: row.place_id,
      ownerId: row.owner_id,
      statusId: row.status_id,
      closed: row.closed_at !== null,
      closedAt: row.closed_at?.getTime() ?? null,
      createdAt: row.created_at.getTime(),
      startedAt: row.started_at.getTime(),
      connectedAt: row.connected_at.getTime(),
      begunByContact: row.begun_by_contact === true,
      facts,
      marks: marksOf(facts),
      now: row.now.getTime(),
      stored: row.version === null ? null : storedOf(row, row.version, row.terms_id === null ? null : (terms.get(row.terms_id) ?? null)),
      slaPending: row.sla_pending,
    };
  });
}

function storedOf(row: Row, version: number, policy: PolicyTerms | null): StoredSla {
  const goals = row.goals ?? [];
  return {
    version,
    policy,
    marks: row.marks ?? {},
    nextAt: row.next_at?.getTime() ?? null,
    wakeOwed: row.wake_owed === true,
    fired: new Map(goals.map((goal) => [goalKey(goal), { dueSoon: goal.due_soon_fired_at, overdue: goal.overdue_fired_at }])),
    measured: {
      // By the priority that goals were set by: another one is another change.
      terms: policy === null ? null : termsFor(policy, row.priority),
      paused: row.paused === true,
      closed: row.was_closed === true,
      rests: row.rests ?? [],
      replied: row.replied === true,
      firstOwedAt: row.first_owed_at?.getTime() ?? null,
      createdAt: row.created_at.getTime(),
      unansweredSince: row.unanswered_since?.getTime() ?? null,
      goals: goals.map((goal) => ({
        kind: goal.kind,
        round: goal.round,
        policyId: goal.policy_id,
        target: { durationMs: goal.duration_ms, dueSoonMs: goal.due_soon_ms },
        state: goal.state,
        startedAt: goal.started_at,
        usedMs: goal.used_ms,
        countingSince: goal.counting_since,
        dueAt: goal.due_at,
        dueSoonAt: goal.due_soon_at,
        overdueAt: goal.overdue_at,
        endedAt: goal.ended_at,
        reason: goal.reason,
      })),
    },
  };
}

/** Moments in whole milliseconds, as all arithmetic has them. */
function ms(column: string) {
  return sql`floor(extract(epoch from ${sql.raw(column)}) * 1000)::bigint`;
}

function marksOf({ pipelineId, priority, properties, teamId, source }: TicketFacts): Marks {
  const all: Record<string, unknown> = { pipeline: pipelineId, priority, team: teamId, source };
  for (const [name, value] of Object.entries(properties)) all[`properties.${name}`] = value;
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, markOf(value)]));
}

function markOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value ?? null))
    .digest('base64url')
    .slice(0, 16);
}

/** What has another value now, by the names that conditions use. */
export function changedMarks(before: Marks, after: Marks): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name]);
}

const known = new Map<string, PolicyTerms>();
/** Terms never change, so a process asks for each once. */
const KEPT = 2_000;

/** Terms by their ids. */
export async function loadTerms(tx: Db | Tx, ids: readonly string[]): Promise<ReadonlyMap<string, PolicyTerms>> {
  const found = new Map<string, PolicyTerms>();
  const missing: string[] = [];
  for (const id of new Set(ids)) {
    const terms = known.get(id);
    if (terms === undefined) missing.push(id);
    else found.set(id, terms);
  }
  if (missing.length === 0) return found;
  const rows = await tx
    .selectFrom('sla_terms')
    .innerJoin('sla_policy', 'sla_policy.id', 'sla_terms.policy_id')
    .selectAll('sla_terms')
    .select('sla_policy.number')
    .where(sql<boolean>`sla_terms.id = any(${missing}::uuid[])`)
    .execute();
  if (known.size + rows.length > KEPT) known.clear();
  for (const row of rows) {
    const { id, policy_id: policyId, number, conditions, targets, pause_status_ids: pauseStatusIds, calendar, actions } = row;
    const terms = { id, policyId, number, conditions, targets, pauseStatusIds, calendar, actions };
    known.set(id, terms);
    found.set(id, terms);
  }
  return found;
}

/** What policies say now, in their order. */
export async function readPolicies(tx: Db | Tx): Promise<readonly PolicyTerms[]> {
  const rows = await tx.selectFrom('sla_policy').select('terms_id').where('deleted_at', 'is', null).orderBy('position').orderBy('id').execute();
  const terms = await loadTerms(
    tx,
    rows.map((row) => row.terms_id),
  );
  return rows.flatMap((row) => terms.get(row.terms_id) ?? []);
}

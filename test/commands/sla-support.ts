import type { Db } from '#db/database.ts';
import type { Condition } from '#domain/conditions.ts';
import type { PolicyTarget } from '#domain/sla-policy.ts';
import type { ApplyTo } from '#commands/sla-reevaluation.ts';
import { savePolicy, type ActionInput } from '#commands/sla-policies.ts';
import { reachMoment, type Reached } from '#commands/sla-moments.ts';
import { transact, type ActorRef, type Unit } from '#commands/unit.ts';
import { plainPlugin } from '../support/fixtures.ts';

const MINUTE = 60_000;

/** A goal of so many minutes. */
export function goal(kind: PolicyTarget['kind'], minutes: number, more: { readonly dueSoon?: number; readonly priority?: string } = {}): PolicyTarget {
  return { kind, priority: more.priority ?? null, durationMs: minutes * MINUTE, dueSoonMs: (more.dueSoon ?? 0) * MINUTE };
}

export interface TestPolicy {
  readonly policyId?: string;
  readonly targets: readonly PolicyTarget[];
  readonly conditions?: readonly Condition[];
  readonly pauseStatusIds?: readonly string[];
  readonly actions?: readonly ActionInput[];
  readonly calendarId?: string;
  readonly name?: string;
  readonly applyTo?: ApplyTo;
  readonly by?: ActorRef;
}

let policies = 0;

/** Saves a policy as an admin would. */
export async function makePolicy(db: Db, policy: TestPolicy): Promise<string> {
  policies += 1;
  const { value } = await transact(db, policy.by ?? { actor: 'SYSTEM' }, (unit) =>
    savePolicy(
      unit,
      {
        policyId: policy.policyId ?? null,
        name: policy.name ?? `policy ${policies}`,
        calendarId: policy.calendarId ?? null,
        conditions: policy.conditions ?? [],
        targets: policy.targets,
        pauseStatusIds: policy.pauseStatusIds ?? [],
        actions: policy.actions ?? [],
      },
      policy.applyTo ?? 'NEW_TICKETS',
    ),
  );
  return value.policyId;
}

/** Its goals as they are stored, in the order in which they began. */
export async function goalsOf(db: Db, ticketId: string) {
  return db.selectFrom('sla_goal').selectAll().where('ticket_id', '=', ticketId).orderBy('started_at').orderBy('kind').orderBy('round').execute();
}

/** The states of a ticket's goals: `FIRST_REPLY/1 ACTIVE`. */
export async function statesOf(db: Db, ticketId: string): Promise<string[]> {
  const goals = await goalsOf(db, ticketId);
  return goals.map(({ kind, round, state }) => `${kind}/${round} ${state}`).toSorted();
}

/**
 * As if all that happened to it had happened so much earlier: a deadline seconds ahead is then past. In place of waiting; the arithmetic itself is
 * tested in the domain.
 */
export async function age(db: Db, ticketId: string, minutes: number): Promise<void> {
  const shift = `interval '${minutes} min'`;
  const { sql } = await import('kysely');
  await sql
    .raw(
      `update sla_goal set started_at = started_at - ${shift}, counting_since = counting_since - ${shift}, due_at = due_at - ${shift}, due_soon_at = due_soon_at - ${shift},
         overdue_at = overdue_at - ${shift}, ended_at = ended_at - ${shift} where ticket_id = '${ticketId}';
       update sla_ticket set next_at = next_at - ${shift}, first_owed_at = first_owed_at - ${shift}, unanswered_since = unanswered_since - ${shift},
         rests = (select coalesce(jsonb_agg(jsonb_build_object('from', (r ->> 'from')::bigint - ${minutes * MINUTE},
           'to', case when r ->> 'to' is null then null else (r ->> 'to')::bigint - ${minutes * MINUTE} end)), '[]') from jsonb_array_elements(rests) r)
         where ticket_id = '${ticketId}';
       update ticket set created_at = created_at - ${shift} where id = '${ticketId}';
       update conversation set started_at = started_at - ${shift} where id = (select conversation_id from ticket where id = '${ticketId}')`,
    )
    .execute(db);
}

/** What the ticket's workflow does when its moment has come. */
export async function moment(db: Db, ticketId: string): Promise<Reached> {
  const { number } = await db.selectFrom('ticket').select('number').where('id', '=', ticketId).executeTakeFirstOrThrow();
  return (await reachMoment(db, number, () => 0, [plainPlugin])).value;
}

/** One transaction of somebody's. */
export async function run<T>(db: Db, actor: ActorRef, work: (unit: Unit) => Promise<T>): Promise<T> {
  return (await transact(db, actor, work)).value;
}

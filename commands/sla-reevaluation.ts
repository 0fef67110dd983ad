import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import type { ReevaluationWhy } from '#db/schema.ts';
import { measure } from '#domain/sla.ts';
import { matchingPolicy, type PolicyTerms } from '#domain/sla-policy.ts';
import type { Wake } from '#domain/wake.ts';
import { fromHistory, oncePolicies, underPolicy, writeSla, type Change } from './sla.ts';
import { readSlaTickets, type SlaTicket } from './sla-rows.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** Which tickets something that was saved holds for (SLA-10). */
export type ApplyTo = 'NEW_TICKETS' | 'OPEN_TICKETS_TOO';

/** Tickets brought up to the policies in one transaction: so few that live work beside it waits for milliseconds. */
export const TICKETS_PER_BATCH = 200;

/** What was started when something was saved; null: it holds for new tickets only. */
export interface Started {
  readonly reevaluationId: string | null;
}

/** The answer of whatever asks for which tickets it holds. */
export async function startIfWanted(unit: Unit, why: ReevaluationWhy, applyTo: ApplyTo): Promise<Started> {
  return applyTo === 'OPEN_TICKETS_TOO' ? startReevaluation(unit, why) : { reevaluationId: null };
}

/** Tickets between two events that tell how far it is. */
const TOLD_EVERY = 1_000;

/** Begins to bring the open tickets up to the policies; the workflow does it. */
export async function startReevaluation(unit: Unit, why: ReevaluationWhy): Promise<{ readonly reevaluationId: string }> {
  const { rows } = await sql<{ id: string }>`
    insert into sla_reevaluation (user_id, why, total, until)
    select ${unit.actor.actor === 'USER' ? unit.actor.userId : null}::uuid, ${why}, count(t.id), coalesce(max(t.number), 0)
    from ticket t join conversation c on c.id = t.conversation_id where t.closed_at is null and c.place = 'HELP_DESK'
    returning id`.execute(unit.tx);
  const id = rows[0]?.id ?? '';
  unit.record({ kind: 'SLA_REEVALUATION_CHANGED', why: 'STARTED', data: { reevaluationId: id } });
  unit.wake({ kind: 'sla-reevaluation', reevaluationId: id });
  return { reevaluationId: id };
}

/** How far it is. */
export interface ReevaluationProgress {
  readonly found: boolean;
  readonly done: boolean;
  readonly total: number;
  readonly lookedAt: number;
  readonly changed: number;
}

const GONE: ReevaluationProgress = { found: false, done: true, total: 0, lookedAt: 0, changed: 0 };

/**
 * Brings the next tickets up to what the policies say now. Goals, counters and place are one transaction, so a batch is done once however often it is tried;
 * of two at once the second waits and goes on behind the first.
 */
export async function reevaluateBatch(db: Db, reevaluationId: string): Promise<Committed<ReevaluationProgress>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const row = await tx.selectFrom('sla_reevaluation').selectAll().where('id', '=', reevaluationId).forNoKeyUpdate().executeTakeFirst();
    if (row === undefined) return GONE;
    if (row.state === 'DONE') return { found: true, done: true, total: row.total, lookedAt: row.looked_at, changed: row.changed };
    const next = await sql<{ id: string; number: number; conversation_id: string }>`
      select t.id, t.number, t.conversation_id from ticket t join conversation c on c.id = t.conversation_id
      where t.number > ${row.position} and t.number <= ${row.until} and t.closed_at is null and c.place = 'HELP_DESK'
      order by t.number limit ${TICKETS_PER_BATCH}`.execute(tx);
    const ids = next.rows.map(({ id }) => id);
    await sql`select from conversation where id = any(${next.rows.map((one) => one.conversation_id).toSorted()}::uuid[]) order by id for no key update`.execute(
      tx,
    );
    const tickets = (await readSlaTickets(tx, ids)).filter(({ closed }) => !closed);
    const policies = await oncePolicies(tx)();
    const unmeasured = tickets.filter(({ stored }) => stored === null);
    const begun = unmeasured.length === 0 ? [] : await fromHistory(tx, unmeasured, policies);
    const changed = await writeSla(unit, [...begun, ...tickets.flatMap((ticket) => broughtUp(ticket, policies))], 'IN_BULK');
    const done = next.rows.length < TICKETS_PER_BATCH;
    const after = await tx
      .updateTable('sla_reevaluation')
      .set((eb) => ({
        position: next.rows.at(-1)?.number ?? row.until,
        looked_at: eb('looked_at', '+', next.rows.length),
        changed: eb('changed', '+', changed),
        progressed_at: sql<Date>`clock_timestamp()`,
        ...(done ? { state: 'DONE' as const, ended_at: sql<Date>`clock_timestamp()` } : {}),
      }))
      .where('id', '=', reevaluationId)
      .returningAll()
      .executeTakeFirstOrThrow();
    const data = { reevaluationId, lookedAt: after.looked_at, changed: after.changed };
    const told = Math.floor(after.looked_at / TOLD_EVERY) > Math.floor(row.looked_at / TOLD_EVERY);
    if (done || told) unit.record({ kind: 'SLA_REEVALUATION_CHANGED', why: done ? 'DONE' : 'PROGRESS', data });
    return { found: true, done, total: after.total, lookedAt: after.looked_at, changed: after.changed };
  });
}

/** None: it goes by these terms already, and what becomes of it by them is for its own workflow. */
function broughtUp(ticket: SlaTicket, policies: readonly PolicyTerms[]): readonly Change[] {
  const policy = matchingPolicy(policies, ticket.facts);
  const { stored, now } = ticket;
  if (stored === null) return [];
  const changed = (stored.policy?.id ?? null) !== (policy?.id ?? null);
  if (!changed) return [];
  // Time until now counts by the old terms.
  const measured = underPolicy(stored.measured, { policy, changed }, ticket);
  return [{ ticket, policy, after: measure(measured, { kind: 'TIME' }, now), fired: stored.fired, silent: true }];
}

/** Hours ahead in which a ticket's workflow must know of its next moment. */
export const HORIZON_HOURS = 25;

/** The wakes of workflows that do not know yet of a moment within the horizon, the soonest first; each is taken once. One that is lost is found by the guardian. */
export async function takeOwedWakes(db: Db, limit: number): Promise<readonly Wake[]> {
  const { rows } = await sql<{ number: number; key: string; plugin: string }>`
    with owed as materialized (
      select s.ticket_id from sla_ticket s where s.wake_owed and s.next_at < now() + make_interval(hours => ${HORIZON_HOURS})
      order by s.next_at limit ${limit} for update skip locked
    )
    update sla_ticket s set wake_owed = false from owed, ticket t, conversation c, channel h
    where s.ticket_id = owed.ticket_id and t.id = s.ticket_id and c.id = t.conversation_id and h.id = c.channel_id
    returning t.number, h.key, h.plugin`.execute(db);
  return rows.map(({ number, key, plugin }) => ({ kind: 'ticket', number, channelKey: key, plugin }));
}

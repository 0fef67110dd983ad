import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import { decideOwner, type Candidate, type Rule } from '#domain/routing.ts';
import { notifyUnassigned } from './notifications.ts';
import { changeOwner } from './owners.ts';
import { lockSubject, subjectIds, wakeTicket, type SubjectRef } from './subjects.ts';
import { transact, type Committed } from './unit.ts';

export interface Decided {
  /** False: there was nothing to decide any more. */
  readonly decided: boolean;
  readonly ownerId: string | null;
}

/**
 * Decides the owner of a conversation or ticket whose decision is open, once: the open decision is the compare-and-set, so a second
 * call, or one after somebody took it, changes nothing. Owner, explanation, event and notification are one transaction (ROUTE-14, ROUTE-15).
 */
export async function decide(db: Db, ref: SubjectRef, random: () => number): Promise<Committed<Decided>> {
  return transact(db, { actor: 'ROUTING' }, async (unit) => {
    const { tx } = unit;
    const subject = await lockSubject(tx, ref);
    if (subject.routePendingSince === null) return { decided: false, ownerId: subject.ownerId };
    if (await isOff(tx, subject.channelId)) {
      // Switched off meanwhile: nobody is chosen (CH-9).
      await changeOwner(unit, subject, { ownerId: subject.ownerId, teamId: subject.teamId }, 'CHANNEL_OFF');
      return { decided: false, ownerId: subject.ownerId };
    }
    await lockRouting(tx);
    const rule = await readRule(tx, subject.channelId);
    const candidates = rule === null ? [] : await readCandidates(tx, rule.id, subject.placeId);
    const { now } = await tx.selectNoFrom(sql<Date>`now()`.as('now')).executeTakeFirstOrThrow();
    const decision = decideOwner(rule ?? NO_RULE, candidates, now, random());
    await tx
      .insertInto('routing_decision')
      .values({
        conversation_id: subject.conversationId,
        ticket_id: subject.ticketId,
        rule_id: rule?.id ?? null,
        chosen_user_id: decision.ownerId,
        explanation: JSON.stringify(decision.explanation),
      })
      .execute();
    unit.record({ kind: 'ROUTING_DECIDED', ...subjectIds(subject), userId: decision.ownerId, why: decision.explanation.outcome });
    await changeOwner(unit, subject, { ownerId: decision.ownerId, teamId: null }, 'ROUTED');
    if (decision.ownerId === null && subject.ticketId !== null) await notifyUnassigned(unit, subject);
    wakeTicket(unit, subject);
    return { decided: true, ownerId: decision.ownerId };
  });
}

async function isOff(tx: Tx, channelId: string | null): Promise<boolean> {
  if (channelId === null) return false;
  const channel = await tx.selectFrom('channel').select('enabled').where('id', '=', channelId).executeTakeFirstOrThrow();
  return !channel.enabled;
}

/** A ticket from an outside channel has no rule of a channel: it waits for triage (ROUTE-1). */
const NO_RULE: Rule = { id: 'none', kind: 'NOBODY', method: null, availableOnly: true };

async function readRule(tx: Tx, channelId: string | null): Promise<Rule | null> {
  if (channelId === null) return null;
  const row = await tx
    .selectFrom('channel')
    .innerJoin('routing_rule', 'routing_rule.id', 'channel.routing_rule_id')
    .select(['routing_rule.id', 'routing_rule.kind', 'routing_rule.method', 'routing_rule.available_only'])
    .where('channel.id', '=', channelId)
    .executeTakeFirstOrThrow();
  return { id: row.id, kind: row.kind, method: row.method, availableOnly: row.available_only };
}

/** Everybody the rule names, by themself or as a primary member of a named team (ROUTE-4), with what counts for or against them. */
async function readCandidates(tx: Tx, ruleId: string, placeId: string): Promise<readonly Candidate[]> {
  const { rows } = await sql<Candidate>`
    select u.id as "userId", u.deactivated_at is not null as deactivated, u.seat = 'PAID' as "hasSeat",
      exists (select 1 from place_assignable p where p.place_id = ${placeId} and p.user_id = u.id) as "hasAccess",
      u.availability = 'AVAILABLE' as available
    from app_user u
    where u.id in (
      select t.user_id from routing_rule_target t where t.rule_id = ${ruleId} and t.user_id is not null
      union
      select m.user_id from routing_rule_target t join team_member m on m.team_id = t.team_id and m.kind = 'PRIMARY' where t.rule_id = ${ruleId})`.execute(tx);
  return rows;
}

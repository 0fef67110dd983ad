import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { lockRouting } from '#db/locks.ts';
import { decideOwner, type Rule } from '#domain/routing.ts';
import { groupedWith } from './capacity.ts';
import { endRuns } from './chatflow-ends.ts';
import { notify } from './notifications.ts';
import { ChangedMeanwhile, NotAssignable } from './refusals.ts';
import { storeDecision } from './routing-decisions.ts';
import { readPool } from './routing-pool.ts';
import { noteFreed } from './routing-retry.ts';
import { lockSubject, subjectIds, wakeTicket, type Subject, type SubjectRef } from './subjects.ts';
import type { Unit } from './unit.ts';
import { flipDue } from './user-availability.ts';

/** To whom: a user, one of a team's primary members, or nobody. */
export type AssignTo = { readonly userId: string } | { readonly teamId: string } | null;

/** Who has it, as somebody believes; null: nobody. Left out: whoever has it. */
export interface Expected {
  readonly ownerId?: string | null;
  /** Of two teams without anybody eligible at once only this tells that one was first. */
  readonly teamId?: string | null;
}

export interface Assigned {
  readonly ownerId: string | null;
  readonly teamId: string | null;
}

/**
 * Changes the owner by hand (ROUTE-2, ROUTE-3). With `expected` it is a compare-and-set: of two at once one wins, the other gets
 * `ChangedMeanwhile`. A team gives it to its least busy eligible primary member; with none it waits with the team. `plugins` say of which routing group
 * its channel is: without them a team's member is held to the limit of all alone. Throws `NotFound`, `NotAssignable`.
 */
export async function assign(unit: Unit, ref: SubjectRef, to: AssignTo, expected: Expected = {}, plugins: readonly Plugin[] = []): Promise<Assigned> {
  const subject = await lockSubject(unit.tx, ref);
  const changed =
    (expected.ownerId !== undefined && expected.ownerId !== subject.ownerId) || (expected.teamId !== undefined && expected.teamId !== subject.teamId);
  if (changed) {
    throw new ChangedMeanwhile(subject.ticketId === null ? 'conversation' : 'ticket', subject.ownerId);
  }
  if (to === null) return changeOwner(unit, subject, { ownerId: null, teamId: null }, 'BY_HAND');
  // People have it from here on: a chatflow says nothing more (CHAT-5).
  if (subject.conversationId !== null) await endRuns(unit, [subject.conversationId], 'TAKEN_OVER', 'ASSIGNED');
  if ('userId' in to) {
    await requireAssignable(unit.tx, subject.placeId, to.userId);
    return changeOwner(unit, subject, { ownerId: to.userId, teamId: null }, 'BY_HAND');
  }
  const ownerId = await leastBusyOfTeam(unit, subject, to.teamId, plugins);
  return changeOwner(unit, subject, { ownerId, teamId: to.teamId }, ownerId === null ? 'TEAM_NOBODY_ELIGIBLE' : 'TEAM_MEMBER_PICKED', 'AUTOMATIC');
}

/** A reply sent while nobody has it makes it the sender's, if they can be assigned here; of two at once, the first committed (ROUTE-2). */
export async function takeByReply(unit: Unit, subject: Subject, userId: string): Promise<void> {
  if (subject.ownerId !== null || !(await isAssignable(unit.tx, subject.placeId, userId))) return;
  await changeOwner(unit, subject, { ownerId: userId, teamId: subject.teamId }, 'REPLIED_FIRST');
}

/**
 * Writes the owner into the one row it stands in, with event, notification and wake. The subject must be locked, and the routing lock held where the
 * owner was picked automatically. An open routing decision is over then.
 */
export async function changeOwner(unit: Unit, subject: Subject, to: Assigned, why: string, how: 'BY_HAND' | 'AUTOMATIC' = 'BY_HAND'): Promise<Assigned> {
  const set = { owner_id: to.ownerId, team_id: to.teamId, route_pending_since: null, nobody_free_since: null, nobody_free_pool: null };
  if (subject.ticketId !== null) {
    await unit.tx
      .updateTable('ticket')
      .set((eb) => ({ ...set, version: eb('version', '+', 1) }))
      .where('id', '=', subject.ticketId)
      .execute();
  } else {
    await unit.tx
      .updateTable('conversation')
      .set((eb) => ({ ...set, version: eb('version', '+', 1) }))
      .where('id', '=', subject.conversationId ?? '')
      .execute();
  }
  if (to.ownerId !== subject.ownerId || to.teamId !== subject.teamId) {
    unit.record({
      kind: 'OWNER_CHANGED',
      ...subjectIds(subject),
      userId: to.ownerId,
      why,
      data: { from: subject.ownerId, to: to.ownerId, fromTeam: subject.teamId, toTeam: to.teamId },
    });
    wakeTicket(unit, subject);
  }
  // Whoever had it has room for something else (ROUTE-13).
  if (subject.ownerId !== null && to.ownerId !== subject.ownerId && subject.open) await noteFreed(unit, [subject.ownerId]);
  if (to.ownerId !== null && to.ownerId !== subject.ownerId) {
    await noteAssigned(unit.tx, to.ownerId, how);
    if (subject.ticketId !== null) await notify(unit, 'TICKET_ASSIGNED', [to.ownerId], subject);
  }
  return to;
}

/**
 * When somebody last got something, however they got it: what they were given by hand counts like the rest (ROUTE-9). Decisions write it one after
 * the other. A change by hand waits for nobody: where a decision has the user's row just now, it writes the same moment (ROUTE-15).
 */
async function noteAssigned(tx: Tx, userId: string, how: 'BY_HAND' | 'AUTOMATIC'): Promise<void> {
  const free = sql`(select id from app_user where id = ${userId} for no key update skip locked)`;
  await sql`update app_user set last_assigned_at = date_trunc('milliseconds', clock_timestamp())
    where id = ${how === 'AUTOMATIC' ? sql`${userId}` : free}`.execute(tx);
}

async function isAssignable(tx: Tx, placeId: string, userId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('place_assignable')
    .innerJoin('app_user', 'app_user.id', 'place_assignable.user_id')
    .select('app_user.id')
    .where('place_assignable.place_id', '=', placeId)
    .where('app_user.id', '=', userId)
    .where('app_user.deactivated_at', 'is', null)
    .executeTakeFirst();
  return row !== undefined;
}

async function requireAssignable(tx: Tx, placeId: string, userId: string): Promise<void> {
  if (await isAssignable(tx, placeId, userId)) return;
  const user = await tx.selectFrom('app_user').select('deactivated_at').where('id', '=', userId).executeTakeFirst();
  const reason = user === undefined ? 'UNKNOWN' : user.deactivated_at !== null ? 'DEACTIVATED' : 'NO_ACCESS';
  throw new NotAssignable([{ userId, teamId: null, reason }]);
}

/** How one of a team is picked: always by load, always of those who are there (ROUTE-3). */
const TEAM: Rule = { id: null, kind: 'TEAM', method: 'LEAST_BUSY', availableOnly: true };

/** The team's primary member who would get it by an automatic decision; null: none is eligible. It is one: serialised with the others, and explained. */
async function leastBusyOfTeam(unit: Unit, subject: Subject, teamId: string, plugins: readonly Plugin[]): Promise<string | null> {
  const { tx } = unit;
  const team = await tx
    .selectFrom('team')
    .select('id')
    .where(sql<string>`id::text`, '=', teamId)
    .executeTakeFirst();
  if (team === undefined) throw new NotAssignable([{ userId: null, teamId, reason: 'UNKNOWN' }]);
  await lockRouting(tx);
  await flipDue(unit);
  const { now, recentlyAssignedFirst } = await tx
    .selectNoFrom((eb) => [
      sql<Date>`clock_timestamp()`.as('now'),
      eb.fn.coalesce(eb.selectFrom('account').select('recently_assigned_first'), eb.lit(false)).as('recentlyAssignedFirst'),
    ])
    .executeTakeFirstOrThrow();
  const rule: Rule = { ...TEAM, recentlyAssignedFirst };
  const { candidates, further } = await readPool(tx, { teamId }, { placeId: subject.placeId, rule, grouped: groupedWith(plugins, subject.plugin) });
  // Nothing here is left to chance.
  const decision = decideOwner(rule, candidates, now, 0, further);
  await storeDecision(tx, subject, decision);
  return decision.ownerId;
}

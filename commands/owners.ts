import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { notify } from './notifications.ts';
import { ChangedMeanwhile, NotAssignable } from './refusals.ts';
import { lockSubject, subjectIds, wakeTicket, type Subject, type SubjectRef } from './subjects.ts';
import type { Unit } from './unit.ts';

/** To whom: a user, one of a team's primary members, or nobody. */
export type AssignTo = { readonly userId: string } | { readonly teamId: string } | null;

export interface Assigned {
  readonly ownerId: string | null;
  readonly teamId: string | null;
}

/**
 * Changes the owner by hand (ROUTE-2, ROUTE-3). With `expectedOwnerId` it is a compare-and-set: of two at once one wins, the other gets
 * `ChangedMeanwhile`. A team gives it to its least busy eligible primary member; with none it waits with the team. Throws `NotFound`, `NotAssignable`.
 */
export async function assign(unit: Unit, ref: SubjectRef, to: AssignTo, expectedOwnerId?: string | null): Promise<Assigned> {
  const subject = await lockSubject(unit.tx, ref);
  if (expectedOwnerId !== undefined && expectedOwnerId !== subject.ownerId) {
    throw new ChangedMeanwhile(subject.ticketId === null ? 'conversation' : 'ticket', subject.ownerId);
  }
  if (to === null) return changeOwner(unit, subject, { ownerId: null, teamId: null }, 'BY_HAND');
  if ('userId' in to) {
    await requireAssignable(unit.tx, subject.placeId, to.userId);
    return changeOwner(unit, subject, { ownerId: to.userId, teamId: null }, 'BY_HAND');
  }
  const ownerId = await leastBusyOfTeam(unit.tx, subject.placeId, to.teamId);
  return changeOwner(unit, subject, { ownerId, teamId: to.teamId }, ownerId === null ? 'TEAM_NOBODY_ELIGIBLE' : 'TEAM_MEMBER_PICKED');
}

/** A reply sent while nobody has it makes it the sender's, if they can be assigned here; of two at once, the first committed (ROUTE-2). */
export async function takeByReply(unit: Unit, subject: Subject, userId: string): Promise<void> {
  if (subject.ownerId !== null || !(await isAssignable(unit.tx, subject.placeId, userId))) return;
  await changeOwner(unit, subject, { ownerId: userId, teamId: subject.teamId }, 'REPLIED_FIRST');
}

/** Writes the owner into the one row it stands in, with event, notification and wake. The subject must be locked. An open routing decision is over then. */
export async function changeOwner(unit: Unit, subject: Subject, to: Assigned, why: string): Promise<Assigned> {
  const set = { owner_id: to.ownerId, team_id: to.teamId, route_pending_since: null };
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
  if (to.ownerId !== null && to.ownerId !== subject.ownerId && subject.ticketId !== null) {
    await notify(unit, 'TICKET_ASSIGNED', [to.ownerId], subject);
  }
  return to;
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

/** The eligible primary member with the fewest open conversations and tickets, then by id; null: none. */
async function leastBusyOfTeam(tx: Tx, placeId: string, teamId: string): Promise<string | null> {
  const team = await tx
    .selectFrom('team')
    .leftJoin('access_entry', (join) => join.onRef('access_entry.team_id', '=', 'team.id').on('access_entry.place_id', '=', placeId))
    .select('team.id')
    .where('team.id', '=', teamId)
    .executeTakeFirst();
  if (team === undefined) throw new NotAssignable([{ userId: null, teamId, reason: 'UNKNOWN' }]);
  const { rows } = await sql<{ id: string }>`
    select u.id from team_member m
    join app_user u on u.id = m.user_id
    join place_assignable p on p.user_id = u.id and p.place_id = ${placeId}
    where m.team_id = ${teamId} and m.kind = 'PRIMARY' and u.seat = 'PAID' and u.availability = 'AVAILABLE' and u.deactivated_at is null
    order by (select count(*) from assignment a where a.owner_id = u.id and a.open), u.id
    limit 1`.execute(tx);
  return rows[0]?.id ?? null;
}

import { sql } from 'kysely';
import type { NotificationKind } from '#db/schema.ts';
import { NotFound } from './refusals.ts';
import { subjectIds, type Subject } from './subjects.ts';
import type { Unit } from './unit.ts';

/** Tells users of something, except who did it themself and who has that kind switched off (MODEL-12). */
export async function notify(unit: Unit, kind: NotificationKind, userIds: readonly string[], subject: Subject): Promise<void> {
  if (userIds.length === 0) return;
  const { rows } = await sql<{ user_id: string }>`
    insert into notification (user_id, kind, ticket_id, conversation_id)
    select u.id, ${kind}, ${subject.ticketId}, ${subject.conversationId}
    from app_user u
    where u.id = any(${userIds}::uuid[]) and u.deactivated_at is null and u.id is distinct from ${doer(unit)}
      and not exists (select 1 from notification_off o where o.user_id = u.id and o.kind = ${kind})
    returning user_id`.execute(unit.tx);
  announceTo(unit, kind, rows, subject);
}

/** *Ticket created, unassigned*: to those the channel names, else to all with access to its place (MODEL-12). */
export async function notifyUnassigned(unit: Unit, subject: Subject): Promise<void> {
  const kind: NotificationKind = 'TICKET_UNASSIGNED';
  const { rows } = await sql<{ user_id: string }>`
    insert into notification (user_id, kind, ticket_id, conversation_id)
    select u.id, ${kind}, ${subject.ticketId}, ${subject.conversationId}
    from app_user u join place_member m on m.user_id = u.id and m.place_id = ${subject.placeId}
    where u.deactivated_at is null and u.id is distinct from ${doer(unit)}
      and not exists (select 1 from notification_off o where o.user_id = u.id and o.kind = ${kind})
      and coalesce((select u.id = any(c.unassigned_notice_user_ids) or c.unassigned_notice_user_ids = '{}'
                    from channel c where c.id = ${subject.channelId}), true)
    returning user_id`.execute(unit.tx);
  announceTo(unit, kind, rows, subject);
}

/** Marks one of the caller's own as read. Throws `NotFound`. */
export async function markRead(unit: Unit, input: { readonly notificationId: string; readonly userId: string }): Promise<{ notificationId: string }> {
  const row = await unit.tx
    .updateTable('notification')
    .set({ read_at: sql<Date>`coalesce(read_at, now())` })
    .where('id', '=', input.notificationId)
    .where('user_id', '=', input.userId)
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('notification', input.notificationId);
  return { notificationId: row.id };
}

/** Switches one kind on or off for one user. */
export async function setNotificationSwitch(
  unit: Unit,
  input: { readonly userId: string; readonly kind: NotificationKind; readonly on: boolean },
): Promise<{ kind: NotificationKind; on: boolean }> {
  const { userId, kind, on } = input;
  if (on) {
    await unit.tx.deleteFrom('notification_off').where('user_id', '=', userId).where('kind', '=', kind).execute();
  } else {
    await unit.tx
      .insertInto('notification_off')
      .values({ user_id: userId, kind })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  return { kind, on };
}

function doer(unit: Unit): string | null {
  return unit.actor.actor === 'USER' ? unit.actor.userId : null;
}

/** One event each, so that subscriptions reach whom they are for. */
function announceTo(unit: Unit, kind: NotificationKind, rows: readonly { readonly user_id: string }[], subject: Subject): void {
  for (const row of rows) unit.record({ kind: 'NOTIFIED', ...subjectIds(subject), placeId: null, userId: row.user_id, why: kind });
}

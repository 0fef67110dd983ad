import { sql, type RawBuilder } from 'kysely';
import type { Health, NotificationKind } from '#db/schema.ts';
import { notificationMail, type GoalWords, type MailWords, type TicketWords } from '#domain/system-mail.ts';
import { NotFound } from './refusals.ts';
import { subjectIds, type Subject } from './subjects.ts';
import { firstState } from './system-mail.ts';
import type { Unit } from './unit.ts';

/** Tells users of something, in the API and by mail, except who did it themself and who has that kind switched off there (MODEL-12). */
export async function notify(unit: Unit, kind: PlainKind, userIds: readonly string[], subject: Subject): Promise<void> {
  if (userIds.length === 0) return;
  await tell(unit, { kind, subject, mail: await mailOf(unit, kind, subject), who: sql<boolean>`u.id = any(${[...userIds]}::uuid[])` });
}

/**
 * *Ticket created, unassigned*: to those whom the channel names for it, else to those whom its rule names, away or not; where neither names anybody who is
 * there and has access, as with the rule *nobody*, to all with access to its place (MODEL-12).
 */
export async function notifyUnassigned(unit: Unit, subject: Subject): Promise<void> {
  const kind = 'TICKET_UNASSIGNED';
  await tell(unit, { kind, subject, mail: await mailOf(unit, kind, subject), who: await thoseNamed(unit, subject) });
}

/** A deadline of a ticket, and whom its policy names to be told of it besides. */
export interface ToldDeadline {
  readonly goal: GoalWords;
  readonly userIds: readonly string[];
  readonly teamIds: readonly string[];
}

/**
 * A deadline comes near, or has passed: the owner is told, or if there is none those who are told of unassigned tickets, and whom the policy names, where
 * they have access (SLA-12). Each once.
 */
export async function notifySla(unit: Unit, kind: SlaKind, subject: Subject, { goal, userIds, teamIds }: ToldDeadline): Promise<void> {
  const mail = notificationMail({ kind, ticket: (await ticketWords(unit, subject)) ?? null, goal });
  const also = sql<boolean>`(exists (select 1 from place_member m where m.user_id = u.id and m.place_id = ${subject.placeId})
    and (u.id = any(${[...userIds]}::uuid[]) or exists (select 1 from team_member m where m.user_id = u.id and m.team_id = any(${[...teamIds]}::uuid[]))))`;
  const first = subject.ownerId === null ? await thoseNamed(unit, subject) : sql<boolean>`u.id = ${subject.ownerId}`;
  await tell(unit, { kind, subject, mail, who: sql<boolean>`(${first} or ${also})` });
}

/** Over `app_user u`: who is told of a ticket that nobody has. */
async function thoseNamed(unit: Unit, subject: Pick<Subject, 'placeId' | 'channelId' | 'conversationId'>): Promise<RawBuilder<boolean>> {
  const access = sql`exists (select 1 from place_member m where m.user_id = u.id and m.place_id = ${subject.placeId})`;
  const { rows } = await sql<{ id: string }>`
    select u.id from app_user u
    where u.deactivated_at is null and ${access} and u.id in (
      select unnest(h.unassigned_notice_user_ids) from channel h where h.id = ${subject.channelId}
      union all
      select coalesce(t.user_id, m.user_id) from channel h left join conversation c on c.id = ${subject.conversationId}
        join routing_rule r on r.id = coalesce(c.routing_rule_id, h.routing_rule_id)
        join routing_rule_target t on t.rule_id = r.id left join team_member m on m.team_id = t.team_id and m.kind = 'PRIMARY'
        where h.id = ${subject.channelId} and h.unassigned_notice_user_ids = '{}'
      union all
      select r.default_user_id from channel h join routing_rule r on r.id = h.routing_rule_id
        where h.id = ${subject.channelId} and h.unassigned_notice_user_ids = '{}')`.execute(unit.tx);
  const named = rows.map(({ id }) => id);
  return named.length > 0 ? sql<boolean>`u.id = any(${named}::uuid[])` : sql<boolean>`${access}`;
}

/** A channel lost its provider, has trouble, or is back: every admin is told (CH-4). Called once a change, by whoever changed the row. */
export async function notifyHealth(
  unit: Unit,
  channel: { readonly id: string; readonly key: string; readonly name: string },
  health: Health,
  reason: string | null,
): Promise<void> {
  const { key, name } = channel;
  await tell(unit, {
    kind: 'CHANNEL_HEALTH',
    channelId: channel.id,
    mail: notificationMail({ kind: 'CHANNEL_HEALTH', channel: { key, name, health, reason } }),
    who: sql<boolean>`u.role in ('ADMIN', 'SUPER_ADMIN')`,
  });
}

/** The move of a channel that has ended. */
export interface EndedMove {
  readonly migrationId: string;
  readonly channel: { readonly id: string; readonly name: string };
  readonly helpDeskId: string;
}

/** Of how many tickets each is told, and of how many that nobody has. */
export interface Counts {
  readonly byUser: ReadonlyMap<string, number>;
  readonly nobodys: number;
}

/** One notification for each user and kind, with a count: to those who have new tickets, and to those who are told of what nobody has (MIG-17). */
export async function notifyMoved(unit: Unit, move: EndedMove, { byUser, nobodys }: Counts): Promise<void> {
  await tellCounts(unit, 'TICKET_ASSIGNED', move, byUser);
  await tellCounts(unit, 'TICKET_UNASSIGNED', move, await forThoseNamed(unit, move, nobodys));
}

/** The same of what was overdue already when it came to the help desk (SLA-11). */
export async function notifyMovedOverdue(unit: Unit, move: EndedMove, { byUser, nobodys }: Counts): Promise<void> {
  const counts = new Map(byUser);
  for (const [userId, count] of await forThoseNamed(unit, move, nobodys)) counts.set(userId, (counts.get(userId) ?? 0) + count);
  await tellCounts(unit, 'SLA_OVERDUE', move, counts);
}

async function forThoseNamed(unit: Unit, { channel, helpDeskId }: EndedMove, count: number): Promise<ReadonlyMap<string, number>> {
  if (count === 0) return new Map();
  const who = await thoseNamed(unit, { placeId: helpDeskId, channelId: channel.id, conversationId: null });
  const { rows } = await sql<{ id: string }>`select u.id from app_user u where ${who} and u.deactivated_at is null`.execute(unit.tx);
  return new Map(rows.map(({ id }) => [id, count]));
}

async function tellCounts(
  unit: Unit,
  kind: 'TICKET_ASSIGNED' | 'TICKET_UNASSIGNED' | 'SLA_OVERDUE',
  move: EndedMove,
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const each = [...counts].map(([userId, count]) => ({ userId, count, mail: notificationMail({ kind, moved: { count, channel: move.channel.name } }) }));
  if (each.length > 0) await tell(unit, { kind, channelId: move.channel.id, migrationId: move.migrationId, mail: each, who: sql<boolean>`true` });
}

/** Tells whoever set a move for later that it did not start (MIG-7). */
export async function notifyWithdrawn(
  unit: Unit,
  {
    id,
    name,
    migrationId,
    why,
    userId,
  }: { readonly id: string; readonly name: string; readonly migrationId: string; readonly why: 'NOT_ELIGIBLE' | 'NOT_SUPER_ADMIN'; readonly userId: string },
): Promise<void> {
  const mail = notificationMail({ kind: 'MIGRATION_WITHDRAWN', channel: name, why });
  await tell(unit, { kind: 'MIGRATION_WITHDRAWN', channelId: id, migrationId, mail, who: sql<boolean>`u.id = ${userId}` });
}

type SubjectKind = Exclude<NotificationKind, 'CHANNEL_HEALTH' | 'MIGRATION_WITHDRAWN'>;
type SlaKind = Extract<NotificationKind, 'SLA_DUE_SOON' | 'SLA_OVERDUE'>;
/** What is said by ticket alone. */
type PlainKind = Exclude<SubjectKind, SlaKind>;

/** The name stands in the mail and nowhere else: events and logs have the ids. */
async function mailOf(unit: Unit, kind: PlainKind, subject: Subject): Promise<MailWords> {
  return notificationMail({ kind, ticket: (await ticketWords(unit, subject)) ?? null });
}

async function ticketWords(unit: Unit, { ticketId }: Subject): Promise<TicketWords | undefined> {
  if (ticketId === null) return undefined;
  return unit.tx.selectFrom('ticket').select(['number', 'name']).where('id', '=', ticketId).executeTakeFirstOrThrow();
}

interface Telling {
  readonly kind: NotificationKind;
  readonly subject?: Subject;
  readonly channelId?: string;
  readonly migrationId?: string;
  /** What all of them read; or what each does, who is told of several at once. */
  readonly mail: MailWords | readonly ToldOfSeveral[];
  /** Over `app_user u`. */
  readonly who: RawBuilder<boolean>;
}

interface ToldOfSeveral {
  readonly userId: string;
  /** Tickets. */
  readonly count: number;
  readonly mail: MailWords;
}

/** One statement for any number of users: the notifications, and a mail each, apart from one another by their own switches. */
async function tell(unit: Unit, { kind, subject, channelId, migrationId, mail, who }: Telling): Promise<void> {
  const { state, reason, settledAt } = firstState();
  const [ticketId, conversationId] = [subject?.ticketId ?? null, subject?.conversationId ?? null];
  const said = 'subject' in mail ? [{ user_id: null, count: null, ...mail }] : mail.map((one) => ({ user_id: one.userId, count: one.count, ...one.mail }));
  const { rows } = await sql<{ told: string[] | null; queued: boolean }>`
    with recipient as (
      select u.id, u.email, n.count, n.subject, n.text from app_user u
      join json_to_recordset(${JSON.stringify(said)}::json) as n (user_id uuid, count int, subject text, text text) on n.user_id is null or n.user_id = u.id
      where ${who} and u.deactivated_at is null and u.id is distinct from ${doer(unit)}
    ), told as (
      insert into notification (user_id, kind, ticket_id, conversation_id, channel_id, migration_id, count)
      select r.id, ${kind}, ${ticketId}, ${conversationId}, ${channelId ?? null}, ${migrationId ?? null}, r.count from recipient r
      where not exists (select 1 from notification_off o where o.user_id = r.id and o.kind = ${kind})
      returning id, user_id
    ), mailed as (
      insert into system_mail (kind, user_id, recipient, subject, text, notification_id, conversation_id, ticket_id, state, reason, settled_at)
      select 'NOTIFICATION', r.id, r.email, r.subject, r.text, t.id, ${conversationId}, ${ticketId}, ${state}, ${reason}, ${settledAt}
      from recipient r left join told t on t.user_id = r.id
      where not exists (select 1 from notification_mail_off o where o.user_id = r.id and o.kind = ${kind})
      returning state
    )
    select (select array_agg(user_id) from told) as told, exists (select 1 from mailed where state = 'QUEUED') as queued`.execute(unit.tx);
  const [row] = rows;
  const about = subject === undefined ? { channelId: channelId ?? null } : { ...subjectIds(subject) };
  // One event each, so that subscriptions reach whom they are for.
  for (const userId of row?.told ?? []) unit.record({ kind: 'NOTIFIED', ...about, placeId: null, userId, why: kind });
  if (row?.queued === true) unit.wake({ kind: 'system-mail' });
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

/** Where a user is told: in the API (query and subscription), or by mail. */
export type ToldBy = 'API' | 'MAIL';

/** Switches one kind on or off for one user, in one way of being told or in both. */
export async function setNotificationSwitch(
  unit: Unit,
  input: { readonly userId: string; readonly kind: NotificationKind; readonly on: boolean; readonly by?: ToldBy | null },
): Promise<void> {
  const { userId, kind, on, by = null } = input;
  for (const [way, table] of [
    ['API', 'notification_off'],
    ['MAIL', 'notification_mail_off'],
  ] as const) {
    if (by !== null && by !== way) continue;
    if (on) await unit.tx.deleteFrom(table).where('user_id', '=', userId).where('kind', '=', kind).execute();
    else {
      await unit.tx
        .insertInto(table)
        .values({ user_id: userId, kind })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
  }
}

function doer(unit: Unit): string | null {
  return unit.actor.actor === 'USER' ? unit.actor.userId : null;
}

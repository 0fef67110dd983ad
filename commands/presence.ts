import type { Identity } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { transact, type EventKind, type Unit } from './unit.ts';

/** A visitor whose page gave no sign of life for so long has left (CHAT-6). */
export const GONE_AFTER_SECONDS = 60;
/** A page gives one more often than this, also where one of them is late. */
export const ALIVE_SECONDS = 45;

export interface PresentVisitor {
  readonly channelId: string;
  readonly kind: Identity['kind'];
  readonly value: string;
}

/**
 * Says that these visitors gave a sign of life just now. Who was not here until now came: their open conversations say so, once, however many processes
 * heard it, for each row is locked before it is changed. Rows are taken in one order, so that two processes never wait for each other. Who is not known as
 * a contact leaves no row: nobody would ask for it. An identity that is being erased is left out, and one that is read here is erased afterwards.
 */
export async function keepHere(db: Db, visitors: readonly PresentVisitor[]): Promise<void> {
  if (visitors.length === 0) return;
  await transact(db, { actor: 'CONTACT' }, async (unit) => {
    const { rows } = await sql<PresenceRow & { came: boolean }>`
      with known as (
        select i.kind, i.value from contact_identity i
        where (i.kind, i.value) in (select n.kind, n.value from ${listed(visitors)}) for key share skip locked
      )
      insert into visitor_presence (channel_id, kind, value)
      select distinct n.channel_id, n.kind, n.value from ${listed(visitors)} join known using (kind, value) order by n.channel_id, n.kind, n.value
      on conflict (channel_id, kind, value) do update set here = true, seen_at = now()
      returning channel_id, kind, value, old.here is distinct from true as came`.execute(unit.tx);
    await record(
      unit,
      'VISITOR_CAME',
      rows.filter(({ came }) => came),
    );
  });
}

/**
 * The last page of these visitors was closed now: their minute begins, where a sign of life came so lately that they were there until then. A connection that
 * ends long after its page fell silent says nothing.
 */
export async function keepUntilNow(db: Db, visitors: readonly PresentVisitor[]): Promise<void> {
  if (visitors.length === 0) return;
  await sql`
    with theirs as (
      select p.channel_id, p.kind, p.value from visitor_presence p join ${listed(visitors)} using (channel_id, kind, value)
      where p.here and p.seen_at > now() - make_interval(secs => ${ALIVE_SECONDS}) order by p.channel_id, p.kind, p.value for no key update of p
    )
    update visitor_presence p set seen_at = now() from theirs t where p.channel_id = t.channel_id and p.kind = t.kind and p.value = t.value`.execute(db);
}

/** Marks those who have left, at most `limit` of them; resolves with how many. Each is marked once, whoever looks, and what they have not read is due (`carryUnread`). */
export async function sweepGone(db: Db, limit: number): Promise<number> {
  const { value } = await transact(db, { actor: 'CONTACT' }, async (unit) => {
    const { rows } = await sql<PresenceRow>`
      update visitor_presence p set here = false, unread_due = true
      from (select channel_id, kind, value from visitor_presence where here and seen_at < now() - make_interval(secs => ${GONE_AFTER_SECONDS})
        order by seen_at limit ${limit} for update skip locked) gone
      where p.channel_id = gone.channel_id and p.kind = gone.kind and p.value = gone.value and p.here
      returning p.channel_id, p.kind, p.value`.execute(unit.tx);
    await record(unit, 'VISITOR_LEFT', rows);
    return rows.length;
  });
  return value;
}

/** Whether a conversation's contact has its page open; since when, or when it was last known to be. */
export interface VisitorPresence {
  readonly here: boolean;
  readonly since: Date;
}

/** By conversation; one whose contact has no such page is not in it. */
export async function presenceOf(db: Db | Tx, conversationIds: readonly string[]): Promise<ReadonlyMap<string, VisitorPresence>> {
  const { rows } = await sql<{ id: string; here: boolean; since: Date }>`
    select distinct on (c.id) c.id, p.here, case when not p.here then p.seen_at
      else coalesce((select max(e.at) from event e where e.conversation_id = c.id and e.kind = 'VISITOR_CAME'), c.started_at) end as since
    from conversation c join contact_identity i on i.contact_id = c.contact_id
    join visitor_presence p on p.kind = i.kind and p.value = i.value and p.channel_id in (c.channel_id, c.origin_channel_id)
    where c.id = any(${[...conversationIds]}::uuid[])
    order by c.id, p.here desc, p.seen_at desc`.execute(db);
  return new Map(rows.map(({ id, here, since }) => [id, { here, since }]));
}

interface PresenceRow {
  readonly channel_id: string;
  readonly kind: string;
  readonly value: string;
}

/** As a table `n`. */
function listed(visitors: readonly PresentVisitor[]) {
  const rows = visitors.map(({ channelId, kind, value }) => ({ channel_id: channelId, kind, value }));
  return sql`json_to_recordset(${JSON.stringify(rows)}::json) as n (channel_id uuid, kind text, value text)`;
}

/** On the open conversations of these visitors that began on this channel or go on there. */
async function record(unit: Unit, kind: Extract<EventKind, 'VISITOR_CAME' | 'VISITOR_LEFT'>, visitors: readonly PresenceRow[]): Promise<void> {
  if (visitors.length === 0) return;
  const { rows } = await sql<{ id: string; ticket_id: string | null; place_id: string; channel_id: string }>`
    select c.id, c.ticket_id, c.place_id, n.channel_id
    from json_to_recordset(${JSON.stringify(visitors)}::json) as n (channel_id uuid, kind text, value text)
    join contact_identity i on i.kind = n.kind and i.value = n.value
    join conversation c on c.contact_id = i.contact_id and c.status = 'OPEN' and (c.channel_id = n.channel_id or c.origin_channel_id = n.channel_id)
    order by c.id`.execute(unit.tx);
  for (const row of rows) unit.record({ kind, channelId: row.channel_id, conversationId: row.id, ticketId: row.ticket_id, placeId: row.place_id });
}

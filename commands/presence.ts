import type { Identity } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { transact, type EventKind, type Unit } from './unit.ts';

/** A visitor without a connection for so long has left (CHAT-6). */
export const GONE_AFTER_SECONDS = 60;

export interface PresentVisitor {
  readonly channelId: string;
  readonly kind: Identity['kind'];
  readonly value: string;
}

/**
 * Says that these visitors are here now. Who was not here until now came: their open conversations say so, once, however many processes hold
 * their pages, for each row is locked before it is changed. Rows are taken in one order, so that two processes never wait for each other.
 */
export async function keepHere(db: Db, visitors: readonly PresentVisitor[]): Promise<void> {
  if (visitors.length === 0) return;
  await transact(db, { actor: 'CONTACT' }, async (unit) => {
    const { rows } = await sql<PresenceRow & { came: boolean }>`
      insert into visitor_presence (channel_id, kind, value)
      select distinct channel_id, kind, value from json_to_recordset(${JSON.stringify(visitors.map(({ channelId, ...who }) => ({ channel_id: channelId, ...who })))}::json)
        as n (channel_id uuid, kind text, value text) order by channel_id, kind, value
      on conflict (channel_id, kind, value) do update set here = true, seen_at = now()
      returning channel_id, kind, value, old.here is distinct from true as came`.execute(unit.tx);
    await record(
      unit,
      'VISITOR_CAME',
      rows.filter(({ came }) => came),
    );
  });
}

/** Marks those who have left, at most `limit` of them; resolves with how many. Each is marked once, whoever looks. */
export async function sweepGone(db: Db, limit: number): Promise<number> {
  const { value } = await transact(db, { actor: 'CONTACT' }, async (unit) => {
    const { rows } = await sql<PresenceRow>`
      update visitor_presence p set here = false
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

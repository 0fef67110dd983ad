import { sql, type RawBuilder } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { MovedHow } from '#db/schema.ts';
import { HELP_DESK_MEMBERS } from './help-desk-reach.ts';

/** A move, as far as what becomes of a conversation depends on it. */
export interface Move {
  readonly migrationId: string;
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  readonly helpDeskId: string;
}

/** What one statement has moved. */
export interface MovedBatch {
  readonly moved: number;
  readonly newTickets: number;
  /** Of them those that nobody has or is being chosen for, and among those the ones whose owner has no access to the help desk. */
  readonly nobodys: number;
  readonly unassigned: number;
  /** The last of them in the order of their ids; null: there was none. */
  readonly lastId: string | null;
}

/** A conversation that was moved by itself, not by the walk. */
export interface MovedOne {
  readonly conversationId: string;
  readonly ticketId: string;
  readonly ticketNumber: number;
  /** The help desk. */
  readonly placeId: string;
  /** Whose it was, and is not any more for want of access. */
  readonly lostBy: string | null;
  /** It has a new ticket that nobody has, and nobody is being chosen for. */
  readonly nobodys: boolean;
}

/** The next conversations of the walk, in the order of their ids. What somebody else holds is passed over: a sweep finds it. */
export function nextOf({ migrationId, channelId }: Pick<Move, 'migrationId' | 'channelId'>, position: string, limit: number): RawBuilder<unknown> {
  // Written as a stretch of `conversation_inbox_channel`: by the primary key a sweep would read again all that has been moved.
  return sql`c.place = 'INBOX' and (c.channel_id, c.id) > (${channelId}::uuid, ${position}::uuid) and c.channel_id <= ${channelId}::uuid
    and not exists (select from channel_migration_remainder r where r.migration_id = ${migrationId} and r.conversation_id = c.id)
    order by c.channel_id, c.id limit ${limit} for no key update of c skip locked`;
}

/** These, whose locks the caller holds. */
export function theseOf(ids: readonly string[]): RawBuilder<unknown> {
  return sql`c.id = any(${[...ids]}::uuid[]) and c.place = 'INBOX' order by c.id for no key update of c`;
}

/** Moves the next conversations of the walk, and counts them by whose they were. */
export async function moveNext(tx: Tx, move: Move, which: RawBuilder<unknown>): Promise<MovedBatch & { readonly undecided: readonly number[] }> {
  const { rows } = await sql<{ moved: number; new_tickets: number; nobodys: number; unassigned: number; last_id: string | null; undecided: number[] | null }>`
    ${moving(move, 'WALKED', which)}, owners as (
      insert into channel_migration_owner (migration_id, user_id, moved, assigned, unassigned)
      select ${move.migrationId}, w.holder, count(*), count(*) filter (where w.fresh and not w.loses), count(*) filter (where w.loses)
      from weighed w where w.holder is not null group by w.holder order by w.holder
      on conflict (migration_id, user_id) do update set moved = channel_migration_owner.moved + excluded.moved,
        assigned = channel_migration_owner.assigned + excluded.assigned, unassigned = channel_migration_owner.unassigned + excluded.unassigned
    )
    select count(*)::int as moved, count(*) filter (where fresh)::int as new_tickets, count(*) filter (where fresh and (holder is null or loses) and route_pending_since is null)::int as nobodys, count(*) filter (where loses)::int as unassigned,
      (select id from weighed order by id desc limit 1) as last_id,
      (select array_agg(number::int) from made where route_pending_since is not null) as undecided
    from weighed`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new Error('a count without a row');
  return {
    moved: row.moved,
    newTickets: row.new_tickets,
    nobodys: row.nobodys,
    unassigned: row.unassigned,
    lastId: row.last_id,
    undecided: row.undecided ?? [],
  };
}

/** Moves these by themselves: a message brought them to the help desk before their turn, or after the end, or they could not be moved when it was their turn. */
export async function moveThese(tx: Tx, move: Move, how: MovedHow, which: RawBuilder<unknown>): Promise<readonly MovedOne[]> {
  const { rows } = await sql<{ id: string; ticket_id: string; number: number; lost_by: string | null; nobodys: boolean }>`
    ${moving(move, how, which)}
    select w.id, w.of_ticket as ticket_id, coalesce(w.number, m.number) as number, case when w.loses then w.owner_id end as lost_by,
      w.fresh and (w.holder is null or w.loses) and w.route_pending_since is null as nobodys
    from weighed w left join made m on m.conversation_id = w.id`.execute(tx);
  const placeId = move.helpDeskId;
  return rows.map((row) => ({
    conversationId: row.id,
    ticketId: row.ticket_id,
    ticketNumber: row.number,
    placeId,
    lostBy: row.lost_by,
    nobodys: row.nobodys,
  }));
}

/**
 * The one statement that moves conversations (MIG-9): makes the tickets that are missing, sets the place, keeps what was done with each, and writes the events. A ticket
 * that is there is not touched. `weighed` holds what was moved, `made` the new tickets.
 */
function moving({ migrationId, channelId, helpDeskId }: Move, how: MovedHow, which: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    with picked as materialized (
      select c.id, c.ticket_id, c.place_id, c.status, c.subject, c.owner_id, c.team_id, c.started_at, c.closed_at, c.route_pending_since, c.nobody_free_since,
        c.nobody_free_pool
      from conversation c where ${which}
    ), able as materialized (
      select d.id as user_id from ${HELP_DESK_MEMBERS} d
    ), weighed as materialized (
      -- What a new ticket is called by is known here: joined to the tickets that are made, each row would be compared with all of them, for nobody knows how many these are.
      select p.*, t.number, p.ticket_id is null as fresh, coalesce(p.ticket_id, uuidv7()) as of_ticket, coalesce(t.owner_id, p.owner_id) as holder,
        p.ticket_id is null and p.owner_id is not null and p.owner_id not in (select a.user_id from able a) as loses
      from picked p left join lateral (select t.number, t.owner_id from ticket t where t.id = p.ticket_id limit 1) t on true
    ), made as (
      insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, properties, source, owner_id, team_id, route_pending_since, nobody_free_since,
        nobody_free_pool, created_at, closed_at)
      select w.of_ticket, w.id, ${conversationName('w')}, g.pipeline_id, case w.status when 'OPEN' then g.open_status_id else g.closed_status_id end, h.default_priority,
        h.default_properties, h.key, case when not w.loses then w.owner_id end, case when not w.loses then w.team_id end, w.route_pending_since,
        w.nobody_free_since, w.nobody_free_pool, w.started_at, w.closed_at
      from weighed w, channel h, channel_migration g where w.fresh and h.id = ${channelId} and g.id = ${migrationId}
      order by w.id
      returning id, conversation_id, number, route_pending_since
    ), placed as (
      update conversation c set place = 'HELP_DESK', place_id = ${helpDeskId}, ticket_id = w.of_ticket, owner_id = null, team_id = null,
        route_pending_since = null, nobody_free_since = null, nobody_free_pool = null, version = c.version + 1
      from weighed w where c.id = w.id
    ), kept as (
      insert into channel_migration_conversation (migration_id, conversation_id, how, new_ticket, owner_id, unassigned, from_place_id)
      select ${migrationId}, w.id, ${how}, w.fresh, w.holder, w.loses, w.place_id from weighed w order by w.id
    ), told as (
      insert into event (kind, actor, channel_id, conversation_id, ticket_id, place_id, why, data)
      select e.kind, 'SYSTEM', ${channelId}, w.id, w.of_ticket, ${helpDeskId}, e.why,
        case e.kind when 'OWNER_CHANGED' then jsonb_build_object('migrationId', ${migrationId}::text, 'from', w.owner_id, 'to', null, 'fromTeam', w.team_id, 'toTeam', null)
          when 'PLACE_CHANGED' then jsonb_build_object('migrationId', ${migrationId}::text, 'from', w.place_id, 'to', ${helpDeskId}::text)
          else ${JSON.stringify({ migrationId })}::jsonb end
      from weighed w
      cross join lateral (values ('PLACE_CHANGED', 'MOVED', true), ('TICKET_CREATED', 'MOVED', w.fresh), ('OWNER_CHANGED', 'NO_ACCESS', w.loses)) as e (kind, why, holds)
      where e.holds order by w.id
    )`;
}

/** What a ticket is called that is made of a conversation: its subject, else the first words said in it. `of`: the alias of the conversation. */
export function conversationName(of: 'c' | 'w'): RawBuilder<string> {
  const c = sql.raw(of);
  return sql<string>`coalesce(nullif(trim(${c}.subject), ''), (select nullif(left(trim(m.text), 120), '') from message m
    where m.conversation_id = ${c}.id and m.direction <> 'COMMENT' order by m.occurred_at, m.arrival limit 1), '(no subject)')`;
}

import { sql } from 'kysely';
import { announce } from '#db/announce.ts';
import type { Db, Tx } from '#db/database.ts';
import { wakeKey, type Wake } from '#domain/wake.ts';
import type { ActorRef, EventInput } from './events.ts';
import type { MovedOne } from './migration-conversations.ts';
import { followMoves } from './migration-follow.ts';
import { settleSla } from './sla.ts';

export { EVENT_KINDS, type ActorRef, type EventInput, type EventKind } from './events.ts';

/** One transaction: its connection, its actor, and what it leaves behind for the feed and for Temporal. */
export interface Unit {
  readonly tx: Tx;
  readonly actor: ActorRef;
  record(event: EventInput): void;
  wake(wake: Wake): void;
}

export interface Committed<T> {
  readonly value: T;
  /** To be handed to Temporal now; losing one is a delay, for the guardian reads the rows. */
  readonly wakes: readonly Wake[];
}

/**
 * Runs one transaction at READ COMMITTED, writes its events as its last statement, commits, and announces them to readers.
 * A `Refusal` thrown inside rolls everything back and reaches the caller.
 */
export async function transact<T>(db: Db, actor: ActorRef, work: (unit: Unit) => Promise<T>): Promise<Committed<T>> {
  const wakes = new Map<string, Wake>();
  let announced = false;
  const value = await db.transaction().execute(async (tx) => {
    const events: EventInput[] = [];
    const record = (event: EventInput): void => void events.push(event);
    const wake = (one: Wake): void => void wakes.set(wakeKey(one), one);
    const unit: Unit = { tx, actor, record, wake };
    const result = await work(unit);
    // Where a message went, its conversation may follow to the help desk; and whatever happened to a ticket, by whichever command, its goals follow from it.
    const moved = await followMoves(unit, events);
    await settleSla(
      unit,
      events,
      moved.map(({ ticketId }) => ticketId),
    );
    await writeEvents(tx, actor, moved.length === 0 ? events : events.map((event) => seenWhereItIs(event, moved)));
    announced = events.length > 0;
    return result;
  });
  if (announced) announce(db);
  return { value, wakes: [...wakes.values()] };
}

/** Who sees the help desk sees what happened in a conversation from the transaction on that moved it. */
function seenWhereItIs(event: EventInput, moved: readonly MovedOne[]): EventInput {
  const one = moved.find(({ conversationId }) => conversationId === event.conversationId);
  return one === undefined ? event : { ...event, placeId: one.placeId, ticketId: one.ticketId };
}

async function writeEvents(tx: Tx, actor: ActorRef, events: readonly EventInput[]): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map((event, place) => {
    const by = event.by ?? actor;
    return {
      place,
      kind: event.kind,
      actor: by.actor,
      actor_user_id: by.actor === 'USER' ? by.userId : null,
      channel_id: event.channelId,
      conversation_id: event.conversationId,
      ticket_id: event.ticketId,
      message_id: event.messageId,
      user_id: event.userId,
      place_id: event.placeId,
      why: event.why,
      data: event.data ?? {},
    };
  });
  // One text whatever their number: with values of their own, a batch of the intake sent PostgreSQL a statement of a thousand parameters to plan.
  await sql`
    insert into event (kind, actor, actor_user_id, channel_id, conversation_id, ticket_id, message_id, user_id, place_id, why, data)
    select kind, actor, actor_user_id, channel_id, conversation_id, ticket_id, message_id, user_id, place_id, why, data
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (place int, kind text, actor text, actor_user_id uuid, channel_id uuid, conversation_id uuid,
      ticket_id uuid, message_id uuid, user_id uuid, place_id uuid, why text, data jsonb)
    order by place`.execute(tx);
}

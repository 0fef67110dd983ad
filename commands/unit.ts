import { sql } from 'kysely';
import { announce } from '#db/announce.ts';
import type { Db, Tx } from '#db/database.ts';
import type { Actor } from '#db/schema.ts';
import { wakeKey, type Wake } from '#domain/wake.ts';

/** Who does it. */
export type ActorRef = { readonly actor: 'USER'; readonly userId: string } | { readonly actor: Exclude<Actor, 'USER'> };

/** What is kept of it: ids and enumerated values only, never content (MODEL-7). */
export interface EventInput {
  readonly kind: EventKind;
  readonly channelId?: string | null;
  readonly conversationId?: string | null;
  readonly ticketId?: string | null;
  readonly messageId?: string | null;
  /** The user it is about: the new owner. */
  readonly userId?: string | null;
  /** The place whose members may see it; none: an admin's matter. */
  readonly placeId?: string | null;
  /** A fixed phrase or a code. */
  readonly why?: string;
  readonly data?: Readonly<Record<string, string | number | boolean | null>>;
  /** In place of the unit's own. */
  readonly by?: ActorRef;
}

export const EVENT_KINDS = [
  'CONVERSATION_STARTED',
  'TICKET_CREATED',
  'MESSAGE_RECEIVED',
  'MESSAGE_FILTERED',
  'MESSAGE_RELEASED',
  'MESSAGE_WRITTEN',
  'MESSAGE_LEFT_OUT',
  'COMMENT_WRITTEN',
  'DELIVERY_CHANGED',
  'OWNER_CHANGED',
  'STATUS_CHANGED',
  'PRIORITY_CHANGED',
  'PLACE_CHANGED',
  'CURRENT_CHANNEL_CHANGED',
  'ROUTING_DECIDED',
  'ROUTING_SETTINGS_CHANGED',
  'CHANNEL_CONNECTED',
  'CHANNEL_CHANGED',
  'CHANNEL_DISCONNECTED',
  'CHANNEL_HEALTH_CHANGED',
  'DELIVERY_SET_ASIDE',
  'ATTACHMENT_SETTLED',
  'SENDER_RULES_CHANGED',
  'PEOPLE_CHANGED',
  'SKILLS_CHANGED',
  'PIPELINES_CHANGED',
  'TICKET_IMPORT_CHANGED',
  'CAUGHT_UP',
  'CONTACT_ERASED',
  'VISITOR_CAME',
  'VISITOR_LEFT',
  'CONTACT_CHANGED',
  'SYSTEM_SENDER_CHANGED',
  'CHATFLOW_CHANGED',
  'CHATFLOW_STARTED',
  'CHATFLOW_ENDED',
  'NOTIFIED',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

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
    const result = await work({
      tx,
      actor,
      record: (event) => void events.push(event),
      wake: (wake) => void wakes.set(wakeKey(wake), wake),
    });
    await writeEvents(tx, actor, events);
    announced = events.length > 0;
    return result;
  });
  if (announced) announce(db);
  return { value, wakes: [...wakes.values()] };
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

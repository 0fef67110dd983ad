import type { Actor } from '#db/schema.ts';

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
  /** Somebody spoke in it, which a ticket's goals depend on: its contact, or a person here; since when it counts (ISO 8601), none: now. Not stored. */
  readonly said?: { readonly by: 'CONTACT' | 'PERSON'; readonly at?: string };
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
  'PROPERTIES_CHANGED',
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
  'SLA_GOAL_CHANGED',
  'SLA_SETTINGS_CHANGED',
  'SLA_REEVALUATION_CHANGED',
  'MIGRATION_CHANGED',
  'NOTIFIED',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

import type { Order } from '../page.ts';

/** Keyset orders by noun; each ends in a unique column. */
export const ORDERS = {
  user: { keys: [{ column: 'app_user.id', cast: 'uuid' }] },
  team: { keys: [{ column: 'team.id', cast: 'uuid' }] },
  place: { keys: [{ column: 'place.id', cast: 'uuid' }] },
  pipeline: { keys: [{ column: 'pipeline.position', cast: 'int' }] },
  channel: { keys: [{ column: 'channel.id', cast: 'uuid' }] },
  conversation: {
    keys: [
      { column: 'conversation.started_at', cast: 'timestamptz' },
      { column: 'conversation.id', cast: 'uuid' },
    ],
  },
  ticket: {
    keys: [
      { column: 'ticket.created_at', cast: 'timestamptz' },
      { column: 'ticket.id', cast: 'uuid' },
    ],
  },
  // By the provider's date, then by arrival (MODEL-4).
  message: {
    keys: [
      { column: 'message.occurred_at', cast: 'timestamptz' },
      { column: 'message.arrival', cast: 'bigint' },
    ],
  },
  submission: {
    keys: [
      { column: 'form_submission.submitted_at', cast: 'timestamptz' },
      { column: 'form_submission.message_id', cast: 'uuid' },
    ],
  },
  event: { keys: [{ column: 'event.id', cast: 'bigint' }] },
  decision: { keys: [{ column: 'routing_decision.id', cast: 'uuid' }], descending: true },
  systemMail: {
    keys: [
      { column: 'system_mail.created_at', cast: 'timestamptz' },
      { column: 'system_mail.id', cast: 'uuid' },
    ],
    descending: true,
  },
  webhook: { keys: [{ column: 'webhook.id', cast: 'uuid' }] },
  webhookDelivery: {
    keys: [
      { column: 'webhook_delivery.created_at', cast: 'timestamptz' },
      { column: 'webhook_delivery.id', cast: 'uuid' },
    ],
    descending: true,
  },
  notification: { keys: [{ column: 'notification.id', cast: 'uuid' }], descending: true },
  apiToken: { keys: [{ column: 'api_token.id', cast: 'uuid' }], descending: true },
  ticketImport: { keys: [{ column: 'ticket_import.id', cast: 'uuid' }], descending: true },
  filteredMessage: {
    keys: [
      { column: 'filtered_message.received_at', cast: 'timestamptz' },
      { column: 'filtered_message.id', cast: 'uuid' },
    ],
    descending: true,
  },
  skill: { keys: [{ column: 'skill.id', cast: 'uuid' }] },
  calendar: { keys: [{ column: 'business_calendar.id', cast: 'uuid' }] },
  slaPolicy: {
    keys: [
      { column: 'sla_policy.position', cast: 'int' },
      { column: 'sla_policy.id', cast: 'uuid' },
    ],
  },
  slaReevaluation: { keys: [{ column: 'sla_reevaluation.id', cast: 'uuid' }], descending: true },
  channelMigration: { keys: [{ column: 'channel_migration.id', cast: 'uuid' }], descending: true },
  remainder: { keys: [{ column: 'channel_migration_remainder.conversation_id', cast: 'uuid' }] },
  senderRule: { keys: [{ column: 'sender_rule.id', cast: 'uuid' }] },
  delivery: { keys: [{ column: 'raw_delivery.id', cast: 'bigint' }] },
} as const satisfies Record<string, Order>;

import type { Selectable } from 'kysely';
import type {
  AccessEntryTable,
  AttachmentTable,
  BusinessCalendarTable,
  ApiTokenTable,
  ChannelMigrationRemainderTable,
  ChannelMigrationSlaTable,
  ChannelMigrationTable,
  ChannelTable,
  ChatflowTable,
  ChatflowRunTable,
  ContactIdentityTable,
  ContactTable,
  ConversationTable,
  EventTable,
  FormSubmissionTable,
  FilteredMessageTable,
  MessageTable,
  NotificationTable,
  OutboundTable,
  OutOfOfficeTable,
  PipelineTable,
  PlaceTable,
  RawDeliveryTable,
  RoutingDecisionTable,
  RoutingRuleTable,
  SenderRuleTable,
  SkillRuleTable,
  SkillTable,
  SignInIdentityTable,
  SlaGoalTable,
  SlaPolicyTable,
  SlaReevaluationTable,
  SystemMailTable,
  TeamTable,
  TicketImportTable,
  TicketStatusTable,
  TicketTable,
  UserTable,
  WebhookDeliveryTable,
  WebhookTable,
} from '#db/schema.ts';

/** What the schema's types are made of: rows, without the columns that never leave the database. */
export type UserRow = Selectable<UserTable>;
/** Without the hash: nothing is done with it but to find the row. */
export type ApiTokenRow = Omit<Selectable<ApiTokenTable>, 'token_hash'>;
export type SignInRow = Selectable<SignInIdentityTable>;
export type OutOfOfficeRow = Selectable<OutOfOfficeTable>;
export interface WorkingPeriodRow {
  readonly user_id: string;
  readonly weekday: number;
  readonly from_minute: number;
  readonly to_minute: number;
}
export type TeamRow = Selectable<TeamTable>;
export type PlaceRow = Selectable<PlaceTable>;
export type AccessEntryRow = Selectable<AccessEntryTable>;
export type PipelineRow = Selectable<PipelineTable>;
export type StatusRow = Selectable<TicketStatusTable>;
export type ChannelRow = Pick<Selectable<ChannelTable>, (typeof CHANNEL_COLUMNS)[number]>;
export type ChatflowRow = Selectable<ChatflowTable>;
/** Without the answers and the definition it began with. */
export type ChatflowRunRow = Pick<Selectable<ChatflowRunTable>, 'conversation_id' | 'chatflow_id' | 'state' | 'step' | 'wait_until' | 'started_at'>;
export type ContactRow = Selectable<ContactTable>;
export type IdentityRow = Selectable<ContactIdentityTable>;
export type ConversationRow = Selectable<ConversationTable>;
export type MessageRow = Selectable<MessageTable>;
/** Without what only its plugin understands. */
export type AttachmentRow = Pick<
  Selectable<AttachmentTable>,
  'id' | 'message_id' | 'position' | 'file_name' | 'type' | 'bytes' | 'content_id' | 'state' | 'reason'
>;
export type OutboundRow = Selectable<OutboundTable>;
export type TicketRow = Selectable<TicketTable>;
export type FilteredRow = Selectable<FilteredMessageTable>;
export type SenderRuleRow = Selectable<SenderRuleTable>;
export type SkillRow = Selectable<SkillTable>;
export type SkillRuleRow = Selectable<SkillRuleTable> & { readonly required: readonly string[] };
/** Somebody a rule names; null: they can get something. */
export interface RuleTargetRow {
  readonly rule_id: string;
  readonly user_id: string | null;
  readonly team_id: string | null;
  readonly reason: string | null;
}
/** A goal with the moment at which it was read, and the terms that its ticket has by then. */
export type SlaGoalRow = Selectable<SlaGoalTable> & { readonly terms_id: string | null; readonly now: Date };
export type SlaPolicyRow = Selectable<SlaPolicyTable>;
export type CalendarRow = Selectable<BusinessCalendarTable>;
export interface CalendarPeriodRow {
  readonly calendar_id: string;
  readonly weekday: number;
  readonly from_minute: number;
  readonly to_minute: number;
}
/** `date` as text: 2026-12-25. */
export interface HolidayRow {
  readonly calendar_id: string;
  readonly date: string;
  readonly name: string | null;
}
export type ReevaluationRow = Selectable<SlaReevaluationTable>;
export type MigrationRow = Selectable<ChannelMigrationTable>;
export type MigrationSlaRow = Selectable<ChannelMigrationSlaTable>;
export type RemainderRow = Selectable<ChannelMigrationRemainderTable>;
export type RuleRow = Selectable<RoutingRuleTable>;
export type DecisionRow = Selectable<RoutingDecisionTable>;
export type EventRow = Selectable<EventTable>;
/** Without the address and the words: what is in a mail belongs to whom it went to. */
export type SystemMailRow = Pick<
  Selectable<SystemMailTable>,
  'id' | 'kind' | 'user_id' | 'contact_id' | 'ticket_id' | 'state' | 'reason' | 'last_failure' | 'attempt' | 'not_before' | 'created_at' | 'settled_at'
>;
export const SYSTEM_MAIL_COLUMNS = [
  'id',
  'kind',
  'user_id',
  'contact_id',
  'ticket_id',
  'state',
  'reason',
  'last_failure',
  'attempt',
  'not_before',
  'created_at',
  'settled_at',
] as const;
export type NotificationRow = Selectable<NotificationTable>;
/** Without the sealed secrets. */
export type WebhookRow = Pick<Selectable<WebhookTable>, (typeof WEBHOOK_COLUMNS)[number]>;
export const WEBHOOK_COLUMNS = ['id', 'name', 'url', 'previous_until', 'created_at'] as const;
export type WebhookDeliveryRow = Selectable<WebhookDeliveryTable>;
export type TicketImportRow = Selectable<TicketImportTable>;
export type { SubmittedField } from '#db/schema.ts';
export type SubmissionRow = Selectable<FormSubmissionTable>;
export type { ReplyChannelRow } from '#commands/reply-channels.ts';
export type DeliveryRow = Pick<
  Selectable<RawDeliveryTable>,
  'id' | 'channel_id' | 'method' | 'received_at' | 'state' | 'tries' | 'failure_code' | 'failure_reason' | 'settled_at'
>;

/** Without the sealed secrets, and without the cursor, which is the plugin's. */
export const CHANNEL_COLUMNS = [
  'id',
  'key',
  'plugin',
  'name',
  'address',
  'place_id',
  'place',
  'settings',
  'enabled',
  'health',
  'health_reason',
  'health_since',
  'create_tickets',
  'retry_when_available',
  'default_pipeline_id',
  'default_status_id',
  'default_priority',
  'default_properties',
  'reopening',
  'reopen_days',
  'unassigned_notice_user_ids',
  'routing_rule_id',
  'intake_until',
  'send_after',
  'connected_at',
  'disconnected_at',
  'version',
  'on_contact_reply_status_id',
  'on_agent_reply_status_id',
  'on_close_message',
  'checked_at',
] as const;

export const ATTACHMENT_COLUMNS = ['id', 'message_id', 'position', 'file_name', 'type', 'bytes', 'content_id', 'state', 'reason'] as const;

/** Without the body and the headers, which hold what people wrote. */
export const DELIVERY_COLUMNS = ['id', 'channel_id', 'method', 'received_at', 'state', 'tries', 'failure_code', 'failure_reason', 'settled_at'] as const;

/** Without the hash. */
export const TOKEN_COLUMNS = ['id', 'user_id', 'name', 'created_at', 'revoked_at', 'scopes', 'expires_at', 'last_used_at', 'created_by', 'revoked_by'] as const;

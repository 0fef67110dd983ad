import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { Condition } from '#domain/conditions.ts';
import type { StoredExplanation } from '#domain/routing-words.ts';
import type { CancelReason, GoalKind, GoalState, Rest } from '#domain/sla.ts';
import type { PolicyAction, PolicyTarget, StoredCalendar } from '#domain/sla-policy.ts';
import type { WebhookPayload } from '#domain/webhook.ts';

/**
 * The rows as TypeScript sees them, written by hand beside `migrations/`; a test holds them against the database's own catalogue.
 * Ids are UUID v7 (text here), moments are `Date`, `bigint` columns are numbers.
 */
export interface Database {
  account: AccountTable;
  team: TeamTable;
  app_user: UserTable;
  team_member: TeamMemberTable;
  api_token: ApiTokenTable;
  place: PlaceTable;
  access_entry: AccessEntryTable;
  place_member: { place_id: string; user_id: string };
  place_assignable: { place_id: string; user_id: string };
  pipeline: PipelineTable;
  ticket_status: TicketStatusTable;
  routing_rule: RoutingRuleTable;
  routing_rule_target: RoutingRuleTargetTable;
  routing_cycle: { rule_id: string; cycle: number; turn: number };
  routing_turn: { rule_id: string; user_id: string; cycle: number; turn: number };
  skill: SkillTable;
  user_skill: { user_id: string; skill_id: string };
  skill_rule: SkillRuleTable;
  skill_rule_skill: { skill_rule_id: string; skill_id: string };
  channel: ChannelTable;
  mailbox: MailboxTable;
  contact: ContactTable;
  contact_identity: ContactIdentityTable;
  conversation: ConversationTable;
  ticket: TicketTable;
  assignment: AssignmentView;
  participant: ParticipantTable;
  thread_key: ThreadKeyTable;
  message: MessageTable;
  outbound: OutboundTable;
  raw_delivery: RawDeliveryTable;
  seen_event: SeenEventTable;
  routing_decision: RoutingDecisionTable;
  event: EventTable;
  notification: NotificationTable;
  notification_off: NotificationOffTable;
  idempotency_key: IdempotencyKeyTable;
  blob: { sha256: Buffer; bytes: number; created_at: Defaulted<Date> };
  blob_piece: { sha256: Buffer; place: number; data: Buffer };
  upload: UploadTable;
  attachment: AttachmentTable;
  filtered_message: FilteredMessageTable;
  sender_rule: SenderRuleTable;
  notification_mail_off: { user_id: string; kind: string };
  system_sender: SystemSenderTable;
  system_mail: SystemMailTable;
  form_submission: FormSubmissionTable;
  ticket_import: TicketImportTable;
  ticket_import_problem: { import_id: string; line: number; problems: Json<object[]> };
  sign_in_identity: SignInIdentityTable;
  channel_connecting: ChannelConnectingTable;
  chatflow: ChatflowTable;
  chatflow_run: ChatflowRunTable;
  visitor_presence: VisitorPresenceTable;
  working_period: { user_id: string; weekday: number; from_minute: number; to_minute: number };
  out_of_office: OutOfOfficeTable;
  routing_retry_cause: { id: Generated<number>; user_id: string | null; channel_id: string | null; at: Defaulted<Date> };
  place_activity: { place_id: string; user_id: string; at: Defaulted<Date> };
  business_calendar: BusinessCalendarTable;
  calendar_period: { calendar_id: string; weekday: number; from_minute: number; to_minute: number };
  calendar_holiday: { calendar_id: string; date: ColumnType<string>; name: string | null };
  sla_policy: SlaPolicyTable;
  sla_terms: SlaTermsTable;
  sla_ticket: SlaTicketTable;
  sla_goal: SlaGoalTable;
  sla_reevaluation: SlaReevaluationTable;
  webhook: WebhookTable;
  webhook_delivery: WebhookDeliveryTable;
  channel_migration: ChannelMigrationTable;
  channel_migration_conversation: ChannelMigrationConversationTable;
  channel_migration_remainder: ChannelMigrationRemainderTable;
  channel_migration_owner: { migration_id: string; user_id: string; moved: number; assigned: number; unassigned: number };
  channel_migration_run: ChannelMigrationRunTable;
  channel_migration_sla: ChannelMigrationSlaTable;
  rate_limit: { key: string; points: Defaulted<number>; expire: number | null };
}

export type Role = 'AGENT' | 'ADMIN' | 'SUPER_ADMIN';
export type Seat = 'NONE' | 'PAID';
export type Availability = 'AVAILABLE' | 'AWAY';
export type PlaceKind = 'INBOX' | 'HELP_DESK';
export type StatusCategory = 'OPEN' | 'CLOSED';
export type Priority = 'LOW' | 'MEDIUM' | 'HIGH' | 'URGENT';
export type RuleKind = 'NOBODY' | 'SPECIFIC' | 'CONTACT_OWNER';
export type RuleMethod = 'RANDOM' | 'LEAST_BUSY' | 'ROUND_ROBIN';
/** What becomes of a ticket that asks for skills when nobody who has them is free. */
export type SkillOtherwise = 'WAIT' | 'FALL_BACK';
export type Health = 'CONNECTED' | 'DEGRADED' | 'DISCONNECTED';
export type Reopening = 'REOPEN' | 'NEW_AFTER' | 'KEEP_CLOSED';
export type Direction = 'INBOUND' | 'OUTBOUND' | 'COMMENT';
export type DeliveryState = 'QUEUED' | 'SENDING' | 'SENT' | 'DELIVERED' | 'READ' | 'FAILED' | 'MAYBE_SENT';
export type RawState = 'WAITING' | 'DONE' | 'SET_ASIDE';
export type Actor = 'USER' | 'CONTACT' | 'ROUTING' | 'CHANNEL' | 'SYSTEM';
export type NotificationKind =
  | 'TICKET_ASSIGNED'
  | 'TICKET_UNASSIGNED'
  | 'MESSAGE_IN_CLOSED'
  | 'CHANNEL_HEALTH'
  | 'SLA_DUE_SOON'
  | 'SLA_OVERDUE'
  | 'MIGRATION_WITHDRAWN';
export type AttachmentState = 'WAITING' | 'STORED' | 'REFUSED' | 'FAILED';
export type FilteredKind = 'FILTERED' | 'SPAM';
export type SenderList = 'ALLOW' | 'DENY';
export type SystemMailState = 'QUEUED' | 'SENDING' | 'SENT' | 'FAILED' | 'MAYBE_SENT' | 'UNSENT';
/** What a token may do besides reading; `*`: all its user may. */
export type TokenScope = '*' | 'read' | 'work' | 'configure' | 'people';
export type ChatflowKind = 'LIVE' | 'BOT';
export type ChatflowState = 'RUNNING' | 'WAITING' | 'HANDED_OFF' | 'TAKEN_OVER' | 'ENDED' | 'ABANDONED';
/** Why open tickets are brought up to what policies say now. */
export type ReevaluationWhy = 'POLICY_SAVED' | 'POLICY_DELETED' | 'POLICIES_ORDERED' | 'CALENDAR_SAVED' | 'BY_HAND';
export type MigrationState = 'SCHEDULED' | 'WITHDRAWN' | 'RUNNING' | 'COMPLETED' | 'COMPLETED_WITH_REMAINDER';
/** Which of a channel's conversations go along. */
export type MigrationHistory = 'ALL' | 'NONE';
/** Why a move that was set for later did not start. */
export type WithdrawnWhy = 'BY_HAND' | 'NOT_ELIGIBLE' | 'NOT_SUPER_ADMIN' | 'STARTED_ANOTHER';
/** What a move did with a conversation, or saw of it. */
export type MovedHow = 'WALKED' | 'PULLED_FORWARD' | 'JOINED' | 'FOLLOWED' | 'ARRIVED' | 'GONE';
export type WebhookDeliveryState = 'QUEUED' | 'SENDING' | 'SENT' | 'FAILED';
export type ImportFormat = 'NDJSON' | 'CSV';
export type ImportState = 'RUNNING' | 'DONE' | 'FAILED';

/** Set by the database unless given. */
type Defaulted<T> = Generated<T>;
/** jsonb: read parsed, written as JSON text. */
type Json<T extends object> = JSONColumnType<T, string, string>;
type DefaultedJson<T extends object> = ColumnType<T, string | undefined, string>;

export interface StoredIdentity {
  readonly kind: string;
  readonly value: string;
  readonly name?: string;
}

/** What is known of a sender, as the contract's `Authentication` has it. */
export interface StoredAuthentication {
  readonly verdict: 'pass' | 'fail' | 'unknown';
  readonly by: string;
  readonly checks: Readonly<Record<string, string>>;
}

export interface AccountTable {
  id: Defaulted<boolean>;
  name: string;
  created_at: Defaulted<Date>;
  recently_assigned_first: Defaulted<boolean>;
}
export interface TeamTable {
  id: Defaulted<string>;
  name: string;
  created_at: Defaulted<Date>;
}
export interface UserTable {
  id: Defaulted<string>;
  email: string;
  name: string;
  role: Defaulted<Role>;
  seat: Defaulted<Seat>;
  availability: Defaulted<Availability>;
  time_zone: Defaulted<string>;
  last_active_at: Date | null;
  deactivated_at: Date | null;
  created_at: Defaulted<Date>;
  last_assigned_at: Date | null;
  availability_until: Date | null;
  availability_set_at: Date | null;
  capacity_total: number | null;
  capacity_voice: number | null;
  capacity_messaging: number | null;
  capacity_written: number | null;
}
export interface OutOfOfficeTable {
  id: Defaulted<string>;
  user_id: string;
  from_at: Date;
  to_at: Date;
}
export interface TeamMemberTable {
  team_id: string;
  user_id: string;
  kind: 'PRIMARY' | 'EXTRA';
}
export interface ApiTokenTable {
  id: Defaulted<string>;
  user_id: string;
  name: string;
  token_hash: Buffer;
  created_at: Defaulted<Date>;
  revoked_at: Date | null;
  scopes: Defaulted<TokenScope[]>;
  expires_at: Date | null;
  last_used_at: Date | null;
  created_by: string | null;
  revoked_by: string | null;
}
export interface SignInIdentityTable {
  issuer: string;
  subject: string;
  user_id: string;
  created_at: Defaulted<Date>;
}
export interface PlaceTable {
  id: Defaulted<string>;
  kind: PlaceKind;
  name: string;
  created_at: Defaulted<Date>;
}
export interface AccessEntryTable {
  place_id: string;
  user_id: string | null;
  team_id: string | null;
  everyone: Defaulted<boolean>;
}
export interface PipelineTable {
  id: Defaulted<string>;
  name: string;
  position: number;
}
export interface TicketStatusTable {
  id: Defaulted<string>;
  pipeline_id: string;
  name: string;
  category: StatusCategory;
  position: number;
}
export interface RoutingRuleTable {
  id: Defaulted<string>;
  kind: RuleKind;
  method: RuleMethod | null;
  available_only: Defaulted<boolean>;
  default_user_id: string | null;
  cycle_id: string | null;
}
export interface SkillTable {
  id: Defaulted<string>;
  category: string;
  name: string;
  created_at: Defaulted<Date>;
  deleted_at: Date | null;
}
export interface SkillRuleTable {
  id: Defaulted<string>;
  rule_id: string;
  position: number;
  conditions: Json<readonly Condition[]>;
  otherwise: SkillOtherwise;
}
export interface RoutingRuleTargetTable {
  rule_id: string;
  user_id: string | null;
  team_id: string | null;
}
export interface ChannelTable {
  id: Defaulted<string>;
  key: string;
  plugin: string;
  name: string;
  address: string;
  place_id: string;
  place: PlaceKind;
  settings: Json<Record<string, unknown>>;
  secrets: Buffer | null;
  enabled: Defaulted<boolean>;
  health: Defaulted<Health>;
  health_reason: string | null;
  health_since: Defaulted<Date>;
  create_tickets: Defaulted<boolean>;
  default_pipeline_id: string;
  default_status_id: string;
  default_priority: Defaulted<Priority>;
  default_properties: DefaultedJson<Record<string, unknown>>;
  reopening: Defaulted<Reopening>;
  reopen_days: number | null;
  unassigned_notice_user_ids: Defaulted<string[]>;
  routing_rule_id: string;
  cursor: string | null;
  intake_until: Defaulted<Date>;
  send_after: Defaulted<Date>;
  connected_at: Defaulted<Date>;
  disconnected_at: Date | null;
  version: Defaulted<number>;
  on_contact_reply_status_id: string | null;
  on_agent_reply_status_id: string | null;
  on_close_message: string | null;
  checked_at: Defaulted<Date>;
  check_failures: Defaulted<number>;
  state: Buffer | null;
  state_version: Defaulted<number>;
  renewed_at: Date | null;
  catch_up_since: Date | null;
  catch_up_gap: Defaulted<boolean>;
  telling: string | null;
  telling_until: Date | null;
  outage: Defaulted<boolean>;
  catch_up_asked: Defaulted<number>;
  catch_up_fetched: Defaulted<number>;
  catch_up_after: Defaulted<Date>;
  catch_up_until: Date | null;
  catch_up_tries: Defaulted<number>;
  catch_up_held_by: string | null;
  catch_up_recovered: Defaulted<number>;
  renew_asked_at: Date | null;
  renew_tried_at: Date | null;
  renew_failures: Defaulted<number>;
  retry_when_available: Defaulted<boolean>;
  paced_at: Defaulted<Date>;
  pace_line_at: Defaulted<Date>;
}
/** A channel whose provider is being asked to connect it. */
export interface ChannelConnectingTable {
  id: string;
  key: string;
  plugin: string;
  name: string;
  address: string;
  place_id: string;
  settings: Json<Record<string, unknown>>;
  secrets: Buffer | null;
  state: Buffer | null;
  state_version: Defaulted<number>;
  until: Date;
  abandoned: Defaulted<boolean>;
}
export interface MailboxTable {
  address: string;
  channel_id: string | null;
  user_id: string | null;
}
export interface ContactTable {
  id: Defaulted<string>;
  name: string | null;
  owner_id: string | null;
  created_at: Defaulted<Date>;
  erased_at: Date | null;
}
export interface ContactIdentityTable {
  kind: string;
  value: string;
  contact_id: string;
  created_at: Defaulted<Date>;
}
export interface ConversationTable {
  id: Defaulted<string>;
  channel_id: string;
  origin_channel_id: string;
  place_id: string;
  place: PlaceKind;
  contact_id: string | null;
  status: Defaulted<StatusCategory>;
  subject: string | null;
  ticket_id: string | null;
  owner_id: string | null;
  team_id: string | null;
  route_pending_since: Date | null;
  started_at: Defaulted<Date>;
  closed_at: Date | null;
  last_message_at: Defaulted<Date>;
  previous_conversation_id: string | null;
  version: Defaulted<number>;
  routing_rule_id: string | null;
  nobody_free_since: Date | null;
  nobody_free_pool: string | null;
}
export interface TicketTable {
  id: Defaulted<string>;
  number: Defaulted<number>;
  conversation_id: string | null;
  name: string;
  description: string | null;
  pipeline_id: string;
  status_id: string;
  priority: Priority;
  owner_id: string | null;
  team_id: string | null;
  source: string;
  properties: DefaultedJson<Record<string, unknown>>;
  linked_ticket_id: string | null;
  route_pending_since: Date | null;
  created_at: Defaulted<Date>;
  closed_at: Date | null;
  version: Defaulted<number>;
  external_id: string | null;
  import_id: string | null;
  nobody_free_since: Date | null;
  nobody_free_pool: string | null;
}
export interface AssignmentView {
  conversation_id: string | null;
  ticket_id: string | null;
  owner_id: string | null;
  team_id: string | null;
  open: boolean;
  place_id: string | null;
}
export interface ParticipantTable {
  conversation_id: string;
  kind: string;
  value: string;
  given_at: Date | null;
}
export interface ThreadKeyTable {
  channel_id: string;
  key: string;
  conversation_id: string;
}
export interface MessageTable {
  id: Defaulted<string>;
  conversation_id: string;
  channel_id: string | null;
  direction: Direction;
  provider_message_id: string | null;
  author_user_id: string | null;
  contact_id: string | null;
  sender: ColumnType<StoredIdentity | null, string | null | undefined, string | null>;
  automatic: Defaulted<boolean>;
  subject: string | null;
  text: string;
  html: string | null;
  participants: DefaultedJson<StoredIdentity[]>;
  attachments: DefaultedJson<object[]>;
  occurred_at: Date;
  received_at: Defaulted<Date>;
  counted_at: Date | null;
  arrival: Defaulted<number>;
  raw_delivery_id: number | null;
  html_safe: string | null;
  quoted_text: string | null;
  quoted_html_safe: string | null;
  authentication: ColumnType<StoredAuthentication | null, string | null | undefined, string | null>;
  quick_replies: ColumnType<StoredQuickReply[] | null, string | null | undefined, string | null>;
  choice: string | null;
}
export interface StoredQuickReply {
  readonly label: string;
  readonly choice: string;
}
export interface UploadTable {
  id: Defaulted<string>;
  user_id: string;
  sha256: Buffer;
  file_name: string;
  type: string;
  bytes: number;
  created_at: Defaulted<Date>;
}
export interface AttachmentTable {
  id: Defaulted<string>;
  message_id: string;
  position: number;
  file_name: string;
  type: string;
  bytes: number | null;
  content_id: string | null;
  ref: string | null;
  state: AttachmentState;
  reason: string | null;
  sha256: Buffer | null;
  tries: Defaulted<number>;
  not_before: Defaulted<Date>;
  channel_id: string | null;
  fetching_until: Date | null;
}
export interface FilteredMessageTable {
  id: Defaulted<string>;
  channel_id: string;
  raw_delivery_id: number | null;
  provider_message_id: string;
  kind: FilteredKind;
  reason: string;
  sender: ColumnType<StoredIdentity | null, string | null | undefined, string | null>;
  subject: string | null;
  text: string;
  received_at: Date;
  released_at: Date | null;
}
export interface SenderRuleTable {
  id: Defaulted<string>;
  list: SenderList;
  pattern: string;
  created_at: Defaulted<Date>;
}
export interface SystemSenderTable {
  id: Defaulted<boolean>;
  channel_id: string | null;
  settings: ColumnType<Record<string, unknown> | null, string | null | undefined, string | null>;
  secrets: Buffer | null;
  changed_at: Defaulted<Date>;
  send_after: Defaulted<Date>;
}
export interface SystemMailTable {
  id: Defaulted<string>;
  kind: string;
  user_id: string | null;
  contact_id: string | null;
  recipient: string;
  subject: string;
  text: string;
  html: string | null;
  notification_id: string | null;
  conversation_id: string | null;
  ticket_id: string | null;
  state: Defaulted<SystemMailState>;
  reason: string | null;
  attempt: Defaulted<number>;
  not_before: Defaulted<Date>;
  sending_since: Date | null;
  created_at: Defaulted<Date>;
  settled_at: Date | null;
  queued_at: Defaulted<Date>;
  last_failure: string | null;
  channel_id: string | null;
}
/** One answer, with the label it had then. */
export interface SubmittedField {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  readonly hidden: boolean;
}
export interface FormSubmissionTable {
  message_id: string;
  channel_id: string;
  contact_id: string | null;
  fields: Json<SubmittedField[]>;
  submitted_at: Date;
}
export interface TicketImportTable {
  id: Defaulted<string>;
  user_id: string;
  name: string;
  format: ImportFormat;
  /** Null once it is over: the file is kept no longer. */
  sha256: Buffer | null;
  pipeline_id: string;
  state: Defaulted<ImportState>;
  reason: string | null;
  bytes: number;
  position: Defaulted<number>;
  line: Defaulted<number>;
  header: ColumnType<string[] | null, string | null | undefined, string | null>;
  created: Defaulted<number>;
  known: Defaulted<number>;
  bad: Defaulted<number>;
  started_at: Defaulted<Date>;
  progressed_at: Defaulted<Date>;
  ended_at: Date | null;
}
export interface OutboundTable {
  message_id: string;
  conversation_id: string;
  channel_id: string;
  arrival: number;
  kind: 'REPLY' | 'START';
  sender: 'PERSON' | 'AUTOMATION';
  recipient: Json<StoredIdentity>;
  state: Defaulted<DeliveryState>;
  attempt: Defaulted<number>;
  queued_at: Defaulted<Date>;
  sending_since: Date | null;
  not_before: Defaulted<Date>;
  failure_code: string | null;
  failure_reason: string | null;
  can_retry: boolean | null;
  updated_at: Defaulted<Date>;
  slot_at: Date | null;
  claimed_at: Date | null;
  carried_by: string | null;
  template: ColumnType<StoredTemplate | null, string | null | undefined, string | null>;
}
/** Which of the provider's approved texts, and what stands in it. */
export interface StoredTemplate {
  readonly name: string;
  readonly language: string;
  readonly parameters: readonly string[];
}
export interface RawDeliveryTable {
  id: Generated<number>;
  channel_id: string;
  method: string;
  url: string;
  headers: Json<Record<string, string>>;
  body: Buffer;
  received_at: Defaulted<Date>;
  state: Defaulted<RawState>;
  tries: Defaulted<number>;
  failure_code: string | null;
  failure_reason: string | null;
  settled_at: Date | null;
  released: Defaulted<boolean>;
  taken_at: Date | null;
  recovered: Defaulted<boolean>;
}
export interface ChatflowTable {
  id: Defaulted<string>;
  channel_id: string;
  name: string;
  kind: ChatflowKind;
  entry_point: string | null;
  enabled: Defaulted<boolean>;
  definition: Json<object>;
  version: Defaulted<number>;
  created_at: Defaulted<Date>;
  changed_at: Defaulted<Date>;
}
export interface ChatflowRunTable {
  conversation_id: string;
  chatflow_id: string;
  definition: Json<object>;
  state: Defaulted<ChatflowState>;
  step: string | null;
  answers: DefaultedJson<Record<string, unknown>>;
  tries: Defaulted<number>;
  seen_arrival: Defaulted<number>;
  wait_until: Date | null;
  version: Defaulted<number>;
  started_at: Defaulted<Date>;
  changed_at: Defaulted<Date>;
}
export interface VisitorPresenceTable {
  channel_id: string;
  kind: string;
  value: string;
  here: Defaulted<boolean>;
  seen_at: Defaulted<Date>;
  unread_due: Defaulted<boolean>;
}
export interface SeenEventTable {
  channel_id: string;
  key_hash: Buffer;
}
export interface RoutingDecisionTable {
  id: Defaulted<string>;
  conversation_id: string | null;
  ticket_id: string | null;
  rule_id: string | null;
  chosen_user_id: string | null;
  explanation: Json<StoredExplanation>;
  decided_at: Defaulted<Date>;
}
export interface EventTable {
  id: Generated<number>;
  xid: Generated<string>;
  kind: string;
  at: Defaulted<Date>;
  actor: Actor;
  actor_user_id: string | null;
  channel_id: string | null;
  conversation_id: string | null;
  ticket_id: string | null;
  message_id: string | null;
  user_id: string | null;
  place_id: string | null;
  why: string | null;
  data: DefaultedJson<Record<string, unknown>>;
}
export interface NotificationTable {
  id: Defaulted<string>;
  user_id: string;
  kind: NotificationKind;
  ticket_id: string | null;
  conversation_id: string | null;
  created_at: Defaulted<Date>;
  read_at: Date | null;
  channel_id: string | null;
  migration_id: string | null;
  count: number | null;
}
export interface NotificationOffTable {
  user_id: string;
  kind: string;
}
export interface IdempotencyKeyTable {
  caller: string;
  key: string;
  operation: string;
  arguments_hash: Buffer;
  answer: ColumnType<object | null, string | null | undefined, string | null>;
  created_at: Defaulted<Date>;
}
export interface BusinessCalendarTable {
  id: Defaulted<string>;
  name: string;
  time_zone: string;
  version: Defaulted<number>;
  created_at: Defaulted<Date>;
  deleted_at: Date | null;
}
export interface SlaPolicyTable {
  id: Defaulted<string>;
  number: Generated<number>;
  name: string;
  position: number;
  calendar_id: string | null;
  terms_id: string;
  version: Defaulted<number>;
  created_at: Defaulted<Date>;
  deleted_at: Date | null;
}
export interface SlaTermsTable {
  id: Defaulted<string>;
  policy_id: string;
  conditions: Json<readonly Condition[]>;
  targets: Json<readonly PolicyTarget[]>;
  pause_status_ids: Defaulted<string[]>;
  calendar: Json<StoredCalendar>;
  actions: DefaultedJson<readonly PolicyAction[]>;
  created_at: Defaulted<Date>;
}
export interface SlaTicketTable {
  ticket_id: string;
  terms_id: string | null;
  paused: Defaulted<boolean>;
  closed: Defaulted<boolean>;
  replied: Defaulted<boolean>;
  first_owed_at: Date | null;
  unanswered_since: Date | null;
  rests: DefaultedJson<readonly Rest[]>;
  marks: Json<Readonly<Record<string, string>>>;
  next_at: Date | null;
  wake_owed: Defaulted<boolean>;
  version: Defaulted<number>;
}
export interface SlaGoalTable {
  ticket_id: string;
  kind: GoalKind;
  round: number;
  policy_id: string;
  duration_ms: number;
  due_soon_ms: number;
  state: GoalState;
  started_at: Date;
  used_ms: number;
  counting_since: Date | null;
  due_at: Date | null;
  due_soon_at: Date | null;
  overdue_at: Date | null;
  ended_at: Date | null;
  reason: CancelReason | null;
  due_soon_fired_at: Date | null;
  overdue_fired_at: Date | null;
  owner_id: string | null;
  channel_id: string | null;
}
export interface SlaReevaluationTable {
  id: Defaulted<string>;
  user_id: string | null;
  why: ReevaluationWhy;
  state: Defaulted<'RUNNING' | 'DONE'>;
  total: number;
  looked_at: Defaulted<number>;
  changed: Defaulted<number>;
  position: Defaulted<number>;
  until: number;
  started_at: Defaulted<Date>;
  progressed_at: Defaulted<Date>;
  ended_at: Date | null;
}
export interface WebhookTable {
  id: Defaulted<string>;
  name: string;
  url: string;
  secret: Buffer;
  previous_secret: Buffer | null;
  previous_until: Date | null;
  created_at: Defaulted<Date>;
  deleted_at: Date | null;
}
export interface WebhookDeliveryTable {
  id: Defaulted<string>;
  webhook_id: string;
  ticket_id: string | null;
  payload: Json<WebhookPayload>;
  state: Defaulted<WebhookDeliveryState>;
  attempt: Defaulted<number>;
  attempts_before: Defaulted<number>;
  not_before: Defaulted<Date>;
  tried_at: Date | null;
  failure: string | null;
  created_at: Defaulted<Date>;
  settled_at: Date | null;
}
export interface ChannelMigrationTable {
  id: Defaulted<string>;
  channel_id: string;
  state: MigrationState;
  history: MigrationHistory;
  pipeline_id: string | null;
  open_status_id: string | null;
  closed_status_id: string | null;
  muted: Defaulted<boolean>;
  asked_by: string;
  asked_at: Defaulted<Date>;
  start_at: Defaulted<Date>;
  withdrawn_at: Date | null;
  withdrawn_why: WithdrawnWhy | null;
  started_at: Date | null;
  ended_at: Date | null;
  phase: Defaulted<'WALKING' | 'SWEEPING' | 'ENDED'>;
  position: Defaulted<string>;
  batch_size: Defaulted<number>;
  batches: Defaulted<number>;
  sweeps: Defaulted<number>;
  found: Defaulted<number>;
  walked: Defaulted<number>;
  walked_new: Defaulted<number>;
  walked_nobodys: Defaulted<number>;
  walked_unassigned: Defaulted<number>;
  progressed_at: Date | null;
  waited_ms: Defaulted<number>;
  live_before_ms: number | null;
}
export interface ChannelMigrationConversationTable {
  migration_id: string;
  conversation_id: string;
  how: MovedHow;
  new_ticket: boolean;
  owner_id: string | null;
  unassigned: boolean;
  from_place_id: string | null;
}
export interface ChannelMigrationRemainderTable {
  migration_id: string;
  conversation_id: string;
  reason: string;
  joined: Defaulted<boolean>;
  tries: Defaulted<number>;
  tried_at: Defaulted<Date>;
  seen: string | null;
}
export interface ChannelMigrationRunTable {
  run_id: string;
  migration_id: string;
  how: 'FIRST' | 'CONTINUED' | 'RESTARTED';
  started_at: Defaulted<Date>;
  cancel_asked_at: Date | null;
}
export interface ChannelMigrationSlaTable {
  migration_id: string;
  state: Defaulted<'RUNNING' | 'DONE'>;
  position: Defaulted<string>;
  looked_at: Defaulted<number>;
  total: number;
  started_at: Defaulted<Date>;
  progressed_at: Defaulted<Date>;
  ended_at: Date | null;
}

import type { InterfaceRef, ObjectRef } from '@pothos/core';
import { builder } from '../builder.ts';
import type {
  AttachmentRow,
  ApiTokenRow,
  CalendarRow,
  ChannelRow,
  ChatflowRow,
  ContactRow,
  ConversationRow,
  DecisionRow,
  DeliveryRow,
  EventRow,
  FilteredRow,
  MessageRow,
  MigrationRow,
  NotificationRow,
  OutOfOfficeRow,
  PipelineRow,
  PlaceRow,
  ReevaluationRow,
  RemainderRow,
  RuleRow,
  SenderRuleRow,
  SkillRow,
  SlaPolicyRow,
  StatusRow,
  SubmissionRow,
  SystemMailRow,
  TeamRow,
  TicketImportRow,
  TicketRow,
  UserRow,
  WebhookDeliveryRow,
  WebhookRow,
} from '../rows.ts';

/** The nouns, named once, so that the files which describe them need not import one another. */
export const UserRef = builder.objectRef<UserRow>('User');
export const OutOfOfficeRef = builder.objectRef<OutOfOfficeRow>('OutOfOffice');
export const ApiTokenRef = builder.objectRef<ApiTokenRow>('ApiToken');
export const TeamRef = builder.objectRef<TeamRow>('Team');
export const PlaceRef = builder.interfaceRef<PlaceRow>('Place');
export const HelpDeskRef = builder.objectRef<PlaceRow>('HelpDesk');
export const InboxRef = builder.objectRef<PlaceRow>('Inbox');
export const PipelineRef = builder.objectRef<PipelineRow>('Pipeline');
export const StatusRef = builder.objectRef<StatusRow>('TicketStatus');
export const ChannelRef = builder.objectRef<ChannelRow>('Channel');
export const ChatflowRef = builder.objectRef<ChatflowRow>('Chatflow');
export const ContactRef = builder.objectRef<ContactRow>('Contact');
export const ConversationRef = builder.objectRef<ConversationRow>('Conversation');
export const MessageRef = builder.objectRef<MessageRow>('Message');
export const AttachmentRef = builder.objectRef<AttachmentRow>('Attachment');
export const TicketRef = builder.objectRef<TicketRow>('Ticket');
export const TicketImportRef = builder.objectRef<TicketImportRow>('TicketImport');
export const SlaPolicyRef = builder.objectRef<SlaPolicyRow>('SlaPolicy');
export const CalendarRef = builder.objectRef<CalendarRow>('BusinessCalendar');
export const ReevaluationRef = builder.objectRef<ReevaluationRow>('SlaReevaluation');
export const MigrationRef = builder.objectRef<MigrationRow>('ChannelMigration');
export const RemainderRef = builder.objectRef<RemainderRow>('MigrationRemainder');
export const RuleRef = builder.objectRef<RuleRow>('RoutingRule');
export const DecisionRef = builder.objectRef<DecisionRow>('RoutingDecision');
export const EventRef = builder.objectRef<EventRow>('Event');
export const SystemMailRef = builder.objectRef<SystemMailRow>('SystemMail');
export const NotificationRef = builder.objectRef<NotificationRow>('Notification');
export const FilteredMessageRef = builder.objectRef<FilteredRow>('FilteredMessage');
export const SenderRuleRef = builder.objectRef<SenderRuleRow>('SenderRule');
export const SkillRef = builder.objectRef<SkillRow>('Skill');
export const SubmissionRef = builder.objectRef<SubmissionRow>('FormSubmission');
export const DeliveryRef = builder.objectRef<DeliveryRow>('Delivery');
export const WebhookRef = builder.objectRef<WebhookRow>('Webhook');
export const WebhookDeliveryRef = builder.objectRef<WebhookDeliveryRow>('WebhookDelivery');

type Types = typeof builder.$inferSchemaTypes;

/** One connection type for each noun, wherever it is listed. */
function connectionOf<Row>(type: ObjectRef<Types, Row> | InterfaceRef<Types, Row>, name: string, plural: string) {
  return builder.connectionObject(
    { type, name: `${name}Connection`, description: `A page of ${plural}.` },
    { name: `${name}Edge`, description: `One of a page of ${plural}, with its cursor.` },
  );
}

export const UserConnection = connectionOf(UserRef, 'User', 'users');
export const ApiTokenConnection = connectionOf(ApiTokenRef, 'ApiToken', 'API tokens');
export const TeamConnection = connectionOf(TeamRef, 'Team', 'teams');
export const PlaceConnection = connectionOf(PlaceRef, 'Place', 'places');
export const PipelineConnection = connectionOf(PipelineRef, 'Pipeline', 'pipelines');
export const ChannelConnection = connectionOf(ChannelRef, 'Channel', 'channels');
export const ConversationConnection = connectionOf(ConversationRef, 'Conversation', 'conversations');
export const MessageConnection = connectionOf(MessageRef, 'Message', 'messages');
export const TicketConnection = connectionOf(TicketRef, 'Ticket', 'tickets');
export const TicketImportConnection = connectionOf(TicketImportRef, 'TicketImport', 'imports of tickets');
export const DecisionConnection = connectionOf(DecisionRef, 'RoutingDecision', 'routing decisions');
export const EventConnection = connectionOf(EventRef, 'Event', 'events');
export const SystemMailConnection = connectionOf(SystemMailRef, 'SystemMail', 'mails of the account’s own');
export const NotificationConnection = connectionOf(NotificationRef, 'Notification', 'notifications');
export const FilteredMessageConnection = connectionOf(FilteredMessageRef, 'FilteredMessage', 'filtered messages');
export const SenderRuleConnection = connectionOf(SenderRuleRef, 'SenderRule', 'rules about senders');
export const SkillConnection = connectionOf(SkillRef, 'Skill', 'skills');
export const CalendarConnection = connectionOf(CalendarRef, 'BusinessCalendar', 'calendars');
export const SlaPolicyConnection = connectionOf(SlaPolicyRef, 'SlaPolicy', 'SLA policies');
export const ReevaluationConnection = connectionOf(ReevaluationRef, 'SlaReevaluation', 're-evaluations');
export const MigrationConnection = connectionOf(MigrationRef, 'ChannelMigration', 'moves of channels');
export const RemainderConnection = connectionOf(RemainderRef, 'MigrationRemainder', 'conversations that a move left over');
export const SubmissionConnection = connectionOf(SubmissionRef, 'FormSubmission', 'submissions');
export const DeliveryConnection = connectionOf(DeliveryRef, 'Delivery', 'deliveries');
export const WebhookConnection = connectionOf(WebhookRef, 'Webhook', 'webhooks');
export const WebhookDeliveryConnection = connectionOf(WebhookDeliveryRef, 'WebhookDelivery', 'calls of webhooks');

import type { EnumRef, EnumValueConfigMap } from '@pothos/core';
import type { EVENT_KINDS } from '#commands/unit.ts';
import { builder } from '../builder.ts';

type Types = typeof builder.$inferSchemaTypes;

/** A closed set of words, each described. */
function words<const Values extends Record<string, string>>(name: string, description: string, values: Values): EnumRef<Types, keyof Values & string> {
  const entries: EnumValueConfigMap<Types> = Object.fromEntries(Object.entries(values).map(([key, text]) => [key, { description: text }]));
  // The builder infers words from literals only; these are literals one call further out.
  return builder.enumType<string, EnumValueConfigMap<Types>>(name, { description, values: entries }) as EnumRef<Types, keyof Values & string>;
}

export const RoleEnum = words('Role', 'What a user may do; each includes the one before.', {
  AGENT: 'Works in the places they have access to.',
  ADMIN: 'Also channels, routing rules, pipelines and places.',
  SUPER_ADMIN: 'Also users, teams and tokens.',
});
export const SeatEnum = words('Seat', 'Whether a user can be assigned automatically.', {
  NONE: 'No paid seat: by hand only.',
  PAID: 'A paid seat: automatic assignment may choose them.',
});
export const AvailabilityEnum = words('Availability', 'Whether a user takes new work now.', {
  AVAILABLE: 'Takes new work.',
  AWAY: 'Takes none; what they own stays theirs.',
});
/** In the order of `working_period.weekday`, which begins with 1. */
export const WEEKDAYS = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] as const;
export const WeekdayEnum = words('Weekday', 'A day of the week.', {
  MONDAY: 'The first working day of most.',
  TUESDAY: 'The second.',
  WEDNESDAY: 'The third.',
  THURSDAY: 'The fourth.',
  FRIDAY: 'The fifth.',
  SATURDAY: 'The sixth.',
  SUNDAY: 'The seventh.',
});
export const MembershipEnum = words('MembershipKind', 'How a user belongs to a team.', {
  PRIMARY: 'Their main team: routing to the team may choose them.',
  EXTRA: 'Sees what the team sees; routing to the team never chooses them.',
});
export const PlaceKindEnum = words('PlaceKind', 'What kind of place it is.', {
  INBOX: 'A conversation may have a ticket but needs none.',
  HELP_DESK: 'Every conversation has a ticket.',
});
export const CategoryEnum = words('StatusCategory', 'Whether work goes on.', {
  OPEN: 'Work goes on.',
  CLOSED: 'Work is over.',
});
export const PriorityEnum = words('Priority', 'How pressing a ticket is.', {
  LOW: 'Can wait.',
  MEDIUM: 'The usual.',
  HIGH: 'Before the usual.',
  URGENT: 'Now.',
});
export const RuleKindEnum = words('RoutingRuleKind', 'Who a new conversation goes to.', {
  NOBODY: 'Nobody: it waits in Unassigned.',
  SPECIFIC: 'One of the named users, or of the named teams’ primary members.',
  CONTACT_OWNER: 'The owner of the contact, where it has one and is recognised, available or not; on a live channel else the default user.',
});
export const RuleMethodEnum = words('RoutingMethod', 'How one of the eligible is chosen.', {
  RANDOM: 'Each equally likely.',
  LEAST_BUSY: 'Whoever has the fewest open conversations and tickets; of several who is active in the place, then who was least recently assigned.',
  ROUND_ROBIN: 'In turns: each eligible member gets one before anyone gets a second. Who joins later has their turn in the running cycle.',
});
export const SkillOperatorEnum = words('SkillOperator', 'How a property of a ticket is compared; without regard to case.', {
  IS: 'It is this; of a list, one of its elements is.',
  IN: 'It is one of these; of a list, one of its elements is.',
  CONTAINS: 'A text has this in it, a list has it as an element.',
});
export const SkillOtherwiseEnum = words('SkillOtherwise', 'What becomes of a ticket that asks for skills when nobody who has them is free.', {
  WAIT: 'It waits unassigned.',
  FALL_BACK: 'The rule goes on as if it had asked for none.',
});
export const HealthEnum = words('ChannelHealthState', 'Whether a channel works, as its provider says.', {
  CONNECTED: 'Works.',
  DEGRADED: 'Has trouble: what arrives is kept, replies wait.',
  DISCONNECTED: 'The provider has ended it.',
});
export const ReopeningEnum = words('Reopening', 'What a contact’s message in a closed conversation does.', {
  REOPEN: 'Reopens conversation and ticket.',
  NEW_AFTER: 'Begins a new conversation once enough days have passed since closing; before that, reopens.',
  KEEP_CLOSED: 'Is kept; both stay closed and the owner is notified.',
});
export const DirectionEnum = words('MessageDirection', 'Who a message goes to.', {
  INBOUND: 'From the contact to us.',
  OUTBOUND: 'From us to the contact.',
  COMMENT: 'Internal: the contact never sees it.',
});
export const DeliveryStateEnum = words('DeliveryState', 'How far an outbound message has come.', {
  QUEUED: 'Waits to be sent.',
  SENDING: 'The provider is being asked.',
  SENT: 'The provider has taken it.',
  DELIVERED: 'The contact’s device has it.',
  READ: 'The contact has read it.',
  FAILED: 'It was not sent; `canRetry` says whether trying again can help.',
  MAYBE_SENT: 'Whether it was sent is unknown. It is never sent again by itself: a person decides.',
});
export const RawStateEnum = words('RawDeliveryState', 'What became of what a provider sent.', {
  WAITING: 'Not taken in yet.',
  DONE: 'Taken in.',
  SET_ASIDE: 'Could not be read three times; it waits for a person.',
});
export const ImportFormatEnum = words('TicketImportFormat', 'How a file of tickets is written.', {
  NDJSON: 'A JSON object a line.',
  CSV: 'A table with a header; commas, semicolons or tabs between the cells.',
});
export const ImportStateEnum = words('TicketImportState', 'How far an import is.', {
  RUNNING: 'Lines are still to be read.',
  DONE: 'The whole file was read.',
  FAILED: 'The file can not be read any further; what was read stays.',
});
export const FilteredKindEnum = words('FilteredKind', 'What a message was kept apart as.', {
  FILTERED: 'Automatic mail that answers nothing of ours.',
  SPAM: 'Mail that nobody wants.',
});
export const FilteredReasonEnum = words('FilteredReason', 'Why a message was kept apart.', {
  ANSWERS_NOTHING: 'It is automatic and answers nothing of ours.',
  DENY_LIST: 'Its sender, or their domain, is on the deny list.',
  FROM_ITSELF: 'It comes from the very address it came to.',
});
export const SenderListEnum = words('SenderList', 'One of the account’s lists of senders.', {
  ALLOW: 'Always taken in; wins over the deny list.',
  DENY: 'Kept apart as spam.',
});
export const VerdictEnum = words('AuthenticationVerdict', 'Whether a sender is who they say they are.', {
  PASS: 'Their own domain vouches for them.',
  FAIL: 'Their own domain denies it.',
  UNKNOWN: 'Nobody who is trusted said.',
});
export const ActorEnum = words('ActorKind', 'Who did something.', {
  USER: 'A user.',
  CONTACT: 'The contact.',
  ROUTING: 'Automatic routing.',
  CHANNEL: 'The channel’s plugin or provider.',
  SYSTEM: 'The engine itself.',
});
export const NotificationKindEnum = words('NotificationKind', 'What a user is told of.', {
  TICKET_ASSIGNED: 'A ticket became theirs.',
  TICKET_UNASSIGNED: 'A new ticket waits for somebody.',
  MESSAGE_IN_CLOSED: 'A contact wrote in a conversation that stays closed.',
  CHANNEL_HEALTH: 'A channel lost its provider, or got it back.',
  SLA_DUE_SOON: 'A goal of a ticket of theirs, or of one that nobody has, is due soon.',
  SLA_OVERDUE: 'A goal of such a ticket is overdue.',
  MIGRATION_WITHDRAWN: 'A move of a channel that they set for later did not start.',
});

export const ToldByEnum = words('NotificationWay', 'Where a user is told.', {
  API: 'In the API: listed with the viewer’s notifications, and told as an event.',
  MAIL: 'By a mail to their address.',
});
export const SystemMailKindEnum = words('SystemMailKind', 'What a mail of the account’s own is.', {
  NOTIFICATION: 'A notification, to a user.',
  TEST: 'A test of the system sender, to the admin who asked for it.',
  OFFLINE_OWNER: 'To an owner who was not there.',
  TRANSCRIPT: 'A conversation, to the contact.',
});
export const SystemMailStateEnum = words('SystemMailState', 'How far a mail of the account’s own has come.', {
  QUEUED: 'Waits to be sent.',
  SENDING: 'The server is being asked.',
  SENT: 'The server has taken it.',
  FAILED: 'It was not sent, and is not tried again by itself.',
  MAYBE_SENT: 'Whether it was sent is unknown. It is never sent again by itself.',
  UNSENT: 'There was no system sender. It is not sent by itself once there is one.',
});
export const WebhookDeliveryStateEnum = words('WebhookDeliveryState', 'How far a call of a webhook has come.', {
  QUEUED: 'Waits to be made, or to be tried again.',
  SENDING: 'The receiver is being asked.',
  SENT: 'The receiver has taken it.',
  FAILED: 'It was not taken, and is not tried again by itself.',
});
export const SmtpSecurityEnum = words('SmtpSecurity', 'How the connection to an SMTP server is kept from being read.', {
  TLS: 'TLS from the first byte, as on port 465.',
  STARTTLS: 'TLS before anything else is said, as on port 587; without it nothing is sent.',
  NONE: 'In the clear; with a password only within this machine.',
});

export const AfterwardsEnum = builder.enumType('WindowAfterwards', {
  description: 'What may be sent once a messaging window has closed.',
  values: {
    NOTHING: { value: 'nothing', description: 'Nothing, until the contact writes again.' },
    TEMPLATE: { value: 'template', description: 'Only an approved template of the provider’s.' },
  } as const,
});

const KIND_TEXTS: Readonly<Record<(typeof EVENT_KINDS)[number], string>> = {
  CONVERSATION_STARTED: 'A conversation began.',
  TICKET_CREATED: 'A ticket was made.',
  MESSAGE_RECEIVED: 'The contact wrote.',
  MESSAGE_FILTERED: 'A message was kept apart, as spam or as automatic mail that answers nothing.',
  MESSAGE_RELEASED: 'A user let a filtered message pass.',
  MESSAGE_WRITTEN: 'A message to the contact was written; it is not sent yet.',
  MESSAGE_LEFT_OUT: 'An automation said nothing, or mailed no transcript on closing: the time in which it may was over, or `why` says it.',
  COMMENT_WRITTEN: 'An internal comment was written.',
  DELIVERY_CHANGED: 'An outbound message came further, or failed.',
  OWNER_CHANGED: 'The owner or the team changed.',
  STATUS_CHANGED: 'The status changed.',
  PRIORITY_CHANGED: 'The priority changed.',
  PROPERTIES_CHANGED: 'A custom property of the ticket changed.',
  PLACE_CHANGED: 'The conversation moved to the help desk.',
  CURRENT_CHANNEL_CHANGED: 'The conversation goes on in another channel.',
  ROUTING_DECIDED: 'Automatic routing decided on an owner, or on nobody.',
  ROUTING_SETTINGS_CHANGED: 'How the account routes changed.',
  CHANNEL_CONNECTED: 'A channel was connected.',
  CHANNEL_CHANGED: 'A channel’s settings or rule changed.',
  CHANNEL_DISCONNECTED: 'A channel was disconnected.',
  CHANNEL_HEALTH_CHANGED: 'A channel’s health changed.',
  DELIVERY_SET_ASIDE: 'An inbound delivery could not be read and waits for a person.',
  ATTACHMENT_SETTLED: 'What is attached to a message was stored, refused, or could not be fetched.',
  SENDER_RULES_CHANGED: 'The account’s lists of senders changed.',
  PEOPLE_CHANGED: 'Users, teams or access changed.',
  SKILLS_CHANGED: 'A skill was made, named anew or removed.',
  CAUGHT_UP: 'What a channel missed was fetched from its provider; `data.recovered` says how many messages that gave back.',
  CONTACT_ERASED: 'What a contact said, and by what they were known, was removed for good.',
  VISITOR_CAME: 'The contact has the page of the conversation open again.',
  VISITOR_LEFT: 'The contact has had no page open for a minute.',
  CONTACT_CHANGED: 'A contact is known by one more address or number, or gave one that another contact has.',
  TICKET_IMPORT_CHANGED: 'An import of tickets began, came further or ended.',
  PIPELINES_CHANGED: 'Pipelines or statuses changed.',
  SYSTEM_SENDER_CHANGED: 'Who sends the account’s own mail changed.',
  CHATFLOW_CHANGED: 'A chatflow was made, edited, switched or removed.',
  CHATFLOW_STARTED: 'A chatflow began to answer in a conversation.',
  CHATFLOW_ENDED:
    'A chatflow is over in a conversation; why says how: HANDED_OFF, TAKEN_OVER, ENDED, ABANDONED, CLOSED, CHANNEL_OFF, CHANNEL_CHANGED, CANNOT_SAY.',
  SLA_GOAL_CHANGED:
    'A goal of a ticket has another state or deadline; `why` is the state, `data` has goal, round, from, to, dueAt, overdueAt, endedAt, usedMs, policyId, reason and ownerId.',
  SLA_SETTINGS_CHANGED: 'A calendar, an SLA policy or a webhook was saved or removed.',
  SLA_REEVALUATION_CHANGED: 'Bringing open tickets up to the policies began, came further or ended.',
  MIGRATION_CHANGED: 'A move of a channel to the help desk was set, withdrawn or started, came further, or ended.',
  NOTIFIED: 'A user was notified.',
};
export const EventKindEnum = words('EventKind', 'What happened.', KIND_TEXTS);

export const MigrationStateEnum = words('MigrationState', 'How far a move of a channel to the help desk is.', {
  SCHEDULED: 'Set for later: it can still be withdrawn.',
  WITHDRAWN: 'Taken back before it began: nothing was moved.',
  RUNNING: 'The channel lives in the help desk, and its conversations follow. It can not be stopped.',
  COMPLETED: 'All that was to be moved is.',
  COMPLETED_WITH_REMAINDER: 'All is moved but what could not be: that is listed, and tried again by itself.',
});
export const MigrationHistoryEnum = words('MigrationHistory', 'Which conversations of a channel go along.', {
  ALL: 'All of them, each with a ticket.',
  NONE: 'None: they stay in the inbox, with their replies. Those that begin later live in the help desk.',
});
export const MigrationPhaseEnum = words('MigrationPhase', 'What a move does now.', {
  WALKING: 'It goes through the conversations, the oldest first.',
  SWEEPING: 'It has been through all of them, and looks whether any came meanwhile.',
  ENDED: 'Nothing: it is over.',
});
export const WithdrawnWhyEnum = words('MigrationWithdrawnWhy', 'Why a move that was set for later did not begin.', {
  BY_HAND: 'A super admin withdrew it.',
  NOT_ELIGIBLE: 'At its hour the channel could not be moved.',
  NOT_SUPER_ADMIN: 'Who had set it was no super admin any more.',
  STARTED_ANOTHER: 'The channel was moved at once before its hour.',
});
export const LackEnum = words('HandOffLack', 'Why a hand-off or a rule reaches nobody in the help desk.', {
  UNKNOWN: 'There is no such user or team.',
  DEACTIVATED: 'The user is deactivated.',
  NO_SEAT: 'The user has no paid seat.',
  NO_ACCESS: 'The user can not be assigned anything in the help desk.',
  NO_PRIMARY_MEMBER: 'The team has no primary member.',
  NOBODY_NAMED: 'The hand-off names nobody.',
  NO_STEP: 'The chatflow has no step that hands off.',
});
export const NoticeSurfaceEnum = words('NoticeSurface', 'Where a notice is to be shown.', {
  SETTINGS: 'Over the settings.',
  INBOX: 'Over the inbox and the help desk.',
});

export const GoalKindEnum = words('SlaGoalKind', 'What an SLA measures on a ticket.', {
  FIRST_REPLY: 'The time to a person’s first reply to the contact.',
  NEXT_REPLY: 'The time to a person’s next reply: each unanswered stretch is a round of its own.',
  CLOSE: 'The time until the ticket is closed.',
});
export const GoalStateEnum = words('SlaGoalState', 'How a goal of a ticket stands.', {
  ACTIVE: 'Time counts.',
  DUE_SOON: 'Time counts, and the deadline is near.',
  OVERDUE: 'The deadline has passed, and it is not done.',
  PAUSED: 'No time counts: the ticket has a status in which its policy pauses.',
  COMPLETED_ON_TIME: 'Done before the deadline.',
  COMPLETED_LATE: 'Done, or closed without a reply, after the deadline.',
  CANCELLED: 'It no longer applies; `reason` says why.',
});
export const RunningStateEnum = words('SlaRunningState', 'How the most pressing of a ticket’s running goals stands.', {
  ACTIVE: 'Time counts, and no deadline is near.',
  DUE_SOON: 'A deadline is near, and none has passed.',
  OVERDUE: 'A deadline has passed.',
  PAUSED: 'All of its running goals rest.',
});
export const CrossingEnum = words('SlaCrossing', 'A moment of a goal at which something can be done.', {
  DUE_SOON: 'Its deadline is near.',
  OVERDUE: 'Its deadline has passed.',
});
export const ApplyToEnum = words('SlaApplyTo', 'Which tickets something that is saved holds for.', {
  NEW_TICKETS: 'Those that come from now on, and open ones once something about them changes that a policy looks at.',
  OPEN_TICKETS_TOO: 'Also the open ones: they are brought up to it in the background.',
});
export const ReevaluationWhyEnum = words('SlaReevaluationWhy', 'Why open tickets are brought up to what the policies say.', {
  POLICY_SAVED: 'A policy was made or edited.',
  POLICY_DELETED: 'A policy was removed.',
  POLICIES_ORDERED: 'The policies were put in another order.',
  CALENDAR_SAVED: 'A calendar that policies go by was edited.',
  BY_HAND: 'An admin asked for it.',
});
export const ReevaluationStateEnum = words('SlaReevaluationState', 'How far a re-evaluation is.', {
  RUNNING: 'Tickets are still to be looked at.',
  DONE: 'All were looked at.',
});
export const PolicyForEnum = words('SlaPolicyForReason', 'Why an SLA policy applies to a ticket, or none does.', {
  MATCHES: 'It is the first whose conditions all hold.',
  NONE_MATCHES: 'Of every policy some condition does not hold, or there is none.',
  NO_CONVERSATION: 'The ticket has no conversation: nobody waits for an answer.',
  NOT_IN_HELP_DESK: 'Its conversation lives in an inbox.',
});
export const CancelReasonEnum = words('SlaCancelReason', 'Why a goal no longer applies.', {
  CLOSED: 'The ticket was closed before the reply was due.',
  NO_POLICY: 'No policy applies to the ticket any more.',
  NOT_IN_POLICY: 'The policy that applies now has no such goal.',
});
export const ReportGroupingEnum = words('SlaReportGrouping', 'What the lines of an SLA report are of.', {
  CHANNEL: 'A channel each.',
  OWNER: 'An owner each, and one line for what nobody had.',
  POLICY: 'A policy each.',
  DAY: 'A day each.',
  WEEK: 'A week each, from Monday on.',
  MONTH: 'A month each.',
});

export const ListOrderEnum = words('ListOrder', 'By when things began.', {
  OLDEST_FIRST: 'Who waits longest comes first.',
  NEWEST_FIRST: 'The latest comes first.',
});
export const ThreadAbsenceEnum = words('ThreadAbsence', 'Why a ticket has no thread.', {
  NO_CONVERSATION: 'It came from outside the channels (API, import, integration, workflow), so nobody can be answered on it.',
});
export const SubjectAbsenceEnum = words('SubjectAbsence', 'Why a ticket’s conversation has no subject.', {
  NO_CONVERSATION: 'The ticket has no conversation.',
  CONVERSATION_HAS_NONE: 'The conversation’s channel has no subjects, or the contact wrote none.',
});
export const ActivityKindEnum = words('ActivityKind', 'What goes on in a conversation besides messages.', {
  TYPING: 'Somebody is writing: `user`, or the visitor where that is null. Told again every two seconds while it goes on.',
  VISITOR_CAME: 'The visitor has the page open again.',
  VISITOR_LEFT: 'The visitor has had no page open for a minute.',
  JOINED: '`user` owns the conversation now.',
});
export const ChatflowKindEnum = words('ChatflowKind', 'Who answers first on a channel.', {
  LIVE: 'People do; at most an instant reply comes before them.',
  BOT: 'Steps do, until they hand off to people.',
});
export const ChatflowStateEnum = words('ChatflowState', 'How far a chatflow has come in a conversation.', {
  RUNNING: 'It is doing its next step.',
  WAITING: 'It waits for the contact.',
  HANDED_OFF: 'It has left the conversation to people.',
  TAKEN_OVER: 'A person replied or took the conversation.',
  ENDED: 'It has come to its end, or the conversation was closed.',
  ABANDONED: 'A question was not answered in time, or the chatflow could not go on.',
});

import { sql, type Kysely } from 'kysely';

/** Calendars, SLA policies, and the goals of tickets (SLA-1 to SLA-15). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- When working time passes, by the clock of a time zone.
create table business_calendar (
  id uuid primary key default uuidv7(),
  name text not null check (name <> ''),
  time_zone text not null,
  version int not null default 1,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index business_calendar_name_unique on business_calendar (lower(name)) where deleted_at is null;

-- In minutes after midnight by the calendar's clock: [from, to). 1 is Monday.
create table calendar_period (
  calendar_id uuid not null references business_calendar,
  weekday smallint not null check (weekday between 1 and 7),
  from_minute smallint not null check (from_minute >= 0),
  to_minute smallint not null check (to_minute <= 1440),
  primary key (calendar_id, weekday, from_minute),
  check (from_minute < to_minute)
);
create table calendar_holiday (
  calendar_id uuid not null references business_calendar,
  date date not null,
  name text,
  primary key (calendar_id, date)
);

-- Which tickets it applies to and what it asks stands in its terms; the first by position that matches applies.
create table sla_policy (
  id uuid primary key default uuidv7(),
  -- What people call it by, in timers and words.
  number int not null generated always as identity,
  name text not null check (name <> ''),
  position int not null check (position > 0),
  calendar_id uuid references business_calendar,
  terms_id uuid not null,
  version int not null default 1,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  unique (number)
);
create unique index sla_policy_name_unique on sla_policy (lower(name)) where deleted_at is null;

-- Written once and never changed: a ticket keeps the terms it has until something evaluates it anew. The calendar stands in them as it was.
create table sla_terms (
  id uuid primary key default uuidv7(),
  policy_id uuid not null references sla_policy deferrable initially deferred,
  conditions jsonb not null,
  targets jsonb not null,
  pause_status_ids uuid[] not null default '{}',
  calendar jsonb not null,
  actions jsonb not null default '[]',
  created_at timestamptz not null default now()
);
create index sla_terms_policy on sla_terms (policy_id);
alter table sla_policy add constraint sla_policy_terms foreign key (terms_id) references sla_terms deferrable initially deferred;

-- What the goals of a ticket depend on besides the moment. Guarded by the lock of the ticket's conversation, and by its version.
create table sla_ticket (
  ticket_id uuid primary key references ticket,
  -- Null: no policy applies.
  terms_id uuid references sla_terms,
  paused boolean not null default false,
  closed boolean not null default false,
  replied boolean not null default false,
  first_owed_at timestamptz,
  unanswered_since timestamptz,
  rests jsonb not null default '[]',
  -- A hash of each value that conditions look at: only when one of these changes are the policies asked again.
  marks jsonb not null,
  -- The next moment at which a goal changes by itself, or something is to be told; null: there is none.
  next_at timestamptz,
  -- Its workflow does not know of next_at yet, nor of an earlier moment.
  wake_owed boolean not null default false,
  version int not null default 1
);
create index sla_ticket_next on sla_ticket (next_at) where next_at is not null;
create index sla_ticket_owed on sla_ticket (next_at) where wake_owed;
create index sla_ticket_terms on sla_ticket (terms_id);

create table sla_goal (
  ticket_id uuid not null references sla_ticket,
  kind text not null check (kind in ('FIRST_REPLY', 'NEXT_REPLY', 'CLOSE')),
  round int not null check (round > 0),
  policy_id uuid not null references sla_policy,
  duration_ms bigint not null check (duration_ms > 0),
  due_soon_ms bigint not null check (due_soon_ms >= 0),
  state text not null check (state in ('ACTIVE', 'DUE_SOON', 'OVERDUE', 'PAUSED', 'COMPLETED_ON_TIME', 'COMPLETED_LATE', 'CANCELLED')),
  started_at timestamptz not null,
  used_ms bigint not null check (used_ms >= 0),
  counting_since timestamptz,
  due_at timestamptz,
  due_soon_at timestamptz,
  overdue_at timestamptz,
  ended_at timestamptz,
  reason text check (reason in ('CLOSED', 'NO_POLICY', 'NOT_IN_POLICY')),
  -- When those who are to know were told, and what the policy has done then was done.
  due_soon_fired_at timestamptz,
  overdue_fired_at timestamptz,
  -- Whose it was when it ended, and by which channel.
  owner_id uuid references app_user,
  channel_id uuid references channel,
  primary key (ticket_id, kind, round),
  constraint sla_goal_ended check ((state in ('COMPLETED_ON_TIME', 'COMPLETED_LATE', 'CANCELLED')) = (ended_at is not null)),
  constraint sla_goal_cancelled check ((state = 'CANCELLED') = (reason is not null)),
  constraint sla_goal_overdue check (state <> 'OVERDUE' or overdue_at is not null)
);
create unique index sla_goal_one_running on sla_goal (ticket_id, kind) where ended_at is null;
-- Of the running ones those that press.
create index sla_goal_pressing on sla_goal (state, ticket_id) where state in ('DUE_SOON', 'OVERDUE');
create index sla_goal_untold on sla_goal (ticket_id) where overdue_at is not null and overdue_fired_at is null;
create index sla_goal_ended_at on sla_goal (ended_at) where ended_at is not null;

-- A policy or a calendar was saved for the open tickets too: these are brought up to it one batch after the other.
create table sla_reevaluation (
  id uuid primary key default uuidv7(),
  user_id uuid references app_user,
  why text not null check (why in ('POLICY_SAVED', 'POLICY_DELETED', 'POLICIES_ORDERED', 'CALENDAR_SAVED', 'BY_HAND')),
  state text not null default 'RUNNING' check (state in ('RUNNING', 'DONE')),
  total int not null,
  looked_at int not null default 0,
  changed int not null default 0,
  -- Tickets up to this number have been looked at; those made since have the new terms from the start.
  position bigint not null default 0,
  until bigint not null,
  started_at timestamptz not null default now(),
  progressed_at timestamptz not null default now(),
  ended_at timestamptz
);

-- Since when a message counts for goals, where that is not its receipt: it was fetched long after.
alter table message add column counted_at timestamptz;

create table webhook (
  id uuid primary key default uuidv7(),
  name text not null check (name <> ''),
  url text not null,
  -- Sealed. The one before signs too until its time is over, so that receivers can change theirs meanwhile.
  secret bytea not null,
  previous_secret bytea,
  previous_until timestamptz,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint webhook_previous_secret check ((previous_secret is null) = (previous_until is null))
);
create unique index webhook_name_unique on webhook (lower(name)) where deleted_at is null;

-- Ids and codes only.
create table webhook_delivery (
  id uuid primary key default uuidv7(),
  webhook_id uuid not null references webhook,
  -- Null: a test of the webhook.
  ticket_id uuid references ticket,
  payload jsonb not null,
  state text not null default 'QUEUED' check (state in ('QUEUED', 'SENDING', 'SENT', 'FAILED')),
  -- Counted before each try begins.
  attempt int not null default 0,
  -- How many there were when a person had it tried again; the back-off begins anew after them.
  attempts_before int not null default 0,
  not_before timestamptz not null default now(),
  -- When the last try began.
  tried_at timestamptz,
  -- A code: why the last try failed.
  failure text,
  created_at timestamptz not null default now(),
  settled_at timestamptz,
  constraint webhook_delivery_sending check (state <> 'SENDING' or tried_at is not null),
  constraint webhook_delivery_settled check ((state in ('SENT', 'FAILED')) = (settled_at is not null)),
  constraint webhook_delivery_failed check (state <> 'FAILED' or failure is not null)
);
create index webhook_delivery_waiting on webhook_delivery (webhook_id, not_before, id) where state in ('QUEUED', 'SENDING');
create index webhook_delivery_sending on webhook_delivery (webhook_id, tried_at) where state = 'SENDING';
create index webhook_delivery_webhook on webhook_delivery (webhook_id, created_at);
create index webhook_delivery_created on webhook_delivery (created_at, id);
create index webhook_delivery_tried on webhook_delivery (tried_at) where tried_at is not null;
create index webhook_delivery_ended on webhook_delivery (settled_at) where settled_at is not null;

alter table notification drop constraint notification_kind_check;
alter table notification add constraint notification_kind_check
  check (kind in ('TICKET_ASSIGNED', 'TICKET_UNASSIGNED', 'MESSAGE_IN_CLOSED', 'CHANNEL_HEALTH', 'SLA_DUE_SOON', 'SLA_OVERDUE'));
`;

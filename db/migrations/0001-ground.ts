import { sql, type Kysely } from 'kysely';

/** The ground: account, people, places, channels, conversations, tickets, the event feed, and the rules the database itself holds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(GROUND).execute(db);
}

const GROUND = /* sql */ `
create table account (
  id boolean primary key default true check (id),
  name text not null,
  created_at timestamptz not null default now()
);
insert into account (name) values ('My company');

-- People ---------------------------------------------------------------------------------------------------------
create table team (
  id uuid primary key default uuidv7(),
  name text not null check (name <> ''),
  created_at timestamptz not null default now()
);
create unique index team_name_unique on team (lower(name));

create table app_user (
  id uuid primary key default uuidv7(),
  email text not null check (email = lower(email) and email like '%_@_%'),
  name text not null check (name <> ''),
  role text not null default 'AGENT' check (role in ('AGENT', 'ADMIN', 'SUPER_ADMIN')),
  seat text not null default 'NONE' check (seat in ('NONE', 'PAID')),
  availability text not null default 'AVAILABLE' check (availability in ('AVAILABLE', 'AWAY')),
  time_zone text not null default 'UTC',
  last_active_at timestamptz,
  deactivated_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index app_user_email_unique on app_user (email);

create table team_member (
  team_id uuid not null references team,
  user_id uuid not null references app_user,
  kind text not null check (kind in ('PRIMARY', 'EXTRA')),
  primary key (team_id, user_id)
);
create unique index team_member_one_primary on team_member (user_id) where kind = 'PRIMARY';

create table api_token (
  id uuid primary key default uuidv7(),
  user_id uuid not null references app_user,
  name text not null,
  token_hash bytea not null unique,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

-- Places ---------------------------------------------------------------------------------------------------------
create table place (
  id uuid primary key default uuidv7(),
  kind text not null check (kind in ('INBOX', 'HELP_DESK')),
  name text not null check (name <> ''),
  created_at timestamptz not null default now(),
  unique (id, kind)
);
create unique index place_one_help_desk on place (kind) where kind = 'HELP_DESK';
create unique index place_name_unique on place (lower(name));

create table access_entry (
  place_id uuid not null references place,
  user_id uuid references app_user,
  team_id uuid references team,
  everyone boolean not null default false,
  check (num_nonnulls(user_id, team_id) + everyone::int = 1)
);
create unique index access_entry_unique on access_entry (place_id, user_id, team_id, everyone) nulls not distinct;
create index access_entry_user on access_entry (user_id) where user_id is not null;
create index access_entry_team on access_entry (team_id) where team_id is not null;

-- Who sees what is in a place: all members of a listed team (MODEL-11).
create view place_member as
  select distinct a.place_id, u.id as user_id
  from access_entry a
  join app_user u on a.everyone or u.id = a.user_id
    or exists (select 1 from team_member m where m.team_id = a.team_id and m.user_id = u.id);

-- Who can be assigned what is in a place: of a listed team only its primary members (MODEL-11).
create view place_assignable as
  select distinct a.place_id, u.id as user_id
  from access_entry a
  join app_user u on a.everyone or u.id = a.user_id
    or exists (select 1 from team_member m where m.team_id = a.team_id and m.user_id = u.id and m.kind = 'PRIMARY');

-- Pipelines ------------------------------------------------------------------------------------------------------
create table pipeline (
  id uuid primary key default uuidv7(),
  name text not null check (name <> ''),
  position int not null,
  unique (position) deferrable initially deferred
);
create unique index pipeline_name_unique on pipeline (lower(name));

create table ticket_status (
  id uuid primary key default uuidv7(),
  pipeline_id uuid not null references pipeline,
  name text not null check (name <> ''),
  category text not null check (category in ('OPEN', 'CLOSED')),
  position int not null,
  unique (id, pipeline_id),
  unique (pipeline_id, position) deferrable initially deferred
);
create unique index ticket_status_name_unique on ticket_status (pipeline_id, lower(name));

-- Routing rules --------------------------------------------------------------------------------------------------
create table routing_rule (
  id uuid primary key default uuidv7(),
  kind text not null check (kind in ('NOBODY', 'SPECIFIC', 'CONTACT_OWNER')),
  method text check (method in ('RANDOM', 'LEAST_BUSY')),
  available_only boolean not null default true,
  check ((kind = 'SPECIFIC') = (method is not null))
);
create table routing_rule_target (
  rule_id uuid not null references routing_rule,
  user_id uuid references app_user,
  team_id uuid references team,
  check (num_nonnulls(user_id, team_id) = 1)
);
create unique index routing_rule_target_unique on routing_rule_target (rule_id, user_id, team_id) nulls not distinct;

-- Channels -------------------------------------------------------------------------------------------------------
create table channel (
  id uuid primary key default uuidv7(),
  key text not null unique check (key ~ '^[a-z0-9-]{3,60}$'),
  plugin text not null,
  name text not null check (name <> ''),
  address text not null,
  place_id uuid not null,
  place text not null,
  settings jsonb not null,
  secrets bytea,
  enabled boolean not null default true,
  health text not null default 'CONNECTED' check (health in ('CONNECTED', 'DEGRADED', 'DISCONNECTED')),
  health_reason text,
  health_since timestamptz not null default now(),
  create_tickets boolean not null default false,
  default_pipeline_id uuid not null,
  default_status_id uuid not null,
  default_priority text not null default 'MEDIUM' check (default_priority in ('LOW', 'MEDIUM', 'HIGH', 'URGENT')),
  default_properties jsonb not null default '{}',
  reopening text not null default 'REOPEN' check (reopening in ('REOPEN', 'NEW_AFTER', 'KEEP_CLOSED')),
  reopen_days int check (reopen_days between 1 and 3650),
  unassigned_notice_user_ids uuid[] not null default '{}',
  routing_rule_id uuid not null references routing_rule,
  cursor text,
  intake_until timestamptz not null default '-infinity',
  send_after timestamptz not null default '-infinity',
  connected_at timestamptz not null default now(),
  disconnected_at timestamptz,
  version int not null default 1,
  foreign key (place_id, place) references place (id, kind),
  foreign key (default_status_id, default_pipeline_id) references ticket_status (id, pipeline_id),
  check ((reopening = 'NEW_AFTER') = (reopen_days is not null)),
  check ((health = 'CONNECTED') = (health_reason is null))
);
create unique index channel_address_once on channel (plugin, address) where disconnected_at is null;

-- One constraint over team mailboxes and users' own (CH-2): an email address has one holder, whichever comes first.
create table mailbox (
  address text primary key check (address = lower(address)),
  channel_id uuid unique references channel,
  user_id uuid references app_user,
  check (num_nonnulls(channel_id, user_id) = 1)
);
create index mailbox_user on mailbox (user_id) where user_id is not null;

-- Contacts -------------------------------------------------------------------------------------------------------
create table contact (
  id uuid primary key default uuidv7(),
  name text,
  owner_id uuid references app_user,
  created_at timestamptz not null default now()
);
create table contact_identity (
  kind text not null check (kind in ('email-address', 'phone-number', 'scoped-id', 'visitor')),
  value text not null,
  contact_id uuid not null references contact,
  created_at timestamptz not null default now(),
  primary key (kind, value)
);
create index contact_identity_contact on contact_identity (contact_id);

-- Conversations and tickets --------------------------------------------------------------------------------------
create table conversation (
  id uuid primary key default uuidv7(),
  channel_id uuid not null references channel,
  origin_channel_id uuid not null references channel,
  place_id uuid not null,
  place text not null,
  contact_id uuid references contact,
  status text not null default 'OPEN' check (status in ('OPEN', 'CLOSED')),
  subject text,
  ticket_id uuid,
  owner_id uuid references app_user,
  team_id uuid references team,
  route_pending_since timestamptz,
  started_at timestamptz not null default now(),
  closed_at timestamptz,
  last_message_at timestamptz not null default now(),
  previous_conversation_id uuid references conversation,
  version int not null default 1,
  unique (id, ticket_id),
  foreign key (place_id, place) references place (id, kind),
  check ((status = 'CLOSED') = (closed_at is not null)),
  constraint conversation_owner_stands_on_ticket check (ticket_id is null or (owner_id is null and team_id is null and route_pending_since is null))
);
create index conversation_channel on conversation (channel_id, id);
create index conversation_contact on conversation (contact_id);
create index conversation_place_recent on conversation (place_id, started_at, id);
create index conversation_owner_open on conversation (owner_id) where status = 'OPEN' and owner_id is not null;
create index conversation_route_pending on conversation (route_pending_since) where route_pending_since is not null;

create sequence ticket_number start 1001;
create table ticket (
  id uuid primary key default uuidv7(),
  number bigint not null unique default nextval('ticket_number'),
  conversation_id uuid unique,
  name text not null,
  description text,
  pipeline_id uuid not null,
  status_id uuid not null,
  priority text not null check (priority in ('LOW', 'MEDIUM', 'HIGH', 'URGENT')),
  owner_id uuid references app_user,
  team_id uuid references team,
  source text not null,
  properties jsonb not null default '{}',
  linked_ticket_id uuid references ticket,
  route_pending_since timestamptz,
  created_at timestamptz not null default now(),
  closed_at timestamptz,
  version int not null default 1,
  unique (id, conversation_id),
  foreign key (status_id, pipeline_id) references ticket_status (id, pipeline_id),
  foreign key (conversation_id, id) references conversation (id, ticket_id) deferrable initially deferred
);
alter sequence ticket_number owned by ticket.number;
alter table conversation add foreign key (ticket_id, id) references ticket (id, conversation_id) deferrable initially deferred;
create unique index conversation_ticket_unique on conversation (ticket_id) where ticket_id is not null;
create index ticket_created on ticket (created_at, id);
create index ticket_status_open on ticket (status_id, created_at, id);
create index ticket_owner_open on ticket (owner_id) where closed_at is null and owner_id is not null;
create index ticket_route_pending on ticket (route_pending_since) where route_pending_since is not null;

-- The owner stands in one row; this is where both kinds are counted and read (MODEL-2).
create view assignment as
  select c.id as conversation_id, t.id as ticket_id, coalesce(t.owner_id, c.owner_id) as owner_id,
    coalesce(t.team_id, c.team_id) as team_id, c.status = 'OPEN' as open, c.place_id
  from conversation c left join ticket t on t.id = c.ticket_id
  union all
  select null, t.id, t.owner_id, t.team_id, t.closed_at is null, null from ticket t where t.conversation_id is null;

create table participant (
  conversation_id uuid not null references conversation,
  kind text not null,
  value text not null,
  primary key (conversation_id, kind, value)
);

-- Where a thread's key leads: to one conversation of that channel, the current one.
create table thread_key (
  channel_id uuid not null references channel,
  key text not null,
  conversation_id uuid not null references conversation,
  primary key (channel_id, key)
);
create index thread_key_conversation on thread_key (conversation_id);

create sequence message_arrival;
create table message (
  id uuid primary key default uuidv7(),
  conversation_id uuid not null references conversation,
  channel_id uuid references channel,
  direction text not null check (direction in ('INBOUND', 'OUTBOUND', 'COMMENT')),
  provider_message_id text,
  author_user_id uuid references app_user,
  contact_id uuid references contact,
  sender jsonb,
  automatic boolean not null default false,
  subject text,
  text text not null,
  html text,
  participants jsonb not null default '[]',
  attachments jsonb not null default '[]',
  occurred_at timestamptz not null,
  received_at timestamptz not null default now(),
  arrival bigint not null default nextval('message_arrival'),
  raw_delivery_id bigint,
  constraint message_not_dated_later_than_receipt check (occurred_at <= received_at),
  check ((direction = 'COMMENT') = (channel_id is null)),
  check (direction = 'INBOUND' or author_user_id is not null or automatic or provider_message_id is not null)
);
alter sequence message_arrival owned by message.arrival;
create unique index message_provider_once on message (channel_id, provider_message_id) where provider_message_id is not null;
create index message_conversation_order on message (conversation_id, occurred_at, arrival);

create table outbound (
  message_id uuid primary key references message,
  conversation_id uuid not null references conversation,
  channel_id uuid not null references channel,
  arrival bigint not null,
  kind text not null check (kind in ('REPLY', 'START')),
  sender text not null check (sender in ('PERSON', 'AUTOMATION')),
  recipient jsonb not null,
  state text not null default 'QUEUED' check (state in ('QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'READ', 'FAILED', 'MAYBE_SENT')),
  attempt int not null default 0,
  queued_at timestamptz not null default now(),
  sending_since timestamptz,
  not_before timestamptz not null default now(),
  failure_code text,
  failure_reason text,
  can_retry boolean,
  updated_at timestamptz not null default now(),
  check ((state = 'SENDING') = (sending_since is not null)),
  check (state not in ('FAILED', 'MAYBE_SENT') or failure_code is not null),
  check ((state = 'FAILED') = (can_retry is not null))
);
create unique index outbound_one_sending on outbound (conversation_id) where state = 'SENDING';
create index outbound_open on outbound (conversation_id, arrival) where state in ('QUEUED', 'SENDING');
create index outbound_waiting on outbound (not_before) where state in ('QUEUED', 'SENDING');

-- Deliveries -----------------------------------------------------------------------------------------------------
create table raw_delivery (
  id bigint generated always as identity primary key,
  channel_id uuid not null references channel,
  method text not null,
  url text not null,
  headers jsonb not null,
  body bytea not null,
  received_at timestamptz not null default now(),
  state text not null default 'WAITING' check (state in ('WAITING', 'DONE', 'SET_ASIDE')),
  tries int not null default 0,
  failure_code text,
  failure_reason text,
  settled_at timestamptz,
  check ((state = 'WAITING') = (settled_at is null))
);
create index raw_delivery_waiting on raw_delivery (channel_id, id) where state = 'WAITING';
create index raw_delivery_set_aside on raw_delivery (id) where state = 'SET_ASIDE';
create index raw_delivery_age on raw_delivery (received_at) where state = 'DONE';

-- Events already taken in, as keyed hashes: they outlive the deliveries and say nothing of whom they were (MODEL-4).
create table seen_event (
  channel_id uuid not null references channel,
  key_hash bytea not null,
  primary key (channel_id, key_hash)
);

-- Decisions, events, notifications -------------------------------------------------------------------------------
create table routing_decision (
  id uuid primary key default uuidv7(),
  conversation_id uuid references conversation,
  ticket_id uuid references ticket,
  rule_id uuid references routing_rule,
  chosen_user_id uuid references app_user,
  explanation jsonb not null,
  decided_at timestamptz not null default now(),
  check (num_nonnulls(conversation_id, ticket_id) >= 1)
);
create index routing_decision_ticket on routing_decision (ticket_id, id);
create index routing_decision_conversation on routing_decision (conversation_id, id);

create table event (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  at timestamptz not null default now(),
  actor text not null check (actor in ('USER', 'CONTACT', 'ROUTING', 'CHANNEL', 'SYSTEM')),
  actor_user_id uuid references app_user,
  channel_id uuid references channel,
  conversation_id uuid references conversation,
  ticket_id uuid references ticket,
  message_id uuid,
  user_id uuid references app_user,
  place_id uuid references place,
  why text,
  data jsonb not null default '{}',
  check ((actor = 'USER') = (actor_user_id is not null))
);
create index event_feed on event (xid, id);
create index event_conversation on event (conversation_id, id) where conversation_id is not null;
create index event_ticket on event (ticket_id, id) where ticket_id is not null;

create table notification (
  id uuid primary key default uuidv7(),
  user_id uuid not null references app_user,
  kind text not null check (kind in ('TICKET_ASSIGNED', 'TICKET_UNASSIGNED', 'MESSAGE_IN_CLOSED')),
  ticket_id uuid references ticket,
  conversation_id uuid references conversation,
  created_at timestamptz not null default now(),
  read_at timestamptz
);
create index notification_user on notification (user_id, id);
create table notification_off (
  user_id uuid not null references app_user,
  kind text not null,
  primary key (user_id, kind)
);

create table idempotency_key (
  caller text not null,
  key text not null,
  operation text not null,
  arguments_hash bytea not null,
  answer jsonb,
  created_at timestamptz not null default now(),
  primary key (caller, key)
);
create index idempotency_key_age on idempotency_key (created_at);

-- What the database itself refuses -------------------------------------------------------------------------------
create function refuse() returns trigger language plpgsql as $$
begin
  raise exception 'TRUNKLINE: rows of % are never removed or rewritten', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger channel_stays before delete on channel for each row execute function refuse();
create trigger channel_never_truncated before truncate on channel execute function refuse();
create trigger conversation_never_truncated before truncate on conversation execute function refuse();
create trigger event_append_only before update or delete on event for each row execute function refuse();
create trigger event_never_truncated before truncate on event execute function refuse();

create function keep_place() returns trigger language plpgsql as $$
begin
  if old.place = 'HELP_DESK' and (new.place <> 'HELP_DESK' or new.place_id <> old.place_id) then
    raise exception 'TRUNKLINE: nothing returns from the help desk to an inbox' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger channel_keeps_place before update of place, place_id on channel for each row execute function keep_place();
create trigger conversation_keeps_place before update of place, place_id on conversation for each row execute function keep_place();

create function keep_channel_identity() returns trigger language plpgsql as $$
begin
  if new.key <> old.key or new.plugin <> old.plugin or new.address <> old.address then
    raise exception 'TRUNKLINE: key, plugin and address of a channel never change' using errcode = 'restrict_violation';
  end if;
  if old.disconnected_at is not null and new.disconnected_at is null then
    raise exception 'TRUNKLINE: a disconnected channel is never connected again; connecting its address makes a new one' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger channel_keeps_identity before update of key, plugin, address, disconnected_at on channel for each row execute function keep_channel_identity();

create function keep_ticket_joined() returns trigger language plpgsql as $$
begin
  if old.conversation_id is not null and new.conversation_id is distinct from old.conversation_id or new.number <> old.number then
    raise exception 'TRUNKLINE: a ticket keeps its number and its conversation' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger ticket_stays_joined before update of conversation_id, number on ticket for each row execute function keep_ticket_joined();
create function keep_joined() returns trigger language plpgsql as $$
begin
  if old.ticket_id is not null and new.ticket_id is distinct from old.ticket_id then
    raise exception 'TRUNKLINE: a conversation and its ticket stay joined' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger conversation_stays_joined before update of ticket_id on conversation for each row execute function keep_joined();

-- Sensible defaults ----------------------------------------------------------------------------------------------
insert into place (kind, name) values ('HELP_DESK', 'Help desk'), ('INBOX', 'Inbox');
insert into access_entry (place_id, everyone) select id, true from place;
with p as (insert into pipeline (name, position) values ('Support', 1) returning id)
insert into ticket_status (pipeline_id, name, category, position)
  select p.id, s.name, s.category, s.position from p, (values
    ('New', 'OPEN', 1), ('Waiting on us', 'OPEN', 2), ('Waiting on contact', 'OPEN', 3), ('Closed', 'CLOSED', 4)
  ) as s (name, category, position);
`;

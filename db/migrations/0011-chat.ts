import { sql, type Kysely } from 'kysely';

/** Chatflows and where each conversation stands in one, visitors who are here, routing by load and by the contact's owner, what a channel keeps of its provider. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- The script a channel runs. The primary one has no entry point; further ones are chosen by theirs (a link's ref).
create table chatflow (
  id uuid primary key default uuidv7(),
  channel_id uuid not null references channel,
  name text not null check (name <> ''),
  kind text not null check (kind in ('LIVE', 'BOT')),
  entry_point text check (entry_point <> ''),
  enabled boolean not null default true,
  definition jsonb not null,
  version int not null default 1,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  unique (channel_id, entry_point)
);
create unique index chatflow_primary on chatflow (channel_id) where entry_point is null;

-- Where a conversation stands in its chatflow. The definition is a copy: an edit changes nothing for those who are in the middle of it.
create table chatflow_run (
  conversation_id uuid primary key references conversation,
  chatflow_id uuid not null references chatflow,
  definition jsonb not null,
  state text not null default 'RUNNING' check (state in ('RUNNING', 'WAITING', 'HANDED_OFF', 'TAKEN_OVER', 'ENDED', 'ABANDONED')),
  step text,
  -- Answers by step: personal data, so it stays here and is in no workflow's history.
  answers jsonb not null default '{}',
  tries int not null default 0,
  -- The arrival of the newest message of the contact that it has looked at.
  seen_arrival bigint not null default 0,
  -- An unanswered question is given up then.
  wait_until timestamptz,
  version int not null default 1,
  started_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  check ((state = 'WAITING') = (wait_until is not null))
);
create index chatflow_run_going on chatflow_run (changed_at) where state in ('RUNNING', 'WAITING');

-- A hand-off brings a rule of its own, in place of the channel's.
alter table conversation add column routing_rule_id uuid references routing_rule;

alter table message add column quick_replies jsonb;
-- What the contact chose among quick replies.
alter table message add column choice text;

-- A visitor whose page is open, or was.
create table visitor_presence (
  channel_id uuid not null references channel,
  kind text not null,
  value text not null,
  here boolean not null default true,
  seen_at timestamptz not null default now(),
  primary key (channel_id, kind, value)
);
create index visitor_presence_here on visitor_presence (seen_at) where here;

-- Who gets a live chat of a contact without an owner (ROUTE-10).
alter table routing_rule add column default_user_id uuid references app_user;
-- When somebody last got something: the tie between the least busy (ROUTE-9).
alter table app_user add column last_assigned_at timestamptz;
-- Of those who are equally busy, the one who got something last goes first, as the literal text has it.
alter table account add column recently_assigned_first boolean not null default false;
-- The newest authenticated request of a user that concerned a place.
create table place_activity (
  place_id uuid not null references place,
  user_id uuid not null references app_user,
  at timestamptz not null default now(),
  primary key (place_id, user_id)
);

-- Through which channel it goes, in place of the system sender's own way.
alter table system_mail add column channel_id uuid references channel;

-- What a plugin keeps of its provider, encrypted like secrets.
alter table channel add column state bytea;
alter table channel add column state_version int not null default 0;
alter table channel add column renewed_at timestamptz;
-- Since when there is something to fetch from the provider.
alter table channel add column catch_up_since timestamptz;
alter table channel add column catch_up_gap boolean not null default false;
`;

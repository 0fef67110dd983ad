import { sql, type Kysely } from 'kysely';

/** Attachments, filtered mail, automation, the system's own mail, submissions, imports, sign-in: nothing of what the version before reads or writes changes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- Blobs and attachments ------------------------------------------------------------------------------------------
-- A file's bytes, once by content hash, in pieces of a megabyte (CH-6).
create table blob (
  sha256 bytea primary key check (octet_length(sha256) = 32),
  bytes bigint not null check (bytes >= 0),
  created_at timestamptz not null default now()
);
create table blob_piece (
  sha256 bytea not null references blob on delete cascade,
  place int not null,
  data bytea not null check (octet_length(data) <= 1048576),
  primary key (sha256, place)
);

-- What a user has sent up and not used yet.
create table upload (
  id uuid primary key default uuidv7(),
  user_id uuid not null references app_user,
  sha256 bytea not null references blob,
  file_name text not null check (file_name <> ''),
  type text not null,
  bytes bigint not null,
  created_at timestamptz not null default now()
);
create index upload_age on upload (created_at);
create index upload_blob on upload (sha256);

create table attachment (
  id uuid primary key default uuidv7(),
  message_id uuid not null references message,
  position int not null,
  file_name text not null check (file_name <> ''),
  type text not null,
  bytes bigint,
  -- What the HTML calls it in a cid: address.
  content_id text,
  -- What the plugin needs to fetch it.
  ref text,
  state text not null check (state in ('WAITING', 'STORED', 'REFUSED', 'FAILED')),
  reason text,
  sha256 bytea references blob,
  tries int not null default 0,
  not_before timestamptz not null default now(),
  unique (message_id, position),
  check ((state = 'STORED') = (sha256 is not null)),
  check ((state in ('REFUSED', 'FAILED')) = (reason is not null))
);
create index attachment_waiting on attachment (not_before) where state = 'WAITING';
create index attachment_blob on attachment (sha256) where sha256 is not null;
insert into attachment (message_id, position, file_name, type, bytes, content_id, ref, state, reason)
  select m.id, a.place - 1, coalesce(nullif(a.item ->> 'fileName', ''), 'attachment-' || a.place), coalesce(a.item ->> 'type', 'application/octet-stream'),
    (a.item ->> 'bytes')::bigint, a.item ->> 'contentId', a.item ->> 'ref',
    case when m.raw_delivery_id is null then 'FAILED' else 'WAITING' end, case when m.raw_delivery_id is null then 'it was not stored when it came' end
  from message m cross join lateral jsonb_array_elements(m.attachments) with ordinality as a (item, place);
comment on column message.attachments is 'Not read any more: see attachment. A later migration drops it.';

-- Messages -------------------------------------------------------------------------------------------------------
alter table message
  add column html_safe text,
  add column quoted_text text,
  add column quoted_html_safe text,
  add column authentication jsonb;
comment on column message.html is 'All of it as it came: kept, never shown (CH-7).';
comment on column message.html_safe is 'The new part, sanitised, for display.';

-- Automatic mail that answers nothing, and spam: kept for a while, without a conversation (EMAIL-6).
create table filtered_message (
  id uuid primary key default uuidv7(),
  channel_id uuid not null references channel,
  raw_delivery_id bigint references raw_delivery,
  provider_message_id text not null,
  kind text not null check (kind in ('FILTERED', 'SPAM')),
  -- A fixed phrase: ANSWERS_NOTHING, DENY_LIST, FROM_ITSELF.
  reason text not null,
  sender jsonb,
  subject text,
  text text not null,
  received_at timestamptz not null,
  released_at timestamptz,
  unique (channel_id, provider_message_id)
);
create index filtered_message_recent on filtered_message (received_at, id);
create index filtered_message_delivery on filtered_message (raw_delivery_id) where raw_delivery_id is not null;
-- Taken in whatever a list says: a person let it pass.
alter table raw_delivery add column released boolean not null default false;

-- Senders the account always or never takes; the allow list wins.
create table sender_rule (
  id uuid primary key default uuidv7(),
  list text not null check (list in ('ALLOW', 'DENY')),
  -- 'ben@acme.com', or '@acme.com' for a domain.
  pattern text not null check (pattern = lower(pattern) and pattern ~ '^[^@ ]*@[^@ ]+$'),
  created_at timestamptz not null default now(),
  unique (list, pattern)
);

-- Channels -------------------------------------------------------------------------------------------------------
alter table channel
  add column on_contact_reply_status_id uuid,
  add column on_agent_reply_status_id uuid,
  add column on_close_message text check (on_close_message <> ''),
  add column checked_at timestamptz not null default now(),
  add constraint channel_contact_reply_status foreign key (on_contact_reply_status_id, default_pipeline_id) references ticket_status (id, pipeline_id),
  add constraint channel_agent_reply_status foreign key (on_agent_reply_status_id, default_pipeline_id) references ticket_status (id, pipeline_id);

-- Notifications and the system's own mail ------------------------------------------------------------------------
alter table notification drop constraint notification_kind_check;
alter table notification add constraint notification_kind_check
  check (kind in ('TICKET_ASSIGNED', 'TICKET_UNASSIGNED', 'MESSAGE_IN_CLOSED', 'CHANNEL_HEALTH'));
alter table notification add column channel_id uuid references channel;
-- Kinds a user wants in the API but not by mail, and the reverse.
create table notification_mail_off (
  user_id uuid not null references app_user,
  kind text not null,
  primary key (user_id, kind)
);

-- The account's own sender (CH-12): SMTP settings, or a connected channel.
create table system_sender (
  id boolean primary key default true check (id),
  channel_id uuid references channel,
  settings jsonb,
  secrets bytea,
  changed_at timestamptz not null default now(),
  check (num_nonnulls(channel_id, settings) = 1)
);
create table system_mail (
  id uuid primary key default uuidv7(),
  -- What it is: NOTIFICATION, OFFLINE_OWNER, TRANSCRIPT.
  kind text not null,
  user_id uuid references app_user,
  contact_id uuid references contact,
  recipient text not null,
  subject text not null,
  text text not null,
  html text,
  notification_id uuid unique references notification,
  conversation_id uuid references conversation,
  ticket_id uuid references ticket,
  state text not null default 'QUEUED' check (state in ('QUEUED', 'SENDING', 'SENT', 'FAILED', 'MAYBE_SENT', 'UNSENT')),
  reason text,
  attempt int not null default 0,
  not_before timestamptz not null default now(),
  sending_since timestamptz,
  created_at timestamptz not null default now(),
  settled_at timestamptz,
  check ((state = 'SENDING') = (sending_since is not null)),
  check ((state in ('FAILED', 'MAYBE_SENT', 'UNSENT')) = (reason is not null))
);
create index system_mail_open on system_mail (not_before) where state in ('QUEUED', 'SENDING');
create index system_mail_recent on system_mail (created_at, id);

-- Submissions ----------------------------------------------------------------------------------------------------
-- A form's answers with the labels they had then (FORM-3, FORM-4).
create table form_submission (
  message_id uuid primary key references message,
  channel_id uuid not null references channel,
  contact_id uuid references contact,
  fields jsonb not null,
  submitted_at timestamptz not null
);
create index form_submission_channel on form_submission (channel_id, submitted_at, message_id);
create index form_submission_contact on form_submission (contact_id) where contact_id is not null;

-- Imports --------------------------------------------------------------------------------------------------------
create table ticket_import (
  id uuid primary key default uuidv7(),
  user_id uuid not null references app_user,
  name text not null,
  format text not null check (format in ('NDJSON', 'CSV')),
  sha256 bytea not null references blob,
  pipeline_id uuid not null references pipeline,
  state text not null default 'RUNNING' check (state in ('RUNNING', 'DONE', 'FAILED')),
  reason text,
  bytes bigint not null,
  -- Everything before this byte is done; counters move in the rows' own transaction.
  position bigint not null default 0,
  line int not null default 0,
  header jsonb,
  created int not null default 0,
  known int not null default 0,
  bad int not null default 0,
  started_at timestamptz not null default now(),
  progressed_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'RUNNING') = (ended_at is null)),
  check ((state = 'FAILED') = (reason is not null))
);
create index ticket_import_running on ticket_import (progressed_at) where state = 'RUNNING';
create table ticket_import_problem (
  import_id uuid not null references ticket_import,
  line int not null,
  problems jsonb not null,
  primary key (import_id, line)
);
-- What a ticket is called where it came from: the same never comes in twice (MODEL-8).
alter table ticket add column external_id text, add column import_id uuid references ticket_import;
create unique index ticket_external_once on ticket (source, external_id) where external_id is not null;
create index ticket_import_of on ticket (import_id) where import_id is not null;

-- Sign-in --------------------------------------------------------------------------------------------------------
alter table api_token
  add column scopes text[] not null default '{*}',
  add column expires_at timestamptz,
  add column last_used_at timestamptz,
  add column created_by uuid references app_user,
  add column revoked_by uuid references app_user;
create index api_token_user on api_token (user_id);

-- Who a user is to an OpenID Connect provider (API-5).
create table sign_in_identity (
  issuer text not null,
  subject text not null,
  user_id uuid not null references app_user,
  created_at timestamptz not null default now(),
  primary key (issuer, subject)
);
create index sign_in_identity_user on sign_in_identity (user_id);

-- Requests by caller and window (API-7); nothing in it outlives its window.
create unlogged table rate_limit (
  key text primary key,
  points int not null default 0,
  expire bigint
);
create index rate_limit_expire on rate_limit (expire);

-- Erasing --------------------------------------------------------------------------------------------------------
-- An erased contact keeps its row, which nothing leads to a person from (OPS-9).
alter table contact add column erased_at timestamptz;
`;

import { sql, type Kysely } from 'kysely';

/** The move of a channel from an inbox to the help desk (MIG-1 to MIG-25). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
create table channel_migration (
  id uuid primary key default uuidv7(),
  channel_id uuid not null references channel,
  state text not null check (state in ('SCHEDULED', 'WITHDRAWN', 'RUNNING', 'COMPLETED', 'COMPLETED_WITH_REMAINDER')),
  history text not null check (history in ('ALL', 'NONE')),
  -- Of the tickets that are made: both of one pipeline.
  pipeline_id uuid,
  open_status_id uuid,
  closed_status_id uuid,
  -- Nobody is told of what the move makes or assigns.
  muted boolean not null default false,
  asked_by uuid not null references app_user,
  asked_at timestamptz not null default now(),
  -- When it was to start.
  start_at timestamptz not null default now(),
  withdrawn_at timestamptz,
  withdrawn_why text check (withdrawn_why in ('BY_HAND', 'NOT_ELIGIBLE', 'NOT_SUPER_ADMIN', 'STARTED_ANOTHER')),
  started_at timestamptz,
  ended_at timestamptz,
  -- Written by the walk alone, in the transaction that moves what it counts.
  phase text not null default 'WALKING' check (phase in ('WALKING', 'SWEEPING', 'ENDED')),
  position uuid not null default '00000000-0000-0000-0000-000000000000',
  batch_size int not null default 500 check (batch_size > 0),
  batches int not null default 0,
  sweeps int not null default 0,
  -- Conversations of the channel when it started.
  found int not null default 0,
  -- What it has moved; of that with a new ticket; of those nobody's, and those that lost their owner.
  walked int not null default 0,
  walked_new int not null default 0,
  walked_nobodys int not null default 0,
  walked_unassigned int not null default 0,
  progressed_at timestamptz,
  -- Milliseconds for which it has let live work go first; the measure of that in the minute before the start, null: too little came.
  waited_ms bigint not null default 0,
  live_before_ms int,
  foreign key (open_status_id, pipeline_id) references ticket_status (id, pipeline_id),
  foreign key (closed_status_id, pipeline_id) references ticket_status (id, pipeline_id),
  constraint channel_migration_mapping check (num_nonnulls(pipeline_id, open_status_id, closed_status_id) = case history when 'ALL' then 3 else 0 end),
  constraint channel_migration_started check ((state in ('SCHEDULED', 'WITHDRAWN')) = (started_at is null)),
  constraint channel_migration_ended check ((state in ('COMPLETED', 'COMPLETED_WITH_REMAINDER')) = (ended_at is not null)),
  constraint channel_migration_withdrawn check ((state = 'WITHDRAWN') = (withdrawn_why is not null) and (state = 'WITHDRAWN') = (withdrawn_at is not null))
);
create unique index channel_migration_one_running on channel_migration ((true)) where state = 'RUNNING';
create unique index channel_migration_one_ahead on channel_migration (channel_id) where state in ('SCHEDULED', 'RUNNING');
create unique index channel_migration_once on channel_migration (channel_id) where state in ('RUNNING', 'COMPLETED', 'COMPLETED_WITH_REMAINDER');
create index channel_migration_due on channel_migration (start_at) where state = 'SCHEDULED';

-- What a move did with a conversation, or saw of it. PULLED_FORWARD: moved by a message before its turn. JOINED: the same, and it came from another channel while the
-- move ran. FOLLOWED: it came after the end. ARRIVED: it began in the help desk meanwhile. GONE: it left the channel before its turn.
create table channel_migration_conversation (
  migration_id uuid not null references channel_migration,
  conversation_id uuid not null references conversation,
  how text not null check (how in ('WALKED', 'PULLED_FORWARD', 'JOINED', 'FOLLOWED', 'ARRIVED', 'GONE')),
  new_ticket boolean not null,
  -- Whose it was before, and whether it is nobody's since.
  owner_id uuid references app_user,
  unassigned boolean not null,
  from_place_id uuid references place,
  primary key (migration_id, conversation_id),
  constraint channel_migration_conversation_from check ((how in ('ARRIVED', 'GONE')) = (from_place_id is null))
);
-- Nothing is moved twice.
create unique index channel_migration_conversation_once on channel_migration_conversation (conversation_id) where how in ('WALKED', 'PULLED_FORWARD', 'JOINED', 'FOLLOWED');
create index channel_migration_conversation_beside on channel_migration_conversation (migration_id, how) where how <> 'WALKED';

-- What could not be moved: it stays in the inbox, and is tried again.
create table channel_migration_remainder (
  migration_id uuid not null references channel_migration,
  conversation_id uuid not null references conversation,
  -- PostgreSQL's code, or that of our own.
  reason text not null,
  -- It came from another channel while the move ran.
  joined boolean not null default false,
  tries int not null default 1,
  tried_at timestamptz not null default now(),
  -- The row as it was when it was tried: another one is tried at once.
  seen xid8,
  primary key (migration_id, conversation_id)
);

-- By whose they were: what the walk has moved. What was pulled forward is counted from its own rows.
create table channel_migration_owner (
  migration_id uuid not null references channel_migration,
  user_id uuid not null references app_user,
  moved int not null,
  assigned int not null,
  unassigned int not null,
  primary key (migration_id, user_id)
);

-- The runs of its workflow.
create table channel_migration_run (
  run_id text primary key,
  migration_id uuid not null references channel_migration,
  -- CONTINUED: of a longer one's history. RESTARTED: there was one that should have gone on.
  how text not null check (how in ('FIRST', 'CONTINUED', 'RESTARTED')),
  started_at timestamptz not null default now(),
  cancel_asked_at timestamptz
);
create index channel_migration_run_migration on channel_migration_run (migration_id, started_at);

-- The moved tickets get their goals, one batch after the other.
create table channel_migration_sla (
  migration_id uuid primary key references channel_migration,
  state text not null default 'RUNNING' check (state in ('RUNNING', 'DONE')),
  position uuid not null default '00000000-0000-0000-0000-000000000000',
  looked_at int not null default 0,
  total int not null,
  started_at timestamptz not null default now(),
  progressed_at timestamptz not null default now(),
  ended_at timestamptz,
  check ((state = 'DONE') = (ended_at is not null))
);

alter table notification drop constraint notification_kind_check;
alter table notification add constraint notification_kind_check
  check (kind in ('TICKET_ASSIGNED', 'TICKET_UNASSIGNED', 'MESSAGE_IN_CLOSED', 'CHANNEL_HEALTH', 'SLA_DUE_SOON', 'SLA_OVERDUE', 'MIGRATION_WITHDRAWN'));
-- One notification for many tickets of a move (MIG-17).
alter table notification add column migration_id uuid references channel_migration;
alter table notification add column count int check (count > 0);
create unique index notification_migration_once on notification (migration_id, user_id, kind) where migration_id is not null;

-- Once started it can not be undone, nor forgotten.
create function keep_migration() returns trigger language plpgsql as $$
begin
  if old.started_at is not null and (new.started_at is distinct from old.started_at or new.channel_id <> old.channel_id or new.history <> old.history) then
    raise exception 'TRUNKLINE: a move that has started is not undone' using errcode = 'restrict_violation';
  end if;
  if old.ended_at is not null and new.ended_at is distinct from old.ended_at then
    raise exception 'TRUNKLINE: a move that has ended has ended' using errcode = 'restrict_violation';
  end if;
  return new;
end $$;
create trigger channel_migration_goes_on before update of started_at, ended_at, channel_id, history on channel_migration for each row execute function keep_migration();
create trigger channel_migration_stays before delete on channel_migration for each row execute function refuse();
create trigger channel_migration_never_truncated before truncate on channel_migration execute function refuse();
`;

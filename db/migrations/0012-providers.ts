import { sql, type Kysely } from 'kysely';

/** What the engine keeps while it deals with a channel's provider: connecting, editing, catching up, renewing, and how fast it may send. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- A channel whose provider is being asked to connect it. It becomes the channel of this id and key, or it goes: nothing else refers to it.
create table channel_connecting (
  id uuid primary key,
  key text not null unique,
  plugin text not null,
  name text not null,
  address text not null,
  place_id uuid not null references place,
  settings jsonb not null,
  secrets bytea,
  state bytea,
  state_version int not null default 0,
  -- Whoever connects it has it until then; after that the guardian takes back what the provider was told.
  until timestamptz not null,
  abandoned boolean not null default false,
  unique (plugin, address)
);

-- Whose edit the provider is being told of: one at a time. Left behind by a process that died, it says that the provider must be told anew.
alter table channel add column telling uuid;
alter table channel add column telling_until timestamptz;
alter table channel add constraint channel_telling check ((telling is null) = (telling_until is null));

-- Its provider was in trouble: once it answers again, what was missed meanwhile is fetched.
alter table channel add column outage boolean not null default false;

-- Catching up. Each request counts; what was fetched of the provider covers those up to the count it began with.
alter table channel add column catch_up_asked int not null default 0;
alter table channel add column catch_up_fetched int not null default 0;
-- Not before, because the provider wants patience; and until when one who fetches a page has it.
alter table channel add column catch_up_after timestamptz not null default now();
alter table channel add column catch_up_until timestamptz;
alter table channel add column catch_up_tries int not null default 0;
alter table channel add column catch_up_held_by text;
alter table channel add column catch_up_recovered int not null default 0;
create index channel_catching_up on channel (catch_up_since) where catch_up_since is not null;
-- It came of catching up, not from a door.
alter table raw_delivery add column recovered boolean not null default false;

-- Renewing. Asked: a delivery could not be judged for want of a key.
alter table channel add column renew_asked_at timestamptz;
alter table channel add column renew_tried_at timestamptz;
alter table channel add column renew_failures int not null default 0;

-- The account's rate: when the next message may leave, and the end of the line of those that wait for their turn.
alter table channel add column paced_at timestamptz not null default now();
alter table channel add column pace_line_at timestamptz not null default now();
-- A message's turn in that line, and when it was last handed to its plugin.
alter table outbound add column slot_at timestamptz;
alter table outbound add column claimed_at timestamptz;
-- An approved text of the provider's with what stands in it.
alter table outbound add column template jsonb;
`;

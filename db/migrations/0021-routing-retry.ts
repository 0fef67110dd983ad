import { sql, type Kysely } from 'kysely';

/** Deciding again what nobody was free for, when somebody becomes free (ROUTE-13). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
alter table channel add column retry_when_available boolean not null default false;

-- Since when it waits because its newest decision found nobody free; any change of its owner ends that. It stands where the owner stands.
-- The pool: what besides the rule says who may have it. Two with the same channel, rule and pool wait for the same people.
alter table ticket add column nobody_free_since timestamptz;
alter table ticket add column nobody_free_pool text;
alter table ticket add constraint ticket_nobody_free check ((nobody_free_since is null) = (nobody_free_pool is null));
alter table conversation add column nobody_free_since timestamptz;
alter table conversation add column nobody_free_pool text;
alter table conversation add constraint conversation_nobody_free check ((nobody_free_since is null) = (nobody_free_pool is null));
create index ticket_nobody_free on ticket (nobody_free_since) where nobody_free_since is not null and closed_at is null;
create index conversation_nobody_free on conversation (nobody_free_since) where nobody_free_since is not null and status = 'OPEN';

-- Why something may find somebody now: a user became free, or something of a channel changed. Only ever added to by those who change it, so nobody
-- waits for anybody; what is decided again removes what it has seen.
create table routing_retry_cause (
  id bigint generated always as identity primary key,
  user_id uuid references app_user,
  channel_id uuid references channel,
  at timestamptz not null default clock_timestamp(),
  check (num_nonnulls(user_id, channel_id) = 1)
);
`;

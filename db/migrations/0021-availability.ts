import { sql, type Kysely } from 'kysely';

/**
 * When somebody is available (ROUTE-12). `availability` stays what SQL reads; it is right until `availability_until`, and who reads it for a decision
 * brings those who are past it up to date first.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- The next moment at which it changes by itself; null: it does not.
alter table app_user add column availability_until timestamptz;
-- Since when it is set by hand; null: it follows working hours and absences.
alter table app_user add column availability_set_at timestamptz;
create index app_user_availability_until on app_user (availability_until) where availability_until is not null;
-- Nobody had working hours, so away was said by hand. It holds for good, as before.
update app_user set availability_set_at = now() where availability = 'AWAY';

-- By the clock of the user's own time zone, in minutes after midnight: [from, to). 1 is Monday. Without any, all time is working time.
create table working_period (
  user_id uuid not null references app_user,
  weekday smallint not null check (weekday between 1 and 7),
  from_minute smallint not null check (from_minute >= 0),
  to_minute smallint not null check (to_minute <= 1440),
  primary key (user_id, weekday, from_minute),
  check (from_minute < to_minute)
);

create table out_of_office (
  id uuid primary key default uuidv7(),
  user_id uuid not null references app_user,
  from_at timestamptz not null,
  to_at timestamptz not null,
  check (from_at < to_at)
);
create index out_of_office_user on out_of_office (user_id, to_at);
`;

import { sql, type Kysely } from 'kysely';

/** How one of the eligible is chosen, in full: limits on what somebody may own, turns, and skills (ROUTE-11). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- Open tickets somebody may own before no decision gives them another: in all, and by the routing group of the channel. Null: no limit.
alter table app_user add column capacity_total int check (capacity_total >= 0);
alter table app_user add column capacity_voice int check (capacity_voice >= 0);
alter table app_user add column capacity_messaging int check (capacity_messaging >= 0);
alter table app_user add column capacity_written int check (capacity_written >= 0);

alter table routing_rule drop constraint routing_rule_method_check;
alter table routing_rule add constraint routing_rule_method_check check (method in ('RANDOM', 'LEAST_BUSY', 'ROUND_ROBIN'));
-- Whose turns it goes on with: a rule that is edited is another row, and its members keep their turns. Null: its own.
alter table routing_rule add column cycle_id uuid references routing_rule;

-- The running cycle of a rule, and how many turns it has given. Written under the routing lock only.
create table routing_cycle (
  rule_id uuid primary key references routing_rule,
  cycle int not null check (cycle > 0),
  turn bigint not null check (turn > 0)
);
-- Each member's newest turn, and the cycle it was of.
create table routing_turn (
  rule_id uuid not null references routing_cycle,
  user_id uuid not null references app_user,
  cycle int not null,
  turn bigint not null,
  primary key (rule_id, user_id),
  constraint routing_turn_once unique (rule_id, turn)
);

create table skill (
  id uuid primary key default uuidv7(),
  category text not null check (category ~ '^[a-z][a-z0-9-]{0,39}$'),
  name text not null check (name <> ''),
  created_at timestamptz not null default now(),
  -- Rules that are no longer in force may still name it.
  deleted_at timestamptz
);
create unique index skill_name_unique on skill (category, lower(name)) where deleted_at is null;

create table user_skill (
  user_id uuid not null references app_user,
  skill_id uuid not null references skill,
  primary key (user_id, skill_id)
);
create index user_skill_skill on user_skill (skill_id);

-- Of a routing rule, in order: what a ticket must be like, and which skills it asks for then.
create table skill_rule (
  id uuid primary key default uuidv7(),
  rule_id uuid not null references routing_rule,
  position int not null check (position > 0),
  conditions jsonb not null,
  -- With nobody free who has them all: wait unassigned, or go on as if it had not matched.
  otherwise text not null check (otherwise in ('WAIT', 'FALL_BACK')),
  unique (rule_id, position)
);
create table skill_rule_skill (
  skill_rule_id uuid not null references skill_rule,
  skill_id uuid not null references skill,
  primary key (skill_rule_id, skill_id)
);
create index skill_rule_skill_skill on skill_rule_skill (skill_id);
`;

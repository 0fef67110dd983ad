import { sql, type Kysely } from 'kysely';

/** What the system's own mail waits for, how often a channel's check failed, and the switches users had made stay made for mail. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
-- Since when it waits: a mail that somebody queues again gets its full time again.
alter table system_mail add column queued_at timestamptz not null default now();
-- Why the last try failed: a code or a fixed phrase, while it is tried again too.
alter table system_mail add column last_failure text;
create index system_mail_settled on system_mail (settled_at) where settled_at is not null;
-- Until then nothing goes out: its server asked for patience, or can not be reached.
alter table system_sender add column send_after timestamptz not null default '-infinity';
-- Checks in a row that could not reach the provider.
alter table channel add column check_failures int not null default 0;
-- Until now the one switch was the whole switch.
insert into notification_mail_off (user_id, kind) select user_id, kind from notification_off on conflict do nothing;
`;

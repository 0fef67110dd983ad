import { sql, type Kysely } from 'kysely';

/** An attachment that waits knows the channel that fetches it, so that what waits on one channel costs the others nothing, and until when somebody does so. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(STATEMENTS).execute(db);
}

const STATEMENTS = /* sql */ `
alter table attachment add column channel_id uuid references channel, add column fetching_until timestamptz;
update attachment a set channel_id = m.channel_id from message m where m.id = a.message_id and a.state = 'WAITING';
update attachment a set state = 'FAILED', reason = 'the delivery it came with is gone' from message m
  where m.id = a.message_id and a.state = 'WAITING' and not exists (select 1 from raw_delivery r where r.id = m.raw_delivery_id);
alter table attachment add constraint attachment_waits_on_a_channel check (state <> 'WAITING' or channel_id is not null);
alter table attachment add constraint attachment_is_fetched_while_it_waits check (state = 'WAITING' or fetching_until is null);
drop index attachment_waiting;
create index attachment_waiting on attachment (channel_id, not_before) where state = 'WAITING';
comment on column blob.created_at is 'When it was last stored: kept for a while though nothing refers to it yet.';
`;

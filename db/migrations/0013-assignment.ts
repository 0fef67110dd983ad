import { sql, type Kysely } from 'kysely';

/**
 * The view of who has what, in two branches by the row the owner stands in. Before, it was the ticket's or else the conversation's in one
 * expression, which no index answers: counting somebody's open ones read every conversation there is. And a rule's default user goes with one kind only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(/* sql */ `
create or replace view assignment as
  select c.id as conversation_id, c.ticket_id, c.owner_id, c.team_id, c.status = 'OPEN' as open, c.place_id
  from conversation c where c.ticket_id is null
  union all
  select t.conversation_id, t.id, t.owner_id, t.team_id, t.closed_at is null, c.place_id
  from ticket t left join conversation c on c.id = t.conversation_id;
alter table routing_rule add constraint routing_rule_default_user check (default_user_id is null or kind = 'CONTACT_OWNER');
`)
    .execute(db);
}

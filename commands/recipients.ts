import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { StoredIdentity } from '#db/schema.ts';

/**
 * Where somebody of these kinds of identity is reached in a conversation: who wrote last, or the address that was given since to be answered at; else the oldest
 * that the contact is known by. Null: nowhere.
 */
export async function reachedAt(tx: Db | Tx, conversationId: string, kinds: readonly string[]): Promise<StoredIdentity | null> {
  const fitting = [...kinds];
  const { rows } = await sql<{ recipient: StoredIdentity | null }>`
    select coalesce(
      (select heard.who from (
         (select m.sender as who, m.received_at as at from message m where m.conversation_id = c.id and m.direction = 'INBOUND' and not m.automatic
            and m.sender ->> 'kind' = any(${fitting}::text[]) order by m.occurred_at desc, m.arrival desc limit 1)
         union all
         (select jsonb_build_object('kind', p.kind, 'value', p.value), p.given_at from participant p where p.conversation_id = c.id
            and p.kind = any(${fitting}::text[]) and p.given_at is not null order by p.given_at desc limit 1)
       ) heard order by heard.at desc limit 1),
      (select jsonb_build_object('kind', i.kind, 'value', i.value) from contact_identity i
         where i.contact_id = c.contact_id and i.kind = any(${fitting}::text[]) order by i.created_at limit 1)
    ) as recipient
    from conversation c where c.id = ${conversationId}`.execute(tx);
  return rows[0]?.recipient ?? null;
}

/** What a contact typed to be answered at in a conversation. */
export interface GivenAddress extends Pick<StoredIdentity, 'kind' | 'value'> {
  readonly conversation_id: string;
  readonly given_at: Date;
}

/** So many are told, the newest: anybody may type as many as they like. */
const GIVEN_TOLD = 10;

/** Of each of these conversations, the last given first; one statement for any number. */
export async function givenAddresses(db: Db | Tx, conversationIds: readonly string[]): Promise<GivenAddress[]> {
  const { rows } = await sql<GivenAddress>`
    select p.conversation_id, p.kind, p.value, p.given_at from unnest(${[...conversationIds]}::uuid[]) as c (id), lateral (
      select conversation_id, kind, value, given_at from participant where conversation_id = c.id and given_at is not null
      order by given_at desc, kind, value limit ${GIVEN_TOLD}) p
    order by p.conversation_id, p.given_at desc, p.kind, p.value`.execute(db);
  return rows;
}

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

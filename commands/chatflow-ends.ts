import { sql } from 'kysely';
import type { ChatflowState } from '#db/schema.ts';
import type { Unit } from './unit.ts';

/** How a chatflow can be over in a conversation by what others do. */
export type EndWhy = 'REPLIED' | 'ANSWERED_ELSEWHERE' | 'ASSIGNED' | 'CLOSED';

/** Ends what goes on in these conversations, whose locks the caller holds; where nothing does, nothing happens. */
export async function endRuns(
  unit: Unit,
  conversationIds: readonly string[],
  state: Extract<ChatflowState, 'TAKEN_OVER' | 'ENDED'>,
  why: EndWhy,
): Promise<void> {
  if (conversationIds.length === 0) return;
  const { rows } = await sql<{ conversation_id: string; ticket_id: string | null; place_id: string; channel_id: string; key: string; plugin: string }>`
    update chatflow_run r set state = ${state}, wait_until = null, version = r.version + 1, changed_at = now()
    from conversation c join channel h on h.id = c.channel_id
    where r.conversation_id = any(${[...conversationIds]}::uuid[]) and r.state in ('RUNNING', 'WAITING') and c.id = r.conversation_id
    returning c.id as conversation_id, c.ticket_id, c.place_id, h.id as channel_id, h.key, h.plugin`.execute(unit.tx);
  for (const row of rows) {
    unit.record({
      kind: 'CHATFLOW_ENDED',
      channelId: row.channel_id,
      conversationId: row.conversation_id,
      ticketId: row.ticket_id,
      placeId: row.place_id,
      why: state === 'TAKEN_OVER' ? 'TAKEN_OVER' : why,
    });
    // So that its workflow does not wait for an answer until the question is given up.
    unit.wake({ kind: 'chatflow', conversationId: row.conversation_id, channelKey: row.key, plugin: row.plugin });
  }
}

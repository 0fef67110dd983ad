import type { Tx } from '#db/database.ts';
import type { Decision } from '#domain/routing.ts';
import type { Subject } from './subjects.ts';

/** Keeps an automatic decision with all that it rested on (ROUTE-14). */
export async function storeDecision(tx: Tx, subject: Subject, { ownerId, explanation }: Decision): Promise<void> {
  await tx
    .insertInto('routing_decision')
    .values({
      conversation_id: subject.conversationId,
      ticket_id: subject.ticketId,
      rule_id: explanation.ruleId,
      chosen_user_id: ownerId,
      explanation: JSON.stringify(explanation),
    })
    .execute();
}

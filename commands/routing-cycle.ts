import type { Tx } from '#db/database.ts';
import { nextCycle, type Turn } from '#domain/round-robin.ts';

/** Notes that somebody had their turn (ROUTE-11). Under the routing lock, in the transaction of the decision: a turn is had exactly when it is committed. */
export async function noteTurn(tx: Tx, cycleId: string, userId: string, chosen: Turn): Promise<void> {
  const running = await tx.selectFrom('routing_cycle').select(['cycle', 'turn']).where('rule_id', '=', cycleId).executeTakeFirst();
  const next = nextCycle(running ?? null, chosen);
  await tx
    .insertInto('routing_cycle')
    .values({ rule_id: cycleId, ...next })
    .onConflict((conflict) => conflict.column('rule_id').doUpdateSet(next))
    .execute();
  await tx
    .insertInto('routing_turn')
    .values({ rule_id: cycleId, user_id: userId, ...next })
    .onConflict((conflict) => conflict.columns(['rule_id', 'user_id']).doUpdateSet(next))
    .execute();
}

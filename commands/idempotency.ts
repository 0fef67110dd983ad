import { sql } from 'kysely';
import { IdempotencyKeyReused } from './refusals.ts';
import type { Unit } from './unit.ts';

export interface IdempotentCall {
  readonly caller: string;
  /** Null: the caller gave none; the work is simply done. */
  readonly key: string | null;
  readonly operation: string;
  readonly input: unknown;
  /** Keyed, for the input can hold a secret. */
  readonly hash: (text: string) => Buffer;
}

/**
 * Does the work once for a (caller, key). The key's row is the transaction's first write, so a second call waits for the first and then
 * gets its answer; other arguments are refused (API-4). The answer is type and ids only. Throws `IdempotencyKeyReused`.
 */
export async function once<T extends object>(unit: Unit, call: IdempotentCall, work: () => Promise<T>): Promise<T> {
  const { caller, key, operation } = call;
  if (key === null) return work();
  const hash = call.hash(`${operation}\0${canonical(call.input)}`);
  const inserted = await unit.tx
    .insertInto('idempotency_key')
    .values({ caller, key, operation, arguments_hash: hash })
    .onConflict((conflict) => conflict.columns(['caller', 'key']).doNothing())
    .returning(sql<number>`1`.as('one'))
    .executeTakeFirst();
  if (inserted === undefined) {
    const before = await unit.tx
      .selectFrom('idempotency_key')
      .select(['operation', 'arguments_hash', 'answer'])
      .where('caller', '=', caller)
      .where('key', '=', key)
      .executeTakeFirstOrThrow();
    if (before.operation !== operation || !before.arguments_hash.equals(hash)) throw new IdempotencyKeyReused(before.operation);
    return before.answer as T;
  }
  const answer = await work();
  await unit.tx
    .updateTable('idempotency_key')
    .set({ answer: JSON.stringify(answer) })
    .where('caller', '=', caller)
    .where('key', '=', key)
    .execute();
  return answer;
}

/** JSON with sorted keys, so that the order in which a client writes them makes no difference. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

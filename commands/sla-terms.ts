import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { PolicyTerms } from '#domain/sla-policy.ts';
import { loadTerms } from './sla-rows.ts';

/** What a policy says from now on: new terms, which are the old ones but for what is given. The old stay, for tickets have them. */
export async function writeTerms(
  tx: Tx,
  policy: { readonly id: string; readonly terms_id: string },
  changed: Partial<Omit<PolicyTerms, 'id' | 'policyId' | 'number'>>,
): Promise<void> {
  const before = (await loadTerms(tx, [policy.terms_id])).get(policy.terms_id);
  if (before === undefined) throw new Error('a policy without terms');
  const id = await insertTerms(tx, policy.id, { ...before, ...changed });
  await tx
    .updateTable('sla_policy')
    .set((eb) => ({ terms_id: id, version: eb('version', '+', 1) }))
    .where('id', '=', policy.id)
    .execute();
}

/** Writes terms, and returns their id. */
export async function insertTerms(
  tx: Tx,
  policyId: string,
  { conditions, targets, pauseStatusIds, calendar, actions }: Omit<PolicyTerms, 'id' | 'policyId' | 'number'>,
): Promise<string> {
  const id = newId();
  await tx
    .insertInto('sla_terms')
    .values({
      id,
      policy_id: policyId,
      conditions: JSON.stringify(conditions),
      targets: JSON.stringify(targets),
      pause_status_ids: [...pauseStatusIds],
      calendar: JSON.stringify(calendar),
      actions: JSON.stringify(actions),
    })
    .execute();
  return id;
}

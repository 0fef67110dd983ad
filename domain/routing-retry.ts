import type { Explanation } from './routing.ts';

/**
 * Whether a decision left it unassigned because nobody was free, and then for whom it waits besides those the rule names: what two must have in common to
 * wait for the same people. Of the rule *contact owner* the owner and the default user themselves; of a rule with skills the skill rule that was met.
 * Null: it does not wait for anybody to become free (ROUTE-13).
 */
export function waitsFor({ outcome, rule, candidates, skillRule }: Pick<Explanation, 'outcome' | 'rule' | 'candidates' | 'skillRule'>): string | null {
  if (outcome !== 'NOBODY_ELIGIBLE') return null;
  if (rule === 'SPECIFIC') return skillRule?.id ?? '';
  if (rule !== 'CONTACT_OWNER') return null;
  // Whose contact was not recognised would not get it were they free.
  const ids = candidates.filter(({ reason }) => reason !== 'NOT_RECOGNISED').map(({ userId }) => userId);
  return ids.length === 0 ? null : ids.toSorted().join(',');
}

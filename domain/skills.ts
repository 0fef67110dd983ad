import { allHold, conditionsProblems, countProblems, keyOfCondition, repeated, type Condition, type TicketFacts, type WrittenProblem } from './conditions.ts';

/** Which skills a ticket asks for that meets all the conditions (ROUTE-11). */
export interface SkillRule {
  readonly id: string;
  /** From 1, in the order in which they are tried. */
  readonly position: number;
  readonly conditions: readonly Condition[];
  /** Ids of skills. */
  readonly required: readonly string[];
  /** With nobody free who has them all: wait unassigned, or go on as if it had not matched. */
  readonly otherwise: 'WAIT' | 'FALL_BACK';
}

/** The first rule of which every condition holds; null: none, or there is no ticket to look at. */
export function matchingSkillRule(rules: readonly SkillRule[], ticket: TicketFacts | null): SkillRule | null {
  if (ticket === null) return null;
  return rules.toSorted((a, b) => a.position - b.position).find(({ conditions }) => allHold(conditions, ticket)) ?? null;
}

export type WrittenSkillRule = Pick<SkillRule, 'conditions' | 'otherwise'> & { readonly skillIds: readonly string[] };

/** Of a ticket's own properties those that a skill rule may ask for. */
const OWN = ['pipeline', 'priority'];
/** Rules of a list, skills of a rule. */
export const SKILL_LIMITS = { rules: 50, skills: 20 } as const;

/** Everything that is wrong with a list of rules as it was written; the rest asks what there is. */
export function skillRuleProblems(rules: readonly WrittenSkillRule[]): readonly WrittenProblem[] {
  const problems: WrittenProblem[] = [];
  if (rules.length > SKILL_LIMITS.rules) problems.push({ path: '', message: `at most ${SKILL_LIMITS.rules} rules` });
  const seen = new Map<string, number>();
  for (const [index, { conditions, skillIds }] of rules.entries()) {
    if (conditions.length === 0) problems.push({ path: `${index}.conditions`, message: 'at least one condition' });
    problems.push(...countProblems(`${index}.skillIds`, skillIds, SKILL_LIMITS.skills, 'skill'));
    problems.push(...repeated(skillIds).map((at) => ({ path: `${index}.skillIds.${at}`, message: 'is named twice' })));
    problems.push(...conditionsProblems(`${index}.conditions`, conditions, OWN));
    // The later one would never be reached.
    const key = conditions.map(keyOfCondition).toSorted().join(' ');
    const earlier = seen.get(key);
    if (earlier !== undefined) problems.push({ path: `${index}.conditions`, message: `are those of rule ${earlier + 1}: this one would never be reached` });
    else seen.set(key, index);
  }
  return problems;
}

/** What must hold of a ticket: `pipeline`, `priority`, or `properties.<name>` for a custom property. */
export interface SkillCondition {
  readonly property: string;
  readonly operator: 'IS' | 'IN' | 'CONTAINS';
  /** One for IS and CONTAINS. Of `pipeline` ids. */
  readonly values: readonly string[];
}

/** Which skills a ticket asks for that meets all the conditions (ROUTE-11). */
export interface SkillRule {
  readonly id: string;
  /** From 1, in the order in which they are tried. */
  readonly position: number;
  readonly conditions: readonly SkillCondition[];
  /** Ids of skills. */
  readonly required: readonly string[];
  /** With nobody free who has them all: wait unassigned, or go on as if it had not matched. */
  readonly otherwise: 'WAIT' | 'FALL_BACK';
}

/** What conditions look at. */
export interface TicketFacts {
  readonly pipelineId: string;
  readonly priority: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** The first rule of which every condition holds; null: none, or there is no ticket to look at. */
export function matchingSkillRule(rules: readonly SkillRule[], ticket: TicketFacts | null): SkillRule | null {
  if (ticket === null) return null;
  return rules.toSorted((a, b) => a.position - b.position).find(({ conditions }) => conditions.every((one) => holds(one, ticket))) ?? null;
}

/** What can be wrong with a rule besides names that nobody knows. */
export interface SkillProblem {
  /** Within the list: `0.conditions.1.values`. */
  readonly path: string;
  readonly message: string;
}

export type WrittenSkillRule = Pick<SkillRule, 'conditions' | 'otherwise'> & { readonly skillIds: readonly string[] };

export const PRIORITIES: readonly string[] = ['LOW', 'MEDIUM', 'HIGH', 'URGENT'];
/** Rules of a list, conditions and skills of a rule, values of a condition, characters of a value or of a property's name. */
export const SKILL_LIMITS = { rules: 50, conditions: 10, skills: 20, values: 50, characters: 200 } as const;

/** Everything that is wrong with a list of rules as it was written; the rest asks what there is. */
export function skillRuleProblems(rules: readonly WrittenSkillRule[]): readonly SkillProblem[] {
  const problems: SkillProblem[] = [];
  if (rules.length > SKILL_LIMITS.rules) problems.push({ path: '', message: `at most ${SKILL_LIMITS.rules} rules` });
  const seen = new Map<string, number>();
  for (const [index, { conditions, skillIds }] of rules.entries()) {
    problems.push(...countProblems(`${index}.conditions`, conditions, SKILL_LIMITS.conditions, 'condition'));
    problems.push(...countProblems(`${index}.skillIds`, skillIds, SKILL_LIMITS.skills, 'skill'));
    problems.push(...repeated(skillIds).map((at) => ({ path: `${index}.skillIds.${at}`, message: 'is named twice' })));
    for (const [at, condition] of conditions.entries()) problems.push(...conditionProblems(`${index}.conditions.${at}`, condition));
    problems.push(...repeated(conditions.map(keyOf)).map((at) => ({ path: `${index}.conditions.${at}`, message: 'is the same as another' })));
    // The later one would never be reached.
    const key = conditions.map(keyOf).toSorted().join(' ');
    const earlier = seen.get(key);
    if (earlier !== undefined) problems.push({ path: `${index}.conditions`, message: `are those of rule ${earlier + 1}: this one would never be reached` });
    else seen.set(key, index);
  }
  return problems;
}

function countProblems(path: string, list: readonly unknown[], most: number, what: string): SkillProblem[] {
  if (list.length === 0) return [{ path, message: `at least one ${what}` }];
  return list.length > most ? [{ path, message: `at most ${most}` }] : [];
}

function conditionProblems(path: string, { property, operator, values }: SkillCondition): SkillProblem[] {
  const problems: SkillProblem[] = [];
  const custom = customName(property);
  if (property !== 'pipeline' && property !== 'priority' && custom === null) {
    return [{ path: `${path}.property`, message: 'must be pipeline, priority or properties.<name>' }];
  }
  if (property.length > SKILL_LIMITS.characters) problems.push({ path: `${path}.property`, message: `at most ${SKILL_LIMITS.characters} characters` });
  if (operator === 'CONTAINS' && custom === null) problems.push({ path: `${path}.operator`, message: `${property} has IS and IN only` });
  problems.push(...countProblems(`${path}.values`, values, operator === 'IN' ? SKILL_LIMITS.values : 1, 'value'));
  problems.push(...repeated(values.map(fold)).map((at) => ({ path: `${path}.values.${at}`, message: 'is named twice' })));
  for (const [at, value] of values.entries()) {
    if (value.trim() === '') problems.push({ path: `${path}.values.${at}`, message: 'must not be empty' });
    else if (value.length > SKILL_LIMITS.characters) problems.push({ path: `${path}.values.${at}`, message: `at most ${SKILL_LIMITS.characters} characters` });
    else if (property === 'priority' && !PRIORITIES.includes(value)) {
      problems.push({ path: `${path}.values.${at}`, message: `must be one of ${PRIORITIES.join(', ')}` });
    }
  }
  return problems;
}

/** The places of those that stood there before. */
function repeated(list: readonly string[]): number[] {
  return list.flatMap((one, index) => (list.indexOf(one) < index ? [index] : []));
}

const keyOf = ({ property, operator, values }: SkillCondition): string => JSON.stringify([property, operator, values.map(fold).toSorted()]);

const CUSTOM = 'properties.';

function customName(property: string): string | null {
  return property.startsWith(CUSTOM) && property.length > CUSTOM.length ? property.slice(CUSTOM.length) : null;
}

function holds({ property, operator, values }: SkillCondition, ticket: TicketFacts): boolean {
  const wanted = values.map(fold);
  const found = valueOf(property, ticket);
  const texts = textsOf(found);
  if (operator !== 'CONTAINS') return texts.some((text) => wanted.includes(text));
  // A list has an element or has it not; a text has it anywhere in it.
  return texts.some((text) => (Array.isArray(found) ? wanted.includes(text) : wanted.some((one) => text.includes(one))));
}

function valueOf(property: string, ticket: TicketFacts): unknown {
  if (property === 'pipeline') return ticket.pipelineId;
  if (property === 'priority') return ticket.priority;
  const name = customName(property);
  return name !== null && Object.hasOwn(ticket.properties, name) ? ticket.properties[name] : null;
}

/** Compared without regard to case; objects and what is missing are equal to nothing. */
function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((one: unknown) => (Array.isArray(one) ? [] : textsOf(one)));
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [fold(String(value))] : [];
}

function fold(text: string): string {
  return text.trim().toLowerCase();
}

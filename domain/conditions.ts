/** What must hold of a ticket: a property of its own (`pipeline`, `priority`, `team`, `source`), or `properties.<name>` for a custom one. */
export interface Condition {
  readonly property: string;
  readonly operator: 'IS' | 'IN' | 'CONTAINS';
  /** One for IS and CONTAINS. Of `pipeline` and `team` ids. */
  readonly values: readonly string[];
}

/** What conditions look at. */
export interface TicketFacts {
  readonly pipelineId: string;
  readonly priority: string;
  readonly properties: Readonly<Record<string, unknown>>;
  /** The team it was given to, else its owner's primary one; null: none. */
  readonly teamId?: string | null;
  /** Where it came from: a channel's key, API, IMPORT, INTEGRATION, WORKFLOW. */
  readonly source?: string;
}

/** What is wrong with something that was written down. */
export interface WrittenProblem {
  /** Within what was written: `0.conditions.1.values`. */
  readonly path: string;
  readonly message: string;
}

export const PRIORITIES: readonly string[] = ['LOW', 'MEDIUM', 'HIGH', 'URGENT'];
/** Conditions of a list, values of a condition, characters of a value or of a property's name. */
export const CONDITION_LIMITS = { conditions: 10, values: 50, characters: 200 } as const;

const CUSTOM = 'properties.';

/** Whether all of them hold of a ticket; of none they do. */
export function allHold(conditions: readonly Condition[], ticket: TicketFacts): boolean {
  return conditions.every((one) => holds(one, ticket));
}

/** Everything that is wrong with conditions as they were written; whether the pipelines and teams they name are there is not asked. */
export function conditionsProblems(path: string, conditions: readonly Condition[], own: readonly string[]): WrittenProblem[] {
  const problems: WrittenProblem[] = [];
  if (conditions.length > CONDITION_LIMITS.conditions) problems.push({ path, message: `at most ${CONDITION_LIMITS.conditions}` });
  for (const [at, condition] of conditions.entries()) problems.push(...conditionProblems(`${path}.${at}`, condition, own));
  problems.push(...repeated(conditions.map(keyOfCondition)).map((at) => ({ path: `${path}.${at}`, message: 'is the same as another' })));
  return problems;
}

function conditionProblems(path: string, { property, operator, values }: Condition, own: readonly string[]): WrittenProblem[] {
  const problems: WrittenProblem[] = [];
  const custom = customName(property);
  if (!own.includes(property) && custom === null) {
    return [{ path: `${path}.property`, message: `must be ${own.join(', ')} or ${CUSTOM}<name>` }];
  }
  const { characters, values: most } = CONDITION_LIMITS;
  if (property.length > characters) problems.push({ path: `${path}.property`, message: `at most ${characters} characters` });
  if (operator === 'CONTAINS' && custom === null) problems.push({ path: `${path}.operator`, message: `${property} has IS and IN only` });
  problems.push(...countProblems(`${path}.values`, values, operator === 'IN' ? most : 1, 'value'));
  problems.push(...repeated(values.map(fold)).map((at) => ({ path: `${path}.values.${at}`, message: 'is named twice' })));
  for (const [at, value] of values.entries()) {
    if (value.trim() === '') problems.push({ path: `${path}.values.${at}`, message: 'must not be empty' });
    else if (value.length > characters) problems.push({ path: `${path}.values.${at}`, message: `at most ${characters} characters` });
    else if (property === 'priority' && !PRIORITIES.includes(value)) {
      problems.push({ path: `${path}.values.${at}`, message: `must be one of ${PRIORITIES.join(', ')}` });
    }
  }
  return problems;
}

/** At least one, and at most so many. */
export function countProblems(path: string, list: readonly unknown[], most: number, what: string): WrittenProblem[] {
  if (list.length === 0) return [{ path, message: `at least one ${what}` }];
  return list.length > most ? [{ path, message: `at most ${most}` }] : [];
}

/** The places of those that stood there before. */
export function repeated(list: readonly string[]): number[] {
  return list.flatMap((one, index) => (list.indexOf(one) < index ? [index] : []));
}

/** The same for two that ask the same. */
export function keyOfCondition({ property, operator, values }: Condition): string {
  return JSON.stringify([property, operator, values.map(fold).toSorted()]);
}

function customName(property: string): string | null {
  return property.startsWith(CUSTOM) && property.length > CUSTOM.length ? property.slice(CUSTOM.length) : null;
}

function holds({ property, operator, values }: Condition, ticket: TicketFacts): boolean {
  const wanted = values.map(fold);
  const found = valueOf(property, ticket);
  const texts = textsOf(found);
  if (operator !== 'CONTAINS') return texts.some((text) => wanted.includes(text));
  // A list has an element or has it not; a text has it anywhere in it.
  return texts.some((text) => (Array.isArray(found) ? wanted.includes(text) : wanted.some((one) => text.includes(one))));
}

function valueOf(property: string, ticket: TicketFacts): unknown {
  switch (property) {
    case 'pipeline':
      return ticket.pipelineId;
    case 'priority':
      return ticket.priority;
    case 'team':
      return ticket.teamId ?? null;
    case 'source':
      return ticket.source ?? null;
    default: {
      const name = customName(property);
      return name !== null && Object.hasOwn(ticket.properties, name) ? ticket.properties[name] : null;
    }
  }
}

/** Compared without regard to case; objects and what is missing are equal to nothing. */
function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((one: unknown) => (Array.isArray(one) ? [] : textsOf(one)));
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [fold(String(value))] : [];
}

function fold(text: string): string {
  return text.trim().toLowerCase();
}

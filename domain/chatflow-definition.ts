import {
  firstHandOff,
  nextOf,
  PERSON_LABEL,
  waits,
  type AskStep,
  type BotDefinition,
  type DefinitionProblem,
  type LiveDefinition,
  type Step,
} from './chatflow.ts';
import { labelKey, offered, writtenOut } from './chatflow-replies.ts';
import { Shape, type Showing } from './chatflow-shape.ts';

export type Checked<Definition> = { readonly definition: Definition } | { readonly problems: readonly DefinitionProblem[] };

/** Reads the definition of a live chatflow out of any JSON. */
export function checkLive(value: unknown, showing: Showing): Checked<LiveDefinition> {
  const shape = new Shape(showing);
  return shape.live(value) ? { definition: value } : { problems: shape.problems };
}

/**
 * Reads the definition of a bot out of any JSON, with everything that is wrong, each by its path: first the shape, and where that is right the script
 * itself, so that one that is taken never gets stuck: every step leads on, is reached, and comes to a question or an end.
 */
export function checkBot(value: unknown, showing: Showing): Checked<BotDefinition> {
  const shape = new Shape(showing);
  if (!shape.bot(value)) return { problems: shape.problems };
  checkIds(shape, value);
  // What follows asks where steps lead.
  if (shape.problems.length > 0) return { problems: shape.problems };
  checkReached(shape, value);
  checkLoops(shape, value);
  for (const [index, step] of value.steps.entries()) {
    const path = `steps.${index}`;
    if (step.type === 'ask') checkProperty(shape, step, path);
    if (step.type === 'branch') checkBranch(shape, value, step, path);
    checkReplies(shape, value, step, path, showing);
  }
  return shape.problems.length === 0 ? { definition: value } : { problems: shape.problems };
}

function checkIds(shape: Shape, { start, steps }: BotDefinition): void {
  const known = new Set<string>();
  for (const [index, { id }] of steps.entries()) {
    if (known.has(id)) shape.problem(`steps.${index}.id`, `${id} is the id of a step before it`);
    known.add(id);
  }
  const named = (id: string, path: string): void => {
    if (!known.has(id)) shape.problem(path, `there is no step ${id}`);
  };
  named(start, 'start');
  for (const [index, step] of steps.entries()) {
    const path = `steps.${index}`;
    if ('next' in step) named(step.next, `${path}.next`);
    if (step.type === 'say') for (const [at, one] of (step.quickReplies ?? []).entries()) named(one.next, `${path}.quickReplies.${at}.next`);
    if (step.type !== 'branch') continue;
    named(step.otherwise, `${path}.otherwise`);
    for (const [at, one] of step.cases.entries()) {
      named(one.next, `${path}.cases.${at}.next`);
      named(one.step, `${path}.cases.${at}.step`);
    }
  }
}

/** Every step that can follow these, they included. */
function reachedFrom(steps: readonly Step[], ids: readonly string[]): ReadonlySet<string> {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const reached = new Set<string>();
  const open = [...ids];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const step = byId.get(id);
    if (step === undefined || reached.has(id)) continue;
    reached.add(id);
    open.push(...nextOf(step));
  }
  return reached;
}

function checkReached(shape: Shape, definition: BotDefinition): void {
  // The wish for a person leads there from everywhere.
  const handOff = firstHandOff(definition);
  const reached = reachedFrom(definition.steps, [definition.start, ...(handOff === undefined ? [] : [handOff.id])]);
  for (const [index, { id }] of definition.steps.entries()) if (!reached.has(id)) shape.problem(`steps.${index}`, `no step leads to ${id}`);
}

/** A cycle in which nobody is waited for would talk for ever; each is named once, by the step of it that comes first in the list. */
function checkLoops(shape: Shape, { steps }: BotDefinition): void {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const settled = new Set<string>();
  for (const first of steps) {
    // A walk without recursion: a script of many steps in a row is deep.
    const path: string[] = [];
    const open: { readonly id: string; readonly depth: number }[] = [{ id: first.id, depth: 0 }];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const done of path.splice(at.depth)) settled.add(done);
      const step = byId.get(at.id);
      if (step === undefined || waits(step) || settled.has(step.id)) continue;
      const back = path.indexOf(step.id);
      if (back >= 0) {
        const loop = path.slice(back);
        shape.problem(`steps.${steps.findIndex(({ id }) => loop.includes(id))}`, `goes round for ever without a question: ${[...loop, step.id].join(' → ')}`);
        continue;
      }
      path.push(step.id);
      for (const id of nextOf(step)) open.push({ id, depth: path.length });
    }
    for (const done of path) settled.add(done);
  }
}

/** The kinds of answer each property takes; custom ones take any. */
const CONTACT_PROPERTIES: Readonly<Record<string, AskStep['answer']['type']>> = { name: 'text', email: 'email', phone: 'phone' };
export const PRIORITIES = ['LOW', 'MEDIUM', 'HIGH', 'URGENT'] as const;
const CUSTOM = /^properties\.[A-Za-z][A-Za-z0-9_-]{0,63}$/;

function checkProperty(shape: Shape, { of, property, answer }: AskStep, path: string): void {
  if (of === 'contact') {
    const type = Object.hasOwn(CONTACT_PROPERTIES, property) ? CONTACT_PROPERTIES[property] : undefined;
    if (type === undefined) shape.problem(`${path}.property`, 'of a contact: name, email or phone');
    else if (type !== answer.type) shape.problem(`${path}.answer.type`, `${property} is asked for as ${type}`);
  } else if (property === 'priority') {
    const values = (answer.choices ?? []).map((one) => one.value ?? one.label);
    if (answer.type !== 'choice' || values.some((value) => !PRIORITIES.some((one) => one === value))) {
      shape.problem(`${path}.answer`, `the priority is a choice of the values ${PRIORITIES.join(', ')}`);
    }
  } else if (!CUSTOM.test(property)) {
    shape.problem(`${path}.property`, 'of a ticket: priority, or properties.<name> with a name of letters, digits, _ and -');
  }
}

function checkBranch(shape: Shape, { steps }: BotDefinition, step: Extract<Step, { type: 'branch' }>, path: string): void {
  for (const [at, one] of step.cases.entries()) {
    const asked = steps.find(({ id }) => id === one.step);
    const where = `${path}.cases.${at}`;
    if (asked?.type !== 'ask') {
      shape.problem(`${where}.step`, `${one.step} asks nothing`);
    } else if (!reachedFrom(steps, [asked.next]).has(step.id)) {
      shape.problem(`${where}.step`, `${one.step} can not have been answered by then: no way leads from it to ${step.id}`);
    } else if ((one.operator === 'greater-than' || one.operator === 'less-than') && asked.answer.type !== 'number') {
      shape.problem(`${where}.operator`, `${one.step} does not ask for a number`);
    }
  }
}

/** Labels must be told apart, also from the one that leads to a person; and where they are written out, they must fit under the text. */
function checkReplies(shape: Shape, definition: BotDefinition, step: Step, path: string, { maxTextLength, quickReplies }: Showing): void {
  const [list, at] =
    step.type === 'say' ? [step.quickReplies ?? [], 'quickReplies'] : step.type === 'ask' ? [step.answer.choices ?? [], 'answer.choices'] : [[], ''];
  const seen = new Set([labelKey(definition.personLabel ?? PERSON_LABEL)]);
  for (const [index, { label }] of list.entries()) {
    if (seen.has(labelKey(label)))
      shape.problem(`${path}.${at}.${index}.label`, 'is offered already: labels must differ, also from the one that leads to a person');
    seen.add(labelKey(label));
  }
  if (quickReplies !== undefined || maxTextLength === null || !('text' in step) || step.text === undefined) return;
  // What is said before asking again comes above the question.
  const text = step.type === 'ask' && step.invalidText !== undefined ? `${step.invalidText}\n\n${step.text}` : step.text;
  const length = writtenOut(text, offered(definition, step)).length;
  if (length > maxTextLength) shape.problem(`${path}.text`, `is ${length} characters long with what can be chosen, this channel takes ${maxTextLength}`);
}

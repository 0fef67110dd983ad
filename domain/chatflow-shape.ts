import { CHATFLOW_LIMITS, type BotDefinition, type DefinitionProblem, type LiveDefinition, type Step, type StepType } from './chatflow.ts';

/** What a channel's plugin can show: limits of texts and of quick replies. */
export interface Showing {
  /** Characters, or null for no limit. */
  readonly maxTextLength: number | null;
  /** Undefined: choices are written out as a list. */
  readonly quickReplies?: { readonly maxCount: number; readonly maxLength: number } | undefined;
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown, path: string) => void;

/** The shape of a definition, field by field: what is unknown, missing or of the wrong kind or length. The definition itself where nothing is. */
export class Shape {
  readonly problems: DefinitionProblem[] = [];
  readonly #textLimit: number;
  readonly #labelLimit: number;
  readonly #choiceLimit: number;

  constructor({ maxTextLength, quickReplies }: Showing) {
    this.#textLimit = Math.min(maxTextLength ?? CHATFLOW_LIMITS.text, CHATFLOW_LIMITS.text);
    this.#labelLimit = Math.min(quickReplies?.maxLength ?? CHATFLOW_LIMITS.label, CHATFLOW_LIMITS.label);
    // One of them leads to a person.
    this.#choiceLimit = Math.min((quickReplies?.maxCount ?? Number.POSITIVE_INFINITY) - 1, CHATFLOW_LIMITS.choices);
  }

  live(value: unknown): value is LiveDefinition {
    this.#object(value, '', {}, { instantReply: this.#text });
    return this.problems.length === 0;
  }

  bot(value: unknown): value is BotDefinition {
    this.#object(
      value,
      '',
      { start: this.#id, steps: this.#list(1, CHATFLOW_LIMITS.steps, this.#step) },
      { personLabel: this.#label, giveUpMinutes: this.#whole(1, CHATFLOW_LIMITS.giveUpMinutes) },
    );
    return this.problems.length === 0;
  }

  problem(path: string, message: string): void {
    this.problems.push({ path, message });
  }

  readonly #step: Check = (value, path) => {
    const type = isFields(value) ? value['type'] : undefined;
    if (!isFields(value) || typeof type !== 'string' || !isStepType(type)) {
      return this.problem(`${path}${isFields(value) ? '.type' : ''}`, isFields(value) ? `is one of ${STEP_TYPES.join(', ')}` : 'must be an object');
    }
    const { required, optional } = this.#fieldsOf(type);
    this.#object(value, path, { id: this.#id, type: () => undefined, ...required }, optional);
  };

  #fieldsOf(type: StepType): { readonly required: Readonly<Record<string, Check>>; readonly optional: Readonly<Record<string, Check>> } {
    switch (type) {
      case 'say':
        return { required: { text: this.#text, next: this.#id }, optional: { quickReplies: this.#list(1, this.#choiceLimit, this.#quickReply) } };
      case 'ask':
        return {
          required: { text: this.#text, of: this.#oneOf(['contact', 'ticket']), property: this.#string(1, 100), answer: this.#answer, next: this.#id },
          optional: { invalidText: this.#text },
        };
      case 'branch':
        return { required: { cases: this.#list(1, CHATFLOW_LIMITS.cases, this.#case), otherwise: this.#id }, optional: {} };
      case 'create-ticket':
        return { required: { next: this.#id }, optional: {} };
      case 'hand-off':
        return { required: { rule: this.#rule }, optional: { text: this.#text } };
      case 'end':
        return { required: {}, optional: { text: this.#text, close: this.#boolean } };
    }
  }

  readonly #quickReply: Check = (value, path) => this.#object(value, path, { label: this.#label, next: this.#id });

  readonly #answer: Check = (value, path) => {
    this.#object(value, path, { type: this.#oneOf(ANSWER_TYPES) }, { choices: this.#list(1, this.#choiceLimit, this.#choice) });
    if (!isFields(value)) return;
    if ((value['type'] === 'choice') !== (value['choices'] !== undefined)) {
      this.problem(
        `${path}.choices`,
        value['type'] === 'choice' ? 'an answer of the type choice needs choices' : 'only an answer of the type choice has choices',
      );
    }
  };

  readonly #choice: Check = (value, path) => this.#object(value, path, { label: this.#label }, { value: this.#string(1, CHATFLOW_LIMITS.label) });

  readonly #case: Check = (value, path) => {
    this.#object(value, path, { step: this.#id, operator: this.#oneOf(OPERATORS), next: this.#id }, { value: this.#compared });
    if (!isFields(value)) return;
    const { operator } = value;
    const compared = value['value'];
    if (operator === 'known' || operator === 'unknown') {
      if (compared !== undefined) this.problem(`${path}.value`, `${operator} compares with nothing`);
    } else if (operator === 'greater-than' || operator === 'less-than') {
      if (typeof compared !== 'number') this.problem(`${path}.value`, `${operator} compares with a number`);
    } else if (compared === undefined) {
      this.problem(`${path}.value`, 'is missing');
    }
  };

  readonly #rule: Check = (value, path) => {
    const ids = this.#list(0, 200, this.#string(1, 100));
    this.#object(
      value,
      path,
      { kind: this.#oneOf(['NOBODY', 'SPECIFIC', 'CONTACT_OWNER']) },
      { method: this.#string(1, 40), availableOnly: this.#boolean, userIds: ids, teamIds: ids, defaultUserId: this.#string(1, 100) },
    );
  };

  #object(value: unknown, path: string, required: Readonly<Record<string, Check>>, optional: Readonly<Record<string, Check>> = {}): void {
    if (!isFields(value)) return this.problem(path, 'must be an object');
    const at = (field: string): string => (path === '' ? field : `${path}.${field}`);
    for (const [field, check] of Object.entries(required)) {
      if (Object.hasOwn(value, field)) check(value[field], at(field));
      else this.problem(at(field), 'is missing');
    }
    for (const [field, check] of Object.entries(optional)) if (Object.hasOwn(value, field)) check(value[field], at(field));
    for (const field of Object.keys(value)) {
      if (!Object.hasOwn(required, field) && !Object.hasOwn(optional, field)) this.problem(at(field), 'is no field of this');
    }
  }

  #list(fewest: number, most: number, each: Check): Check {
    return (value, path) => {
      if (!Array.isArray(value)) return this.problem(path, 'must be a list');
      if (value.length < fewest) this.problem(path, `needs at least ${fewest}`);
      if (value.length > most) return this.problem(path, `has ${value.length}, at most ${most}`);
      for (const [index, one] of value.entries()) each(one, `${path}.${index}`);
    };
  }

  #string(fewest: number, most: number): Check {
    return (value, path) => {
      if (typeof value !== 'string') return this.problem(path, 'must be a text');
      if (value.trim().length < fewest) return this.problem(path, 'must not be empty');
      if (value.length > most) this.problem(path, `is ${value.length} characters long, at most ${most}`);
      // PostgreSQL keeps neither.
      else if (value.includes('\0') || !value.isWellFormed()) this.problem(path, 'holds characters that can not be kept');
    };
  }

  #whole(least: number, most: number): Check {
    return (value, path) => {
      if (!Number.isInteger(value) || Number(value) < least || Number(value) > most) this.problem(path, `a whole number from ${least} to ${most}`);
    };
  }

  #oneOf(words: readonly string[]): Check {
    return (value, path) => {
      if (typeof value !== 'string' || !words.includes(value)) this.problem(path, `is one of ${words.join(', ')}`);
    };
  }

  readonly #boolean: Check = (value, path) => {
    if (typeof value !== 'boolean') this.problem(path, 'is true or false');
  };
  readonly #compared: Check = (value, path) => {
    if (typeof value === 'number' ? !Number.isFinite(value) : typeof value !== 'string') return this.problem(path, 'is a text or a number');
    if (typeof value === 'string') this.#string(1, CHATFLOW_LIMITS.answer)(value, path);
  };
  readonly #id: Check = (value, path) => {
    // It stands in workflow histories and summaries.
    if (typeof value !== 'string' || !STEP_ID.test(value)) this.problem(path, 'is an id: 1 to 40 of a to z, 0 to 9 and -, a letter first');
  };
  readonly #text: Check = (value, path) => this.#string(1, this.#textLimit)(value, path);
  readonly #label: Check = (value, path) => this.#string(1, this.#labelLimit)(value, path);
}

const STEP_ID = /^[a-z][a-z0-9-]{0,39}$/;
const STEP_TYPES: readonly Step['type'][] = ['say', 'ask', 'branch', 'create-ticket', 'hand-off', 'end'];
const ANSWER_TYPES = ['text', 'email', 'phone', 'number', 'choice'];
const OPERATORS = ['is', 'is-not', 'contains', 'greater-than', 'less-than', 'known', 'unknown'];

function isStepType(value: string): value is StepType {
  return STEP_TYPES.some((one) => one === value);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong between fields. */
export interface FieldProblem {
  readonly path: (string | number)[];
  readonly message: string;
}

/** Fields of a ticket that are the channel's to say, never a form's (FORM-1). */
const OF_THE_CHANNEL = ['pipeline', 'status'];

/** What fields of a form must be to one another. Takes settings that may be wrong in themselves, so that everything is told at once. */
export function fieldProblems(settings: unknown): readonly FieldProblem[] {
  if (!isRecord(settings)) return [];
  const isNew = settings['origin'] !== 'existing';
  const listed = Array.isArray(settings['fields']) ? settings['fields'] : [];
  const fields = listed.map((field: unknown) => (isRecord(field) ? field : {}));
  const problems: FieldProblem[] = [];
  const names = fields.map((field) => field['name']);
  for (const [index, field] of fields.entries()) {
    const at = (key: string, message: string): void => void problems.push({ path: ['fields', index, key], message });
    const { name } = field;
    if (typeof name === 'string' && names.indexOf(name) < index) at('name', 'another field has this name');
    if (isNew && typeof name === 'string' && OF_THE_CHANNEL.includes(name)) at('name', `${name} is one of the channel's ticket defaults: change it there`);
    if (isNew && name === 'name' && field['kind'] !== 'text' && field['kind'] !== 'choice') at('kind', "the ticket's name must be text or choice");
    if (isNew && name === 'description' && field['kind'] !== 'area' && field['kind'] !== 'text') at('kind', "the ticket's description must be area or text");
    if (field['hidden'] === true && field['required'] === true) at('required', 'a hidden field can not be required: nobody could fill it in');
    if (field['hidden'] === true && field['kind'] === 'file') at('hidden', 'a file can not be hidden');
    if (field['kind'] === 'file' && field['value'] !== undefined) at('value', 'a file has no value at first');
    if (typeof field['min'] === 'number' && typeof field['max'] === 'number' && field['min'] > field['max']) at('max', 'must not be less than min');
    if (sameValues(field['options'])) at('options', 'two options have the same value');
  }
  if (!isNew && fields.length === 0) problems.push({ path: ['fields'], message: 'an existing form has at least one field' });
  for (const [key, name] of TICKET_ROLES) {
    if (isNew && settings[key] !== undefined) problems.push({ path: [key], message: `a new form's is its field ${name}` });
  }
  for (const [key, kinds] of ROLES) {
    const wanted = settings[key];
    if (typeof wanted !== 'string' || (isNew && TICKET_ROLES.has(key))) continue;
    const field = fields.find(({ name }) => name === wanted);
    if (field === undefined) problems.push({ path: [key], message: 'there is no such field' });
    else if (!kinds.includes(String(field['kind']))) problems.push({ path: [key], message: `must be a field of kind ${kinds.join(' or ')}` });
  }
  return problems;
}

const ROLES: readonly (readonly [string, readonly string[]])[] = [
  ['senderEmail', ['email']],
  ['senderName', ['text']],
  ['subjectField', ['text', 'choice']],
  ['descriptionField', ['area', 'text']],
];

/** What a new form has in any case. */
const TICKET_ROLES: ReadonlyMap<string, string> = new Map([
  ['subjectField', 'name'],
  ['descriptionField', 'description'],
]);

function sameValues(options: unknown): boolean {
  if (!Array.isArray(options)) return false;
  const values = options.map((option: unknown) => (isRecord(option) ? option['value'] : option));
  return new Set(values).size < values.length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { canonicalAddress, type InboundMessage } from '@trunkline/channel-sdk';
import { cleanLine, cleanText } from './clean.ts';
import { HIDDEN_LENGTH, MAX_FILE_BYTES, MAX_FILES, type FieldOf, type FormField } from './field.ts';
import type { SentFile, Submitted } from './submitted.ts';

/** A form's answer, as the contract has it. */
export type Answer = NonNullable<InboundMessage['fields']>[number];

export interface FieldError {
  /** Null: it is about all of it. */
  readonly field: string | null;
  readonly message: string;
}

export interface Checked {
  /** What was filled in, in the form's order, with the labels as they are now. */
  readonly answers: readonly Answer[];
  readonly files: readonly SentFile[];
  /** Everything that is wrong; empty: it can be taken in. */
  readonly errors: readonly FieldError[];
}

/**
 * Reads a submission by the form's definition: the same for the page, for embedded forms and for JSON clients (FORM-2). What the form does not ask for is
 * passed over: a pipeline or a status, which are the channel's to say (FORM-1), or a field of another version. Pure.
 */
export function checkSubmission(definition: { readonly fields: readonly FormField[] }, submitted: Submitted): Checked {
  const answers: Answer[] = [];
  const errors: FieldError[] = [];
  const files = submitted.files.filter((file) => definition.fields.some(({ kind, name }) => kind === 'file' && name === file.field));
  for (const field of definition.fields) {
    const { name, label, hidden } = field;
    const { value, error } = field.kind === 'file' ? readFiles(field, files) : readField(field, submitted);
    if (value !== '') answers.push({ name, label, value, hidden });
    if (error !== undefined) errors.push({ field: name, message: error });
  }
  const [last] = files.slice(MAX_FILES);
  if (last !== undefined && !errors.some(({ field }) => field === last.field)) errors.push({ field: last.field, message: `At most ${MAX_FILES} files.` });
  return { answers, files, errors };
}

interface Value {
  /** Empty: nothing was filled in. */
  readonly value: string;
  readonly error?: string;
}

function readField(field: Exclude<FormField, { readonly kind: 'file' }>, { values, wrongTypes }: Submitted): Value {
  const given = values.get(field.name) ?? [];
  // Nobody can mend what nobody sees: it is taken as it is.
  if (field.hidden) return { value: cleanText(given[0] ?? field.value ?? '').slice(0, HIDDEN_LENGTH) };
  if (wrongTypes.has(field.name)) return { value: '', error: 'Must be a text, a number, true or false.' };
  if (given.length > 1) return { value: cleanText(given.join('\n')), error: 'This was sent more than once.' };
  const text = field.kind === 'area' ? cleanText(given[0] ?? '') : cleanText(given[0] ?? '').replace(/\s+/g, ' ');
  if (field.kind === 'checkbox') return readCheckbox(field, text);
  if (text === '')
    return field.required ? { value: '', error: field.kind === 'choice' ? 'Choose one of the options.' : 'Please fill this in.' } : { value: '' };
  return readText(field, text);
}

function readText(field: Exclude<FormField, { readonly kind: 'file' | 'checkbox' }>, text: string): Value {
  switch (field.kind) {
    case 'text':
    case 'area':
      return text.length > field.maxLength ? { value: text, error: `At most ${field.maxLength} characters; these are ${text.length}.` } : { value: text };
    case 'email': {
      const address = canonicalAddress(text);
      return address === undefined ? { value: text, error: 'Enter an email address like name@example.com.' } : { value: address };
    }
    case 'phone':
      return /^[+\d][\d\s().\-/]*$/.test(text) && text.length <= 40 && /^\d{3,20}$/.test(text.replace(/\D/g, ''))
        ? { value: text }
        : { value: text, error: 'Enter a phone number like +49 30 123456.' };
    case 'number':
      return readNumber(field, text);
    case 'choice': {
      const chosen = field.options.find(({ value }) => value === text);
      return chosen === undefined ? { value: text, error: 'Choose one of the options.' } : { value: chosen.label };
    }
    case 'date':
      return isDate(text) ? { value: text } : { value: text, error: 'Enter a date like 2026-01-31.' };
  }
}

function readCheckbox(field: FieldOf<'checkbox'>, text: string): Value {
  const ticked = !['', 'false', 'off', 'no', '0'].includes(text.toLowerCase());
  if (!ticked && field.required) return { value: '', error: 'Please tick this box.' };
  return { value: ticked ? 'Yes' : 'No' };
}

function readNumber({ min, max }: FieldOf<'number'>, text: string): Value {
  const number = /^[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})(e[+-]?\d{1,2})?$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(number)) return { value: text, error: 'Enter a number.' };
  if (min !== undefined && number < min) return { value: text, error: `Must be ${min} or more.` };
  if (max !== undefined && number > max) return { value: text, error: `Must be ${max} or less.` };
  return { value: text };
}

function isDate(text: string): boolean {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : new Date(Number.NaN);
  // JavaScript reads the 31st of February as the 3rd of March.
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

function readFiles(field: FieldOf<'file'>, all: readonly SentFile[]): Value {
  const files = all.filter((file) => file.field === field.name);
  const value = files.map(({ fileName }) => fileName).join(', ');
  if (files.length === 0) return field.required ? { value, error: 'Choose a file.' } : { value };
  if (files.length > 1 && !field.multiple) return { value, error: 'Choose one file only.' };
  const large = files.find(({ content }) => content.byteLength > MAX_FILE_BYTES);
  if (large !== undefined) return { value, error: `${cleanLine(large.fileName, 60)} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MB.` };
  const foreign = files.find((file) => field.accept.length > 0 && !field.accept.some((kind) => fits(file, kind)));
  if (foreign !== undefined) return { value, error: `${cleanLine(foreign.fileName, 60)} is of another kind than ${field.accept.join(', ')}.` };
  return { value };
}

/** By its name or by what the browser says it is: for people who choose the wrong file, and no protection against anybody. */
function fits({ fileName, type }: SentFile, kind: string): boolean {
  if (kind.startsWith('.')) return fileName.toLowerCase().endsWith(kind);
  return kind.endsWith('/*') ? type.startsWith(kind.slice(0, -1)) : type === kind;
}

import { z } from 'zod';

/** Bytes of one file, and files of one submission. */
export const MAX_FILE_BYTES = 10 * 1024 * 1024;
export const MAX_FILES = 5;

/** Characters a hidden field may hold: nobody types into it, so nobody could be told that it is too long. */
export const HIDDEN_LENGTH = 1_000;

/** One line as an admin types it. */
export const line = (longest: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(longest)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be one line');

/** What a field is called in a submission. Names that begin with an underscore are the page's own. */
export const fieldName = z.string().regex(/^[A-Za-z][\w.:-]{0,63}$/, 'must be 1 to 64 letters, digits and . : _ -, beginning with a letter');

const common = {
  name: fieldName,
  label: line(200),
  /** A sentence under the label. */
  help: line(500).optional(),
  required: z.boolean().default(false),
  /** Filled in by the page around it, not by the visitor; not shown to agents. */
  hidden: z.boolean().default(false),
  /** What stands in it at first. */
  value: z.string().max(HIDDEN_LENGTH).optional(),
  /** What browsers may fill in: `organization`, `postal-code`. */
  autocomplete: z
    .string()
    .regex(/^[a-z][a-z0-9 -]{0,60}$/, 'must be a token of HTML')
    .optional(),
};

const option = z
  .union([line(200), z.strictObject({ value: line(200), label: line(200) })], { error: 'must be a text, or a value and a label' })
  .transform((one) => (typeof one === 'string' ? { value: one, label: one } : one));

/** `.pdf`, `image/*` or `application/pdf`. */
const kindOfFile = z
  .string()
  .trim()
  .toLowerCase()
  .regex(/^(\.[a-z0-9]{1,12}|[a-z]+\/(\*|[a-z0-9][\w.+-]{0,99}))$/, 'must be like .pdf, application/pdf or image/*');

const length = (otherwise: number, most: number) => z.int().min(1).max(most).default(otherwise);

/** A field of a form (FORM-1). */
export const fieldSchema = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('text'), ...common, maxLength: length(200, 1_000) }),
    z.strictObject({ kind: z.literal('area'), ...common, maxLength: length(5_000, 20_000) }),
    z.strictObject({ kind: z.literal('email'), ...common }),
    z.strictObject({ kind: z.literal('phone'), ...common }),
    z.strictObject({ kind: z.literal('number'), ...common, min: z.number().optional(), max: z.number().optional() }),
    z.strictObject({ kind: z.literal('choice'), ...common, options: z.array(option).min(1).max(200) }),
    z.strictObject({ kind: z.literal('checkbox'), ...common }),
    z.strictObject({ kind: z.literal('date'), ...common }),
    z.strictObject({ kind: z.literal('file'), ...common, accept: z.array(kindOfFile).max(30).default([]), multiple: z.boolean().default(false) }),
  ],
  { error: 'must be text, area, email, phone, number, choice, checkbox, date or file' },
);

export type FormField = z.output<typeof fieldSchema>;
export type FieldOf<Kind extends FormField['kind']> = Extract<FormField, { readonly kind: Kind }>;

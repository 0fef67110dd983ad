import { z } from 'zod';
import { fieldName, fieldSchema, line, type FormField } from './field.ts';
import { fieldProblems } from './field-problems.ts';

const DEFAULT_ACCENT = '#1d4ed8';

/** `https://acme.com`, as a browser says where a page is from. */
const origin = z.string().transform((text, context) => {
  if (text === '*') return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  context.addIssue({ code: 'custom', message: 'must be an origin like https://acme.com, without a path, or *' });
  return z.NEVER;
});

const webAddress = z
  .string()
  .trim()
  .max(2_000)
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'must be an address that begins with https://');

const shape = z.strictObject({
  /** The connected address of the form; made from the title unless given, and kept from then on. */
  formId: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$/, 'must be 1 to 60 lower-case letters, digits and dashes')
    .optional(),
  /** `existing`: the form stands on a page of the account's own, and its fields are kept as they are there. */
  origin: z.enum(['new', 'existing']).default('new'),
  title: line(200),
  intro: z.string().trim().min(1).max(2_000).optional(),
  fields: z.array(fieldSchema).max(50).optional(),
  /** Which field says to whom the answer goes; the first of kind email unless given. */
  senderEmail: fieldName.optional(),
  senderName: fieldName.optional(),
  /** Of an existing form, which field is the ticket's name. */
  subjectField: fieldName.optional(),
  /** Of an existing form, which field is the ticket's description. */
  descriptionField: fieldName.optional(),
  submitLabel: line(60).default('Send'),
  thanks: z.string().trim().min(1).max(2_000).default('Thank you. We have your message.'),
  /** Where the visitor goes in place of the page that thanks. */
  redirectTo: webAddress.optional(),
  closedText: z.string().trim().min(1).max(2_000).default('This form is closed at the moment.'),
  /** Sites that may embed the form or post to it from a browser. Our own page always may; `*`: all. */
  allowedOrigins: z.array(origin).max(50).default([]),
  /** The key of the channel by which answers go unless the agent names another. */
  replyChannel: z
    .string()
    .regex(/^[a-z0-9-]{3,60}$/, 'must be the key of a channel')
    .optional(),
  accent: z
    .string()
    .toLowerCase()
    .regex(/^#[0-9a-f]{6}$/, 'must be a colour like #1d4ed8')
    .default(DEFAULT_ACCENT),
});

/** What an admin types (FORM-1). Every wrong field is one issue with its path; what comes out, put in again, comes out the same. */
export const settingsSchema = shape
  // Also where a field is wrong in itself: all that is wrong stands in one answer.
  .superRefine((settings, context) => fieldProblems(settings).forEach((problem) => context.addIssue({ code: 'custom', ...problem })), { when: () => true })
  .transform((settings) => {
    const fields = completed(settings.origin, settings.fields);
    const senderEmail = settings.senderEmail ?? fields.find((field) => field.kind === 'email' && !field.hidden)?.name;
    return { ...settings, fields, formId: settings.formId ?? slug(settings.title), ...(senderEmail === undefined ? {} : { senderEmail }) };
  });

export type FormSettings = z.output<typeof settingsSchema>;

/** The ticket's own fields, which a new form has in any case. */
const TICKET_FIELDS: readonly FormField[] = [
  { kind: 'text', name: 'name', label: 'What is it about?', required: true, hidden: false, maxLength: 200 },
  { kind: 'area', name: 'description', label: 'How can we help?', required: true, hidden: false, maxLength: 5_000 },
];

const SENDER: FormField = { kind: 'email', name: 'email', label: 'Your email address', required: true, hidden: false };

function completed(formOrigin: 'new' | 'existing', fields: readonly FormField[] | undefined): readonly FormField[] {
  if (formOrigin === 'existing') return fields ?? [];
  const given = fields ?? [SENDER];
  return [...given, ...TICKET_FIELDS.filter(({ name }) => !given.some((field) => field.name === name))];
}

/** Letters and digits of the title; the same title gives the same, so that a second try to connect it is found out. */
function slug(title: string): string {
  const words = title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  return words.replace(/^-+/, '').slice(0, 60).replace(/-+$/, '') || `form-${Buffer.from(title).toString('hex').slice(0, 55)}`;
}

import { z } from 'zod';
import { fieldName, fieldSchema } from './field.ts';
import type { FormSettings } from './settings.ts';

/**
 * What a submission needs of the form to be read: kept with each one, so that a later edit changes nothing of what was sent before (FORM-4). A new
 * version of the plugin reads what the older ones wrote.
 */
export const definitionSchema = z.object({
  title: z.string(),
  fields: z.array(fieldSchema),
  senderEmail: fieldName.nullable(),
  senderName: fieldName.nullable(),
  /** The field that is the ticket's name; null: the form's title is. */
  subject: fieldName.nullable(),
  /** The field that is the ticket's description; null: it has none. */
  description: fieldName.nullable(),
});

export type Definition = z.output<typeof definitionSchema>;

/** What a stored submission carries beside its body: the form as it was, and what tells it apart from others. */
export const KEPT = { definition: 'x-form-definition', id: 'x-form-submission' } as const;

export function definitionOf(settings: FormSettings): Definition {
  const { title, fields, senderEmail, senderName, subjectField, descriptionField } = settings;
  return {
    title,
    fields: [...fields],
    senderEmail: senderEmail ?? null,
    senderName: senderName ?? null,
    subject: settings.origin === 'new' ? 'name' : (subjectField ?? null),
    description: settings.origin === 'new' ? 'description' : (descriptionField ?? null),
  };
}

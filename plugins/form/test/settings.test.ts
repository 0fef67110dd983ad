import { expect, it } from 'vitest';
import plugin from '../index.ts';
import { settingsSchema, type FormSettings } from '../settings.ts';
import { typed } from './support.ts';

function problems(settings: unknown): string[] {
  const result = settingsSchema.safeParse(settings);
  return result.success ? [] : result.error.issues.map((issue) => issue.path.join('.')).toSorted();
}

it('a new form has the ticket fields name and description, whatever else it asks for [FORM-1]', () => {
  const bare = settingsSchema.parse({ title: 'Contact us' });
  expect(bare.fields.map(({ kind, name, required }) => [kind, name, required])).toEqual([
    ['email', 'email', true],
    ['text', 'name', true],
    ['area', 'description', true],
  ]);
  expect(bare).toMatchObject({ formId: 'contact-us', origin: 'new', senderEmail: 'email' });
  const own = settingsSchema.parse({ title: 'x', fields: [{ kind: 'text', name: 'name', label: 'In one line' }] });
  expect(own.fields.map(({ name, label }) => [name, label])).toEqual([
    ['name', 'In one line'],
    ['description', 'How can we help?'],
  ]);
});

it('a new form has no field for pipeline or status: they are the channel’s ticket defaults [FORM-1]', () => {
  const fields = ['pipeline', 'status'].map((name) => ({ kind: 'text', name, label: name }));
  expect(problems({ title: 'x', fields })).toEqual(['fields.0.name', 'fields.1.name']);
  expect(problems({ title: 'x', origin: 'existing', fields })).toEqual([]);
});

it('an existing form keeps its fields and gets none [FORM-1]', () => {
  const fields = [{ kind: 'text', name: 'your-subject', label: 'Subject' }];
  const settings = settingsSchema.parse({ title: 'Old form', origin: 'existing', fields, subjectField: 'your-subject' });
  expect(settings.fields.map(({ name }) => name)).toEqual(['your-subject']);
  expect(settings.senderEmail).toBeUndefined();
  expect(problems({ title: 'x', origin: 'existing' })).toEqual(['fields']);
});

it('names every wrong field in one answer, also those that are wrong only together [CH-3]', () => {
  const wrong = {
    formId: 'Not A Slug',
    title: '',
    origin: 'borrowed',
    senderEmail: 'nowhere',
    senderName: 'age',
    subjectField: 'name',
    redirectTo: 'javascript:alert(1)',
    allowedOrigins: ['https://acme.com/path', 'acme.com', '*'],
    replyChannel: 'A B',
    accent: 'red',
    colour: 'blue',
    fields: [
      { kind: 'text', name: '_own', label: 'x' },
      { kind: 'number', name: 'age', label: 'Age', min: 9, max: 1 },
      { kind: 'email', name: 'age', label: 'Again' },
      { kind: 'choice', name: 'topic', label: 'Topic', options: ['a', 'a'] },
      { kind: 'choice', name: 'none', label: 'None', options: [] },
      { kind: 'text', name: 'h', label: 'Two\nlines', hidden: true, required: true },
      { kind: 'file', name: 'f', label: 'File', hidden: true, accept: ['*.exe'] },
      { kind: 'colour', name: 'c', label: 'Colour' },
      { kind: 'checkbox', name: 'name', label: 'x' },
      { kind: 'date', name: 'status', label: 'x' },
    ],
  };
  expect(problems(wrong)).toEqual(
    [
      '',
      'accent',
      'allowedOrigins.0',
      'allowedOrigins.1',
      'fields.0.name',
      'fields.1.max',
      'fields.2.name',
      'fields.3.options',
      'fields.4.options',
      'fields.5.label',
      'fields.5.required',
      'fields.6.accept.0',
      'fields.6.hidden',
      'fields.7.kind',
      'fields.8.kind',
      'fields.9.name',
      'formId',
      'origin',
      'redirectTo',
      'replyChannel',
      'senderEmail',
      'senderName',
      'subjectField',
      'title',
    ].toSorted(),
  );
  expect(problems(undefined)).toEqual(['']);
  expect(problems({ title: 'x', fields: 'many' })).toEqual(['fields']);
});

it('what comes out, put in again, comes out the same, so an edit of the title keeps the address [CH-2]', () => {
  const once = settingsSchema.parse(typed());
  expect(settingsSchema.parse(once)).toEqual(once);
  const renamed: FormSettings = settingsSchema.parse({ ...once, title: 'Another title' });
  expect(plugin.address(renamed)).toBe('contact-acme');
});

it('every title gives an address [CH-2]', () => {
  for (const title of ['Contact us!', '联系我们', '---', 'Ünïcødé', 'x'.repeat(200)]) {
    expect(settingsSchema.parse({ title }).formId).toMatch(/^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$/);
  }
});

it('names the channel by which answers go [FORM-3]', () => {
  expect(plugin.replyChannel?.(settingsSchema.parse({ title: 'x', replyChannel: 'email-7k3q9x' }))).toBe('email-7k3q9x');
  expect(plugin.replyChannel?.(settingsSchema.parse({ title: 'x' }))).toBeUndefined();
});

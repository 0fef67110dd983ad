import { describe, expect, it } from 'vitest';
import { checkSubmission } from '../check.ts';
import { MAX_FILE_BYTES } from '../field.ts';
import { settingsSchema } from '../settings.ts';
import type { SentFile, Submitted } from '../submitted.ts';
import { GOOD, typed } from './support.ts';

const settings = settingsSchema.parse(typed());

function submitted(values: Readonly<Record<string, string | readonly string[]>>, files: readonly SentFile[] = []): Submitted {
  return { values: new Map(Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? [value] : value])), files, wrongTypes: new Set() };
}

const check = (values: Readonly<Record<string, string | readonly string[]>>, files: readonly SentFile[] = []) =>
  checkSubmission(settings, submitted({ ...GOOD, ...values }, files));
const wrong = (values: Readonly<Record<string, string | readonly string[]>>, files?: readonly SentFile[]) =>
  check(values, files).errors.map(({ field }) => field);
const file = (fileName: string, type: string, bytes = 1): SentFile => ({ field: 'photos', fileName, type, content: new Uint8Array(bytes), part: 0 });

describe('a submission', () => {
  it('gives the fields in the form’s order, with labels, in their canonical form [FORM-3, FORM-4]', () => {
    const { answers, errors } = check({ fullname: '  Ada \n Lindqvist ', description: 'It broke.\r\nTwice.\u0000 ' });
    expect(errors).toEqual([]);
    expect(answers).toEqual([
      { name: 'fullname', label: 'Your name', value: 'Ada Lindqvist', hidden: false },
      { name: 'email', label: 'Your email address', value: 'ada@example.com', hidden: false },
      { name: 'topic', label: 'Topic', value: 'Something else', hidden: false },
      { name: 'name', label: 'Subject', value: 'The lamp', hidden: false },
      { name: 'description', label: 'What happened?', value: 'It broke.\nTwice.', hidden: false },
      { name: 'consent', label: 'I agree', value: 'Yes', hidden: false },
      { name: 'utm', label: 'Source', value: 'direct', hidden: true },
    ]);
  });

  it('passes over what the form does not ask for: a pipeline, a status, anything [FORM-1]', () => {
    const { answers, errors } = check({ pipeline: 'Sales', status: 'Closed', priority: 'URGENT', __proto__x: '1' });
    expect(errors).toEqual([]);
    expect(answers.map(({ name }) => name)).not.toContain('status');
    expect(answers.map(({ name }) => name)).not.toContain('pipeline');
  });

  it.each([
    ['email', ['', 'ada', 'a b@example.com', '@x', `${'x'.repeat(250)}@example.com`], ['a@b.example', 'ADA@EXAMPLE.COM']],
    ['phone', ['abc', '+', '12', '1'.repeat(21), '030 1234 ext 5'], ['', '+49 (30) 12-34.56', '030/1234']],
    ['topic', ['', 'Something else', 'nonsense'], ['Order', 'other']],
    ['count', ['0', '100', 'x', '1,5', '0x10', 'Infinity', '1e99'], ['', '1', '99', '1.5', ' 7 ']],
    ['bought', ['2026-02-30', '2026-13-01', '26-01-01', 'today', '2026-01-01T00:00'], ['', '2026-02-28', '2024-02-29']],
    ['name', ['', '   ', 'x'.repeat(51)], ['x'.repeat(50)]],
    ['consent', ['', 'false', 'off', '0'], ['true', 'on', 'yes']],
  ])('%s is checked by its kind, with the field named [FORM-2]', (name, bad, good) => {
    for (const value of bad) expect(wrong({ [name]: value }), `${name}=${value}`).toEqual([name]);
    for (const value of good) expect(wrong({ [name]: value }), `${name}=${value}`).toEqual([]);
  });

  it('tells everything that is wrong at once [FORM-2]', () => {
    expect(checkSubmission(settings, submitted({})).errors.map(({ field }) => field)).toEqual(['email', 'topic', 'name', 'description', 'consent']);
  });

  it('a field that comes twice is told, and is never half of each', () => {
    expect(wrong({ name: ['a', 'b'] })).toEqual(['name']);
  });

  it('is never refused for what nobody sees: a hidden field is cut to its length', () => {
    const { answers, errors } = check({ utm: `a\u0007${'x'.repeat(5_000)}` });
    expect(errors).toEqual([]);
    expect(answers.find(({ name }) => name === 'utm')?.value).toHaveLength(1_000);
  });
});

describe('files', () => {
  it('are taken in up to five, ten megabytes each [CH-6]', () => {
    const five = Array.from({ length: 5 }, (_, index) => file(`${index}.png`, 'image/png', index === 0 ? MAX_FILE_BYTES : 1));
    const { files, errors } = check({}, five);
    expect([files.length, errors]).toEqual([5, []]);
    expect(check({}, [...five, file('6.png', 'image/png')]).errors).toEqual([{ field: 'photos', message: 'At most 5 files.' }]);
    expect(check({}, [file('big.png', 'image/png', MAX_FILE_BYTES + 1)]).errors).toEqual([{ field: 'photos', message: 'big.png is larger than 10 MB.' }]);
  });

  it('of another kind are told, by name or by what the browser calls them [CH-6]', () => {
    expect(wrong({}, [file('bill.PDF', 'application/octet-stream'), file('photo', 'image/webp')])).toEqual([]);
    expect(wrong({}, [file('run.exe', 'application/x-msdownload')])).toEqual(['photos']);
  });

  it('for a field the form does not have are passed over', () => {
    expect(check({}, [{ ...file('x.png', 'image/png'), field: 'elsewhere' }])).toMatchObject({ errors: [], files: [] });
  });

  it('one where one is asked for, and one where one is required', () => {
    const single = settingsSchema.parse({ title: 'x', fields: [{ kind: 'file', name: 'photos', label: 'Photo', required: true }], origin: 'existing' });
    expect(checkSubmission(single, submitted({})).errors).toEqual([{ field: 'photos', message: 'Choose a file.' }]);
    const two = [file('a.png', 'image/png'), file('b.png', 'image/png')];
    expect(checkSubmission(single, submitted({}, two)).errors).toEqual([{ field: 'photos', message: 'Choose one file only.' }]);
  });
});

import { MAX_FILE_BYTES, MAX_FILES, type FieldOf, type FormField } from './field.ts';
import { attributes, markup, type Markup } from './markup.ts';

/** A field as it is to be shown. */
export interface Shown {
  /** Unique on the page. */
  readonly id: string;
  readonly value: string;
  readonly error: string | undefined;
  /** What browsers may fill in. */
  readonly autocomplete: string | undefined;
}

/** Choices up to so many are all in sight. */
const MOST_RADIOS = 6;

/** A visible field with its label, its help and its error, which a screen reader reads with it. */
export function control(field: FormField, shown: Shown): Markup {
  const { id, error } = shown;
  const help = helpOf(field);
  const describedBy = [help === undefined ? [] : [`${id}-help`], error === undefined ? [] : [`${id}-error`]].flat().join(' ') || undefined;
  const shared = {
    'aria-describedby': describedBy,
    'aria-invalid': error === undefined ? undefined : 'true',
    required: field.required,
    autocomplete: shown.autocomplete,
  };
  const optional = !field.required && markup` <span class="optional">(optional)</span>`;
  const notes = markup`${help !== undefined && markup`<p class="help" id="${id}-help">${help}</p>`}${error !== undefined && markup`<p class="error" id="${id}-error">${error}</p>`}`;
  const block = (inner: Markup): Markup => markup`<div class="field${error === undefined ? '' : ' wrong'}" data-field="${field.name}">${inner}</div>`;
  if (field.kind === 'checkbox') {
    return block(markup`${notes}<div class="option">${tick(field, shown, shared)}<label for="${id}">${field.label}${optional}</label></div>`);
  }
  if (field.kind === 'choice' && field.options.length <= MOST_RADIOS) {
    const group = attributes({ 'aria-describedby': describedBy });
    return block(markup`<fieldset${group}><legend>${field.label}${optional}</legend>${notes}${radios(field, shown)}</fieldset>`);
  }
  return block(markup`<label for="${id}">${field.label}${optional}</label>${notes}${input(field, shown, shared)}`);
}

type Attributes = Parameters<typeof attributes>[0];

function input(field: Exclude<FormField, { readonly kind: 'checkbox' }>, { id, value }: Shown, shared: Attributes): Markup {
  const own = { id, name: field.name, ...shared };
  switch (field.kind) {
    case 'area':
      // A line end that stands first in it is not part of it.
      return markup`<textarea${attributes({ ...own, rows: 6, maxlength: field.maxLength })}>
${value}</textarea>`;
    case 'text':
      return markup`<input${attributes({ type: 'text', ...own, value, maxlength: field.maxLength })}>`;
    case 'email':
      return markup`<input${attributes({ type: 'email', ...own, value, maxlength: 254, spellcheck: 'false' })}>`;
    case 'phone':
      return markup`<input${attributes({ type: 'tel', ...own, value, maxlength: 40 })}>`;
    case 'number':
      return markup`<input${attributes({ type: 'number', ...own, value, step: 'any', min: field.min, max: field.max, inputmode: 'decimal' })}>`;
    case 'date':
      return markup`<input${attributes({ type: 'date', ...own, value })}>`;
    case 'file':
      return markup`<input${attributes({ type: 'file', ...own, accept: field.accept.join(',') || undefined, multiple: field.multiple, 'data-max-bytes': MAX_FILE_BYTES, 'data-max-files': MAX_FILES })}>`;
    case 'choice':
      return markup`<select${attributes(own)}><option value="">Choose …</option>${field.options.map((one) => markup`<option${attributes({ value: one.value, selected: one.value === value })}>${one.label}</option>`)}</select>`;
  }
}

/** The first has the field's id: that is where the error's link leads. */
function radios(field: FieldOf<'choice'>, { id, value }: Shown): Markup {
  return markup`${field.options.map((option, index) => {
    const own = index === 0 ? id : `${id}-${index}`;
    const chosen = { type: 'radio', id: own, name: field.name, value: option.value, checked: option.value === value, required: field.required };
    return markup`<div class="option"><input${attributes(chosen)}><label for="${own}">${option.label}</label></div>`;
  })}`;
}

function tick(field: FieldOf<'checkbox'>, { id, value }: Shown, shared: Attributes): Markup {
  const ticked = !['', 'false', 'off', 'no', '0'].includes(value.toLowerCase());
  return markup`<input${attributes({ type: 'checkbox', id, name: field.name, value: 'true', checked: ticked, ...shared })}>`;
}

function helpOf(field: FormField): string | undefined {
  if (field.kind !== 'file') return field.help;
  const limits = `${field.multiple ? `At most ${MAX_FILES} files, ` : 'At most '}${MAX_FILE_BYTES / 1024 / 1024} MB${field.multiple ? ' each' : ''}.`;
  return field.help === undefined ? limits : `${field.help} ${limits}`;
}

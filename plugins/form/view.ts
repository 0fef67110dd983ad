import type { FieldError } from './check.ts';
import { labelled } from './clean.ts';
import { control } from './control.ts';
import { OWN, type Embedded } from './embedded.ts';
import type { FormField } from './field.ts';
import { attributes, markup, type Markup } from './markup.ts';
import type { FormSettings } from './settings.ts';

export interface FormState {
  readonly values: ReadonlyMap<string, string>;
  readonly errors: readonly FieldError[];
  /** Files were chosen: browsers can not put them back. */
  readonly hadFiles: boolean;
  /** Why it is shown again although nothing in it is wrong. */
  readonly notice: string | null;
  readonly proof: string;
  readonly embedded: Embedded | null;
}

/** The form as a whole page. It works as it is; the script only makes it quicker to mend. */
export function formPage(settings: FormSettings, state: FormState): string {
  const { title, intro, fields, submitLabel } = settings;
  const visible = fields.filter((field) => !field.hidden);
  const ids = new Map(visible.map((field, index) => [field.name, `f${index + 1}`]));
  const hasFile = visible.some(({ kind }) => kind === 'file');
  const shown = visible.map((field) =>
    control(field, {
      id: ids.get(field.name) ?? '',
      value: state.values.get(field.name) ?? field.value ?? '',
      error: state.errors.find((error) => error.field === field.name)?.message,
      autocomplete: autocompleteOf(field, settings),
    }),
  );
  const hidden = fields.filter((field) => field.hidden).map((field) => hiddenInput(field.name, state.values.get(field.name) ?? field.value ?? ''));
  const failed = state.errors.length > 0 || state.notice !== null;
  return page(
    { title: failed ? `Error: ${title}` : title, embedded: state.embedded },
    markup`<h1>${title}</h1>
${intro !== undefined && markup`<p class="intro">${intro}</p>`}
${failed && summary(state, fields, ids)}
<form method="post" action="./" accept-charset="utf-8"${attributes({ enctype: hasFile ? 'multipart/form-data' : undefined })}>
${shown}
${hidden}
<div class="trap" aria-hidden="true"><label for="trap">Leave this empty</label><input type="text" id="trap" name="${OWN.trap}" tabindex="-1" autocomplete="off"></div>
${hiddenInput(OWN.proof, state.proof)}
${state.embedded !== null && markup`${hiddenInput(OWN.embed, '1')}${hiddenInput(OWN.parent, state.embedded.parent ?? '')}`}
<button type="submit">${submitLabel}</button>
</form>`,
  );
}

/** Says that it is taken. */
export function thanksPage(settings: FormSettings, embedded: Embedded | null): string {
  const { thanks, title, redirectTo } = settings;
  const onwards = redirectTo !== undefined && markup`<p><a href="${redirectTo}" target="_top" id="onwards">Continue</a></p>`;
  // A navigation of its own: as the answer to the form, browsers would hold it, and wherever that address leads on to, against the policy for forms.
  const refresh = embedded === null && redirectTo !== undefined && markup`<meta http-equiv="refresh" content="0; url=${redirectTo}">`;
  return page({ title, embedded, head: refresh }, markup`<h1${focused(embedded)}>${title}</h1><p class="said" role="status">${thanks}</p>${onwards}`);
}

/** Says something in place of the form. */
export function sayingPage(title: string, text: string, embedded: Embedded | null = null): string {
  return page({ title, embedded }, markup`<h1>${title}</h1><p class="said">${text}</p>`);
}

interface Head {
  readonly title: string;
  readonly embedded: Embedded | null;
  readonly head?: Markup | false;
}

function page({ title, embedded, head }: Head, inner: Markup): string {
  const data = attributes({ class: embedded === null ? undefined : 'embedded', 'data-parent': embedded?.parent ?? undefined });
  return markup`<!doctype html>
<html lang="en"${data}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${head}<title>${title}</title>
<link rel="stylesheet" href="./form.css">
<script src="./form.js" defer></script>
</head>
<body>
<main>
${inner}
</main>
</body>
</html>
`.text;
}

/** What is wrong, first on the page and with the focus: each error leads to its field. */
function summary({ errors, notice, hadFiles, embedded }: FormState, fields: readonly FormField[], ids: ReadonlyMap<string, string>): Markup {
  const items = errors.map(({ field, message }) => {
    const label = fields.find(({ name }) => name === field)?.label;
    const id = field === null ? undefined : ids.get(field);
    return markup`<li>${id === undefined ? message : markup`<a href="#${id}">${labelled(label ?? '', message)}</a>`}</li>`;
  });
  return markup`<div class="summary" id="errors" role="alert" aria-labelledby="errors-title"${focused(embedded)}>
<h2 id="errors-title">${notice ?? 'There is a problem'}</h2>
${items.length > 0 && markup`<ul>${items}</ul>`}
${hadFiles && markup`<p>Please choose your files again: a browser can not keep them.</p>`}
</div>`;
}

/** Where a reader is to begin. In a frame of another site browsers refuse that, and say so in its console: there the script does it. */
function focused(embedded: Embedded | null): Markup {
  return attributes({ tabindex: -1, 'data-focus': '', autofocus: embedded === null });
}

function hiddenInput(name: string, value: string): Markup {
  return markup`<input${attributes({ type: 'hidden', name, value })}>`;
}

function autocompleteOf(field: FormField, { senderEmail, senderName }: FormSettings): string | undefined {
  if (field.autocomplete !== undefined) return field.autocomplete;
  if (field.name === senderEmail) return 'email';
  if (field.name === senderName) return 'name';
  return field.kind === 'phone' ? 'tel' : undefined;
}

import type { PageContext } from '@trunkline/channel-sdk';
import type { FieldError } from './check.ts';
import { embeddedIn, OWN, type Embedded } from './embedded.ts';
import { pageHeaders } from './origins.ts';
import { issueProof } from './proof.ts';
import type { FormSettings } from './settings.ts';
import type { Submitted } from './submitted.ts';
import { formPage, sayingPage } from './view.ts';

type Context = PageContext<FormSettings>;
type Headers = Readonly<Record<string, string>>;

/** Why the form is shown once more. */
export interface Again {
  readonly status: number;
  readonly errors?: readonly FieldError[];
  readonly notice?: string | null;
  readonly headers?: Headers;
}

/** The form as it was filled in: nothing that was typed is lost. */
export function formAgain(context: Context, submitted: Submitted, { status, errors = [], notice = null, headers }: Again): Response {
  const values = new Map([...submitted.values].map(([name, [value = '']]) => [name, value]));
  const state = {
    values,
    errors,
    notice,
    hadFiles: submitted.files.length > 0,
    proof: issueProof(context.now(), context.sign),
    embedded: embeddedOf(context, submitted),
  };
  return pageAnswer(context, status, formPage(context.channel.settings, state), headers);
}

/** On to the page that thanks: loading that again sends nothing. */
export function onToThanks(context: Context, submitted: Submitted): Response {
  const embedded = embeddedOf(context, submitted);
  const query = embedded === null ? '' : `?${new URLSearchParams({ [OWN.embed]: '1', [OWN.parent]: embedded.parent ?? '' }).toString()}`;
  return new Response(null, { status: 303, headers: { location: `./thanks${query}`, 'cache-control': 'no-store' } });
}

/** CH-9: a form that is off says so. */
export function closedPage(context: Context, status: number, embedded: Embedded | null = null): Response {
  const { title, closedText } = context.channel.settings;
  return pageAnswer(context, status, sayingPage(title, closedText, embedded));
}

export function pageAnswer({ channel }: Context, status: number, body: string, headers: Headers = {}): Response {
  return new Response(body, { status, headers: { ...pageHeaders(channel.settings), ...headers } });
}

function embeddedOf(context: Context, { values }: Submitted): Embedded | null {
  return embeddedIn({ get: (name) => values.get(name)?.[0] ?? null }, context);
}

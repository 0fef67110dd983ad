import { canonicalAddress } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { cleanLine, cleanText } from './clean.ts';

/** Characters of one message. */
export const MAX_TEXT = 4_000;
/** Bytes of one: its letters at six bytes each, as JSON may write them, and what stands around them. */
export const MAX_SAID_BYTES = 28 * 1024;
/** Bytes of what tells how far somebody has read. */
export const MAX_READ_BYTES = 1024;
const MAX_CHOICE = 200;
const MAX_NAME = 200;
const MAX_ADDRESS = 2_000;
const MAX_REF = 100;

/** What is wrong with what was sent; `field` null: all of it. */
export interface FieldProblem {
  readonly field: string | null;
  readonly message: string;
}

/** One message as a visitor sent it, checked. */
export interface Said {
  /** The widget's own, the same at every try. */
  readonly id: string;
  readonly text: string;
  /** What was chosen among quick replies. */
  readonly choice?: string;
  /** In its canonical form. */
  readonly email?: string;
  readonly name?: string;
  /** The page's `ref`. */
  readonly entryPoint?: string;
}

const text = (message: string) => z.string({ error: message }).transform(cleanText);

const saidSchema = z.object({
  id: z
    .string({ error: 'must be a UUID' })
    .toLowerCase()
    .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be a UUID'),
  text: text('Write something first.').pipe(
    z
      .string()
      .min(1, 'Write something first.')
      .max(MAX_TEXT, `This is too long: at most ${MAX_TEXT.toLocaleString('en')} characters.`),
  ),
  choice: text('must be a text').pipe(z.string().min(1).max(MAX_CHOICE)).nullish(),
  email: z
    .string({ error: 'Enter an email address like name@example.com.' })
    .max(1_000, 'Enter an email address like name@example.com.')
    .transform((typed, context) => {
      const address = typed.trim() === '' ? null : canonicalAddress(typed);
      if (address !== undefined) return address;
      context.addIssue({ code: 'custom', message: 'Enter an email address like name@example.com.' });
      return z.NEVER;
    })
    .nullish(),
  name: text('must be a text').nullish(),
  // Not typed by anybody: whatever is wrong with it, the message counts.
  page: z
    .object({ ref: z.string().max(MAX_ADDRESS).nullish().catch(null), url: z.string().max(MAX_ADDRESS).nullish().catch(null) })
    .nullish()
    .catch(null),
});

/** Reads what the widget sent. Never throws. */
export function readSaid(body: Uint8Array): { readonly said: Said } | { readonly problems: readonly FieldProblem[] } {
  const result = saidSchema.safeParse(jsonOf(body));
  if (!result.success)
    return { problems: result.error.issues.map(({ path: [field], message }) => ({ field: field === undefined ? null : String(field), message })) };
  const { id, choice, email, page } = result.data;
  const name = cleanLine(result.data.name ?? '', MAX_NAME);
  const entryPoint = page?.ref == null ? refOf(page?.url ?? '') : cleanLine(page.ref, MAX_REF);
  return {
    said: {
      id,
      text: result.data.text,
      ...(choice == null ? {} : { choice }),
      ...(email == null ? {} : { email }),
      ...(name === '' ? {} : { name }),
      ...(entryPoint === '' ? {} : { entryPoint }),
    },
  };
}

/** What was understood, and nothing besides, as bytes that `readSaid` reads again. */
export function storedSaid({ entryPoint, ...said }: Said): Uint8Array {
  return Buffer.from(JSON.stringify({ ...said, ...(entryPoint === undefined ? {} : { page: { ref: entryPoint } }) }));
}

const readSchema = z.object({ through: z.iso.datetime({ offset: true, error: 'must be a time like 2026-01-02T03:04:05Z' }) });

/** Up to when the visitor has seen everything, ISO 8601 in UTC. Never throws. */
export function readThrough(body: Uint8Array): { readonly through: string } | { readonly problems: readonly FieldProblem[] } {
  const result = readSchema.safeParse(jsonOf(body));
  const at = result.success ? new Date(result.data.through) : undefined;
  if (at === undefined || Number.isNaN(at.getTime())) return { problems: [{ field: 'through', message: 'must be a time like 2026-01-02T03:04:05Z' }] };
  return { through: at.toISOString() };
}

/** Undefined where it is not JSON. */
function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}

function refOf(address: string): string {
  return URL.canParse(address) ? cleanLine(new URL(address).searchParams.get('ref') ?? '', MAX_REF) : '';
}

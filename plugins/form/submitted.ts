import { cleanLine } from './clean.ts';
import { boundaryOf, readMultipart } from './multipart.ts';

/** A file as it was sent. */
export interface SentFile {
  readonly field: string;
  readonly fileName: string;
  readonly type: string;
  readonly content: Uint8Array;
  /** Its place among the parts of the body. */
  readonly part: number;
}

/** What was sent, whichever way: nothing of it is checked. */
export interface Submitted {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly files: readonly SentFile[];
  /** Names whose JSON value is neither text nor number nor true or false. */
  readonly wrongTypes: ReadonlySet<string>;
}

export type Unreadable = { readonly status: 400 | 413 | 415; readonly message: string };

/** Bytes of a body without files. */
const MAX_TEXT_BYTES = 1024 * 1024;
const MAX_VALUES = 1_000;

/** Reads the body of a page's own form, of a form elsewhere, or of a JSON client. Never throws. */
export function readSubmission(contentType: string, body: Uint8Array): Submitted | Unreadable {
  const [essence = ''] = contentType.toLowerCase().split(';');
  switch (essence.trim()) {
    case 'multipart/form-data':
      return fromMultipart(contentType, body);
    case 'application/x-www-form-urlencoded':
    case 'application/json':
      if (body.byteLength > MAX_TEXT_BYTES) return { status: 413, message: 'This is more than 1 MB of text.' };
      return essence.trim() === 'application/json' ? fromJson(body) : fromUrlEncoded(body);
    default:
      return { status: 415, message: 'The content type must be application/json, multipart/form-data or application/x-www-form-urlencoded.' };
  }
}

function fromMultipart(contentType: string, body: Uint8Array): Submitted | Unreadable {
  const boundary = boundaryOf(contentType);
  const parts = boundary === undefined ? undefined : readMultipart(body, boundary);
  if (parts === undefined) return { status: 400, message: 'The body is not multipart/form-data.' };
  const values = new Map<string, string[]>();
  const files: SentFile[] = [];
  let bytes = 0;
  for (const [index, part] of parts.entries()) {
    if (part.fileName !== undefined) {
      // A file field that was left empty sends one file without a name and without bytes.
      if (part.fileName === '' && part.content.byteLength === 0) continue;
      files.push({
        field: part.name,
        fileName: cleanLine(part.fileName.replace(/^.*[/\\]/s, ''), 200) || 'file',
        type: /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(part.type) ? part.type : 'application/octet-stream',
        content: part.content,
        part: index,
      });
      continue;
    }
    bytes += part.content.byteLength;
    if (bytes > MAX_TEXT_BYTES) return { status: 413, message: 'This is more than 1 MB of text.' };
    add(values, part.name, Buffer.from(part.content).toString('utf8'));
  }
  return { values, files, wrongTypes: NONE };
}

function fromUrlEncoded(body: Uint8Array): Submitted | Unreadable {
  const text = Buffer.from(body).toString('utf8');
  if (text.split('&', MAX_VALUES + 1).length > MAX_VALUES) return { status: 400, message: 'There are too many values.' };
  const values = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(text)) add(values, name, value);
  return { values, files: [], wrongTypes: NONE };
}

function fromJson(body: Uint8Array): Submitted | Unreadable {
  let given: unknown;
  try {
    given = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return { status: 400, message: 'The body is not JSON.' };
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return { status: 400, message: 'The body must be one JSON object.' };
  const values = new Map<string, string[]>();
  const wrongTypes = new Set<string>();
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === 'string' || typeof value === 'number') add(values, name, String(value));
    else if (typeof value === 'boolean') add(values, name, value ? 'true' : '');
    else if (value !== null) wrongTypes.add(name);
  }
  return { values, files: [], wrongTypes };
}

function add(values: Map<string, string[]>, name: string, value: string): void {
  const known = values.get(name);
  if (known === undefined) values.set(name, [value]);
  else known.push(value);
}

const NONE: ReadonlySet<string> = new Set();

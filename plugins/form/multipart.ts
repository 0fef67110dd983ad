/** One part of a multipart body: a field's value, or a file where it has a file name. */
export interface Part {
  readonly name: string;
  readonly fileName: string | undefined;
  readonly type: string;
  /** A view of the body, not a copy. */
  readonly content: Uint8Array;
}

/** Parts of one body; a form of ours has far fewer. */
const MAX_PARTS = 500;
const MAX_HEADER_BYTES = 8 * 1024;

/**
 * Reads `multipart/form-data` (RFC 7578); undefined where it is none, or has too many parts. Written by hand because the platform's own reader makes an
 * object of each of a million tiny parts before anybody can say stop, and copies every file.
 */
export function readMultipart(body: Uint8Array, boundary: string): readonly Part[] | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const first = Buffer.from(`--${boundary}`);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const begin = bytes.indexOf(first);
  // Before the first delimiter there may be a preamble that nobody reads.
  if (begin < 0 || (begin > 0 && bytes.indexOf(delimiter) !== begin - 2)) return undefined;
  const parts: Part[] = [];
  for (let at = begin + first.length; ;) {
    const after = bytes.toString('latin1', at, at + 2);
    if (after === '--') return parts;
    if (after !== '\r\n' || parts.length >= MAX_PARTS) return undefined;
    // Without any header its end is the line's.
    const headerEnd = bytes.subarray(at, at + MAX_HEADER_BYTES).indexOf('\r\n\r\n');
    if (headerEnd < 0) return undefined;
    const start = at + headerEnd + 4;
    const end = bytes.indexOf(delimiter, start - 2);
    if (end < 0) return undefined;
    const part = readHeader(bytes.toString('utf8', at + 2, at + headerEnd));
    if (part !== undefined) parts.push({ ...part, content: bytes.subarray(start, Math.max(start, end)) });
    at = end + delimiter.length;
  }
}

/** The boundary a content type names. */
export function boundaryOf(contentType: string): string | undefined {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  return quoted ?? plain;
}

function readHeader(text: string): Omit<Part, 'content'> | undefined {
  const lines = text.split('\r\n');
  const valueOf = (name: string): string => lines.find((one) => one.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1) ?? '';
  const disposition = valueOf('content-disposition');
  const name = parameter(disposition, 'name');
  if (name === undefined || !/^\s*form-data\s*(;|$)/i.test(disposition)) return undefined;
  return { name, fileName: parameter(disposition, 'filename'), type: valueOf('content-type').trim().toLowerCase() };
}

/** Browsers write these three characters so, and no others (HTML, multipart/form-data encoding algorithm). */
const ESCAPES: Readonly<Record<string, string>> = { '%0a': '\n', '%0d': '\r', '%22': '"' };

function parameter(disposition: string, name: string): string | undefined {
  const value = new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(disposition)?.[1];
  return value?.replace(/%(0a|0d|22)/gi, (code) => ESCAPES[code.toLowerCase()] ?? code);
}

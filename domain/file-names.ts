/** Bytes of a file's name, in UTF-8. */
export const MAX_FILE_NAME_BYTES = 200;
/** Bytes of what is kept as an extension, its dot included; a longer one is part of the name. */
const MAX_EXTENSION_BYTES = 20;

/** What shows nothing, or shows something other than it is: controls, direction overrides, private and half characters, fillers. Joiners are letters' and emoji's. */
const UNSEEN = /(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115F\u1160\u2800\u3164\uFFA0]/gu;
/** What some file system takes for something else. */
const SPECIAL = /[<>:"|?*]/g;
/** Devices of Windows, whatever their extension. */
const RESERVED = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)/i;

/**
 * A file's name that is safe to store, to show and to save under on every system: no path, nothing unseen, no name of a device, at most
 * `MAX_FILE_NAME_BYTES` bytes with its extension kept, never empty. Made safe again it is the same.
 */
export function safeFileName(given: string, fallback = 'attachment'): string {
  const last = given
    .toWellFormed()
    .replace(UNSEEN, (one) => (/\s/.test(one) ? ' ' : ''))
    .normalize('NFC')
    .split(/[/\\]/)
    .map(trimmed)
    .findLast((part) => part !== '');
  const name = trimmed((last ?? '').replace(SPECIAL, '_').replace(/\s+/gu, ' '));
  if (/^[\s\u200C\u200D]*$/u.test(name)) return fallback;
  const short = shortened(name);
  return RESERVED.test(short) ? shortened(`_${short}`) : short;
}

/** The same names, where one comes twice the later ones numbered: `a.txt`, `a (2).txt`. Case makes no difference, as on most systems. */
export function distinctFileNames(names: readonly string[]): string[] {
  const wanted = new Set(names.map(folded));
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let number = 2; taken.has(folded(free)) || (number > 2 && wanted.has(folded(free))); number += 1) free = numbered(name, number);
    taken.add(folded(free));
    return free;
  });
}

/** A MIME type as it is compared and stored: lower case, without parameters; whatever is none is bytes. */
export function normalType(given: string): string {
  const type = (given.split(';', 1)[0] ?? '').trim().toLowerCase();
  if (!/^[a-z0-9][a-z0-9!#$&^_.+-]{0,99}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}$/.test(type)) return 'application/octet-stream';
  return ALIASES.get(type) ?? type;
}

/** Names that programs write for a type that is registered under another. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['image/jpg', 'image/jpeg'],
  ['image/pjpeg', 'image/jpeg'],
  ['image/x-png', 'image/png'],
  ['application/x-pdf', 'application/pdf'],
  ['application/x-zip-compressed', 'application/zip'],
]);

/** Pictures that a browser shows and that can not act: all that is ever shown in place. */
export const INLINE_TYPES: ReadonlySet<string> = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);

/** The type a file is given out with: one that no browser runs or lays out as a page; every other, known or not, is only bytes. */
export function safeType(type: string): string {
  const known = normalType(type);
  return HARMLESS.has(known) || HARMLESS_KINDS.test(known) ? known : 'application/octet-stream';
}

const HARMLESS: ReadonlySet<string> = new Set([
  ...INLINE_TYPES,
  'image/avif',
  'image/bmp',
  'image/heic',
  'image/heif',
  'image/tiff',
  'text/plain',
  'text/csv',
  'text/calendar',
  'application/pdf',
  'application/rtf',
  'application/json',
  'application/msword',
  'application/vnd.ms-excel',
  'application/vnd.ms-powerpoint',
  'application/zip',
  'application/gzip',
  'application/x-7z-compressed',
  'application/x-tar',
  'application/vnd.rar',
]);

/** Office files of both families, none of which a browser opens by itself; sound and moving pictures. Nothing that ends in `+xml` or the like. */
const HARMLESS_KINDS =
  /^(application\/vnd\.(openxmlformats-officedocument\.(wordprocessingml|spreadsheetml|presentationml)|oasis\.opendocument)\.[a-z-]+(\.[a-z-]+)?|(audio|video)\/[a-z0-9][a-z0-9.-]*)$/;

/** The header that says how a file is to be taken, and its name for old and new programs (RFC 6266). */
export function contentDisposition(how: 'inline' | 'attachment', name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/gu, '_');
  const encoded = encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
  return `${how}; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

/** No dots in front, which hide it, and none behind, which Windows cuts off. */
function trimmed(text: string): string {
  return text.replace(/^[\s.]+/u, '').replace(/[\s.]+$/u, '');
}

function folded(name: string): string {
  return name.toLowerCase();
}

/** The stem and the extension with its dot, which may be empty. */
function parts(name: string): readonly [string, string] {
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot) : '';
  return extension === '' || bytesOf(extension) > MAX_EXTENSION_BYTES || /\s/u.test(extension) ? [name, ''] : [name.slice(0, dot), extension];
}

function shortened(name: string, addition = ''): string {
  const [stem, extension] = parts(name);
  return `${cut(stem, MAX_FILE_NAME_BYTES - bytesOf(extension) - bytesOf(addition))}${addition}${extension}`;
}

function numbered(name: string, number: number): string {
  return shortened(name, ` (${number})`);
}

/** At most so many bytes of a text, whole characters as people see them. */
function cut(text: string, bytes: number): string {
  if (bytesOf(text) <= bytes) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of SEGMENTS.segment(text)) {
    used += bytesOf(segment);
    if (used > bytes) break;
    kept += segment;
  }
  return trimmed(kept) === '' ? '_' : trimmed(kept);
}

const SEGMENTS = new Intl.Segmenter('en', { granularity: 'grapheme' });

function bytesOf(text: string): number {
  return ENCODER.encode(text).length;
}

const ENCODER = new TextEncoder();

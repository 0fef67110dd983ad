import { decodeWords, type Email } from 'postal-mime';

/** Labels that ask for UTF-8, or for nothing in particular, although old programs then write what they like. */
const VAGUE = /charset\s*=\s*"?(?:utf-?8|us-ascii|ascii|unknown-8bit|x-unknown|default)\b"?/gi;
const ANY = /charset\s*=\s*"?[^\s";]{1,40}/gi;
const UTF_7 = /charset\s*=\s*"?(?:unicode-1-1-|x-unicode-2-0-)?utf-7/i;
const REPLACED = '\ufffd';

/**
 * The mail with its text labelled anew, where what it says of its charset can not be true: it says UTF-8, or nothing, and the bytes are not.
 * Undefined: nothing to mend, or parts in several charsets, of which nobody knows which one lies.
 */
export function relabelled(raw: Uint8Array, email: Email): Uint8Array | undefined {
  if (!`${email.text ?? ''}${email.html ?? ''}`.includes(REPLACED)) return undefined;
  const source = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  const labels = source.match(ANY) ?? [];
  if (labels.length === 0) return Buffer.from(source.replace(/[\u0080-\u00ff]+/g, asUtf8), 'latin1');
  if (labels.some((label) => label.replace(VAGUE, '') !== '')) return undefined;
  return Buffer.from(source.replace(VAGUE, 'charset=windows-1252'), 'latin1');
}

/** The decoded text, mended where its label was wrong in a way that still shows: UTF-8 read as Latin-1, UTF-16 the wrong way round; and UTF-7, which the platform does not read. */
export function mendedText(text: string, raw: Uint8Array): string {
  const mended = mendedHtml(text);
  if (mended !== text) return mended;
  if (text.includes('+') && UTF_7.test(Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.byteLength, 64 * 1024)).toString('latin1'))) return utf7(text);
  return text;
}

/** The same for HTML. UTF-7 stays as it came: nobody writes it any more but to hide a tag from whoever looks for one. */
export function mendedHtml(html: string): string {
  if (html.startsWith('\ufffe')) return swapped(html);
  return /[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]/.test(html) ? (misread(html) ?? html) : html;
}

/** A decoded header, where an encoder cut a letter in two between two encoded words: joined first, then decoded. */
export function mendedWords(decoded: string, source: string): string {
  if (!decoded.includes(REPLACED) || source.length > 20_000) return decoded;
  const joined = source.replace(/=\?([^?\s]{1,40})\?([bq])\?([^?]*)\?=(?:\s+=\?\1\?\2\?[^?]*\?=)+/gi, (run, charset: string, coding: string) => {
    const pieces = [...run.matchAll(/=\?[^?]*\?[bq]\?([^?]*)\?=/gi)].map(([, piece = '']) => piece);
    const whole = coding.toLowerCase() === 'q' ? pieces.join('') : Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64'))).toString('base64');
    return `=?${charset}?${coding}?${whole}?=`;
  });
  const better = decodeWords(joined);
  return better.includes(REPLACED) ? decoded : better;
}

/** Bytes that are no UTF-8, as UTF-8. */
function asUtf8(bytes: string): string {
  if (!Buffer.from(bytes, 'latin1').toString('utf8').includes(REPLACED)) return bytes;
  return Buffer.from(new TextDecoder('windows-1252').decode(Buffer.from(bytes, 'latin1')), 'utf8').toString('latin1');
}

/** What windows-1252 makes of the bytes 128 to 159, back to the byte. */
const HIGH = new Map(Array.from({ length: 32 }, (_, index) => [new TextDecoder('windows-1252').decode(Uint8Array.of(128 + index)), 128 + index] as const));

/** The text if it is UTF-8 that was read as windows-1252, all of it; undefined: it is not. */
function misread(text: string): string | undefined {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const byte = code < 256 ? code : HIGH.get(text.charAt(at));
    if (byte === undefined) return undefined;
    bytes[at] = byte;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** RFC 2152. What is no Base64 after a plus stays as it is. */
function utf7(text: string): string {
  return text.replace(/\+([A-Za-z0-9+/]{0,4000})-?/g, (whole, encoded: string) => {
    if (encoded === '') return whole === '+-' ? '+' : whole;
    const bytes = Buffer.from(encoded, 'base64');
    return bytes.length < 2 ? whole : swapped(bytes.subarray(0, bytes.length - (bytes.length % 2)).toString('utf16le'));
  });
}

/** The two bytes of every unit the other way round. */
function swapped(text: string): string {
  const bytes = Buffer.from(text, 'utf16le').swap16().toString('utf16le');
  return bytes.startsWith('\ufeff') ? bytes.slice(1) : bytes;
}

import PostalMime, { type Email, type PostalMimeOptions } from 'postal-mime';
import { mendedHtml, mendedText, mendedWords, relabelled } from './charsets.ts';

const LONGEST_HEADERS = 64 * 1024;
const LONGEST_RESCUED_TEXT = 256 * 1024;
/** The parser keeps an object for each line: more than these do not fit into its thread. The largest mail has fewer, if it is Base64; a short line costs as much as a long one, and more of it on the heap. */
const MOST_LINES = 500_000;
const MOST_SHORT_LINES = 200_000;
const SHORT = 64;
const MOST_EMPTY_LINES = 20;
/** Characters of text, and of HTML, that are read; nobody writes so much, and the thread must hold several copies. */
const LONGEST_TEXT = 5 * 1024 * 1024;
/** A mail within a mail stays an attachment, so that every attachment has a place of its own. Deeper than any mail program nests, and not so deep that the parser's own calls run out of stack. */
const OPTIONS: PostalMimeOptions = { forceRfc822Attachments: true, maxNestingDepth: 600 };

/** A mail taken apart, and whether its body had to be given up. */
export interface ParsedMail {
  readonly email: Email;
  readonly rescued: boolean;
}

/**
 * Takes any bytes apart and never throws (EMAIL-7). What the parser refuses (endless headers, parts nested without end) is read a second time
 * as its first headers and plain text, so that a hostile mail still says who sent it and what it answers.
 */
export async function readMail(raw: Uint8Array): Promise<ParsedMail> {
  const bytes = withUtf8Headers(firstLines(raw));
  try {
    const email = await PostalMime.parse(bytes, OPTIONS);
    const better = relabelled(bytes, email);
    return { email: mended(better === undefined ? email : await PostalMime.parse(better, OPTIONS), bytes), rescued: false };
  } catch {
    return { email: await rescue(bytes), rescued: true };
  }
}

/** Only what stands above the first empty line. */
export async function readHeaders(raw: Uint8Array): Promise<Email> {
  return (await readMail(raw.subarray(0, headersEnd(raw)))).email;
}

function mended(email: Email, bytes: Uint8Array): Email {
  return {
    ...email,
    ...(email.text === undefined ? {} : { text: mendedText(cut(email.text), bytes) }),
    ...(email.html === undefined ? {} : { html: mendedHtml(cut(email.html)) }),
    ...(email.subject === undefined ? {} : { subject: mendedWords(email.subject, email.headers.find(({ key }) => key === 'subject')?.value ?? '') }),
  };
}

async function rescue(bytes: Uint8Array): Promise<Email> {
  const end = headersEnd(bytes);
  const decoder = new TextDecoder();
  const headers = decoder.decode(bytes.subarray(0, Math.min(end, LONGEST_HEADERS)));
  const text = decoder.decode(bytes.subarray(end, end + LONGEST_RESCUED_TEXT));
  const plain = headers
    .split('\n')
    .slice(0, 1_000)
    .filter((line) => !/^content-/i.test(line))
    .join('\n');
  try {
    return { ...(await PostalMime.parse(`${plain.trimEnd()}\n\n`)), text };
  } catch {
    return { headers: [], headerLines: [], attachments: [], text };
  }
}

/** Says where it was cut, so that nobody takes the beginning for all of it. The delivery keeps every byte. */
function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}\n\n[Cut here: the mail is longer than anybody reads]`;
}

/** As many lines as the parser can hold; of a run of empty ones the first few. */
function firstLines(raw: Uint8Array): Uint8Array {
  if (raw.length <= MOST_SHORT_LINES || fits(raw)) return raw;
  const kept = new Uint8Array(raw.length);
  let length = 0;
  let empty = 0;
  let short = 0;
  for (let start = 0, lines = 0; start < raw.length && lines < MOST_LINES && short < MOST_SHORT_LINES; lines += 1) {
    const end = lineEnd(raw, start);
    empty = end - start <= 2 ? empty + 1 : 0;
    if (empty <= MOST_EMPTY_LINES) {
      kept.set(raw.subarray(start, end), length);
      length += end - start;
      if (end - start < SHORT) short += 1;
    } else lines -= 1;
    start = end;
  }
  return kept.subarray(0, length);
}

function fits(raw: Uint8Array): boolean {
  let short = 0;
  let lines = 0;
  for (let start = 0; start < raw.length; lines += 1) {
    const end = lineEnd(raw, start);
    if (end - start < SHORT) short += 1;
    start = end;
  }
  return lines <= MOST_LINES && short <= MOST_SHORT_LINES;
}

function lineEnd(raw: Uint8Array, start: number): number {
  const end = raw.indexOf(0x0a, start);
  return end < 0 ? raw.length : end + 1;
}

/** The parser takes header bytes for UTF-8; senders from before that write them in Latin-1. */
function withUtf8Headers(raw: Uint8Array): Uint8Array {
  const end = headersEnd(raw);
  const headers = raw.subarray(0, end);
  if (end > LONGEST_HEADERS || headers.every((byte) => byte < 0x80)) return raw;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(headers);
    return raw;
  } catch {
    const mendedHeaders = new TextEncoder().encode(new TextDecoder('windows-1252').decode(headers));
    const whole = new Uint8Array(mendedHeaders.length + raw.length - end);
    whole.set(mendedHeaders);
    whole.set(raw.subarray(end), mendedHeaders.length);
    return whole;
  }
}

/** The first empty line; with none, all of it. */
function headersEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at + 1] === 0x0a || (bytes[at + 1] === 0x0d && bytes[at + 2] === 0x0a)) return at + 1;
  }
  return bytes.length;
}

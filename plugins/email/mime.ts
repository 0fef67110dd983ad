import PostalMime, { type Email, type PostalMimeOptions } from 'postal-mime';
import { mendedHtml, mendedText, mendedWords, relabelled } from './charsets.ts';

const LONGEST_HEADERS = 64 * 1024;
const LONGEST_RESCUED_TEXT = 256 * 1024;
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
  const bytes = withUtf8Headers(raw);
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
    ...(email.text === undefined ? {} : { text: mendedText(email.text, bytes) }),
    ...(email.html === undefined ? {} : { html: mendedHtml(email.html) }),
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

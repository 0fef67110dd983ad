import PostalMime, { type Email } from 'postal-mime';

const LONGEST_HEADERS = 64 * 1024;
const LONGEST_RESCUED_TEXT = 256 * 1024;

/** A mail taken apart, and whether its body had to be given up. */
export interface ParsedMail {
  readonly email: Email;
  readonly rescued: boolean;
}

/**
 * Takes any bytes apart and never throws (EMAIL-7). What the parser refuses (endless headers, parts nested hundreds deep)
 * is read a second time as its first headers and plain text, so that a hostile mail still says who sent it and what it answers.
 */
export async function readMail(raw: Uint8Array): Promise<ParsedMail> {
  const bytes = withUtf8Headers(raw);
  try {
    return { email: await PostalMime.parse(bytes), rescued: false };
  } catch {
    return { email: await rescue(bytes), rescued: true };
  }
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
    const mended = new TextEncoder().encode(new TextDecoder('windows-1252').decode(headers));
    const whole = new Uint8Array(mended.length + raw.length - end);
    whole.set(mended);
    whole.set(raw.subarray(end), mended.length);
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

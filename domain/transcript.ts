import { oneLine } from './system-mail.ts';

/** One message as its reader may see it. */
export interface TranscriptLine {
  /** The visitor's own name; null: they gave none. Of ours: who wrote it; null: a machine. */
  readonly author: string | null;
  readonly from: 'visitor' | 'us';
  readonly at: Date;
  readonly text: string;
}

export interface Transcript {
  /** The channel's, as the visitor knows it. */
  readonly channelName: string;
  /** Oldest first. */
  readonly lines: readonly TranscriptLine[];
  /** There were more before these. */
  readonly shortened: boolean;
  readonly why: 'CLOSED' | 'ASKED';
}

/** Plain text, and the same as HTML with everything escaped. */
export interface TranscriptMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const FOOT = {
  CLOSED: 'This mail was written by a machine when the conversation was closed.',
  ASKED: 'This mail was written by a machine because somebody asked for it in the conversation.',
} as const;
const EARLIER = 'Earlier messages are left out.';

/** A conversation as a mail to its visitor: who said what and when, in UTC, for nobody knows where they are (CHAT-4). */
export function transcriptMail({ channelName, lines, shortened, why }: Transcript): TranscriptMail {
  const name = oneLine(channelName);
  const subject = `Your conversation with ${name}`;
  const said = lines.map((line) => ({ who: who(line, name), at: inUtc(line.at), text: line.text.toWellFormed() }));
  const text = [
    ...(shortened ? [EARLIER, ''] : []),
    // Set in, so that no words of a message can look like the next one's head.
    ...said.flatMap((one) => [`${one.who}, ${one.at}:`, ...one.text.split(/\r\n|[\n\r\u2028\u2029]/).map((part) => `  ${part}`), '']),
    FOOT[why],
    '',
  ].join('\n');
  const html = [
    ...(shortened ? [`<p><em>${EARLIER}</em></p>`] : []),
    ...said.map((one) => `<p><strong>${escaped(one.who)}</strong>, ${one.at}</p>\n<blockquote style="white-space: pre-wrap">${escaped(one.text)}</blockquote>`),
    `<p><small>${FOOT[why]}</small></p>`,
  ].join('\n');
  return { subject, text, html };
}

function who({ from, author }: TranscriptLine, channelName: string): string {
  const name = oneLine(author ?? '');
  if (name !== '') return name;
  return from === 'visitor' ? 'You' : channelName;
}

/** `2 January 2026, 03:04 UTC`. */
function inUtc(at: Date): string {
  const month = MONTHS[at.getUTCMonth()] ?? '';
  const [hours, minutes] = [at.getUTCHours(), at.getUTCMinutes()].map((part) => String(part).padStart(2, '0'));
  return `${at.getUTCDate()} ${month} ${at.getUTCFullYear()}, ${hours}:${minutes} UTC`;
}

const MONTHS = 'January February March April May June July August September October November December'.split(' ');

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escaped(text: string): string {
  // Control characters mean nothing in a mail, and some are not allowed in HTML at all.
  return text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '').replaceAll(/[&<>"']/g, (letter) => ESCAPES[letter] ?? letter);
}

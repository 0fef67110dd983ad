import type { Identity } from '@trunkline/channel-sdk';
import EmailForwardParser from 'email-forward-parser';
import { canonicalAddress } from './address.ts';
import { cleanLine } from './clean.ts';
import { hasWords } from './html-outline.ts';
import { isFromLine, isLabelLine } from './labels.ts';

/** A forwarded mail taken apart. */
export interface Forward {
  /** Who wrote the mail that was forwarded; undefined: the block names nobody by an address. */
  readonly sender: Identity | undefined;
  /** What the forwarder wrote above; often empty. */
  readonly note: string;
  /** The lines that say who wrote it, when and to whom. */
  readonly block: string;
  /** The forwarded mail's own words. */
  readonly body: string;
}

/** The marks of the usual mail programs, first in the subject. `VS` is a forward in Danish and Norwegian and an answer in Finnish. */
const MARK =
  /^\s*(?:\[[^\]]{1,40}\]\s*)?\[?\s*(?:fwd?|fs|wg|tr|rv|i|vs|vb|vl|pd|enc|redir|videresend(?:t)?|doorst|doorgestuurd|továbbítás|tov|i̇lt|ilt|προώθ|πρθ|пересл|перес|hl|转发|轉寄|転送|전달|הועבר|إعادة توجيه)\.?\s*[:：]/iu;
const FINNISH_ANSWER = /^\s*vs\s*:/i;
/** "Forwarded message", in the languages of mail programs: what is quoted under such a line is no history. */
const ANNOUNCES =
  /forwarded|weitergeleitet|reenviado|transféré|transmis|réexpédié|inoltrat|doorgestuurd|encaminhad|videresend|vidarebefordra|välitetty|edelleenlähetetty|przekaz|przesłan|přeposlan|preposlan|továbbított|redirecționat|пересылаем|переадресован|перенаправлен|переслан|пересилається|iletil|ileti başlangıcı|proslijeđen|转发|轉寄|転送|전달/iu;
/** Where a block may begin is asked of the library a few times and over few lines: its time grows with the cube of what it is given. */
const MOST_QUESTIONS = 6;
const WINDOW_LINES = 24;
const LONGEST_LINE = 250;
const LONGEST_WINDOW = 1_800;
const LONGEST_BLOCK = 60;
const LONGEST_TEXT = 2_000_000;

/** Whether the subject says that a mail is forwarded; "Re: Fwd: …" says that one is answered. */
export function hasForwardMark(subject: string): boolean {
  return MARK.test(subject.slice(0, 200));
}

/** The subject the forwarded mail had. */
export function withoutForwardMark(subject: string): string {
  return subject
    .replace(MARK, '')
    .replace(/\]$/, (end) => (/^\s*\[\s*fwd/i.test(subject) ? '' : end))
    .trim();
}

/** Whether what is quoted there was forwarded and not answered, by the line above it. */
export function announcesForward(quoted: string): boolean {
  const [first = '', second = ''] = quoted.slice(0, 2_000).split('\n').filter(hasWords);
  return [first, second].some((line) => line.length <= 120 && /^[>\s]*-{3,}|[:：]\s*$/.test(line) && ANNOUNCES.test(line));
}

/** The forwarded mail within a text, where subject and text both say that it is one (EMAIL-4). `rest`: how often it may have been forwarded before. */
export function forwardIn(subject: string, text: string, rest = 3): Forward | undefined {
  if (!hasForwardMark(subject) || text.length > LONGEST_TEXT) return undefined;
  const lines = text.split('\n');
  let questions = 0;
  for (let at = 0; at < lines.length && questions < MOST_QUESTIONS; at += 1) {
    if (!mayBegin(lines, at)) continue;
    questions += 1;
    const found = blockAt(lines, at);
    if (found === undefined) continue;
    const note = lines.slice(0, at).join('\n').trim();
    const block = lines.slice(at, found.end).join('\n').trim();
    const body = unquoted(lines.slice(found.end).join('\n').trim());
    // Forwarded more than once: it is the mail of whoever wrote it first.
    const inner =
      rest > 0 && block.split('\n').some((line) => hasForwardMark(line.replace(/^[^:：]{0,40}[:：]/, ''))) ? forwardIn('Fwd: mail', body, rest - 1) : undefined;
    if (inner?.sender !== undefined) {
      return { ...inner, note: [note, inner.note].filter((part) => part !== '').join('\n\n'), block: `${block}\n\n${inner.block}` };
    }
    if (FINNISH_ANSWER.test(subject) && /^[>\s*]*lähettäjä/imu.test(block)) return undefined;
    return { sender: found.sender, note, block, body };
  }
  return undefined;
}

/** A separator, or a line that names a sender as a header block does. */
function mayBegin(lines: readonly string[], at: number): boolean {
  const line = (lines[at] ?? '').slice(0, 400);
  if (/^[>\s]*[-_]{3,}/.test(line) || /^[>\s]*-*\s*\S[^\n]{0,300}[:：]\s*-*\s*$/u.test(line)) return true;
  return isFromLine(line);
}

/** What the library reads in the lines from here, if it finds a forwarded mail that begins just here. */
function blockAt(lines: readonly string[], at: number): { readonly sender: Identity | undefined; readonly end: number } | undefined {
  const window = lines
    .slice(at, at + WINDOW_LINES)
    .map((line) =>
      line
        .replace(/[\s\u00a0]+/g, ' ')
        .trimEnd()
        .slice(0, LONGEST_LINE),
    )
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .slice(0, LONGEST_WINDOW);
  const { email, message } = new EmailForwardParser().read(window, 'Fwd: mail');
  // Words before it in the window: it begins further down, and is found there.
  if (email.body === undefined || message !== null) return undefined;
  const value = canonicalAddress((email.from.address ?? '').replace(/^mailto:/i, ''));
  const name = cleanLine((email.from.name ?? '').replace(/\*/g, ''), 200);
  const named = name === '' || canonicalAddress(name) === value ? {} : { name };
  return { sender: value === undefined ? undefined : { kind: 'email-address', value, ...named }, end: blockEnd(lines, at) };
}

/** The line after the block: after its separator, and after the labels below it, which some programs set apart by empty lines. */
function blockEnd(lines: readonly string[], at: number): number {
  const first = lines[at] ?? '';
  // Some programs put all they tell into the separator itself.
  if (/<[^<>]+@[^<>]+>[^<>]*[:：]\s*$/.test(first.slice(-400))) return at + 1;
  let end = isLabelLine(first) ? at : nextWords(lines, at + 1);
  while (end < Math.min(lines.length, at + LONGEST_BLOCK)) {
    if (!isBlank(lines[end])) {
      end += 1;
      continue;
    }
    const next = nextWords(lines, end);
    if (next - end > 1 || !isLabelLine(lines[next] ?? '')) break;
    end = next;
  }
  return end;
}

function nextWords(lines: readonly string[], at: number): number {
  let next = at;
  while (next < lines.length && isBlank(lines[next])) next += 1;
  return next;
}

/** Nothing in it but marks of a quote. */
function isBlank(line: string | undefined): boolean {
  return !/[^\s>]/.test(line ?? '');
}

/** Some programs mark all of a forwarded mail as a quote. */
function unquoted(text: string): string {
  const lines = text.split('\n');
  return lines.every((line) => line.trim() === '' || line.startsWith('>'))
    ? lines
        .map((line) => line.replace(/^> ?/, ''))
        .join('\n')
        .trim()
    : text;
}

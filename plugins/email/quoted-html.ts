import { hasWords, isManageable, walkHtml, type OutlineEvent } from './html-outline.ts';
import { isAttribution } from './attribution.ts';
import { isFromLine } from './labels.ts';

/** HTML cut in two at the tags of its mail program; each half may have tags that the other opens or closes. */
export interface HtmlHalves {
  readonly html: string;
  readonly quoted: string;
}

/** Elements that hold the history and nothing else. */
const CLASSES = new Set([
  'gmail_quote',
  'gmail_quote_container',
  'moz-cite-prefix',
  'yahoo_quoted',
  'protonmail_quote',
  'tutanota_quote',
  'front-blockquote',
  'missive_quote',
  'zmail_extra',
  'freshdesk_quote',
  'ms-outlook-mobile-reference-message',
]);
const IDS = /^(?:x_)*(?:yahoo_quoted|mail-app-auto-quote|olk_src_body_section|mail-editor-reference-message-container|isreplycontent)/i;
const NAMES = new Set(['quote', 'quoted-content', 'messagereplysection']);
/** Elements that stand before the history: it goes on to the end of the mail. */
const DIVIDERS = new Set(['divrplyfwdmsg', 'appendonsend', 'stopspelling', 'zwchr', 'replysplit', 'ms-outlook-mobile-body-separator-line']);
/** Outlook for Windows draws a line above the header block, in one of its two greys; other programs use such lines too, so the block must follow. */
const BORDER = /border-top:\s*(?:solid\s+#?\w{3,20}\s+1\.0pt|1\.0pt\s+solid|solid\s+windowtext)/i;

type Part = 'new' | 'quoted';

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Splits the history off that a mail program quoted, by the marks it leaves for that. Undefined: there is none, nothing else is in the mail, or
 * something new stands between or after it: then nothing is split, so that no answer is ever put away with the question (CH-7).
 */
export function splitHtml(html: string): HtmlHalves | undefined {
  if (!isManageable(html)) return undefined;
  const { parts, ranges } = outline(html);
  const order = parts.filter((part, index) => part !== parts[index - 1]).join(' ');
  const [first, last] = [ranges[0], ranges.at(-1)];
  if ((order !== 'new quoted' && order !== 'quoted new') || first === undefined || last === undefined) return undefined;
  const quoted = html.slice(first.start, last.end);
  return hasWords(quoted.replace(/<[^<>]*>/g, ' ')) ? { html: html.slice(0, first.start) + html.slice(last.end), quoted } : undefined;
}

/** What follows what in it, and where the history stands. */
function outline(html: string): { readonly parts: readonly Part[]; readonly ranges: readonly Range[] } {
  const parts: Part[] = [];
  const ranges: Range[] = [];
  let depth = 0;
  /** The depth of the quote, of the signature, that is open now. */
  let quoteDepth: number | undefined;
  let signatureDepth: number | undefined;
  let quoteStart = 0;
  /** Outlook's line, until the words below it are known. */
  let border: { readonly at: number; text: string } | undefined;
  /** New lines with words since the last quote; the newest of them may turn out to announce the next quote. */
  let lines = 0;
  let line = { at: 0, text: '' };
  let lineIsOpen = false;
  let rule: number | undefined;

  const begin = (at: number): void => {
    quoteStart = Math.min(at, rule ?? at);
    if (lines > 0 && isAttribution(line.text)) {
      quoteStart = line.at;
      lines -= 1;
    }
    if (lines > 0) parts.push('new');
    parts.push('quoted');
    lines = 0;
    line = { at: 0, text: '' };
  };
  const words = (text: string, at: number): void => {
    // A signature below the history is nothing new, and stays.
    if (signatureDepth !== undefined && parts.includes('quoted')) return;
    rule = undefined;
    if (!lineIsOpen) {
      lines += 1;
      line = { at, text: '' };
      lineIsOpen = true;
    }
    if (line.text.length < 400) line.text += text;
  };

  walkHtml(html, (event) => {
    if (event.type === 'words') {
      if (quoteDepth !== undefined) return false;
      if (border !== undefined) {
        border.text += event.text;
        if (isFromLine(border.text.trim())) {
          begin(border.at);
          ranges.push({ start: quoteStart, end: html.length });
          return true;
        }
        if (border.text.trim().length > 40) border = undefined;
      }
      words(event.text, event.at);
      return false;
    }
    if (event.block) lineIsOpen = false;
    if (event.type === 'close') {
      depth -= 1;
      if (depth === quoteDepth) {
        ranges.push({ start: quoteStart, end: event.end });
        quoteDepth = undefined;
      }
      if (depth === signatureDepth) signatureDepth = undefined;
      return false;
    }
    depth += 1;
    if (quoteDepth !== undefined) return false;
    if (event.name === 'hr') rule = event.at;
    // A screenshot above the history is an answer too.
    if (event.name === 'img' && parts.length === 0) words(' ', event.at);
    if (isSignature(event)) signatureDepth ??= depth - 1;
    const kind = kindOf(event);
    if (kind === 'border') border = { at: event.at, text: '' };
    if (kind === 'divider') {
      begin(event.at);
      ranges.push({ start: quoteStart, end: html.length });
      return true;
    }
    if (kind === 'element') {
      begin(event.at);
      quoteDepth = depth - 1;
    }
    return false;
  });
  if (lines > 0) parts.push('new');
  return { parts, ranges };
}

function kindOf(event: Extract<OutlineEvent, { type: 'open' }>): 'element' | 'divider' | 'border' | undefined {
  const { class: classes = '', id = '', name = '', style = '', type = '' } = event.attributes;
  if (event.name === 'blockquote' && type.toLowerCase() === 'cite') return 'element';
  if (DIVIDERS.has(id.toLowerCase().replace(/^(?:x_)+/, ''))) return 'divider';
  if (IDS.test(id) || NAMES.has(name.toLowerCase()) || event.attributes['data-marker'] === '__QUOTED_TEXT__') return 'element';
  // A program that quotes another's mail puts x_ before the names it found there.
  if (classes !== '' && classes.split(/\s+/, 50).some((one) => CLASSES.has(one.replace(/^(?:x_)+/, '')))) return 'element';
  return event.name === 'div' && BORDER.test(style.slice(0, 1_000)) ? 'border' : undefined;
}

function isSignature({ attributes }: Extract<OutlineEvent, { type: 'open' }>): boolean {
  return /signature/i.test(`${attributes['class'] ?? ''} ${attributes['id'] ?? ''}`.slice(0, 1_000));
}

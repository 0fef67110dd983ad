import { endsLikeAttribution, isAttribution, isKnownAttribution } from './attribution.ts';
import { hasWords } from './html-outline.ts';
import { headerBlockLength } from './labels.ts';

/** A text cut in two: what is new, and the history it quotes. */
export interface TextHalves {
  readonly text: string;
  readonly quoted: string;
}

/** A stretch of lines: from, up to and without. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** A longer text is left whole: it is a log or a list, not an answer. */
const LONGEST_TEXT = 2_000_000;
const MOST_LINES = 50_000;
const MOST_QUESTIONS = 200;

/** "-----Original Message-----" in the languages of mail programs. */
const SEPARATOR =
  /^[>\s]*[-_—]{2,40}\s*(?:original message|reply message|ursprüngliche nachricht|originalnachricht|original-nachricht|message d['’]origine|message original|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original|oprindelig (?:besked|meddelelse)|ursprungligt meddelande|originalmeddelande|opprinnelig melding|alkuperäinen viesti|oryginalna wiadomość|wiadomość oryginalna|původní zpráva|pôvodná správa|eredeti üzenet|mesaj original|orijinal (?:ileti|mesaj)|исходное сообщение|оригинальное сообщение|元のメッセージ|原始邮件|原始郵件|원본 메시지)\s*[-_—]{2,40}\s*$/iu;
const QUOTE_LINE = /^\s{0,3}>/;
/** A line of dashes or underscores, also with words in it. */
const RULE_LINE = /^[>\s]*[-_]{3,}/;
/** What a mail program, a mailing list or its owner puts below everything. */
const FOOTER_LINE =
  /^(?:--\s*$|[-_]{20,}\s*$|sent (?:from|via|with) |get outlook for |von meinem |gesendet (?:von|mit) |diese nachricht wurde von |envoyé (?:de|depuis|à partir) |télécharge[rz] outlook |enviado (?:desde|de|do) |inviato (?:da|dal) |verzonden (?:vanaf|met) |verstuurd vanaf |sendt fra |skickat från |lähetetty |wysłano z |отправлено (?:из|с) )/iu;
/** An answer that says where it goes on needs what it speaks of: such a mail is left whole. */
const POINTS_BELOW =
  /\b(?:(?:see|reply|replies|answers?|comments?|responses?|written)\b[^.!?\n]{0,40}\b(?:below|inline|in-line|in (?:red|blue|green|bold|capitals))|(?:siehe|antworten?|kommentare?)\b[^.!?\n]{0,40}\b(?:unten|im text|in (?:rot|blau|grün))|(?:voir|réponses?)\b[^.!?\n]{0,40}(?:ci-dessous|dans le texte|en (?:rouge|bleu))|(?:ver|respuestas?|respondo)\b[^.!?\n]{0,40}\b(?:abajo|más abajo|en (?:rojo|azul)))/iu;

/**
 * Splits the quoted history off (CH-7). Undefined: there is none, the mail is nothing but a quote, or something new stands between or below it:
 * then nothing is split, so that no answer is ever put away with the question.
 */
export function splitText(text: string): TextHalves | undefined {
  const lines = text.length > LONGEST_TEXT ? [] : text.split('\n', MOST_LINES + 1);
  if (lines.length > MOST_LINES) return undefined;
  const stretch = toTheEnd(lines) ?? marked(lines);
  if (stretch === undefined) return undefined;
  const rest = [lines.slice(0, stretch.from).join('\n').trim(), lines.slice(stretch.to).join('\n').trim()];
  const fresh = rest.filter((part) => part !== '').join('\n\n');
  return hasWords(fresh) && !pointsBelow(fresh) ? { text: fresh, quoted: lines.slice(stretch.from, stretch.to).join('\n').trim() } : undefined;
}

/** Whether what is new says that it goes on within the history. */
export function pointsBelow(fresh: string): boolean {
  return POINTS_BELOW.test(fresh.slice(0, 2_000));
}

/** History that goes on to the end without a mark before its lines: below a header block, a separator or an attribution that is surely one. */
function toTheEnd(lines: readonly string[]): Stretch | undefined {
  let questions = 0;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (QUOTE_LINE.test(line)) return undefined;
    if (SEPARATOR.test(line.slice(0, 200)) || headerBlockLength(lines, at) > 0) return { from: withRuleAbove(lines, at), to: lines.length };
    if (!endsLikeAttribution(line) || questions >= MOST_QUESTIONS) continue;
    questions += 1;
    const from = attributionStart(lines, at);
    // Below a quote that is marked the other way of splitting sees more.
    if (from === undefined || QUOTE_LINE.test(lines[nextWords(lines, at + 1)] ?? '')) continue;
    if (isKnownAttribution(lines.slice(from, at + 1).join(' '))) return { from, to: lines.length };
  }
  return undefined;
}

/** History whose lines are marked with ">": one stretch, with new words either above or below it; a footer below counts as neither. */
function marked(lines: readonly string[]): Stretch | undefined {
  const first = lines.findIndex((line) => QUOTE_LINE.test(line));
  if (first < 0) return undefined;
  const last = lines.findLastIndex((line) => QUOTE_LINE.test(line));
  for (let at = first; at <= last; at += 1) {
    if (QUOTE_LINE.test(lines[at] ?? '') || !hasWords(lines[at] ?? '')) continue;
    // Between the quotes of a long thread stand the lines that announce them.
    const end = attributionEnd(lines, at);
    if (end === undefined) return undefined;
    at = end;
  }
  const above = previousWords(lines, first - 1);
  const from = above >= 0 && endsLikeAttribution(lines[above] ?? '') ? (attributionStart(lines, above) ?? first) : first;
  const below = nextWords(lines, last + 1);
  const newAbove = lines.slice(0, from).some(hasWords);
  if (newAbove && below < lines.length && !isFooter(lines, below)) return undefined;
  return { from, to: last + 1 };
}

/** The last line of an attribution that begins here and is followed by a marked line. */
function attributionEnd(lines: readonly string[], at: number): number | undefined {
  for (let end = at; end < Math.min(at + 3, lines.length); end += 1) {
    if (!endsLikeAttribution(lines[end] ?? '')) continue;
    const text = lines.slice(at, end + 1).join(' ');
    return isAttribution(text) && QUOTE_LINE.test(lines[nextWords(lines, end + 1)] ?? '') ? end : undefined;
  }
  return undefined;
}

/** The first line of the attribution that ends here: programs break it where it is long. The shortest that is known; else the shortest that looks so. */
function attributionStart(lines: readonly string[], end: number): number | undefined {
  let likely: number | undefined;
  for (let from = end; from >= Math.max(0, end - 2); from -= 1) {
    const line = lines[from] ?? '';
    if (!hasWords(line) || QUOTE_LINE.test(line)) break;
    const text = lines.slice(from, end + 1).join(' ');
    if (!isAttribution(text)) continue;
    if (isKnownAttribution(text)) return from;
    likely ??= from;
  }
  return likely;
}

function withRuleAbove(lines: readonly string[], at: number): number {
  const above = previousWords(lines, at - 1);
  return above >= 0 && at - above <= 2 && RULE_LINE.test((lines[above] ?? '').slice(0, 200)) ? above : at;
}

function isFooter(lines: readonly string[], at: number): boolean {
  return FOOTER_LINE.test((lines[at] ?? '').trimStart().slice(0, 200)) && lines.length - at <= 15;
}

function nextWords(lines: readonly string[], at: number): number {
  let next = at;
  while (next < lines.length && !hasWords(lines[next] ?? '')) next += 1;
  return next;
}

function previousWords(lines: readonly string[], at: number): number {
  let previous = at;
  while (previous >= 0 && !hasWords(lines[previous] ?? '')) previous -= 1;
  return previous;
}

const BREAKS = new Set(['br', 'div', 'tr', 'section', 'article', 'header', 'footer', 'address', 'dt', 'dd', 'hr', 'center']);
const PARAGRAPHS = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'dl', 'table', 'blockquote', 'pre']);
const SILENT: Readonly<Record<string, RegExp>> = {
  script: /<\/script/gi,
  style: /<\/style/gi,
  title: /<\/title/gi,
  template: /<\/template/gi,
  noscript: /<\/noscript/gi,
};
const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  shy: '',
  zwnj: '',
  zwj: '',
  auml: 'ä',
  ouml: 'ö',
  uuml: 'ü',
  Auml: 'Ä',
  Ouml: 'Ö',
  Uuml: 'Ü',
  szlig: 'ß',
  eacute: 'é',
  egrave: 'è',
  ecirc: 'ê',
  agrave: 'à',
  acirc: 'â',
  ccedil: 'ç',
  ntilde: 'ñ',
  oslash: 'ø',
  aring: 'å',
  hellip: '…',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  bull: '•',
  middot: '·',
  copy: '©',
  reg: '®',
  trade: '™',
  euro: '€',
  pound: '£',
  deg: '°',
  times: '×',
};

/**
 * The words of an HTML mail that came without a text part, with its line breaks, lists and link targets.
 * One pass without recursion: time grows with the length only, whatever the bytes. Not a sanitiser: its result is text.
 */
export function htmlToText(html: string): string {
  const out: string[] = [];
  const tag = /[a-z][a-z0-9]*/iy;
  let preformatted = 0;
  let quotes = true;
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    const words = html.slice(at, open < 0 ? html.length : open);
    if (words !== '') out.push(decodeEntities(preformatted > 0 ? words : words.replace(/[ \t\r\n\f]+/g, ' ')));
    if (open < 0) break;
    if (html.startsWith('<!--', open)) {
      const end = html.indexOf('-->', open + 4);
      if (end < 0) break;
      at = end + 3;
      continue;
    }
    const closing = html[open + 1] === '/';
    tag.lastIndex = open + (closing ? 2 : 1);
    const name = tag.exec(html)?.[0].toLowerCase();
    if (name === undefined && html[open + 1] !== '!' && html[open + 1] !== '?' && !closing) {
      out.push('<');
      at = open + 1;
      continue;
    }
    let end = quotes ? tagEnd(html, open + 1) : html.indexOf('>', open + 1);
    if (end < 0 && quotes) {
      // A quote that never closes: from here on quotes mean nothing, or every further tag would look through the rest.
      quotes = false;
      end = html.indexOf('>', open + 1);
    }
    if (end < 0) break;
    at = end + 1;
    if (name === undefined) continue;
    const silent = closing || !Object.hasOwn(SILENT, name) ? undefined : SILENT[name];
    if (silent !== undefined) {
      silent.lastIndex = at;
      const stop = silent.exec(html);
      if (stop === null) break;
      at = stop.index;
      continue;
    }
    if (name === 'pre') preformatted = Math.max(0, preformatted + (closing ? -1 : 1));
    if (name === 'li' && !closing) out.push('\n- ');
    else if (name === 'td' || name === 'th') out.push(' ');
    else if (PARAGRAPHS.has(name)) out.push('\n\n');
    else if (BREAKS.has(name)) out.push('\n');
    else if (name === 'a' && !closing) pushLink(out, html.slice(open, end));
    else if (name === 'img') out.push(attribute(html.slice(open, end), /\salt\s*=\s*(?:"([^"]*)"|'([^']*)')/i));
  }
  return tidy(out.join(''));
}

/** A link's target is remembered as a mark before its words; without it "click here" says nothing. */
function pushLink(out: string[], source: string): void {
  const target = attribute(source, /\shref\s*=\s*(?:"([^"]*)"|'([^']*)')/i);
  if (/^https?:\/\//i.test(target) && target.length <= 200) out.push(`[${target}] `);
}

function attribute(source: string, pattern: RegExp): string {
  // A tag longer than this carries data, not words.
  const match = source.length > 4_000 ? null : pattern.exec(source);
  return match === null ? '' : decodeEntities(match[1] ?? match[2] ?? '');
}

/** Where the tag ends, a ">" inside quotes left aside; -1: nowhere. */
function tagEnd(html: string, from: number): number {
  let quote = '';
  for (let at = from; at < html.length; at += 1) {
    const letter = html[at];
    if (quote !== '') {
      if (letter === quote) quote = '';
    } else if (letter === '>') return at;
    else if ((letter === '"' || letter === "'") && html[at - 1] === '=') quote = letter;
  }
  return -1;
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,8}));/gi, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return (Object.hasOwn(NAMED, name) ? NAMED[name] : undefined) ?? whole;
    const code = typeof decimal === 'string' ? Number(decimal) : Number.parseInt(String(hex), 16);
    return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : '';
  });
}

function tidy(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd().replace(/^ +/, ''));
  const kept: string[] = [];
  for (const line of lines) if (line !== '' || (kept.length > 0 && kept.at(-1) !== '')) kept.push(line);
  return kept.join('\n').trim();
}

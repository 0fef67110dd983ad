import { Parser } from 'htmlparser2';

/** More than a mail program writes: beyond these the parsers' time or memory grows faster than the mail. */
const DEEPEST = 500;
const MOST_TAGS = 200_000;
const LONGEST = 5 * 1024 * 1024;

const SILENT = new Set(['head', 'style', 'script', 'title', 'template', 'noscript']);
const BLOCKS = new Set(
  'address article blockquote body br center dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre section table td th tr ul'.split(' '),
);

/** An element that opens or closes, or words between; offsets into the HTML. */
export type OutlineEvent =
  | { readonly type: 'open'; readonly name: string; readonly attributes: Readonly<Record<string, string>>; readonly block: boolean; readonly at: number }
  | { readonly type: 'close'; readonly name: string; readonly block: boolean; readonly end: number }
  | { readonly type: 'words'; readonly text: string; readonly at: number };

/** Whether HTML is of a size and depth that can be read with its shape. Linear in its length. */
export function isManageable(html: string): boolean {
  if (html.length > LONGEST) return false;
  let tags = 0;
  for (let at = html.indexOf('<'); at >= 0; at = html.indexOf('<', at + 1)) tags += 1;
  return tags <= MOST_TAGS && deepest(html) <= DEEPEST;
}

/** Tells what is in it, in order, until the visitor has seen enough (true). Only for what is manageable. */
export function walkHtml(html: string, visit: (event: OutlineEvent) => boolean): void {
  let silent = 0;
  let done = false;
  const tell = (event: OutlineEvent): void => {
    if (!done) done = visit(event);
  };
  const parser: Parser = new Parser({
    onopentag(name, attributes) {
      if (SILENT.has(name)) silent += 1;
      else if (silent === 0) tell({ type: 'open', name, attributes, block: BLOCKS.has(name), at: parser.startIndex });
    },
    onclosetag(name) {
      if (SILENT.has(name)) silent -= 1;
      else if (silent === 0) tell({ type: 'close', name, block: BLOCKS.has(name), end: Math.min(html.length, parser.endIndex + 1) });
    },
    ontext(text) {
      if (silent === 0 && hasWords(text)) tell({ type: 'words', text, at: parser.startIndex });
    },
  });
  parser.end(html);
}

/** Whether there is anything to read in it: not only spaces, visible or not. */
export function hasWords(text: string): boolean {
  return /[^\s\u00a0\u00ad\u200b-\u200f\u2060\ufeff]/u.test(text);
}

/** How deep its elements stand in each other, counted up to a little over what is let through. */
function deepest(html: string): number {
  let depth = 0;
  let most = 0;
  const parser: Parser = new Parser({
    onopentag() {
      depth += 1;
      most = Math.max(most, depth);
      if (most > DEEPEST) parser.pause();
    },
    onclosetag() {
      depth -= 1;
    },
  });
  parser.write(html);
  return most;
}

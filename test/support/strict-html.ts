/** A tag as it is written. */
export interface StrictTag {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** What a piece of HTML consists of. */
export interface StrictHtml {
  readonly tags: readonly StrictTag[];
  /** What stands between the tags, decoded. */
  readonly text: string;
}

/** They have no end. */
const VOID = new Set(['br', 'col', 'hr', 'img', 'wbr']);
const NAME = /^[a-z][a-z0-9]*$/;
const ATTRIBUTE = /^ ([a-z][a-z-]*)(?:="([^"<>]*)")?/;

/**
 * Reads HTML that leaves a browser nothing to guess: names in small letters, values in double quotes without a bracket, every element ended in its order. Throws at
 * anything else, with its place: what is not written like that could be read in two ways, and a filter and a browser would differ.
 */
export function readStrictHtml(html: string): StrictHtml {
  const tags: StrictTag[] = [];
  const open: string[] = [];
  let text = '';
  let at = 0;
  const fail = (why: string): never => {
    throw new Error(`${why} at ${at}: ${JSON.stringify(html.slice(at, at + 60))}`);
  };
  while (at < html.length) {
    const next = html.indexOf('<', at);
    const words = html.slice(at, next < 0 ? html.length : next);
    if (words.includes('>')) fail('a bracket in the text before');
    text += decode(words);
    if (next < 0) break;
    at = next;
    const end = html.indexOf('>', at);
    if (end < 0) fail('a tag without an end');
    const inside = html.slice(at + 1, end);
    if (inside.startsWith('/')) {
      const name = inside.slice(1);
      if (!NAME.test(name)) fail('not an end tag');
      if (open.pop() !== name) fail('an end out of order');
    } else {
      const tag = readTag(inside.endsWith(' /') ? inside.slice(0, -2) : inside) ?? fail('not a tag');
      tags.push(tag);
      if (!VOID.has(tag.name)) open.push(tag.name);
    }
    at = end + 1;
  }
  if (open.length > 0) fail(`never ended: ${open.join(' ')}`);
  return { tags, text };
}

function readTag(inside: string): StrictTag | undefined {
  const name = inside.split(' ', 1).join('');
  if (!NAME.test(name)) return undefined;
  const attributes = new Map<string, string>();
  let rest = inside.slice(name.length);
  while (rest !== '') {
    const match = ATTRIBUTE.exec(rest);
    const key = match?.[1];
    if (match === null || key === undefined || attributes.has(key)) return undefined;
    attributes.set(key, decode(match[2] ?? ''));
    rest = rest.slice(match[0].length);
  }
  return { name, attributes };
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/** As a browser would; a name it might know and we do not is an error. */
function decode(text: string): string {
  return text.replace(/&(#x[\da-f]+|#\d+|[a-z][a-z\d]*)(;?)/gi, (whole, name: string, end: string) => {
    if (name.startsWith('#')) return String.fromCodePoint(Math.min(/^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1)), 0x10ffff));
    if (end === ';' && Object.hasOwn(NAMED, name)) return NAMED[name] ?? whole;
    throw new Error(`a character reference that is not one of ours: ${whole}`);
  });
}

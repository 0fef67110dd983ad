import { readStrictHtml, type StrictTag } from './strict-html.ts';

/** Text, lists, tables, links, pictures: what a mail needs. Nothing that loads, runs, sends, or holds text of another kind (CH-7). */
const ELEMENTS = new Set(
  [
    'a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure font',
    'footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s samp section small span strike strong sub summary sup table tbody',
    'td tfoot th thead time tr tt u ul var wbr',
  ].flatMap((line) => line.split(' ')),
);
/** Looks and language; an address only where `problemOf` judges it. No id, name or class: they would mean something in the page around. */
const ATTRIBUTES = new Set(
  [
    'align alt bgcolor border cellpadding cellspacing color colspan data-remote-src dir face height href hspace lang noshade nowrap open rel reversed rowspan size',
    'span src start style target title type valign value vspace width',
  ].flatMap((line) => line.split(' ')),
);
const LINK = /^(?:https?:\/\/[^\s]|mailto:|tel:)/i;
const PICTURE = /^(?:cid:\S+|data:image\/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]+)$/i;
const REMOTE_PICTURE = /^https?:\/\/\S/i;
/** Letters, boxes and colours. Nothing that places, layers, moves, animates, or makes content. */
const PROPERTY =
  /^(?:background(?:-color)?|border(?:-(?:top|right|bottom|left))?(?:-(?:color|style|width))?|border-(?:collapse|radius|spacing)|caption-side|clear|color|direction|display|empty-cells|float|font(?:-(?:family|size|style|variant|weight))?|(?:max-|min-)?(?:height|width)|letter-spacing|line-height|list-style(?:-(?:position|type))?|(?:margin|padding)(?:-(?:top|right|bottom|left))?|overflow-wrap|table-layout|text-(?:align|decoration(?:-(?:color|line|style))?|indent|transform)|unicode-bidi|vertical-align|white-space|word-(?:break|spacing|wrap))$/;
/** Of functions only colours; no escape, comment, block, rule, address, or length below zero. */
const COLOUR = /\b(?:rgb|hsl)a?\([\d\s.,%/deg-]*\)/gi;
const BAD_VALUE = /[\\@{}<>()]|\/\*|\/\/|:|(?:^|[\s,])-\.?\d/;

/** What keeps a piece of HTML from being shown in our own page as it stands; empty: nothing (CH-7). `remote`: after somebody asked for the pictures. */
export function shownHtmlProblems(html: string, { remote = false } = {}): string[] {
  if (html.includes('\0')) return ['a NUL'];
  if (!html.isWellFormed()) return ['half a surrogate'];
  try {
    return readStrictHtml(html).tags.flatMap((tag) => problemsOf(tag, remote));
  } catch (error) {
    return [error instanceof Error ? error.message : 'not readable'];
  }
}

function problemsOf({ name, attributes }: StrictTag, remote: boolean): string[] {
  if (!ELEMENTS.has(name)) return [`element ${name}`];
  const found = [...attributes].flatMap(([key, value]) => (ATTRIBUTES.has(key) ? problemOf(name, key, value, remote) : [`attribute ${key} on ${name}`]));
  const rel = (attributes.get('rel') ?? '').split(' ');
  if (name === 'a' && attributes.has('href') && !['noopener', 'noreferrer'].every((word) => rel.includes(word)))
    found.push('a link without noopener noreferrer');
  return found;
}

function problemOf(element: string, key: string, value: string, remote: boolean): string[] {
  const judged: Readonly<Record<string, boolean>> = {
    href: element === 'a' && LINK.test(value),
    src: element === 'img' && (PICTURE.test(value) || (remote && REMOTE_PICTURE.test(value))),
    'data-remote-src': element === 'img' && REMOTE_PICTURE.test(value),
    target: element === 'a' && value === '_blank',
    style: isHarmlessStyle(value),
  };
  return (Object.hasOwn(judged, key) ? judged[key] : true) ? [] : [`${key} on ${element}: ${value.slice(0, 80)}`];
}

function isHarmlessStyle(style: string): boolean {
  return style.split(';').every((declaration) => {
    if (declaration.trim() === '') return true;
    const [property = '', ...value] = declaration.split(':');
    return PROPERTY.test(property.trim()) && !BAD_VALUE.test(value.join(':').replace(COLOUR, ''));
  });
}

import sanitizeHtml from 'sanitize-html';

/** How much HTML is made ready to be shown; of what is more only the text is shown. Held against `docs/limits.md`. */
export const HTML_LIMITS = {
  /** Characters, embedded pictures over their own limit not counted. */
  characters: 2_000_000,
  /** Tags. */
  tags: 100_000,
  /** Tags open at the same time, unclosed ones too. */
  openTags: 1_000,
  /** Levels that are kept; deeper tags go, their text stays. */
  nesting: 256,
  /** Characters of one picture embedded in the HTML itself. */
  embeddedPicture: 500_000,
} as const;

/** A remote picture's address waits here: nothing is fetched, and no sender learns that a mail was opened, until somebody asks for the pictures. */
const REMOTE = 'data-remote-src';

/**
 * HTML from outside, made harmless for display (CH-7): only tags, attributes and style properties that are named here come through. Pictures
 * from elsewhere keep their address in `data-remote-src`, `cid:` pictures stay as they are. Empty where nothing is left, or where it is over the limits.
 * Pure; about linear in its length.
 */
export function safeHtml(html: string): string {
  const bounded = html.replace(HUGE_PICTURE, '');
  if (bounded.length > HTML_LIMITS.characters) return '';
  let tags = 0;
  let open = 0;
  try {
    return sanitizeHtml(bounded, {
      ...OPTIONS,
      onOpenTag: () => {
        tags += 1;
        open += 1;
        // The parser's own stack is slow once it is long.
        if (tags > HTML_LIMITS.tags || open > HTML_LIMITS.openTags) throw new OverLimit();
      },
      onCloseTag: () => {
        open -= 1;
      },
    })
      .replaceAll('\0', '')
      .toWellFormed()
      .trim();
  } catch (error) {
    if (error instanceof OverLimit) return '';
    throw error;
  }
}

/** Lets the pictures from elsewhere load, in what `safeHtml` made. */
export function withRemoteImages(safe: string): string {
  // Only a tag of ours begins like that: in a text `<` is escaped, and in a value the quote.
  return safe.replaceAll(`<img ${REMOTE}="`, '<img src="');
}

/** What may be shown of one message's HTML; null: nothing. */
export interface SafeParts {
  readonly html: string | null;
  readonly quoted: string | null;
}

/** For each event of a delivery what may be shown of its HTML, null where it brings none. Takes what is not checked yet: it runs where the plugin does. */
export function safeParts(events: unknown): (SafeParts | null)[] {
  if (!Array.isArray(events)) return [];
  return events.map((event) => {
    const html = stringIn(event, 'html');
    const quoted = stringIn(isRecord(event) ? event['quoted'] : undefined, 'html');
    if (html === undefined && quoted === undefined) return null;
    return { html: safeHtml(html ?? '') || null, quoted: safeHtml(quoted ?? '') || null };
  });
}

class OverLimit extends Error {}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function stringIn(value: unknown, name: string): string | undefined {
  const found = isRecord(value) ? value[name] : undefined;
  return typeof found === 'string' ? found : undefined;
}

const HUGE_PICTURE = new RegExp(`data:image/[a-z+.-]{1,20};base64,[A-Za-z0-9+/=\\s]{${HTML_LIMITS.embeddedPicture},}`, 'gi');

const BLOCKS =
  'address article aside blockquote center dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary ul';
const INLINE =
  'a abbr acronym b bdi bdo big br cite code del dfn em font i img ins kbd mark q rp rt ruby s samp small span strike strong sub sup time tt u var wbr';
const TABLES = 'caption col colgroup table tbody td tfoot th thead tr';
const TAGS = `${BLOCKS} ${INLINE} ${TABLES}`.split(' ');

/** What stands inside of these is no text for people. */
const DROPPED_WHOLE =
  'applet audio canvas embed frameset head iframe math noembed noframes noscript object option plaintext script select style svg template textarea title video xmp';

const EVERYWHERE = ['dir', 'lang', 'style', 'title'];
const ON_CELLS = ['align', 'bgcolor', 'colspan', 'height', 'nowrap', 'rowspan', 'valign', 'width'];
const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  img: [REMOTE, 'src', 'align', 'alt', 'border', 'height', 'hspace', 'vspace', 'width'],
  table: ['align', 'bgcolor', 'border', 'cellpadding', 'cellspacing', 'height', 'width'],
  td: ON_CELLS,
  th: ON_CELLS,
  tr: ['align', 'bgcolor', 'height', 'valign'],
  tbody: ['align', 'valign'],
  thead: ['align', 'valign'],
  tfoot: ['align', 'valign'],
  col: ['align', 'span', 'valign', 'width'],
  colgroup: ['align', 'span', 'valign', 'width'],
  caption: ['align'],
  font: ['color', 'face', 'size'],
  ol: ['reversed', 'start', 'type'],
  ul: ['type'],
  li: ['type', 'value'],
  hr: ['align', 'color', 'noshade', 'size', 'width'],
  p: ['align'],
  div: ['align'],
  h1: ['align'],
  h2: ['align'],
  h3: ['align'],
  h4: ['align'],
  h5: ['align'],
  h6: ['align'],
  details: ['open'],
};

/** Nothing that leaves its place (position, transform, negative lengths), loads (url) or runs (expression, behaviour). */
const PROPERTIES = new Set(
  [
    'background background-color border-collapse border-radius border-spacing caption-side clear color direction display empty-cells float font font-family',
    'font-size font-style font-variant font-weight height letter-spacing line-height list-style list-style-position list-style-type max-height max-width',
    'min-height min-width overflow-wrap table-layout text-align text-decoration text-decoration-color text-decoration-line text-decoration-style text-indent',
    'text-transform unicode-bidi vertical-align white-space width word-break word-spacing word-wrap',
    ...['margin', 'padding', 'border'].flatMap((box) => [box, ...['top', 'right', 'bottom', 'left'].map((side) => `${box}-${side}`)]),
    ...['color', 'style', 'width'].flatMap((what) => [`border-${what}`, ...['top', 'right', 'bottom', 'left'].map((side) => `border-${side}-${what}`)]),
  ].flatMap((line) => line.split(' ')),
);
/** Words, numbers, colours, quoted names; of functions only those that make a colour. */
const PLAIN_VALUE = /^(?:[\p{L}\p{N}_\s#%.,'"!+/-]|(?:rgb|hsl)a?\([\d\s.,%/deg-]*\))+$/u;
const NEGATIVE = /(?:^|[\s,(])-[.\d]/;
const LONGEST_STYLE = 4_000;
const LONGEST_VALUE = 300;
const LONGEST_ADDRESS = 8_000;

const OPTIONS: sanitizeHtml.IOptions = {
  allowedTags: TAGS,
  allowedAttributes: Object.fromEntries([
    ['*', EVERYWHERE],
    ...Object.entries({ ...ATTRIBUTES, a: ['href', 'target', 'rel'] }).map(([tag, names]): [string, string[]] => [tag, [...names]]),
  ]),
  nonTextTags: DROPPED_WHOLE.split(' '),
  nestingLimit: HTML_LIMITS.nesting,
  allowedSchemes: ['http', 'https', 'mailto', 'tel'],
  allowedSchemesByTag: { img: ['cid', 'data'] },
  allowProtocolRelative: false,
  // The styles are judged below: strictly, and without a second parser.
  parseStyleAttributes: false,
  transformTags: {
    // A mail's colours and fonts often stand on its body.
    '*': (tag, attribs) => ({ tagName: tag === 'body' ? 'div' : tag, attribs: kept(tag, attribs) }),
  },
};

/** The attributes of one tag that come through, each value judged. */
function kept(tag: string, given: Readonly<Record<string, string>>): Record<string, string> {
  const attributes: Record<string, string> = {};
  const take = (name: string, value: string | undefined): void => {
    if (value !== undefined) attributes[name] = value;
  };
  if (tag === 'img') {
    const source = pictureOf(given['src'] ?? '');
    // First, so that `withRemoteImages` finds it.
    if (source !== undefined) attributes[source.name] = source.address;
  }
  if (tag === 'a') {
    const address = linkOf(given['href'] ?? '');
    if (address !== undefined) Object.assign(attributes, { href: address, target: '_blank', rel: 'noopener noreferrer nofollow' });
  }
  const style = styleOf(given['style'] ?? '');
  if (style !== '') attributes['style'] = style;
  for (const name of [...EVERYWHERE, ...(ATTRIBUTES[tag] ?? [])]) {
    if (name !== 'style' && name !== 'src' && name !== 'href' && name !== REMOTE) take(name, Object.hasOwn(given, name) ? given[name] : undefined);
  }
  return attributes;
}

/** A browser leaves these out of an address before it reads it. */
function withoutControls(address: string): string {
  return address.replace(/[\u0000-\u001f\u007f]/g, '').trim();
}

function linkOf(href: string): string | undefined {
  const address = withoutControls(href);
  return address.length <= LONGEST_ADDRESS && /^(?:https?:\/\/|mailto:|tel:)/i.test(address) ? address : undefined;
}

function pictureOf(src: string): { readonly name: string; readonly address: string } | undefined {
  const address = withoutControls(src);
  // SVG is no picture here: it is a document that can run.
  if (/^data:image\/(?:png|jpe?g|gif|webp);base64,[a-z0-9+/=\s]+$/i.test(address)) return { name: 'src', address };
  if (address.length > LONGEST_ADDRESS) return undefined;
  if (/^cid:[^\s]+$/i.test(address)) return { name: 'src', address };
  if (/^https?:\/\//i.test(address)) return { name: REMOTE, address };
  return address.startsWith('//') ? { name: REMOTE, address: `https:${address}` } : undefined;
}

/** The declarations that may stay. Each is judged by itself, so it does not matter how a browser would have cut them. */
function styleOf(style: string): string {
  if (style === '' || style.length > LONGEST_STYLE) return '';
  const declarations: string[] = [];
  for (const declaration of style.split(';')) {
    const colon = declaration.indexOf(':');
    const property = declaration.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = declaration.slice(colon + 1).trim();
    if (PROPERTIES.has(property) && isPlain(value)) declarations.push(`${property}:${value}`);
  }
  return declarations.join(';');
}

function isPlain(value: string): boolean {
  if (value === '' || value.length > LONGEST_VALUE || value.includes('//') || NEGATIVE.test(value) || !PLAIN_VALUE.test(value)) return false;
  return value.split('"').length % 2 === 1 && value.split("'").length % 2 === 1;
}

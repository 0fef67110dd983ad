import type { Author } from '@trunkline/channel-sdk';
import sanitize from 'sanitize-html';

/** What a signature's tokens stand for. */
export interface SignatureValues {
  readonly author: Author;
  readonly companyName: string;
}

const TOKENS: Readonly<Record<string, (values: SignatureValues) => string>> = {
  'sender.fullName': ({ author }) => author.fullName,
  'sender.firstName': ({ author }) => author.firstName,
  'sender.lastName': ({ author }) => author.lastName,
  'company.name': ({ companyName }) => companyName,
};
const TOKEN = /\{\{([^{}]*)\}\}/g;

const LINKS = ['https', 'http', 'mailto', 'tel'];
const SIMPLE_TAGS = ['p', 'div', 'br', 'b', 'strong', 'i', 'em', 'ul', 'ol', 'li', 'a', 'img'];
const WORDS = ['u', 's', 'small', 'sub', 'sup', 'span', 'font', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'center'];
const TABLES = ['table', 'thead', 'tbody', 'tfoot', 'tr', 'td', 'th'];
const SIMPLE: sanitize.IOptions = {
  allowedTags: SIMPLE_TAGS,
  allowedAttributes: { a: ['href', 'title'], img: ['src', 'alt', 'width', 'height'] },
  allowedSchemes: LINKS,
  allowedSchemesByTag: { img: ['https', 'http'] },
  allowProtocolRelative: false,
};
/** A colour, a size, a word, a font's name: nothing that could fetch (`url(…)`) or compute. */
const PLAIN_VALUE = /^(?!.*(?:url|expression|image|attr|var)\s*\()[\w\s#%.,()'"+-]{1,100}$/i;
const STYLES = ['color', 'background-color', 'font', 'font-family', 'font-size', 'font-style', 'font-weight', 'line-height', 'letter-spacing'];
const BOXES = ['text-align', 'text-decoration', 'vertical-align', 'width', 'max-width', 'height', 'white-space'];
const SIDES = ['margin', 'padding', 'border'].flatMap((name) => [name, ...['top', 'right', 'bottom', 'left'].map((side) => `${name}-${side}`)]);
const FULL: sanitize.IOptions = {
  ...SIMPLE,
  allowedTags: [...SIMPLE_TAGS, ...WORDS, ...TABLES],
  allowedAttributes: {
    a: ['href', 'title'],
    img: ['src', 'alt', 'width', 'height', 'border'],
    font: ['color', 'face', 'size'],
    table: ['width', 'border', 'cellpadding', 'cellspacing', 'align', 'bgcolor', 'role'],
    td: ['colspan', 'rowspan', 'align', 'valign', 'width', 'height', 'bgcolor'],
    th: ['colspan', 'rowspan', 'align', 'valign', 'width', 'height', 'bgcolor'],
    '*': ['style', 'dir', 'lang'],
  },
  allowedStyles: { '*': Object.fromEntries([...STYLES, ...BOXES, ...SIDES, 'border-radius', 'border-collapse'].map((name) => [name, [PLAIN_VALUE]])) },
};

/** What of it may stand in a mail (EMAIL-3). Cleaning what is clean changes nothing. */
export function cleanSignature(kind: 'simple' | 'html', html: string): string {
  return sanitize(html, kind === 'simple' ? SIMPLE : FULL).trim();
}

/** What is wrong with a cleaned signature, as messages for whoever typed it; empty: nothing. */
export function signatureProblems(html: string): readonly string[] {
  if (html === '') return ['nothing is left of it once what may not stand in a mail is taken out'];
  const problems = new Set<string>();
  for (const [, inner = ''] of html.matchAll(TOKEN)) {
    const name = inner.replace(/<[^>]*>/g, '').trim();
    if (!Object.hasOwn(TOKENS, name)) problems.add(`there is no token {{ ${name.slice(0, 60)} }}: use ${Object.keys(TOKENS).join(', ')}`);
    else if (inner.includes('<')) problems.add(`no markup can stand within {{ ${name} }}`);
  }
  const [inTags, inText] = [html.match(/<[^>]*>/g)?.join('') ?? '', html.replace(/<[^>]*>/g, '')];
  if (inTags.includes('{{')) problems.add('a token can stand in the text only, not in an address or a style');
  if (/\{\{|\}\}/.test(inText.replace(TOKEN, ''))) problems.add('a token is not closed: write {{ name }}');
  return [...problems];
}

/** The signature of one author: its tokens filled in, their values as text and never as markup. */
export function fillSignature(html: string, values: SignatureValues): string {
  return html.replace(TOKEN, (whole, name: string) => {
    const value = TOKENS[name.trim()];
    return value === undefined ? whole : escapeHtml(value(values));
  });
}

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

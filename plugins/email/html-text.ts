import { compile } from 'html-to-text';
import { cleanText } from './clean.ts';
import { isManageable } from './html-outline.ts';

const convert = compile({
  wordwrap: false,
  selectors: [
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, noAnchorUrl: true } },
    // A picture says what it is; its address says nothing to a reader.
    { selector: 'img', format: 'alternative' },
    { selector: 'table', format: 'block' },
    { selector: 'td', format: 'cell' },
    { selector: 'th', format: 'cell' },
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    { selector: 'ul', options: { itemPrefix: '- ' } },
    { selector: 'title', format: 'skip' },
    ...[1, 2, 3, 4, 5, 6].map((level) => ({ selector: `h${level}`, options: { uppercase: false } })),
  ],
  formatters: {
    alternative: (element, _walk, builder) => builder.addInline(String(element.attribs?.['alt'] ?? '')),
    cell: (element, walk, builder) => {
      walk(element.children, builder);
      builder.addInline(' ');
    },
  },
});

/** The words of an HTML mail, with its line breaks, lists, quotes and link targets. Never throws; what is too much for that is read without its shape. */
export function htmlToText(html: string): string {
  const text = isManageable(html) ? convert(html) : withoutTags(html);
  // Line by line: a pattern that looks for the spaces before a line end tries anew at each of them.
  const lines = cleanText(text.replace(/\u00a0/g, ' ')).split('\n');
  return lines
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** Every pattern stops at the next bracket, so that time grows with the length only. */
function withoutTags(html: string): string {
  return html
    .replace(/<(script|style)\b[^<>]*>[^<]*<\/\1\s*>/gi, ' ')
    .replace(/<(?:br|\/p|\/div|\/tr|\/li|\/h[1-6])\b[^<>]*>/gi, '\n')
    .replace(/<[^<>]*>/g, ' ')
    .replace(/&nbsp;| {2,}/g, ' ')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, '&');
}

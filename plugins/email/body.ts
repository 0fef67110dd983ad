import type { InboundMessage } from '@trunkline/channel-sdk';
import type { Email } from 'postal-mime';
import { cleanText } from './clean.ts';
import { announcesForward, type Forward } from './forwards.ts';
import { htmlToText } from './html-text.ts';
import { splitHtml, type HtmlHalves } from './quoted-html.ts';
import { pointsBelow, splitText, type TextHalves } from './quotes.ts';
import { standIn } from './stand-in.ts';

/** What a message says, and what it only repeats. */
export type Body = Pick<InboundMessage, 'text' | 'html' | 'quoted' | 'originalHtml'>;

/** All a mail says in words: of its text part, else of its HTML. */
export function wholeText(email: Email): string {
  const text = cleanText(email.text ?? '').trim();
  return text !== '' || email.html === undefined ? text : htmlToText(email.html);
}

/** What is new in a mail, with the history it quotes split off (CH-7). */
export function bodyOf(email: Email): Body {
  const text = wholeText(email);
  const html = email.html === undefined ? undefined : cleanText(email.html);
  const halves = html === undefined ? undefined : htmlHalves(html);
  const fromText = textHalves(text);
  // Where only the HTML tells where the history begins, the words are read from it.
  const fromHtml = halves === undefined || (fromText !== undefined && email.text !== undefined) ? undefined : halfTexts(halves);
  const split = fromHtml ?? fromText;
  return {
    text: split?.text ?? (text === '' ? standIn(email) : text),
    ...(html === undefined ? {} : { html: halves?.html ?? html }),
    ...(split === undefined ? {} : { quoted: { text: split.quoted, ...(halves === undefined ? {} : { html: halves.quoted }) } }),
    ...(html === undefined || halves === undefined ? {} : { originalHtml: html }),
  };
}

/** A mail with nothing split off. */
export function wholeBody(email: Email): Body {
  return { text: wholeText(email), ...(email.html === undefined ? {} : { html: cleanText(email.html) }) };
}

/** A forward's words: the forwarder's note, then the mail's own. The lines between them, which tell whose it is, and the history below are shown on demand. */
export function forwardedBody(email: Email, { note, block, body }: Forward): Body {
  const split = textHalves(body);
  return {
    ...wholeBody(email),
    text: [note, split?.text ?? body].filter((part) => part !== '').join('\n\n') || block,
    quoted: { text: [block, split?.quoted ?? ''].filter((part) => part !== '').join('\n\n') },
  };
}

/** A note with the mail that was attached to it. */
export function attachedBody(email: Email, inner: Email): Body {
  const note = wholeBody(email);
  const own = bodyOf(inner);
  const joined = (...parts: readonly (string | undefined)[]) => parts.filter((part) => part !== undefined && part !== '');
  const html = joined(note.html, own.html).join('<hr>');
  const original = own.originalHtml === undefined ? '' : joined(note.html, own.originalHtml).join('<hr>');
  return {
    text: joined(note.text, own.text).join('\n\n'),
    ...(html === '' ? {} : { html }),
    ...(own.quoted === undefined ? {} : { quoted: own.quoted }),
    ...(original === '' ? {} : { originalHtml: original }),
  };
}

function textHalves(text: string): TextHalves | undefined {
  const halves = splitText(text);
  return halves === undefined || announcesForward(halves.quoted) ? undefined : halves;
}

function htmlHalves(html: string): HtmlHalves | undefined {
  const halves = splitHtml(html);
  if (halves === undefined || announcesForward(htmlToText(halves.quoted)) || pointsBelow(htmlToText(halves.html))) return undefined;
  return halves;
}

function halfTexts(halves: HtmlHalves): TextHalves | undefined {
  const [text, quoted] = [htmlToText(halves.html), htmlToText(halves.quoted)];
  return text === '' || quoted === '' ? undefined : { text, quoted };
}

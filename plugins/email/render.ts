import type { Author, Identity, OutboundMessage, PluginContext } from '@trunkline/channel-sdk';
import MailComposer from 'nodemailer/lib/mail-composer';
import { cleanLine } from './clean.ts';
import { htmlToText } from './html-text.ts';
import { messageIdOf, replyId } from './message-id.ts';
import type { EmailSettings } from './settings.ts';
import { escapeHtml, fillSignature } from './signature.ts';
import { replyAddress, replyToken } from './token.ts';

/** Earlier ids a mail of ours names: the first, which began the thread, and the newest; more only makes servers refuse the header. */
const MOST_REFERENCES = 20;

/** An attachment with its bytes at hand. */
export interface LoadedAttachment {
  readonly fileName: string;
  readonly type: string;
  readonly content: Uint8Array;
  /** What the HTML calls it in a `cid:` address: it goes into the text, not under it. */
  readonly contentId?: string;
}

/** A mail as the SMTP server gets it. */
export interface RenderedMail {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly mime: Uint8Array;
}

/** Writes the mail. `now`: milliseconds since 1970, for its Date. */
export async function render(
  message: OutboundMessage,
  { channel, sign }: Pick<PluginContext<EmailSettings>, 'channel' | 'sign'>,
  attachments: readonly LoadedAttachment[],
  now: number,
): Promise<RenderedMail> {
  const { settings } = channel;
  const copies = message.cc.filter((identity) => identity.value !== message.to.value);
  const from = { name: fromName(message, settings), address: settings.fromAddress ?? settings.address };
  const answersTo = replyAddress(channel, replyToken(message.id, sign));
  const composer = new MailComposer({
    from,
    ...(answersTo === from.address ? {} : { replyTo: { name: from.name, address: answersTo } }),
    to: [mailbox(message.to)],
    cc: copies.map(mailbox),
    subject: subjectOf(message),
    date: new Date(now),
    messageId: replyId(message.id, settings.address),
    ...threadHeaders(message),
    // What no person wrote says so, or two helpful machines answer each other for ever.
    headers:
      message.sender === 'automation'
        ? { 'Auto-Submitted': message.kind === 'reply' ? 'auto-replied' : 'auto-generated', 'X-Auto-Response-Suppress': 'All' }
        : {},
    ...bodies(message, settings),
    attachments: attachments.map((attachment) => ({
      filename: cleanLine(attachment.fileName, 200),
      contentType: attachment.type,
      content: Buffer.from(attachment.content),
      ...(attachment.contentId === undefined ? {} : { cid: attachment.contentId, contentDisposition: 'inline' as const }),
    })),
    // Text that looks like a path or an address is text: nothing is ever read from disk or fetched for a mail.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const mime = await composer.compile().build();
  return { from: from.address, recipients: [message.to, ...copies].map((identity) => identity.value), mime };
}

/** What a person wrote ends in the signature, in both forms (EMAIL-3); with one there is always HTML, for it may have pictures. */
function bodies({ text, html, author, sender }: OutboundMessage, settings: EmailSettings): { text: string; html?: string } {
  const signed = author === null || sender === 'automation' ? undefined : signatureOf(settings, author);
  if (signed === undefined) return html === null ? { text } : { text, html };
  const words = html ?? `<div>${escapeHtml(text).replaceAll('\n', '<br>\n')}</div>`;
  return { text: `${text.trimEnd()}\n\n-- \n${signed.text}`, html: `${words}\n<br>\n<div>-- </div>\n<div>${signed.html}</div>` };
}

/** The signature of an author, as HTML and as text; undefined: the channel has none. */
export function signatureOf({ signature, companyName }: EmailSettings, author: Author): { readonly text: string; readonly html: string } | undefined {
  if (signature === undefined) return undefined;
  const html = fillSignature(signature.html, { author, companyName });
  return { html, text: htmlToText(html) };
}

/** EMAIL-2: "Ada at Acme" for a person who writes, where it is set so; else the company. */
export function fromName(message: Pick<OutboundMessage, 'author'>, settings: Pick<EmailSettings, 'fromName' | 'companyName'>): string {
  const company = cleanLine(settings.companyName, 100);
  const person = cleanLine(message.author === null ? '' : message.author.firstName || message.author.fullName, 100);
  return settings.fromName === 'company' || person === '' ? company : `${person} at ${company}`;
}

/** "Re: …" once, whatever mail programs of other languages have piled up before it. */
export function subjectOf(message: Pick<OutboundMessage, 'kind' | 'subject'>): string {
  let subject = cleanLine(message.subject ?? '', 500);
  if (message.kind === 'start') return subject;
  for (let mark = REPLY_MARK.exec(subject); mark !== null; mark = REPLY_MARK.exec(subject)) subject = subject.slice(mark[0].length);
  return `Re: ${subject}`.trim();
}

const REPLY_MARK = /^(re|aw|antw|sv|vs|rif|odp|rép)(\[\d{1,3}\])? ?: ?/i;

function threadHeaders(message: OutboundMessage): { inReplyTo?: string; references?: string[] } {
  const before = message.precedingIds.flatMap((id) => messageIdOf(id) ?? []);
  const answered = messageIdOf(message.inReplyTo ?? '') ?? before.at(-1);
  if (answered === undefined) return {};
  // The mail that is answered stands last, as a reader of the header expects.
  const others = before.filter((id) => id !== answered);
  const [first, ...rest] = others;
  const kept = first === undefined ? [] : [first, ...rest.slice(-(MOST_REFERENCES - 2))];
  return { inReplyTo: answered, references: [...kept, answered] };
}

function mailbox(identity: Identity): { name: string; address: string } {
  return { name: cleanLine(identity.name ?? '', 200), address: identity.value };
}

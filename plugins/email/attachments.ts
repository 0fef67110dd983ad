import type { AttachmentRef, RawDelivery } from '@trunkline/channel-sdk';
import type { Attachment, Email } from 'postal-mime';
import { cleanLine } from './clean.ts';
import { readHeaders, readMail } from './mime.ts';

/** More is a bomb, not a mail; the engine's own limit is far below. */
const MOST = 1_000;
const MAIL = 'message/rfc822';
const LARGEST_INNER = 10 * 1024 * 1024;

/**
 * What hangs on a mail. `ref` is its place in the mail: the bytes stay in the stored delivery. `inner`: the mail that was forwarded as an
 * attachment, and its place; what hangs on that one comes along.
 */
export function attachmentRefs(email: Email, inner?: { readonly email: Email; readonly place: number }): AttachmentRef[] {
  return [...refs(email, ''), ...(inner === undefined ? [] : refs(inner.email, `${inner.place}.`))].slice(0, MOST);
}

/** Takes them out of the stored mail again, which is read once for all; null where the mail has none at that place. */
export async function extractAttachments(wanted: readonly AttachmentRef[], raw: RawDelivery): Promise<(Uint8Array | null)[]> {
  const { email } = await readMail(raw.body);
  const inner = new Map<number, Email>();
  const files: (Uint8Array | null)[] = [];
  for (const { ref } of wanted) {
    const [place, innerPlace] = /^\d{1,5}(?:\.\d{1,5})?$/.test(ref) ? ref.split('.').map(Number) : [];
    let found = place === undefined ? undefined : email.attachments[place];
    if (found !== undefined && place !== undefined && innerPlace !== undefined) {
      const mail = inner.get(place) ?? (await readMail(attachmentBytes(found))).email;
      inner.set(place, mail);
      found = mail.attachments[innerPlace];
    }
    files.push(found === undefined ? null : attachmentBytes(found));
  }
  return files;
}

/** The one mail that hangs on it, and its place; undefined: none does, or several. Of a large one the headers alone are read: its thread would have to hold it twice. */
export async function attachedMail(email: Email): Promise<{ readonly email: Email; readonly place: number } | undefined> {
  const place = email.attachments.findIndex(({ mimeType }) => mimeType === MAIL);
  const attached = email.attachments[place];
  if (attached === undefined || place !== email.attachments.findLastIndex(({ mimeType }) => mimeType === MAIL)) return undefined;
  const bytes = attachmentBytes(attached);
  return { place, email: bytes.length > LARGEST_INNER ? await readHeaders(bytes) : (await readMail(bytes)).email };
}

export function attachmentBytes({ content }: Attachment): Uint8Array {
  if (typeof content === 'string') return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : new Uint8Array(content ?? 0);
}

function refs(email: Email, prefix: string): AttachmentRef[] {
  return email.attachments.slice(0, MOST).map((attachment, index) => {
    const contentId = cleanLine(attachment.contentId ?? '', 300).replace(/^<|>$/g, '');
    const fileName = nameOf(attachment.filename ?? '');
    return {
      ref: `${prefix}${index}`,
      fileName: fileName || (attachment.mimeType === MAIL ? `mail-${index + 1}.eml` : `attachment-${index + 1}`),
      type: typeOf(attachment, fileName),
      bytes: attachmentBytes(attachment).length,
      ...(contentId === '' ? {} : { contentId }),
    };
  });
}

/** One line of it, at most 200 characters, the ending kept. Marks that turn the direction go: they make one type look like another. */
function nameOf(written: string): string {
  const name = cleanLine(written.replace(/[\u202a-\u202e\u2066-\u2069]/g, ''), 2_000);
  const [ending = ''] = /\.[^.\s]{1,15}$/.exec(name) ?? [];
  return name.length <= 200 ? name : `${name.slice(0, 200 - ending.length).toWellFormed()}${ending}`;
}

function typeOf({ mimeType }: Attachment, fileName: string): string {
  // Outlook's own container comes under many types, but under one name.
  if (/^winmail\.dat$/i.test(fileName) || mimeType === 'application/vnd.ms-tnef') return 'application/ms-tnef';
  return /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(mimeType) ? mimeType : 'application/octet-stream';
}

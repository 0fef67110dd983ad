import type { AttachmentRef, RawDelivery } from '@trunkline/channel-sdk';
import type { Attachment, Email } from 'postal-mime';
import { cleanLine } from './clean.ts';
import { messageIds } from './message-id.ts';
import { readMail } from './mime.ts';

/** What hangs on a mail. `ref` is its place in the mail: the bytes stay in the stored delivery. */
export function attachmentRefs(email: Email): AttachmentRef[] {
  return email.attachments.map((attachment, index) => {
    const contentId = cleanLine(attachment.contentId ?? '', 300).replace(/^<|>$/g, '');
    return {
      ref: String(index),
      fileName: cleanLine(attachment.filename ?? '', 200) || `attachment-${index + 1}`,
      type: /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(attachment.mimeType) ? attachment.mimeType : 'application/octet-stream',
      bytes: bytesOf(attachment).length,
      ...(contentId === '' ? {} : { contentId }),
    };
  });
}

/** Takes them out of the stored mail again, which is read once for all; null where the mail has none at that place. */
export async function extractAttachments(refs: readonly AttachmentRef[], raw: RawDelivery): Promise<(Uint8Array | null)[]> {
  const { email } = await readMail(raw.body);
  return refs.map(({ ref }) => {
    const attachment = /^\d{1,5}$/.test(ref) ? email.attachments[Number(ref)] : undefined;
    return attachment === undefined ? null : bytesOf(attachment);
  });
}

/** The Message-ID of the mail a bounce brings back: many bounces name it nowhere else. */
export function originalIds(email: Email): string[] {
  for (const attachment of email.attachments) {
    if (attachment.mimeType !== 'message/rfc822' && attachment.mimeType !== 'text/rfc822-headers') continue;
    const head = new TextDecoder().decode(bytesOf(attachment).subarray(0, 64 * 1024));
    const line = /^message-id:([^\n]*(?:\n[ \t][^\n]*)?)/im.exec(head);
    if (line !== null) return messageIds(line[1]).slice(0, 1);
  }
  return [];
}

function bytesOf(attachment: Attachment): Uint8Array {
  const { content } = attachment;
  if (typeof content === 'string') return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : new Uint8Array(content ?? 0);
}

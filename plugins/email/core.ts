import { createHash } from 'node:crypto';
import type { Email } from 'postal-mime';
import { attachmentBytes } from './attachments.ts';

/**
 * A hash of what makes a mail this mail: who wrote it, when, about what, its words, the sizes of what hangs on it. Servers on the way add
 * headers, change the coding and the line ends, and fold anew; none of that is in it.
 */
export function coreOf(email: Email, author: string): string {
  const words = (email.text ?? email.html ?? '').replace(/\s+/g, '');
  // Text is coded anew on the way, with other line ends.
  const sizes = email.attachments.map((one) => (/^(?:text|message)\//.test(one.mimeType) ? 0 : attachmentBytes(one).length));
  const core = JSON.stringify([author, email.date ?? '', (email.subject ?? '').replace(/\s+/g, ''), words, sizes]);
  return createHash('sha256').update(core).digest('hex');
}

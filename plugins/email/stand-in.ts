import type { Attachment, Email } from 'postal-mime';
import { attachmentBytes } from './attachments.ts';
import { cleanLine } from './clean.ts';

/** Words for a mail that has none of its own, so that a person sees what is there; empty where nothing is. */
export function standIn(email: Email): string {
  for (const attachment of email.attachments) {
    const words = wordsFor(attachment);
    if (words !== undefined) return words;
  }
  return '';
}

function wordsFor(attachment: Attachment): string | undefined {
  const name = cleanLine(attachment.filename ?? '', 200).toLowerCase();
  switch (attachment.mimeType) {
    case 'application/pkcs7-mime':
    case 'application/x-pkcs7-mime':
      return '[An S/MIME message: encrypted or sealed, its content is in the attachment]';
    case 'application/pgp-encrypted':
      return '[An encrypted PGP message: its content is in the attachment]';
    case 'application/ms-tnef':
    case 'application/vnd.ms-tnef':
      return "[A message in Outlook's own format: its content is in the attachment]";
    case 'text/calendar':
    case 'application/ics':
      return invitation(attachment);
    default:
      if (name === 'winmail.dat') return "[A message in Outlook's own format: its content is in the attachment]";
      return name.endsWith('.p7m') ? '[An S/MIME message: encrypted or sealed, its content is in the attachment]' : undefined;
  }
}

/** What is asked, for when and where. */
function invitation(attachment: Attachment): string {
  const lines = new TextDecoder()
    .decode(attachmentBytes(attachment).subarray(0, 64 * 1024))
    .replace(/\r?\n[ \t]/g, '')
    .split(/\r?\n/);
  const value = (name: string): string => {
    const line = lines.find((one) => new RegExp(`^${name}[:;]`, 'i').test(one.slice(0, 20))) ?? '';
    return cleanLine(
      line
        .replace(/^[^:]*:/, '')
        .replace(/\\n/gi, ' ')
        .replace(/\\([,;\\])/g, '$1'),
      300,
    );
  };
  const kind =
    { REQUEST: 'An invitation', REPLY: 'An answer to an invitation', CANCEL: 'A cancelled appointment' }[attachment.method ?? ''] ?? 'An appointment';
  return `[${[kind, value('SUMMARY'), value('DTSTART'), value('LOCATION')].filter((part) => part !== '').join(' · ')}]`;
}

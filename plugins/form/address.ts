import { domainToASCII } from 'node:url';

const LONGEST = 254;

/**
 * A mail address in the one form it is compared in: lower case, domain in ASCII. Undefined: not an address. Another channel that knows people by their
 * mail address must come to the same, or one person is two contacts; a test holds them together.
 */
export function canonicalAddress(input: string): string | undefined {
  const text = input.trim().toLowerCase();
  const at = text.lastIndexOf('@');
  if (at < 1 || at === text.length - 1 || text.length > LONGEST) return undefined;
  const local = text.slice(0, at);
  if (/[\s\u0000-\u001f\u007f<>()[\]\\,;:"@]/u.test(local)) return undefined;
  const written = text.slice(at + 1);
  const domain = /^[a-z0-9.-]+$/.test(written) ? written : domainToASCII(written);
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(domain) || domain.includes('..')) return undefined;
  return `${local.normalize('NFC')}@${domain}`;
}

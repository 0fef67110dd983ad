const LONGEST = 254;

/**
 * The value of an identity of kind `email-address`: lower case, the domain in ASCII. Undefined: not an address. Every plugin that knows people by their
 * mail address uses this one, or one person is two contacts. Linear in its length.
 */
export function canonicalAddress(input: string): string | undefined {
  const text = input.trim().toLowerCase();
  const at = text.lastIndexOf('@');
  if (at < 1 || at === text.length - 1 || text.length > LONGEST) return undefined;
  const local = text.slice(0, at);
  // A space or a bracket inside would end the address early in an SMTP command or a header.
  if (/[\s\u0000-\u001f\u007f<>()[\]\\,;:"@]/u.test(local)) return undefined;
  const written = text.slice(at + 1);
  // Latin domains are by far the most and need no conversion.
  const domain = /^[a-z0-9.-]+$/.test(written) ? written : inAscii(written);
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(domain) || domain.includes('..')) return undefined;
  return `${local.normalize('NFC')}@${domain}`;
}

/** As the DNS knows it (`xn--…`); the empty text where it is no domain. */
function inAscii(domain: string): string {
  // What would end a host in a URL: a port, a path, a user.
  if (/[\u0000-\u002c\u002f\u003a-\u0060\u007b-\u007f]/.test(domain)) return '';
  const url = `http://${domain}`;
  return URL.canParse(url) ? new URL(url).hostname : '';
}

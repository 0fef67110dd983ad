/** What the account's lists say of one sender. */
export interface ListedSender {
  readonly allowed: boolean;
  readonly denied: boolean;
}

export type SpamReason = 'DENY_LIST' | 'FROM_ITSELF';

/** Characters an address can have at most, and so a pattern. */
const LONGEST = 254;
const DOMAIN = /^(?=[^.]+\.)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/** One of those a mail is judged by. */
export interface JudgedSender extends ListedSender {
  /** In its canonical form. */
  readonly address: string;
}

/**
 * Why a mail is spam, or null (EMAIL-6): the allow list wins over both reasons. `author`: who really sent it. `contact`: whose mail it is told as,
 * which in a forward is only the author's word, so it can bring a mail in disrepute but never clear it. `ownAddress`: the channel's, in the same form.
 */
export function spamReason(author: JudgedSender, contact: JudgedSender, ownAddress: string | null): SpamReason | null {
  if (author.allowed) return null;
  if (author.denied || contact.denied) return 'DENY_LIST';
  return author.address === ownAddress || contact.address === ownAddress ? 'FROM_ITSELF' : null;
}

/** Every pattern that would match an address: itself, its domain, and each domain above that. */
export function patternsFor(address: string): string[] {
  const text = address.toLowerCase();
  const at = text.lastIndexOf('@');
  if (at < 0) return [];
  const labels = text.slice(at + 1).split('.');
  // A domain has few labels; what has more is no domain that mail could be sent from.
  const above = labels.length > 50 ? [labels] : labels.map((_label, from) => labels.slice(from));
  return [text, ...above.map((rest) => `@${rest.join('.')}`)];
}

/**
 * What a person typed, as it is stored: `ben@acme.com`, or `@acme.com` for a domain and all below it (typed `acme.com`, `@acme.com` or `*@acme.com`).
 * The domain must be in ASCII already. Undefined: neither an address nor a domain with a dot; a whole top-level domain is refused.
 */
export function parseSenderPattern(typed: string): string | undefined {
  const text = typed.trim().toLowerCase().replace(/^\*@/, '@');
  const at = text.lastIndexOf('@');
  const local = at < 0 ? '' : text.slice(0, at);
  const domain = text.slice(at + 1);
  if (text.length > LONGEST || !DOMAIN.test(domain) || /[\s@<>()[\]\\,;:"\u0000-\u001f\u007f]/.test(local)) return undefined;
  return `${local}@${domain}`;
}

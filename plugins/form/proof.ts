import { randomBytes, timingSafeEqual } from 'node:crypto';

type Sign = (text: string) => string;

/** Milliseconds between showing the form and sending it: a person needs longer. */
export const TOO_FAST_MS = 2_000;
/** Milliseconds for which a form that was shown may be sent. */
export const TOO_OLD_MS = 24 * 60 * 60 * 1_000;

/** What a form that we showed says of itself when it comes back. */
export type Proof =
  /** Ours, at a believable age; `token` is the same for one shown form, however often it is sent. */
  | { readonly kind: 'good'; readonly token: string }
  | { readonly kind: 'too-fast' }
  | { readonly kind: 'too-old' }
  /** Not there, or not ours. */
  | { readonly kind: 'missing' };

/** Says when this form was shown, so that only we can have said it. */
export function issueProof(now: number, sign: Sign): string {
  const said = `${now.toString(36)}.${randomBytes(12).toString('hex')}`;
  return `${said}.${signature(said, sign)}`;
}

export function readProof(text: string, now: number, sign: Sign): Proof {
  const [, shownAt, token, given] = /^([0-9a-z]{1,10})\.([0-9a-f]{24})\.([0-9a-z]{52})$/.exec(text) ?? [];
  if (shownAt === undefined || token === undefined || given === undefined) return { kind: 'missing' };
  const wanted = Buffer.from(signature(`${shownAt}.${token}`, sign));
  const got = Buffer.from(given);
  if (wanted.length !== got.length || !timingSafeEqual(wanted, got)) return { kind: 'missing' };
  const age = now - Number.parseInt(shownAt, 36);
  if (age < TOO_FAST_MS) return { kind: 'too-fast' };
  return age > TOO_OLD_MS ? { kind: 'too-old' } : { kind: 'good', token };
}

function signature(said: string, sign: Sign): string {
  return sign(`form shown ${said}`);
}

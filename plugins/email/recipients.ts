import type { RawDelivery } from '@trunkline/channel-sdk';
import { addressParser, type Email } from 'postal-mime';
import { canonicalAddress } from './address.ts';
import { envelopeRecipients } from './ours.ts';

/** Servers that deliver to an alias, or forward, note in these for whom it was. */
const NOTED = new Set(['delivered-to', 'x-original-to', 'x-forwarded-to', 'envelope-to', 'x-envelope-to', 'apparently-to', 'resent-to']);
const MOST = 500;

/** Every address a mail was sent to, surest first: the envelope, To and Cc, what servers noted on the way. At most 500. */
export function recipientsOf(raw: RawDelivery, email: Email): string[] {
  const found = new Set(envelopeRecipients(raw));
  for (const entry of [...(email.to ?? []), ...(email.cc ?? [])]) {
    for (const mailbox of entry.group ?? [entry]) add(found, mailbox.address);
  }
  for (const { key, value } of email.headers) {
    if (!NOTED.has(key)) continue;
    for (const mailbox of addressParser(value.slice(0, 10_000), { flatten: true })) add(found, mailbox.address);
  }
  return [...found];
}

function add(found: Set<string>, written: string | undefined): void {
  const address = canonicalAddress(written ?? '');
  if (address !== undefined && found.size < MOST) found.add(address);
}

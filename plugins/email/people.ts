import type { Identity } from '@trunkline/channel-sdk';
import { addressParser, type Address, type Email } from 'postal-mime';
import { canonicalAddress } from './address.ts';
import { cleanLine } from './clean.ts';

const MOST_PARTICIPANTS = 200;

/** The first usable address of the first From header; null: it can not be told who wrote (EMAIL-7). */
export function sender(email: Email): Identity | null {
  const field = email.headers.find(({ key }) => key === 'from');
  return field === undefined ? null : (identities(addressParser(field.value.slice(0, 10_000)))[0] ?? null);
}

/** Everybody who takes part besides the contact: those told apart, then To and Cc, each once; neither the contact nor ourselves. */
export function participants(email: Email, besides: readonly Identity[], except: (address: string) => boolean): Identity[] {
  const found = new Map<string, Identity>();
  for (const identity of [...besides, ...identities([...(email.to ?? []), ...(email.cc ?? [])])]) {
    if (found.has(identity.value) || except(identity.value)) continue;
    found.set(identity.value, identity);
    // A list of thousands is a mailing, not a conversation.
    if (found.size === MOST_PARTICIPANTS) break;
  }
  return [...found.values()];
}

function identities(addresses: readonly Address[]): Identity[] {
  const found: Identity[] = [];
  for (const entry of addresses) {
    for (const mailbox of entry.address === undefined ? (entry.group ?? []) : [entry]) {
      const value = canonicalAddress(mailbox.address ?? '');
      if (value === undefined) continue;
      const name = cleanLine(mailbox.name ?? '', 200);
      found.push({ kind: 'email-address', value: cleanLine(value, 254), ...(name === '' ? {} : { name }) });
    }
  }
  return found;
}

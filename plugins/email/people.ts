import type { Identity } from '@trunkline/channel-sdk';
import type { Address, Email } from 'postal-mime';
import { canonicalAddress } from './address.ts';
import { cleanLine } from './clean.ts';

const MOST_PARTICIPANTS = 200;

/** The From header's first usable address; null: it can not be told who wrote (EMAIL-7). */
export function sender(email: Email): Identity | null {
  return email.from === undefined ? null : (identities([email.from])[0] ?? null);
}

/** Everybody in To and Cc but ourselves and the sender, each once. */
export function participants(email: Email, except: ReadonlySet<string>): Identity[] {
  const found = new Map<string, Identity>();
  for (const identity of identities([...(email.to ?? []), ...(email.cc ?? [])])) {
    if (except.has(identity.value) || found.has(identity.value)) continue;
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

import { domainToASCII } from 'node:url';
import type { Tx } from '#db/database.ts';
import { AddressTaken } from './refusals.ts';

/** A mail address in the one form in which mailboxes are compared: lower case, domain in ASCII. Undefined: not an address. */
export function mailboxAddress(input: string): string | undefined {
  const text = input.trim().toLowerCase().normalize('NFC');
  const at = text.lastIndexOf('@');
  if (at < 1 || text.length > 254 || /[\s\u0000-\u001f\u007f<>()[\]\\,;:"]/u.test(text)) return undefined;
  const domain = domainToASCII(text.slice(at + 1));
  return domain === '' || text.slice(0, at).includes('@') ? undefined : `${text.slice(0, at)}@${domain}`;
}

/**
 * Makes a mailbox a channel's or a user's own; an address has one holder, whichever came first (CH-2). Of two at once the second waits for
 * the first to commit. Never by a unique violation: its text would hold the address. Throws `AddressTaken`.
 */
export async function claimMailbox(tx: Tx, address: string, holder: { readonly channelId: string } | { readonly userId: string }): Promise<void> {
  // The holder may let go between our insert and our question: then the address is free and we try again.
  for (;;) {
    const claimed = await tx
      .insertInto('mailbox')
      .values({
        address,
        channel_id: 'channelId' in holder ? holder.channelId : null,
        user_id: 'userId' in holder ? holder.userId : null,
      })
      .onConflict((conflict) => conflict.column('address').doNothing())
      .returning('address')
      .executeTakeFirst();
    if (claimed !== undefined) return;
    const other = await tx
      .selectFrom('mailbox')
      .leftJoin('channel', 'channel.id', 'mailbox.channel_id')
      .select(['channel.key', 'mailbox.user_id'])
      .where('mailbox.address', '=', address)
      .executeTakeFirst();
    if (other === undefined) continue;
    if ('userId' in holder && other.user_id === holder.userId) return;
    throw new AddressTaken(other.key);
  }
}

/** Lets a channel's mailbox go. */
export async function releaseChannelMailbox(tx: Tx, channelId: string): Promise<void> {
  await tx.deleteFrom('mailbox').where('channel_id', '=', channelId).execute();
}

/** Lets one mailbox of a user go. */
export async function releaseUserMailbox(tx: Tx, userId: string, address: string): Promise<void> {
  await tx.deleteFrom('mailbox').where('user_id', '=', userId).where('address', '=', address).execute();
}

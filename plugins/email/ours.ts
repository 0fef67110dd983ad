import type { ChannelInfo, RawDelivery } from '@trunkline/channel-sdk';
import { canonicalAddress, domainOf, localPart } from './address.ts';
import type { EmailSettings } from './settings.ts';
import { tokensIn } from './token.ts';

/**
 * Tells our own side of a mail from everybody else: the connected address, the address we answer from, the forwarding address, each with any
 * subaddress, whatever carries a token of ours, and what the sending server handed it in for. The sending server names one recipient by mistake
 * at worst; a stranger can not become ours by it, for the server hands in only what we let in.
 */
export function ownAddresses(raw: RawDelivery, channel: ChannelInfo<EmailSettings>): (address: string) => boolean {
  const { settings } = channel;
  const ours = new Set([channel.address, settings.address]);
  if (settings.fromAddress !== undefined) ours.add(settings.fromAddress);
  if (settings.inboundDomain !== undefined) ours.add(`${channel.key}@${settings.inboundDomain}`);
  const handedIn = new Set(envelopeRecipients(raw));
  return (address) =>
    ours.has(address) || handedIn.has(address) || ours.has(`${localPart(address)}@${domainOf(address)}`) || tokensIn([address], channel).length > 0;
}

/** Whom the sending server handed it in for, in canonical form. */
export function envelopeRecipients(raw: RawDelivery): string[] {
  return (raw.headers['rcpt-to'] ?? '').split(' ').flatMap((recipient) => canonicalAddress(recipient) ?? []);
}

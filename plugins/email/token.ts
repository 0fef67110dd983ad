import type { ChannelInfo } from '@trunkline/channel-sdk';
import { canonicalAddress, domainOf } from './address.ts';
import type { EmailSettings } from './settings.ts';

/** What a mail server takes before the @ (RFC 5321). */
const LONGEST_LOCAL = 64;
const TOKEN = /^[a-z0-9]{16}$/;

/** 16 lower-case letters and digits, 80 bits that only this channel can make: who has them was sent our mail. `messageId`: ours, not the mail's. */
export function replyToken(messageId: string, sign: (text: string) => string): string {
  return sign(`reply ${messageId}`).slice(0, 16);
}

/** The thread key of a token. */
export function tokenKey(token: string): string {
  return `token:${token}`;
}

/** Which way answers go where they fit. */
export function replyMode({ replyTo, inboundDomain }: EmailSettings): NonNullable<EmailSettings['replyTo']> {
  return replyTo ?? (inboundDomain === undefined ? 'subaddress' : 'forwarding');
}

/**
 * Where answers go (EMAIL-5): our forwarding address or the connected one, with the token as a subaddress. What does not fit into a
 * local part of 64 characters goes the next way; the last is the connected address as it is, without a token.
 */
export function replyAddress(channel: Pick<ChannelInfo<EmailSettings>, 'key' | 'settings'>, token: string): string {
  const { address, inboundDomain } = channel.settings;
  const mode = replyMode(channel.settings);
  const forwarding = `${channel.key}+${token}`;
  if (mode === 'forwarding' && inboundDomain !== undefined && forwarding.length <= LONGEST_LOCAL) return `${forwarding}@${inboundDomain}`;
  const local = address.slice(0, address.lastIndexOf('@'));
  // A connected address that is a subaddress itself may be all its mailbox lets through.
  const fits = !local.includes('+') && local.length + 1 + token.length <= LONGEST_LOCAL;
  return mode !== 'plain' && fits ? `${local}+${token}@${domainOf(address)}` : address;
}

/**
 * The tokens among addresses a mail came to, in their order, each once. The domain of a forwarding address is left aside: it may have changed
 * since, and a token proves itself. Nothing is said of whether a token is known.
 */
export function tokensIn(addresses: readonly string[], channel: Pick<ChannelInfo<EmailSettings>, 'key' | 'settings'>): readonly string[] {
  const found = new Set<string>();
  for (const written of addresses) {
    const address = canonicalAddress(written);
    if (address === undefined) continue;
    const local = address.slice(0, address.lastIndexOf('@'));
    const plus = local.lastIndexOf('+');
    const [name, token] = [local.slice(0, plus), local.slice(plus + 1)];
    const ours = name === channel.key || `${name}@${domainOf(address)}` === channel.settings.address;
    if (plus > 0 && ours && TOKEN.test(token)) found.add(token);
  }
  return [...found];
}

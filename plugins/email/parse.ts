import type { ChannelInfo, InboundEvent, InboundMessage, PluginContext, RawDelivery } from '@trunkline/channel-sdk';
import type { Email } from 'postal-mime';
import { canonicalAddress } from './address.ts';
import { attachmentRefs, originalIds } from './attachments.ts';
import { automaticKind } from './automatic.ts';
import { cleanLine, cleanText } from './clean.ts';
import { htmlToText } from './html-text.ts';
import { messageIds, ownId } from './message-id.ts';
import { readMail } from './mime.ts';
import { participants, sender } from './people.ts';
import type { EmailSettings } from './settings.ts';

/** One stored mail to one message. Any bytes at all give a message; it never throws (EMAIL-7). */
export async function parse(raw: RawDelivery, context: PluginContext<EmailSettings>): Promise<readonly InboundEvent[]> {
  const { email, rescued } = await readMail(raw.body);
  if (rescued) context.log('mail read by its headers only', { bytes: raw.body.length });
  const id = ownId(email.messageId, raw.body);
  const contact = sender(email);
  const ours = ownAddresses(raw, context.channel);
  const automatic = automaticKind({ header: (name) => headerOf(email, name), nullSender: raw.headers['mail-from'] === '' });
  const subject = cleanLine(email.subject ?? '', 1_000);
  const message: InboundMessage = {
    type: 'message',
    direction: 'inbound',
    dedupeKey: id,
    providerMessageId: id,
    contact,
    participants: participants(email, contact === null ? ours : new Set([...ours, contact.value])),
    thread: { joins: joins(email, id, automatic), keys: [id] },
    ...(subject === '' ? {} : { subject }),
    text: textOf(email),
    ...(email.html === undefined ? {} : { html: cleanText(email.html) }),
    attachments: attachmentRefs(email),
    ...(automatic === undefined ? {} : { automatic }),
    // No `occurredAt`: a mail's Date is its sender's word, and nobody else gives one.
  };
  return [message];
}

/** What it answers, nearest first: In-Reply-To, then References from its end; for a bounce the mail that came back. */
function joins(email: Email, own: string, automatic: InboundMessage['automatic']): string[] {
  const answered = messageIds(email.inReplyTo);
  const before = messageIds(email.references).toReversed();
  const returned = automatic === 'bounce' ? originalIds(email) : [];
  return [...new Set([...answered, ...before, ...returned])].filter((id) => id !== own);
}

/** Our own side of it: the connected address, the forwarding address, and whatever the sending server handed it in for. */
function ownAddresses(raw: RawDelivery, channel: ChannelInfo<EmailSettings>): Set<string> {
  const ours = new Set([channel.address, channel.settings.address]);
  if (channel.settings.inboundDomain !== undefined) ours.add(`${channel.key}@${channel.settings.inboundDomain}`);
  for (const recipient of (raw.headers['rcpt-to'] ?? '').split(' ')) {
    const address = canonicalAddress(recipient);
    if (address !== undefined) ours.add(address);
  }
  return ours;
}

function textOf(email: Email): string {
  const text = cleanText(email.text ?? '').trim();
  return text !== '' || email.html === undefined ? text : cleanText(htmlToText(email.html));
}

function headerOf(email: Email, name: string): string | undefined {
  return email.headers.find((header) => header.key === name)?.value;
}

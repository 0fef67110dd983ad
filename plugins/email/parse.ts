import type { Authentication, Identity, InboundEvent, InboundMessage, PluginContext, RawDelivery, ReceiptEvent, Thread } from '@trunkline/channel-sdk';
import type { Email } from 'postal-mime';
import { attachedMail, attachmentRefs } from './attachments.ts';
import { authenticationOf } from './authentication.ts';
import { automaticKind, isNullSender } from './automatic.ts';
import { attachedBody, bodyOf, forwardedBody, wholeBody, wholeText, type Body } from './body.ts';
import { bounceIn, receiptFor, type Bounce } from './bounces.ts';
import { cleanLine } from './clean.ts';
import { coreOf } from './core.ts';
import { forwardIn, hasForwardMark, withoutForwardMark } from './forwards.ts';
import { dedupeKey, messageIds, ownId } from './message-id.ts';
import { readMail } from './mime.ts';
import { ownAddresses } from './ours.ts';
import { participants, sender } from './people.ts';
import { recipientsOf } from './recipients.ts';
import type { EmailSettings } from './settings.ts';
import { tokenKey, tokensIn } from './token.ts';

/** What a mail is, before it is told as an event. */
interface Reading {
  readonly body: Body;
  readonly subject: string;
  readonly contact: Identity | null;
  /** Whoever takes part besides the contact, first. */
  readonly besides: readonly Identity[];
  readonly forwarded: boolean;
  readonly inner?: { readonly email: Email; readonly place: number };
}

/** One stored mail to one message, and for a bounce the receipt of what came back. Any bytes at all give a message; it never throws (EMAIL-7). */
export async function parse(raw: RawDelivery, context: PluginContext<EmailSettings>): Promise<readonly InboundEvent[]> {
  const { channel } = context;
  const { email, rescued } = await readMail(raw.body);
  if (rescued) context.log('mail read by its headers only', { bytes: raw.body.length });
  const isOurs = ownAddresses(raw, channel);
  const author = ourselvesAsOne(sender(email), channel);
  const header = (name: string): string | undefined => email.headers.find(({ key }) => key === name)?.value;
  const signs = { header, nullSender: raw.headers['mail-from'] === '' };
  const bounce = await bounceIn(email, isNullSender(signs));
  const automatic = automaticKind({ ...signs, bounce: bounce !== undefined });
  const reading = await read(email, author, automatic, channel.settings, isOurs);
  const id = ownId(email.messageId, raw.body);
  const key = dedupeKey(id, coreOf(email, author?.value ?? ''));
  const { subject, contact, body } = reading;
  const message: InboundMessage = {
    type: 'message',
    direction: 'inbound',
    dedupeKey: key,
    providerMessageId: id,
    contact,
    ...(reading.forwarded && author !== null ? { author } : {}),
    participants: participants(email, reading.besides, (address) => address === contact?.value || isOurs(address)),
    thread: threadOf(raw, email, id, bounce, context),
    ...(subject === '' ? {} : { subject }),
    ...body,
    authentication: vouched(authenticationOf(raw, email, channel.settings), reading.forwarded),
    attachments: attachmentRefs(email, reading.inner),
    ...(automatic === undefined ? {} : { automatic }),
    // No `occurredAt`: a mail's Date is its sender's word, and nobody else gives one.
  };
  return [message, ...receipts(bounce, key)];
}

/** Whose mail it is and what it says; a forwarded one is its first author's, if the channel wants it so (EMAIL-4). */
async function read(
  email: Email,
  author: Identity | null,
  automatic: InboundMessage['automatic'],
  settings: EmailSettings,
  isOurs: (address: string) => boolean,
): Promise<Reading> {
  const subject = cleanLine(email.subject ?? '', 1_000);
  const plain = { subject, contact: author, besides: [], forwarded: false };
  if (automatic !== undefined || !hasForwardMark(subject)) return { ...plain, body: bodyOf(email) };
  const forwarded = (contact: Identity) => ({
    subject: withoutForwardMark(subject) || subject,
    contact,
    besides: author === null ? [] : [author],
    forwarded: true,
  });
  // Who names nobody as the sender speaks in nobody's name: such a mail would be judged by whomever it claims to pass on.
  const wanted = settings.forwards === 'original-sender' && author !== null;
  const forward = forwardIn(subject, wholeText(email));
  if (forward !== undefined) {
    const { sender: original } = forward;
    // We are never our own contact, and where the block names nobody the forwarder is all we have: then it stays one mail of the forwarder's, whole.
    if (!wanted || original === undefined || isOurs(original.value)) return { ...plain, body: wholeBody(email) };
    return { ...forwarded(original), body: forwardedBody(email, forward) };
  }
  const inner = await attachedMail(email);
  if (inner === undefined) return { ...plain, body: bodyOf(email) };
  const original = sender(inner.email);
  const body = attachedBody(email, inner.email);
  if (!wanted || original === null || isOurs(original.value)) return { ...plain, body, inner };
  return { ...forwarded(original), body, inner };
}

/** Whoever writes as the other address the channel sends from is the channel: told as the connected one, by which the engine knows its own mail (EMAIL-6). */
function ourselvesAsOne(author: Identity | null, { address, settings }: PluginContext<EmailSettings>['channel']): Identity | null {
  return author !== null && author.value === settings.fromAddress ? { ...author, value: address } : author;
}

/** Where it belongs: by our token wherever it was sent to (`proven`); by what it answers, nearest first (`joins`). A bounce belongs to the mail that came back. */
function threadOf(raw: RawDelivery, email: Email, id: string, bounce: Bounce | undefined, { channel }: PluginContext<EmailSettings>): Thread {
  const proven = tokensIn([...(bounce?.replyTo ?? []), ...recipientsOf(raw, email)], channel).map(tokenKey);
  const returned = bounce?.returnedId === undefined ? receiptFor(email) : [bounce.returnedId];
  const answered = [...returned, ...messageIds(email.inReplyTo), ...messageIds(email.references).toReversed()];
  return { ...(proven.length === 0 ? {} : { proven }), joins: [...new Set(answered)].filter((one) => one !== id), keys: [id] };
}

/** Whoever vouches for a forwarder does not vouch for the author of what is forwarded: it may be made up (EMAIL-4, EMAIL-8). */
function vouched(authentication: Authentication, forwarded: boolean): Authentication {
  return forwarded && authentication.verdict === 'pass' ? { ...authentication, verdict: 'unknown' } : authentication;
}

function receipts(bounce: Bounce | undefined, key: string): ReceiptEvent[] {
  if (bounce?.returnedId === undefined || bounce.failure === undefined) return [];
  return [{ type: 'receipt', dedupeKey: `failed ${key}`, providerMessageId: bounce.returnedId, state: 'failed', reason: bounce.failure }];
}

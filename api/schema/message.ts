import { withRemoteImages } from '#commands/safe-html.ts';
import type { StoredAuthentication } from '#db/schema.ts';
import { attachmentLink } from '../attachment-links.ts';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { withInlineImages } from '../inline-images.ts';
import type { OutboundRow } from '../rows.ts';
import { DeliveryStateEnum, DirectionEnum, VerdictEnum } from './enums.ts';
import { AttachmentRef, ChannelRef, ContactRef, ConversationRef, MessageRef, UserRef } from './refs.ts';

interface Participant {
  readonly kind: string;
  readonly value: string;
  readonly name?: string;
}

export const ParticipantRef = builder.objectRef<Participant>('Participant').implement({
  description: 'Somebody who takes part in a message.',
  fields: (t) => ({
    kind: t.exposeString('kind', { description: 'The kind of identity: “email-address”.' }),
    value: t.exposeString('value', { description: 'In the canonical form of its kind.' }),
    name: t.string({ nullable: true, description: 'As the message wrote it; null: it wrote none.', resolve: (participant) => participant.name ?? null }),
  }),
});

const REMOTE_IMAGES = {
  type: 'Boolean',
  required: true,
  defaultValue: false,
  description: 'Let pictures load from elsewhere. Whoever sent them then learns that they were looked at, when and from where.',
} as const;

/** Stored HTML as it is shown: the pictures it carries are links to the message's attachments. */
async function shown(safe: string | null, remoteImages: boolean, messageId: string, { load, deps }: ApiContext): Promise<string | null> {
  if (safe === null) return null;
  const files = safe.includes('cid:') ? await load.attachmentsOf.load(messageId) : [];
  const html = withInlineImages(safe, files, (file) => attachmentLink(deps, file.id));
  return remoteImages ? withRemoteImages(html) : html;
}

interface Quoted {
  readonly messageId: string;
  readonly text: string;
  readonly html: string | null;
}

const QuotedRef = builder.objectRef<Quoted>('QuotedHistory').implement({
  description: 'What a message quotes of what was said before.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'As plain text.' }),
    html: t.string({
      nullable: true,
      description: 'As HTML that can be put into a page, as `Message.html` is; null: plain text only.',
      args: { remoteImages: t.arg(REMOTE_IMAGES) },
      resolve: (quoted, { remoteImages }, context) => shown(quoted.html, remoteImages, quoted.messageId, context),
    }),
  }),
});

interface Check {
  readonly name: string;
  readonly result: string;
}

interface Authentication {
  readonly verdict: 'PASS' | 'FAIL' | 'UNKNOWN';
  readonly by: string;
  readonly checks: readonly Check[];
}

const CheckRef = builder.objectRef<Check>('AuthenticationCheck').implement({
  description: 'One check of a sender.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Which one: “spf”, “dkim”, “dmarc”, “arc”.' }),
    result: t.exposeString('result', { description: 'In one word: “pass”, “fail”, “none”, “temperror”, …' }),
  }),
});

const AuthenticationRef = builder.objectRef<Authentication>('Authentication').implement({
  description: 'What is known of whether a sender is who they say they are.',
  fields: (t) => ({
    verdict: t.field({ type: VerdictEnum, description: 'All in all.', resolve: ({ verdict }) => verdict }),
    by: t.exposeString('by', { description: 'Who judged, in a fixed word: “forwarder”, “arc”, “direct”.' }),
    checks: t.field({ type: [CheckRef], description: 'Each check that was made.', resolve: ({ checks }) => [...checks] }),
  }),
});

const VERDICTS = { pass: 'PASS', fail: 'FAIL', unknown: 'UNKNOWN' } as const;

/** As the contract has it; it was checked when it came in. */
function authenticationOf(stored: StoredAuthentication | null): Authentication | null {
  if (stored === null) return null;
  const checks = Object.entries(stored.checks).map(([name, result]) => ({ name, result }));
  return { verdict: VERDICTS[stored.verdict], by: stored.by, checks };
}

const MessageDeliveryRef = builder.objectRef<OutboundRow>('MessageDelivery').implement({
  description: 'How far an outbound message has come.',
  fields: (t) => ({
    state: t.field({ type: DeliveryStateEnum, description: 'How far it has come.', resolve: (outbound) => outbound.state }),
    attempts: t.int({ description: 'How often sending it was tried.', resolve: (outbound) => outbound.attempt }),
    queuedAt: t.field({ type: 'DateTime', description: 'When it was written.', resolve: (outbound) => outbound.queued_at }),
    notBefore: t.field({ type: 'DateTime', description: 'Not tried before this moment.', resolve: (outbound) => outbound.not_before }),
    failureCode: t.exposeString('failure_code', { nullable: true, description: 'A code of the plugin contract: “Rejected”; null: nothing failed.' }),
    failureReason: t.exposeString('failure_reason', { nullable: true, description: 'The provider’s code or a fixed phrase; null: nothing failed.' }),
    canRetry: t.boolean({ nullable: true, description: 'Whether trying again can help; null unless it failed.', resolve: (outbound) => outbound.can_retry }),
    updatedAt: t.field({ type: 'DateTime', description: 'When its state last changed.', resolve: (outbound) => outbound.updated_at }),
    recipient: t.field({ type: ParticipantRef, description: 'To whom it goes.', resolve: (outbound) => outbound.recipient }),
  }),
});

builder.node(MessageRef, {
  description: 'One thing said in a conversation.',
  id: { resolve: (message) => message.id },
  loadOne: (id, { load }) => load.message.load(id),
  fields: (t) => ({
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'Where it was said; null only while access is being taken away.',
      resolve: (message, _args, { load }) => load.conversation.load(message.conversation_id),
    }),
    direction: t.field({ type: DirectionEnum, description: 'Who it goes to.', resolve: (message) => message.direction }),
    subject: t.exposeString('subject', { nullable: true, description: 'Its own subject; null: it has none.' }),
    text: t.exposeString('text', { description: 'What is said, as plain text.' }),
    html: t.string({
      nullable: true,
      description:
        'What is said, as HTML that can be put into a page: nothing in it runs, and nothing loads from elsewhere unless `remoteImages` is asked for. Quoted history is left out. Null: plain text only.',
      args: { remoteImages: t.arg(REMOTE_IMAGES) },
      resolve: (message, { remoteImages }, context) => shown(message.html_safe, remoteImages, message.id, context),
    }),
    quoted: t.field({
      type: QuotedRef,
      nullable: true,
      description: 'The history it quotes, which `text` and `html` leave out; null: it quotes none.',
      resolve: (message) => (message.quoted_text === null ? null : { messageId: message.id, text: message.quoted_text, html: message.quoted_html_safe }),
    }),
    authentication: t.field({
      type: AuthenticationRef,
      nullable: true,
      description: 'What is known of whether its sender is who they say they are; null: the provider vouches for every sender, or it is not inbound.',
      resolve: (message) => authenticationOf(message.authentication),
    }),
    author: t.field({
      type: UserRef,
      nullable: true,
      description: 'The user who wrote it; null: a contact or an automation.',
      resolve: (message, _args, { load }) => (message.author_user_id === null ? null : load.user.load(message.author_user_id)),
    }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'The contact who wrote it; null: it is not inbound, or the sender could not be told.',
      resolve: (message, _args, { load }) => (message.contact_id === null ? null : load.contact.load(message.contact_id)),
    }),
    automatic: t.exposeBoolean('automatic', { description: 'Written by a machine: an auto-reply, a bounce, an automation.' }),
    participants: t.field({ type: [ParticipantRef], description: 'Whom it names besides its sender.', resolve: (message) => message.participants }),
    attachments: t.field({
      type: [AttachmentRef],
      description: 'What is attached to it, in the message’s order.',
      resolve: (message, _args, { load }) => load.attachmentsOf.load(message.id),
    }),
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel it came or goes through; null: it is a comment, or the viewer may not see that channel.',
      resolve: (message, _args, { load }) => (message.channel_id === null ? null : load.channel.load(message.channel_id)),
    }),
    occurredAt: t.field({ type: 'DateTime', description: 'The provider’s date, never later than our receipt.', resolve: (message) => message.occurred_at }),
    receivedAt: t.field({ type: 'DateTime', description: 'When we had it.', resolve: (message) => message.received_at }),
    delivery: t.field({
      type: MessageDeliveryRef,
      nullable: true,
      description: 'How far it has come; null: it is not for us to send.',
      resolve: (message, _args, { load }) => (message.direction === 'OUTBOUND' ? load.outboundOf.load(message.id) : null),
    }),
  }),
});

import { builder } from '../builder.ts';
import type { MessageRow, OutboundRow } from '../rows.ts';
import { DeliveryStateEnum, DirectionEnum } from './enums.ts';
import { ChannelRef, ContactRef, ConversationRef, MessageRef, UserRef } from './refs.ts';

interface Participant {
  readonly kind: string;
  readonly value: string;
  readonly name?: string;
}

const ParticipantRef = builder.objectRef<Participant>('Participant').implement({
  description: 'Somebody a message names besides its sender.',
  fields: (t) => ({
    kind: t.exposeString('kind', { description: 'The kind of identity: “email-address”.' }),
    value: t.exposeString('value', { description: 'In the canonical form of its kind.' }),
    name: t.string({ nullable: true, description: 'As the message wrote it; null: it wrote none.', resolve: (participant) => participant.name ?? null }),
  }),
});

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
    html: t.exposeString('html', {
      nullable: true,
      description: 'What is said, as HTML just as it came: not sanitised, so never to be put into a page as it is. Null: plain text only.',
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
      type: ['JSONObject'],
      description: 'Its attachments: file name, type, bytes.',
      resolve: (message: MessageRow) => message.attachments,
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

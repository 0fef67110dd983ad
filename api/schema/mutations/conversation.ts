import { canonicalAddress } from '@trunkline/channel-sdk';
import { comment, reply, startConversation } from '#commands/conversations.ts';
import { retryMessage, settleMaybeSent } from '#commands/outbox.ts';
import { assign } from '#commands/owners.ts';
import {
  ChangedMeanwhile,
  FilesRefused,
  InvalidInput,
  NoReplyChannel,
  NotAssignable,
  NotPossible,
  OutsideWindow,
  ProviderRefused,
} from '#commands/refusals.ts';
import { chooseTemplate, currentChannel, type ChosenTemplate } from '#commands/templates.ts';
import { close, makeTicket, reopen } from '#commands/tickets.ts';
import { sendTranscript } from '#commands/transcripts.ts';
import { builder } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import { mutation } from '../mutation.ts';
import { ChannelRef, ConversationRef, MessageRef, TeamRef, TicketRef, UserRef } from '../refs.ts';
import { requireSeen, requireWorkingIn } from '../require.ts';

const UPLOADS = 'Files that go along: uploads of the viewer’s, as `POST /uploads` answered. Each is attached once.';

const conversation = ({ conversationId }: { readonly conversationId: string }, { load }: ApiContext) => load.conversation.load(conversationId);
const message = ({ messageId }: { readonly messageId: string }, { load }: ApiContext) => load.message.load(messageId);
const ticket = ({ ticketId }: { readonly ticketId: string }, { load }: ApiContext) => load.ticket.load(ticketId);

const TemplateInputRef = builder.inputType('TemplateInput', {
  description: 'One of the channel’s templates, filled in.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name.' }),
    language: t.string({ required: true, description: 'Its language, as the template says it.' }),
    parameters: t.stringList({ description: 'What is to stand in it, in order; as many as it takes.' }),
  }),
});

/** The provider is asked before the transaction: no lock is held while it thinks. */
function choose({ db, deps }: ApiContext, channelId: string, { name, language, parameters }: typeof TemplateInputRef.$inferInput): Promise<ChosenTemplate> {
  return chooseTemplate(db, deps, channelId, { name, language, parameters: parameters ?? [] }, deps.pluginContext);
}

/** What came of it, told when it is asked for: a call whose key has its answer already is not refused because the provider is away by now. */
async function settled<T>(work: () => Promise<T>): Promise<() => T> {
  try {
    const value = await work();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

mutation('reply', {
  description:
    'Answers the contact through the conversation’s current channel, or through the one that is named, which is its current one from then on. It is queued at once and sent in order; if nobody owns the conversation, it becomes the sender’s.',
  type: MessageRef,
  refusals: [ChangedMeanwhile, FilesRefused, NoReplyChannel, NotPossible, OutsideWindow, ProviderRefused],
  input: (t) => ({
    conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }),
    text: t.string({ description: 'What to say, as plain text; at most as many characters as the channel allows. None only with a template.' }),
    template: t.field({ type: TemplateInputRef, description: 'An approved text of the provider’s, in place of one’s own words.' }),
    html: t.string({ description: 'The same as HTML, where the channel can send it.' }),
    channelId: t.globalID({
      for: [ChannelRef],
      description: 'One of the conversation’s reply channels; none: its default one.',
    }),
    attachmentIds: t.stringList({ description: UPLOADS }),
  }),
  prepare: async ({ template, conversationId, channelId }, context) => {
    if (template == null || (await context.load.conversation.load(conversationId.id)) === null) return null;
    return settled(async () => choose(context, channelId?.id ?? (await currentChannel(context.db, conversationId.id)), template));
  },
  work: async ({ conversationId, text, html, channelId, attachmentIds }, { unit, visible, context }, chosen) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    return reply(unit, context.deps.plugins, {
      conversationId: conversationId.id,
      text: text ?? '',
      template: chosen?.() ?? null,
      html: html ?? null,
      channelId: channelId?.id ?? null,
      uploadIds: attachmentIds ?? [],
    });
  },
  read: message,
});

mutation('comment', {
  description: 'Writes an internal comment; the contact never sees it.',
  type: MessageRef,
  refusals: [FilesRefused],
  input: (t) => ({
    conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }),
    text: t.string({ required: true, description: 'What to note, as plain text.' }),
    attachmentIds: t.stringList({ description: UPLOADS }),
  }),
  work: async ({ conversationId, text, attachmentIds }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    return comment(unit, { conversationId: conversationId.id, text, uploadIds: attachmentIds ?? [] });
  },
  read: message,
});

const RecipientInput = builder.inputType('RecipientInput', {
  description: 'To whom.',
  fields: (t) => ({
    kind: t.string({ required: true, description: 'The kind of identity: “email-address”, “phone-number”.' }),
    value: t.string({ required: true, description: 'The address or number.' }),
    name: t.string({ description: 'Their name, where it is known.' }),
  }),
});

/** As plugins tell it, or somebody with a domain such as “bücher.example” would be two contacts (MODEL-3); what is no address is left for the command to refuse. */
function knownAs({ kind, value }: { readonly kind: string; readonly value: string }): string {
  return kind === 'email-address' ? (canonicalAddress(value) ?? value) : value;
}

mutation('startConversation', {
  description: 'Writes the first message to somebody, where the channel’s plugin can. The sender owns the conversation and, in the help desk, its ticket.',
  type: ConversationRef,
  refusals: [ChangedMeanwhile, FilesRefused, NotPossible, ProviderRefused],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Through which channel.' }),
    to: t.field({ type: RecipientInput, required: true, description: 'To whom.' }),
    subject: t.string({ description: 'The subject, where the channel has subjects.' }),
    text: t.string({ description: 'What to say, as plain text. None only with a template.' }),
    template: t.field({ type: TemplateInputRef, description: 'An approved text of the provider’s, in place of one’s own words.' }),
    attachmentIds: t.stringList({ description: UPLOADS }),
  }),
  prepare: async ({ template, channelId }, context) => {
    if (template == null || (await context.load.channel.load(channelId.id)) === null) return null;
    return settled(() => choose(context, channelId.id, template));
  },
  work: async ({ channelId, to, subject, text, attachmentIds }, { unit, visible, context }, chosen) => {
    await requireSeen(unit.tx, visible, 'channel', channelId.id);
    // An admin sees every channel, but writes only where they have access: they would not see the conversation.
    await requireWorkingIn(unit.tx, visible, channelId.id);
    return startConversation(unit, context.deps.plugins, {
      channelId: channelId.id,
      to: { kind: to.kind, value: knownAs(to), ...(to.name == null ? {} : { name: to.name }) },
      subject: subject ?? null,
      text: text ?? '',
      template: chosen?.() ?? null,
      uploadIds: attachmentIds ?? [],
    });
  },
  read: conversation,
});

mutation('closeConversation', {
  description: 'Closes a conversation and, with it, its ticket. Doing it again changes nothing.',
  type: ConversationRef,
  input: (t) => ({ conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }) }),
  work: async ({ conversationId }, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    await close(unit, { conversationId: conversationId.id }, 'BY_HAND', context.deps.plugins);
    return { conversationId: conversationId.id };
  },
  read: conversation,
});

mutation('sendTranscript', {
  description:
    'Mails the contact what was said in a chat, to the address they gave: neither comments nor what went by other channels. Asked again within a minute, it is the one that was sent already.',
  type: ConversationRef,
  refusals: [NotPossible],
  input: (t) => ({ conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }) }),
  work: async ({ conversationId }, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    return sendTranscript(unit, context.deps.plugins, { conversationId: conversationId.id });
  },
  read: conversation,
});

mutation('reopenConversation', {
  description: 'Reopens a conversation and, with it, its ticket. Doing it again changes nothing.',
  type: ConversationRef,
  input: (t) => ({ conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }) }),
  work: async ({ conversationId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    await reopen(unit, { conversationId: conversationId.id });
    return { conversationId: conversationId.id };
  },
  read: conversation,
});

mutation('makeTicket', {
  description: 'Makes a ticket from an inbox conversation, with its channel’s ticket defaults; it keeps the owner.',
  type: TicketRef,
  refusals: [NotPossible],
  input: (t) => ({ conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }) }),
  work: async ({ conversationId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'conversation', conversationId.id);
    return makeTicket(unit, { conversationId: conversationId.id });
  },
  read: ticket,
});

interface Assignment {
  readonly conversationId: string | null;
  readonly ticketId: string | null;
}

const AssignmentRef = builder.objectRef<Assignment>('Assignment').implement({
  description: 'A conversation or a ticket with its owner; the owner of both is one and the same.',
  fields: (t) => ({
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The conversation; null: it is a ticket without one.',
      resolve: ({ conversationId }, _args, { load }) => (conversationId === null ? null : load.conversation.load(conversationId)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket; null: it is a conversation without one.',
      resolve: ({ ticketId }, _args, { load }) => (ticketId === null ? null : load.ticket.load(ticketId)),
    }),
  }),
});

mutation('assign', {
  description: 'Gives a conversation or a ticket to a user, to a team (whose least busy available primary member gets it) or to nobody.',
  type: AssignmentRef,
  refusals: [ChangedMeanwhile, NotAssignable],
  input: (t) => ({
    subjectId: t.globalID({ for: [ConversationRef, TicketRef], required: true, description: 'The conversation or the ticket.' }),
    ownerId: t.globalID({ for: [UserRef], description: 'The new owner; neither this nor `teamId`: nobody.' }),
    teamId: t.globalID({ for: [TeamRef], description: 'The team that is to have it.' }),
    expectedOwnerId: t.globalID({
      for: [UserRef],
      description: 'Who has it now, as the client believes; null: nobody. If somebody else has it, ChangedMeanwhile. Left out: whoever has it.',
    }),
    expectedTeamId: t.globalID({ for: [TeamRef], description: 'The same of the team it is with.' }),
  }),
  work: async (input, { unit, visible, context }) => {
    const { typename, id } = input.subjectId;
    if (input.ownerId != null && input.teamId != null) throw new InvalidInput([{ path: 'teamId', message: 'a user or a team, not both' }]);
    const isTicket = typename === 'Ticket';
    await requireSeen(unit.tx, visible, isTicket ? 'ticket' : 'conversation', id);
    const to = input.ownerId != null ? { userId: input.ownerId.id } : input.teamId != null ? { teamId: input.teamId.id } : null;
    const expected = {
      ...(input.expectedOwnerId === undefined ? {} : { ownerId: input.expectedOwnerId?.id ?? null }),
      ...(input.expectedTeamId === undefined ? {} : { teamId: input.expectedTeamId?.id ?? null }),
    };
    await assign(unit, isTicket ? { ticketId: id } : { conversationId: id }, to, expected, context.deps.plugins);
    const row = await unit.tx
      .selectFrom('assignment')
      .select(['conversation_id', 'ticket_id'])
      .where(isTicket ? 'ticket_id' : 'conversation_id', '=', id)
      .executeTakeFirstOrThrow();
    return { conversationId: row.conversation_id, ticketId: row.ticket_id };
  },
  read: async (answer) => answer,
});

mutation('retryMessage', {
  description: 'Queues a failed message again, where trying again can help.',
  type: MessageRef,
  refusals: [NotPossible],
  input: (t) => ({ messageId: t.globalID({ for: [MessageRef], required: true, description: 'Which message.' }) }),
  work: async ({ messageId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'message', messageId.id);
    return retryMessage(unit, { messageId: messageId.id });
  },
  read: message,
});

mutation('settleMaybeSent', {
  description: 'Decides on a message of which nobody knows whether it was sent.',
  type: MessageRef,
  refusals: [NotPossible],
  input: (t) => ({
    messageId: t.globalID({ for: [MessageRef], required: true, description: 'Which message.' }),
    sent: t.boolean({ required: true, description: 'true: it was sent; false: it was not, and is queued again.' }),
  }),
  work: async ({ messageId, sent }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'message', messageId.id);
    return settleMaybeSent(unit, { messageId: messageId.id, sent });
  },
  read: message,
});

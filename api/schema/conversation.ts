import { sql } from 'kysely';
import type { ConversationWindow } from '#commands/messaging-windows.ts';
import type { GivenAddress } from '#commands/recipients.ts';
import type { WindowState } from '#domain/messaging-window.ts';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { promised } from '../promised.ts';
import type { ConversationRow, ReplyChannelRow } from '../rows.ts';
import { AfterwardsEnum, CategoryEnum, ListOrderEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import {
  ChannelRef,
  ContactRef,
  ConversationConnection,
  ConversationRef,
  DecisionConnection,
  DecisionRef,
  EventConnection,
  EventRef,
  HelpDeskRef,
  InboxRef,
  MessageConnection,
  MessageRef,
  PlaceRef,
  TeamRef,
  TicketRef,
  UserRef,
} from './refs.ts';

/** The owner stands in one row: on the ticket where there is one (MODEL-2). */
async function holder(conversation: ConversationRow, { load }: ApiContext) {
  return conversation.ticket_id === null ? conversation : promised(await load.ticket.load(conversation.ticket_id));
}

const ReplyChannelRef = builder.objectRef<ReplyChannelRow>('ReplyChannel').implement({
  description: 'A channel through which a conversation can be answered.',
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel; null where the viewer may answer through it but not see it.',
      resolve: ({ channelId }, _args, { load }) => load.channel.load(channelId),
    }),
    isDefault: t.exposeBoolean('isDefault', { description: 'Whether an answer goes through it that names no channel.' }),
  }),
});

const SenderWindowRef = builder.objectRef<WindowState>('SenderWindow').implement({
  description: 'Until when one kind of sender may say anything.',
  fields: (t) => ({
    openUntil: t.field({ type: 'DateTime', nullable: true, description: 'It is open until then; null: it has closed.', resolve: (window) => window.openUntil }),
    closedAt: t.field({ type: 'DateTime', nullable: true, description: 'It closed then; null: it is open.', resolve: (window) => window.closedAt }),
    afterwards: t.field({ type: AfterwardsEnum, description: 'What may be sent once it has closed.', resolve: (window) => window.afterwards }),
  }),
});

const MessagingWindowRef = builder.objectRef<ConversationWindow>('MessagingWindow').implement({
  description: 'What may be said through the conversation’s current channel, counted from the contact’s last message there.',
  fields: (t) => ({
    person: t.field({ type: SenderWindowRef, nullable: true, description: 'For a person’s answer; null: at any time.', resolve: ({ person }) => person }),
    automation: t.field({
      type: SenderWindowRef,
      nullable: true,
      description: 'For a bot, or a message on closing; null: at any time.',
      resolve: ({ automation }) => automation,
    }),
  }),
});

const GivenAddressRef = builder.objectRef<GivenAddress>('GivenAddress').implement({
  description: 'An address or number that a contact typed to be answered at in this conversation.',
  fields: (t) => ({
    kind: t.exposeString('kind', { description: '“email-address” or “phone-number”.' }),
    value: t.exposeString('value', { description: 'In the canonical form of its kind.' }),
    givenAt: t.field({ type: 'DateTime', description: 'When it was given last.', resolve: (given) => given.given_at }),
  }),
});

builder.node(ConversationRef, {
  description: 'A thread with a contact. Seen by whoever has access to its place, whoever owns it.',
  id: { resolve: (conversation) => conversation.id },
  loadOne: async (id, { load, concerned }) => {
    const conversation = await load.conversation.load(id);
    // Whoever asks for one is active in its place (ROUTE-9).
    if (conversation !== null) concerned.places.add(conversation.place_id);
    return conversation;
  },
  fields: (t) => ({
    subject: t.exposeString('subject', { nullable: true, description: 'Its subject; null where the channel has none.' }),
    status: t.field({ type: CategoryEnum, description: 'Open or closed; together with its ticket.', resolve: (conversation) => conversation.status }),
    place: t.field({
      type: PlaceRef,
      description: 'Where it lives.',
      resolve: async (conversation, _args, { load }) => promised(await load.place.load(conversation.place_id)),
    }),
    currentChannel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel of its newest message, through which replies go; null where the viewer may not see that channel.',
      resolve: (conversation, _args, { load }) => load.channel.load(conversation.channel_id),
    }),
    replyChannels: t.field({
      type: [ReplyChannelRef],
      description: 'The channels through which the viewer can answer it, the current one first; empty: it can only be read.',
      resolve: async (conversation, _args, { load }) => [...(await load.replyChannelsOf.load(conversation.id))],
    }),
    givenAddresses: t.field({
      type: [GivenAddressRef],
      description: 'What the contact typed to be answered at, the last given first, at most ten. It does not prove who they are.',
      resolve: (conversation, _args, { load }) => load.givenAddressesOf.load(conversation.id),
    }),
    messagingWindow: t.field({
      type: MessagingWindowRef,
      nullable: true,
      description: 'Until when it can be answered through its current channel; null: that channel has no such limit.',
      resolve: (conversation, _args, { load }) => load.messagingWindowOf.load(conversation.id),
    }),
    originChannel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel it began on; null where the viewer may not see that channel.',
      resolve: (conversation, _args, { load }) => load.channel.load(conversation.origin_channel_id),
    }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'The person outside; null where the sender could not be told.',
      resolve: (conversation, _args, { load }) => (conversation.contact_id === null ? null : load.contact.load(conversation.contact_id)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'Its ticket; null: it is in an inbox and has none.',
      resolve: (conversation, _args, { load }) => (conversation.ticket_id === null ? null : load.ticket.load(conversation.ticket_id)),
    }),
    owner: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who it is assigned to, the same as its ticket’s; null: unassigned.',
      resolve: async (conversation, _args, context) => {
        const { owner_id } = await holder(conversation, context);
        return owner_id === null ? null : context.load.user.load(owner_id);
      },
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'The team it was given to; null: none.',
      resolve: async (conversation, _args, context) => {
        const { team_id } = await holder(conversation, context);
        return team_id === null ? null : context.load.team.load(team_id);
      },
    }),
    previousConversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The closed conversation this one goes on from; null: none, or not to be seen.',
      resolve: (conversation, _args, { load }) =>
        conversation.previous_conversation_id === null ? null : load.conversation.load(conversation.previous_conversation_id),
    }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.', resolve: (conversation) => conversation.started_at }),
    closedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was closed; null: it is open.',
      resolve: (conversation) => conversation.closed_at,
    }),
    lastMessageAt: t.field({
      type: 'DateTime',
      description: 'When its newest message came or was written.',
      resolve: (conversation) => conversation.last_message_at,
    }),
    lastMessage: t.field({
      type: MessageRef,
      nullable: true,
      description: 'Its newest message to or from the contact; null: none yet.',
      resolve: (conversation, _args, { load }) => load.lastMessageOf.load(conversation.id),
    }),
    messages: t.connection(
      {
        type: MessageRef,
        description: 'Its messages and comments, by the provider’s date and then by arrival.',
        resolve: (conversation, args, { load, db }) =>
          load.nestedPage('conversation.messages', conversation.id, args, ORDERS.message, (parent, visible) =>
            db.selectFrom('message').selectAll('message').where('message.conversation_id', '=', parent).where(visible.message),
          ),
      },
      MessageConnection,
    ),
    timeline: t.connection(
      {
        type: EventRef,
        description: 'What happened to it and to its ticket: who, when and why, the oldest first.',
        resolve: (conversation, args, { load, db }) =>
          load.nestedPage('conversation.timeline', conversation.id, args, ORDERS.event, (parent) =>
            db
              .selectFrom('event')
              .selectAll('event')
              .where(sql<boolean>`(event.conversation_id = ${parent} or event.ticket_id = (select c.ticket_id from conversation c where c.id = ${parent}))`)
              .where('event.kind', '<>', 'NOTIFIED'),
          ),
      },
      EventConnection,
    ),
    routingDecisions: t.connection(
      {
        type: DecisionRef,
        description: 'Its automatic routing decisions with their explanations, the newest first.',
        resolve: (conversation, args, { load, db }) =>
          load.nestedPage('conversation.decisions', conversation.id, args, ORDERS.decision, (parent, visible) =>
            db
              .selectFrom('routing_decision')
              .selectAll('routing_decision')
              .where('routing_decision.conversation_id', '=', parent)
              .where(visible.routing_decision),
          ),
      },
      DecisionConnection,
    ),
  }),
});

const FilterInput = builder.inputType('ConversationFilter', {
  description: 'Which conversations; what is given must hold all together.',
  fields: (t) => ({
    unassigned: t.boolean({ description: 'true: only those nobody owns; false: only those somebody owns.' }),
    ownerId: t.globalID({ for: [UserRef], description: 'Only this user’s.' }),
    teamId: t.globalID({ for: [TeamRef], description: 'Only what was given to this team.' }),
    placeId: t.globalID({ for: [HelpDeskRef, InboxRef], description: 'Only those that live in this place.' }),
    channelId: t.globalID({ for: [ChannelRef], description: 'Only those whose current channel this is.' }),
    contactId: t.globalID({ for: [ContactRef], description: 'Only this contact’s.' }),
    status: t.field({ type: CategoryEnum, description: 'Only open or only closed ones.' }),
    hasTicket: t.boolean({ description: 'true: only those with a ticket; false: only those without.' }),
  }),
});

builder.queryField('conversations', (t) =>
  t.connection(
    {
      type: ConversationRef,
      description: 'The conversations of the places the viewer has access to. Unassigned ones, oldest first, are the triage list.',
      args: {
        filter: t.arg({ type: FilterInput, description: 'Which ones; none: all.' }),
        order: t.arg({ type: ListOrderEnum, defaultValue: 'OLDEST_FIRST', description: 'By when they began.' }),
      },
      resolve: async (_root, args, { load, db, see, concerned }) => {
        const visible = await see();
        const { filter } = args;
        if (filter?.placeId != null && visible.placeIds.includes(filter.placeId.id)) concerned.places.add(filter.placeId.id);
        let query = db
          .selectFrom('conversation')
          .leftJoin('ticket', 'ticket.id', 'conversation.ticket_id')
          .selectAll('conversation')
          .where(visible.conversation);
        const owner = sql<string | null>`coalesce(ticket.owner_id, conversation.owner_id)`;
        if (filter?.unassigned != null) query = query.where(owner, filter.unassigned ? 'is' : 'is not', null);
        if (filter?.ownerId != null) query = query.where(owner, '=', filter.ownerId.id);
        if (filter?.teamId != null) query = query.where(sql<string>`coalesce(ticket.team_id, conversation.team_id)`, '=', filter.teamId.id);
        if (filter?.placeId != null) query = query.where('conversation.place_id', '=', filter.placeId.id);
        if (filter?.channelId != null) query = query.where('conversation.channel_id', '=', filter.channelId.id);
        if (filter?.contactId != null) query = query.where('conversation.contact_id', '=', filter.contactId.id);
        if (filter?.status != null) query = query.where('conversation.status', '=', filter.status);
        if (filter?.hasTicket != null) query = query.where('conversation.ticket_id', filter.hasTicket ? 'is not' : 'is', null);
        return load.page(args, { ...ORDERS.conversation, descending: args.order === 'NEWEST_FIRST' }, query);
      },
    },
    ConversationConnection,
  ),
);

import { builder } from '../builder.ts';
import { NotificationKindEnum } from './enums.ts';
import { ChannelRef, ConversationRef, MigrationRef, NotificationRef, TicketRef } from './refs.ts';

builder.node(NotificationRef, {
  description: 'Something a user was told of. Only they see it.',
  id: { resolve: (notification) => notification.id },
  loadOne: (id, { load }) => load.notification.load(id),
  fields: (t) => ({
    kind: t.field({ type: NotificationKindEnum, description: 'What it tells of.', resolve: (notification) => notification.kind }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket; null: none, or no longer to be seen.',
      resolve: (notification, _args, { load }) => (notification.ticket_id === null ? null : load.ticket.load(notification.ticket_id)),
    }),
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The conversation; null: none, or no longer to be seen.',
      resolve: (notification, _args, { load }) => (notification.conversation_id === null ? null : load.conversation.load(notification.conversation_id)),
    }),
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel, of CHANNEL_HEALTH or of a move; null: none, or no longer to be seen.',
      resolve: (notification, _args, { load }) => (notification.channel_id === null ? null : load.channel.load(notification.channel_id)),
    }),
    migration: t.field({
      type: MigrationRef,
      nullable: true,
      description: 'The move it tells of, or that made what it tells of; null: none, or not to be seen: admins see moves.',
      resolve: (notification, _args, { load }) => (notification.migration_id === null ? null : load.channelMigration.load(notification.migration_id)),
    }),
    count: t.exposeInt('count', { nullable: true, description: 'How many tickets it tells of at once; null: it tells of one thing.' }),
    createdAt: t.field({ type: 'DateTime', description: 'When they were told.', resolve: (notification) => notification.created_at }),
    readAt: t.field({ type: 'DateTime', nullable: true, description: 'When they read it; null: not yet.', resolve: (notification) => notification.read_at }),
  }),
});

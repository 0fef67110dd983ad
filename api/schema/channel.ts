import { builder } from '../builder.ts';
import { reaches } from '../roles.ts';
import { CHANNEL_COLUMNS, type ChannelRow } from '../rows.ts';
import { HealthEnum, PriorityEnum, ReopeningEnum } from './enums.ts';
import { promised } from '../promised.ts';
import { ORDERS } from './orders.ts';
import { PluginRef } from './plugin.ts';
import { ChannelConnection, ChannelRef, ConversationConnection, ConversationRef, PipelineRef, PlaceRef, RuleRef, StatusRef, UserRef } from './refs.ts';

const HealthRef = builder.objectRef<ChannelRow>('ChannelHealth').implement({
  description: 'Whether a channel works.',
  fields: (t) => ({
    state: t.field({ type: HealthEnum, description: 'Whether it works.', resolve: (channel) => channel.health }),
    reason: t.exposeString('health_reason', { nullable: true, description: 'A code or a fixed phrase; null while it works.' }),
    since: t.field({ type: 'DateTime', description: 'Since when it is so.', resolve: (channel) => channel.health_since }),
  }),
});

const DefaultsRef = builder.objectRef<ChannelRow>('TicketDefaults').implement({
  description: 'What a new ticket of a channel begins with.',
  fields: (t) => ({
    pipeline: t.field({
      type: PipelineRef,
      description: 'Its pipeline.',
      resolve: async (channel, _args, { load }) => promised(await load.pipeline.load(channel.default_pipeline_id)),
    }),
    status: t.field({
      type: StatusRef,
      description: 'Its status.',
      resolve: async (channel, _args, { load }) => promised(await load.status.load(channel.default_status_id)),
    }),
    priority: t.field({ type: PriorityEnum, description: 'Its priority.', resolve: (channel) => channel.default_priority }),
    properties: t.field({ type: 'JSONObject', description: 'Its custom properties.', resolve: (channel) => channel.default_properties }),
  }),
});

builder.node(ChannelRef, {
  description: 'One connected address. Admins see all channels, agents those of the places they have access to.',
  id: { resolve: (channel) => channel.id },
  loadOne: (id, { load }) => load.channel.load(id),
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Short and readable, in URLs and workflow ids; never changes, is never used again.' }),
    name: t.exposeString('name', { description: 'Its name, for people.' }),
    address: t.exposeString('address', { description: 'The connected address in its canonical form.' }),
    pluginKey: t.exposeString('plugin', { description: 'The key of its plugin.' }),
    plugin: t.field({
      type: PluginRef,
      nullable: true,
      description: 'Its plugin; null where this deployment no longer has it.',
      resolve: (channel, _args, { deps }) => deps.plugins.find((plugin) => plugin.key === channel.plugin) ?? null,
    }),
    place: t.field({
      type: PlaceRef,
      description: 'Where it lives.',
      resolve: async (channel, _args, { load }) => promised(await load.place.load(channel.place_id)),
    }),
    enabled: t.exposeBoolean('enabled', {
      description: 'On or off, apart from its health. Off: what arrives is kept, but no routing and no automatic message runs.',
    }),
    health: t.field({ type: HealthRef, description: 'Whether it works.', resolve: (channel) => channel }),
    createTickets: t.exposeBoolean('create_tickets', {
      description: 'Whether new conversations get a ticket while it lives in an inbox; in the help desk they always do.',
    }),
    ticketDefaults: t.field({ type: DefaultsRef, description: 'What its new tickets begin with.', resolve: (channel) => channel }),
    reopening: t.field({ type: ReopeningEnum, description: 'What a message in a closed conversation does.', resolve: (channel) => channel.reopening }),
    reopenDays: t.exposeInt('reopen_days', { nullable: true, description: 'Days after closing, for NEW_AFTER; otherwise null.' }),
    unassignedNoticeUsers: t.field({
      type: [UserRef],
      description: 'Who is told of a new ticket that waits for somebody; empty: all with access to the place.',
      resolve: async (channel, _args, { load }) =>
        (await Promise.all(channel.unassigned_notice_user_ids.map((id) => load.user.load(id)))).filter((user) => user !== null),
    }),
    routingRule: t.field({
      type: RuleRef,
      description: 'Who its new conversations go to.',
      resolve: async (channel, _args, { load }) => promised(await load.rule.load(channel.routing_rule_id)),
    }),
    settings: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Its plugin’s settings without the secrets, which are never returned; null to those who are no admin.',
      resolve: (channel, _args, { viewer }) => (reaches(viewer.role, 'ADMIN') ? channel.settings : null),
    }),
    version: t.exposeInt('version', { description: 'Counts the edits; given back to say which one was seen.' }),
    connectedAt: t.field({ type: 'DateTime', description: 'When it was connected.', resolve: (channel) => channel.connected_at }),
    disconnectedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it was disconnected, for good; null: it is connected.',
      resolve: (channel) => channel.disconnected_at,
    }),
    conversations: t.connection(
      {
        type: ConversationRef,
        description: 'The conversations whose current channel it is, the oldest first.',
        resolve: (channel, args, { load, db }) =>
          load.nestedPage('channel.conversations', channel.id, args, ORDERS.conversation, (parent, visible) =>
            db.selectFrom('conversation').selectAll('conversation').where('conversation.channel_id', '=', parent).where(visible.conversation),
          ),
      },
      ConversationConnection,
    ),
  }),
});

builder.queryField('channels', (t) =>
  t.connection(
    {
      type: ChannelRef,
      description: 'The channels the viewer sees, in the order they were connected.',
      args: {
        pluginKey: t.arg.string({ description: 'Only those of this plugin.' }),
        includeDisconnected: t.arg.boolean({ defaultValue: false, description: 'Also those that were disconnected.' }),
      },
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        let query = db.selectFrom('channel').select(CHANNEL_COLUMNS).where(visible.channel);
        if (args.pluginKey != null) query = query.where('plugin', '=', args.pluginKey);
        if (args.includeDisconnected !== true) query = query.where('disconnected_at', 'is', null);
        return load.page(args, ORDERS.channel, query);
      },
    },
    ChannelConnection,
  ),
);

builder.queryField('channelByKey', (t) =>
  t.field({
    type: ChannelRef,
    nullable: true,
    description: 'The channel with this key; null where there is none or the viewer may not see it.',
    args: { key: t.arg.string({ required: true, description: 'Its key.' }) },
    resolve: async (_root, { key }, { db, see }) => {
      const visible = await see();
      return (await db.selectFrom('channel').select(CHANNEL_COLUMNS).where('key', '=', key).where(visible.channel).executeTakeFirst()) ?? null;
    },
  }),
);

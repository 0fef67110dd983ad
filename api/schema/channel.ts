import type { Preview, Template } from '@trunkline/channel-sdk';
import { previewChannel } from '#commands/channel-preview.ts';
import { migrationProblems } from '#commands/plugin-says.ts';
import { Forbidden, InvalidInput, NotFound, NotPossible, ProviderRefused } from '#commands/refusals.ts';
import { channelTemplates } from '#commands/templates.ts';
import { builder } from '../builder.ts';
import { reaches, ROLE_NAMES } from '../roles.ts';
import { CHANNEL_COLUMNS, type ChannelRow } from '../rows.ts';
import { HealthEnum, PriorityEnum, ReopeningEnum } from './enums.ts';
import { promised } from '../promised.ts';
import { snippetOf } from '../snippet.ts';
import { ORDERS } from './orders.ts';
import { PluginRef } from './plugin.ts';
import { ChannelConnection, ChannelRef, ConversationConnection, ConversationRef, PipelineRef, PlaceRef, RuleRef, StatusRef, UserRef } from './refs.ts';

const HealthRef = builder.objectRef<ChannelRow>('ChannelHealth').implement({
  description: 'Whether a channel works.',
  fields: (t) => ({
    state: t.field({ type: HealthEnum, description: 'Whether it works.', resolve: (channel) => channel.health }),
    reason: t.exposeString('health_reason', { nullable: true, description: 'A code or a fixed phrase; null while it works.' }),
    since: t.field({ type: 'DateTime', description: 'Since when it is so.', resolve: (channel) => channel.health_since }),
    checkedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its provider was last asked whether the credentials are still good, or when it was connected; null: its plugin can not ask.',
      resolve: (channel, _args, { deps }) =>
        deps.plugins.some((plugin) => plugin.key === channel.plugin && plugin.check !== undefined) ? channel.checked_at : null,
    }),
  }),
});

const AutomationRef = builder.objectRef<ChannelRow>('TicketAutomation').implement({
  description: 'What a channel does by itself with tickets and their conversations.',
  fields: (t) => ({
    onContactReplyStatus: t.field({
      type: StatusRef,
      nullable: true,
      description: 'The status an open ticket gets when the contact writes again, or reopens it by writing; null: it keeps its own.',
      resolve: (channel, _args, { load }) => (channel.on_contact_reply_status_id === null ? null : load.status.load(channel.on_contact_reply_status_id)),
    }),
    onAgentReplyStatus: t.field({
      type: StatusRef,
      nullable: true,
      description: 'The status an open ticket gets when a person answers; null: it keeps its own.',
      resolve: (channel, _args, { load }) => (channel.on_agent_reply_status_id === null ? null : load.status.load(channel.on_agent_reply_status_id)),
    }),
    onCloseMessage: t.exposeString('on_close_message', {
      nullable: true,
      description: 'What the contact is told, as plain text, when a person closes; null: nothing.',
    }),
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

const TemplateRef = builder.objectRef<Template>('MessageTemplate').implement({
  description: 'An approved text of a provider’s, to be sent where free words may not be.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name at the provider.' }),
    language: t.exposeString('language', { description: 'Its language, as the provider says it.' }),
    text: t.exposeString('text', { description: 'What it says, with `{{1}}`, `{{2}}`, … where its parameters stand.' }),
    parameters: t.exposeInt('parameters', { description: 'How many parameters it takes.' }),
    approved: t.exposeBoolean('approved', { description: 'Whether the provider lets it be sent.' }),
  }),
});

const ChannelTemplatesRef = builder.objectRef<{ readonly items: readonly Template[] }>('ChannelTemplates').implement({
  description: 'A channel’s templates.',
  fields: (t) => ({ items: t.field({ type: [TemplateRef], description: 'Each of them, in the provider’s order.', resolve: ({ items }) => [...items] }) }),
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
    pageUrl: t.string({
      nullable: true,
      description: 'Where its public page is, from outside; null where its plugin has none.',
      resolve: (channel, _args, { deps }) => {
        const plugin = deps.plugins.find(({ key }) => key === channel.plugin);
        return plugin?.page === undefined || deps.publicUrl === undefined ? null : `${deps.publicUrl}/pages/${plugin.key}/${channel.key}/`;
      },
    }),
    snippet: t.string({
      nullable: true,
      description: 'What is put into a page of one’s own to show it there, as HTML; null to those who are no admin, and where its plugin has none.',
      resolve: (channel, _args, { deps, viewer }) =>
        reaches(viewer.role, 'ADMIN') && deps.publicUrl !== undefined ? snippetOf(deps.plugins, deps.publicUrl, channel) : null,
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
    retryWhenAvailable: t.exposeBoolean('retry_when_available', {
      description: 'Whether what stayed unassigned because nobody was free is decided again when somebody becomes free.',
    }),
    ticketDefaults: t.field({ type: DefaultsRef, description: 'What its new tickets begin with.', resolve: (channel) => channel }),
    automation: t.field({ type: AutomationRef, description: 'What it does by itself with tickets.', resolve: (channel) => channel }),
    reopening: t.field({ type: ReopeningEnum, description: 'What a message in a closed conversation does.', resolve: (channel) => channel.reopening }),
    reopenDays: t.exposeInt('reopen_days', { nullable: true, description: 'Days after closing, for NEW_AFTER; otherwise null.' }),
    unassignedNoticeUsers: t.field({
      type: [UserRef],
      description:
        'Who is told of a new ticket that waits for somebody; empty: those whom the rule names, or all with access to the place where it names nobody.',
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
    templates: t.field({
      type: ChannelTemplatesRef,
      description: 'The approved texts its provider has, asked of it now or remembered for half a minute; none where its plugin has no templates.',
      errors: {
        types: [NotPossible, ProviderRefused],
        union: { name: 'ChannelTemplatesResult', description: 'What a channel’s templates are, or why they can not be had now.' },
      },
      resolve: async (channel, _args, { db, deps }) => ({ items: await channelTemplates(db, deps, channel.id, deps.pluginContext) }),
    }),
    migrationProblems: t.stringList({
      nullable: true,
      description:
        'Why it could not be moved from an inbox to the help desk, by its plugin’s own lights; empty: nothing stands in the way. Null to those who are no admin.',
      resolve: (channel, _args, { viewer, db, deps }) => (reaches(viewer.role, 'ADMIN') ? migrationProblems(db, deps, channel) : null),
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

const PreviewRef = builder.objectRef<Preview>('ChannelPreviewPart').implement({
  description: 'One thing that would be seen outside.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'What it is: “From”, “Signature”.' }),
    text: t.exposeString('text', { description: 'As plain text.' }),
    html: t.string({ nullable: true, description: 'As HTML, sanitised; null: it has none.', resolve: (part) => part.html ?? null }),
  }),
});

const ChannelPreviewRef = builder.objectRef<{ readonly parts: readonly Preview[] }>('ChannelPreview').implement({
  description: 'How a message would look outside with the settings that were given.',
  fields: (t) => ({
    parts: t.field({
      type: [PreviewRef],
      description: 'Each thing that would be seen; empty where the plugin shows none.',
      resolve: ({ parts }) => [...parts],
    }),
  }),
});

builder.queryField('channelPreview', (t) =>
  t.field({
    type: ChannelPreviewRef,
    description: 'How a message would look outside, for an admin who edits settings: nothing is stored and no provider is asked. Needs the role admin.',
    errors: {
      types: [NotFound, Forbidden, InvalidInput],
      union: { name: 'ChannelPreviewResult', description: 'What channelPreview answers: the preview, or why there is none.' },
    },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], description: 'A channel whose settings are edited; this or `pluginKey`.' }),
      pluginKey: t.arg.string({ description: 'The plugin of a channel that is to be connected.' }),
      settings: t.arg({ type: 'JSONObject', description: 'The settings as typed: over the channel’s own, or all of a new one’s. Secrets may be left out.' }),
      authorId: t.arg.globalID({ for: [UserRef], description: 'Who writes; none: the viewer.' }),
    },
    resolve: async (_root, { channelId, pluginKey, settings, authorId }, { db, deps, viewer, load }) => {
      if (!reaches(viewer.role, 'ADMIN')) throw new Forbidden(`the role ${ROLE_NAMES.ADMIN}`);
      if ((channelId == null) === (pluginKey == null)) throw new InvalidInput([{ path: 'pluginKey', message: 'a channel or a plugin, one of the two' }]);
      if (channelId != null && (await load.channel.load(channelId.id)) === null) throw new NotFound('channel', channelId.id);
      const parts = await previewChannel(db, deps, {
        of: channelId == null ? { pluginKey: pluginKey ?? '' } : { channelId: channelId.id },
        settings: settings ?? {},
        authorId: authorId?.id ?? viewer.userId,
      });
      return { parts };
    },
  }),
);

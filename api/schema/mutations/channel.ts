import type { AutomationInput } from '#commands/automation.ts';
import { channelKeyOf, connectChannel, disconnectChannel, newChannelKey, setChannelEnabled, updateChannel } from '#commands/channels.ts';
import { prepareConnection, undoConnection } from '#commands/connecting.ts';
import { redeliver } from '#commands/intake.ts';
import { AddressTaken, ChangedMeanwhile, InvalidInput, NotAssignable, NotFound, NotPossible, ProviderRefused } from '#commands/refusals.ts';
import { setRoutingRule, type RuleInput } from '#commands/routing-rules.ts';
import { prepareUpdate, tellDisconnected, tellStored } from '#commands/telling.ts';
import type { TicketDefaultsInput } from '#commands/ticket-defaults.ts';
import { builder } from '../../builder.ts';
import type { ApiContext } from '../../context.ts';
import { PriorityEnum, ReopeningEnum, RuleKindEnum, RuleMethodEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { ChannelRef, DeliveryRef, HelpDeskRef, InboxRef, PipelineRef, StatusRef, TeamRef, UserRef } from '../refs.ts';
import { requireSeen } from '../require.ts';
import { SkillRuleInputRef, skillRuleOf } from '../skill.ts';

const channel = ({ channelId }: { readonly channelId: string }, { load }: ApiContext) => load.channel.load(channelId);

/** As an admin writes it, for a channel or for an action of an SLA policy. */
export const RuleInputRef = builder.inputType('RoutingRuleInput', {
  description: 'Who new conversations are to go to.',
  fields: (t) => ({
    kind: t.field({ type: RuleKindEnum, required: true, description: 'Nobody, named users and teams, or the contact’s owner.' }),
    method: t.field({ type: RuleMethodEnum, description: 'For SPECIFIC; none: the plugin’s own default.' }),
    availableOnly: t.boolean({ description: 'Leave out who is away; on unless switched off. Says nothing for CONTACT_OWNER.' }),
    userIds: t.globalIDList({ for: [UserRef], description: 'For SPECIFIC: users.' }),
    teamIds: t.globalIDList({ for: [TeamRef], description: 'For SPECIFIC: teams, of which primary members can be chosen.' }),
    skillRules: t.field({
      type: [SkillRuleInputRef],
      description: 'For SPECIFIC: which skills tickets ask for; the first that a ticket meets counts. None: skills do not matter.',
    }),
    defaultUserId: t.globalID({
      for: [UserRef],
      description: 'For CONTACT_OWNER on a live channel: who gets what has no owner to go to; none: it stays unassigned.',
    }),
  }),
});

type Ids = readonly ({ readonly id: string } | null | undefined)[] | null | undefined;
const ids = (list: Ids): string[] => (list ?? []).flatMap((one) => (one == null ? [] : [one.id]));

/** As the commands take it. */
export function ruleOf(input: typeof RuleInputRef.$inferInput): RuleInput {
  return {
    kind: input.kind,
    ...(input.method == null ? {} : { method: input.method }),
    ...(input.availableOnly == null ? {} : { availableOnly: input.availableOnly }),
    userIds: ids(input.userIds),
    teamIds: ids(input.teamIds),
    ...(input.defaultUserId == null ? {} : { defaultUserId: input.defaultUserId.id }),
    ...(input.skillRules == null ? {} : { skillRules: input.skillRules.map(skillRuleOf) }),
  };
}

const DefaultsInputRef = builder.inputType('TicketDefaultsInput', {
  description: 'What new tickets are to begin with; what is left out stays as it is.',
  fields: (t) => ({
    pipelineId: t.globalID({ for: [PipelineRef], description: 'The pipeline.' }),
    statusId: t.globalID({ for: [StatusRef], description: 'The status.' }),
    priority: t.field({ type: PriorityEnum, description: 'The priority.' }),
    properties: t.field({ type: 'JSONObject', description: 'The custom properties.' }),
  }),
});

function defaultsOf(input: typeof DefaultsInputRef.$inferInput): TicketDefaultsInput {
  return {
    ...(input.pipelineId == null ? {} : { pipelineId: input.pipelineId.id }),
    ...(input.statusId == null ? {} : { statusId: input.statusId.id }),
    ...(input.priority == null ? {} : { priority: input.priority }),
    ...(input.properties == null ? {} : { properties: input.properties }),
  };
}

const AutomationInputRef = builder.inputType('TicketAutomationInput', {
  description: 'What a channel is to do by itself with tickets; null takes one away, what is left out stays as it is.',
  fields: (t) => ({
    onContactReplyStatusId: t.globalID({
      for: [StatusRef],
      description: 'The status an open ticket gets when the contact writes again: an open one of the pipeline of the ticket defaults.',
    }),
    onAgentReplyStatusId: t.globalID({ for: [StatusRef], description: 'The status an open ticket gets when a person answers: likewise.' }),
    onCloseMessage: t.string({ description: 'What the contact is told when a person closes; plain text, at most as many characters as the channel allows.' }),
  }),
});

function automationOf(input: typeof AutomationInputRef.$inferInput): AutomationInput {
  const { onContactReplyStatusId: contact, onAgentReplyStatusId: agent, onCloseMessage } = input;
  return {
    ...(contact === undefined ? {} : { onContactReplyStatusId: contact?.id ?? null }),
    ...(agent === undefined ? {} : { onAgentReplyStatusId: agent?.id ?? null }),
    ...(onCloseMessage === undefined ? {} : { onCloseMessage }),
  };
}

mutation('connectChannel', {
  description: 'Connects an address through a plugin and turns it on. Settings are checked by the plugin; every wrong field is named.',
  type: ChannelRef,
  refusals: [AddressTaken, ChangedMeanwhile, NotAssignable, ProviderRefused],
  input: (t) => ({
    plugin: t.string({ required: true, description: 'The plugin’s key: “email”.' }),
    name: t.string({ required: true, description: 'The channel’s name, for people.' }),
    placeId: t.globalID({ for: [HelpDeskRef, InboxRef], required: true, description: 'Where it is to live.' }),
    settings: t.field({
      type: 'JSONObject',
      required: true,
      description: 'As the plugin’s documentation says, secrets included; these are stored encrypted and never returned.',
    }),
    createTickets: t.boolean({ description: 'In an inbox: whether new conversations get a ticket.' }),
    retryWhenAvailable: t.boolean({ description: 'Whether what nobody was free for is decided again when somebody becomes free; none: not.' }),
    ticketDefaults: t.field({ type: DefaultsInputRef, description: 'What new tickets begin with; none: the first pipeline and its first open status.' }),
    automation: t.field({ type: AutomationInputRef, description: 'What the channel does by itself with tickets; none: nothing.' }),
    routing: t.field({ type: RuleInputRef, description: 'Who new conversations go to; none: nobody.' }),
  }),
  // The provider is asked outside of a transaction: locks are not held while it thinks.
  ask: async (input, { deps, db, viewer }, idempotencyKey) => {
    const plugin = deps.plugins.find(({ key }) => key === input.plugin);
    if (plugin === undefined) throw new InvalidInput([{ path: 'plugin', message: 'there is no such plugin' }]);
    const key =
      idempotencyKey === null ? newChannelKey(plugin.key) : await channelKeyOf(db, deps.keys, plugin.key, { caller: viewer.userId, key: idempotencyKey });
    return prepareConnection(db, deps, { plugin, name: input.name, placeId: input.placeId.id, settings: input.settings, key }, deps.pluginContext);
  },
  takeBack: async (_input, { db, deps }, { connectingId }) => {
    if (connectingId !== null) await undoConnection(db, deps, connectingId, deps.pluginContext);
  },
  work: async (input, { unit, visible, context }, prepared) => {
    await requireSeen(unit.tx, visible, 'place', input.placeId.id);
    const { channelId } = await connectChannel(unit, context.deps, {
      plugin: input.plugin,
      name: input.name,
      placeId: input.placeId.id,
      settings: input.settings,
      ...(input.createTickets == null ? {} : { createTickets: input.createTickets }),
      ...(input.retryWhenAvailable == null ? {} : { retryWhenAvailable: input.retryWhenAvailable }),
      ...(input.ticketDefaults == null ? {} : { ticketDefaults: defaultsOf(input.ticketDefaults) }),
      ...(input.automation == null ? {} : { automation: automationOf(input.automation) }),
      ...(input.routing == null ? {} : { routing: ruleOf(input.routing) }),
      ...prepared,
    });
    return { channelId };
  },
  read: channel,
});

const ReopeningInputRef = builder.inputType('ReopeningInput', {
  description: 'What a contact’s message in a closed conversation is to do.',
  fields: (t) => ({
    mode: t.field({ type: ReopeningEnum, required: true, description: 'What it does.' }),
    days: t.int({ description: 'For NEW_AFTER: days after closing.' }),
  }),
});

/** What a provider may want to know of an edit. */
function editOf(input: { readonly name?: string | null | undefined; readonly settings?: unknown }) {
  return { ...(input.name == null ? {} : { name: input.name }), ...(input.settings == null ? {} : { settings: input.settings }) };
}

mutation('updateChannel', {
  description: 'Edits a channel; what is left out stays as it is, secrets too.',
  type: ChannelRef,
  refusals: [AddressTaken, ChangedMeanwhile, NotPossible, NotAssignable, ProviderRefused],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
    expectedVersion: t.int({ description: 'The version the client has seen; if it was edited since, ChangedMeanwhile.' }),
    name: t.string({ description: 'Its name.' }),
    settings: t.field({ type: 'JSONObject', description: 'The top-level settings to change; null takes one away.' }),
    createTickets: t.boolean({ description: 'In an inbox: whether new conversations get a ticket.' }),
    retryWhenAvailable: t.boolean({ description: 'Whether what nobody was free for is decided again when somebody becomes free, also what waits already.' }),
    ticketDefaults: t.field({ type: DefaultsInputRef, description: 'What new tickets begin with.' }),
    automation: t.field({ type: AutomationInputRef, description: 'What the channel does by itself with tickets.' }),
    reopening: t.field({ type: ReopeningInputRef, description: 'What a message in a closed conversation does.' }),
    unassignedNoticeUserIds: t.globalIDList({
      for: [UserRef],
      description:
        'Who is told of a new ticket that waits for somebody; empty: those whom the rule names, or all with access to the place where it names nobody.',
    }),
  }),
  // A provider that shows something itself is told outside of the transaction, and may refuse.
  ask: (input, { db, deps }) => prepareUpdate(db, deps, { channelId: input.channelId.id, ...editOf(input) }, deps.pluginContext),
  takeBack: async (input, { db, deps }, prepared) => {
    if (prepared !== undefined) await tellStored(db, deps, input.channelId.id, prepared.telling, deps.pluginContext);
  },
  work: async (input, { unit, visible, context }, prepared) => {
    const channelId = input.channelId.id;
    await requireSeen(unit.tx, visible, 'channel', channelId);
    await updateChannel(
      unit,
      context.deps,
      {
        channelId,
        ...editOf(input),
        ...(input.expectedVersion == null ? {} : { expectedVersion: input.expectedVersion }),
        ...(input.createTickets == null ? {} : { createTickets: input.createTickets }),
        ...(input.retryWhenAvailable == null ? {} : { retryWhenAvailable: input.retryWhenAvailable }),
        ...(input.ticketDefaults == null ? {} : { ticketDefaults: defaultsOf(input.ticketDefaults) }),
        ...(input.automation == null ? {} : { automation: automationOf(input.automation) }),
        ...(input.reopening == null ? {} : { reopening: { mode: input.reopening.mode, days: input.reopening.days ?? null } }),
        ...(input.unassignedNoticeUserIds == null ? {} : { unassignedNoticeUserIds: ids(input.unassignedNoticeUserIds) }),
      },
      prepared,
    );
    return { channelId };
  },
  read: channel,
});

mutation('setChannelEnabled', {
  description: 'Switches a channel on or off.',
  type: ChannelRef,
  refusals: [NotPossible],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
    enabled: t.boolean({ required: true, description: 'On or off.' }),
  }),
  work: async ({ channelId, enabled }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'channel', channelId.id);
    await setChannelEnabled(unit, { channelId: channelId.id, enabled });
    return { channelId: channelId.id };
  },
  read: channel,
});

mutation('setRoutingRule', {
  description: 'Gives a channel another routing rule. The admin needs a paid seat, and so does everybody the rule names.',
  type: ChannelRef,
  refusals: [ChangedMeanwhile, NotPossible, NotAssignable],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }),
    expectedVersion: t.int({ description: 'The channel’s version that the client has seen; if it was edited since, its rule too, ChangedMeanwhile.' }),
    rule: t.field({ type: RuleInputRef, required: true, description: 'The new rule.' }),
  }),
  work: async ({ channelId, rule, expectedVersion }, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'channel', channelId.id);
    await setRoutingRule(unit, context.deps, { channelId: channelId.id, rule: ruleOf(rule), ...(expectedVersion == null ? {} : { expectedVersion }) });
    return { channelId: channelId.id };
  },
  read: channel,
});

mutation('disconnectChannel', {
  description: 'Disconnects a channel for good: its conversations stay and can be read, its address is free again. Doing it again changes nothing.',
  type: ChannelRef,
  input: (t) => ({ channelId: t.globalID({ for: [ChannelRef], required: true, description: 'Which channel.' }) }),
  work: async ({ channelId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'channel', channelId.id);
    const { disconnected, telling } = await disconnectChannel(unit, { channelId: channelId.id });
    return { channelId: channelId.id, disconnected, telling };
  },
  // Once, by the call that did it: by now the address may be another channel's.
  after: async ({ channelId, disconnected, telling }, { db, deps }) => {
    if (disconnected && telling !== null) await tellDisconnected(db, deps, channelId, telling, deps.pluginContext);
  },
  read: channel,
});

mutation('redeliver', {
  description: 'Lets a delivery that was set aside be read again, once its plugin is mended.',
  type: ChannelRef,
  input: (t) => ({ deliveryId: t.globalID({ for: [DeliveryRef], required: true, description: 'Which delivery.' }) }),
  work: async ({ deliveryId }, { unit, visible }) => {
    const id = Number(deliveryId.id);
    const row = await unit.tx.selectFrom('raw_delivery').select('channel_id').where('id', '=', id).where(visible.raw_delivery).executeTakeFirst();
    if (row === undefined) throw new NotFound('delivery', deliveryId.id);
    await redeliver(unit, { deliveryId: id });
    return { channelId: row.channel_id };
  },
  read: channel,
});

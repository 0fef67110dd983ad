import type { Problem } from '#commands/refusals.ts';
import { Forbidden, NotFound, NotPossible } from '#commands/refusals.ts';
import { chatflowProblems } from '#commands/chatflows.ts';
import { builder } from '../builder.ts';
import { definitionShown } from '../chatflow-ids.ts';
import { promised } from '../promised.ts';
import { reaches, ROLE_NAMES } from '../roles.ts';
import type { ChatflowRunRow } from '../rows.ts';
import { ChatflowKindEnum, ChatflowStateEnum } from './enums.ts';
import { ChannelRef, ChatflowRef, ConversationRef } from './refs.ts';
import { ProblemRef } from './refusals.ts';

builder.node(ChatflowRef, {
  description: 'The script a channel answers by before people do. Seen by whoever sees its channel.',
  id: { resolve: (chatflow) => chatflow.id },
  loadOne: (id, { load }) => load.chatflow.load(id),
  fields: (t) => ({
    channel: t.field({
      type: ChannelRef,
      description: 'The channel that runs it.',
      resolve: async (chatflow, _args, { load }) => promised(await load.channel.load(chatflow.channel_id)),
    }),
    name: t.exposeString('name', { description: 'Its name, for people.' }),
    kind: t.field({ type: ChatflowKindEnum, description: 'Who answers first.', resolve: (chatflow) => chatflow.kind }),
    entryPoint: t.exposeString('entry_point', {
      nullable: true,
      description: 'What chooses it: the ref of the link by which a conversation began; null: it is the primary one, chosen where no other is.',
    }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether it begins in new conversations.' }),
    definition: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Its steps or its instant reply, as it was saved (guide “Chatflows”); null to those who are no admin.',
      resolve: (chatflow, _args, { viewer }) => (reaches(viewer.role, 'ADMIN') ? definitionShown(chatflow.definition) : null),
    }),
    version: t.exposeInt('version', { description: 'Counts the edits; given back to say which one was seen.' }),
    changedAt: t.field({ type: 'DateTime', description: 'When it was last changed.', resolve: (chatflow) => chatflow.changed_at }),
  }),
});

builder.objectFields(ChannelRef, (t) => ({
  chatflows: t.field({
    type: [ChatflowRef],
    description: 'Its chatflows, the primary one first; empty where its plugin runs none.',
    resolve: async (channel, _args, { load }) => [...(await load.chatflowsOf.load(channel.id))],
  }),
  primaryChatflow: t.field({
    type: ChatflowRef,
    nullable: true,
    description: 'The one that connecting has made, chosen where no entry point chooses another; null where its plugin runs none.',
    resolve: async (channel, _args, { load }) => (await load.chatflowsOf.load(channel.id)).find((one) => one.entry_point === null) ?? null,
  }),
}));

const RunRef = builder.objectRef<ChatflowRunRow>('ConversationChatflow').implement({
  description: 'Where a conversation stands in a chatflow. What the contact answered is on the contact and the ticket.',
  fields: (t) => ({
    chatflow: t.field({
      type: ChatflowRef,
      nullable: true,
      description: 'Which chatflow; null where the viewer may not see its channel.',
      resolve: (run, _args, { load }) => load.chatflow.load(run.chatflow_id),
    }),
    state: t.field({ type: ChatflowStateEnum, description: 'How far it has come.', resolve: (run) => run.state }),
    step: t.exposeString('step', { nullable: true, description: 'The id of the step it is at or ended at; null: it has none.' }),
    waitUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it gives an unanswered question up; null: it does not wait.',
      resolve: (run) => run.wait_until,
    }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.', resolve: (run) => run.started_at }),
  }),
});

builder.objectField(ConversationRef, 'chatflowRun', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'Where it stands in a chatflow; null: none has begun in it.',
    resolve: (conversation, _args, { load }) => load.chatflowRunOf.load(conversation.id),
  }),
);

const CheckRef = builder.objectRef<{ readonly problems: readonly Problem[] }>('ChatflowCheck').implement({
  description: 'What is wrong with a definition.',
  fields: (t) => ({
    problems: t.field({ type: [ProblemRef], description: 'Everything that is wrong; empty: it can be saved.', resolve: ({ problems }) => [...problems] }),
  }),
});

builder.queryField('checkChatflow', (t) =>
  t.field({
    type: CheckRef,
    description:
      'What is wrong with a chatflow’s definition, for an editor, as one types: nothing is stored. Whether those whom a hand-off names can be assigned is looked at when it is saved. Needs the role admin.',
    errors: {
      types: [NotFound, Forbidden, NotPossible],
      union: { name: 'CheckChatflowResult', description: 'What checkChatflow answers: the problems, or why it can not look.' },
    },
    args: {
      channelId: t.arg.globalID({ for: [ChannelRef], required: true, description: 'The channel that is to run it: its plugin’s limits count.' }),
      kind: t.arg({ type: ChatflowKindEnum, required: true, description: 'Of which kind it is to be.' }),
      definition: t.arg({ type: 'JSONObject', required: true, description: 'As it would be saved.' }),
    },
    resolve: async (_root, { channelId, kind, definition }, { deps, viewer, load }) => {
      if (!reaches(viewer.role, 'ADMIN')) throw new Forbidden(`the role ${ROLE_NAMES.ADMIN}`);
      const channel = await load.channel.load(channelId.id);
      if (channel === null) throw new NotFound('channel', channelId.id);
      const plugin = deps.plugins.find(({ key }) => key === channel.plugin);
      if (plugin?.capabilities.chatflows !== true) throw new NotPossible('NO_CHATFLOWS');
      return { problems: chatflowProblems(plugin.capabilities, kind, definition) };
    },
  }),
);

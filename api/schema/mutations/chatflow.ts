import { deleteChatflow, saveChatflow, setChatflowEnabled } from '#commands/chatflows.ts';
import { AlreadyExists, ChangedMeanwhile, NotAssignable, NotPossible } from '#commands/refusals.ts';
import { definitionGiven } from '../../chatflow-ids.ts';
import type { ApiContext } from '../../context.ts';
import { ChatflowKindEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { ChannelRef, ChatflowRef } from '../refs.ts';
import { requireSeen } from '../require.ts';

const chatflow = ({ chatflowId }: { readonly chatflowId: string }, { load }: ApiContext) => load.chatflow.load(chatflowId);

mutation('saveChatflow', {
  description:
    'Makes a chatflow or edits one; all that is wrong is named by its path. Conversations that are in the middle of it go on by the one they began with. Whom a hand-off names needs a paid seat, and so does the admin.',
  type: ChatflowRef,
  refusals: [NotPossible, ChangedMeanwhile, AlreadyExists, NotAssignable],
  input: (t) => ({
    channelId: t.globalID({ for: [ChannelRef], required: true, description: 'The channel that runs it.' }),
    chatflowId: t.globalID({ for: [ChatflowRef], description: 'Which is edited; none: a new one, beside the primary one.' }),
    expectedVersion: t.int({ description: 'The version the client has seen; if it was edited since, ChangedMeanwhile.' }),
    name: t.string({ description: 'Its name; of an edited one left out: as it was.' }),
    kind: t.field({ type: ChatflowKindEnum, required: true, description: 'Who answers first.' }),
    entryPoint: t.string({ description: 'What chooses it, for all but the primary one: the ref of a link. Of an edited one left out: as it was.' }),
    definition: t.field({ type: 'JSONObject', required: true, description: 'Its steps, or its instant reply: see the guide “Chatflows”.' }),
  }),
  work: async (input, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'channel', input.channelId.id);
    const { chatflowId } = await saveChatflow(unit, context.deps, {
      channelId: input.channelId.id,
      kind: input.kind,
      definition: definitionGiven(input.definition),
      ...(input.chatflowId == null ? {} : { chatflowId: input.chatflowId.id }),
      ...(input.expectedVersion == null ? {} : { expectedVersion: input.expectedVersion }),
      ...(input.name == null ? {} : { name: input.name }),
      ...(input.entryPoint == null ? {} : { entryPoint: input.entryPoint }),
    });
    return { chatflowId };
  },
  read: chatflow,
});

mutation('setChatflowEnabled', {
  description: 'Switches a chatflow on or off: off, it begins in no conversation any more, and goes on where it has begun.',
  type: ChatflowRef,
  input: (t) => ({
    chatflowId: t.globalID({ for: [ChatflowRef], required: true, description: 'Which chatflow.' }),
    enabled: t.boolean({ required: true, description: 'On or off.' }),
  }),
  work: async ({ chatflowId, enabled }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'chatflow', chatflowId.id);
    return setChatflowEnabled(unit, { chatflowId: chatflowId.id, enabled });
  },
  read: chatflow,
});

mutation('deleteChatflow', {
  description: 'Removes a chatflow that is not the primary one and that no conversation has met; others can be switched off. Answers with its channel.',
  type: ChannelRef,
  refusals: [NotPossible],
  input: (t) => ({ chatflowId: t.globalID({ for: [ChatflowRef], required: true, description: 'Which chatflow.' }) }),
  work: async ({ chatflowId }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'chatflow', chatflowId.id);
    return deleteChatflow(unit, { chatflowId: chatflowId.id });
  },
  read: ({ channelId }, { load }) => load.channel.load(channelId),
});

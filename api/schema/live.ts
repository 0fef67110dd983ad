import { CursorTooOld, NotFound, NotPossible } from '#commands/refusals.ts';
import type { VisitorPresence } from '#commands/presence.ts';
import { viewerNow } from '../access.ts';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { positionOf, writeCursor } from '../feed.ts';
import type { Typing } from '../live/signals.ts';
import type { EventRow } from '../rows.ts';
import { ActivityKindEnum } from './enums.ts';
import { mutation } from './mutation.ts';
import { ConversationRef, EventRef, UserRef } from './refs.ts';
import { requireSeen } from './require.ts';
import { AFTER, begin, items, unwrap } from './subscription.ts';

mutation('showTyping', {
  description:
    'Shows the visitor, and the others who look at the conversation, that the viewer is writing. Nothing is stored; call it again every two seconds or so while it goes on. Not possible where the current channel can not show it.',
  type: ConversationRef,
  refusals: [NotPossible],
  input: (t) => ({ conversationId: t.globalID({ for: [ConversationRef], required: true, description: 'In which conversation.' }) }),
  work: async ({ conversationId: { id } }, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'conversation', id);
    const channel = await unit.tx
      .selectFrom('conversation')
      .innerJoin('channel', 'channel.id', 'conversation.channel_id')
      .select(['channel.id', 'channel.plugin', 'channel.disconnected_at'])
      .where('conversation.id', '=', id)
      .executeTakeFirstOrThrow();
    if (channel.disconnected_at !== null) throw new NotPossible('CHANNEL_DISCONNECTED');
    const plugin = context.deps.plugins.find(({ key }) => key === channel.plugin);
    if (plugin?.capabilities.typing !== true) throw new NotPossible('CHANNEL_SHOWS_NO_TYPING');
    return { conversationId: id, channelId: channel.id };
  },
  after: async ({ conversationId, channelId }, { deps, viewer }) => deps.live?.userTypes({ conversationId, channelId, userId: viewer.userId }),
  read: ({ conversationId }, { load }) => load.conversation.load(conversationId),
});

const PresenceRef = builder.objectRef<VisitorPresence>('VisitorPresence').implement({
  description: 'Whether a contact has the page of a conversation open.',
  fields: (t) => ({
    here: t.exposeBoolean('here', { description: 'True: it is open. False: it has not been for a minute or more.' }),
    since: t.field({
      type: 'DateTime',
      description: 'Here: since when they have been again, at the earliest since the conversation began. Else: when the page was last known to be open.',
      resolve: ({ since }) => since,
    }),
  }),
});

builder.objectField(ConversationRef, 'visitorPresence', (t) =>
  t.field({
    type: PresenceRef,
    nullable: true,
    description: 'Whether the contact is here now; null: they have no such page.',
    resolve: ({ id }, _args, { load }) => load.presenceOf.load(id),
  }),
);

/** Somebody is writing, or an event of the feed. */
type Activity = { readonly at: Date; readonly typing: Typing } | { readonly at: Date; readonly event: EventRow };

const ActivityRef = builder.objectRef<Activity>('ActivityItem').implement({
  description: 'Something that goes on in a conversation besides messages.',
  fields: (t) => ({
    kind: t.field({ type: ActivityKindEnum, description: 'What goes on.', resolve: (item) => ('typing' in item ? 'TYPING' : kindOf(item.event)) }),
    at: t.field({ type: 'DateTime', description: 'When.', resolve: ({ at }) => at }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who writes, or who joined; null: the visitor.',
      resolve: (item, _args, { load }) => {
        const userId = 'typing' in item ? item.typing.userId : item.event.user_id;
        return userId === null ? null : load.user.load(userId);
      },
    }),
    event: t.field({
      type: EventRef,
      nullable: true,
      description: 'The event of the feed; null: nothing was stored.',
      resolve: (item) => ('event' in item ? item.event : null),
    }),
    cursor: t.string({
      nullable: true,
      description: 'Given as `after`, the stream goes on behind this item; null for what is not stored.',
      resolve: (item) => ('event' in item ? writeCursor(positionOf(item.event)) : null),
    }),
  }),
});

function kindOf({ kind }: EventRow): 'VISITOR_CAME' | 'VISITOR_LEFT' | 'JOINED' {
  return kind === 'VISITOR_CAME' || kind === 'VISITOR_LEFT' ? kind : 'JOINED';
}

builder.subscriptionField('conversationActivity', (t) =>
  t.field({
    type: ActivityRef,
    description: 'Who is writing in a conversation, whether the visitor is there, and who joined, as it happens.',
    errors: { types: [CursorTooOld, NotFound], union: { name: 'ConversationActivityItem', description: 'What goes on, or why there is nothing.' } },
    args: {
      conversationId: t.arg.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }),
      after: t.arg.string({ description: AFTER }),
    },
    subscribe: (_root, args, context) => {
      const { id } = args.conversationId;
      return items(
        async () => withTyping(context, id, await begin(context, args.after, { what: 'conversation', id }, (event) => event.conversation_id === id)),
        (item) => ('typing' in item || isActivity(item.event, id) ? item : null),
      );
    },
    resolve: (item) => unwrap(item),
  }),
);

function isActivity({ conversation_id, kind, user_id }: EventRow, id: string): boolean {
  return conversation_id === id && (kind === 'VISITOR_CAME' || kind === 'VISITOR_LEFT' || (kind === 'OWNER_CHANGED' && user_id !== null));
}

/** The events, and between them who writes, but for the viewer; access is asked anew for either. */
async function* withTyping(context: ApiContext, id: string, events: AsyncIterator<EventRow, void>): AsyncGenerator<Activity, void, undefined> {
  // By person: a client that reads slowly is told of each once.
  const typing = new Map<string | null, Typing>();
  let heard = Promise.withResolvers<'heard'>();
  const deaf = context.deps.live?.onTyping(id, (one) => {
    if (one.userId === context.viewer.userId) return;
    typing.set(one.userId, one);
    heard.resolve('heard');
  });
  try {
    let next = events.next();
    for (;;) {
      const first = await Promise.race([next, heard.promise]);
      if (first !== 'heard') {
        if (first.done === true) return;
        yield { at: first.value.at, event: first.value };
        next = events.next();
        continue;
      }
      heard = Promise.withResolvers();
      const some = [...typing.values()];
      typing.clear();
      const viewer = await viewerNow(context.db, context.viewer);
      if (viewer === null) return;
      context.refresh(viewer);
      if ((await context.load.conversation.load(id)) === null) return;
      for (const one of some) yield { at: new Date(), typing: one };
    }
  } finally {
    deaf?.();
    await events.return?.();
  }
}

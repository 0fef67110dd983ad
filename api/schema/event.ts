import { CursorTooOld } from '#commands/refusals.ts';
import { seesEvent } from '../access.ts';
import { builder } from '../builder.ts';
import { checkPosition, newestPosition, positionOf, readCursor, readEvents, writeCursor, type Position } from '../feed.ts';
import { LIMITS } from '../limits.ts';
import type { EventRow } from '../rows.ts';
import { ActorEnum, EventKindEnum } from './enums.ts';
import { ChannelRef, ConversationRef, EventRef, MessageRef, PlaceRef, TicketRef, UserRef } from './refs.ts';

builder.node(EventRef, {
  description:
    'Something that happened: ids, codes and a moment, no content. Seen by the members of the place it happened in; without a place, by admins and by whom it is about.',
  id: { resolve: (event) => event.id },
  loadOne: (id, { load }) => load.event.load(id),
  fields: (t) => ({
    kind: t.field({ type: EventKindEnum, description: 'What happened.', resolve: (event) => event.kind as 'OWNER_CHANGED' }),
    at: t.field({ type: 'DateTime', description: 'When.', resolve: (event) => event.at }),
    actor: t.field({ type: ActorEnum, description: 'Who did it.', resolve: (event) => event.actor }),
    actorUser: t.field({
      type: UserRef,
      nullable: true,
      description: 'The user who did it; null: it was no user.',
      resolve: (event, _args, { load }) => (event.actor_user_id === null ? null : load.user.load(event.actor_user_id)),
    }),
    why: t.exposeString('why', { nullable: true, description: 'A code: BY_HAND, ROUTED, REPLIED_FIRST, …; null: the kind says it.' }),
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'The user it is about: the new owner; null: nobody.',
      resolve: (event, _args, { load }) => (event.user_id === null ? null : load.user.load(event.user_id)),
    }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket it happened to; null: none, or not to be seen.',
      resolve: (event, _args, { load }) => (event.ticket_id === null ? null : load.ticket.load(event.ticket_id)),
    }),
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'The conversation it happened to; null: none, or not to be seen.',
      resolve: (event, _args, { load }) => (event.conversation_id === null ? null : load.conversation.load(event.conversation_id)),
    }),
    message: t.field({
      type: MessageRef,
      nullable: true,
      description: 'The message it is about; null: none, or not to be seen.',
      resolve: (event, _args, { load }) => (event.message_id === null ? null : load.message.load(event.message_id)),
    }),
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The channel it happened on; null: none, or not to be seen.',
      resolve: (event, _args, { load }) => (event.channel_id === null ? null : load.channel.load(event.channel_id)),
    }),
    place: t.field({
      type: PlaceRef,
      nullable: true,
      description: 'Where it happened; null: nowhere, or not to be seen.',
      resolve: (event, _args, { load }) => (event.place_id === null ? null : load.place.load(event.place_id)),
    }),
    data: t.field({
      type: 'JSONObject',
      description: 'Codes and ids of rows (not global ids): what it was before and is now.',
      resolve: (event) => event.data,
    }),
  }),
});

export interface FeedItem {
  readonly event: EventRow;
}

export const FeedItemRef = builder.objectRef<FeedItem>('FeedItem').implement({
  description: 'One event of the feed, with the cursor after it.',
  fields: (t) => ({
    cursor: t.string({ description: 'Given as `after`, the feed goes on behind this event.', resolve: ({ event }) => writeCursor(positionOf(event)) }),
    event: t.field({ type: EventRef, description: 'What happened.', resolve: ({ event }) => event }),
  }),
});

interface FeedPage {
  readonly items: readonly FeedItem[];
  readonly cursor: Position;
  readonly more: boolean;
}

const FeedPageRef = builder.objectRef<FeedPage>('FeedPage').implement({
  description: 'A page of the feed. The cursor moves on also where the viewer may see nothing of it.',
  fields: (t) => ({
    items: t.field({ type: [FeedItemRef], description: 'What the viewer may see of it, in feed order, at most `first`.', resolve: (page) => [...page.items] }),
    cursor: t.string({ description: 'To be given as `after` for the next page, or to a subscription.', resolve: (page) => writeCursor(page.cursor) }),
    hasMore: t.boolean({ description: 'Whether there was more at once.', resolve: (page) => page.more }),
  }),
});

builder.queryField('events', (t) =>
  t.field({
    type: FeedPageRef,
    description: 'The feed: everything that happened, in one order that never changes. Without `after`: no events, only the cursor of now.',
    errors: { types: [CursorTooOld], union: { name: 'EventsResult', description: 'A page of the feed, or why there is none.' } },
    args: {
      after: t.arg.string({ description: 'The cursor of the last event seen.' }),
      first: t.arg.int({ defaultValue: LIMITS.pageSize, description: `How many events to look at, 1 to ${LIMITS.pageSize}.` }),
    },
    complexity: (args) => ({ field: 1, multiplier: (args.first ?? LIMITS.pageSize) / 5 }),
    resolve: async (_root, args, context) => {
      if (args.after == null) return { items: [], cursor: await newestPosition(context.db), more: false };
      const after = readCursor(args.after);
      await checkPosition(context.db, after);
      const first = Math.min(Math.max(args.first ?? LIMITS.pageSize, 1), LIMITS.pageSize);
      const rows = await readEvents(context.db, after, first);
      const last = rows.at(-1);
      const visible = await context.see();
      return {
        items: rows.filter((event) => seesEvent(context.viewer, visible, event)).map((event) => ({ event })),
        cursor: last === undefined ? after : positionOf(last),
        more: rows.length === first,
      };
    },
  }),
);

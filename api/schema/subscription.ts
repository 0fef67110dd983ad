import { CursorTooOld, NotFound } from '#commands/refusals.ts';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import { positionOf, writeCursor } from '../feed.ts';
import type { EventRow } from '../rows.ts';
import { watchEvents } from '../stream.ts';
import { FeedItemRef, type FeedItem } from './event.ts';
import { ConversationRef, EventRef, MessageRef, TicketRef } from './refs.ts';

export const AFTER = 'The cursor of the last item received: what happened since comes first. Without it the stream begins now.';

/**
 * A stream that can not begin says so as its only item, a typed one; a stream whose access is lost just ends. Errors thrown from an
 * `errors` subscription's start would end the request without that type.
 */
export async function* items<Item, What = EventRow>(
  start: () => Promise<AsyncIterable<What>>,
  keep: (what: What) => Item | null,
): AsyncGenerator<Item | Error> {
  let events: AsyncIterable<What>;
  try {
    events = await start();
  } catch (error) {
    if (error instanceof CursorTooOld || error instanceof NotFound) {
      yield error;
      return;
    }
    throw error;
  }
  for await (const event of events) {
    const item = keep(event);
    if (item !== null) yield item;
  }
}

/** Errors that came as items are thrown here, where the field's union takes them. */
export function unwrap<Item>(item: Item | Error): Item {
  if (item instanceof Error) throw item;
  return item;
}

builder.subscriptionField('events', (t) =>
  t.field({
    type: FeedItemRef,
    description: 'The feed as it grows, one event at a time.',
    errors: { types: [CursorTooOld], union: { name: 'EventsItem', description: 'An event of the feed, or why there are none.' } },
    args: { after: t.arg.string({ description: AFTER }) },
    subscribe: (_root, args, context) =>
      items(
        () => watchEvents(context, args.after),
        (event): FeedItem => ({ event }),
      ),
    resolve: (item) => unwrap(item),
  }),
);

const TicketItemRef = builder.objectRef<{ readonly event: EventRow }>('TicketItem').implement({
  description: 'Something that happened to a ticket.',
  fields: (t) => ({
    cursor: t.string({ description: 'Given as `after`, the stream goes on behind this item.', resolve: ({ event }) => writeCursor(positionOf(event)) }),
    event: t.field({ type: EventRef, description: 'What happened.', resolve: ({ event }) => event }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket as it is now; null only while access is being taken away.',
      resolve: ({ event }, _args, { load }) => (event.ticket_id === null ? null : load.ticket.load(event.ticket_id)),
    }),
  }),
});

builder.subscriptionField('ticketChanged', (t) =>
  t.field({
    type: TicketItemRef,
    description: 'What happens to one ticket, or to all that the viewer sees.',
    errors: { types: [CursorTooOld, NotFound], union: { name: 'TicketChangedItem', description: 'A change of a ticket, or why there are none.' } },
    args: {
      ticketId: t.arg.globalID({ for: [TicketRef], description: 'Only this one; none: all that the viewer sees.' }),
      after: t.arg.string({ description: AFTER }),
    },
    subscribe: (_root, args, context) => {
      const id = args.ticketId?.id ?? null;
      return items(
        () =>
          begin(
            context,
            args.after,
            id === null ? null : { what: 'ticket', id },
            (event) => event.ticket_id !== null && event.kind !== 'NOTIFIED' && (id === null || event.ticket_id === id),
          ),
        (event) => ({ event }),
      );
    },
    resolve: (item) => unwrap(item),
  }),
);

const MESSAGE_KINDS = new Set(['MESSAGE_RECEIVED', 'MESSAGE_WRITTEN', 'COMMENT_WRITTEN', 'DELIVERY_CHANGED']);

const MessageItemRef = builder.objectRef<{ readonly event: EventRow }>('MessageItem').implement({
  description: 'A new message of a conversation, or one whose delivery has changed.',
  fields: (t) => ({
    cursor: t.string({ description: 'Given as `after`, the stream goes on behind this item.', resolve: ({ event }) => writeCursor(positionOf(event)) }),
    event: t.field({ type: EventRef, description: 'What happened.', resolve: ({ event }) => event }),
    message: t.field({
      type: MessageRef,
      nullable: true,
      description: 'The message as it is now; null only while access is being taken away.',
      resolve: ({ event }, _args, { load }) => (event.message_id === null ? null : load.message.load(event.message_id)),
    }),
  }),
});

builder.subscriptionField('conversationMessages', (t) =>
  t.field({
    type: MessageItemRef,
    description: 'A conversation’s messages and comments as they come and as their delivery goes on.',
    errors: { types: [CursorTooOld, NotFound], union: { name: 'ConversationMessagesItem', description: 'A message, or why there are none.' } },
    args: {
      conversationId: t.arg.globalID({ for: [ConversationRef], required: true, description: 'Which conversation.' }),
      after: t.arg.string({ description: AFTER }),
    },
    subscribe: (_root, args, context) => {
      const { id } = args.conversationId;
      return items(
        () => begin(context, args.after, { what: 'conversation', id }, (event) => event.conversation_id === id && MESSAGE_KINDS.has(event.kind)),
        (event) => ({ event }),
      );
    },
    resolve: (item) => unwrap(item),
  }),
);

/** A stream about one thing begins only where that is seen, and ends when it no longer is. */
export async function begin(
  context: ApiContext,
  after: string | null | undefined,
  about: { readonly what: 'ticket' | 'conversation'; readonly id: string } | null,
  only: (event: EventRow) => boolean = () => true,
) {
  if (about === null) return watchEvents(context, after, { only });
  const stillSeen = async () => (await context.load[about.what].load(about.id)) !== null;
  if (!(await stillSeen())) throw new NotFound(about.what, about.id);
  return watchEvents(context, after, { stillSeen, only });
}

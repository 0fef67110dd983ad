import { seesEvent, viewerNow } from './access.ts';
import type { ApiContext } from './context.ts';
import { checkPosition, readCursor } from './feed.ts';
import type { EventRow } from './rows.ts';

/** Milliseconds for which what was read for one event of a batch does for those behind it: all of them were committed before. */
const FRESH_MS = 100;
/** From so many events on what they are about is read for all of them at once. */
const SEVERAL = 3;
const AT_ONCE = 50;

export interface Watched {
  /** False ends the stream. */
  readonly stillSeen?: () => Promise<boolean>;
  /** Which events are wanted of those that are seen; all unless given. */
  readonly only?: (event: EventRow) => boolean;
  /** Also such as the viewer may not see: what is made of them shows nothing of them. */
  readonly unseenToo?: boolean;
}

/**
 * The events after a cursor (or from now on) that the viewer may see, asked anew for every batch (API-3). It ends when the token is revoked or over, the user
 * deactivated, a place they had at its beginning is taken from them, or `stillSeen` says no. Throws `CursorTooOld` before the first event.
 */
export async function watchEvents(
  context: ApiContext,
  after: string | null | undefined,
  { stillSeen = async () => true, only = () => true, unseenToo = false }: Watched = {},
): Promise<AsyncIterableIterator<EventRow, void>> {
  const { feed } = context.deps;
  const position = after == null ? await feed.head() : readCursor(after);
  if (after != null) await checkPosition(context.db, position);
  const begun = (await context.see()).placeIds;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);

  async function* visible(): AsyncGenerator<EventRow, void, undefined> {
    for await (const events of feed.follow(position, signal)) {
      context.refresh();
      const { role } = context.viewer;
      const [viewer, asBefore] = await Promise.all([viewerNow(context.db, context.viewer), context.see()]);
      if (viewer === null) return;
      // Who has another role sees other things.
      context.refresh(viewer, viewer.role === role ? asBefore : undefined);
      const seen = await context.see();
      if (!begun.every((placeId) => seen.placeIds.includes(placeId)) || !(await stillSeen())) return;
      const wanted = events.filter((event) => (unseenToo || seesEvent(viewer, seen, event)) && only(event));
      let readAt: number | undefined;
      for (const [index, event] of wanted.entries()) {
        const now = performance.now();
        if (readAt === undefined || now - readAt > FRESH_MS) {
          // What this event's fields load must be as it is now, not as an earlier batch left it; nor as it was when a slow client took the one before.
          context.refresh(viewer, readAt === undefined ? seen : undefined);
          readAt = now;
          readTogether(context, wanted.slice(index, index + AT_ONCE));
        }
        yield event;
      }
    }
  }

  const inner = visible();
  const stream: AsyncIterableIterator<EventRow, void> = {
    next: () => inner.next(),
    // A generator that waits for the next event hears of `return` only once it goes on: the signal wakes it.
    return: () => {
      over.abort();
      return inner.return();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

/** Taken one by one, each of many events would ask for its own ticket, conversation and message. */
function readTogether({ load }: ApiContext, events: readonly EventRow[]): void {
  if (events.length < SEVERAL) return;
  const ids = (column: 'conversation_id' | 'ticket_id' | 'message_id') => [...new Set(events.flatMap((event) => event[column] ?? []))];
  // What fails is told to whoever asks for it.
  void load.conversation.loadMany(ids('conversation_id'));
  void load.ticket.loadMany(ids('ticket_id'));
  void load.message.loadMany(ids('message_id'));
}

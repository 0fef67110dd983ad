import { seesEvent, viewerNow } from './access.ts';
import type { ApiContext } from './context.ts';
import { checkPosition, readCursor } from './feed.ts';
import type { EventRow } from './rows.ts';

/**
 * The events after a cursor (or from now on) that the viewer may see, asked anew for every batch (API-3). It ends when the token is revoked or over, the user
 * deactivated, a place they had at its beginning is taken from them, or `stillSeen` says no. Throws `CursorTooOld` before the first event.
 */
export async function watchEvents(
  context: ApiContext,
  after: string | null | undefined,
  stillSeen: () => Promise<boolean> = async () => true,
): Promise<AsyncIterableIterator<EventRow, void>> {
  const { feed } = context.deps;
  const position = after == null ? await feed.head() : readCursor(after);
  if (after != null) await checkPosition(context.db, position);
  const begun = (await context.see()).placeIds;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);

  async function* visible(): AsyncGenerator<EventRow, void, undefined> {
    for await (const events of feed.follow(position, signal)) {
      const viewer = await viewerNow(context.db, context.viewer);
      if (viewer === null) return;
      context.refresh(viewer);
      const seen = await context.see();
      if (!begun.every((placeId) => seen.placeIds.includes(placeId)) || !(await stillSeen())) return;
      for (const event of events) {
        if (!seesEvent(viewer, seen, event)) continue;
        // What this event's fields load must be as it is now, not as an earlier event left it.
        context.refresh(viewer);
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

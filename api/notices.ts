import { readNotices, type MigrationNotice } from '#commands/migration-notices.ts';
import type { Db } from '#db/database.ts';
import type { ApiContext } from './context.ts';
import { before, positionOf, writeCursor, type Position } from './feed.ts';
import type { EventRow } from './rows.ts';
import { watchEvents } from './stream.ts';

/** Milliseconds between two items of a stream at the least, and at the most, where it has something to tell. */
const REST_MS = [1_000, 5_000] as const;
/** A stream rests so many times as long as an item took: it asks of the database a twentieth of its time at the most. */
const RESTS = 20;

/** All notices there are, with the place in the feed up to which they count. */
export interface Notices {
  readonly cursor: string;
  readonly notices: readonly MigrationNotice[];
}

/** The notices as they are now, and anew whenever that changes: the newest state, never each on its way there (MIG-18). Throws `CursorTooOld` before the first. */
export async function watchNotices(context: ApiContext, after: string | null | undefined): Promise<AsyncGenerator<Notices, void, undefined>> {
  // The place comes first: what happens from there on is told again.
  const from = after ?? writeCursor(await context.deps.feed.head());
  const events = await watchEvents(context, from, { only: ({ kind }) => kind === 'MIGRATION_CHANGED', unseenToo: true });
  return noticesBy(context, from, newestOf(events));
}

async function* noticesBy(context: ApiContext, from: string, events: AsyncGenerator<EventRow, void, undefined>): AsyncGenerator<Notices, void, undefined> {
  let since = performance.now();
  yield { cursor: from, notices: await readNotices(context.db) };
  for await (const event of events) {
    const read = readTogether(context.db, positionOf(event), since);
    since = read.since;
    const item = { cursor: writeCursor(positionOf(event)), notices: await read.notices };
    // What its fields load must be as it is now.
    context.refresh();
    yield item;
  }
}

/** What was read last, when that began, and of which event it is the answer. */
interface Read {
  readonly position: Position;
  readonly since: number;
  readonly notices: Promise<readonly MigrationNotice[]>;
}

const last = new WeakMap<Db, Read>();

/** All streams of a process tell of an event what one of them has read for it: not what is older than the event, nor than what the stream has told before. */
function readTogether(db: Db, position: Position, since: number): Read {
  const kept = last.get(db);
  if (kept !== undefined && !before(kept.position, position) && kept.since >= since) return kept;
  const read = { position, since: performance.now(), notices: readNotices(db) };
  last.set(db, read);
  read.notices.catch(() => last.delete(db));
  return read;
}

/** The newest event that has come by the time one is wanted; the first at once, the next after a rest. */
export async function* newestOf(events: AsyncIterator<EventRow, void>, restMs: readonly [number, number] = REST_MS): AsyncGenerator<EventRow, void, undefined> {
  const ask = (): ReturnType<typeof events.next> => {
    const asked = events.next();
    // Whoever awaits it is told; until then nobody does.
    asked.catch(() => undefined);
    return asked;
  };
  let next = ask();
  let rested = Promise.resolve<'rested'>('rested');
  try {
    for (;;) {
      let newest = await next;
      for (;;) {
        if (newest.done === true) return;
        next = ask();
        const won = await Promise.race([next, rested]);
        if (won === 'rested') break;
        newest = won;
      }
      const began = performance.now();
      yield newest.value;
      rested = rest(Math.min(Math.max(RESTS * (performance.now() - began), restMs[0]), restMs[1]));
    }
  } finally {
    await events.return?.();
  }
}

function rest(ms: number): Promise<'rested'> {
  return new Promise((resolve) => void setTimeout(resolve, ms, 'rested').unref());
}

import { sql } from 'kysely';
import { EVENT_CHANNEL, SIGNAL_CHANNEL } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import { startListening } from '#db/listen.ts';
import { CursorTooOld } from '#commands/refusals.ts';
import { LIMITS } from './limits.ts';
import type { EventRow } from './rows.ts';

/** A place in the feed: after this event. The order is (xid, id), for ids commit out of order. */
export interface Position {
  readonly xid: bigint;
  readonly id: bigint;
}

/** Opaque to clients. */
export function writeCursor({ xid, id }: Position): string {
  return Buffer.from(`${xid},${id}`).toString('base64url');
}

/** Throws `CursorTooOld` for what is not one of ours. */
export function readCursor(cursor: string): Position {
  const match = /^(\d{1,19}),(\d{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null || match[1] === undefined || match[2] === undefined) throw new CursorTooOld();
  return { xid: BigInt(match[1]), id: BigInt(match[2]) };
}

export const positionOf = (event: EventRow): Position => ({ xid: BigInt(event.xid), id: BigInt(event.id) });

/**
 * The next events after a position, in feed order. Only transactions older than every one still running are read: a reader that went by id
 * alone would pass over events that commit later with a smaller one.
 */
export async function readEvents(db: Db, after: Position, limit: number): Promise<EventRow[]> {
  const { rows } = await sql<EventRow>`
    select * from event
    where (xid, id) > (${String(after.xid)}::xid8, ${String(after.id)}::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by xid, id limit ${limit}`.execute(db);
  return rows;
}

/**
 * The same for the one reader, which also wants to know whether more is committed already and only waits for an older transaction: nobody announces
 * the end of that one, which may have written no event.
 */
async function readOnward(db: Db, after: Position, limit: number): Promise<{ readonly events: EventRow[]; readonly more: boolean; readonly held: boolean }> {
  const { rows } = await sql<EventRow & { readable: boolean }>`
    select event.*, xid < pg_snapshot_xmin(pg_current_snapshot()) as readable from event
    where (xid, id) > (${String(after.xid)}::xid8, ${String(after.id)}::bigint)
    order by xid, id limit ${limit}`.execute(db);
  const events = rows.flatMap(({ readable, ...event }) => (readable ? [event] : []));
  return { events, more: events.length === limit, held: events.length < rows.length };
}

/** Everything readable now is before this. */
export async function newestPosition(db: Db): Promise<Position> {
  const { rows } = await sql<{ xid: string }>`select pg_snapshot_xmin(pg_current_snapshot())::text as xid`.execute(db);
  // Ids begin at 1: the first event of that transaction is still to come.
  return { xid: BigInt(rows[0]?.xid ?? 0), id: 0n };
}

/** Throws `CursorTooOld` where events after the position were removed, or it lies in the future: of another database, or made up. */
export async function checkPosition(db: Db, position: Position): Promise<void> {
  const { rows } = await sql<{ next: string; xid: string | null; id: string | null; above: boolean }>`
    select pg_snapshot_xmax(pg_current_snapshot())::text as next, oldest.xid::text as xid, oldest.id::text as id,
      exists (select 1 from event where id = ${String(position.id)}::bigint and xid = ${String(position.xid)}::xid8) as above
    from (select 1) one left join lateral (select xid, id from event order by xid, id limit 1) oldest on true`.execute(db);
  const row = rows[0];
  if (row === undefined || position.xid > BigInt(row.next)) throw new CursorTooOld();
  // A cursor of an event that is still there leaves no gap; a removed one may.
  if (position.id > 0n && !row.above) throw new CursorTooOld();
  if (position.id === 0n && row.xid !== null && row.id !== null && BigInt(row.id) > 1n && position.xid < BigInt(row.xid) && position.xid > 0n) {
    throw new CursorTooOld();
  }
}

export interface Feed {
  /**
   * Batches of events after a position, for ever, until `signal`. Empty batches come every few seconds, so that a consumer can look whether
   * its access has ended. A consumer holds a position and nothing else: a slow one reads from the database and costs no memory.
   */
  follow(after: Position, signal: AbortSignal): AsyncGenerator<readonly EventRow[], void, undefined>;
  /** Where a stream that begins now begins. */
  head(): Promise<Position>;
  /** Told of what processes say to one another without storing it, on the reader's own connection; ends with what is returned. What comes while that is lost is lost. */
  hear(listener: (payload: string) => void): () => void;
  close(): Promise<void>;
}

export interface FeedOptions {
  readonly db: Db;
  /** Without a transaction pooler, for LISTEN. */
  readonly directUrl: string;
  /** Milliseconds between two looks where no NOTIFY comes. */
  readonly lookMs?: number;
  /** Events kept in memory for all consumers together. */
  readonly keep?: number;
  /** Milliseconds between empty batches. */
  readonly beatMs?: number;
  readonly onProblem?: (what: string, error: unknown) => void;
}

/** Milliseconds until it is looked again for events that wait for an older transaction: first, and at the most. */
const HELD_MS = [2, 50] as const;

/** One reader a process; all streams are fed by it (API-3). Begins at the first consumer. */
export function createFeed(options: FeedOptions): Feed {
  const { db, directUrl, lookMs = 1_000, keep = 5_000, beatMs = 5_000 } = options;
  const problem = options.onProblem ?? (() => undefined);
  /** The newest events, and the position after which they are complete. */
  const recent: EventRow[] = [];
  let from: Position | undefined;
  let head: Position | undefined;
  let closed = false;
  let connection: { close(): Promise<void> } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let again = false;
  let waiting = new Set<() => void>();
  let starting: Promise<void> | undefined;
  const listeners = new Set<(payload: string) => void>();
  let heldTimer: NodeJS.Timeout | undefined;
  let heldMs: number = HELD_MS[0];

  function start(): Promise<void> {
    starting ??= (async () => {
      head = from = await newestPosition(db);
      if (closed) return;
      timer = setInterval(look, lookMs);
      listen();
    })();
    // A database that is away at the first try is asked again at the next.
    starting.catch(() => {
      starting = undefined;
    });
    return starting;
  }

  function listen(): void {
    connection = startListening({
      directUrl,
      name: 'trunkline-feed',
      channels: [EVENT_CHANNEL, SIGNAL_CHANNEL],
      onNotification(channel, payload) {
        if (channel === EVENT_CHANNEL) look();
        else for (const listener of listeners) listener(payload);
      },
      onListening: look,
      onProblem: (error) => problem('listen', error),
    });
  }

  /** At most one read at a time; what is announced meanwhile is read after it. */
  function look(): void {
    if (closed) return;
    if (reading !== undefined) {
      again = true;
      return;
    }
    reading = readOn()
      .catch((error: unknown) => problem('read', error))
      .finally(() => {
        reading = undefined;
        if (again) {
          again = false;
          look();
        }
      });
  }

  async function readOn(): Promise<void> {
    for (;;) {
      if (head === undefined || closed) return;
      const { events, more, held } = await readOnward(db, head, LIMITS.feedPage);
      if (held) lookSoon();
      const last = events.at(-1);
      if (last === undefined) return;
      heldMs = HELD_MS[0];
      recent.push(...events);
      head = positionOf(last);
      if (recent.length > keep) {
        const dropped = recent.splice(0, recent.length - keep).at(-1);
        if (dropped !== undefined) from = positionOf(dropped);
      }
      const wake = waiting;
      waiting = new Set();
      for (const resolve of wake) resolve();
      if (!more) return;
    }
  }

  /** Ever later while the transaction that is waited for goes on. */
  function lookSoon(): void {
    if (heldTimer !== undefined || closed) return;
    heldTimer = setTimeout(() => {
      heldTimer = undefined;
      look();
    }, heldMs);
    heldTimer.unref();
    heldMs = Math.min(heldMs * 2, HELD_MS[1]);
  }

  /** From memory where it reaches back far enough, else from the database. */
  async function next(after: Position): Promise<readonly EventRow[]> {
    if (from !== undefined && !before(after, from)) {
      const at = firstAfter(recent, after);
      return recent.slice(at, at + LIMITS.feedPage);
    }
    return readEvents(db, after, LIMITS.feedPage);
  }

  function change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(beat);
        signal.removeEventListener('abort', done);
        waiting.delete(done);
        resolve();
      };
      const beat = setTimeout(done, beatMs);
      signal.addEventListener('abort', done, { once: true });
      waiting.add(done);
      if (signal.aborted || closed) done();
    });
  }

  return {
    async head() {
      await start();
      // Not where the reader stands: it may be a moment behind, and "from now on" would begin with what is past.
      return newestPosition(db);
    },
    async *follow(after, signal) {
      await start();
      let position = after;
      while (!signal.aborted && !closed) {
        const changed = change(signal);
        const events = await next(position);
        if (events.length === 0) await changed;
        const last = events.at(-1);
        if (last !== undefined) position = positionOf(last);
        yield events;
      }
    },
    hear(listener) {
      listeners.add(listener);
      void start().catch((error: unknown) => problem('listen', error));
      return () => void listeners.delete(listener);
    },
    async close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(heldTimer);
      for (const resolve of waiting) resolve();
      await reading;
      await connection?.close();
    },
  };
}

/** Whether one place in the feed comes before another. */
export function before(a: Position, b: Position): boolean {
  return a.xid < b.xid || (a.xid === b.xid && a.id < b.id);
}

/** Where in the ordered events the first one after the position stands. */
function firstAfter(events: readonly EventRow[], position: Position): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const event = events[middle];
    if (event !== undefined && !before(position, positionOf(event))) low = middle + 1;
    else high = middle;
  }
  return low;
}

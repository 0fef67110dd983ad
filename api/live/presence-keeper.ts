import { keepHere, keepUntilNow, sweepGone, type PresentVisitor } from '#commands/presence.ts';
import type { Db } from '#db/database.ts';
import { visitorKey } from './visitor-key.ts';

/** Milliseconds: who comes or goes within it is written together. */
const GATHER_MS = 50;
/** Milliseconds in which signs of life of those who are here already are written together. */
const REFRESH_MS = 5_000;
/** Milliseconds between two looks for those who have left. */
const SWEEP_MS = 5_000;
/** Visitors written by one statement, or found gone by one look. */
const AT_ONCE = 500;

export interface PresenceKeeper {
  /** A page of theirs was opened, or they wrote: told to the database at once. */
  came(visitor: PresentVisitor): void;
  /** A sign of life of a page of theirs. */
  heard(visitor: PresentVisitor): void;
  /** The last page of theirs that was open here is closed. */
  closedPage(visitor: PresentVisitor): void;
  close(): Promise<void>;
}

export interface PresenceKeeperDeps {
  readonly db: Db;
  /** Does what is due once visitors have left. */
  readonly afterLeaving?: () => Promise<void>;
  readonly onProblem: (what: string, error: unknown) => void;
}

/**
 * Tells the database who is here (CHAT-6): those of whom something was heard, and never those whose connection is merely open, for a frozen or vanished page keeps one
 * for minutes. What fails is told with the next sign of life; a process that dies is noticed by the others.
 */
export function createPresenceKeeper({ db, afterLeaving, onProblem }: PresenceKeeperDeps): PresenceKeeper {
  let heard = new Map<string, PresentVisitor>();
  let ended = new Map<string, PresentVisitor>();
  let working: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  /** One after the other, so that a slow database is not asked ever more. */
  function after(what: string, work: () => Promise<void>): Promise<void> {
    working = working.then(work).catch((error: unknown) => onProblem(what, error));
    return working;
  }

  async function write(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const [here, gone] = [[...heard.values()], [...ended.values()]];
    heard = new Map();
    ended = new Map();
    for (let at = 0; at < here.length; at += AT_ONCE) await keepHere(db, here.slice(at, at + AT_ONCE));
    for (let at = 0; at < gone.length; at += AT_ONCE) await keepUntilNow(db, gone.slice(at, at + AT_ONCE));
  }

  function soon(): void {
    timer ??= setTimeout(() => void after('keep', write), GATHER_MS);
  }

  /** A look that takes longer than the time between two is not begun again meanwhile. */
  function every(ms: number, what: string, work: () => Promise<void>): NodeJS.Timeout {
    let busy = false;
    return setInterval(() => {
      if (busy || closed) return;
      busy = true;
      void after(what, work).finally(() => (busy = false));
    }, ms);
  }
  const refreshing = every(REFRESH_MS, 'keep', write);
  const sweeping = every(SWEEP_MS, 'sweep', async () => {
    while (!closed && (await sweepGone(db, AT_ONCE)) === AT_ONCE);
    // Also what another process that found them gone did not come to.
    if (!closed) await afterLeaving?.();
  });
  for (const one of [refreshing, sweeping]) one.unref();

  return {
    came(visitor) {
      if (closed) return;
      heard.set(visitorKey(visitor.channelId, visitor), visitor);
      soon();
    },
    heard(visitor) {
      if (!closed) heard.set(visitorKey(visitor.channelId, visitor), visitor);
    },
    closedPage(visitor) {
      if (closed) return;
      ended.set(visitorKey(visitor.channelId, visitor), visitor);
      soon();
    },
    async close() {
      clearInterval(refreshing);
      clearInterval(sweeping);
      closed = true;
      const last = after('keep', write);
      await last;
    },
  };
}

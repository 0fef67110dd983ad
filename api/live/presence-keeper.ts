import { keepHere, sweepGone, type PresentVisitor } from '#commands/presence.ts';
import type { Db } from '#db/database.ts';
import { visitorKey } from './visitor-key.ts';

/** Milliseconds: who comes or goes within it is written together. */
const GATHER_MS = 50;
/** Milliseconds between two words that those whose pages are held here are here. */
const REFRESH_MS = 15_000;
/** Milliseconds between two looks for those who have left. */
const SWEEP_MS = 5_000;
/** Visitors written by one statement, or found gone by one look. */
const AT_ONCE = 500;

export interface PresenceKeeper {
  /** A page of theirs is open, or was until now. */
  seen(visitor: PresentVisitor): void;
  close(): Promise<void>;
}

export interface PresenceKeeperDeps {
  readonly db: Db;
  /** Those whose pages are held by this process. */
  readonly held: () => Iterable<PresentVisitor>;
  readonly onProblem: (what: string, error: unknown) => void;
}

/** Tells the database who is here (CHAT-6). What fails is told again with the next refresh; a process that dies is noticed by the others. */
export function createPresenceKeeper({ db, held, onProblem }: PresenceKeeperDeps): PresenceKeeper {
  const gathered = new Map<string, PresentVisitor>();
  let working: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  /** One after the other, so that a slow database is not asked ever more. */
  function after(what: string, work: () => Promise<void>): Promise<void> {
    working = working.then(work).catch((error: unknown) => onProblem(what, error));
    return working;
  }

  async function write(visitors: readonly PresentVisitor[]): Promise<void> {
    for (let at = 0; at < visitors.length; at += AT_ONCE) await keepHere(db, visitors.slice(at, at + AT_ONCE));
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const visitors = [...gathered.values()];
    gathered.clear();
    return after('keep', () => write(visitors));
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
  const refreshing = every(REFRESH_MS, 'refresh', () => write([...held()]));
  const sweeping = every(SWEEP_MS, 'sweep', async () => {
    while (!closed && (await sweepGone(db, AT_ONCE)) === AT_ONCE);
  });
  for (const one of [refreshing, sweeping]) one.unref();

  return {
    seen(visitor) {
      if (closed) return;
      gathered.set(visitorKey(visitor.channelId, visitor), visitor);
      timer ??= setTimeout(() => void flush(), GATHER_MS);
    },
    async close() {
      clearInterval(refreshing);
      clearInterval(sweeping);
      const last = flush();
      closed = true;
      await last;
    },
  };
}

import { backoffMs, retryAfterMs, spreadMs } from './backoff.ts';
import { eventReader, type ServerEvent } from './event-stream.ts';

export interface Connection {
  start(): void;
  stop(): void;
  /** The network is back, or the page is looked at again: what waits is tried now, what has gone quiet is opened anew. */
  nudge(): void;
  /** It is another visitor now: from the start. */
  forget(): void;
}

export interface Wiring {
  /** Opens the stream after an event, or from the start. */
  readonly open: (lastId: () => string | null, signal: AbortSignal) => Promise<Response>;
  readonly take: (event: ServerEvent) => void;
  /** Whether events come now. */
  readonly state: (live: boolean) => void;
  /** Tells the server that this page lives. False: it did not get there. */
  readonly here: () => Promise<boolean>;
  readonly now: () => number;
  readonly random: () => number;
  readonly later: (act: () => void, ms: number) => () => void;
}

/** The server says something every 15 s. */
const QUIET_MS = 40_000;
/** So often at most it is answered: the server counts a page that has been silent for a minute as gone. */
const HERE_MS = 25_000;
/** A stream that held so long was a good one: the next failure is a first one again. */
const GOOD_MS = 5_000;

/** Holds one stream open, for ever: each time from the last event that came, after a pause that grows. What comes twice is known by its id above. */
export function createConnection({ open, take, state, here, now, random, later }: Wiring): Connection {
  let wanted = false;
  let attempt = 0;
  let lastId: string | null = null;
  let heardAt = 0;
  let toldAt = 0;
  let current: AbortController | null = null;
  let cancelTimer = (): void => undefined;

  function connect(): void {
    cancelTimer();
    current?.abort();
    if (!wanted) return;
    const mine = new AbortController();
    current = mine;
    heardAt = now();
    const openedAt = now();
    watch(mine);
    const ended = (askedMs: number | null): void => {
      if (current !== mine) return;
      current = null;
      state(false);
      const good = now() - openedAt > GOOD_MS;
      attempt = good ? 0 : attempt + 1;
      cancelTimer();
      // One that we gave up was silent for us alone; that of a server that died looks like one of a network that broke.
      const pause = good && !mine.signal.aborted ? spreadMs(random()) : backoffMs(attempt, random());
      if (wanted) cancelTimer = later(connect, askedMs ?? pause);
    };
    follow(mine.signal).then(ended, () => ended(null));
  }

  /** Ends when the stream does; answers how long the server wants to be left alone. */
  async function follow(signal: AbortSignal): Promise<number | null> {
    const response = await open(() => lastId, signal);
    if (!response.ok || response.body === null) {
      void response.body?.cancel();
      // A visitor that is not known, or no such channel: asking often does not help.
      if (response.status < 500 && response.status !== 429) attempt = Math.max(attempt, 6);
      return retryAfterMs(response.headers.get('retry-after'), now());
    }
    toldAt = now();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const feed = eventReader((event) => {
      if (event.type === 'ready') state(true);
      take(event);
      // After it was taken: what could not be taken is asked for again.
      if (event.id !== null) lastId = event.id;
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return null;
      heardAt = now();
      feed(decoder.decode(value, { stream: true }));
      answer();
    }
  }

  /** Answers what the server sends, not a timer: those of a page in the background run late, and a page that is frozen must not count as here. */
  function answer(): void {
    // A clock that was set back must not silence it.
    if (Math.abs(now() - toldAt) < HERE_MS) return;
    toldAt = now();
    void here().then((told) => {
      // The next sign of life is answered then.
      if (!told) toldAt = 0;
    });
  }

  function watch(mine: AbortController): void {
    cancelTimer = later(
      () => {
        if (current !== mine) return;
        if (now() - heardAt >= QUIET_MS) mine.abort();
        else watch(mine);
      },
      heardAt + QUIET_MS - now(),
    );
  }

  return {
    start() {
      if (wanted) return;
      wanted = true;
      attempt = 0;
      connect();
    },
    stop() {
      wanted = false;
      cancelTimer();
      current?.abort();
      current = null;
      state(false);
    },
    forget() {
      lastId = null;
    },
    nudge() {
      if (!wanted) return;
      if (current !== null && now() - heardAt < QUIET_MS / 2) return;
      attempt = 0;
      connect();
    },
  };
}

import type { Alone } from './alone.ts';
import { backoffMs } from './backoff.ts';
import type { Keep } from './keep.ts';
import { json, textOf } from './protocol.ts';

/** What the visitor said, as it goes to the server. */
export interface Said {
  readonly text: string;
  readonly choice?: string;
  readonly email?: string;
  readonly page?: { readonly ref: string };
}

/** `sent`: the server has it, and the stream has not brought it back yet. `refused`: it never will go out as it is. */
export interface Outgoing extends Said {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly state: 'waiting' | 'sent' | 'refused';
  /** Why it was refused, in words for the visitor. */
  readonly problem?: string;
}

export type Outcome =
  | { readonly type: 'taken' }
  | { readonly type: 'refused'; readonly problem: string }
  /** Not now. `ms`: the server says after how long. */
  | { readonly type: 'later'; readonly why: Why; readonly ms: number | null };

/** `fast`: too many at once. `busy`: the server can not take it now. `offline`: nobody answered. */
export type Why = 'fast' | 'busy' | 'offline';

/** Until when nothing goes out, in milliseconds since 1970. */
export interface Hold {
  readonly why: Why;
  readonly until: number;
}

export interface Surroundings {
  readonly keep: Keep;
  readonly post: (message: Outgoing) => Promise<Outcome>;
  /** Runs one at a time among all tabs of the page's origin. */
  readonly alone: Alone;
  readonly now: () => number;
  readonly random: () => number;
  readonly newId: () => string;
  readonly later: (act: () => void, ms: number) => () => void;
  readonly changed: () => void;
}

export interface Outbox {
  add(said: Said): Outgoing;
  /** Oldest first, what other tabs wrote with them. */
  items(): readonly Outgoing[];
  /** The stream has brought it, or the visitor does not want it any more. */
  drop(id: string): void;
  hold(): Hold | null;
  /** Sends what waits. `now`: without waiting out a pause that nobody asked for (the network is back). */
  send(now?: boolean): void;
}

const ITEM = 'out:';
const HOLD = 'hold';
const SHORTEST_HOLD_MS = 250;
/** A clock that was set back must not keep messages for ever. */
const LONGEST_HOLD_MS = 15 * 60_000;
/** What the stream has not brought back by then it never will. */
const KEPT_MS = 7 * 24 * 3_600_000;

/**
 * Sends the visitor's messages one after the other, each until the server has it, with the id it got when it was written: a message that is sent
 * again is the same message there. Every message is a text of its own in the page's storage, so that two tabs never overwrite each other's.
 */
export function createOutbox({ keep, post, alone, now, random, newId, later, changed }: Surroundings): Outbox {
  let running = false;
  let failures = 0;
  let count = 0;
  let pause: Hold | null = null;
  let cancel = (): void => undefined;

  const entries = (): readonly { readonly name: string; readonly item: Outgoing }[] =>
    keep.names(ITEM).flatMap((name) => {
      const item = read(keep.get(name));
      if (item !== null && (item.state !== 'sent' || now() - Date.parse(item.at) < KEPT_MS)) return [{ name, item }];
      keep.set(name, null);
      return [];
    });
  const find = (id: string) => entries().find(({ item }) => item.id === id);

  function hold(): Hold | null {
    const [why, until] = (keep.get(HOLD) ?? '').split(' ');
    const asked: Hold | null = why === 'fast' || why === 'busy' ? { why, until: Number(until) } : null;
    const current = asked ?? pause;
    return current !== null && current.until > now() && current.until - now() < LONGEST_HOLD_MS ? current : null;
  }

  /** One message; false: there is none to send now. */
  async function step(): Promise<boolean> {
    if (hold() !== null) return false;
    const head = entries().find(({ item }) => item.state === 'waiting');
    if (head === undefined) return false;
    const outcome = await post(head.item);
    if (outcome.type === 'later') {
      const until = now() + Math.max(SHORTEST_HOLD_MS, outcome.ms ?? backoffMs(failures, random()));
      failures += 1;
      // What the server asks for holds for all tabs, a network that failed only for this one.
      if (outcome.ms === null || outcome.why === 'offline') pause = { why: outcome.why, until };
      else keep.set(HOLD, `${outcome.why} ${until}`);
      return false;
    }
    failures = 0;
    pause = null;
    keep.set(HOLD, null);
    // The stream may have brought it before this answer came.
    if (keep.get(head.name) === null) return true;
    // It will not go out again, so nothing has to know the address any longer.
    const { email: _told, ...rest } = head.item;
    keep.set(head.name, JSON.stringify(outcome.type === 'taken' ? { ...rest, state: 'sent' } : { ...rest, state: 'refused', problem: outcome.problem }));
    return true;
  }

  async function run(): Promise<void> {
    running = true;
    try {
      while (await alone(step)) changed();
    } finally {
      running = false;
    }
    changed();
    if (!waits()) return;
    const held = hold();
    // Without a pause it came while the last look was ending.
    if (held === null) start();
    else cancel = later(start, held.until - now());
  }

  const waits = (): boolean => entries().some(({ item }) => item.state === 'waiting');

  function start(): void {
    cancel();
    if (!running && waits()) void run();
  }

  return {
    add(said) {
      const item: Outgoing = { ...said, id: newId(), at: new Date(now()).toISOString(), state: 'waiting' };
      count += 1;
      // Its id in it: two tabs may write in the same millisecond.
      keep.set(`${ITEM}${now().toString(36).padStart(9, '0')}${count.toString(36).padStart(4, '0')}:${item.id}`, JSON.stringify(item));
      changed();
      start();
      return item;
    },
    items: () => entries().map(({ item }) => item),
    drop(id) {
      const entry = find(id);
      if (entry === undefined) return;
      keep.set(entry.name, null);
      changed();
      start();
    },
    hold,
    send(immediately = false) {
      if (immediately) pause = null;
      start();
    },
  };
}

function read(stored: string | null): Outgoing | null {
  const value = json(stored ?? '');
  const [id, text, at, state] = ['id', 'text', 'at', 'state'].map((name) => textOf(value, name));
  if (typeof id !== 'string' || typeof text !== 'string' || typeof at !== 'string') return null;
  if (state !== 'waiting' && state !== 'sent' && state !== 'refused') return null;
  const page = typeof value === 'object' && value !== null && 'page' in value ? value.page : null;
  const [choice, email, problem] = ['choice', 'email', 'problem'].map((name) => textOf(value, name));
  const ref = textOf(page, 'ref');
  return {
    id,
    text,
    at,
    state,
    ...(typeof choice === 'string' && { choice }),
    ...(typeof email === 'string' && { email }),
    ...(typeof problem === 'string' && { problem }),
    ...(ref !== null && { page: { ref } }),
  };
}

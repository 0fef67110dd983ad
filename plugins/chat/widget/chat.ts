import { aloneAs } from './alone.ts';
import { createConnection } from './connection.ts';
import { createConversation, type QuickReply, type Row } from './conversation.ts';
import { entryPointOf } from './entry-point.ts';
import { keepIn } from './keep.ts';
import { createOutbox, type Hold } from './outbox.ts';
import { type Config, readNews } from './protocol.ts';
import { createTalk, type Talk } from './talk.ts';

/** What the view shows and can do. It is told of every change and then asks. */
export interface Chat {
  config(): Config;
  available(): boolean;
  rows(): readonly Row[];
  replies(): readonly QuickReply[];
  /** Who is writing to the visitor now. */
  typing(): string | null;
  unread(): number;
  /** The last of us who wrote; null: a machine, or nobody yet. */
  lastAuthor(): string | null;
  hold(): Hold | null;
  connection(): 'live' | 'connecting' | 'offline' | 'none';
  /** The history is there: what comes from now on is new. */
  settled(): boolean;
  /** `changed`: one was given, and another is wanted in its place. */
  email(): 'wanted' | 'given' | 'changed' | 'not-asked';
  /** Whether another address is wanted in place of the one that was given. */
  changeEmail(wanted: boolean): void;
  isOpen(): boolean;
  open(): void;
  close(): void;
  draft(text?: string): string;
  say(said: { readonly text: string; readonly choice?: string; readonly email?: string }): void;
  drop(id: string): void;
  /** The visitor is writing. */
  writes(): void;
  transcript(): ReturnType<Talk['transcript']>;
  /** The stream is wanted from the start: somebody has written from here before. */
  start(): void;
}

const TYPING_EVERY_MS = 3_000;
const TYPING_SHOWN_MS = 6_000;
const READ_AFTER_MS = 800;
/** So old, what the server said of the channel is asked for anew. */
const FRESH_MS = 60_000;

/** The widget without its looks: what was said, what waits, who is there. `null`: the server knows no such channel. */
export async function createChat(base: string, changed: () => void): Promise<Chat | null> {
  const prefix = `trunkline:${new URL(base).pathname.split('/').at(-2) ?? ''}`;
  const token = keepIn(() => localStorage, prefix);
  const keep = keepIn(() => localStorage, `${prefix}:`);
  const tab = keepIn(() => sessionStorage, `${prefix}:`);
  const locks = 'locks' in navigator ? navigator.locks : undefined;
  const me = newId();

  const talk = createTalk(base, token, aloneAs(`${prefix}:visitor`, locks), () => {
    connection.forget();
    // Of somebody else now, as far as the server knows.
    keep.set('email', null);
    for (const { id, state } of outbox.items()) if (state === 'sent') outbox.drop(id);
  });
  const found = await talk.config();
  if (found === null) return null;
  let config = found;
  let askedAt = Date.now();

  const conversation = createConversation();
  let available = config.available;
  let live = false;
  let wanted = false;
  let settled = false;
  let typist: string | null = null;
  let typistGone = (): void => undefined;
  let toldTyping = 0;
  let reading = (): void => undefined;
  let told = keep.get('read');
  let open = tab.get('open') !== null;
  let emailWanted = false;
  let emailChanges = false;

  const outbox = createOutbox({
    keep,
    async post(message) {
      const outcome = await talk.message(message);
      if (outcome.type === 'taken' && message.email !== undefined) keep.set('email', 'given');
      return outcome;
    },
    alone: aloneAs(`${prefix}:out`, locks),
    now: Date.now,
    random: Math.random,
    newId,
    later,
    changed,
  });

  const connection = createConnection({
    open: (lastId, signal) => talk.stream(lastId, signal),
    take({ type, data }) {
      const news = readNews(type, data);
      if (news === null) return;
      if (news.type === 'ready') {
        available = news.available ?? available;
        outbox.send(true);
        markRead();
      } else if (news.type === 'known') {
        settled = true;
      } else if (news.type === 'typing') {
        shown(news.author);
      } else if (conversation.take(news)) {
        if (news.type === 'message') came(news.message.from, news.message.providerMessageId);
      } else return;
      changed();
    },
    state(now) {
      live = now;
      changed();
    },
    here: () => talk.here(),
    now: Date.now,
    random: Math.random,
    later,
  });

  function came(from: 'visitor' | 'us', providerMessageId: string | null): void {
    if (from === 'us') shown(null);
    else if (providerMessageId !== null) outbox.drop(providerMessageId);
    markRead();
  }

  function shown(author: string | null): void {
    typistGone();
    typist = author;
    if (author !== null) typistGone = later(() => (shown(null), changed()), TYPING_SHOWN_MS);
  }

  function markRead(): void {
    const last = conversation.ours().at(-1)?.at ?? null;
    if (!open || document.hidden || last === null) return;
    if (isAfter(last, keep.get('read'))) keep.set('read', last);
    if (!isAfter(last, told)) return;
    reading();
    reading = later(() => {
      void talk.read(last).then((taken) => {
        if (taken) told = last;
      });
    }, READ_AFTER_MS);
  }

  function connect(): void {
    if (wanted) return;
    wanted = true;
    looked();
    connection.start();
  }

  /** Whether somebody is there changes while a page is open. */
  function refresh(): void {
    if (!open || document.hidden || Date.now() - askedAt < FRESH_MS) return;
    askedAt = Date.now();
    void talk.config().then(
      (now) => {
        if (now === null) return;
        config = now;
        available = now.available;
        changed();
      },
      () => undefined,
    );
  }

  /** Browsers open few connections to a server at once, so in the background only the tab stays connected that was looked at last. */
  function looked(): void {
    if (!wanted || document.hidden) return;
    keep.set('tab', me);
    connection.start();
    connection.nudge();
    refresh();
    markRead();
  }

  addEventListener('storage', ({ key, newValue }) => {
    if (key === prefix && newValue !== null) {
      connection.forget();
      if (wanted && !document.hidden) {
        connection.stop();
        connection.start();
      }
    }
    if (key?.startsWith(`${prefix}:`) !== true) return;
    if (key === `${prefix}:tab` && newValue !== me && document.hidden) connection.stop();
    outbox.send();
    changed();
  });
  addEventListener('online', () => {
    outbox.send(true);
    connection.nudge();
    changed();
  });
  addEventListener('offline', changed);
  document.addEventListener('visibilitychange', () => {
    outbox.send();
    looked();
    changed();
  });
  // A page that the browser keeps for the way back may hold no connection.
  addEventListener('pagehide', () => connection.stop());
  addEventListener('pageshow', ({ persisted }) => {
    if (persisted && wanted) connection.start();
  });

  setInterval(refresh, FRESH_MS);

  const unread = (): number => conversation.ours().filter(({ at }) => isAfter(at, keep.get('read'))).length;

  return {
    config: () => config,
    available: () => available && config.enabled,
    rows: () => conversation.rows(config.enabled ? config.greeting : null, outbox.items()),
    replies: () => conversation.replies(outbox.items()),
    typing: () => typist,
    unread,
    lastAuthor: () => conversation.ours().at(-1)?.author ?? null,
    hold: outbox.hold,
    connection: () => (!navigator.onLine ? 'offline' : !wanted ? 'none' : live ? 'live' : 'connecting'),
    settled: () => settled,
    email() {
      const given = keep.get('email') !== null || outbox.items().some(({ email, state }) => email !== undefined && state !== 'refused');
      if (given) return emailChanges ? 'changed' : 'given';
      return emailWanted || (config.asksEmail && !(available && config.enabled)) ? 'wanted' : 'not-asked';
    },
    changeEmail(now) {
      emailChanges = now;
      changed();
    },
    isOpen: () => open,
    open() {
      open = true;
      tab.set('open', '1');
      connect();
      refresh();
      markRead();
      changed();
    },
    close() {
      open = false;
      tab.set('open', null);
      changed();
    },
    draft(text) {
      if (text !== undefined) tab.set('draft', text === '' ? null : text);
      return tab.get('draft') ?? '';
    },
    say(said) {
      keep.set('wrote', '1');
      toldTyping = 0;
      if (said.email !== undefined) emailChanges = false;
      outbox.add({ ...said, ...entryPointOf(location.search) });
    },
    drop: outbox.drop,
    writes() {
      if (!live || Date.now() - toldTyping < TYPING_EVERY_MS) return;
      toldTyping = Date.now();
      void talk.typing();
    },
    async transcript() {
      const answer = await talk.transcript();
      if (answer === 'no-address') {
        // Also said of one that was only typed, while nobody has answered: who gave one can change it.
        emailWanted = true;
        changed();
      }
      return answer;
    },
    start() {
      if (open || (talk.known() && keep.get('wrote') !== null)) connect();
      outbox.send();
    },
  };
}

function isAfter(one: string, other: string | null): boolean {
  return other === null || Date.parse(one) > Date.parse(other);
}

/** Answers what takes it back. */
function later(act: () => void, ms: number): () => void {
  const timer = setTimeout(act, ms);
  return () => clearTimeout(timer);
}

/** A random UUID; `crypto.randomUUID` is only for pages with TLS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte, at) => (at === 6 ? (byte & 15) | 64 : at === 8 ? (byte & 63) | 128 : byte).toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

import { setTimeout as wait } from 'node:timers/promises';
import { ChannelFailure, type Identity, type PageNews, type VisibleMessage } from '@trunkline/channel-sdk';
import { ALIVE_SECONDS, type PresentVisitor } from '#commands/presence.ts';
import { openConversation, readVisitorNews, visitorHistory, type VisitorNews, type VisitorRef } from '#commands/visitor-messages.ts';
import type { Db } from '#db/database.ts';
import { positionOf, type Feed, type Position } from '../feed.ts';
import { LIMITS } from '../limits.ts';
import type { EventRow } from '../rows.ts';
import { createNewsStream, type NewsStream } from './news-stream.ts';
import { createPresenceKeeper } from './presence-keeper.ts';
import { createSignals, createThrottle, TYPING_MS, type Typing } from './signals.ts';
import { visitorKey } from './visitor-key.ts';

/** What visitors' open pages are told, and what is heard of them; one for each process (CHAT-2, CHAT-6). */
export interface Live {
  /** As `PageContext.history`, `late` as with `visitorHistory`: what is read here and what `news` brings, begun before it, leave nothing out between them. */
  history(ref: VisitorRef, after?: string, late?: boolean): Promise<readonly VisibleMessage[]>;
  /** As `PageContext.news`; begins with this call. `address`: of who has the page open. Throws `RateLimited` or `Unavailable`. */
  news(ref: VisitorRef, signals: readonly AbortSignal[], address: string): AsyncIterable<PageNews>;
  /** The visitor is writing, which is a sign of life too. */
  visitorTypes(ref: VisitorRef): void;
  /** A sign of life of a visitor's page, at whichever process it has its stream. */
  visitorIsHere(ref: VisitorRef): void;
  /** A user is writing in a conversation; the channel is the one the visitor would read it on. */
  userTypes(typing: Typing & { readonly userId: string }): void;
  /** Who writes in a conversation, at whichever process; ends with what is returned. */
  onTyping(conversationId: string, listener: (typing: Typing) => void): () => void;
  /** Open pages. */
  readonly size: number;
  /** Ends every stream; their pages come again, to another process. */
  close(): Promise<void>;
}

export interface LiveDeps {
  readonly db: Db;
  readonly feed: Feed;
  readonly limits?: Pick<Record<keyof typeof LIMITS, number>, 'liveStreams' | 'liveStreamsPerAddress' | 'liveStreamsPerVisitor'>;
  /** Does what is due once visitors have left. */
  readonly afterLeaving?: () => Promise<void>;
  readonly onProblem?: (what: string, error: unknown) => void;
}

/** Of these events an open page is told. */
const MESSAGES: ReadonlySet<string> = new Set(['MESSAGE_RECEIVED', 'MESSAGE_WRITTEN']);

/** Milliseconds before news that could not be told are tried again; after the last failure the pages end, and come again to whichever process can. */
const PAUSES_MS = [100, 300, 1_000, 3_000, 6_000];

interface Page {
  readonly visitor: PresentVisitor;
  readonly streams: Set<NewsStream>;
}

export function createLive({ db, feed, limits = LIMITS, afterLeaving, onProblem = () => undefined }: LiveDeps): Live {
  const pages = new Map<string, Page>();
  /** Streams of each channel, and of each address. */
  const onChannel = createCounter();
  const ofAddress = createCounter();
  const typingListeners = new Map<string, Set<(typing: Typing) => void>>();
  const presence = createPresenceKeeper({ db, onProblem, ...(afterLeaving === undefined ? {} : { afterLeaving }) });
  const signals = createSignals(db, feed);
  const mayAsk = createThrottle(TYPING_MS);
  const over = new AbortController();
  let size = 0;
  /** Resolves once what is committed from then on is told. */
  let begun: Promise<void> | undefined;
  let unhear: (() => void) | undefined;
  let typed: Typing[] = [];
  let tellingTyped = false;

  /** At the first open page; then for as long as the process lasts. */
  function begin(): void {
    if (begun !== undefined || over.signal.aborted) return;
    unhear ??= signals.hear(hear);
    const head = feed.head();
    begun = head.then(() => undefined);
    void head.then(follow).catch((error: unknown) => {
      // Pages come again, go on where they were, and so begin it anew.
      begun = undefined;
      if (!over.signal.aborted) onProblem('news', error);
      endAll();
    });
    begun.catch(() => undefined);
  }

  /** What could not be read or told is tried again, for one failed statement would end every page of the process, and all would come back at once. */
  async function follow(from: Position): Promise<void> {
    let position = from;
    let failures = 0;
    while (!over.signal.aborted) {
      try {
        for await (const events of feed.follow(position, over.signal)) {
          await tell(events);
          failures = 0;
          const last = events.at(-1);
          if (last !== undefined) position = positionOf(last);
        }
        break;
      } catch (error) {
        const pause = PAUSES_MS[failures];
        if (pause === undefined || over.signal.aborted) throw error;
        failures += 1;
        onProblem('news', error);
        await wait(pause, undefined, { signal: over.signal }).catch(() => undefined);
      }
    }
    endAll();
  }

  function endAll(): void {
    for (const { streams } of pages.values()) for (const stream of streams) stream.end();
  }

  /** One statement for all pages of the process, and none where the batch concerns no channel that has any. */
  async function tell(events: readonly EventRow[]): Promise<void> {
    const wanted = events.filter(
      (event) =>
        event.conversation_id !== null &&
        event.channel_id !== null &&
        onChannel.has(event.channel_id) &&
        (MESSAGES.has(event.kind) || isJoining(event) || isClosing(event)),
    );
    const last = events.at(-1);
    if (wanted.length === 0 || last === undefined) return;
    const news = await readVisitorNews(db, {
      conversationIds: unique(wanted.map((event) => event.conversation_id)),
      messageIds: unique(wanted.map((event) => event.message_id)),
      userIds: unique(wanted.map((event) => (isJoining(event) ? event.user_id : null))),
      readTo: { xid: last.xid, id: last.id },
    });
    for (const event of wanted) tellOne(event, news);
  }

  function tellOne(event: EventRow, { visitors: of, messages, names }: VisitorNews): void {
    const { conversation_id: conversationId, channel_id: channelId } = event;
    if (conversationId === null || channelId === null) return;
    const streams = streamsOf(channelId, of.get(conversationId) ?? []);
    if (MESSAGES.has(event.kind)) {
      const said = messages.get(conversationId) ?? [];
      const news = said.find(({ message }) => message.id === event.message_id);
      if (news === undefined) return;
      const { arrival, message } = news;
      if (event.kind === 'MESSAGE_RECEIVED' && Date.now() - Date.parse(message.at) < ALIVE_SECONDS * 1_000) wrote(channelId, of.get(conversationId) ?? []);
      for (const one of said) if (one.channelId === channelId && one.arrival <= arrival) for (const stream of streams) stream.pushMessage(conversationId, one);
    } else if (isJoining(event)) {
      const author = names.get(event.user_id ?? '');
      if (author !== undefined) for (const stream of streams) stream.push({ type: 'joined', author });
    } else for (const stream of streams) stream.push({ type: 'closed' });
  }

  /** Who wrote with a page open here is here: with their first message they become somebody for whom that is kept. */
  function wrote(channelId: string, identities: readonly Pick<Identity, 'kind' | 'value'>[]): void {
    for (const identity of identities) {
      const page = pages.get(visitorKey(channelId, identity));
      if (page !== undefined) presence.came(page.visitor);
    }
  }

  function streamsOf(channelId: string, identities: readonly Pick<Identity, 'kind' | 'value'>[]): readonly NewsStream[] {
    return identities.flatMap((identity) => [...(pages.get(visitorKey(channelId, identity))?.streams ?? [])]);
  }

  function hear(typing: Typing): void {
    for (const listener of typingListeners.get(typing.conversationId) ?? []) listener(typing);
    if (typing.userId === null || !onChannel.has(typing.channelId)) return;
    typed.push(typing);
    if (!tellingTyped) void tellTyped();
  }

  /** Those who begin to write while it is asked for others share the next statement. */
  async function tellTyped(): Promise<void> {
    tellingTyped = true;
    while (typed.length > 0) {
      const some = typed;
      typed = [];
      try {
        const { visitors: of, names } = await readVisitorNews(db, {
          conversationIds: unique(some.map((one) => one.conversationId)),
          messageIds: [],
          userIds: unique(some.map((one) => one.userId)),
          readTo: null,
        });
        for (const { channelId, conversationId, userId } of some) {
          const author = names.get(userId ?? '');
          if (author === undefined) continue;
          for (const stream of streamsOf(channelId, of.get(conversationId) ?? [])) stream.push({ type: 'typing', author });
        }
      } catch (error) {
        onProblem('typing', error);
      }
    }
    tellingTyped = false;
  }

  function admit(key: string, address: string): void {
    if (over.signal.aborted || size >= limits.liveStreams) throw new ChannelFailure({ code: 'Unavailable', reason: 'too many open pages' });
    if (ofAddress.count(address) >= limits.liveStreamsPerAddress || (pages.get(key)?.streams.size ?? 0) >= limits.liveStreamsPerVisitor) {
      throw new ChannelFailure({ code: 'RateLimited', retryAfterSeconds: 5 });
    }
  }

  return {
    get size() {
      return size;
    },
    async history(ref, after, late) {
      // A page opens its stream and then looks back: what is committed until the stream's first event must be in what it sees there.
      await begun?.catch(() => undefined);
      return visitorHistory(db, ref, after, late);
    },
    news({ channelId, visitor: { kind, value } }, ends, address) {
      const key = visitorKey(channelId, { kind, value });
      admit(key, address);
      const page: Page = pages.get(key) ?? { visitor: { channelId, kind, value }, streams: new Set() };
      const end = () => stream.end();
      const stream = createNewsStream(() => {
        for (const signal of ends) signal.removeEventListener('abort', end);
        page.streams.delete(stream);
        if (page.streams.size === 0) {
          pages.delete(key);
          // The minute begins now, and not with the last sign of life.
          presence.closedPage(page.visitor);
        }
        onChannel.less(channelId);
        ofAddress.less(address);
        size -= 1;
      });
      pages.set(key, page);
      page.streams.add(stream);
      onChannel.more(channelId);
      ofAddress.more(address);
      size += 1;
      presence.came(page.visitor);
      begin();
      for (const signal of ends) {
        signal.addEventListener('abort', end, { once: true });
        if (signal.aborted) end();
      }
      return stream;
    },
    visitorIsHere: ({ channelId, visitor: { kind, value } }) => presence.heard({ channelId, kind, value }),
    visitorTypes(ref) {
      const { kind, value } = ref.visitor;
      presence.heard({ channelId: ref.channelId, kind, value });
      if (!mayAsk(visitorKey(ref.channelId, ref.visitor))) return;
      openConversation(db, ref).then(
        (conversationId) => {
          if (conversationId !== null) signals.typing({ conversationId, channelId: ref.channelId, userId: null });
        },
        (error: unknown) => onProblem('typing', error),
      );
    },
    userTypes: (typing) => signals.typing(typing),
    onTyping(conversationId, listener) {
      unhear ??= signals.hear(hear);
      const listeners = typingListeners.get(conversationId) ?? new Set();
      typingListeners.set(conversationId, listeners);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && typingListeners.get(conversationId) === listeners) typingListeners.delete(conversationId);
      };
    },
    async close() {
      over.abort();
      unhear?.();
      endAll();
      await presence.close();
    },
  };
}

/** Somebody has it now: assigned to them, or taken by them. */
const isJoining = (event: EventRow): boolean => event.kind === 'OWNER_CHANGED' && event.user_id !== null;
const isClosing = (event: EventRow): boolean => event.kind === 'STATUS_CHANGED' && event.data['category'] === 'CLOSED';

function unique(ids: readonly (string | null)[]): readonly string[] {
  return [...new Set(ids.filter((id) => id !== null))];
}

interface Counter {
  has(key: string): boolean;
  count(key: string): number;
  more(key: string): void;
  less(key: string): void;
}

function createCounter(): Counter {
  const counts = new Map<string, number>();
  return {
    has: (key) => counts.has(key),
    count: (key) => counts.get(key) ?? 0,
    more: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    less(key) {
      const left = (counts.get(key) ?? 1) - 1;
      if (left <= 0) counts.delete(key);
      else counts.set(key, left);
    },
  };
}

import { announceTyping } from '#db/announce.ts';
import type { Db } from '#db/database.ts';
import type { Feed } from '../feed.ts';

/** Somebody is writing in a conversation: ids only, never stored. */
export interface Typing {
  readonly conversationId: string;
  /** The channel that carries it to the visitor's page. */
  readonly channelId: string;
  /** A user's id; null: the visitor. */
  readonly userId: string | null;
}

export interface Signals {
  /** Tells every api process, at most once in two seconds for one person in one conversation. */
  typing(typing: Typing): void;
  /** Told of each, whichever process it came from; ends with what is returned. */
  hear(listener: (typing: Typing) => void): () => void;
}

/** Milliseconds between two signals of one person in one conversation. */
export const TYPING_MS = 2_000;

/** By NOTIFY outside any transaction; one that is lost is made good by the next. */
export function createSignals(db: Db, feed: Feed): Signals {
  const told = createThrottle(TYPING_MS);
  return {
    typing({ conversationId, channelId, userId }) {
      if (!told(`${conversationId} ${userId ?? ''}`)) return;
      announceTyping(db, { conversationId, channelId, userId });
    },
    hear: (listener) =>
      feed.hear((payload) => {
        const [what, conversationId, channelId, who] = payload.split(' ');
        if (what !== 'typing' || conversationId === undefined || channelId === undefined || who === undefined) return;
        listener({ conversationId, channelId, userId: who === 'visitor' ? null : who });
      }),
  };
}

/** Whether a key may pass now: once in `ms`. What is over is forgotten, however many keys there are. */
export function createThrottle(ms: number): (key: string) => boolean {
  let young = new Map<string, number>();
  let old = new Map<string, number>();
  let turned = performance.now();
  return (key) => {
    const now = performance.now();
    if (now - turned >= ms) {
      old = now - turned >= 2 * ms ? new Map() : young;
      young = new Map();
      turned = now;
    }
    const last = young.get(key) ?? old.get(key);
    if (last !== undefined && now - last < ms) return false;
    young.set(key, now);
    return true;
  };
}

import type { PageNews } from '@trunkline/channel-sdk';
import { LIMITS } from '../limits.ts';
import type { ArrivedMessage } from '#commands/visitor-messages.ts';

/** One open page of a visitor: what is pushed here comes out of its iterator, in order. */
export interface NewsStream extends AsyncIterableIterator<PageNews, undefined> {
  /** Not shown twice: of one conversation messages come in order of arrival, and one that arrived before the newest shown was shown. */
  pushMessage(conversationId: string, arrived: ArrivedMessage): void;
  push(news: PageNews): void;
  /** For good; what nobody has taken out is dropped, and the page asks for it when it comes again. */
  end(): void;
}

/** A page that takes nothing out while more than `LIMITS.liveBuffer` wait is ended: it costs no more memory than that. */
export function createNewsStream(onEnd: () => void): NewsStream {
  let waiting: PageNews[] = [];
  let newest: Map<string, number> | undefined;
  let taker: PromiseWithResolvers<IteratorResult<PageNews, undefined>> | undefined;
  let over = false;

  const stream: NewsStream = {
    push(news) {
      if (over) return;
      if (taker !== undefined) {
        const { resolve } = taker;
        taker = undefined;
        resolve({ done: false, value: news });
      } else if (waiting.length >= LIMITS.liveBuffer) stream.end();
      else waiting.push(news);
    },
    pushMessage(conversationId, { arrival, message }) {
      newest ??= new Map();
      if (arrival <= (newest.get(conversationId) ?? 0)) return;
      newest.set(conversationId, arrival);
      stream.push({ type: 'message', message });
    },
    end() {
      if (over) return;
      over = true;
      waiting = [];
      taker?.resolve(DONE);
      taker = undefined;
      onEnd();
    },
    next() {
      const news = waiting.shift();
      if (news !== undefined) return Promise.resolve({ done: false, value: news });
      if (over) return Promise.resolve(DONE);
      taker ??= Promise.withResolvers();
      return taker.promise;
    },
    return() {
      stream.end();
      return Promise.resolve(DONE);
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

const DONE = { done: true, value: undefined } as const;

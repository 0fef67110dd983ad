import type { Identity, PageContext, PageNews, VisibleMessage } from '../index.ts';

/** As many as the engine gives at once. */
const MOST_AT_ONCE = 100;

/** The little of the engine a live page needs, in memory: who has said what to whom, and who is listening. */
export interface LiveDesk {
  /** Puts it into the visitor's conversation and tells whoever listens. */
  say(visitor: Identity, message: Partial<VisibleMessage> & { readonly text: string }): VisibleMessage;
  tell(visitor: Identity, news: PageNews): void;
  /** How many of a visitor's pages listen now. */
  listening(visitor: Identity): number;
  /** Who was said to be writing, in order. */
  readonly typing: Identity[];
  /** Whose page gave a sign of life, in order. */
  readonly here: Identity[];
  /** Whose conversation was asked for: kind and value. */
  readonly asked: Set<string>;
  /** Called when somebody asks for history, before they get it: what is said then is no part of it. */
  meanwhile: () => void;
  readonly members: Pick<PageContext<unknown>, 'history' | 'news' | 'tell'>;
}

interface Line {
  readonly queue: PageNews[];
  wake: () => void;
}

export function createLiveDesk(): LiveDesk {
  const said = new Map<string, VisibleMessage[]>();
  const lines = new Map<string, Set<Line>>();
  const typing: Identity[] = [];
  const here: Identity[] = [];
  const asked = new Set<string>();
  const keyOf = ({ kind, value }: Identity) => `${kind} ${value}`;
  let count = 0;

  const desk: LiveDesk = {
    typing,
    here,
    asked,
    meanwhile: () => undefined,
    say(visitor, message) {
      count += 1;
      const whole: VisibleMessage = {
        id: `message-${String(count).padStart(6, '0')}`,
        from: 'us',
        providerMessageId: null,
        author: 'Ada',
        html: null,
        quickReplies: [],
        at: '2026-01-02T03:04:05.000Z',
        ...message,
      };
      said.set(keyOf(visitor), [...(said.get(keyOf(visitor)) ?? []), whole]);
      desk.tell(visitor, { type: 'message', message: whole });
      return whole;
    },
    tell(visitor, news) {
      for (const line of lines.get(keyOf(visitor)) ?? []) {
        line.queue.push(news);
        line.wake();
      }
    },
    listening: (visitor) => lines.get(keyOf(visitor))?.size ?? 0,
    members: {
      async history(visitor, after) {
        asked.add(keyOf(visitor));
        const all = said.get(keyOf(visitor)) ?? [];
        const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
        const page = all.slice(from, from + MOST_AT_ONCE);
        // Once: a page of history is not asked for again because of it.
        const { meanwhile } = desk;
        desk.meanwhile = () => undefined;
        meanwhile();
        return page;
      },
      news(visitor, signal) {
        asked.add(keyOf(visitor));
        const line: Line = { queue: [], wake: () => undefined };
        const all = lines.get(keyOf(visitor)) ?? new Set<Line>();
        lines.set(keyOf(visitor), all.add(line));
        const end = () => {
          all.delete(line);
          line.wake();
        };
        signal.addEventListener('abort', end, { once: true });
        return listen(line, () => all.has(line) && !signal.aborted, end);
      },
      tell: (visitor, what) => void (what === 'typing' ? typing : here).push(visitor),
    },
  };
  return desk;
}

async function* listen(line: Line, isOpen: () => boolean, end: () => void): AsyncGenerator<PageNews> {
  try {
    while (isOpen()) {
      const next = line.queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (line.wake = resolve));
    }
  } finally {
    end();
  }
}

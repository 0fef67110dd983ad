import type { Identity, PageContext, PageNews, VisibleMessage } from '@trunkline/channel-sdk';
import { headersFor } from './answers.ts';
import { isAvailable } from './configuration.ts';
import type { ChatSettings } from './settings.ts';

/** Milliseconds between two signs of life: shorter than proxies wait before they cut a silent connection. */
export const PING_MS = 15_000;
/** As `history` gives at most: fewer, and that was all. */
const PAGE_LENGTH = 100;

/**
 * A visitor's open page (CHAT-2): what is missing since the last message it knows, then what happens. News are listened to before the history is
 * read, so what is said in between comes twice and not never; the page knows messages by their ids. Ends `news` when the page goes, whichever way.
 */
export async function streamTo(context: PageContext<ChatSettings>, visitor: Identity, after: string | undefined, origin: string | null): Promise<Response> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  context.signal.addEventListener('abort', end, { once: true });
  stop.signal.addEventListener('abort', () => context.signal.removeEventListener('abort', end), { once: true });
  // Adding a listener to what is aborted already calls nobody.
  if (context.signal.aborted) end();
  try {
    const news = context.news(visitor, stop.signal)[Symbol.asyncIterator]();
    // Also where it stands still between two news and would not look at the signal.
    stop.signal.addEventListener('abort', () => void news.return?.().catch(() => undefined), { once: true });
    const first = news.next();
    // Whoever waits for it hears of a failure; until then nobody does.
    first.catch(() => undefined);
    // Read before the answer begins, so that a database that is away is told as such.
    const known = await context.history(visitor, after);
    const ready = chunk('ready', { available: await isAvailable(context) });
    const body = streamOf(linesOf({ context, visitor, ready, known, news, first }), stop, context);
    return new Response(body, {
      headers: {
        ...headersFor(origin),
        'cache-control': 'no-store, no-transform',
        'content-type': 'text/event-stream; charset=utf-8',
        // Proxies that collect answers before they pass them on leave this one alone.
        'x-accel-buffering': 'no',
      },
    });
  } catch (error) {
    end();
    throw error;
  }
}

interface Sources {
  readonly context: PageContext<ChatSettings>;
  readonly visitor: Identity;
  readonly ready: string;
  readonly known: readonly VisibleMessage[];
  readonly news: AsyncIterator<PageNews>;
  readonly first: Promise<IteratorResult<PageNews>>;
}

async function* linesOf({ context, visitor, ready, known, news, first }: Sources): AsyncGenerator<string, void> {
  yield ready;
  for (let page = known; page.length > 0;) {
    for (const message of page) yield messageChunk(message);
    const last = page.at(-1);
    page = page.length < PAGE_LENGTH || last === undefined ? [] : await context.history(visitor, last.id);
  }
  // From here on it is news: a page reads it aloud, and not what it was told before.
  yield chunk('known', {});
  for (let next = await first; next.done !== true; next = await news.next()) {
    const { value } = next;
    if (value.type === 'message') yield messageChunk(value.message);
    else if (value.type === 'closed') yield chunk('closed', {});
    else yield chunk(value.type, { author: value.author });
  }
}

function messageChunk(message: VisibleMessage): string {
  return chunk('message', message, message.id);
}

/** JSON has no line ends of its own, so an event is always one line of data. */
function chunk(event: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Bytes of it, as fast as they are taken. `stop` is aborted at the end, also where nobody reads any more. */
function streamOf(lines: AsyncGenerator<string, void>, stop: AbortController, context: PageContext<ChatSettings>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let gone = false;
  let pings: NodeJS.Timeout | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const finish = (): void => {
        clearInterval(pings);
        if (!gone) controller.close();
      };
      pings = setInterval(() => {
        // Who is behind has bytes to read, and needs no sign of life.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': \n\n'));
      }, PING_MS);
      stop.signal.addEventListener('abort', finish, { once: true });
      if (stop.signal.aborted) finish();
    },
    async pull(controller) {
      try {
        const { done, value } = await lines.next();
        if (stop.signal.aborted) return;
        if (done === true) stop.abort();
        else controller.enqueue(encoder.encode(value));
      } catch (error) {
        // Its class, never its words. The page comes again and is told what it missed.
        context.log('a chat stream broke off', { error: error instanceof Error ? error.name : typeof error });
        stop.abort();
      }
    },
    cancel() {
      gone = true;
      stop.abort();
    },
  });
}

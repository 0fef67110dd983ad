import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ChannelFailure, isChannelFailure, type Identity, type PageContext } from '@trunkline/channel-sdk';
import type { VisitorRef } from '#commands/visitor-messages.ts';
import type { ClientAddress } from '../client-address.ts';
import { LIMITS } from '../limits.ts';
import type { Live } from '../live/index.ts';
import type { RateAnswer, RateLimits } from '../rate-limit.ts';
import type { Bodies, BodyRefusal } from './bodies.ts';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';
import type { MailTranscript } from './transcript.ts';

/** Milliseconds in which a plugin's page begins to answer; a stream that has begun goes on for as long as it likes. */
export const PAGE_MS = 20_000;

export interface PagesDeps {
  readonly keeper: Doorkeeper;
  /** Whether somebody is there to answer on a channel. */
  readonly available: (channelId: string) => Promise<boolean>;
  readonly rates: RateLimits;
  readonly clientAddress: ClientAddress;
  readonly bodies: Bodies;
  /** What pages are told of their visitors' conversations; without it a page that asks is `Unavailable`. */
  readonly live: Live | undefined;
  readonly transcript: MailTranscript;
  /** Milliseconds in place of `PAGE_MS`. */
  readonly pageMs?: number;
}

/** Which page, and where within it. */
export interface PagePath {
  readonly plugin: string;
  readonly channelKey: string;
  readonly pathAndQuery: string;
}

/**
 * A plugin's public page, which anybody may ask for: so often and so much as its limits say. What goes wrong inside of it is a page with
 * an id, which the log has too, without content. What the door itself refuses a live page can read whichever origin it was served from: nobody is
 * signed in there, and the refusal says nothing of anybody.
 */
export async function servePage(deps: PagesDeps, request: Request, path: PagePath, incoming: IncomingMessage | undefined): Promise<Response> {
  const live = deps.keeper.isLive(path.plugin);
  const answer = await serve(deps, request, path, incoming, live);
  if (!live || !(answer instanceof Refusal)) return answer instanceof Refusal ? answer.response : answer;
  const { headers } = answer.response;
  headers.set('access-control-allow-origin', '*');
  headers.set('access-control-expose-headers', 'retry-after');
  return answer.response;
}

/** The door's own answer, in place of the page's. */
class Refusal {
  readonly response: Response;
  constructor(response: Response) {
    this.response = response;
  }
}

async function serve(deps: PagesDeps, request: Request, path: PagePath, incoming: IncomingMessage | undefined, live: boolean): Promise<Response | Refusal> {
  const { keeper, rates, clientAddress } = deps;
  const address = clientAddress(request, incoming);
  const counted = await rates.take(live ? 'livePerMinute' : 'pagePerMinute', address);
  if (!counted.allowed) {
    // A browser that is refused while it asks beforehand tells its page nothing: what it then sends is refused in words.
    if (live && request.method === 'OPTIONS') return new Refusal(new Response(null, { status: 204, headers: PREFLIGHT }));
    return saying(request, 429, 'TooMany', 'Too many requests: please wait a moment.', { 'retry-after': String(counted.retryAfterSeconds) });
  }
  let door: DoorChannel | undefined;
  try {
    door = await keeper.find(path.channelKey);
  } catch {
    keeper.log('a channel could not be read', {});
    return unavailable(request);
  }
  if (door?.plugin.page === undefined || door.plugin.key !== path.plugin) return saying(request, 404, 'NotFound', 'There is no such page.');
  const url = keeper.publicUrl + path.pathAndQuery;
  if (BODILESS.has(request.method)) {
    const answer = await run(deps, door, from(request, url), address, () => mayWrite(deps, door, address));
    if (request.method !== 'HEAD' || answer instanceof Refusal) return answer;
    return new Response(null, { status: answer.status, headers: answer.headers });
  }
  // Asked before anything is read. Who has sent too much has what they typed shown again, but not what is larger than anybody types; a page that
  // sends by itself has nothing to show again.
  const allowed = await mayWrite(deps, door, address);
  if (live && !allowed.allowed) return unread(request, 'TooMuchOfAll', { maxBytes: 0, live }, allowed);
  const { maxDeliveryBytes } = door.plugin.capabilities;
  const maxBytes = allowed.allowed ? maxDeliveryBytes : Math.min(maxDeliveryBytes, LIMITS.refusedBodyBytes);
  const body = await deps.bodies.read(request, incoming, { address, maxBytes });
  if ('refused' in body) return unread(request, body.refused, { maxBytes: maxDeliveryBytes, live }, allowed);
  try {
    return await run(deps, door, from(request, url, body.bytes), address, async () => allowed);
  } finally {
    body.release();
  }
}

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, last-event-id',
  'cache-control': 'no-store',
};

/** Browsers ask by OPTIONS before they send: that is not counted as sent. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The request as from outside any proxy; its signal says that the client went away. */
function from({ method, headers, signal }: Request, url: string, body?: Uint8Array): Request {
  return new Request(url, { method, headers, signal, ...(body === undefined ? {} : { body: Buffer.from(body) }) });
}

/** Counts by the address alone: what a request says of its origin is the sender's to choose. */
function mayWrite({ rates }: PagesDeps, { channel, plugin }: DoorChannel, address: string): Promise<RateAnswer> {
  return rates.take(plugin.capabilities.live === true ? 'liveWritesPerMinute' : 'pageWritesPerMinute', `${channel.key} ${address}`);
}

/**
 * The answer where the body was not read to its end: its connection is of no more use. Only a page that a browser opened as such has something to
 * go back to, and files; what a live page sends is a text.
 */
function unread(request: Request, why: BodyRefusal, { maxBytes, live }: { readonly maxBytes: number; readonly live: boolean }, counted: RateAnswer): Refusal {
  const close = { connection: 'close' };
  if (why === 'BrokenOff') return new Refusal(new Response(null, { status: 400, headers: close }));
  if (!counted.allowed) {
    return saying(request, 429, 'TooMany', 'Too much was sent: please wait a moment.', { ...close, 'retry-after': String(counted.retryAfterSeconds) });
  }
  switch (why) {
    case 'TooLarge':
      return saying(
        request,
        413,
        'TooLarge',
        `This is too large: at most ${sizeOf(maxBytes)}.${live ? '' : ' Go back, and send less or smaller files.'}`,
        close,
      );
    case 'TooSlow':
      return saying(request, 408, 'TooSlow', `This took too long to arrive.${live ? '' : ' Go back, and send it again, or smaller files.'}`, close);
    case 'TooManyOfAddress': {
      const wait = { ...close, 'retry-after': '5' };
      return saying(request, 429, 'TooMany', `Too much at once: please ${live ? '' : 'go back, and '}send it again in a moment.`, wait);
    }
    default:
      return saying(request, 503, 'Unavailable', 'This does not work just now: please try again in a moment.', { ...close, 'retry-after': '5' });
  }
}

/** In the largest unit of which there is one: what is said to be allowed is. */
function sizeOf(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${Math.floor(bytes / 1024 / 1024)} MB`;
  return bytes >= 1024 ? `${Math.floor(bytes / 1024)} kB` : `${bytes} bytes`;
}

async function run(deps: PagesDeps, door: DoorChannel, request: Request, address: string, mayWrite: () => Promise<RateAnswer>): Promise<Response | Refusal> {
  const { keeper, pageMs = PAGE_MS } = deps;
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => {
      late.abort();
      resolve('late');
    }, pageMs);
  });
  try {
    const answer = await Promise.race([door.plugin.page?.(request, pageContext(deps, door, request, address, mayWrite, late.signal)), timeIsUp]);
    if (answer instanceof Response && !answer.bodyUsed) return answer;
    throw answer === 'late' ? new PageTooSlow() : new TypeError('the page gave no answer');
  } catch (error) {
    if (isChannelFailure(error) && (error.failure.code === 'Unavailable' || error.failure.code === 'RateLimited')) {
      keeper.log('a page could not answer', { channel: door.channel.key, code: error.failure.code });
      if (error.failure.code === 'Unavailable') return unavailable(request);
      const wait = { 'retry-after': String(Math.max(1, Math.ceil(error.failure.retryAfterSeconds))) };
      return saying(request, 429, 'TooMany', 'Too much at once: please wait a moment.', wait);
    }
    const errorId = randomUUID();
    // Its class, never its words: they may hold what a visitor wrote.
    keeper.log('a page failed', { channel: door.channel.key, errorId, error: error instanceof Error ? error.name : typeof error });
    return saying(request, 500, 'Unexpected', `Something went wrong here. If you tell us of it, name this: ${errorId}`);
  } finally {
    clearTimeout(timer);
  }
}

function pageContext(
  { keeper, available, live, transcript }: PagesDeps,
  { channel, context, plugin }: DoorChannel,
  request: Request,
  address: string,
  mayWrite: () => Promise<RateAnswer>,
  late: AbortSignal,
): PageContext<unknown> {
  const of = (visitor: Identity): VisitorRef => ({ channelId: channel.id, visitor });
  /** Last messages of what `history` gave in this request. */
  const ends = new Set<string>();
  return {
    ...context,
    signal: AbortSignal.any([context.signal, late]),
    deliver: (raw) => keeper.store({ plugin, channel, context }, raw),
    history: async (visitor, after) => {
      try {
        // A page that comes back names the last message it was shown; one that reads on names what it was given here, and has had what was late.
        const messages = await opened(live).history(of(visitor), after, after !== undefined && !ends.has(after));
        const last = messages.at(-1);
        if (last !== undefined) ends.add(last.id);
        return messages;
      } catch (cause) {
        throw isChannelFailure(cause) ? cause : new ChannelFailure({ code: 'Unavailable', reason: 'the conversation could not be read' }, { cause });
      }
    },
    news: (visitor, signal) => {
      if (plugin.capabilities.live !== true) throw new TypeError('only the pages of a plugin that declares `live` have news');
      // Both: a page whose client went away ends also where its plugin does not notice.
      return opened(live).news(of(visitor), [signal, request.signal], address);
    },
    tell: (visitor, what) => {
      if (what === 'here' && plugin.capabilities.live === true) live?.visitorIsHere(of(visitor));
      if (what === 'typing' && plugin.capabilities.typing) live?.visitorTypes(of(visitor));
    },
    transcript: (visitor) => transcript(of(visitor)),
    available: async () => channel.info.enabled && (await available(channel.id)),
    pageUrl: `${keeper.publicUrl}/pages/${plugin.key}/${channel.key}`,
    allow: async () => (await mayWrite()).allowed,
  };
}

function opened(live: Live | undefined): Live {
  if (live === undefined) throw new ChannelFailure({ code: 'Unavailable', reason: 'this process tells no news' });
  return live;
}

class PageTooSlow extends Error {
  override readonly name = 'PageTooSlow';
}

function unavailable(request: Request): Refusal {
  return saying(request, 503, 'Unavailable', 'This does not work just now: please try again in a moment.', { 'retry-after': '5' });
}

/** In HTML for a browser, else in JSON. `text` is ours. */
function saying(request: Request, status: number, code: string, text: string, more: Readonly<Record<string, string>> = {}): Refusal {
  const headers = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...more };
  if (!(request.headers.get('accept') ?? '').includes('text/html')) {
    return new Refusal(Response.json({ code, errors: [{ field: null, message: text }] }, { status, headers }));
  }
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${status}</title></head><body><p>${text}</p></body></html>`;
  return new Refusal(
    new Response(page, { status, headers: { ...headers, 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'" } }),
  );
}

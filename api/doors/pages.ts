import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isChannelFailure, type PageContext } from '@trunkline/channel-sdk';
import { somebodyAvailable } from '#commands/availability.ts';
import type { Db } from '#db/database.ts';
import type { ClientAddress } from '../client-address.ts';
import { LIMITS } from '../limits.ts';
import type { RateAnswer, RateLimits } from '../rate-limit.ts';
import type { Bodies, BodyRefusal } from './bodies.ts';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** Milliseconds in which a plugin's page begins to answer. */
export const PAGE_MS = 20_000;

export interface PagesDeps {
  readonly keeper: Doorkeeper;
  readonly db: Db;
  readonly rates: RateLimits;
  readonly clientAddress: ClientAddress;
  readonly bodies: Bodies;
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
 * an id, which the log has too, without content. What visitors would be shown of their conversations is not offered yet.
 */
export async function servePage(deps: PagesDeps, request: Request, path: PagePath, incoming: IncomingMessage | undefined): Promise<Response> {
  const { keeper, rates, clientAddress } = deps;
  const address = clientAddress(request, incoming);
  const counted = await rates.take('pagePerMinute', address);
  if (!counted.allowed)
    return saying(request, 429, 'TooMany', 'Too many requests: please wait a moment.', { 'retry-after': String(counted.retryAfterSeconds) });
  let door: DoorChannel | undefined;
  try {
    door = await keeper.find(path.channelKey);
  } catch {
    keeper.log('a channel could not be read', {});
    return unavailable(request);
  }
  if (door?.plugin.page === undefined || door.plugin.key !== path.plugin) return saying(request, 404, 'NotFound', 'There is no such page.');
  if (BODILESS.has(request.method)) {
    const answer = await run(deps, door, from(request, keeper.publicUrl + path.pathAndQuery), () => mayWrite(deps, door, address));
    return request.method === 'HEAD' ? new Response(null, { status: answer.status, headers: answer.headers }) : answer;
  }
  // Asked before anything is read. Who has sent too much has what they typed shown again, but not what is larger than anybody types.
  const allowed = await mayWrite(deps, door, address);
  const { maxDeliveryBytes } = door.plugin.capabilities;
  const maxBytes = allowed.allowed ? maxDeliveryBytes : Math.min(maxDeliveryBytes, LIMITS.refusedBodyBytes);
  const body = await deps.bodies.read(request, incoming, { address, maxBytes });
  if ('refused' in body) return unread(request, body.refused, maxDeliveryBytes, allowed);
  try {
    return await run(deps, door, from(request, keeper.publicUrl + path.pathAndQuery, body.bytes), async () => allowed);
  } finally {
    body.release();
  }
}

/** Browsers ask by OPTIONS before they send: that is not counted as sent. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The request as from outside any proxy. */
function from({ method, headers }: Request, url: string, body?: Uint8Array): Request {
  return new Request(url, { method, headers, ...(body === undefined ? {} : { body: Buffer.from(body) }) });
}

/** Counts by the address alone: what a request says of its origin is the sender's to choose. */
function mayWrite({ rates }: PagesDeps, { channel }: DoorChannel, address: string): Promise<RateAnswer> {
  return rates.take('pageWritesPerMinute', `${channel.key} ${address}`);
}

/** The answer where the body was not read to its end: its connection is of no more use. */
function unread(request: Request, why: BodyRefusal, maxBytes: number, counted: RateAnswer): Response {
  const close = { connection: 'close' };
  if (why === 'BrokenOff') return new Response(null, { status: 400, headers: close });
  if (!counted.allowed) {
    return saying(request, 429, 'TooMany', 'Too much was sent: please wait a moment.', { ...close, 'retry-after': String(counted.retryAfterSeconds) });
  }
  switch (why) {
    case 'TooLarge': {
      const megabytes = Math.floor(maxBytes / 1024 / 1024);
      return saying(request, 413, 'TooLarge', `This is too large: at most ${megabytes} MB. Go back, and send less or smaller files.`, close);
    }
    case 'TooSlow':
      return saying(request, 408, 'TooSlow', 'This took too long to arrive. Go back, and send it again, or smaller files.', close);
    case 'TooManyOfAddress':
      return saying(request, 429, 'TooMany', 'Too much at once: please go back, and send it again in a moment.', { ...close, 'retry-after': '5' });
    default:
      return saying(request, 503, 'Unavailable', 'This does not work just now: please try again in a moment.', { ...close, 'retry-after': '5' });
  }
}

async function run(deps: PagesDeps, door: DoorChannel, request: Request, mayWrite: () => Promise<RateAnswer>): Promise<Response> {
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
    const answer = await Promise.race([door.plugin.page?.(request, pageContext(deps, door, mayWrite, late.signal)), timeIsUp]);
    if (answer instanceof Response) return answer;
    throw answer === 'late' ? new PageTooSlow() : new TypeError('the page gave no answer');
  } catch (error) {
    if (isChannelFailure(error) && (error.failure.code === 'Unavailable' || error.failure.code === 'RateLimited')) {
      keeper.log('a page could not answer', { channel: door.channel.key, code: error.failure.code });
      return unavailable(request);
    }
    const errorId = randomUUID();
    // Its class, never its words: they may hold what a visitor wrote.
    keeper.log('a page failed', { channel: door.channel.key, errorId, error: error instanceof Error ? error.name : typeof error });
    return saying(request, 500, 'Unexpected', `Something went wrong here. If you tell us of it, name this: ${errorId}`);
  } finally {
    clearTimeout(timer);
  }
}

function pageContext({ keeper, db }: PagesDeps, door: DoorChannel, mayWrite: () => Promise<RateAnswer>, late: AbortSignal): PageContext<unknown> {
  const { channel, context, plugin } = door;
  return {
    ...context,
    signal: AbortSignal.any([context.signal, late]),
    deliver: (raw) => keeper.store(door, raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    transcript: async () => 'no-conversation',
    available: async () => channel.info.enabled && (await somebodyAvailable(db, channel.placeId)),
    pageUrl: `${keeper.publicUrl}/pages/${plugin.key}/${channel.key}`,
    allow: async () => (await mayWrite()).allowed,
  };
}

class PageTooSlow extends Error {
  override readonly name = 'PageTooSlow';
}

function unavailable(request: Request): Response {
  return saying(request, 503, 'Unavailable', 'This does not work just now: please try again in a moment.', { 'retry-after': '5' });
}

/** In HTML for a browser, else in JSON. `text` is ours. */
function saying(request: Request, status: number, code: string, text: string, more: Readonly<Record<string, string>> = {}): Response {
  const headers = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...more };
  if (!(request.headers.get('accept') ?? '').includes('text/html')) {
    return Response.json({ code, errors: [{ field: null, message: text }] }, { status, headers });
  }
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${status}</title></head><body><p>${text}</p></body></html>`;
  return new Response(page, { status, headers: { ...headers, 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'" } });
}

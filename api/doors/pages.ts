import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isChannelFailure, type PageContext } from '@trunkline/channel-sdk';
import { somebodyAvailable } from '#commands/availability.ts';
import type { Db } from '#db/database.ts';
import type { ClientAddress } from '../client-address.ts';
import type { RateLimits } from '../rate-limit.ts';
import { readBody } from './body.ts';
import type { DoorChannel } from './channel-cache.ts';
import type { Doorkeeper } from './doorkeeper.ts';

/** Milliseconds in which a plugin's page begins to answer. */
export const PAGE_MS = 20_000;

export interface PagesDeps {
  readonly keeper: Doorkeeper;
  readonly db: Db;
  readonly rates: RateLimits;
  readonly clientAddress: ClientAddress;
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
  const within = await withBody(deps, door, request, path, incoming);
  if (within instanceof Response) return within;
  const answer = await run(deps, door, within, address);
  return request.method === 'HEAD' ? new Response(null, { status: answer.status, headers: answer.headers }) : answer;
}

/** The request with its whole body, as from outside any proxy; an answer in its place where it is too large or has broken off. */
async function withBody(
  { keeper }: PagesDeps,
  { plugin }: DoorChannel,
  request: Request,
  { pathAndQuery }: PagePath,
  incoming: IncomingMessage | undefined,
): Promise<Request | Response> {
  const { method, headers } = request;
  const url = keeper.publicUrl + pathAndQuery;
  if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers });
  const { maxDeliveryBytes } = plugin.capabilities;
  let body: Uint8Array | undefined;
  try {
    body = await readBody(request, incoming, maxDeliveryBytes);
  } catch {
    return new Response(null, { status: 400, headers: { connection: 'close' } });
  }
  if (body !== undefined) return new Request(url, { method, headers, body: Buffer.from(body) });
  const megabytes = Math.floor(maxDeliveryBytes / 1024 / 1024);
  return saying(request, 413, 'TooLarge', `This is too large: at most ${megabytes} MB. Go back, and send less or smaller files.`, { connection: 'close' });
}

async function run(deps: PagesDeps, door: DoorChannel, request: Request, address: string): Promise<Response> {
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
    const answer = await Promise.race([door.plugin.page?.(request, pageContext(deps, door, address, late.signal)), timeIsUp]);
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

function pageContext({ keeper, db, rates }: PagesDeps, door: DoorChannel, address: string, late: AbortSignal): PageContext<unknown> {
  const { channel, context, plugin } = door;
  return {
    ...context,
    signal: AbortSignal.any([context.signal, late]),
    deliver: (raw) => keeper.store(door, raw),
    history: async () => [],
    async *news() {},
    tell: () => undefined,
    available: async () => channel.info.enabled && (await somebodyAvailable(db, channel.placeId)),
    pageUrl: `${keeper.publicUrl}/pages/${plugin.key}/${channel.key}`,
    // By the address alone: what a request says of its origin is the sender's to choose.
    allow: async () => (await rates.take('pageWritesPerMinute', `${channel.key} ${address}`)).allowed,
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

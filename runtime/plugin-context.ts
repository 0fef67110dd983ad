import { ChannelFailure, type ChannelInfo, type ChannelState, type Plugin, type PluginContext } from '@trunkline/channel-sdk';

type Fetch = typeof fetch;
type Fields = Readonly<Record<string, string | number | boolean>>;

/** Milliseconds one request to a provider may take, its body included. */
export const FETCH_TIMEOUT_MS = 10_000;
/** Bytes of one answer; a recording or a picture is well below it. */
export const MAX_RESPONSE_BYTES = 50 * 1024 * 1024;
const MAX_REDIRECTS = 5;

export interface ContextOptions {
  /** The channel's keyed hash (`Keys.signFor`). */
  readonly sign: (text: string) => string;
  /** Gets ids and codes only. */
  readonly log: (message: string, fields?: Fields) => void;
  readonly now?: () => number;
  /** Stands in for the network. */
  readonly fetch?: Fetch;
  /** Aborted when nobody waits for the outcome any more. */
  readonly signal?: AbortSignal;
  readonly webhookUrl?: string;
  readonly state?: ChannelState;
  readonly timeoutMs?: number;
  readonly maxResponseBytes?: number;
}

/** What a function of a plugin gets: one channel, a clock, a network with limits, a log that names the channel. */
export function createPluginContext(channel: ChannelInfo<unknown>, options: ContextOptions): PluginContext<unknown> {
  const signal = options.signal ?? new AbortController().signal;
  return {
    channel,
    signal,
    sign: options.sign,
    now: options.now ?? Date.now,
    fetch: limitedFetch({
      fetch: options.fetch ?? fetch,
      signal,
      timeoutMs: options.timeoutMs ?? FETCH_TIMEOUT_MS,
      maxBytes: options.maxResponseBytes ?? MAX_RESPONSE_BYTES,
    }),
    log: (message, fields) => options.log(message, { ...fields, channel: channel.key }),
    ...(options.webhookUrl === undefined ? {} : { webhookUrl: options.webhookUrl }),
    ...(options.state === undefined ? {} : { state: options.state }),
  };
}

/** Where the provider of a channel calls: one address for each channel, or one for all of a plugin that sorts them by itself (`sharedDoor`). */
export function webhookUrlOf(publicUrl: string, plugin: Pick<Plugin, 'key' | 'sharedDoor'>, channelKey: string): string {
  return plugin.sharedDoor === undefined ? `${publicUrl}/hooks/${plugin.key}/${channelKey}` : `${publicUrl}/hooks/${plugin.key}`;
}

interface Limits {
  readonly fetch: Fetch;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/**
 * `fetch` that ends: by time, by size, and on its own host. A redirect to another host is handed back as it is, for following it
 * would carry a token there; one on the same host is followed for GET and HEAD only.
 */
function limitedFetch(limits: Limits): Fetch {
  return async (input, init) => {
    const first = new Request(input, init);
    const signal = AbortSignal.any([AbortSignal.timeout(limits.timeoutMs), limits.signal, first.signal]);
    const mayFollow = first.redirect === 'follow' && (first.method === 'GET' || first.method === 'HEAD');
    let request = new Request(first, { signal, redirect: 'manual' });
    for (let hop = 0; ; hop += 1) {
      const response = await limits.fetch(request);
      const next = mayFollow && hop < MAX_REDIRECTS ? sameHostTarget(request.url, response) : undefined;
      if (next === undefined) return limited(response, limits.maxBytes);
      await response.body?.cancel();
      request = new Request(next, { method: request.method, headers: request.headers, signal, redirect: 'manual' });
    }
  };
}

function sameHostTarget(from: string, response: Response): string | undefined {
  const location = response.headers.get('location');
  if (response.status < 300 || response.status > 399 || location === null || !URL.canParse(location, from)) return undefined;
  const target = new URL(location, from);
  return target.origin === new URL(from).origin ? target.href : undefined;
}

/** The same answer, whose body fails once it is larger than allowed. */
function limited(response: Response, maxBytes: number): Response {
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    void response.body?.cancel();
    throw tooLarge();
  }
  if (response.body === null) return response;
  let bytes = 0;
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) controller.error(tooLarge());
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted, { status: response.status, statusText: response.statusText, headers: response.headers });
}

function tooLarge(): ChannelFailure {
  return new ChannelFailure({ code: 'Unavailable', reason: 'the answer is larger than we read' });
}

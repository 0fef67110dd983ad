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

/** Errors of a handshake that the client itself ends, or that answer its first words: before the request is out. */
const HANDSHAKE_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/**
 * `fetch` that ends: by time, by size, and on its own host. A redirect to another host is handed back as it is, for following it
 * would carry a token there; one on the same host is followed for GET and HEAD only. Where no connection was made it throws `Unavailable`, for then nothing can have been sent; what went wrong
 * later stays what it is, and only the plugin knows whether its request may have done something.
 */
function limitedFetch(limits: Limits): Fetch {
  return async (input, init) => {
    const first = new Request(input, init);
    const signal = AbortSignal.any([AbortSignal.timeout(limits.timeoutMs), limits.signal, first.signal]);
    const onlyAsks = first.method === 'GET' || first.method === 'HEAD';
    const mayFollow = first.redirect === 'follow' && onlyAsks;
    let request = new Request(first, { signal, redirect: 'manual' });
    for (let hop = 0; ; hop += 1) {
      const response = await limits.fetch(request).catch((error: unknown) => {
        // Behind a redirect the first request has arrived.
        if (hop > 0 || !isUnconnected(error)) throw error;
        throw new ChannelFailure({ code: 'Unavailable', reason: 'no connection to the provider' });
      });
      const next = mayFollow && hop < MAX_REDIRECTS ? sameHostTarget(request.url, response) : undefined;
      if (next === undefined) return limited(response, limits.maxBytes, onlyAsks);
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

/** Whether no connection was made, by the cause `fetch` gives: each address that was tried refused, the name was not found, TLS did not come about. */
function isUnconnected(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  const causes: readonly unknown[] = cause instanceof AggregateError ? cause.errors : [cause];
  return causes.length > 0 && causes.every(isBeforeRequest);
}

function isBeforeRequest(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = 'code' in cause ? cause.code : undefined;
  const syscall = 'syscall' in cause ? cause.syscall : undefined;
  if (syscall === 'connect' || syscall === 'getaddrinfo' || code === 'UND_ERR_CONNECT_TIMEOUT') return true;
  // A line that ends has one code, whenever it does: only the words tell that TLS did not stand yet.
  if (code === 'ECONNRESET') return cause.message.includes('before secure TLS connection was established');
  return typeof code === 'string' && HANDSHAKE_CODES.has(code);
}

/** The same answer, whose body fails once it is larger than allowed. `onlyAsks`: nothing was done by asking for it. */
function limited(response: Response, maxBytes: number, onlyAsks: boolean): Response {
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    void response.body?.cancel();
    throw tooLarge(onlyAsks);
  }
  if (response.body === null) return response;
  let bytes = 0;
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) controller.error(tooLarge(onlyAsks));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted, { status: response.status, statusText: response.statusText, headers: response.headers });
}

function tooLarge(onlyAsks: boolean): ChannelFailure {
  return new ChannelFailure({ code: onlyAsks ? 'Unavailable' : 'MaybeSent', reason: 'the answer is larger than we read' });
}

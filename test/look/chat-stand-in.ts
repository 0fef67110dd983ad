import { createHash, randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { serve } from '@hono/node-server';
import plugin from '@trunkline/plugin-chat';
import type { Identity, PageContext, PageNews, RawDelivery, VisibleMessage } from '@trunkline/channel-sdk';

const KEY = 'look-4m2p8w';
const CHANNEL = { key: KEY, address: 'look', name: 'Look' } as const;

/** The chat plugin's own pages over an engine that lives in memory and can be told to fail. */
export interface ChatStandIn {
  readonly origin: string;
  readonly script: string;
  /** What was asked of it: `POST messages`. */
  readonly asked: readonly string[];
  /** What visitors' messages came as. */
  readonly bodies: readonly string[];
  /** Of all visitors, in order of arrival. */
  readonly stored: readonly VisibleMessage[];
  /** Addresses that came with messages. */
  readonly emails: readonly string[];
  /** Up to when visitors have read. */
  readonly reads: readonly string[];
  /** How often a visitor was seen writing. */
  typed(): number;
  streams(): number;
  /** Somebody writes to the visitor who wrote last. */
  reply(text: string, more?: Partial<VisibleMessage>): void;
  tell(news: PageNews): void;
  /** All connections end; `roughly`: as if a cable were pulled. */
  cut(roughly: boolean): void;
  /** The next requests for a path are answered so. */
  answer(path: string, ...responses: readonly Response[]): void;
  enabled(enabled: boolean): void;
  close(): void;
}

/** Starts it with settings as an admin types them. */
export async function startChat(typed: Readonly<Record<string, unknown>>): Promise<ChatStandIn> {
  const settings = await plugin.settings['~standard'].validate(typed);
  if (settings.issues !== undefined) throw new Error(`the settings of the look are wrong: ${JSON.stringify(settings.issues)}`);
  const { value } = settings;
  const asked: string[] = [];
  const bodies: string[] = [];
  const stored: VisibleMessage[] = [];
  const owners = new Map<string, string>();
  const emails: string[] = [];
  const reads: string[] = [];
  const listeners = new Map<(news: PageNews) => void, string>();
  const prepared = new Map<string, Response[]>();
  let cutter = new AbortController();
  let latest = '';
  let typing = 0;
  let enabled = true;
  let clock = Date.now();

  function publish(visitor: string, message: VisibleMessage): void {
    stored.push(message);
    owners.set(message.id, visitor);
    tell(visitor, { type: 'message', message });
  }

  function tell(visitor: string, news: PageNews): void {
    for (const [listener, whose] of listeners) if (whose === visitor) listener(news);
  }

  /** Later than the one before, however fast they come. */
  function at(): string {
    clock = Math.max(clock + 1, Date.now());
    return new Date(clock).toISOString();
  }

  const common = (origin: string) => ({
    channel: { ...CHANNEL, enabled, settings: value },
    now: Date.now,
    sign: (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 52),
    fetch,
    log: () => undefined,
    signal: cutter.signal,
    pageUrl: `${origin}/pages/${plugin.key}/${KEY}`,
  });

  async function take(raw: RawDelivery, origin: string): Promise<void> {
    for (const event of await plugin.parse(raw, common(origin))) {
      if (event.type === 'watermark') reads.push(event.through);
      if (event.type === 'identity-added') emails.push(event.added.value);
      if (event.type !== 'message' || event.contact === null) continue;
      const { providerMessageId, text } = event;
      const visitor = event.contact.value;
      latest = visitor;
      // As the engine does: one message under one id.
      if (stored.some((one) => one.providerMessageId === providerMessageId && owners.get(one.id) === visitor)) continue;
      publish(visitor, { id: randomUUID(), from: 'visitor', providerMessageId, author: null, text, html: null, quickReplies: [], at: at() });
    }
  }

  const contextOf = (origin: string): PageContext<unknown> => ({
    ...common(origin),
    deliver: (raw) => take(raw, origin),
    async history(visitor: Identity, after?: string) {
      const theirs = stored.filter(({ id }) => owners.get(id) === visitor.value);
      return theirs.slice(after === undefined ? 0 : theirs.findIndex(({ id }) => id === after) + 1).slice(0, 100);
    },
    news: (visitor, signal) => newsOf(visitor.value, signal, listeners),
    tell: (_visitor, what) => void (typing += what === 'typing' ? 1 : 0),
    transcript: async (visitor) => (emails.length > 0 ? 'queued' : [...owners.values()].includes(visitor.value) ? 'no-address' : 'no-conversation'),
    available: async () => true,
    allow: async () => true,
  });

  async function answerTo(request: Request): Promise<Response> {
    const { origin, pathname } = new URL(request.url);
    const path = pathname.split('/').at(-1) ?? '';
    if (request.method === 'POST' && path === 'messages') bodies.push(await request.clone().text());
    if (request.method !== 'OPTIONS') asked.push(`${request.method} ${path}`);
    const other = request.method === 'OPTIONS' ? undefined : prepared.get(path)?.shift();
    if (other !== undefined) {
      other.headers.set('access-control-allow-origin', request.headers.get('origin') ?? '*');
      other.headers.set('access-control-expose-headers', 'retry-after');
      return other;
    }
    return (await plugin.page?.(request, contextOf(origin))) ?? new Response(null, { status: 404 });
  }

  const sockets = new Set<Socket>();
  return new Promise((resolve) => {
    const server = serve({ fetch: answerTo, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
      const origin = `http://127.0.0.1:${port}`;
      resolve({
        origin,
        script: `${origin}/pages/${plugin.key}/${KEY}/widget.js`,
        asked,
        bodies,
        stored,
        emails,
        reads,
        typed: () => typing,
        streams: () => listeners.size,
        reply(text, more = {}) {
          publish(latest, { id: randomUUID(), from: 'us', providerMessageId: null, author: 'Ada', text, html: null, quickReplies: [], at: at(), ...more });
        },
        tell: (news) => tell(latest, news),
        cut(roughly) {
          if (roughly) for (const socket of sockets) socket.destroy();
          cutter.abort();
          cutter = new AbortController();
        },
        answer: (path, ...responses) => void prepared.set(path, [...responses]),
        enabled: (now) => void (enabled = now),
        close() {
          cutter.abort();
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
    });
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
  });
}

async function* newsOf(visitor: string, signal: AbortSignal, listeners: Map<(news: PageNews) => void, string>): AsyncGenerator<PageNews, void> {
  const waiting: PageNews[] = [];
  let wake = (): void => undefined;
  const listener = (news: PageNews): void => {
    waiting.push(news);
    wake();
  };
  listeners.set(listener, visitor);
  const end = (): void => {
    listeners.delete(listener);
    wake();
  };
  signal.addEventListener('abort', end, { once: true });
  while (!signal.aborted) {
    yield* waiting.splice(0);
    if (!signal.aborted && waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
  }
}

import { createHmac } from 'node:crypto';
import type { ChannelInfo, Identity, InboundEvent, PageContext, PageNews, RawDelivery, VisibleMessage } from '@trunkline/channel-sdk';
import plugin from '../index.ts';
import { settingsSchema, type ChatSettings } from '../settings.ts';

export const ORIGIN = 'https://help.acme.example';
export const PAGE_URL = `${ORIGIN}/pages/chat/chat-7k3q9x`;
export const SITE = 'https://shop.acme.example';
export const START = Date.UTC(2026, 0, 2, 3, 4, 5);

export function typed(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { title: 'Acme', greeting: 'Hello. How can we help?', ...more };
}

export function sign(text: string): string {
  return createHmac('sha256', 'a key').update(text).digest('hex').slice(0, 52);
}

/** A chat with the little of the engine it needs: messages in memory, news for whoever listens. */
export interface Chat extends PageContext<ChatSettings> {
  readonly delivered: RawDelivery[];
  readonly lines: string[];
  /** Who was told to be writing, and whose page gave a sign of life. */
  readonly told: Identity[];
  readonly here: Identity[];
  /** Times `history` was asked. */
  reads: number;
  /** Milliseconds since 1970; a test moves it. */
  clock: number;
  away: boolean;
  agents: boolean;
  mails: Awaited<ReturnType<PageContext<ChatSettings>['transcript']>>;
  /** How many pages listen. */
  listening(): number;
  /** Something is said in a visitor's conversation: kept, then told. */
  say(visitor: Identity, text: string, from?: 'visitor' | 'us'): VisibleMessage;
  /** Told to the open pages only. */
  tellPages(visitor: Identity, news: PageNews): void;
  /** Ends every open page's news, as an engine does that stops. */
  endNews(): void;
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** A new visitor. */
  come(): Promise<Visitor>;
  /** The events of a delivery. */
  parsed(index?: number): Promise<readonly InboundEvent[]>;
}

export interface Visitor {
  readonly token: string;
  readonly identity: Identity;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  stream(after?: string): Promise<Response>;
}

interface Listener {
  readonly visitor: string;
  readonly waiting: PageNews[];
  wake: () => void;
  over: boolean;
}

export function chat(more: Record<string, unknown> = {}, channel: Partial<ChannelInfo<ChatSettings>> = {}): Chat {
  const settings = settingsSchema.parse(typed(more));
  const info: ChannelInfo<ChatSettings> = { key: 'chat-7k3q9x', address: settings.widgetId, name: 'Chat', enabled: true, settings, ...channel };
  const messages: { readonly visitor: string; readonly message: VisibleMessage }[] = [];
  const listeners = new Set<Listener>();
  const page = plugin.page;
  if (page === undefined) throw new Error('a chat has a page');
  const made: Chat = {
    channel: info,
    delivered: [],
    lines: [],
    told: [],
    here: [],
    reads: 0,
    clock: START,
    away: false,
    agents: true,
    mails: 'queued',
    now: () => made.clock,
    sign,
    fetch: () => Promise.reject(new Error('a chat calls nobody')),
    log: (message, fields) => void made.lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    signal: new AbortController().signal,
    pageUrl: PAGE_URL,
    deliver: async (raw) => {
      if (made.away) throw new Error('the database is away');
      made.delivered.push(raw);
    },
    async history({ value }, after) {
      made.reads += 1;
      const theirs = messages.filter((one) => one.visitor === value).map(({ message }) => message);
      // As it was when it was asked: what is said while a database answers is not in it.
      await new Promise((resolve) => setImmediate(resolve));
      if (made.away) throw new Error('the database is away');
      return theirs.slice(theirs.findIndex(({ id }) => id === after) + 1).slice(0, 100);
    },
    news({ value }, signal) {
      const listener: Listener = { visitor: value, waiting: [], wake: () => undefined, over: signal.aborted };
      if (!listener.over) listeners.add(listener);
      const end = (): void => {
        listener.over = true;
        listeners.delete(listener);
        listener.wake();
      };
      signal.addEventListener('abort', end, { once: true });
      return take(listener);
    },
    tell: (visitor, what) => void (what === 'here' ? made.here : made.told).push(visitor),
    transcript: async () => made.mails,
    available: async () => made.agents,
    allow: async () => true,
    listening: () => listeners.size,
    say({ value }, text, from = 'us') {
      const id = `0198c0de-0000-7000-8000-${String(messages.length).padStart(12, '0')}`;
      const message: VisibleMessage = {
        id,
        from,
        providerMessageId: from === 'visitor' ? `own-${messages.length}` : null,
        author: from === 'us' ? 'Ada' : null,
        text,
        html: null,
        quickReplies: [],
        at: new Date(made.clock).toISOString(),
      };
      messages.push({ visitor: value, message });
      made.tellPages({ kind: 'visitor', value }, { type: 'message', message });
      return message;
    },
    tellPages({ value }, news) {
      for (const listener of listeners) {
        if (listener.visitor !== value) continue;
        listener.waiting.push(news);
        listener.wake();
      }
    },
    endNews() {
      for (const listener of listeners) {
        listener.over = true;
        listener.wake();
      }
      listeners.clear();
    },
    ask: (path, init) => page(new Request(PAGE_URL + path, init), made),
    async come() {
      const response = await made.ask('/visitor', { method: 'POST' });
      const { token } = (await response.json()) as { readonly token: string };
      const authorization = `Bearer ${token}`;
      return {
        token,
        identity: { kind: 'visitor', value: token.split('.')[1] ?? '' },
        post: (path, body, headers = {}) => made.ask(path, json(body, { authorization, ...headers })),
        stream: (after) => made.ask('/stream', { headers: { authorization, ...(after === undefined ? {} : { 'last-event-id': after }) } }),
      };
    },
    async parsed(index = made.delivered.length - 1) {
      const raw = made.delivered[index];
      if (raw === undefined) throw new Error('nothing was delivered');
      return plugin.parse(raw, made);
    },
  };
  return made;
}

async function* take(listener: Listener): AsyncGenerator<PageNews, void> {
  while (!listener.over || listener.waiting.length > 0) {
    const news = listener.waiting.shift();
    if (news !== undefined) yield news;
    else await new Promise<void>((resolve) => (listener.wake = resolve));
  }
}

export function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}

let messageNumber = 0;

/** A message as the widget sends it. */
export function said(more: Record<string, unknown> = {}): Record<string, unknown> {
  messageNumber += 1;
  return { id: `0198c0de-1111-4000-8000-${String(messageNumber).padStart(12, '0')}`, text: 'Hello', ...more };
}

/** One event of a stream; a comment has the type `ping`. */
export interface StreamEvent {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

export interface StreamReader {
  /** The next event; undefined: the stream has ended. */
  next(): Promise<StreamEvent | undefined>;
  /** As a page that is closed. */
  cut(): Promise<void>;
}

/** Reads a stream as a browser does, whatever pieces its bytes come in. */
export function readStream(response: Response): StreamReader {
  if (response.body === null) throw new Error('no stream');
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  return {
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end >= 0) {
          const lines = text.slice(0, end).split('\n');
          text = text.slice(end + 2);
          return eventOf(lines);
        }
        const { done, value } = await reader.read();
        if (done) return undefined;
        text += decoder.decode(value, { stream: true });
      }
    },
    cut: () => reader.cancel(),
  };
}

function eventOf(lines: readonly string[]): StreamEvent {
  const field = (name: string): string | undefined => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field('data');
  return { type: data === undefined ? 'ping' : (field('event') ?? 'message'), id: field('id'), data: data === undefined ? undefined : JSON.parse(data) };
}

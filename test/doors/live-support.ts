import { randomUUID } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { serve, type ServerType } from '@hono/node-server';
import { CONTRACT_VERSION, definePlugin, type Identity, type InboundEvent, type PageContext, type PageNews, type Plugin } from '@trunkline/channel-sdk';
import { z } from 'zod';
import { createClientAddress } from '#api/client-address.ts';
import { createDoors } from '#api/doors/index.ts';
import { createFeed } from '#api/feed.ts';
import { createGate } from '#api/gate.ts';
import { RATES, type RateLimitName } from '#api/limits.ts';
import { createLive, type Live, type LiveDeps } from '#api/live/index.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { createGraphqlHandler } from '#api/server.ts';
import { connectChannel, type Connected } from '#commands/channels.ts';
import { applyDeliveries, takeDeliveries } from '#commands/intake.ts';
import { safeParts } from '#commands/safe-html.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { noDns } from '#runtime/dns.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { placeId } from '../support/email-channel.ts';
import { plainCapabilities } from '../support/fixtures.ts';
import { keys, PUBLIC_URL } from './support.ts';

/** What a talk's page sends down its stream: what `history` gave, then news. */
export type Line = { readonly type: 'ready' } | (PageNews & { readonly old?: boolean });

const said = z.object({ v: z.string(), id: z.string(), text: z.string() });

/** The smallest plugin whose pages hold a conversation: a stream of JSON lines, and two things that can be sent. Nobody is who they say: it is for tests of the engine. */
export const talk: Plugin = definePlugin({
  key: 'talk',
  name: 'Talk',
  contract: CONTRACT_VERSION,
  settings: z.object({ name: z.string() }),
  secrets: [],
  capabilities: { ...plainCapabilities, identities: ['visitor'], threading: 'participant', inbound: ['page'], outbound: 'reply', typing: true, live: true },
  address: (settings) => settings.name,
  parse: async (raw): Promise<readonly InboundEvent[]> => {
    const { v, id, text } = said.parse(JSON.parse(Buffer.from(raw.body).toString()));
    const thread = { joins: [`visitor:${v}`], keys: [`visitor:${v}`] };
    return [
      {
        type: 'message',
        direction: 'inbound',
        dedupeKey: `message:${v}:${id}`,
        providerMessageId: id,
        contact: visitor(v),
        participants: [],
        thread,
        text,
        attachments: [],
      },
    ];
  },
  send: async (message) => ({ providerMessageId: message.id, keys: [], state: 'sent' as const }),
  async page(request, context) {
    if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: OPEN });
    const url = new URL(request.url);
    const who = visitor(url.searchParams.get('v') ?? 'nobody');
    switch (url.pathname.split('/').at(-1)) {
      case 'stream':
        return stream(context, who, url.searchParams.get('after') ?? undefined, url.searchParams.has('deaf'));
      case 'say':
        if (!(await context.allow(''))) return new Response(null, { status: 429 });
        await context.deliver({
          method: 'POST',
          url: request.url,
          headers: {},
          body: new Uint8Array(await request.arrayBuffer()),
          receivedAt: new Date(context.now()).toISOString(),
        });
        return new Response(null, { status: 202, headers: OPEN });
      case 'typing':
        context.tell(who, 'typing');
        return new Response(null, { status: 204, headers: OPEN });
      case 'here':
        context.tell(who, 'here');
        return new Response(null, { status: 204, headers: OPEN });
      default:
        return new Response('hello', { headers: OPEN });
    }
  },
});

const OPEN = { 'access-control-allow-origin': 'https://shop.example' };
const visitor = (value: string): Identity => ({ kind: 'visitor', value });

/** `deaf`: does not hear that nobody reads any more. */
function stream(context: PageContext<unknown>, who: Identity, after: string | undefined, deaf: boolean): Response {
  const over = new AbortController();
  const news = context.news(who, over.signal);
  async function* lines(): AsyncGenerator<Line> {
    yield { type: 'ready' };
    let from = after;
    for (;;) {
      const page = await context.history(who, from);
      for (const message of page) yield { type: 'message', message, old: true };
      from = page.at(-1)?.id ?? from;
      if (page.length === 0) break;
    }
    yield* news;
  }
  const all = lines();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await all.next();
      if (done === true) controller.close();
      else controller.enqueue(Buffer.from(`${JSON.stringify(value)}\n`));
    },
    cancel: () => (deaf ? undefined : over.abort()),
  });
  return new Response(body, { headers: { ...OPEN, 'content-type': 'application/x-ndjson' } });
}

export async function connectTalk(db: Db, plugin: Plugin = talk): Promise<Connected> {
  const input = { plugin: plugin.key, name: 'Talk', placeId: await placeId(db, 'HELP_DESK'), settings: { name: randomUUID() } };
  return (await transact(db, { actor: 'SYSTEM' }, (unit) => connectChannel(unit, { plugins: [plugin], keys }, input))).value;
}

/** One api process with an intake of its own, over real HTTP. */
export interface Process {
  readonly url: string;
  readonly graphql: string;
  readonly db: Db;
  readonly live: Live;
  readonly statements: string[];
  readonly problems: unknown[];
  readonly lines: string[];
  page(key: string): string;
  close(): Promise<void>;
}

export interface ProcessOptions {
  readonly rates?: Partial<Record<RateLimitName, number>>;
  readonly limits?: LiveDeps['limits'];
  readonly plugins?: readonly Plugin[];
  readonly lookMs?: number;
}

export async function openProcess(url: string, options: ProcessOptions = {}): Promise<Process> {
  const statements: string[] = [];
  const problems: unknown[] = [];
  const lines: string[] = [];
  const plugins = options.plugins ?? [talk];
  const db = openDatabase(url, { name: 'test-live', max: 10, onStatement: (text) => void statements.push(text) });
  const feed = createFeed({ db, directUrl: url, lookMs: options.lookMs ?? 200, beatMs: 300, onProblem: (_what, error) => void problems.push(error) });
  const live = createLive({
    db,
    feed,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onProblem: (_what, error) => void problems.push(error),
  });
  const clientAddress = createClientAddress(['127.0.0.0/8']);
  const intakes = new Map<string, Promise<void>>();
  const doors = createDoors({
    db,
    keys,
    plugins,
    live,
    clientAddress,
    waker: {
      // One after the other for each channel, as the intake's workflow is.
      async signalWithStart({ workflowId }) {
        const key = workflowId.replace('channel-intake/', '');
        if (key === workflowId) return;
        intakes.set(
          key,
          (intakes.get(key) ?? Promise.resolve()).then(() => takeIn(db, plugins, key)).catch((error: unknown) => void problems.push(error)),
        );
      },
    },
    resolveDns: noDns,
    rates: createRateLimits(db, { ...RATES, livePerMinute: 100_000, liveWritesPerMinute: 100_000, ...options.rates }),
    log: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    env: { publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', ports: new Map() } },
  });
  const gate = createGate({ db, rates: createRateLimits(db), clientAddress, signIn: undefined, onError: () => 'gate' });
  const handler = createGraphqlHandler({
    db,
    keys,
    plugins,
    feed,
    live,
    gate,
    dispatch: () => undefined,
    pluginContext: (_plugin, channel) => createPluginContext(channel, { sign: (text) => text, log: () => undefined }),
    graphiql: false,
    onError: (_id, error) => void problems.push(error),
  });
  const server = await new Promise<ServerType>((resolve) => {
    const started = serve(
      {
        fetch: (request, env) => {
          const incoming = 'incoming' in env && env.incoming instanceof IncomingMessage ? env.incoming : undefined;
          return new URL(request.url).pathname === '/graphql'
            ? handler(request, incoming)
            : doors.app.fetch(request, incoming === undefined ? {} : { incoming });
        },
        hostname: '127.0.0.1',
        port: 0,
      },
      () => resolve(started),
    );
  });
  const bound = server.address();
  const base = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
  return {
    url: base,
    graphql: `${base}/graphql`,
    db,
    live,
    statements,
    problems,
    lines,
    page: (key) => `${base}/pages/${plugins[0]?.key}/${key}`,
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      await Promise.all([feed.close(), live.close()]);
      if ('closeIdleConnections' in server) server.closeIdleConnections();
      await closed;
      await doors.close();
      await Promise.all(intakes.values());
      await db.destroy();
    },
  };
}

async function takeIn(db: Db, plugins: readonly Plugin[], channelKey: string): Promise<void> {
  for (;;) {
    const taken = await takeDeliveries(db, channelKey, 50);
    const plugin = plugins.find(({ key }) => key === taken?.plugin);
    if (taken === undefined || plugin === undefined || taken.deliveries.length === 0) return;
    const parsed = await Promise.all(
      taken.deliveries.map(async ({ id, raw }) => {
        const events = await plugin.parse(raw, createPluginContext({ key: channelKey, address: '', name: '', enabled: true, settings: {} }, CONTEXT));
        return { deliveryId: id, receivedAt: raw.receivedAt, events, safe: safeParts(events) };
      }),
    );
    for (;;) {
      const { value } = await applyDeliveries(db, { keys, capabilities: plugin.capabilities }, taken.channelId, parsed);
      // Another process's intake is writing this channel's.
      if (!value.busy) break;
    }
  }
}

const CONTEXT = { sign: (text: string) => text, log: () => undefined };

/** A visitor's open page: what came, in order. */
export interface OpenPage {
  readonly lines: readonly Line[];
  readonly status: number;
  /** Resolves when the stream has ended, by whichever side. */
  readonly ended: Promise<void>;
  /** Cuts the connection. */
  cut(): void;
}

export async function openPage(
  page: string,
  v: string,
  options: { readonly after?: string | undefined; readonly deaf?: boolean; readonly from?: string } = {},
): Promise<OpenPage> {
  const over = new AbortController();
  const query = new URLSearchParams({ v, ...(options.after === undefined ? {} : { after: options.after }), ...(options.deaf === true ? { deaf: '1' } : {}) });
  const response = await fetch(`${page}/stream?${query}`, {
    signal: over.signal,
    headers: options.from === undefined ? {} : { 'x-forwarded-for': options.from },
  });
  const lines: Line[] = [];
  const ended = (async () => {
    let rest = '';
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const parts = `${rest}${chunk}`.split('\n');
        rest = parts.pop() ?? '';
        for (const part of parts) lines.push(JSON.parse(part) as Line);
      }
    } catch {
      // Cut.
    }
  })();
  return { lines, status: response.status, ended, cut: () => over.abort() };
}

export async function say(page: string, v: string, text: string, id: string = randomUUID(), headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${page}/say`, { method: 'POST', body: JSON.stringify({ v, id, text }), headers });
}

/** What is shown, as a page does: a message it has already, which may come once more as news, it knows by its id. */
export function texts(page: OpenPage | undefined): readonly string[] {
  const shown = new Map((page?.lines ?? []).flatMap((line) => (line.type === 'message' ? [[line.message.id, line.message.text] as const] : [])));
  return [...shown.values()];
}

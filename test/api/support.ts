import { randomBytes } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { serve, type ServerType } from '@hono/node-server';
import type { Plugin } from '@trunkline/channel-sdk';
import { openDatabase, type Db } from '#db/database.ts';
import type { Role } from '#db/schema.ts';
import { hashToken } from '#commands/secrets.ts';
import type { Wake } from '#domain/wake.ts';
import { createFileDoors } from '#api/doors/files.ts';
import { createFeed, type Feed } from '#api/feed.ts';
import { createClientAddress } from '#api/client-address.ts';
import { createGate } from '#api/gate.ts';
import { RATES, type RateLimitName } from '#api/limits.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { createGraphqlHandler } from '#api/server.ts';
import type { SignIn } from '#api/sign-in.ts';
import { globalId } from '#api/builder.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { testDatabase } from '../support/database.ts';
import { makeUser, plainPlugin, testKeys, type TestUser } from '../support/fixtures.ts';

export { globalId };

export interface Answer {
  readonly status: number;
  readonly data: Record<string, unknown>;
  readonly errors: readonly { readonly message: string; readonly extensions?: Readonly<Record<string, unknown>> }[];
}

export interface Person {
  readonly id: string;
  readonly gid: string;
  readonly token: string;
  /** Asks over HTTP as this user; throws where there are errors. */
  ask(query: string, variables?: Readonly<Record<string, unknown>>): Promise<Json>;
  /** As `ask`, with whatever came. */
  raw(query: string, variables?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** A subscription: each item's data, until it ends. */
  listen(query: string, variables?: Readonly<Record<string, unknown>>): Stream;
}

/** Parsed JSON that a test walks through by names it asked for itself. */
export interface Json {
  readonly [name: string]: Json;
}

/** A leaf of an answer, as text. */
export function text(value: Json | null | undefined): string {
  const leaf: unknown = value;
  if (typeof leaf !== 'string' && typeof leaf !== 'number') throw new TypeError(`not a leaf: ${JSON.stringify(leaf)}`);
  return String(leaf);
}

export interface Stream {
  /** The next item; null: the stream has ended. Throws after `ms`. */
  next(ms?: number): Promise<Json | null>;
  close(): void;
}

export interface World {
  readonly db: Db;
  readonly url: string;
  readonly endpoint: string;
  readonly feed: Feed;
  readonly wakes: Wake[];
  readonly statements: string[];
  readonly errors: { readonly errorId: string; readonly error: unknown }[];
  user(options?: TestUser): Promise<Person>;
  /** Another API process on the same database. */
  sibling(): Promise<World>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly plugins?: readonly Plugin[];
  readonly graphiql?: boolean;
  readonly keep?: number;
  readonly lookMs?: number;
  readonly beatMs?: number;
  readonly signIn?: SignIn;
  readonly corsOrigins?: readonly string[];
  readonly trustedProxies?: readonly string[];
  readonly publicUrl?: string;
  readonly rates?: Readonly<Record<RateLimitName, number>>;
}

/** A database of its own and the API on a port of its own, over real HTTP. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { url, db, drop } = await testDatabase();
  const world = await openApi(url, db, options);
  return {
    ...world,
    close: async () => {
      await world.close();
      await drop();
    },
  };
}

async function openApi(url: string, db: Db, options: WorldOptions): Promise<World> {
  const statements: string[] = [];
  const errors: World['errors'] = [];
  const wakes: Wake[] = [];
  const counted = openDatabase(url, { name: 'test-api', onStatement: (text) => void (isBeside(text) ? undefined : statements.push(text)) });
  const feed = createFeed({ db: counted, directUrl: url, lookMs: options.lookMs ?? 200, beatMs: options.beatMs ?? 300, keep: options.keep ?? 5_000 });
  const onError = (errorId: string, error: unknown) => void errors.push({ errorId, error });
  const gate = createGate({
    db: counted,
    rates: createRateLimits(counted, options.rates ?? RATES),
    clientAddress: createClientAddress(options.trustedProxies ?? []),
    signIn: options.signIn,
    onError: (error) => {
      onError('gate', error);
      return 'gate';
    },
  });
  const files = createFileDoors({ db: counted, keys: testKeys, gate, corsOrigins: options.corsOrigins ?? [] });
  const handler = createGraphqlHandler({
    db: counted,
    keys: testKeys,
    plugins: options.plugins ?? [plainPlugin],
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
    feed,
    dispatch: (some) => void wakes.push(...some),
    pluginContext: (_plugin, channel) => createPluginContext(channel, { sign: (text) => text, log: () => undefined }),
    graphiql: options.graphiql ?? false,
    onError,
    corsOrigins: options.corsOrigins ?? [],
    gate,
  });
  const server = await new Promise<ServerType>((resolve) => {
    const started = serve(
      {
        fetch: (request, env) => {
          const incoming = 'incoming' in env && env.incoming instanceof IncomingMessage ? env.incoming : undefined;
          const isFile = /^\/(uploads|attachments)\b/.test(new URL(request.url).pathname);
          return isFile ? files.fetch(request, incoming === undefined ? {} : { incoming }) : handler(request, incoming);
        },
        hostname: '127.0.0.1',
        port: 0,
      },
      () => resolve(started),
    );
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const endpoint = `http://127.0.0.1:${port}/graphql`;
  const siblings: World[] = [];
  return {
    db,
    url,
    endpoint,
    feed,
    wakes,
    statements,
    errors,
    user: (user = {}) => person(db, endpoint, user),
    sibling: async () => {
      const other = await openApi(url, db, options);
      siblings.push(other);
      return other;
    },
    close: async () => {
      for (const other of siblings) await other.close();
      await feed.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
      await counted.destroy();
    },
  };
}

/** What goes on beside every request: that a token was used is noted once a minute, its requests are counted once in thirty, the feed looks once a second, readers of the feed are told a moment after a commit. No request's statements are counted with it. */
function isBeside(text: string): boolean {
  return (
    text.includes('rate_limit') ||
    text.includes('place_activity') ||
    text.includes('as asked_place') ||
    text.includes('set last_used_at = now()') ||
    text.includes('pg_snapshot_xmin') ||
    text.includes('pg_notify')
  );
}

/** A user with a token. */
async function person(db: Db, endpoint: string, user: TestUser & { readonly role?: Role }): Promise<Person> {
  const id = await makeUser(db, user);
  const token = `test_${randomBytes(16).toString('hex')}`;
  await db
    .insertInto('api_token')
    .values({ user_id: id, name: 'test', token_hash: hashToken(token) })
    .execute();
  return as(endpoint, id, token);
}

/** The same user at another process. */
export function at(world: World, { id, token }: Person): Person {
  return as(world.endpoint, id, token);
}

/** A user with another token of theirs. */
export function as(endpoint: string, id: string, token: string): Person {
  const raw = (query: string, variables: Readonly<Record<string, unknown>> = {}) => post(endpoint, token, query, variables);
  return {
    id,
    gid: globalId('User', id),
    token,
    raw,
    async ask(query, variables) {
      const answer = await raw(query, variables);
      if (answer.errors.length > 0) throw new Error(answer.errors.map((error) => error.message).join('; '));
      return answer.data as Json;
    },
    listen: (query, variables = {}) => subscribe(endpoint, token, query, variables),
  };
}

async function post(endpoint: string, token: string, query: string, variables: Readonly<Record<string, unknown>>): Promise<Answer> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const body = (await response.json()) as { data?: Record<string, unknown>; errors?: Answer['errors'] };
  return { status: response.status, data: body.data ?? {}, errors: body.errors ?? [] };
}

/** Reads on from the moment it is made, whether or not anybody asks for the next item. */
function subscribe(endpoint: string, token: string, query: string, variables: Readonly<Record<string, unknown>>): Stream {
  const over = new AbortController();
  const come: (Json | Error | null)[] = [];
  let wake: () => void = () => undefined;
  const put = (item: Json | Error | null) => {
    come.push(item);
    wake();
  };
  void (async () => {
    try {
      for await (const item of events(endpoint, token, query, variables, over.signal)) put(item);
      put(null);
    } catch (error) {
      put(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  return {
    async next(ms = 120_000) {
      const end = Date.now() + ms;
      for (;;) {
        const item = come.shift();
        if (item instanceof Error) throw item;
        if (item !== undefined) return item;
        if (Date.now() >= end) throw new Error(`no item within ${ms} ms`);
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, end - Date.now());
        });
      }
    },
    close: () => over.abort(),
  };
}

/** Server-sent events as they are on the wire, read by hand: no client library stands between. */
async function* events(
  endpoint: string,
  token: string,
  query: string,
  variables: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<Json, void> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
    signal,
  });
  if (response.body === null) throw new Error(`no stream: ${response.status}`);
  let buffered = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    buffered += chunk;
    for (let end = buffered.indexOf('\n\n'); end >= 0; end = buffered.indexOf('\n\n')) {
      const block = buffered.slice(0, end);
      buffered = buffered.slice(end + 2);
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name === 'complete') return;
      if (name !== 'next' || data === undefined) continue;
      const result = JSON.parse(data) as { data?: Json; errors?: { message: string }[] };
      if (result.errors !== undefined) throw new Error(result.errors.map((error) => error.message).join('; '));
      if (result.data !== undefined) yield result.data;
    }
  }
}

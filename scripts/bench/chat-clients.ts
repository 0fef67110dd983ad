import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Visitors with an open stream each, and the agents who answer them: a process of its own, as they are in the world. */
export interface ClientsOrder {
  /** `http://…/pages/<plugin>/<channel key>/` */
  readonly page: string;
  readonly graphql: string;
  readonly relay: string;
  /** Of the agents: each answers in turn. */
  readonly tokens: readonly string[];
  readonly streams: number;
}

export type Ask =
  | { readonly type: 'open'; readonly order: ClientsOrder }
  /** Every visitor says a first word and is answered, so that conversations are there, each with its agent. */
  | { readonly type: 'begin' }
  | { readonly type: 'round'; readonly way: 'ours' | 'bare'; readonly count: number; readonly perSecond: number };

/** Milliseconds of each round trip; `lost`: those that did not come back in a minute. */
export interface Answer {
  readonly times: readonly number[];
  /** Of each of ours until the agents had it. */
  readonly there: readonly number[];
  readonly lost: number;
}

const PATIENCE_MS = 60_000;
const FEED = `subscription Feed { events { ... on FeedItem { event { kind conversation { id } message { text } } } } }`;
const REPLY = `mutation Reply($input: ReplyInput!) { reply(input: $input) { __typename } }`;

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
const visitors: { readonly token: string; readonly address: string }[] = [];
const began = new Map<string, number>();
const trips = new Map<string, { readonly done: (milliseconds: number) => void }>();
const greeted = new Set<string>();
const there: number[] = [];
let order: ClientsOrder | undefined;
let turn = 0;

process.on('message', (ask: Ask) => {
  void answer(ask).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      console.error('bench: the clients failed', error);
      process.exit(1);
    },
  );
});
let over = false;
process.on('disconnect', () => {
  over = true;
  process.exit(0);
});

async function answer(ask: Ask): Promise<Answer> {
  switch (ask.type) {
    case 'open':
      order = ask.order;
      await open(ask.order);
      return { times: [], there: [], lost: 0 };
    case 'begin':
      await begin();
      return { times: [], there: [], lost: 0 };
    case 'round':
      return round(ask);
  }
}

async function open({ page, graphql, relay, tokens, streams }: ClientsOrder): Promise<void> {
  await follow(graphql, { method: 'POST', headers: agentHeaders(tokens[0]), body: JSON.stringify({ query: FEED }) }, onFeed);
  await follow(`${relay}/agent`, {}, (text) => void post(`${relay}/${text.split(':')[1] ?? ''}`, {}, text));
  await inParallel(streams, async (index) => {
    const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
    const { token } = JSON.parse(await post(`${page}visitor`, { 'x-forwarded-for': address }, '')) as { token: string };
    visitors[index] = { token, address };
    await follow(`${page}stream`, { headers: visitorHeaders(index) }, onMessage);
    await follow(`${relay}/${index}`, {}, (text) => ended(text));
  });
}

async function begin(): Promise<void> {
  await inParallel(visitors.length, async (index) => {
    await say(index, `hello:${index}`);
  });
  const patience = performance.now() + PATIENCE_MS * 2;
  while (greeted.size < visitors.length) {
    if (performance.now() > patience) throw new Error(`only ${greeted.size} of ${visitors.length} first messages were answered`);
    await sleep(100);
  }
}

async function round({ way, count, perSecond }: Extract<Ask, { type: 'round' }>): Promise<Answer> {
  const times: number[] = [];
  let lost = 0;
  const all: Promise<void>[] = [];
  const start = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    await sleep(Math.max(0, start + (sent * 1000) / perSecond - performance.now()));
    turn = (turn + 1) % visitors.length;
    const text = `${way}:${turn}:${randomUUID()}`;
    all.push(
      trip(text, turn, way).then(
        (time) => void times.push(time),
        (error: unknown) => {
          console.error(`bench: ${way}: ${error instanceof Error ? error.message : 'failed'}`);
          lost += 1;
        },
      ),
    );
  }
  await Promise.all(all);
  return { times, there: there.splice(0), lost };
}

async function trip(text: string, index: number, way: 'ours' | 'bare'): Promise<number> {
  const started = performance.now();
  began.set(text, started);
  const back = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('it did not come back')), PATIENCE_MS);
    trips.set(text, {
      done(milliseconds) {
        clearTimeout(timer);
        resolve(milliseconds);
      },
    });
  });
  if (way === 'ours') await say(index, text);
  else await post(`${order?.relay}/agent`, {}, text);
  return back;
}

/** What the agents' stream brings is answered at once, with the same text. */
function onFeed(data: string): void {
  const { event } = (JSON.parse(data) as { data?: { events?: { event?: FeedEvent } } }).data?.events ?? {};
  if (event?.kind !== 'MESSAGE_RECEIVED' || event.message === null || event.conversation === null) return;
  const { text } = event.message;
  const started = began.get(text);
  if (started !== undefined) there.push(performance.now() - started);
  if (!/^(ours|hello):/.test(text) || order === undefined) return;
  const token = order.tokens[Math.floor(Math.random() * order.tokens.length)];
  const input = { conversationId: event.conversation.id, text: `back ${text}` };
  void post(order.graphql, agentHeaders(token), JSON.stringify({ query: REPLY, variables: { input } })).then((body) => {
    if (!body.includes('"Message"')) console.error('bench: an answer was refused', body.slice(0, 300));
  });
}

interface FeedEvent {
  readonly kind: string;
  readonly conversation: { readonly id: string } | null;
  readonly message: { readonly text: string } | null;
}

function onMessage(data: string): void {
  const { text } = JSON.parse(data) as { text?: string };
  if (text?.startsWith('back hello:') === true) greeted.add(text);
  else if (text?.startsWith('back ') === true) ended(text.slice('back '.length));
}

function ended(text: string): void {
  const started = began.get(text);
  if (started === undefined) return;
  began.delete(text);
  trips.get(text)?.done(performance.now() - started);
  trips.delete(text);
}

async function say(index: number, text: string): Promise<void> {
  await post(`${order?.page}messages`, { ...visitorHeaders(index), 'content-type': 'application/json' }, JSON.stringify({ id: randomUUID(), text }));
}

function visitorHeaders(index: number): Record<string, string> {
  const visitor = visitors[index];
  return { authorization: `Bearer ${visitor?.token ?? ''}`, 'x-forwarded-for': visitor?.address ?? '' };
}

function agentHeaders(token = ''): Record<string, string> {
  return { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'text/event-stream, application/json' };
}

interface Options {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Resolves once the stream has begun; each `data:` line goes to `heard`. */
function follow(url: string, { method = 'GET', headers = {}, body }: Options, heard: (data: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { method, headers, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`a stream was answered with ${response.statusCode}`));
        return;
      }
      let rest = '';
      resolve();
      response.setEncoding('utf8').on('data', (piece: string) => {
        const lines = (rest + piece).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line.startsWith('data: {') || line.startsWith('data: bare:')) heard(line.slice('data: '.length));
      });
      response.on('close', () => {
        if (!over) console.error('bench: a stream was ended');
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

function post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      url,
      { method: 'POST', agent, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } },
      (response: IncomingMessage) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => void (text += piece));
        response.on('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(text);
          else reject(new Error(`answered with ${response.statusCode}`));
        });
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

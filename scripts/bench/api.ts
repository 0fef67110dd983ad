import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import config from '#config';
import { createFeed } from '#api/feed.ts';
import { createGate } from '#api/gate.ts';
import { RATES } from '#api/limits.ts';
import { createRateLimits } from '#api/rate-limit.ts';
import { createGraphqlHandler } from '#api/server.ts';
import { ensureDevelopmentAccount } from '#commands/development.ts';
import { keysFrom } from '#commands/secrets.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { migrateToLatest } from '#db/migrate.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import { startPostgres } from '../servers/postgres.ts';
import { createProgress } from '../servers/progress.ts';
import { readPage, seedTickets } from './api-page.ts';
import { parseRates } from './api-parse.ts';
import { median, percentile, printTable, rounded, type Row } from './statistics.ts';

const ROUNDS = 3;
const PAGES = 400;
const WARM_UP = 100;
const TICKETS = 20_000;
/** A page by hand that takes longer than this: the machine is too slow for the ratio to mean anything. */
const ABSURD_MS = 250;

const QUERY = `query Page { tickets(first: 50, order: NEWEST_FIRST, filter: { statusCategory: OPEN }) { edges { node {
  number name priority createdAt status { name } contact { name identities { value } } owner { name } team { name } channel { key name }
  thread { lastMessage { text direction occurredAt } } } } pageInfo { hasNextPage endCursor } } }`;

/** The API: a page of tickets through GraphQL over HTTP against one statement by hand; mails parsed and stored against the parser alone. */
export async function run(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-bench-'));
  const postgres = await startPostgres({ directory, progress: createProgress({}) });
  try {
    await migrateToLatest(postgres.url);
    const db = openDatabase(postgres.url, { max: 20, name: 'bench-api' });
    try {
      const pages = await pageTimes(db, postgres.url);
      const parsing = await parseRates(db, ROUNDS);
      if (pages.absurd || parsing.absurd) {
        console.error('bench: the baseline is absurdly slow');
        return 2;
      }
      const figures = {
        pageRatio: rounded(median(pages.ours.map((time, index) => time / (pages.bare[index] ?? Number.NaN)))),
        parseRatio: rounded(parsing.ratio),
      };
      const rows: readonly Row[] = [
        {
          what: 'page of 50 tickets, p50',
          ours: `${rounded(median(pages.ours))} ms`,
          bare: `${rounded(median(pages.bare))} ms, one statement by hand`,
          ratio: String(figures.pageRatio),
          wanted: '≤ 3',
        },
        {
          what: 'mails parsed and stored',
          ours: `${rounded(parsing.ours)}/s`,
          bare: `${rounded(parsing.bare)}/s, postal-mime alone`,
          ratio: String(figures.parseRatio),
          wanted: '≥ 0.1',
        },
      ];
      printTable(rows);
      console.log(JSON.stringify(figures));
      return 0;
    } finally {
      await db.destroy();
    }
  } finally {
    await postgres.stop();
    postgres.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Medians of each round, both asked in turns over connections of their own. */
async function pageTimes(
  db: Db,
  databaseUrl: string,
): Promise<{ readonly ours: readonly number[]; readonly bare: readonly number[]; readonly absurd: boolean }> {
  const { token } = await ensureDevelopmentAccount(db);
  await seedTickets(db, TICKETS);
  const feed = createFeed({ db, directUrl: databaseUrl });
  const graphql = createGraphqlHandler({
    db,
    keys: keysFrom('0b'.repeat(32)),
    plugins: config.plugins,
    feed,
    dispatch: () => undefined,
    pluginContext: (_plugin, channel) => createPluginContext(channel, { sign: (text) => text, log: () => undefined }),
    // As in production, but for the number: one caller asks all of it.
    gate: createGate({ db, rates: createRateLimits(db, { ...RATES, callerPerMinute: 1_000_000 }), onError: () => 'bench' }),
    graphiql: false,
    onError: (errorId, error) => console.error(`bench: the API failed (${errorId})`, error),
  });
  const app = new Hono();
  app.all('/graphql', (context) => graphql(context.req.raw));
  const ours = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  const bare = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      readPage(db, 50).then(
        (rows) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify({ tickets: rows }));
        },
        () => response.writeHead(500).end(),
      );
    });
  }).listen(0, '127.0.0.1');
  const body = Buffer.from(JSON.stringify({ query: QUERY }));
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'content-length': String(body.length) };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const medians: { readonly ours: number[]; readonly bare: number[] } = { ours: [], bare: [] };
  try {
    const ports = { ours: await portOf(ours as Server), bare: await portOf(bare) };
    const ask = (which: 'ours' | 'bare') => post(agent, ports[which], which === 'ours' ? '/graphql' : '/', headers, body);
    await sameContent(ask);
    for (let round = 0; round < ROUNDS; round += 1) {
      const times: { readonly ours: number[]; readonly bare: number[] } = { ours: [], bare: [] };
      for (let turn = 0; turn < PAGES + WARM_UP; turn += 1) {
        for (const which of turn % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const)) {
          const { time } = await ask(which);
          if (turn >= WARM_UP) times[which].push(time);
        }
      }
      medians.ours.push(percentile(times.ours, 0.5));
      medians.bare.push(percentile(times.bare, 0.5));
    }
  } finally {
    agent.destroy();
    await Promise.all([ours, bare].map((server) => new Promise<void>((resolve) => void server.close(() => resolve()))));
    await feed.close();
  }
  return { ...medians, absurd: median(medians.bare) > ABSURD_MS };
}

/** Both must bring the same page, or the comparison says nothing. */
async function sameContent(ask: (which: 'ours' | 'bare') => Promise<{ readonly text: string }>): Promise<void> {
  const theirs = JSON.parse((await ask('bare')).text) as { tickets: readonly { number: number; last_text: string; team: string | null }[] };
  const ours = JSON.parse((await ask('ours')).text) as {
    data?: { tickets: { edges: readonly { node: { number: number; team: { name: string } | null; thread: { lastMessage: { text: string } } } }[] } };
  };
  const mine = ours.data?.tickets.edges.map(({ node }) => [node.number, node.thread.lastMessage.text, node.team?.name ?? null]);
  const bare = theirs.tickets.map((row) => [Number(row.number), row.last_text, row.team]);
  if (bare.length !== 50 || JSON.stringify(mine) !== JSON.stringify(bare)) throw new Error('bench: the two pages differ');
}

async function portOf(server: Server): Promise<number> {
  if (!server.listening) await new Promise<void>((resolve) => void server.once('listening', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Milliseconds from the first byte sent to the answer's end. */
function post(
  agent: Agent,
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Promise<{ readonly time: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const sent = httpRequest({ agent, host: '127.0.0.1', port, path, method: 'POST', headers }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => {
        const time = performance.now() - started;
        if (answer.statusCode === 200) resolve({ time, text: Buffer.concat(parts).toString('utf8') });
        else reject(new Error(`bench: ${path} answered ${String(answer.statusCode)}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

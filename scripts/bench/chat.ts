import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import chat from '@trunkline/plugin-chat';
import { sql } from 'kysely';
import config from '#config';
import { connectChannel } from '#commands/channels.ts';
import { ensureDevelopmentAccount } from '#commands/development.ts';
import { createApiToken } from '#commands/tokens.ts';
import { transact } from '#commands/unit.ts';
import { portFinder } from '../servers/ports.ts';
import type { Answer, Ask } from './chat-clients.ts';
import { BENCH_SECRET, layGround, type Ground } from './ground.ts';
import { startRelay } from './relay.ts';
import { median, percentile, printTable, rounded, type Row } from './statistics.ts';

const STREAMS = 1_000;
const PER_SECOND = 20;
const PER_ROUND = 300;
const ROUNDS = 3;
const AGENTS = 20;
/** A bare round trip that takes longer than this: the machine is too slow for the ratio to mean anything. */
const ABSURD_MS = 2_000;

/**
 * Chat: a visitor's message to the agents' subscription and their answer back, with a thousand streams open and twenty messages a second, against the same
 * way there and back by bare signal, activity and stream. The api is a process of its own, and so are the clients; the worker is this one.
 */
export async function run(): Promise<number> {
  const ground = await layGround();
  const children: ChildProcess[] = [];
  try {
    const relay = await startRelay(ground.client, ground.temporalAddress);
    try {
      const api = await startApi(ground, children);
      const page = `${api.url}/pages/${chat.key}/${await chatChannel(ground)}/`;
      const tokens = await agentTokens(ground);
      const clients = fork(new URL('./chat-clients.ts', import.meta.url));
      children.push(clients);
      const before = await ask<Memory>(api.process, 'memory');
      await ask<Answer>(clients, { type: 'open', order: { page, graphql: `${api.url}/graphql`, relay: relay.url, tokens, streams: STREAMS } } satisfies Ask);
      const after = await ask<Memory>(api.process, 'memory');
      console.log(`${STREAMS} streams are open`);
      await ask<Answer>(clients, { type: 'begin' } satisfies Ask);
      await settled(ground);
      // As a database that has been there for more than a minute knows its tables.
      await sql`analyze`.execute(ground.db);
      await round(clients, 'bare', 100);
      await round(clients, 'ours', 100);
      const rounds: { readonly ours: readonly number[]; readonly bare: readonly number[]; readonly there: readonly number[] }[] = [];
      for (let number = 1; number <= ROUNDS; number += 1) {
        console.log(`round ${number} of ${ROUNDS}`);
        await settled(ground);
        const { times: bare } = await round(clients, 'bare', PER_ROUND);
        const { times: ours, there } = await round(clients, 'ours', PER_ROUND);
        rounds.push({ bare, ours, there });
      }
      const figure = (way: 'ours' | 'bare', share: number): number => rounded(median(rounds.map((one) => percentile(one[way], share))));
      console.log(
        `there and back, p50 and p99, round by round: ${rounds.map((one) => (['ours', 'bare'] as const).map((way) => `${way} ${rounded(percentile(one[way], 0.5))} ${rounded(percentile(one[way], 0.99))}`).join(', ')).join('; ')}`,
      );
      console.log(
        `until the agents had it, p50 and p99: ${rounds.map(({ there }) => `${rounded(percentile(there, 0.5))} ${rounded(percentile(there, 0.99))}`).join('; ')}`,
      );
      if (figure('bare', 0.99) > ABSURD_MS) {
        console.error(`bench: the baseline is absurdly slow: ${figure('bare', 0.99)} ms`);
        return 2;
      }
      const widgetBytes = gzipSync(readFileSync(new URL('../../plugins/chat/assets/widget.js', import.meta.url)), { level: 9 }).length;
      const figures = {
        roundTripP50Ms: figure('ours', 0.5),
        roundTripP99Ratio: rounded(median(rounds.map((one) => percentile(one.ours, 0.99) / percentile(one.bare, 0.99)))),
        streamBytes: Math.round((after.bytes - before.bytes) / STREAMS),
        widgetBytes,
      };
      const rows: readonly Row[] = [
        { what: 'there and back, p50', ours: `${figures.roundTripP50Ms} ms`, bare: `${figure('bare', 0.5)} ms`, ratio: '-', wanted: '≤ 300 ms' },
        {
          what: 'there and back, p99',
          ours: `${figure('ours', 0.99)} ms`,
          bare: `${figure('bare', 0.99)} ms`,
          ratio: String(figures.roundTripP99Ratio),
          wanted: '≤ 2',
        },
        {
          what: 'memory for a stream',
          ours: `${figures.streamBytes} bytes`,
          bare: `resident ${Math.round((after.rss - before.rss) / STREAMS)} bytes`,
          ratio: '-',
          wanted: '-',
        },
        { what: 'widget, compressed', ours: `${widgetBytes} bytes`, bare: '-', ratio: '-', wanted: '≤ 20,000 bytes' },
      ];
      printTable(rows);
      console.log(JSON.stringify(figures));
      return 0;
    } finally {
      // The clients first: streams that a server ends are told.
      for (const child of children.toReversed()) await end(child);
      await relay.stop();
    }
  } finally {
    await ground.stop();
  }
}

interface Memory {
  readonly bytes: number;
  readonly rss: number;
}

/** Every message must come back, or the figures say nothing. */
async function round(clients: ChildProcess, way: 'ours' | 'bare', count: number): Promise<Answer> {
  const answer = await ask<Answer>(clients, { type: 'round', way, count, perSecond: PER_SECOND } satisfies Ask);
  if (answer.lost > 0) throw new Error(`${answer.lost} of ${count} messages did not come back (${way})`);
  return answer;
}

/** What goes on behind a conversation's back is over: tickets that the first words made have their owner, and answers count as sent. */
async function settled({ db }: Ground): Promise<void> {
  for (let left = 1_200; left > 0; left -= 1) {
    const { rows } = await sql<{ left: number }>`
      select ((select count(*) from ticket where route_pending_since is not null) + (select count(*) from outbound where state in ('QUEUED', 'SENDING')))::int as left`.execute(
      db,
    );
    if (rows[0]?.left === 0) return;
    await sleep(100);
  }
  throw new Error('two minutes later there is still something to decide or to send');
}

async function startApi(ground: Ground, children: ChildProcess[]): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const find = portFinder();
  const port = await find.any();
  const smtpPort = await find.any();
  const url = `http://127.0.0.1:${port}`;
  const api = fork(new URL('./chat-api.ts', import.meta.url), {
    env: {
      ...process.env,
      DATABASE_URL: ground.databaseUrl,
      TEMPORAL_ADDRESS: ground.temporalAddress,
      TRUNKLINE_SECRET: BENCH_SECRET,
      TRUNKLINE_MODE: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      SMTP_PORT: String(smtpPort),
      PUBLIC_URL: url,
      TRUSTED_PROXIES: '127.0.0.1',
      LOG_LEVEL: 'error',
    },
  });
  children.push(api);
  for (let left = 300; left > 0; left -= 1) {
    if (api.exitCode !== null) throw new Error('the api has ended');
    const ready = await fetch(`${url}/readyz`).catch(() => undefined);
    if (ready?.ok === true) return { process: api, url };
    await sleep(100);
  }
  throw new Error('the api is not ready');
}

async function chatChannel({ db, keys }: Ground): Promise<string> {
  const place = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) =>
    connectChannel(unit, { plugins: config.plugins, keys }, { plugin: chat.key, name: 'Bench', placeId: place.id, settings: { title: 'Bench' } }),
  );
  return value.key;
}

/** Several, for each may ask only so often in a minute. */
async function agentTokens({ db }: Ground): Promise<readonly string[]> {
  const { token: first } = await ensureDevelopmentAccount(db);
  const tokens = [first];
  for (let index = 1; index < AGENTS; index += 1) {
    const { id } = await db
      .insertInto('app_user')
      .values({ email: `agent${index}@users.example`, name: `Agent ${index}`, seat: 'PAID' })
      .returning('id')
      .executeTakeFirstOrThrow();
    const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) => createApiToken(unit, { userId: id, name: 'bench', scopes: ['*'], expiresAt: null }));
    tokens.push(value.token);
  }
  return tokens;
}

/** The next thing the process says. */
function ask<Result>(child: ChildProcess, question: Ask | 'memory'): Promise<Result> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('a process of the bench has ended'));
    child.once('exit', gone);
    child.once('message', (result) => {
      child.off('exit', gone);
      resolve(result as Result);
    });
    child.send(question);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.disconnect();
  await ended;
}

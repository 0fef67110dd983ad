import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { sql } from 'kysely';
import { randomBytes } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import email from '@trunkline/plugin-email';
import config from '#config';
import { createDoors } from '#api/doors/index.ts';
import { connectChannel } from '#commands/channels.ts';
import { transact } from '#commands/unit.ts';
import { wakeAll } from '#workflows/contract.ts';
import testPlugin, { testDelivery } from '#test/support/test-plugin.ts';
import { bareWorkflowsPerSecond, layGround, type Ground } from './ground.ts';
import { listStatements } from './list-statements.ts';
import { median, percentile, printTable, rounded, type Row } from './statistics.ts';
import { noDns } from '#runtime/dns.ts';

const ROUNDS = 3;
const BARE = 300;
const MESSAGES = 5_000;
const CONVERSATIONS = 200;
const TICKETS = 300;
const DOOR_MAILS = 600;
const ACKS = 5_000;
/** Fewer empty workflows a second than this: the machine is too slow for the ratios to mean anything. */
const ABSURD_PER_SECOND = 5;

/** Intake: messages, mails at the door, tickets with their owner, acknowledgements, statements of a list. */
export async function run(): Promise<number> {
  const ground = await layGround();
  try {
    await bareWorkflowsPerSecond(ground.client, 100, 'warm-up');
    const bare: number[] = [];
    const messages: number[] = [];
    const tickets: number[] = [];
    const doors: { readonly ours: number; readonly bare: number }[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      console.log(`round ${round} of ${ROUNDS}`);
      const before = await bareWorkflowsPerSecond(ground.client, BARE, `${round}a`);
      messages.push(await messagesPerSecond(ground));
      const between = await bareWorkflowsPerSecond(ground.client, BARE, `${round}b`);
      tickets.push(await ticketsPerSecond(ground));
      const after = await bareWorkflowsPerSecond(ground.client, BARE, `${round}c`);
      bare.push(median([before, between, after]));
      doors.push(await doorRates(ground));
    }
    const acks = await acknowledgements(ground);
    const statements = await listStatements(ground);
    if (median(bare) < ABSURD_PER_SECOND) {
      console.error(`bench: the baseline is absurdly slow: ${rounded(median(bare))} empty workflows a second`);
      return 2;
    }
    const perBare = (rates: readonly number[]): number => rounded(median(rates.map((rate, index) => rate / (bare[index] ?? Number.NaN))));
    const figures = {
      messagesRatio: perBare(messages),
      doorRatio: rounded(median(doors.map((one) => one.ours / one.bare))),
      ticketsRatio: perBare(tickets),
      ackP50Ratio: rounded(percentile(acks.ours, 0.5) / percentile(acks.bare, 0.5)),
      ackP99Ratio: rounded(percentile(acks.ours, 0.99) / percentile(acks.bare, 0.99)),
      listStatements: statements,
    };
    const perSecond = (rates: readonly number[]): string => `${rounded(median(rates))}/s`;
    const ms = (times: readonly number[], share: number): string => `${rounded(percentile(times, share))} ms`;
    const rows: readonly Row[] = [
      { what: 'messages', ours: perSecond(messages), bare: `${perSecond(bare)} empty workflows`, ratio: String(figures.messagesRatio), wanted: '≥ 5' },
      {
        what: 'mails at the door',
        ours: perSecond(doors.map((one) => one.ours)),
        bare: perSecond(doors.map((one) => one.bare)),
        ratio: String(figures.doorRatio),
        wanted: '≥ 0.5',
      },
      {
        what: 'new tickets with owner',
        ours: perSecond(tickets),
        bare: `${perSecond(bare)} empty workflows`,
        ratio: String(figures.ticketsRatio),
        wanted: '≥ 0.3',
      },
      { what: 'acknowledged, p50', ours: ms(acks.ours, 0.5), bare: ms(acks.bare, 0.5), ratio: String(figures.ackP50Ratio), wanted: '≤ 1.5' },
      { what: 'acknowledged, p99', ours: ms(acks.ours, 0.99), bare: ms(acks.bare, 0.99), ratio: String(figures.ackP99Ratio), wanted: '≤ 3' },
      { what: 'statements of the ticket list', ours: statements.join(' and '), bare: '-', ratio: '-', wanted: 'equal for 10 and 100 rows' },
    ];
    printTable(rows);
    console.log(JSON.stringify(figures));
    return 0;
  } finally {
    await ground.stop();
  }
}

interface BenchChannel {
  readonly id: string;
  readonly key: string;
  readonly address: string;
}

async function mailChannel({ db, keys }: Ground, owners: readonly string[] = []): Promise<BenchChannel> {
  const address = `bench-${randomBytes(4).toString('hex')}@acme.example`;
  const place = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const settings = { kind: 'other', address, companyName: 'Acme', smtp: { host: '127.0.0.1', port: 9, secure: 'none' } };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) =>
    connectChannel(unit, { plugins: config.plugins, keys }, { plugin: email.key, name: 'Bench', placeId: place.id, settings }),
  );
  if (owners.length > 0) {
    const rule = await db.insertInto('routing_rule').values({ kind: 'SPECIFIC', method: 'RANDOM' }).returning('id').executeTakeFirstOrThrow();
    for (const userId of owners) await db.insertInto('routing_rule_target').values({ rule_id: rule.id, user_id: userId }).execute();
    await db.updateTable('channel').set({ routing_rule_id: rule.id }).where('id', '=', value.channelId).execute();
  }
  return { id: value.channelId, key: value.key, address };
}

/** A mail as it stands on the wire; with `answers` it continues that thread. */
export function mail(to: string, from: string, id: string, answers?: string): string {
  const thread = answers === undefined ? '' : `In-Reply-To: <${answers}>\r\nReferences: <${answers}>\r\n`;
  return `From: A Writer <${from}>\r\nTo: ${to}\r\nSubject: About the order\r\nMessage-ID: <${id}>\r\n${thread}Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\n\r\n${'the parcel has not come yet. '.repeat(20)}\r\n`;
}

/** As the receiver stores them of mail that its author's domain has signed: others join no thread by headers alone (EMAIL-8). */
export const STORED_HEADERS = JSON.stringify({
  'mail-from': 'writer@out.example',
  'x-checked': JSON.stringify({
    client: null,
    local: false,
    spf: { result: 'none', domain: null },
    dkim: [{ result: 'pass', domain: 'out.example', whole: true }],
    dmarc: { result: 'pass', from: 'out.example', signed: true },
    arc: { result: 'none', sealer: null, says: '' },
  }),
});

async function storeMails({ db }: Ground, channel: BenchChannel, bodies: readonly string[]): Promise<void> {
  for (let at = 0; at < bodies.length; at += 500) {
    await db
      .insertInto('raw_delivery')
      .values(bodies.slice(at, at + 500).map((body) => ({ channel_id: channel.id, method: 'SMTP', url: '', headers: STORED_HEADERS, body: Buffer.from(body) })))
      .execute();
  }
}

/** From the wake to the last event that a reader of the feed can see. */
async function messagesPerSecond(ground: Ground): Promise<number> {
  const channel = await mailChannel(ground);
  const run = randomBytes(4).toString('hex');
  const bodies = Array.from({ length: MESSAGES }, (_, index) => {
    const conversation = index % CONVERSATIONS;
    const first = `${run}.${conversation}@out.example`;
    const from = `writer${conversation}@out.example`;
    return index < CONVERSATIONS ? mail(channel.address, from, first) : mail(channel.address, from, `${run}.m${index}@out.example`, first);
  });
  await storeMails(ground, channel, bodies);
  const started = performance.now();
  await wakeAll(ground.waker, [{ kind: 'intake', channelKey: channel.key, plugin: email.key }], fail);
  await until(async () => {
    const { rows } = await sql<{ seen: number }>`select count(*) as seen from event
      where channel_id = ${channel.id} and kind = 'MESSAGE_RECEIVED' and xid < pg_snapshot_xmin(pg_current_snapshot())`.execute(ground.db);
    return rows[0]?.seen === MESSAGES;
  });
  return MESSAGES / ((performance.now() - started) / 1000);
}

/** New mails on new threads, each a ticket, until the last has its owner in its row. */
async function ticketsPerSecond(ground: Ground): Promise<number> {
  const owners: string[] = [];
  for (let index = 0; index < 10; index += 1) {
    const user = await ground.db
      .insertInto('app_user')
      .values({ email: `${randomBytes(5).toString('hex')}@users.example`, name: 'Bench', seat: 'PAID' })
      .returning('id')
      .executeTakeFirstOrThrow();
    owners.push(user.id);
  }
  const channel = await mailChannel(ground, owners);
  const run = randomBytes(4).toString('hex');
  await storeMails(
    ground,
    channel,
    Array.from({ length: TICKETS }, (_, index) => mail(channel.address, `new${index}@out.example`, `${run}.${index}@out.example`)),
  );
  const started = performance.now();
  await wakeAll(ground.waker, [{ kind: 'intake', channelKey: channel.key, plugin: email.key }], fail);
  await until(async () => {
    const { rows } = await sql<{ owned: number }>`select count(*) as owned from ticket t join conversation c on c.id = t.conversation_id
      where c.channel_id = ${channel.id} and t.owner_id is not null`.execute(ground.db);
    return rows[0]?.owned === TICKETS;
  });
  return TICKETS / ((performance.now() - started) / 1000);
}

/** The same mails, by the same client, at our door and at a bare server that inserts one row, in turns of a hundred. */
async function doorRates(ground: Ground): Promise<{ readonly ours: number; readonly bare: number }> {
  const channel = await mailChannel(ground);
  // The wake would start the intake beside the measurement; taking in is what `messagesRatio` measures.
  const doors = createDoors({
    ...ground,
    plugins: config.plugins,
    waker: { signalWithStart: async () => undefined },
    resolveDns: noDns,
    log: () => undefined,
    env: { publicUrl: 'http://127.0.0.1', listen: { host: '127.0.0.1', ports: new Map([[email.key, 0]]) } },
  });
  const [listening] = await doors.listen();
  const bare = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    onData(stream, _session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        sql`insert into bench_row (body) values (${Buffer.concat(parts)})`.execute(ground.db).then(() => done(), done);
      });
    },
  });
  await sql`create table if not exists bench_row (id bigint generated always as identity primary key, body bytea not null)`.execute(ground.db);
  await new Promise<void>((resolve) => void bare.listen(0, '127.0.0.1', resolve));
  const barePort = (bare.server.address() as { port: number }).port;
  const send = async (port: number, count: number): Promise<number> => {
    const transport = createTransport({ host: '127.0.0.1', port, pool: true, maxConnections: 8, maxMessages: Number.MAX_SAFE_INTEGER, ignoreTLS: true });
    const started = performance.now();
    await Promise.all(
      Array.from({ length: count }, () =>
        transport.sendMail({
          envelope: { from: 'a@out.example', to: channel.address },
          raw: mail(channel.address, 'a@out.example', `${randomBytes(8).toString('hex')}@out.example`),
        }),
      ),
    );
    transport.close();
    return performance.now() - started;
  };
  const times = { ours: 0, bare: 0 };
  await send(listening?.port ?? 0, 50);
  await send(barePort, 50);
  for (let sent = 0; sent < DOOR_MAILS; sent += 100) {
    times.bare += await send(barePort, 100);
    times.ours += await send(listening?.port ?? 0, 100);
  }
  await doors.close();
  await new Promise<void>((resolve) => bare.close(resolve));
  await ground.db
    .updateTable('raw_delivery')
    .set({ state: 'DONE', settled_at: new Date() })
    .where('channel_id', '=', channel.id)
    .where('state', '=', 'WAITING')
    .execute();
  return { ours: DOOR_MAILS / (times.ours / 1000), bare: DOOR_MAILS / (times.bare / 1000) };
}

/** One webhook at a time, ours and the bare insert in turns, over the same HTTP server with the same bytes. */
async function acknowledgements(ground: Ground): Promise<{ readonly ours: readonly number[]; readonly bare: readonly number[] }> {
  const place = await ground.db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  const secret = 'bench-app-secret';
  const plugins = [...config.plugins, testPlugin];
  const { value } = await transact(ground.db, { actor: 'SYSTEM' }, (unit) =>
    connectChannel(
      unit,
      { plugins, keys: ground.keys },
      { plugin: testPlugin.key, name: 'Bench hook', placeId: place.id, settings: { page: 'bench', appSecret: secret } },
    ),
  );
  const doors = createDoors({
    ...ground,
    plugins,
    waker: { signalWithStart: async () => undefined },
    resolveDns: noDns,
    log: () => undefined,
    env: { publicUrl: 'http://127.0.0.1', listen: { host: '127.0.0.1', ports: new Map() } },
  });
  const app = new Hono();
  app.post('/bare', async (c) => {
    const body = Buffer.from(await c.req.arrayBuffer());
    await sql`insert into bench_row (body) values (${body})`.execute(ground.db);
    return c.body(null, 200);
  });
  app.route('/', doors.app);
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  await new Promise<void>((resolve) => void server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { headers, body } = testDelivery(
    { events: [{ type: 'message', id: 'bench', from: 'someone', text: 'the parcel has not come yet. '.repeat(20) }] },
    secret,
  );
  const ours: number[] = [];
  const bare: number[] = [];
  const path = `/hooks/${testPlugin.key}/${value.key}`;
  for (let turn = 0; turn < ACKS + 200; turn += 1) {
    const kept = turn >= 200;
    const first = turn % 2 === 0;
    const pair = first ? (['/bare', path] as const) : ([path, '/bare'] as const);
    for (const one of pair) {
      const time = await post(agent, port, one, headers, Buffer.from(body));
      if (kept) (one === path ? ours : bare).push(time);
    }
  }
  agent.destroy();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  await doors.close();
  await ground.db
    .updateTable('raw_delivery')
    .set({ state: 'DONE', settled_at: new Date() })
    .where('channel_id', '=', value.channelId)
    .where('state', '=', 'WAITING')
    .execute();
  return { ours, bare };
}

/** Milliseconds from the first byte sent to the answer's end. */
function post(agent: Agent, port: number, path: string, headers: Readonly<Record<string, string>>, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const sent = httpRequest({ agent, host: '127.0.0.1', port, path, method: 'POST', headers: { ...headers, 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => (answer.statusCode === 200 ? resolve(performance.now() - started) : reject(new Error(`${path} answered ${answer.statusCode}`))));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 300_000;
  while (!(await done())) {
    if (Date.now() > end) throw new Error('bench: not done after five minutes');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function fail(workflowId: string): void {
  throw new Error(`bench: ${workflowId} could not be woken`);
}

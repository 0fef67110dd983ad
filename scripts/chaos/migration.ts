import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import config from '#config';
import { globalId } from '#api/builder.ts';
import { readReport, recount } from '#commands/migration-report.ts';
import { keysFrom } from '#commands/secrets.ts';
import { savePolicy } from '#commands/sla-policies.ts';
import { transact } from '#commands/unit.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { connectClient } from '#runtime/temporal.ts';
import { apiClient, eventually, nodes, type Api, type Edges } from '../demo/graphql.ts';
import { openOutside, type Outside } from '../demo/mailbox.ts';
import { seedInbox } from '../seed/inbox.ts';
import { KINDS } from '../seed/people.ts';
import { createProgress, type Progress } from '../servers/progress.ts';
import { startStack, type Stack } from '../servers/stack.ts';
import { dealBlows, strike, type Blow, type Struck } from './blows.ts';
import { commandLine } from './command-line.ts';
import { holdConversations, type HeldConversations } from './held-conversations.ts';
import { heldOf, keepRows, openOnes, spoilOne, threadsOf, type Moving } from './kept-rows.ts';
import { startLiveLoad, type Acknowledged } from './live-load.ts';
import { readMoves, runningMove, watchPulse, type MoveState } from './move-watch.ts';
import { mendOne, sayGoals, sayMoved, type Mapping } from './moved-as-ruled.ts';
import { seeded } from './random.ts';
import { openSummary, sayDoctor, type Summary } from './summary.ts';

const CONVERSATIONS = 200_000;
const BLOWS = 50;
/** Of the conversations of each channel one of so many is held, so that there is something to move after every blow. */
const HELD = 10;
/** Milliseconds within which a move goes on once PostgreSQL and Temporal answer (MIG-14). */
const GOES_ON_MS = 90_000;
const THREADS = 5_000;
/** Within which a policy promises that a ticket is closed. */
const PROMISED_MS = 30 * 24 * 3_600_000;
/** The move looks at the minute before its start to tell whether it slows live work. */
const ALONE_MS = 60_000;
const LARGEST_SEED = 999_999_999;

/**
 * The move of a seeded inbox, channel after channel, under live load and blows, and afterwards every conversation compared with what it should have become. Ends only
 * processes it started.
 */
export async function run(
  seed: number,
  { conversations = CONVERSATIONS, blows = BLOWS }: { readonly conversations?: number; readonly blows?: number },
): Promise<boolean> {
  const random = seeded(seed);
  const dealt = dealBlows(random, blows);
  const directory = join(process.cwd(), '.trunkline', 'chaos');
  rmSync(directory, { recursive: true, force: true });
  const progress = createProgress();
  // Everybody who writes has an address of their own, as behind a proxy.
  const stack = await startStack({ dataDirectory: directory, mode: 'development', progress, environment: { TRUSTED_PROXIES: '127.0.0.1', LOG_LEVEL: 'warn' } });
  const outside = await openOutside(stack.addresses.smtp);
  const db = openDatabase(stack.databaseUrl, { max: 4, name: 'trunkline-chaos', transactionMs: 0 });
  const { client, connection } = await connectClient(stack.temporal);
  const pulse = watchPulse(db);
  const calledOff = (): void => void stack.stop().finally(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, calledOff);
  try {
    const { moving, unmovableId } = await furnish({ stack, outside, db, progress, conversations, seed });
    const admin = apiClient(stack.addresses.graphql, stack.token ?? '');
    const mapping = await readMapping(admin);
    const channels = Object.fromEntries(moving.map((one) => [one.kind, one]));
    const plan = shares(moving, blows);
    const holds = new Map<string, HeldConversations>();
    for (const { channelId } of moving) {
      const hold = holdConversations(stack.databaseUrl, await heldOf(db, channelId, plan.get(channelId) ?? 1));
      await hold.hold();
      holds.set(channelId, hold);
    }
    console.log(
      `  To have the moves last as long as the blows: of each channel one conversation in ${HELD} is held by row locks, a portion let go after each blow; the channels follow one another (${moving
        .map(({ kind, channelId, conversations: count }) => `${kind}: ${count} conversations, ${plan.get(channelId)} blows`)
        .join('; ')}).`,
    );
    const from = channels.mails?.channelId ?? '';
    const load = startLiveLoad(stack, { channels, threads: await threadsOf(db, from, THREADS), open: await someOpen(db, moving), random: seeded(seed + 1) });
    await progress.during(`Live load alone for ${ALONE_MS / 1000} s: what the moves measure themselves by`, () => sleep(ALONE_MS));
    for (const [index, { channelId }] of moving.entries()) await start(admin, mapping, channelId, index === 0 ? null : new Date(Date.now() + 2_000));

    const ring = {
      stack,
      db,
      client,
      temporal: commandLine(stack),
      pulse,
      random,
      onPostgres: async () => {
        await Promise.all([...holds.values()].map((hold) => hold.hold()));
      },
    };
    const struck: Struck[] = [];
    await progress.during(`${blows} blows against the moves`, async (step) => {
      for (const blow of dealt) {
        const move = await nextRunning(db);
        if (move === null) break;
        step.update(`${struck.length + 1} of ${blows}: ${blow}; ${await howFar(db)}`);
        const one = await strike(ring, blow, move);
        struck.push(one);
        progress.note(
          `  ${struck.length}. ${blow}: ${one.tookHold ? '' : 'did not take hold; '}longest time without progress ${(one.gapMs / 1000).toFixed(1)} s`,
        );
        await holds.get(move.channelId)?.release();
        const left = (plan.get(move.channelId) ?? 0) - 1;
        plan.set(move.channelId, left);
        if (left === 0) await holds.get(move.channelId)?.close();
        await sleep(100 + random() * 700);
      }
    });
    for (const hold of holds.values()) await hold.close();
    await progress.during('Until the moves have ended', async (step) => {
      await eventually(
        'the moves to end',
        async () => {
          step.update(await howFar(db));
          return (await readMoves(db)).every(({ state }) => state.startsWith('COMPLETED')) ? true : undefined;
        },
        600_000,
      );
    });
    await progress.during('Until all that came is taken in', async () => {
      await load.stop();
      await settled(db);
    });

    const summary = openSummary();
    sayBlows(summary, struck, blows);
    await sayMended(summary, db, unmovableId, progress);
    await progress.during('Until the moved tickets have their goals', () =>
      eventually('the goals', async () => ((await count(db, sql`select from channel_migration_sla where state <> 'DONE'`)) === 0 ? true : undefined), 600_000),
    );
    await progress.during('Comparing every conversation with what it should be', () => sayMoved(summary, db, mapping));
    await progress.during('Comparing the goals', () => sayGoals(summary, db, PROMISED_MS));
    await sayReports(summary, db, moving, struck);
    await sayAcknowledged(summary, db, load.acknowledged);
    await progress.during('The doctor', () => sayDoctor(summary, db));
    const right = summary.print();
    if (!right) console.log(`  seed ${seed}; the logs are in ${directory}`);
    return right;
  } finally {
    await pulse.stop();
    await db.destroy().catch(() => undefined);
    await connection.close();
    await outside.close();
    await stack.stop();
  }
}

interface Furnishing {
  readonly stack: Stack;
  readonly outside: Outside;
  readonly db: Db;
  readonly progress: Progress;
  readonly conversations: number;
  readonly seed: number;
}

/** The inbox, one of its conversations bad, its mail server one that takes our answers; and a copy of what is there. */
async function furnish({
  stack,
  outside,
  db,
  progress,
  conversations,
  seed,
}: Furnishing): Promise<{ readonly moving: readonly Moving[]; readonly unmovableId: string }> {
  const deps = { plugins: config.plugins, keys: keysFrom(stack.secret) };
  const cast = await progress.during(`Seeding ${conversations} conversations`, ({ update }) =>
    seedInbox(db, deps, { conversations, kinds: KINDS, seed: 1 + (seed % LARGEST_SEED) }, update),
  );
  const mail = cast.channels.mails?.channelId ?? '';
  await apiClient(stack.addresses.graphql, stack.token ?? '').do('updateChannel', '... on Channel { id }', {
    channelId: globalId('Channel', mail),
    settings: { smtp: { host: '127.0.0.1', port: outside.smtpPort, secure: 'none' } },
  });
  const promise = { kind: 'CLOSE', priority: null, durationMs: PROMISED_MS, dueSoonMs: 0 } as const;
  await transact(db, { actor: 'SYSTEM' }, (unit) =>
    savePolicy(unit, { name: 'Closed in a month', conditions: [], targets: [promise], pauseStatusIds: [], actions: [] }, 'NEW_TICKETS'),
  );
  const unmovableId = await spoilOne(db, mail);
  const moving = await progress.during('Keeping a copy of what is there', () => keepRows(db, cast, { unmovableId, held: HELD }));
  return { moving, unmovableId };
}

/** How many of the blows fall on the move of each channel: as many as its share of the conversations, one at least. */
function shares(moving: readonly Moving[], blows: number): Map<string, number> {
  const all = moving.reduce((sum, { conversations }) => sum + conversations, 0);
  const plan = new Map<string, number>();
  let left = blows;
  for (const { channelId, conversations } of moving.slice(1)) {
    const share = Math.max(1, Math.round((blows * conversations) / all));
    plan.set(channelId, share);
    left -= share;
  }
  plan.set(moving[0]?.channelId ?? '', Math.max(1, left));
  return plan;
}

async function someOpen(db: Db, moving: readonly Moving[]): Promise<readonly string[]> {
  // A chat is answered in its own page, where nobody is any more.
  const answerable = moving.filter(({ kind }) => kind !== 'chats');
  return (await Promise.all(answerable.map(({ channelId }) => openOnes(db, channelId, THREADS / 5)))).flat();
}

interface PipelineNode {
  readonly statuses: readonly { readonly id: string; readonly category: string }[];
}

async function readMapping(admin: Api): Promise<Mapping & { readonly open: string; readonly closed: string }> {
  const { pipelines } = await admin.run<{ pipelines: Edges<PipelineNode & { readonly id: string }> }>(
    '{ pipelines(first: 1) { edges { node { id statuses { id category } } } } }',
  );
  const [pipeline] = nodes(pipelines);
  const of = (category: string): string => pipeline?.statuses.find((one) => one.category === category)?.id ?? '';
  const [open, closed] = [of('OPEN'), of('CLOSED')];
  return { open, closed, pipelineId: rowId(pipeline?.id ?? ''), openStatusId: rowId(open), closedStatusId: rowId(closed) };
}

function rowId(id: string): string {
  return Buffer.from(id, 'base64').toString().split(':')[1] ?? '';
}

async function start(admin: Api, { open, closed }: { readonly open: string; readonly closed: string }, channelId: string, startAt: Date | null): Promise<void> {
  await admin.do('startChannelMigration', '... on ChannelMigration { id }', {
    channelId: globalId('Channel', channelId),
    history: 'ALL',
    openStatusId: open,
    closedStatusId: closed,
    ...(startAt === null ? {} : { startAt: startAt.toISOString() }),
  });
}

/** The move that runs, once one does; null: none is ahead. */
async function nextRunning(db: Db): Promise<MoveState | null> {
  return eventually(
    'the next move to start',
    async () => {
      const running = await runningMove(db).catch(() => null);
      if (running !== null) return running;
      const ahead = (await readMoves(db).catch(() => null))?.some(({ state }) => state === 'SCHEDULED' || state === 'RUNNING');
      return ahead === false ? null : undefined;
    },
    180_000,
  );
}

async function howFar(db: Db): Promise<string> {
  const { rows } = await sql<{ moved: number; left: number }>`
    select (select count(*)::int from channel_migration_conversation where how not in ('ARRIVED', 'GONE')) as moved, (select count(*)::int from conversation where place = 'INBOX') as left`
    .execute(db)
    .catch(() => ({ rows: [] }));
  const [row] = rows;
  return row === undefined ? 'PostgreSQL is away' : `${row.moved} moved, ${row.left} in the inbox`;
}

async function count(db: Db, what: ReturnType<typeof sql>): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::int as count from (${what}) it`.execute(db);
  return rows[0]?.count ?? Number.NaN;
}

/** Until nothing waits any more. */
async function settled(db: Db): Promise<void> {
  const waiting = sql`select from raw_delivery where state = 'WAITING' union all select from ticket where route_pending_since is not null
    union all select from conversation where route_pending_since is not null union all select from outbound where state in ('QUEUED', 'SENDING')`;
  await eventually('everything to be taken in and sent', async () => ((await count(db, waiting)) === 0 ? true : undefined), 300_000);
}

function sayBlows(summary: Summary, struck: readonly Struck[], blows: number): void {
  const times = new Map<Blow, number>();
  for (const { blow } of struck) times.set(blow, (times.get(blow) ?? 0) + 1);
  summary.say(
    'blows while a move ran',
    struck.length === blows,
    `${struck.length} of ${blows}: ${[...times].map(([blow, number]) => `${number} × ${blow}`).join(', ')}`,
  );
  const missed = struck.filter(({ tookHold }) => !tookHold);
  summary.say('each took hold', missed.length === 0, missed.length === 0 ? `all ${struck.length}` : `not: ${missed.map(({ blow }) => blow).join(', ')}`);
  const gaps = struck.map(({ blow, gapMs }) => ({ blow, seconds: gapMs / 1000 })).toSorted((one, other) => other.seconds - one.seconds);
  const longest = gaps[0];
  const middle = gaps[Math.floor(gaps.length / 2)]?.seconds ?? 0;
  summary.say(
    'after each the move went on within 90 s',
    gaps.every(({ seconds }) => seconds * 1000 <= GOES_ON_MS),
    `longest ${longest?.seconds.toFixed(1)} s (${longest?.blow}), median ${middle.toFixed(1)} s`,
  );
  const byBlow = [...times.keys()].map((blow) => `${blow} ${Math.max(...gaps.filter((one) => one.blow === blow).map(({ seconds }) => seconds)).toFixed(1)}`);
  console.log(`  Longest time without progress after a blow, in seconds: ${byBlow.join(', ')}.`);
  const temporal = struck.filter(({ kept }) => kept !== undefined);
  console.log(
    `  After a kill of Temporal it still knew the run of the workflow: ${temporal.filter(({ kept }) => kept === true).length} of ${temporal.length} times.`,
  );
}

async function sayMended(summary: Summary, db: Db, unmovableId: string, progress: Progress): Promise<void> {
  const { reason, place, state } = await mendOne(db, unmovableId);
  summary.say(
    'the one made bad is listed, and in the inbox still',
    reason === '23514' && place === 'INBOX' && state === 'COMPLETED_WITH_REMAINDER',
    `${state}, reason ${reason}`,
  );
  const since = Date.now();
  const moved = await progress.during('Until the one that was bad is moved by itself', () =>
    eventually(
      'the one that was mended',
      async () => ((await count(db, sql`select from conversation where id = ${unmovableId} and place = 'HELP_DESK'`)) === 1 ? true : undefined),
      120_000,
    ).catch(() => false),
  );
  summary.say('mended, it is moved by itself', moved, moved ? `after ${((Date.now() - since) / 1000).toFixed(1)} s` : 'not within 120 s');
}

/** Report, recount and what was there agree (MIG-21). */
async function sayReports(summary: Summary, db: Db, moving: readonly Moving[], struck: readonly Struck[]): Promise<void> {
  let [moved, followed, cancels, restarts] = [0, 0, 0, 0];
  for (const { migrationId, channelId, state } of await readMoves(db)) {
    const [report, again] = [await readReport(db, migrationId), await recount(db, migrationId)];
    moved += report.movedWithTicket + report.movedWithNewTicket;
    followed += report.followed;
    cancels += report.cancelsSurvived;
    restarts += report.restarts;
    const agrees =
      state === 'COMPLETED' &&
      report.found === report.movedWithTicket + report.movedWithNewTicket + report.leftOver &&
      report.movedWithTicket === again.movedWithTicket &&
      report.movedWithNewTicket === again.movedWithNewTicket &&
      report.leftOver === again.leftOver &&
      report.unassigned === again.unassigned &&
      report.arrived === again.arrived &&
      again.astray === 0 &&
      again.inInbox === 0;
    const { found, joined, gone, movedWithTicket, movedWithNewTicket, pulledForward, arrived, unassigned, ratePerSecond, waitedMs } = report;
    summary.say(
      `the report of ${moving.find((one) => one.channelId === channelId)?.kind} adds up and agrees with its recount`,
      agrees,
      `${state}: found ${found} (${joined} joined, ${gone} gone) = ${movedWithTicket} with a ticket + ${movedWithNewTicket} new + ${report.leftOver} left over; ` +
        `${pulledForward} pulled forward, ${arrived} arrived, ${report.followed} followed, ${unassigned} unassigned; ${ratePerSecond} a second, waited ${waitedMs} ms` +
        (agrees ? '' : `; recount ${JSON.stringify(again)}`),
    );
  }
  const begun = await count(db, sql`select from conversation c where not exists (select from chaos.kept k where k.id = c.id)`);
  const there = await count(db, sql`select from chaos.kept`);
  const later = await count(
    db,
    sql`select from channel_migration_conversation m where m.how not in ('ARRIVED', 'GONE') and not exists (select from chaos.kept k where k.id = m.conversation_id)`,
  );
  summary.say(
    'the reports agree with what was there',
    moved + followed === there + later,
    `${moved} moved + ${followed} followed = ${there} seeded + ${later} that began in the inbox meanwhile (${begun} began in all)`,
  );
  const asked = struck.filter(({ blow }) => blow === 'cancel').length;
  summary.say(
    'cancels were noted and ignored',
    asked === 0 || (cancels > 0 && cancels <= asked),
    `${cancels} runs in which one was asked for, of ${asked} cancels; ${restarts} restarts`,
  );
}

async function sayAcknowledged(summary: Summary, db: Db, acknowledged: Acknowledged): Promise<void> {
  const { rows } = await sql<{ text: string }>`select m.text from message m, chaos.moment o where m.arrival > o.arrival`.execute(db);
  const there = new Map<string, number>();
  for (const { text } of rows) {
    const mark = /mark-[0-9a-f-]{36}/.exec(text ?? '')?.[0];
    if (mark !== undefined) there.set(mark, (there.get(mark) ?? 0) + 1);
  }
  for (const [kind, marks] of Object.entries(acknowledged)) {
    const lost = [...marks].filter((mark: string) => !there.has(mark)).length;
    const twice = [...marks].filter((mark: string) => (there.get(mark) ?? 0) > 1).length;
    summary.say(`every acknowledged one of the ${kind} is there once`, lost === 0 && twice === 0, `${marks.size} acknowledged, ${lost} lost, ${twice} twice`);
  }
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import config from '#config';
import { decide } from '#commands/routing.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { migrateToLatest } from '#db/migrate.ts';
import { startPostgres } from '../servers/postgres.ts';
import { createProgress } from '../servers/progress.ts';
import { loadsOf, seedChannel, seedTickets, seedUsers } from './routing-ground.ts';
import { median, printTable, rounded, type Row } from './statistics.ts';

const ROUNDS = 3;
const TURNS = 20;
const WARM_UP = 5;
const CANDIDATES = 10_000;
const OPEN_EACH = 5;
const DECISIONS = 10_000;
const CALLERS = 50;
const POOL = 50;
/** More came than all of them together may own. */
const TIGHT = { limit: 20, decisions: 2_000 };
/** Counting by hand that takes longer than this: the machine is too slow for the ratio to mean anything. */
const ABSURD_MS = 5_000;

/** Routing: a decision among many against counting alone, and many decisions at once. */
export async function run(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'trunkline-bench-'));
  const postgres = await startPostgres({ directory, progress: createProgress({}) });
  try {
    await migrateToLatest(postgres.url);
    const db = openDatabase(postgres.url, { max: CALLERS + 2, name: 'bench-routing' });
    try {
      const one = await amongMany(db);
      if (median(one.bare) > ABSURD_MS) {
        console.error('bench: the baseline is absurdly slow');
        return 2;
      }
      const alone = await manyAtOnce(db, 'alone', [[0, POOL]], DECISIONS, 10 * DECISIONS);
      const shared = await manyAtOnce(db, 'shared', SHARED, DECISIONS, 10 * DECISIONS);
      const tight = await manyAtOnce(db, 'tight', SHARED, TIGHT.decisions, TIGHT.limit);
      const figures = {
        decisionRatio: rounded(median(one.ours.map((time, index) => time / (one.bare[index] ?? Number.NaN)))),
        spread: Math.max(alone.spread, shared.spread),
        overCapacity: alone.over + shared.over + tight.over,
        decisionsPerSecond: rounded(Math.min(alone.perSecond, shared.perSecond)),
      };
      printTable(rowsOf(figures.decisionRatio, one, { alone, shared, tight }));
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

/** Users by their places: two pools of thirty with ten in both. */
const SHARED: readonly (readonly [number, number])[] = [
  [0, 30],
  [20, POOL],
];

interface Times {
  /** Medians of each round, in milliseconds. */
  readonly ours: readonly number[];
  readonly bare: readonly number[];
}

/** A whole decision among ten thousand who have limits, and the one GROUP BY that counts what they have open, in turns. */
async function amongMany(db: Db): Promise<Times> {
  const users = await seedUsers(db, 'many', CANDIDATES, 10 * OPEN_EACH);
  const channel = await seedChannel(db, 'bench-many', users);
  await seedTickets(db, channel, CANDIDATES * OPEN_EACH, users);
  const waiting = await seedTickets(db, channel, ROUNDS * (TURNS + WARM_UP));
  await sql`analyze`.execute(db);
  const count = () => sql<object>`select owner_id, count(*) from assignment where open and owner_id is not null group by owner_id`.execute(db);
  if ((await count()).rows.length !== CANDIDATES) throw new Error('bench: not everybody has something open');
  const decideNext = async () => {
    const conversationId = waiting.pop() ?? '';
    const { value } = await decide(db, { conversationId }, Math.random, config.plugins);
    if (value.ownerId === null) throw new Error('bench: nobody was chosen');
  };
  const medians: { readonly ours: number[]; readonly bare: number[] } = { ours: [], bare: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const times: { readonly ours: number[]; readonly bare: number[] } = { ours: [], bare: [] };
    for (let turn = 0; turn < TURNS + WARM_UP; turn += 1) {
      for (const which of turn % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const)) {
        const started = performance.now();
        await (which === 'ours' ? decideNext() : count());
        if (turn >= WARM_UP) times[which].push(performance.now() - started);
      }
    }
    medians.ours.push(median(times.ours));
    medians.bare.push(median(times.bare));
  }
  return medians;
}

interface Shared {
  readonly perSecond: number;
  /** The most open tickets of one of a pool, less the fewest there; of the pool where that is most. Whoever is in two pools is compared in both. */
  readonly spread: number;
  /** The same over everybody. Who shares no pool was never compared: it may be one more for each pool that lies between them. */
  readonly overall: number;
  /** Tickets beyond somebody's limit. */
  readonly over: number;
  readonly unassigned: number;
}

/** That many decisions from fifty callers at once, the pools in turn, from nothing owned. */
async function manyAtOnce(db: Db, name: string, pools: readonly (readonly [number, number])[], decisions: number, limit: number): Promise<Shared> {
  const users = await seedUsers(db, name, POOL, limit);
  const lists: string[][] = [];
  for (const [index, [from, to]] of pools.entries()) {
    const channel = await seedChannel(db, `bench-${name}-${index}`, users.slice(from, to));
    lists.push(await seedTickets(db, channel, decisions / pools.length));
  }
  await sql`analyze`.execute(db);
  const queue = Array.from({ length: decisions }, (_, index) => lists[index % lists.length]?.[Math.floor(index / lists.length)] ?? '');
  let next = 0;
  let unassigned = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      for (let conversationId = queue[next++]; conversationId !== undefined; conversationId = queue[next++]) {
        const { value } = await decide(db, { conversationId }, Math.random, config.plugins);
        if (value.ownerId === null) unassigned += 1;
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  const loads = await loadsOf(db, users);
  const spreads: number[] = [];
  for (const [from, to] of pools) spreads.push(spreadOf(await loadsOf(db, users.slice(from, to))));
  return {
    perSecond: decisions / seconds,
    spread: Math.max(...spreads),
    overall: spreadOf(loads),
    over: loads.reduce((sum, load) => sum + Math.max(0, load - limit), 0),
    unassigned,
  };
}

function spreadOf(loads: readonly number[]): number {
  return Math.max(...loads) - Math.min(...loads);
}

function rowsOf(ratio: number, one: Times, { alone, shared, tight }: Readonly<Record<'alone' | 'shared' | 'tight', Shared>>): readonly Row[] {
  const many = (what: string, { perSecond, spread, over }: Shared): Row[] => [
    { what: `${what}: spread`, ours: String(spread), bare: '–', ratio: '–', wanted: '≤ 1' },
    { what: `${what}: over a limit`, ours: String(over), bare: '–', ratio: '–', wanted: '0' },
    { what: `${what}: decisions`, ours: `${rounded(perSecond)}/s`, bare: '–', ratio: '–', wanted: '–' },
  ];
  return [
    {
      what: `a decision among ${CANDIDATES}`,
      ours: `${rounded(median(one.ours))} ms`,
      bare: `${rounded(median(one.bare))} ms, one GROUP BY`,
      ratio: String(ratio),
      wanted: '≤ 3',
    },
    ...many('one pool', alone),
    ...many('two pools that share users', shared),
    { what: 'the same: spread over both together', ours: String(shared.overall), bare: '–', ratio: '–', wanted: '–' },
    { what: `${TIGHT.decisions} for ${POOL * TIGHT.limit} places: over a limit`, ours: String(tight.over), bare: '–', ratio: '–', wanted: '0' },
    { what: 'the same: left unassigned', ours: String(tight.unassigned), bare: '–', ratio: '–', wanted: String(TIGHT.decisions - POOL * TIGHT.limit) },
  ];
}

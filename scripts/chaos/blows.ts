import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { channelMigrationWorkflowId } from '#workflows/contract.ts';
import type { Stack } from '../servers/stack.ts';
import type { CommandLine } from './command-line.ts';
import { readMoves, readRun, type MoveState, type Pulse, type RunState } from './move-watch.ts';
import { pick } from './random.ts';

/** What is done to a move: with the command line, as an operator could by mistake, or to a process. */
export const BLOWS = [
  'cancel',
  'terminate',
  'reset',
  'delete',
  'pause',
  'pause, then kill worker',
  'kill worker',
  'kill api',
  'kill postgres',
  'kill temporal',
] as const;
export type Blow = (typeof BLOWS)[number];

export interface Struck {
  readonly blow: Blow;
  /** Whether it did to the move what it was meant to. */
  readonly tookHold: boolean;
  /** Milliseconds from the blow, or from when PostgreSQL and Temporal answered again, in which the move did not come on. Infinity: it did not go on at all. */
  readonly gapMs: number;
  /** Of a kill of Temporal: whether it still knew the workflow, and its run. */
  readonly kept?: boolean;
}

export interface Ring {
  readonly stack: Stack;
  readonly db: Db;
  readonly client: Client;
  readonly temporal: CommandLine;
  readonly pulse: Pulse;
  readonly random: () => number;
  /** As soon as PostgreSQL is back. */
  readonly onPostgres: () => Promise<void>;
}

/** As many as asked for, each kind as often as the others as far as it goes, in an order of chance. */
export function dealBlows(random: () => number, count: number): readonly Blow[] {
  const left: Blow[] = [];
  const dealt: Blow[] = [];
  for (let index = 0; index < count; index += 1) {
    if (left.length === 0) left.push(...BLOWS);
    const blow = pick(random, left);
    left.splice(left.indexOf(blow), 1);
    dealt.push(blow);
  }
  return dealt;
}

const TRIES = 100;
const AGAIN_MS = 200;
/** Twice of what is allowed: how long it really takes is to be seen. */
const PATIENCE_MS = 180_000;

/** Strikes a move that runs, brings back what was killed, and waits until the move comes on again by a workflow that runs, or has ended. */
export async function strike(ring: Ring, blow: Blow, move: MoveState): Promise<Struck> {
  const { stack, pulse, random } = ring;
  const before = await untilItRuns(ring, move);
  let since = Date.now();
  let tookHold = true;
  const words = wordsOf(blow, move.channelKey);
  if (words !== null) {
    tookHold = false;
    // The moment may fall where there is nothing to strike: no activity under way, for one.
    for (let attempt = 0; attempt < TRIES && !tookHold; attempt += 1) tookHold = (await ring.temporal(...words)) || (await sleep(AGAIN_MS, false));
    since = Date.now();
  }
  const victim = victimOf(blow);
  if (victim !== null) {
    if (words !== null) await sleep(random() * 500);
    await stack.killHard(victim);
    if (victim === 'worker' || victim === 'api') since = Date.now();
    await sleep(random() * 1_500);
    await START[victim](stack);
    if (victim === 'postgres') await ring.onPostgres();
    if (victim === 'postgres' || victim === 'temporal') since = Date.now();
  }
  const kept = victim === 'temporal' ? (await untilKnown(ring, move))?.runId === before?.runId : undefined;
  if (blow === 'cancel' && tookHold) tookHold = await untilNoted(ring, before);
  const wentOn = await untilItGoesOn(ring, move, (run) => isOver(blow, run, before));
  return { blow, tookHold, gapMs: wentOn === null ? Number.POSITIVE_INFINITY : pulse.longestGap(since, wentOn), ...(kept === undefined ? {} : { kept }) };
}

const START = {
  worker: (stack: Stack) => stack.startWorker(),
  api: (stack: Stack) => stack.startApi(),
  postgres: (stack: Stack) => stack.startPostgres(),
  temporal: (stack: Stack) => stack.startTemporal(),
} as const;

function victimOf(blow: Blow): keyof typeof START | null {
  switch (blow) {
    case 'kill worker':
    case 'pause, then kill worker':
      return 'worker';
    case 'kill api':
      return 'api';
    case 'kill postgres':
      return 'postgres';
    case 'kill temporal':
      return 'temporal';
    default:
      return null;
  }
}

function wordsOf(blow: Blow, channelKey: string): readonly string[] | null {
  const id = ['--workflow-id', channelMigrationWorkflowId(channelKey)];
  switch (blow) {
    case 'cancel':
      return ['workflow', 'cancel', ...id];
    case 'terminate':
      return ['workflow', 'terminate', ...id, '--reason', 'chaos'];
    case 'reset':
      return ['workflow', 'reset', ...id, '--type', 'FirstWorkflowTask', '--reason', 'chaos'];
    case 'delete':
      return ['workflow', 'delete', ...id];
    case 'pause':
    case 'pause, then kill worker':
      return ['activity', 'pause', ...id, '--activity-type', 'moveConversations'];
    default:
      return null;
  }
}

/** Whether the run that is there now is one that the blow is over for. */
function isOver(blow: Blow, run: RunState, before: RunState | null): boolean {
  if (!run.running || run.paused) return false;
  return blow !== 'terminate' && blow !== 'delete' && blow !== 'reset' ? true : run.runId !== before?.runId;
}

async function untilItRuns({ client, db }: Ring, move: MoveState): Promise<RunState | null> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(AGAIN_MS)) {
    const run = await readRun(client, move.channelKey);
    if (run?.running === true && !run.paused) return run;
    if ((await stateOf(db, move)) !== 'RUNNING') return run;
  }
  return null;
}

/** Until the move has kept that this run of it was asked to end. */
async function untilNoted({ db }: Ring, run: RunState | null): Promise<boolean> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(AGAIN_MS)) {
    const noted = await db
      .selectFrom('channel_migration_run')
      .select('run_id')
      .where('run_id', '=', run?.runId ?? '')
      .where('cancel_asked_at', 'is not', null)
      .executeTakeFirst();
    if (noted !== undefined) return true;
  }
  return false;
}

async function untilKnown({ client }: Ring, move: MoveState): Promise<RunState | null> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(AGAIN_MS)) {
    const run = await readRun(client, move.channelKey);
    if (run !== null) return run;
  }
  return null;
}

/** Until a workflow that runs has brought it on, seen after the blow was over, or it has ended: when it did. Null: it did not. */
async function untilItGoesOn({ client, db }: Ring, move: MoveState, over: (run: RunState) => boolean): Promise<number | null> {
  let sound: number | null = null;
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(AGAIN_MS / 2)) {
    const now = (await readMoves(db).catch(() => [])).find(({ migrationId }) => migrationId === move.migrationId);
    if (now === undefined) continue;
    if (now.state !== 'RUNNING' || (sound !== null && now.progressedAt > sound)) return now.progressedAt;
    const run = await readRun(client, move.channelKey);
    if (run === null || !over(run)) sound = null;
    else sound ??= Date.now();
  }
  return null;
}

async function stateOf(db: Db, { migrationId }: MoveState): Promise<string | undefined> {
  const { rows } = await sql<{ state: string }>`select state from channel_migration where id = ${migrationId}`.execute(db);
  return rows[0]?.state;
}

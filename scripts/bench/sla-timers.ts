import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import { sql } from 'kysely';
import { fileURLToPath } from 'node:url';
import type { Ground } from './ground.ts';
import { inTurn, until } from './sla-ground.ts';

const QUEUE = 'bench-timer';
/** Started, its first task scheduled, begun and done, and the timer: so many events has one that sleeps. */
const EVENTS_ASLEEP = 5;
/** Of those started last; tasks are done about in their order. */
const LOOKED_AT = 50;

export interface TimerActivities {
  reached(round: string, dueAt: number): Promise<void>;
}

/** The baseline: timers of Temporal with nothing but an activity behind them, on a worker like ours. */
export interface Timers {
  /** Starts one for each instant (milliseconds since 1970), and returns when they are asleep. */
  start(round: string, instants: readonly number[]): Promise<void>;
  /** When each of a round did its activity, and how late that was, in milliseconds; waits for all. */
  ends(round: string, count: number): Promise<readonly Ended[]>;
  stop(): Promise<void>;
}

/** A deadline, and the moment by PostgreSQL's clock at which it was seen to be over. */
export interface Ended {
  readonly dueAt: number;
  readonly at: number;
}

export async function startTimers({ db, client, temporalAddress }: Ground): Promise<Timers> {
  await sql`create table bench_timer (round text not null, due_at bigint not null, at timestamptz not null)`.execute(db);
  const activities: TimerActivities = {
    async reached(round, dueAt) {
      await sql`insert into bench_timer (round, due_at, at) values (${round}, ${dueAt}, clock_timestamp())`.execute(db);
    },
  };
  const connection = await NativeConnection.connect({ address: temporalAddress });
  const workflowsPath = fileURLToPath(new URL('./timer-workflow.ts', import.meta.url));
  const worker = await Worker.create({
    connection,
    taskQueue: QUEUE,
    activities: { ...activities },
    workflowBundle: await bundleWorkflowCode({ logger: new DefaultLogger('ERROR'), workflowsPath }),
    // As many as ours keeps.
    maxCachedWorkflows: 1_000,
  });
  const running = worker.run();
  const idOf = (round: string, index: number): string => `bench-timer/${round}/${index}`;
  return {
    async start(round, instants) {
      await inTurn([...instants.entries()], async ([index, dueAt]) => {
        await client.workflow.start('timer', { workflowId: idOf(round, index), taskQueue: QUEUE, args: [round, dueAt] });
      });
      for (let index = Math.max(0, instants.length - LOOKED_AT); index < instants.length; index += 1) {
        await until(async () => (await client.workflow.getHandle(idOf(round, index)).describe()).historyLength >= EVENTS_ASLEEP);
      }
    },
    async ends(round, count) {
      const read = async () => (await sql<{ due_at: number; at: Date }>`select due_at, at from bench_timer where round = ${round}`.execute(db)).rows;
      await until(async () => (await read()).length === count);
      return (await read()).map((row) => ({ dueAt: row.due_at, at: row.at.getTime() }));
    },
    async stop() {
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}

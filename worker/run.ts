import { Worker, type NativeConnection, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { failureInterceptor } from '#activities/failures.ts';
import type { Activities } from '#activities/index.ts';
import type { ActivityLog } from '#activities/dependencies.ts';
import { BULK_TASK_QUEUE, TASK_QUEUE } from '#workflows/contract.ts';

export interface RunOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly bundle: WorkflowBundleWithSourceMap | { readonly code: string };
  readonly activities: Activities;
  readonly log: ActivityLog;
}

/** Workers that run until they are stopped. */
export interface RunningWorkers {
  /** Resolves when all have ended; rejects when one fails, after the other was stopped too. */
  readonly done: Promise<void>;
  ready(): boolean;
  /** Takes no new work, ends what is under way. */
  stop(): Promise<void>;
}

/** Activities that may run at once; most of them wait for somebody, and the pool of connections is the narrower door. */
const LIVE_ACTIVITIES = 100;
const BULK_ACTIVITIES = 4;

/** Starts the two workers of a process over one connection: live work, and bulk that never delays it. */
export async function runWorkers({ connection, namespace, bundle, activities, log }: RunOptions): Promise<RunningWorkers> {
  const make = (taskQueue: string, maxConcurrentActivityTaskExecutions: number): Promise<Worker> =>
    Worker.create({
      connection,
      namespace,
      taskQueue,
      workflowBundle: bundle,
      activities,
      interceptors: { activity: [failureInterceptor(log)] },
      maxConcurrentActivityTaskExecutions,
      // Enough for the tickets that are being worked on; the rest is replayed when it is woken.
      maxCachedWorkflows: 1_000,
      shutdownGraceTime: '12s',
      shutdownForceTime: '18s',
    });
  const workers = [await make(TASK_QUEUE, LIVE_ACTIVITIES), await make(BULK_TASK_QUEUE, BULK_ACTIVITIES)];
  const stopAll = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const runs = workers.map(async (worker) => {
    try {
      await worker.run();
    } catch (error) {
      stopAll();
      throw error;
    }
  });
  const done = Promise.allSettled(runs).then((ends) => {
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw new Error('a worker ended', { cause: failed.reason });
  });
  done.catch(() => undefined);
  return {
    done,
    ready: () => workers.every((worker) => worker.getState() === 'RUNNING'),
    async stop() {
      stopAll();
      await done.catch(() => undefined);
    },
  };
}

import { sql } from 'kysely';
import { startMigration } from '#commands/migrations.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { channelMigrationWorkflowId, wakeAll } from '#workflows/contract.ts';
import { moveByHand, writtenBy } from './migration-baseline.ts';
import type { Copy, MigrationGround } from './migration-ground.ts';
import { rounded } from './statistics.ts';

/** One move by the workflow beside one by hand, of the same conversations. */
export interface Pair {
  readonly oursMs: number;
  readonly bareMs: number;
  /** Of the workflow's longest run. */
  readonly historyEvents: number;
  readonly historyBytes: number;
  readonly runs: number;
  /** Transactions of the walk. */
  readonly batches: number;
  /** Bytes that the worker had resident. */
  readonly memory: { readonly start: number; readonly peak: number; readonly end: number };
}

/** What the two have written is not the same. */
export class NotTheSame extends Error {}

/** Each on a copy of its own, with nothing else going on; which of the two comes first changes from round to round. Throws `NotTheSame`. */
export async function movePair(ground: MigrationGround, round: number): Promise<Pair> {
  const oursFirst = round % 2 === 1;
  const first = oursFirst ? undefined : await byHand(ground);
  const ours = await byWorkflow(ground);
  const bare = first ?? (await byHand(ground));
  const differing = [...new Set([...Object.keys(ours.written), ...Object.keys(bare.written)])].filter((what) => ours.written[what] !== bare.written[what]);
  if (differing.length > 0) {
    throw new NotTheSame(differing.map((what) => `${what}: ${ours.written[what] ?? 0} by the workflow, ${bare.written[what] ?? 0} by hand`).join('\n'));
  }
  const { historyEvents, historyBytes, runs, batches, memory } = ours;
  console.log(`round ${round}: workflow ${rounded(ours.ms / 1000)} s in ${batches} transactions, by hand ${rounded(bare.ms / 1000)} s`);
  return { oursMs: ours.ms, bareMs: bare.ms, historyEvents, historyBytes, runs, batches, memory };
}

type Written = Readonly<Record<string, number>>;

async function byHand(ground: MigrationGround): Promise<{ readonly ms: number; readonly written: Written }> {
  return onCopy(ground, async (copy) => ({ ms: await moveByHand(copy, ground.order), written: await writtenBy(copy.db) }));
}

async function byWorkflow(ground: MigrationGround): Promise<Omit<Pair, 'oursMs' | 'bareMs'> & { readonly ms: number; readonly written: Written }> {
  return onCopy(ground, async (copy) => {
    const worker = await ground.startWorker(copy);
    try {
      worker.peak();
      const start = worker.memory();
      const started = performance.now();
      const migrationId = await startMove(ground, copy.db);
      const { client, order } = ground;
      await client.workflow.getHandle(channelMigrationWorkflowId(order.channelKey)).result();
      const ms = performance.now() - started;
      const memory = { start, peak: worker.peak(), end: worker.memory() };
      const { state, batches } = await copy.db
        .selectFrom('channel_migration')
        .select(['state', 'batches'])
        .where('id', '=', migrationId)
        .executeTakeFirstOrThrow();
      if (state !== 'COMPLETED') throw new Error(`bench: the workflow has ended, and the move is ${state}`);
      return { ms, memory, batches, ...(await longestRun(ground, copy.db, migrationId)), written: await writtenBy(copy.db) };
    } finally {
      await worker.stop();
    }
  });
}

/** Starts the move as the API does: the command, then the wake. */
export async function startMove({ order, context, waker }: MigrationGround, db: Db): Promise<string> {
  const { value, wakes } = await transact(db, { actor: 'USER', userId: order.superAdminId }, (unit) =>
    startMigration(unit, context, {
      channelId: order.channelId,
      history: 'ALL',
      openStatusId: order.openStatusId,
      closedStatusId: order.closedStatusId,
      muted: true,
    }),
  );
  await wakeAll(waker, wakes, (workflowId) => {
    throw new Error(`bench: ${workflowId} could not be woken`);
  });
  return value.migrationId;
}

async function longestRun(
  { client, order }: MigrationGround,
  db: Db,
  migrationId: string,
): Promise<{ historyEvents: number; historyBytes: number; runs: number }> {
  const runs = await db.selectFrom('channel_migration_run').select('run_id').where('migration_id', '=', migrationId).execute();
  const described = await Promise.all(
    runs.map(({ run_id: runId }) => client.workflow.getHandle(channelMigrationWorkflowId(order.channelKey), runId).describe()),
  );
  return {
    historyEvents: Math.max(...described.map(({ historyLength }) => historyLength)),
    historyBytes: Math.max(...described.map(({ historySize }) => historySize ?? Number.NaN)),
    runs: runs.length,
  };
}

/** On a copy that starts as every other did, and is gone afterwards. */
export async function onCopy<Value>(ground: MigrationGround, work: (copy: Copy) => Promise<Value>): Promise<Value> {
  const copy = await ground.copy();
  try {
    // The first query of a new database reads its catalogue.
    await sql`select count(*) from channel`.execute(copy.db);
    return await work(copy);
  } finally {
    await copy.drop();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { channelMigrationWorkflowId } from '#workflows/contract.ts';

/** A move as its row says it is. */
export interface MoveState {
  readonly migrationId: string;
  readonly channelId: string;
  readonly channelKey: string;
  readonly state: string;
  /** Milliseconds since 1970. */
  readonly progressedAt: number;
}

/** Its workflow as Temporal says it is; null: Temporal has none, or does not answer. */
export interface RunState {
  readonly runId: string;
  readonly running: boolean;
  /** One of its activities is paused. */
  readonly paused: boolean;
}

/** The move that runs now, else null. Throws where PostgreSQL is away. */
export async function runningMove(db: Db): Promise<MoveState | null> {
  return (await readMoves(db)).find(({ state }) => state === 'RUNNING') ?? null;
}

/** All that were begun or are set for later. */
export async function readMoves(db: Db): Promise<readonly MoveState[]> {
  const { rows } = await sql<MoveState>`
    select g.id as "migrationId", g.channel_id as "channelId", h.key as "channelKey", g.state, coalesce(extract(epoch from g.progressed_at) * 1000, 0)::float8 as "progressedAt"
    from channel_migration g join channel h on h.id = g.channel_id where g.state <> 'WITHDRAWN' order by g.asked_at`.execute(db);
  return rows;
}

export async function readRun(client: Client, channelKey: string): Promise<RunState | null> {
  try {
    const { raw, runId, status } = await client.connection.withDeadline(Date.now() + 2_000, () =>
      client.workflow.getHandle(channelMigrationWorkflowId(channelKey)).describe(),
    );
    return { runId, running: status.name === 'RUNNING', paused: (raw.pendingActivities ?? []).some((one) => one.paused === true) };
  } catch {
    return null;
  }
}

/** Milliseconds of every moment at which a move said that it comes on, whichever moves. */
export interface Pulse {
  /** The longest time without such a moment from `since` to `until`, which is one itself. */
  longestGap(since: number, until: number): number;
  stop(): Promise<void>;
}

const LOOK_MS = 50;

/** Looks at the rows many times a second. While PostgreSQL is away it sees nothing, and goes on after. */
export function watchPulse(db: Db): Pulse {
  const moments: number[] = [];
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const moves = await readMoves(db).catch(() => []);
      const latest = Math.max(0, ...moves.map(({ progressedAt }) => progressedAt));
      if (latest > (moments.at(-1) ?? 0)) moments.push(latest);
      await sleep(LOOK_MS);
    }
  })();
  return {
    longestGap(since, until) {
      const between = [...moments.filter((moment) => moment > since && moment < until), until];
      return Math.max(0, ...between.map((moment, index) => moment - (between[index - 1] ?? since)));
    },
    async stop() {
      stopped = true;
      await watching;
    },
  };
}

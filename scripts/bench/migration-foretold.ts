import { sql } from 'kysely';
import { preflight, PREFLIGHT_PARTS } from '#commands/migration-preflight.ts';
import type { Db } from '#db/database.ts';
import { onCopy } from './migration-alone.ts';
import type { MigrationGround } from './migration-ground.ts';

const ROUNDS = 3;

/** Milliseconds of a whole preflight, and of one `count(*)` of the conversations it is about. */
export interface Foretold {
  readonly ours: readonly number[];
  readonly bare: readonly number[];
}

/** All its parts, one after the other as they are shown; by turns with the count, after one of each to warm up. */
export async function foretellMove(ground: MigrationGround): Promise<Foretold> {
  return onCopy(ground, async ({ db }) => {
    const ours: number[] = [];
    const bare: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const counted = await timed(() => count(db, ground.order.channelId));
      const foretold = await timed(async () => {
        const { channelId, openStatusId, closedStatusId } = ground.order;
        const parts = await preflight(db, ground.context, { channelId, history: 'ALL', openStatusId, closedStatusId });
        for (const part of PREFLIGHT_PARTS) await parts[part]();
        if ((await parts.conversations()).total !== ground.order.conversations) throw new Error('bench: the preflight counts other conversations');
      });
      if (round === 0) continue;
      bare.push(counted);
      ours.push(foretold);
    }
    return { ours, bare };
  });
}

async function count(db: Db, channelId: string): Promise<void> {
  await sql`select count(*) from conversation where channel_id = ${channelId} and place = 'INBOX'`.execute(db);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

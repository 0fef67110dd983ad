import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { openConnection } from '#db/database.ts';

const AGAIN_MS = 50;
const PATIENCE_MS = 60_000;

/**
 * Conversations somebody is at work on: held by row locks in one transaction, a portion in each of its savepoints, and let go portion by portion. A move passes over them, so
 * it has something left to do as long as one is held. PostgreSQL's end frees all of them.
 */
export interface HeldConversations {
  /** Locks what is still to be held, once more where PostgreSQL was away. */
  hold(): Promise<void>;
  /** Lets one portion go. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** `portions`: ids of conversations; the last goes first. */
export function holdConversations(url: string, portions: readonly (readonly string[])[]): HeldConversations {
  let held = portions.length;
  let client: Client | undefined;

  async function tryToHold(): Promise<void> {
    const next = openConnection(url, 'trunkline-chaos-holds');
    next.on('error', () => undefined);
    await next.connect();
    try {
      await next.query('begin');
      await next.query('set local lock_timeout = 5000');
      for (const [index, ids] of portions.slice(0, held).entries()) {
        await next.query(`savepoint portion_${index}`);
        await next.query(`select from conversation where id = any($1::uuid[]) and place = 'INBOX' order by id for no key update skip locked`, [ids]);
      }
      client = next;
    } catch (error) {
      await next.end().catch(() => undefined);
      throw error;
    }
  }

  return {
    async hold() {
      await client?.end().catch(() => undefined);
      client = undefined;
      if (held === 0) return;
      for (const end = Date.now() + PATIENCE_MS; ; await sleep(AGAIN_MS)) {
        try {
          await tryToHold();
          return;
        } catch (error) {
          if (Date.now() > end) throw error;
        }
      }
    },
    async release() {
      if (held === 0) return;
      held -= 1;
      // Without an answer they are free already.
      await client?.query(`rollback to savepoint portion_${held}`).catch(() => undefined);
    },
    async close() {
      held = 0;
      await client?.end().catch(() => undefined);
      client = undefined;
    },
  };
}

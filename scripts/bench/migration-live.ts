import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { createIntakeWake } from '#api/doors/intake-wake.ts';
import { storeDelivery } from '#commands/intake.ts';
import { readReport } from '#commands/migration-report.ts';
import type { Db } from '#db/database.ts';
import { channelMigrationWorkflowId } from '#workflows/contract.ts';
import { mail, STORED_HEADERS } from './intake.ts';
import { onCopy, startMove } from './migration-alone.ts';
import type { MigrationGround, Order } from './migration-ground.ts';

const PER_SECOND = 20;
const WARM_UP_S = 15;
const ALONE_S = 60;
/** How often it is looked which mails are in a conversation by now. */
const LOOK_MS = 20;
/** Old threads that are answered: each twice at the most, in a long move. */
const THREADS = 10_000;
const LOST_MS = 120_000;

/** A move beside twenty mails a second: half of them answer old threads of the channel, half begin new ones. */
export interface Live {
  /** Milliseconds from a mail's receipt until it is in a conversation: before the move, beside it, after it. */
  readonly before: readonly number[];
  readonly beside: readonly number[];
  readonly after: readonly number[];
  readonly perSecond: number;
  readonly seconds: number;
  readonly waitedMs: number;
  readonly pulledForward: number;
  readonly arrived: number;
}

/** Mails are offered before, beside and after it at the same pace; one that does not come throws. */
export async function moveBesideLive(ground: MigrationGround): Promise<Live> {
  const { client, order } = ground;
  return onCopy(ground, async ({ db, ...copy }) => {
    const worker = await ground.startWorker({ db, ...copy });
    const mails = await offerMails(ground, db, order);
    try {
      await mails.during(sleep(WARM_UP_S * 1000));
      const before = await mails.during(sleep(ALONE_S * 1000));
      const started = performance.now();
      const migrationId = await startMove(ground, db);
      const beside = await mails.during(client.workflow.getHandle(channelMigrationWorkflowId(order.channelKey)).result());
      const seconds = (performance.now() - started) / 1000;
      const after = await mails.during(sleep((ALONE_S / 2) * 1000));
      const report = await readReport(db, migrationId);
      const { waitedMs, pulledForward, arrived } = report;
      return { before, beside, after, perSecond: (report.movedWithTicket + report.movedWithNewTicket) / seconds, seconds, waitedMs, pulledForward, arrived };
    } finally {
      await mails.stop();
      await worker.stop();
    }
  });
}

interface Mails {
  /** Milliseconds of each mail that was offered while that lasted; resolves when the last of them is in a conversation. */
  during(what: Promise<unknown>): Promise<readonly number[]>;
  stop(): Promise<void>;
}

/** Twenty a second without a pause, stored and told of as a door does it. */
async function offerMails({ waker }: MigrationGround, db: Db, order: Order): Promise<Mails> {
  const { rows: threads } = await sql<{ key: string; address: string }>`
    select k.key, p.value as address from (
      select key, conversation_id from thread_key where channel_id = ${order.channelId} order by hashtext(key) limit ${THREADS}
    ) k join participant p on p.conversation_id = k.conversation_id and p.kind = 'email-address' order by hashtext(k.key)`.execute(db);
  const wake = createIntakeWake({ db, waker, log: () => undefined });
  const headers = JSON.parse(STORED_HEADERS) as Record<string, string>;
  const waiting = new Map<string, number>();
  const taken = new Map<string, number>();
  const failures: unknown[] = [];
  let sent = 0;
  let stopped = false;

  async function offer(number: number): Promise<void> {
    const id = `live.${number}@post.example`;
    const thread = number % 2 === 0 ? threads[(number / 2) % threads.length] : undefined;
    const answers = thread?.key.replace(/^<|>$/g, '');
    const body = mail(order.address, thread?.address ?? `newcomer${number}@example.com`, id, answers);
    const receivedAt = new Date();
    waiting.set(`<${id}>`, receivedAt.getTime());
    const { deliveryId, intakeRunning } = await storeDelivery(db, order.channelId, {
      method: 'SMTP',
      url: '',
      headers,
      body: Buffer.from(body),
      receivedAt: receivedAt.toISOString(),
    });
    wake.stored({ channelId: order.channelId, channelKey: order.channelKey, plugin: order.plugin, deliveryId, intakeRunning });
  }

  async function offerAll(): Promise<void> {
    const began = performance.now();
    const under = new Set<Promise<void>>();
    for (; !stopped; sent += 1) {
      await sleep(Math.max(0, began + (sent * 1000) / PER_SECOND - performance.now()));
      const one = offer(sent).catch((error: unknown) => void failures.push(error));
      under.add(one);
      void one.finally(() => under.delete(one));
    }
    await Promise.all(under);
  }

  async function look(): Promise<void> {
    while (!stopped || waiting.size > 0) {
      await sleep(LOOK_MS);
      if (waiting.size === 0) continue;
      const { rows } = await sql<{ id: string }>`
        select m.provider_message_id as id from message m where m.channel_id = ${order.channelId} and m.provider_message_id = any(${[...waiting.keys()]}::text[])`.execute(
        db,
      );
      const now = Date.now();
      for (const { id } of rows) {
        taken.set(id, now - (waiting.get(id) ?? now));
        waiting.delete(id);
      }
      const oldest = waiting.values().next().value;
      if (oldest !== undefined && now - oldest > LOST_MS) throw new Error(`bench: ${waiting.size} mails are in no conversation`);
    }
  }

  const looking = look().catch((error: unknown) => void failures.push(error));
  const offering = offerAll();
  const rethrow = (): void => {
    if (failures.length > 0) throw failures[0];
  };
  return {
    async during(what) {
      const from = sent;
      await what;
      const until = sent;
      const ids = Array.from({ length: until - from }, (_, index) => `<live.${from + index}@post.example>`);
      while (failures.length === 0 && ids.some((id) => !taken.has(id))) await sleep(LOOK_MS);
      rethrow();
      return ids.map((id) => taken.get(id) ?? Number.NaN);
    },
    async stop() {
      stopped = true;
      await offering;
      await looking;
      await wake.close();
    },
  };
}

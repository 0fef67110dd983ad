import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { createIntakeWake } from '#api/doors/intake-wake.ts';
import { connectChannel } from '#commands/channels.ts';
import { storeDelivery } from '#commands/intake.ts';
import { readProgress, readReport } from '#commands/migration-report.ts';
import { transact } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { channelMigrationWorkflowId } from '#workflows/contract.ts';
import { mail, STORED_HEADERS } from './intake.ts';
import { onCopy, startMove } from './migration-alone.ts';
import type { MigrationGround, Order } from './migration-ground.ts';
import { percentile } from './statistics.ts';

const WARM_UP_S = 15;
const ALONE_S = 60;
/** How often it is looked which mails are in a conversation by now. */
const LOOK_MS = 20;
const TELL_MS = 10_000;
const ADDRESS = 'live@acme.example';
/** Old threads that are answered, one after the other. */
const THREADS = 10_000;
const LOST_MS = 300_000;
/** What a move beside them may take: five minutes, and a second more for so many conversations. */
const LEAST_MS = 300_000;
const LEAST_PER_SECOND = 500;

/** A move beside live mails: half of them to another channel, which lives in the help desk; of the others four of five answer old threads of the channel that moves. */
export interface Live {
  /** Milliseconds from a mail's receipt until it is in a conversation: before the move, beside it, after it. */
  readonly before: readonly number[];
  readonly beside: readonly number[];
  readonly after: readonly number[];
  readonly perSecond: number;
  readonly seconds: number;
  /** False: it was not over when its time was. */
  readonly over: boolean;
  readonly waitedMs: number;
  readonly pulledForward: number;
  readonly arrived: number;
}

/** So many mails a second are offered before, beside and after it; one that does not come throws. */
export async function moveBesideLive(ground: MigrationGround, perSecond: number): Promise<Live> {
  const { client, order } = ground;
  return onCopy(ground, async (copy) => {
    const { db } = copy;
    const other = await helpDeskChannel(ground, db);
    const worker = await ground.startWorker(copy);
    const mails = await offerMails(ground, db, [order, other], perSecond);
    try {
      await mails.during(sleep(WARM_UP_S * 1000));
      const before = await mails.during(sleep(ALONE_S * 1000));
      console.log(`live mails before the move, p99: ${Math.round(percentile(before, 0.99))} ms`);
      const started = performance.now();
      const migrationId = await startMove(ground, db);
      const calledOff = new AbortController();
      const late = sleep(LEAST_MS + (order.conversations / LEAST_PER_SECOND) * 1000, false, { signal: calledOff.signal }).catch(() => false);
      const telling = setInterval(() => void tell(db, migrationId), TELL_MS);
      let over = false;
      let seconds = 0;
      const ended = client.workflow.getHandle(channelMigrationWorkflowId(order.channelKey)).result();
      const beside = await mails
        .during(
          Promise.race([ended.then(() => true), late]).then((value) => {
            over = value;
            seconds = (performance.now() - started) / 1000;
          }),
        )
        .finally(() => {
          clearInterval(telling);
          calledOff.abort();
        });
      const after = over ? await mails.during(sleep((ALONE_S / 2) * 1000)) : [];
      const { movedWithTicket, movedWithNewTicket, waitedMs, pulledForward, arrived } = await readReport(db, migrationId);
      return { before, beside, after, perSecond: (movedWithTicket + movedWithNewTicket) / seconds, seconds, over, waitedMs, pulledForward, arrived };
    } finally {
      await mails.stop();
      await worker.stop();
    }
  });
}

async function tell(db: Db, migrationId: string): Promise<void> {
  const { moved, found, waitedMs } = await readProgress(db, migrationId).catch(() => ({ moved: 0, found: 0, waitedMs: 0 }));
  console.log(`${moved} of ${found} moved, ${Math.round(waitedMs / 1000)} s of waiting for live mails`);
}

/** A channel as the moving one, where people work already: what comes there makes tickets, before the move as beside it. */
async function helpDeskChannel({ order, context }: MigrationGround, db: Db): Promise<LiveChannel> {
  const settings = { kind: 'other', address: ADDRESS, companyName: 'Acme', smtp: { host: '127.0.0.1', port: 1025, secure: 'none' } };
  const { value } = await transact(db, { actor: 'SYSTEM' }, (unit) =>
    connectChannel(unit, context, {
      plugin: order.plugin,
      name: 'Live',
      placeId: order.helpDeskId,
      settings,
      routing: { kind: 'SPECIFIC', teamIds: order.teamIds },
    }),
  );
  return { channelId: value.channelId, channelKey: value.key, plugin: order.plugin, address: ADDRESS };
}

type LiveChannel = Pick<Order, 'channelId' | 'channelKey' | 'plugin' | 'address'>;

interface Mails {
  /** Milliseconds of each mail that was offered while that lasted; resolves when the last of them is in a conversation. */
  during(what: Promise<unknown>): Promise<readonly number[]>;
  stop(): Promise<void>;
}

/** That many a second without a pause, stored and told of as a door does it. */
async function offerMails({ waker }: MigrationGround, db: Db, [moving, other]: readonly [LiveChannel, LiveChannel], perSecond: number): Promise<Mails> {
  const { rows: threads } = await sql<{ key: string; address: string }>`
    select k.key, p.value as address from (
      select key, conversation_id from thread_key where channel_id = ${moving.channelId} order by hashtext(key) limit ${THREADS}
    ) k join participant p on p.conversation_id = k.conversation_id and p.kind = 'email-address' order by hashtext(k.key)`.execute(db);
  const wake = createIntakeWake({ db, waker, log: () => undefined });
  // Signed by the customers' own domain: without that nothing joins a thread by its headers alone.
  const headers = JSON.parse(STORED_HEADERS.replaceAll('out.example', 'example.com')) as Record<string, string>;
  const waiting = new Map<string, number>();
  const taken = new Map<string, number>();
  const failures: unknown[] = [];
  let sent = 0;
  let stopped = false;

  async function offer(number: number): Promise<void> {
    const id = `live.${number}@post.example`;
    // Every second one to the other channel; of the rest four of five answer what was written before.
    const { channelId, channelKey, plugin, address } = number % 2 === 0 ? other : moving;
    const thread = number % 2 === 0 || number % 10 === 9 ? undefined : threads[((number - 1) / 2) % threads.length];
    const body = mail(address, thread?.address ?? `newcomer${number}@example.com`, id, thread?.key.replace(/^<|>$/g, ''));
    const receivedAt = new Date();
    waiting.set(`<${id}>`, receivedAt.getTime());
    const raw = { method: 'SMTP', url: '', headers, body: Buffer.from(body), receivedAt: receivedAt.toISOString() };
    const { deliveryId, intakeRunning } = await storeDelivery(db, channelId, raw);
    wake.stored({ channelId, channelKey, plugin, deliveryId, intakeRunning });
  }

  async function offerAll(): Promise<void> {
    const began = performance.now();
    const under = new Set<Promise<void>>();
    for (; !stopped; sent += 1) {
      await sleep(Math.max(0, began + (sent * 1000) / perSecond - performance.now()));
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
        select m.provider_message_id as id from message m where m.channel_id in (${moving.channelId}, ${other.channelId}) and m.provider_message_id = any(${[...waiting.keys()]}::text[])`.execute(
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

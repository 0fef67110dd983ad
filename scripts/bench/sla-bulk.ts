import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { reply } from '#commands/conversations.ts';
import { startReevaluation } from '#commands/sla-reevaluation.ts';
import { transact } from '#commands/unit.ts';
import { wakeAll } from '#workflows/contract.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take } from '#test/support/fixtures.ts';
import type { Ground } from './ground.ts';
import { seedPolicy, until } from './sla-ground.ts';
import { seedTickets } from './routing-ground.ts';

const CONVERSATIONS = 50;
const PER_SECOND = 20;
const ALONE = 300;
/** So far ahead that no workflow needs to know of it yet. */
const FAR_MS = 30 * 24 * 3_600_000;

/** A re-evaluation of many open tickets, and live work alone and beside it. */
export interface Bulk {
  readonly tickets: number;
  readonly seconds: number;
  /** Milliseconds of each live transaction. */
  readonly alone: readonly number[];
  readonly beside: readonly number[];
}

/** Tickets that no policy was ever asked for are brought up to one, while contacts write and agents answer in others. */
export async function reevaluateMany(ground: Ground, channelId: string, ownerIds: readonly string[], tickets: number): Promise<Bulk> {
  const { db, waker } = ground;
  await seedPolicy(ground, 'the rest', null, FAR_MS);
  const live = await liveWork(ground);
  for (let left = tickets; left > 0; left -= 20_000) await seedTickets(db, channelId, Math.min(left, 20_000), ownerIds);
  await sql`analyze`.execute(db);
  await live(20);
  const alone = await live(ALONE);
  const { value, wakes } = await transact(db, { actor: 'SYSTEM' }, (unit) => startReevaluation(unit, 'BY_HAND'));
  const row = () =>
    db.selectFrom('sla_reevaluation').select(['state', 'looked_at', 'started_at', 'ended_at']).where('id', '=', value.reevaluationId).executeTakeFirstOrThrow();
  await wakeAll(waker, wakes, () => {
    throw new Error('bench: the re-evaluation could not be begun');
  });
  const beside: number[] = [];
  while ((await row()).state === 'RUNNING') beside.push(...(await live(PER_SECOND)));
  await until(async () => (await row()).state === 'DONE');
  const { looked_at: lookedAt, started_at: from, ended_at: to } = await row();
  return { tickets: lookedAt, seconds: ((to ?? from).getTime() - from.getTime()) / 1000, alone, beside };
}

/** Twenty times a second, or as fast as they are done, a contact writes in a conversation of the help desk or an agent answers there; the time of each by itself. */
async function liveWork({ db }: Ground): Promise<(count: number) => Promise<readonly number[]>> {
  const channel = await makeChannel(db);
  const userId = await makeUser(db, { role: 'ADMIN' });
  const threads: string[] = [];
  for (let index = 0; index < CONVERSATIONS; index += 1) {
    const first = inbound(`live${index}@out.example`);
    threads.push(first.thread.keys[0] ?? '');
    await take(db, channel, [first]);
  }
  const conversations = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).orderBy('id').execute();
  let turn = 0;
  const next = async (): Promise<void> => {
    const at = Math.floor(turn / 2) % CONVERSATIONS;
    const answers = turn % 2 === 0;
    turn += 1;
    if (answers) {
      await transact(db, { actor: 'USER', userId }, (unit) => reply(unit, [plainPlugin], { conversationId: conversations[at]?.id ?? '', text: 'An answer' }));
    } else await take(db, channel, [inbound(`live${at}@out.example`, { joins: [threads[at] ?? ''] })]);
  };
  return async (count) => {
    const times: number[] = [];
    const started = performance.now();
    for (let done = 0; done < count; done += 1) {
      await sleep(Math.max(0, started + (done * 1000) / PER_SECOND - performance.now()));
      const began = performance.now();
      await next();
      times.push(performance.now() - began);
    }
    return times;
  };
}

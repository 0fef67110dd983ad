import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { savePolicy } from '#commands/sla-policies.ts';
import { transact } from '#commands/unit.ts';
import type { Wake } from '#domain/wake.ts';
import { SEARCH_ATTRIBUTES, wakeAll } from '#workflows/contract.ts';
import type { Ground } from './ground.ts';

const CALLERS = 50;
const TICKETS_PER_TRANSACTION = 500;
/** Milliseconds a bench ticket may take to be closed. */
const CLOSE_MS = 24 * 3_600_000;
/** What the tickets with deadlines came from. */
export const SOURCE = 'bench';

/** A policy for tickets of a source (none: of any), with a goal for their close. */
export async function seedPolicy({ db }: Ground, name: string, source: string | null, closeMs = CLOSE_MS): Promise<void> {
  await transact(db, { actor: 'SYSTEM' }, (unit) =>
    savePolicy(
      unit,
      {
        name,
        conditions: source === null ? [] : [{ property: 'source', operator: 'IS', values: [source] }],
        targets: (['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE'] as const).map((kind) => ({ kind, priority: null, durationMs: closeMs, dueSoonMs: 0 })),
        pauseStatusIds: [],
        actions: [],
      },
      'NEW_TICKETS',
    ),
  );
}

/** Tickets that have owners, and the deadlines that the policy gives them by the time they were made at; awake until they have read them. */
export async function seedDeadlines(ground: Ground, channelId: string, ownerIds: readonly string[], deadlines: readonly number[]): Promise<void> {
  const wakes: Wake[] = [];
  for (let from = 0; from < deadlines.length; from += TICKETS_PER_TRANSACTION) {
    const some = deadlines.slice(from, from + TICKETS_PER_TRANSACTION);
    const committed = await transact(ground.db, { actor: 'SYSTEM' }, async (unit) => {
      const { rows } = await sql<{ ticket: string; conversation: string; place: string; owner: string }>`
        with seed as materialized (
          select uuidv7() as conversation, uuidv7() as ticket, at, (${[...ownerIds]}::uuid[])[1 + n % ${ownerIds.length}::int] as owner
          from unnest(${some.map((at) => new Date(at - CLOSE_MS).toISOString())}::timestamptz[]) with ordinality as d (at, n)
        ), conversations as (
          insert into conversation (id, channel_id, origin_channel_id, place_id, place, ticket_id, started_at, last_message_at)
            select s.conversation, h.id, h.id, h.place_id, h.place, s.ticket, s.at, s.at from seed s, channel h where h.id = ${channelId}
        ), tickets as (
          insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, owner_id, source, created_at)
            select s.ticket, s.conversation, 'Ticket', h.default_pipeline_id, h.default_status_id, 'MEDIUM', s.owner, ${SOURCE}, s.at
            from seed s, channel h where h.id = ${channelId}
        )
        select s.ticket, s.conversation, s.owner, h.place_id as place from seed s, channel h where h.id = ${channelId}`.execute(unit.tx);
      for (const { ticket: ticketId, conversation: conversationId, place: placeId, owner: userId } of rows) {
        const ids = { ticketId, conversationId, channelId, placeId };
        unit.record({ kind: 'CONVERSATION_STARTED', ...ids, why: 'CHANNEL' });
        unit.record({ kind: 'TICKET_CREATED', ...ids, why: 'CHANNEL' });
        unit.record({ kind: 'OWNER_CHANGED', ...ids, userId, why: 'BY_HAND', data: { from: null, to: userId } });
      }
    });
    wakes.push(...committed.wakes);
  }
  if (wakes.length !== deadlines.length) throw new Error(`bench: ${wakes.length} of ${deadlines.length} tickets have a deadline`);
  await inTurn(wakes, async (wake) => {
    await wakeAll(ground.waker, [wake], (workflowId) => {
      throw new Error(`bench: ${workflowId} could not be woken`);
    });
  });
}

/** Waits until so many tickets' workflows show that their deadline is ahead, or is missed: they sleep. False: the moment `by` came before. */
export async function areShown({ client }: Ground, state: 'ACTIVE' | 'OVERDUE', count: number, by = Number.POSITIVE_INFINITY): Promise<boolean> {
  const shown = async (): Promise<boolean> => (await client.workflow.count(`${SEARCH_ATTRIBUTES.slaState} = '${state}'`)).count === count;
  await until(async () => (await shown()) || Date.now() >= by, 250);
  return Date.now() < by;
}

/** All of them, fifty at the same time, in their order. */
export async function inTurn<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** Asks again and again. Throws after ten minutes. */
export async function until(done: () => Promise<boolean>, everyMs = 100): Promise<void> {
  const end = Date.now() + 600_000;
  while (!(await done())) {
    if (Date.now() > end) throw new Error('bench: not done after ten minutes');
    await sleep(everyMs);
  }
}

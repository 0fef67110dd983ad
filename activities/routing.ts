import { sql } from 'kysely';
import { NotFound } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import type { Wake } from '#domain/wake.ts';
import { inCodes, isAway } from './failures.ts';
import type { Engine } from './dependencies.ts';
import { wake } from './wakes.ts';

/** Conversations decided in one go; the intake comes again while there are more. */
const AT_ONCE = 100;

export function createRoutingActivities(engine: Engine) {
  return {
    /** Decides who gets a ticket, once. `settled`: nothing is left to decide. */
    async decideOwner(number: number): Promise<{ readonly settled: boolean; readonly ownerId: string | null }> {
      const row = await engine.db.selectFrom('ticket').select('id').where('number', '=', number).executeTakeFirst();
      if (row === undefined) return { settled: true, ownerId: null };
      try {
        const { value, wakes } = await decide(engine.db, { ticketId: row.id }, Math.random, engine.plugins);
        // The ticket's own workflow is the one that asked; it looks again anyway.
        await wake(
          engine,
          wakes.filter((one) => !isTicket(one, number)),
        );
        return { settled: true, ownerId: value.ownerId };
      } catch (error) {
        if (error instanceof NotFound) return { settled: true, ownerId: null };
        throw error;
      }
    },
  };
}

function isTicket(one: Wake, number: number): boolean {
  return one.kind === 'ticket' && one.number === number;
}

/**
 * Decides the open conversations of a channel that have no ticket, longest waiting first: they have no workflow of their own. Returns
 * how many. One that can not be decided is logged and added to `failed`, whose conversations are passed over: the guardian comes back to them.
 */
export async function decideConversations(engine: Engine, channelKey: string, failed: Set<string>): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select c.id from conversation c join channel h on h.id = c.channel_id
    where c.route_pending_since is not null and c.ticket_id is null and h.key = ${channelKey}
      and c.id <> all(${[...failed]}::uuid[])
    order by c.route_pending_since limit ${AT_ONCE}`.execute(engine.db);
  for (const { id } of rows) {
    try {
      const { wakes } = await decide(engine.db, { conversationId: id }, Math.random, engine.plugins);
      await wake(engine, wakes);
    } catch (error) {
      if (error instanceof NotFound) continue;
      if (isAway(error)) throw error;
      failed.add(id);
      engine.log.error({ conversationId: id, ...inCodes(error) }, 'a conversation could not be decided');
    }
  }
  return rows.length;
}

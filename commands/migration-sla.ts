import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { TICKETS_PER_BATCH } from './sla-reevaluation.ts';
import { notifyMovedOverdue, type Counts, type EndedMove } from './notifications.ts';
import { fromHistory, oncePolicies, writeSla } from './sla.ts';
import { MOVED, readSlaTickets } from './sla-rows.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** Begins to give the tickets of a move that has ended their goals; the workflow does it (MIG-20). Called twice it begins once. */
export async function startMigrationSla(unit: Unit, migrationId: string): Promise<void> {
  await sql`
    insert into channel_migration_sla (migration_id, total)
    -- The walk has counted its own: the others are few.
    select g.id, g.walked + (select count(*) from channel_migration_conversation m where m.migration_id = g.id and m.how <> 'WALKED' and m.how in (${MOVED}))
    from channel_migration g where g.id = ${migrationId}
    on conflict do nothing`.execute(unit.tx);
  unit.wake({ kind: 'migration-sla', migrationId });
}

/** How far it is. */
export interface MigrationSlaProgress {
  readonly found: boolean;
  readonly done: boolean;
  readonly total: number;
  readonly lookedAt: number;
}

/**
 * Gives the next tickets of a move the goals that their own history gives them. What was overdue by then is told once a user when all are done, with a count (SLA-11, MIG-17), and fires nothing. Goals, counters and place are one transaction, so a
 * batch is done once however often it is tried; of two at once the second waits and goes on behind the first.
 */
export async function migrationSlaBatch(db: Db, migrationId: string): Promise<Committed<MigrationSlaProgress>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const row = await tx.selectFrom('channel_migration_sla').selectAll().where('migration_id', '=', migrationId).forNoKeyUpdate().executeTakeFirst();
    if (row === undefined) return { found: false, done: true, total: 0, lookedAt: 0 };
    if (row.state === 'DONE') return { found: true, done: true, total: row.total, lookedAt: row.looked_at };
    const next = await nextTickets(unit, migrationId, row.position);
    const after = await tx
      .updateTable('channel_migration_sla')
      .set({
        position: next.position ?? row.position,
        // Those that have come since its beginning are looked at too, and are none of its total.
        looked_at: next.done ? row.total : Math.min(row.total, row.looked_at + next.lookedAt),
        progressed_at: sql<Date>`clock_timestamp()`,
        ...(next.done ? { state: 'DONE' as const, ended_at: sql<Date>`clock_timestamp()` } : {}),
      })
      .where('migration_id', '=', migrationId)
      .returningAll()
      .executeTakeFirstOrThrow();
    if (next.done) {
      const { channelId, muted, ...move } = await readEnded(tx, migrationId);
      if (!muted) await notifyMovedOverdue(unit, move, await countOverdue(tx, migrationId));
      unit.record({ kind: 'MIGRATION_CHANGED', why: 'SLA_DONE', channelId, data: { migrationId } });
    }
    return { found: true, done: next.done, total: after.total, lookedAt: after.looked_at };
  });
}

async function readEnded(tx: Tx, migrationId: string): Promise<EndedMove & { readonly channelId: string; readonly muted: boolean }> {
  const row = await tx
    .selectFrom('channel_migration')
    .innerJoin('channel', 'channel.id', 'channel_migration.channel_id')
    .select(['channel_migration.muted', 'channel.id', 'channel.name', 'channel.place_id'])
    .where('channel_migration.id', '=', migrationId)
    .executeTakeFirstOrThrow();
  return { migrationId, channelId: row.id, muted: row.muted, channel: { id: row.id, name: row.name }, helpDeskId: row.place_id };
}

/** Tickets that were overdue by their history: of what became overdue since, its own workflow has told. */
async function countOverdue(tx: Tx, migrationId: string): Promise<Counts> {
  const { rows } = await sql<{ owner_id: string | null; count: number }>`
    select t.owner_id, count(*)::int as count from channel_migration_conversation m join ticket t on t.conversation_id = m.conversation_id
    where m.migration_id = ${migrationId} and m.how in ('WALKED', 'PULLED_FORWARD', 'JOINED')
      and exists (select from sla_goal g where g.ticket_id = t.id and g.state = 'OVERDUE')
      and not exists (select from notification n where n.ticket_id = t.id and n.kind = 'SLA_OVERDUE')
    group by t.owner_id`.execute(tx);
  return {
    byUser: new Map(rows.flatMap((row) => (row.owner_id === null ? [] : [[row.owner_id, row.count] as const]))),
    nobodys: rows.find((row) => row.owner_id === null)?.count ?? 0,
  };
}

interface Looked {
  readonly done: boolean;
  readonly lookedAt: number;
  readonly position: string | null;
}

async function nextTickets(unit: Unit, migrationId: string, position: string): Promise<Looked> {
  const { tx } = unit;
  const { rows } = await sql<{ conversation_id: string; ticket_id: string | null }>`
    select m.conversation_id, c.ticket_id from channel_migration_conversation m join conversation c on c.id = m.conversation_id
    where m.migration_id = ${migrationId} and m.conversation_id > ${position}::uuid and m.how in (${MOVED})
      and exists (select from sla_policy p where p.deleted_at is null)
    order by m.conversation_id limit ${TICKETS_PER_BATCH}`.execute(tx);
  const ids = rows.map((one) => one.conversation_id);
  await sql`select from conversation where id = any(${ids}::uuid[]) order by id for no key update`.execute(tx);
  // Whoever saves the first policy meanwhile waits, and finds these among those that were here before it.
  const policies = await oncePolicies(tx)();
  const tickets = await readSlaTickets(
    tx,
    rows.flatMap((one) => one.ticket_id ?? []),
  );
  const unmeasured = tickets.filter(({ stored }) => stored === null);
  if (unmeasured.length > 0) await writeSla(unit, await fromHistory(tx, unmeasured, policies), 'IN_BULK');
  return { done: rows.length < TICKETS_PER_BATCH, lookedAt: rows.length, position: ids.at(-1) ?? null };
}

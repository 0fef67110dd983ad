import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockChannelExclusive } from '#db/locks.ts';
import { BATCH_AIM_MS, nextBatchSize } from '#domain/migration.ts';
import { attempt, completeIfEmpty, dataFault, forget, leaveOver, readMove, tellLate } from './migration-follow.ts';
import { moveNext, moveThese, nextOf, theseOf, type Move, type MovedBatch } from './migration-conversations.ts';
import { startMigrationSla } from './migration-sla.ts';
import { notifyMoved } from './notifications.ts';
import { noteFreed } from './routing-retry.ts';
import { settleSla } from './sla.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** What a step of the walk did. `CHECK`: a whole sweep found nothing; whether that is all is for the check under the channel's lock to say. */
export type Step = { readonly state: 'GOES_ON'; readonly moved: number } | { readonly state: 'CHECK' | 'OVER' };

export interface StepOptions {
  /** Milliseconds for which it has let live work go first since the last step. */
  readonly waitedMs?: number;
  /** Whether readers are told how far it is. */
  readonly tell?: boolean;
  /** Milliseconds the step is to take. */
  readonly aimMs?: number;
}

/** The first id of all: a walk begins behind it. */
const BEGINNING = '00000000-0000-0000-0000-000000000000';

const OVER: Step = { state: 'OVER' };

/**
 * Moves the next conversations (MIG-9, MIG-13). What they become, the cursor and the counters are one transaction, so a step is done once however often it is tried; of two
 * at once the second waits and goes on behind the first. Where PostgreSQL will not have one of them, the next steps are smaller, until it stands alone and is left over with
 * its reason (MIG-16).
 */
export async function walkOn(db: Db, migrationId: string, options: StepOptions = {}): Promise<Committed<Step>> {
  const { value, wakes } = await step(db, migrationId, options).catch(async (error: unknown) => {
    if (dataFault(error) === null) throw error;
    await sql`update channel_migration set batch_size = greatest(1, batch_size / 2) where id = ${migrationId}`.execute(db);
    return { value: null, wakes: [] };
  });
  return { value: value ?? { state: 'GOES_ON', moved: 0 }, wakes };
}

async function step(db: Db, migrationId: string, { waitedMs = 0, tell = false, aimMs = BATCH_AIM_MS.besideLiveWork }: StepOptions): Promise<Committed<Step>> {
  return transact<Step>(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const row = await tx.selectFrom('channel_migration').selectAll().where('id', '=', migrationId).forNoKeyUpdate().executeTakeFirst();
    if (row === undefined || row.state !== 'RUNNING') return OVER;
    const move = await readMove(tx, migrationId);
    const size = row.batch_size;
    const began = performance.now();
    const batch = size === 1 ? await moveOne(tx, move, row.position) : await moveNext(tx, move, nextOf(move, row.position, size));
    const tookMs = performance.now() - began;
    for (const number of batch.undecided) unit.wake({ kind: 'ticket', number, channelKey: move.channelKey, plugin: move.plugin });
    const ended = batch.lastId === null;
    // Few are quick because they are few.
    const tells = batch.moved >= size || (size === 1 && !ended);
    await tx
      .updateTable('channel_migration')
      .set((eb) => ({
        ...(ended ? { phase: 'SWEEPING' as const, position: BEGINNING, sweeps: eb('sweeps', '+', 1) } : { position: batch.lastId ?? BEGINNING }),
        ...(tells ? { batch_size: nextBatchSize(size, tookMs, aimMs) } : {}),
        batches: eb('batches', '+', 1),
        walked: eb('walked', '+', batch.moved),
        walked_new: eb('walked_new', '+', batch.newTickets),
        walked_nobodys: eb('walked_nobodys', '+', batch.nobodys),
        walked_unassigned: eb('walked_unassigned', '+', batch.unassigned),
        waited_ms: eb('waited_ms', '+', Math.round(waitedMs)),
        progressed_at: sql<Date>`clock_timestamp()`,
      }))
      .where('id', '=', migrationId)
      .execute();
    if (tell) unit.record({ kind: 'MIGRATION_CHANGED', channelId: move.channelId, why: 'PROGRESS', data: { migrationId } });
    // A sweep that began at the beginning and found nothing.
    if (ended && row.position === BEGINNING && row.phase === 'SWEEPING') return { state: 'CHECK' };
    return { state: 'GOES_ON', moved: batch.moved };
  });
}

/** Keeps for how long it has let live work go first, where no step follows that would. */
export async function noteWaited(db: Db, migrationId: string, waitedMs: number): Promise<void> {
  await sql`update channel_migration set waited_ms = waited_ms + ${Math.round(waitedMs)} where id = ${migrationId} and state = 'RUNNING'`.execute(db);
}

/** The next one by itself, in a savepoint: where it can not be moved it is left over, and the walk goes on behind it. */
async function moveOne(tx: Tx, move: Move, position: string): Promise<MovedBatch & { readonly undecided: readonly number[] }> {
  const none = { moved: 0, newTickets: 0, nobodys: 0, unassigned: 0, undecided: [] };
  const { rows } = await sql<{ id: string }>`select c.id from conversation c where ${nextOf(move, position, 1)}`.execute(tx);
  const id = rows[0]?.id ?? null;
  if (id === null) return { ...none, lastId: null };
  const outcome = await attempt(tx, () => moveNext(tx, move, theseOf([id])));
  if ('value' in outcome) return outcome.value;
  await leaveOver(tx, { migrationId: move.migrationId, conversationId: id, reason: outcome.failed, joined: false });
  return { ...none, lastId: id };
}

/**
 * Ends the move where nothing is left but what can not be moved (MIG-13, MIG-16): the channel is locked, so nothing comes to it meanwhile. Whoever is to know is told, once
 * each (MIG-17), and the tickets get their goals (MIG-20). False: something is left, which somebody holds.
 */
export async function endMove(db: Db, migrationId: string): Promise<Committed<boolean>> {
  const found = await db.selectFrom('channel_migration').select('channel_id').where('id', '=', migrationId).executeTakeFirst();
  if (found === undefined) return { value: true, wakes: [] };
  // Looked at before, the look that keeps the channel locked is short.
  if ((await whatIsLeft(db, migrationId, found.channel_id)).left) return { value: false, wakes: [] };
  return transact<boolean>(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    await lockChannelExclusive(tx, found.channel_id);
    const row = await tx.selectFrom('channel_migration').select(['state', 'muted']).where('id', '=', migrationId).forNoKeyUpdate().executeTakeFirstOrThrow();
    if (row.state !== 'RUNNING') return true;
    const seen = await whatIsLeft(tx, migrationId, found.channel_id);
    if (seen.left) return false;
    await tx
      .updateTable('channel_migration')
      .set({
        state: seen.listed ? 'COMPLETED_WITH_REMAINDER' : 'COMPLETED',
        phase: 'ENDED',
        ended_at: sql<Date>`clock_timestamp()`,
        progressed_at: sql<Date>`clock_timestamp()`,
      })
      .where('id', '=', migrationId)
      .execute();
    const move = await readMove(tx, migrationId);
    await afterwards(unit, move, row.muted);
    unit.record({ kind: 'MIGRATION_CHANGED', channelId: move.channelId, why: 'ENDED', data: { migrationId } });
    // The next one may be waiting for its turn.
    const next = await tx
      .selectFrom('channel_migration')
      .innerJoin('channel', 'channel.id', 'channel_migration.channel_id')
      .select(['channel.key', 'channel.plugin'])
      .where('channel_migration.state', '=', 'SCHEDULED')
      .where('start_at', '<=', sql<Date>`now()`)
      .execute();
    for (const { key, plugin } of next) unit.wake({ kind: 'channel-migration', channelKey: key, plugin });
    return true;
  });
}

/** Whether anything is left in the inbox that is not listed, and whether something is listed. */
async function whatIsLeft(db: Db | Tx, migrationId: string, channelId: string): Promise<{ readonly left: boolean; readonly listed: boolean }> {
  const { rows } = await sql<{ left: boolean; listed: boolean }>`
    select exists (select from conversation c where c.channel_id = ${channelId} and c.place = 'INBOX' and not exists (
        select from channel_migration_remainder r where r.migration_id = ${migrationId} and r.conversation_id = c.id)) as left,
      exists (select from channel_migration_remainder r where r.migration_id = ${migrationId}) as listed`.execute(db);
  return rows[0] ?? { left: true, listed: false };
}

async function afterwards(unit: Unit, { migrationId, channelId, helpDeskId }: Move, muted: boolean): Promise<void> {
  const { tx } = unit;
  const { rows } = await sql<{ user_id: string; assigned: number; unassigned: number }>`
    select user_id, sum(assigned)::int as assigned, sum(unassigned)::int as unassigned from (
      select user_id, assigned, unassigned from channel_migration_owner where migration_id = ${migrationId}
      union all
      select owner_id, (new_ticket and not unassigned)::int, unassigned::int from channel_migration_conversation
      where migration_id = ${migrationId} and how in ('PULLED_FORWARD', 'JOINED') and owner_id is not null
    ) owned group by user_id order by user_id`.execute(tx);
  // Whoever lost something by it has room for something else (ROUTE-13).
  await noteFreed(
    unit,
    rows.flatMap((row) => (row.unassigned > 0 ? [row.user_id] : [])),
  );
  await startMigrationSla(unit, migrationId);
  if (muted) return;
  const counts = await sql<{ name: string; nobodys: number }>`
    select h.name, g.walked_nobodys + (select count(*)::int from channel_migration_conversation m join ticket t on t.conversation_id = m.conversation_id
      where m.migration_id = g.id and m.how in ('PULLED_FORWARD', 'JOINED') and m.new_ticket and t.owner_id is null and t.route_pending_since is null) as nobodys
    from channel_migration g join channel h on h.id = g.channel_id where g.id = ${migrationId}`.execute(tx);
  const [channel] = counts.rows;
  if (channel === undefined) return;
  await notifyMoved(
    unit,
    { migrationId, channel: { id: channelId, name: channel.name }, helpDeskId },
    { byUser: new Map(rows.flatMap((row) => (row.assigned > 0 ? [[row.user_id, row.assigned] as const] : []))), nobodys: channel.nobodys },
  );
}

/** Conversations that are tried again in one go. */
const TRIED_AT_ONCE = 200;

/**
 * Tries what could not be moved once more, each by itself: those that were not tried for an hour, and those whose row is another than when they were (MIG-16). Where none is
 * left the move is complete. Returns how many were moved.
 */
export async function retryRemainder(db: Db, migrationId: string): Promise<Committed<{ readonly tried: number; readonly moved: number }>> {
  return transact(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const row = await tx.selectFrom('channel_migration').select(['state']).where('id', '=', migrationId).forNoKeyUpdate().executeTakeFirst();
    if (row?.state !== 'COMPLETED_WITH_REMAINDER') return { tried: 0, moved: 0 };
    const move = await readMove(tx, migrationId);
    const { rows } = await sql<{ id: string; joined: boolean }>`
      select c.id, r.joined from channel_migration_remainder r join conversation c on c.id = r.conversation_id
      where r.migration_id = ${migrationId} and c.channel_id = ${move.channelId} and ${isDue()}
      order by c.id limit ${TRIED_AT_ONCE} for no key update of c skip locked`.execute(tx);
    let moved = 0;
    for (const { id, joined } of rows) {
      const outcome = await attempt(tx, () => moveThese(tx, move, joined ? 'JOINED' : 'PULLED_FORWARD', theseOf([id])));
      if ('failed' in outcome) {
        await leaveOver(tx, { migrationId, conversationId: id, reason: outcome.failed, joined });
        continue;
      }
      await forget(tx, migrationId, id);
      await tellLate(unit, migrationId, outcome.value);
      moved += outcome.value.length;
      for (const { ticketNumber } of outcome.value) unit.wake({ kind: 'ticket', number: ticketNumber, channelKey: move.channelKey, plugin: move.plugin });
      await settleSla(
        unit,
        [],
        outcome.value.map(({ ticketId }) => ticketId),
      );
    }
    await completeIfEmpty(tx, migrationId);
    if (moved > 0) unit.record({ kind: 'MIGRATION_CHANGED', channelId: move.channelId, why: 'REMAINDER_MOVED', data: { migrationId } });
    return { tried: rows.length, moved };
  });
}

/** Over `channel_migration_remainder r join conversation c`: it is time to try it again. */
export function isDue() {
  return sql<boolean>`(r.tried_at < now() - interval '1 hour' or r.seen is distinct from c.xmin::text::xid8)`;
}

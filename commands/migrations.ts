import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockChannelExclusive, lockMigrations } from '#db/locks.ts';
import type { MigrationHistory, WithdrawnWhy } from '#db/schema.ts';
import { readLivePace } from './live-pace.ts';
import { runningMigration } from './migration-notices.ts';
import { eligibility } from './migration-obstacles.ts';
import { notifyWithdrawn } from './notifications.ts';
import { AlreadyExists, AlreadyStarted, ChannelNotMovable, Forbidden, InvalidInput, MigrationAlreadyRunning, NotFound, type Problem } from './refusals.ts';
import type { Keys } from './secrets.ts';
import { helpDeskId } from './subjects.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** What asking plugins needs. */
export interface MigrationContext {
  readonly plugins: readonly Plugin[];
  readonly keys: Keys;
}

export interface MigrationInput {
  readonly channelId: string;
  /** Whether its conversations go along; it can not be asked for again later (MIG-4). */
  readonly history: MigrationHistory;
  /** With ALL: the statuses of the tickets that are made, by whether the conversation is open. Both of one pipeline, which becomes theirs. */
  readonly openStatusId?: string | null;
  readonly closedStatusId?: string | null;
  /** Nobody is told of what the move makes or assigns (MIG-17). */
  readonly muted?: boolean;
  /** When (ISO 8601); null or past: at once. */
  readonly startAt?: string | null;
}

/** Days ahead for which a start may be set. */
export const FURTHEST_START_DAYS = 366;

/**
 * Starts the move of a channel to the help desk, or sets it for later (MIG-1 to MIG-8). What has started can not be stopped. A move of the channel that is set for later
 * gives way to one that starts now. Throws `NotFound`, `Forbidden`, `InvalidInput`, `ChannelNotMovable`, `MigrationAlreadyRunning`, `AlreadyExists`. The unit's actor must
 * be a user.
 */
export async function startMigration(unit: Unit, context: MigrationContext, input: MigrationInput): Promise<{ readonly migrationId: string }> {
  const { tx } = unit;
  const userId = await requireSuperAdmin(unit, input.channelId);
  const pipelineId = await checkMapping(tx, input);
  const startAt = laterStart(input.startAt ?? null);
  await lockChannelExclusive(tx, input.channelId);
  await lockMigrations(tx);
  const obstacles = await eligibility(tx, context, input.channelId);
  // Of a channel that moves just now the move itself is the news, not that it lives in the help desk.
  if (startAt === null) await requireNoneRuns(tx);
  if (obstacles.length > 0) throw new ChannelNotMovable(obstacles);
  if (startAt === null) await withdrawScheduled(unit, input.channelId);
  const { id } = await tx
    .insertInto('channel_migration')
    .values({
      channel_id: input.channelId,
      history: input.history,
      pipeline_id: pipelineId,
      open_status_id: input.openStatusId ?? null,
      closed_status_id: input.closedStatusId ?? null,
      muted: input.muted ?? false,
      asked_by: userId,
      state: 'SCHEDULED',
      ...(startAt === null ? {} : { start_at: startAt }),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirstOrThrow(() => new AlreadyExists('move of this channel that is set for later'));
  if (startAt === null) {
    await begin(unit, id);
    return { migrationId: id };
  }
  tellAdmins(unit, input.channelId, id, 'SCHEDULED');
  await wakeMove(unit, input.channelId);
  return { migrationId: id };
}

/** Takes back a move that is set for later. Throws `NotFound`, `Forbidden`; `AlreadyStarted` once it has started, however shortly before (MIG-7). */
export async function withdrawMigration(unit: Unit, { migrationId }: { readonly migrationId: string }): Promise<{ readonly migrationId: string }> {
  const { tx } = unit;
  const found = await tx
    .selectFrom('channel_migration')
    .select(['id', 'channel_id'])
    .where(sql<string>`id::text`, '=', migrationId)
    .executeTakeFirst();
  if (found === undefined) throw new NotFound('migration', migrationId);
  await requireSuperAdmin(unit, found.channel_id);
  await lockMigrations(tx);
  const { state } = await tx.selectFrom('channel_migration').select('state').where('id', '=', migrationId).forNoKeyUpdate().executeTakeFirstOrThrow();
  if (state === 'WITHDRAWN') return { migrationId };
  if (state !== 'SCHEDULED') throw new AlreadyStarted(migrationId);
  await withdraw(unit, found.channel_id, migrationId, 'BY_HAND');
  await wakeMove(unit, found.channel_id);
  return { migrationId };
}

/** Minutes after its hour for which a plugin that can not say whether its channel can be moved is asked again. */
const PATIENCE_MINUTES = 60;

/** What became of a move whose hour has come. `WAITS`: another one runs, or its plugin can not say. */
export type DueOutcome = 'STARTED' | 'WAITS' | 'WITHDRAWN' | 'NOT_YET' | 'NOTHING';

/** Starts the move that is set for a channel, if its hour has come, nothing stands in its way and nobody else's runs (MIG-7). Done twice it starts once. */
export async function startDue(db: Db, context: MigrationContext, channelKey: string): Promise<Committed<DueOutcome>> {
  return transact<DueOutcome>(db, { actor: 'SYSTEM' }, async (unit) => {
    const { tx } = unit;
    const channel = await tx.selectFrom('channel').select(['id', 'key', 'name']).where('key', '=', channelKey).executeTakeFirst();
    if (channel === undefined) return 'NOTHING';
    await lockChannelExclusive(tx, channel.id);
    await lockMigrations(tx);
    const row = await tx
      .selectFrom('channel_migration')
      .innerJoin('app_user', 'app_user.id', 'channel_migration.asked_by')
      .select(['channel_migration.id', 'asked_by', 'app_user.role', 'app_user.deactivated_at'])
      .select([sql<boolean>`start_at > now()`.as('early'), sql<boolean>`start_at > now() - make_interval(mins => ${PATIENCE_MINUTES})`.as('lately')])
      .where('channel_id', '=', channel.id)
      .where('state', '=', 'SCHEDULED')
      .executeTakeFirst();
    if (row === undefined) return 'NOTHING';
    if (row.early) return 'NOT_YET';
    if ((await runningMigration(tx)) !== undefined) return 'WAITS';
    const obstacles = await eligibility(tx, context, channel.id);
    // A plugin that can not say now may be able to in a moment: a worker that lacks it is being replaced.
    if (row.lately && obstacles.length > 0 && obstacles.every(({ code }) => code === 'PLUGIN')) return 'WAITS';
    const why = row.role !== 'SUPER_ADMIN' || row.deactivated_at !== null ? 'NOT_SUPER_ADMIN' : obstacles.length > 0 ? 'NOT_ELIGIBLE' : null;
    if (why !== null) {
      await withdraw(unit, channel.id, row.id, why);
      await notifyWithdrawn(unit, { ...channel, migrationId: row.id, why, userId: row.asked_by });
      return 'WITHDRAWN';
    }
    await begin(unit, row.id, { actor: 'USER', userId: row.asked_by });
    return 'STARTED';
  });
}

/**
 * The transaction in which a move begins: from its commit on the channel lives in the help desk (MIG-8). The channel is locked, so nothing arrives meanwhile. A move
 * without history is over with it (MIG-13).
 */
async function begin(unit: Unit, migrationId: string, by = unit.actor): Promise<void> {
  const { tx } = unit;
  const helpDesk = await helpDeskId(tx);
  const live = await readLivePace(tx, 60);
  const { rows } = await sql<{ channel_id: string; history: MigrationHistory; found: number }>`
    update channel_migration g set started_at = now(), progressed_at = now(), live_before_ms = ${live.p99Ms === null ? null : Math.round(live.p99Ms)},
      found = case g.history when 'ALL' then (select count(*) from conversation c where c.channel_id = g.channel_id and c.place = 'INBOX') else 0 end,
      state = case g.history when 'ALL' then 'RUNNING' else 'COMPLETED' end, ended_at = case g.history when 'NONE' then now() end,
      phase = case g.history when 'ALL' then 'WALKING' else 'ENDED' end
    where g.id = ${migrationId} returning g.channel_id, g.history, g.found`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new NotFound('migration', migrationId);
  await tx.updateTable('channel').set({ place: 'HELP_DESK', place_id: helpDesk }).where('id', '=', row.channel_id).execute();
  unit.record({ kind: 'CHANNEL_CHANGED', channelId: row.channel_id, placeId: helpDesk, why: 'MOVED', data: { migrationId }, by });
  unit.record({ kind: 'MIGRATION_CHANGED', channelId: row.channel_id, why: 'STARTED', data: { migrationId }, by });
  if (row.history === 'ALL') await wakeMove(unit, row.channel_id);
  else unit.record({ kind: 'MIGRATION_CHANGED', channelId: row.channel_id, why: 'ENDED', data: { migrationId }, by });
}

/** Who may not is told so only of a channel they may see (MIG-1). */
async function requireSuperAdmin(unit: Unit, channelId: string): Promise<string> {
  const { actor, tx } = unit;
  if (actor.actor !== 'USER') throw new Error('only a user moves a channel');
  const { rows } = await sql<{ role: string; sees: boolean }>`
    select u.role, u.role in ('ADMIN', 'SUPER_ADMIN') or exists (select from place_member m where m.place_id = h.place_id and m.user_id = u.id) as sees
    from channel h, app_user u where h.id::text = ${channelId} and u.id = ${actor.userId}`.execute(tx);
  const [row] = rows;
  if (row === undefined || !row.sees) throw new NotFound('channel', channelId);
  if (row.role !== 'SUPER_ADMIN') throw new Forbidden('the role SUPER_ADMIN');
  return actor.userId;
}

/** The pipeline of the new tickets; null without history. Throws `InvalidInput` naming each that does not fit (MIG-4). */
async function checkMapping(tx: Tx, { history, openStatusId = null, closedStatusId = null }: MigrationInput): Promise<string | null> {
  const chosen = [
    { path: 'openStatusId', id: openStatusId, category: 'OPEN' },
    { path: 'closedStatusId', id: closedStatusId, category: 'CLOSED' },
  ] as const;
  if (history === 'NONE') {
    const problems = chosen.flatMap(({ path, id }) => (id === null ? [] : [{ path, message: 'no tickets are made where no conversations are moved' }]));
    if (problems.length > 0) throw new InvalidInput(problems);
    return null;
  }
  const rows = await tx
    .selectFrom('ticket_status')
    .select(['id', 'pipeline_id', 'category'])
    .where(sql<string>`id::text`, 'in', [openStatusId ?? '', closedStatusId ?? ''])
    .execute();
  const found = new Map(rows.map((row) => [row.id, row]));
  const problems: Problem[] = [];
  for (const { path, id, category } of chosen) {
    const status = found.get(id ?? '');
    if (id === null) problems.push({ path, message: 'is needed to move conversations' });
    else if (status === undefined) problems.push({ path, message: 'there is no such status' });
    else if (status.category !== category) problems.push({ path, message: `must be a status of category ${category}` });
  }
  const pipelines = new Set(rows.map((row) => row.pipeline_id));
  if (problems.length === 0 && pipelines.size > 1) problems.push({ path: 'closedStatusId', message: 'must be a status of the same pipeline as openStatusId' });
  if (problems.length > 0) throw new InvalidInput(problems);
  return rows[0]?.pipeline_id ?? null;
}

/** Null: now. */
function laterStart(startAt: string | null): Date | null {
  if (startAt === null) return null;
  const at = new Date(startAt);
  if (Number.isNaN(at.getTime())) throw new InvalidInput([{ path: 'startAt', message: 'must be a moment by ISO 8601' }]);
  const ahead = at.getTime() - Date.now();
  if (ahead > FURTHEST_START_DAYS * 86_400_000) throw new InvalidInput([{ path: 'startAt', message: `must be within ${FURTHEST_START_DAYS} days` }]);
  return ahead <= 0 ? null : at;
}

async function requireNoneRuns(tx: Tx): Promise<void> {
  const running = await runningMigration(tx);
  if (running !== undefined) throw new MigrationAlreadyRunning(running.id, running.channelId);
}

async function withdrawScheduled(unit: Unit, channelId: string): Promise<void> {
  const row = await unit.tx
    .selectFrom('channel_migration')
    .select('id')
    .where('channel_id', '=', channelId)
    .where('state', '=', 'SCHEDULED')
    .executeTakeFirst();
  if (row !== undefined) await withdraw(unit, channelId, row.id, 'STARTED_ANOTHER');
}

async function withdraw(unit: Unit, channelId: string, migrationId: string, why: WithdrawnWhy): Promise<void> {
  await unit.tx
    .updateTable('channel_migration')
    .set({ state: 'WITHDRAWN', withdrawn_at: sql<Date>`now()`, withdrawn_why: why })
    .where('id', '=', migrationId)
    .where('state', '=', 'SCHEDULED')
    .execute();
  tellAdmins(unit, channelId, migrationId, 'WITHDRAWN');
}

function tellAdmins(unit: Unit, channelId: string, migrationId: string, why: 'SCHEDULED' | 'WITHDRAWN'): void {
  unit.record({ kind: 'MIGRATION_CHANGED', channelId, why, data: { migrationId } });
}

async function wakeMove(unit: Unit, channelId: string): Promise<void> {
  const { key, plugin } = await unit.tx.selectFrom('channel').select(['key', 'plugin']).where('id', '=', channelId).executeTakeFirstOrThrow();
  unit.wake({ kind: 'channel-migration', channelKey: key, plugin });
}

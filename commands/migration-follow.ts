import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { MigrationState, MovedHow } from '#db/schema.ts';
import type { EventInput, EventKind } from './events.ts';
import { moveThese, theseOf, type Move, type MovedOne } from './migration-conversations.ts';
import { notifyUnassigned } from './notifications.ts';
import { noteFreed } from './routing-retry.ts';
import { lockSubject } from './subjects.ts';
import type { Unit } from './unit.ts';

/** After which a conversation may have come to a channel that moves, or have left it. */
const BRINGING: ReadonlySet<EventKind> = new Set(['CONVERSATION_STARTED', 'MESSAGE_RECEIVED', 'MESSAGE_WRITTEN', 'CURRENT_CHANNEL_CHANGED']);

interface Touched {
  started: boolean;
  /** The channel it went by before; null: the same. */
  from: string | null;
}

interface Row {
  readonly id: string;
  readonly place: 'INBOX' | 'HELP_DESK';
  readonly migration_id: string | null;
  readonly running: boolean | null;
  readonly moves_all: boolean | null;
  readonly channel_id: string;
  readonly key: string;
  readonly plugin: string;
  readonly left_over: boolean;
}

/**
 * What messages do to the move of a channel (MIG-11, MIG-13, MODEL-10): the next to last thing each transaction does, so no command can forget it. A conversation of an inbox
 * whose current channel was moved with all of its conversations is moved now; what begins while a move runs is counted as arrived, and what leaves the channel before its
 * turn as gone. Who recorded the events holds the locks of the conversations, and shared those of the channels they have come from and come to. Returns what was moved.
 */
export async function followMoves(unit: Unit, events: readonly EventInput[]): Promise<readonly MovedOne[]> {
  const touched = new Map<string, Touched>();
  for (const { kind, conversationId, data } of events) {
    if (conversationId == null || !BRINGING.has(kind)) continue;
    const one = touched.get(conversationId) ?? { started: false, from: null };
    touched.set(conversationId, one);
    if (kind === 'CONVERSATION_STARTED') one.started = true;
    if (kind === 'CURRENT_CHANNEL_CHANGED' && typeof data?.['from'] === 'string') one.from ??= data['from'];
  }
  if (touched.size === 0) return [];
  const { tx } = unit;
  const { rows } = await sql<Row>`
    select c.id, c.place, c.channel_id, h.key, h.plugin, g.id as migration_id, g.state = 'RUNNING' as running, g.history = 'ALL' as moves_all,
      exists (select from channel_migration_remainder r where r.migration_id = g.id and r.conversation_id = c.id) as left_over
    from conversation c join channel h on h.id = c.channel_id
    left join channel_migration g on g.channel_id = h.id and h.place = 'HELP_DESK' and g.state in ('RUNNING', 'COMPLETED', 'COMPLETED_WITH_REMAINDER')
    where c.id = any(${[...touched.keys()]}::uuid[]) order by c.id`.execute(tx);
  await noteArrived(tx, rows, touched);
  await noteGone(tx, rows, touched);
  const moved: MovedOne[] = [];
  for (const row of rows) {
    if (row.place !== 'INBOX' || row.migration_id === null || row.moves_all !== true) continue;
    const came = touched.get(row.id)?.from ?? row.channel_id;
    const one = await pull(unit, row, { migrationId: row.migration_id, joined: came !== row.channel_id });
    if (one !== null) moved.push(one);
  }
  return moved;
}

/** What began in the help desk while its channel moved. */
async function noteArrived(tx: Tx, rows: readonly Row[], touched: ReadonlyMap<string, Touched>): Promise<void> {
  const arrived = rows.filter((row) => row.running === true && row.place === 'HELP_DESK' && touched.get(row.id)?.started === true);
  if (arrived.length === 0) return;
  await tx
    .insertInto('channel_migration_conversation')
    .values(
      arrived.map((row) => ({ migration_id: row.migration_id ?? '', conversation_id: row.id, how: 'ARRIVED' as const, new_ticket: false, unassigned: false })),
    )
    .execute();
}

/** What was on a channel that moves and is on another now, before its turn. One that had come to it meanwhile has come and gone. */
async function noteGone(tx: Tx, rows: readonly Row[], touched: ReadonlyMap<string, Touched>): Promise<void> {
  const left = rows.flatMap((row) => {
    const from = touched.get(row.id)?.from ?? null;
    return row.place === 'INBOX' && from !== null && from !== row.channel_id ? [{ id: row.id, from }] : [];
  });
  if (left.length === 0) return;
  await sql`
    with gone as (
      select g.id as migration_id, n.id from json_to_recordset(${JSON.stringify(left)}::json) as n (id uuid, "from" uuid)
      join channel_migration g on g.channel_id = n."from" and g.state in ('RUNNING', 'COMPLETED_WITH_REMAINDER')
      where g.state = 'RUNNING' or exists (select from channel_migration_remainder r where r.migration_id = g.id and r.conversation_id = n.id)
    ), forgotten as (
      delete from channel_migration_remainder r using gone where r.migration_id = gone.migration_id and r.conversation_id = gone.id
      returning r.migration_id, r.conversation_id, r.joined
    )
    insert into channel_migration_conversation (migration_id, conversation_id, how, new_ticket, unassigned)
    select gone.migration_id, gone.id, 'GONE', false, false from gone
    where not exists (select from forgotten f where f.migration_id = gone.migration_id and f.conversation_id = gone.id and f.joined)
    on conflict do nothing`.execute(tx);
}

/** Moves one conversation now. One that can not be moved stays usable in the inbox, and is listed (MIG-16). */
async function pull(unit: Unit, row: Row, { migrationId, joined }: { readonly migrationId: string; readonly joined: boolean }): Promise<MovedOne | null> {
  const { tx } = unit;
  const move = await readMove(tx, migrationId);
  // It left and is back: it was found at the start, and has not come from elsewhere.
  const back = await tx
    .deleteFrom('channel_migration_conversation')
    .where('migration_id', '=', migrationId)
    .where('conversation_id', '=', row.id)
    .where('how', '=', 'GONE')
    .executeTakeFirst();
  const wasJoined = await tx
    .selectFrom('channel_migration_remainder')
    .select('joined')
    .where('migration_id', '=', migrationId)
    .where('conversation_id', '=', row.id)
    .executeTakeFirst();
  const isJoined = wasJoined?.joined ?? (joined && back.numDeletedRows === 0n);
  const inIt = row.running === true || row.left_over || back.numDeletedRows > 0n;
  const how: MovedHow = inIt ? (isJoined ? 'JOINED' : 'PULLED_FORWARD') : 'FOLLOWED';
  const outcome = await attempt(tx, () => moveThese(tx, move, how, theseOf([row.id])));
  if ('failed' in outcome) {
    const { state } = await lockMove(tx, migrationId);
    await leaveOver(tx, { migrationId, conversationId: row.id, reason: outcome.failed, joined: inIt ? isJoined : true });
    // After the end it is tried again like what was left over then.
    if (state === 'COMPLETED') await tx.updateTable('channel_migration').set({ state: 'COMPLETED_WITH_REMAINDER' }).where('id', '=', migrationId).execute();
    return null;
  }
  if (row.left_over) {
    await lockMove(tx, migrationId);
    await forget(tx, migrationId, row.id);
    await completeIfEmpty(tx, migrationId);
  }
  const [one] = outcome.value;
  if (one === undefined) return null;
  unit.wake({ kind: 'ticket', number: one.ticketNumber, channelKey: row.key, plugin: row.plugin });
  if (row.running !== true) await tellLate(unit, migrationId, [one]);
  return one;
}

/** Its row, so that whether something is left over and what its state says are changed together. While it runs the walk holds it for a step. */
async function lockMove(tx: Tx, migrationId: string): Promise<{ readonly state: MigrationState }> {
  return tx.selectFrom('channel_migration').select('state').where('id', '=', migrationId).forNoKeyUpdate().executeTakeFirstOrThrow();
}

/**
 * What is moved after the end is told by itself, unless its move was muted (MIG-17): a ticket that nobody has, to those who are told of such (MODEL-12). Whoever lost it has
 * room for something else (ROUTE-13).
 */
export async function tellLate(unit: Unit, migrationId: string, moved: readonly MovedOne[]): Promise<void> {
  await noteFreed(
    unit,
    moved.flatMap(({ lostBy }) => lostBy ?? []),
  );
  const nobodys = moved.filter((one) => one.nobodys);
  if (nobodys.length === 0) return;
  const { muted } = await unit.tx.selectFrom('channel_migration').select('muted').where('id', '=', migrationId).executeTakeFirstOrThrow();
  if (muted) return;
  for (const { conversationId } of nobodys) await notifyUnassigned(unit, await lockSubject(unit.tx, { conversationId }));
}

/** All that moving a conversation needs to know of its move. */
export async function readMove(tx: Tx, migrationId: string): Promise<Move> {
  const { rows } = await sql<{ channel_id: string; key: string; plugin: string; help_desk: string }>`
    select g.channel_id, h.key, h.plugin, h.place_id as help_desk from channel_migration g join channel h on h.id = g.channel_id where g.id = ${migrationId}`.execute(
    tx,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('a move without a row');
  return { migrationId, channelId: row.channel_id, channelKey: row.key, plugin: row.plugin, helpDeskId: row.help_desk };
}

/** Does it in a savepoint: what PostgreSQL will not have of one conversation undoes nothing else. Throws what is nobody's data's fault. */
export async function attempt<Value>(tx: Tx, work: () => Promise<Value>): Promise<{ readonly value: Value } | { readonly failed: string }> {
  await sql`savepoint one_conversation`.execute(tx);
  try {
    const value = await work();
    // What is checked at the end is checked here: the conversation and its ticket point at each other.
    await sql`set constraints all immediate`.execute(tx);
    await sql`set constraints all deferred`.execute(tx);
    await sql`release savepoint one_conversation`.execute(tx);
    return { value };
  } catch (error) {
    const failed = dataFault(error);
    if (failed === null) throw error;
    await sql`rollback to savepoint one_conversation`.execute(tx);
    return { failed };
  }
}

/** PostgreSQL's code where it will not have a row as it is, which trying again does not change; null: another kind of trouble. */
export function dataFault(error: unknown): string | null {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  // Class 22: data; 23: integrity; 54: too large; P0001: a trigger's own.
  return typeof code === 'string' && /^(22|23|54|P0)/.test(code) ? code : null;
}

export interface LeftOver {
  readonly migrationId: string;
  readonly conversationId: string;
  readonly reason: string;
  readonly joined: boolean;
}

/** Lists a conversation that can not be moved, as its row is now: once that changes it is tried again. */
export async function leaveOver(tx: Tx, { migrationId, conversationId, reason, joined }: LeftOver): Promise<void> {
  await sql`
    insert into channel_migration_remainder (migration_id, conversation_id, reason, joined, seen)
    select ${migrationId}, c.id, ${reason}, ${joined}, c.xmin::text::xid8 from conversation c where c.id = ${conversationId}
    on conflict (migration_id, conversation_id) do update set reason = excluded.reason, tries = channel_migration_remainder.tries + 1, tried_at = now(),
      seen = excluded.seen`.execute(tx);
}

export async function forget(tx: Tx, migrationId: string, conversationId: string): Promise<void> {
  await tx.deleteFrom('channel_migration_remainder').where('migration_id', '=', migrationId).where('conversation_id', '=', conversationId).execute();
}

/** What was left over has been moved by now, or has gone: then the move is complete. */
export async function completeIfEmpty(tx: Tx, migrationId: string): Promise<void> {
  await sql`update channel_migration g set state = 'COMPLETED' where g.id = ${migrationId} and g.state = 'COMPLETED_WITH_REMAINDER'
    and not exists (select from channel_migration_remainder r where r.migration_id = g.id)`.execute(tx);
}

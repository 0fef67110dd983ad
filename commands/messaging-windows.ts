import type { MessagingWindow, Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { windowState, type WindowState } from '#domain/messaging-window.ts';
import { OutsideWindow } from './refusals.ts';
import { subjectIds, type Subject } from './subjects.ts';
import type { Unit } from './unit.ts';

/** What may be said in a conversation through its current channel, by a person and by a machine; null: that sender has no window there. */
export interface ConversationWindow {
  readonly person: WindowState | null;
  readonly automation: WindowState | null;
}

/** Of each conversation whose current channel has windows, in one statement for all; the others are not in it. */
export async function windowsOf(db: Db | Tx, plugins: readonly Plugin[], conversationIds: readonly string[]): Promise<ReadonlyMap<string, ConversationWindow>> {
  const declared = new Map(plugins.flatMap(({ key, capabilities }) => (capabilities.windows.length === 0 ? [] : [[key, capabilities.windows] as const])));
  if (declared.size === 0) return new Map();
  const { rows } = await sql<{ id: string; plugin: string; last: Date | null; now: Date }>`
    select c.id, h.plugin, ${lastInbound(sql.ref('c.id'), sql.ref('h.id'))} as last, now() as now from conversation c join channel h on h.id = c.channel_id
    where c.id = any(${[...conversationIds]}::uuid[]) and h.plugin = any(${[...declared.keys()]}::text[])`.execute(db);
  return new Map(
    rows.map(({ id, plugin, last, now }) => {
      const windows = declared.get(plugin) ?? [];
      return [id, { person: windowState(windows, 'person', last, now), automation: windowState(windows, 'automation', last, now) }];
    }),
  );
}

export interface Saying {
  readonly conversationId: string;
  readonly channelId: string;
  readonly sender: MessagingWindow['sender'];
}

/** Throws `OutsideWindow` where free words may no longer be said. The caller holds the conversation's lock. */
export async function requireOpenWindow(tx: Tx, windows: readonly MessagingWindow[], saying: Saying): Promise<void> {
  const closedAt = await closedSince(tx, windows, saying);
  if (closedAt !== null) throw new OutsideWindow(closedAt, canUseTemplate(windows, saying.sender));
}

/** An automation that may say nothing any more is left out, and the timeline tells so. True: leave it out. */
export async function leaveOutOutsideWindow(unit: Unit, subject: Subject, windows: readonly MessagingWindow[], what: string): Promise<boolean> {
  const { conversationId, channelId } = subject;
  if (conversationId === null || channelId === null) return false;
  const closedAt = await closedSince(unit.tx, windows, { conversationId, channelId, sender: 'automation' });
  if (closedAt === null) return false;
  unit.record({ kind: 'MESSAGE_LEFT_OUT', by: { actor: 'SYSTEM' }, ...subjectIds(subject), why: what, data: { closedAt: closedAt.toISOString() } });
  return true;
}

async function closedSince(tx: Tx, windows: readonly MessagingWindow[], saying: Saying): Promise<Date | null> {
  return (await windowNow(tx, windows, saying))?.closedAt ?? null;
}

/** As it stands at this moment; null: there is none. */
export async function windowNow(tx: Tx, windows: readonly MessagingWindow[], { conversationId, channelId, sender }: Saying): Promise<WindowState | null> {
  if (windows.every((one) => one.sender !== sender)) return null;
  // The clock of this moment: the transaction may have waited for its locks.
  const { rows } = await sql<{ last: Date | null; now: Date }>`
    select ${lastInbound(sql`${conversationId}::uuid`, sql`${channelId}::uuid`)} as last, clock_timestamp() as now`.execute(tx);
  const [row] = rows;
  return row === undefined ? null : windowState(windows, sender, row.last, row.now);
}

/** Whether an approved text may still be sent by this sender once free words may not. */
export function canUseTemplate(windows: readonly MessagingWindow[], sender: MessagingWindow['sender']): boolean {
  return windows.some((one) => one.sender === sender && one.afterwards === 'template');
}

/** When the contact last wrote by a channel: a machine's answer for them opens nothing (MODEL-4). */
function lastInbound(conversationId: ReturnType<typeof sql.ref>, channelId: ReturnType<typeof sql.ref>) {
  return sql`(select max(m.received_at) from message m where m.conversation_id = ${conversationId} and m.channel_id = ${channelId}
    and m.direction = 'INBOUND' and not m.automatic)`;
}

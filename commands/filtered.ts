import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { FilteredKind } from '#db/schema.ts';
import type { SpamReason } from '#domain/sender-rules.ts';
import type { NewMessage } from './intake-batch.ts';
import { filteredSubject, filteredText } from './intake-known.ts';
import { NotFound, NotPossible } from './refusals.ts';
import type { Unit } from './unit.ts';

/** Why a message is in no conversation: it is automatic and answers nothing of ours, its sender is on the deny list, or it is the channel's own. */
export type FilteredReason = 'ANSWERS_NOTHING' | SpamReason;

/** A message that is kept apart. */
export interface FilteredArrival {
  readonly message: NewMessage;
  readonly kind: FilteredKind;
  readonly reason: FilteredReason;
}

/** Keeps messages apart, without contact, conversation or ticket, until a person lets them pass or their time is over (EMAIL-6). One statement. */
export async function writeFiltered(
  unit: Unit,
  channel: { readonly id: string; readonly place_id: string },
  arrivals: readonly FilteredArrival[],
): Promise<void> {
  if (arrivals.length === 0) return;
  const rows = arrivals.map(({ message, kind, reason }) => ({
    id: newId(),
    raw_delivery_id: message.deliveryId,
    provider_message_id: message.providerMessageId,
    kind,
    reason,
    sender: message.event.contact,
    subject: filteredSubject(message.event) || null,
    text: filteredText(message.event),
    received_at: message.receivedAt,
  }));
  await sql`
    insert into filtered_message (id, channel_id, raw_delivery_id, provider_message_id, kind, reason, sender, subject, text, received_at)
    select id, ${channel.id}::uuid, raw_delivery_id, provider_message_id, kind, reason, sender, subject, text, received_at
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, raw_delivery_id bigint, provider_message_id text, kind text, reason text,
      sender jsonb, subject text, text text, received_at timestamptz)`.execute(unit.tx);
  for (const row of rows) {
    unit.record({
      kind: 'MESSAGE_FILTERED',
      channelId: channel.id,
      placeId: channel.place_id,
      why: row.reason,
      data: { filteredMessageId: row.id, as: row.kind },
    });
  }
}

/**
 * Lets a filtered message pass: its delivery is taken in again, and this message of it is an ordinary one then, whatever a list says; an automatic one begins a
 * conversation, and still counts as automatic. Doing it again changes nothing. Throws `NotFound`, and `NotPossible` where its delivery is not kept.
 */
export async function releaseFiltered(unit: Unit, input: { readonly filteredId: string }): Promise<{ filteredId: string }> {
  const { tx } = unit;
  const row = await tx
    .selectFrom('filtered_message')
    .innerJoin('channel', 'channel.id', 'filtered_message.channel_id')
    .select(['raw_delivery_id', 'released_at', 'channel.id as channel_id', 'channel.key', 'channel.plugin', 'channel.place_id'])
    .where('filtered_message.id', '=', input.filteredId)
    .forNoKeyUpdate('filtered_message')
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('filtered message', input.filteredId);
  if (row.released_at !== null) return input;
  if (row.raw_delivery_id === null) throw new NotPossible('DELIVERY_NOT_KEPT');
  await tx
    .updateTable('filtered_message')
    .set({ released_at: sql<Date>`now()` })
    .where('id', '=', input.filteredId)
    .execute();
  await tx
    .updateTable('raw_delivery')
    .set({ state: 'WAITING', released: true, settled_at: null, tries: 0, failure_code: null, failure_reason: null })
    .where('id', '=', row.raw_delivery_id)
    .execute();
  unit.record({ kind: 'MESSAGE_RELEASED', channelId: row.channel_id, placeId: row.place_id, data: { filteredMessageId: input.filteredId } });
  unit.wake({ kind: 'intake', channelKey: row.key, plugin: row.plugin });
  return input;
}

/** Of released deliveries, the ids under which messages were filtered that a person let pass since. */
export async function readReleased(tx: Tx, deliveryIds: readonly number[]): Promise<ReadonlyMap<number, ReadonlySet<string>>> {
  if (deliveryIds.length === 0) return new Map();
  const rows = await tx
    .selectFrom('filtered_message')
    .select(['raw_delivery_id', 'provider_message_id'])
    .where(sql<boolean>`raw_delivery_id = any(${deliveryIds}::bigint[])`)
    .where('released_at', 'is not', null)
    .execute();
  const ids = new Map<number, Set<string>>();
  for (const row of rows) {
    if (row.raw_delivery_id === null) continue;
    const of = ids.get(row.raw_delivery_id) ?? new Set();
    ids.set(row.raw_delivery_id, of.add(row.provider_message_id));
  }
  return ids;
}

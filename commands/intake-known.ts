import { createHash } from 'node:crypto';
import type { InboundMessage } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { DeliveryState, Direction, StoredIdentity } from '#db/schema.ts';
import { identityKey } from './contacts.ts';
import { deliveryChanged } from './outbox.ts';
import { ownId } from './own-ids.ts';
import type { Unit } from './unit.ts';

/** A message as it came, and as far as the question matters whether it is here already. */
export interface Arriving {
  readonly event: InboundMessage;
  /** A person let it pass: the id it was filtered under. */
  readonly releasedAs: string | null;
}

/** Where it arrived. */
export interface ArrivalChannel {
  readonly id: string;
  readonly address: string;
}

interface KnownRow {
  /** Null: it is a filtered message, which belongs to no conversation. */
  readonly id: string | null;
  readonly provider_message_id: string | null;
  readonly conversation_id: string | null;
  readonly direction: Direction;
  readonly sender: StoredIdentity | null;
  readonly subject: string | null;
  readonly text: string;
  readonly sizes: readonly (number | null)[] | null;
  readonly state: DeliveryState | null;
}

/**
 * Leaves out messages this channel has already, filtered ones too, and gives each of the others the id it is kept under (MODEL-4). A provider's id is
 * the provider's word. A mail's Message-ID is only its sender's: a broken client, or somebody who wants a mail to get lost, can use one again, so
 * there the same id with other content is another message, and is kept under an id of its own. An echo of our own send settles that send (FB-7).
 */
export async function onlyNew<Message extends Arriving>(
  unit: Unit,
  channel: ArrivalChannel,
  arrived: readonly Message[],
): Promise<readonly (Message & { readonly providerMessageId: string })[]> {
  const byId = await readKnown(unit.tx, channel.id, arrived);
  const known = [...byId.values()].flat();
  const taken = new Map<string, InboundMessage>();
  const fresh: (Message & { readonly providerMessageId: string })[] = [];
  const echoed = new Set<KnownRow>();
  for (const message of arrived) {
    const { event, releasedAs } = message;
    const own = ownId(event.outboundId);
    const ours = known.filter((row) => row.id !== null && own.includes(row.id));
    const id = ours.length > 0 ? null : idToKeep(event, releasedAs, channel, byId, taken);
    if (id === null) {
      for (const row of [...ours, ...(byId.get(event.providerMessageId) ?? [])]) echoed.add(row);
      continue;
    }
    taken.set(id, event);
    fresh.push({ ...message, providerMessageId: id });
  }
  await settleEchoed(unit, channel.id, echoed);
  return fresh;
}

/** The id a message is kept under; null: it is here already. */
function idToKeep(
  event: InboundMessage,
  releasedAs: string | null,
  channel: ArrivalChannel,
  known: ReadonlyMap<string | null, readonly KnownRow[]>,
  taken: ReadonlyMap<string, InboundMessage>,
): string | null {
  const isTaken = (id: string): boolean => taken.has(id) || (known.get(id) ?? []).some((row) => row.id !== null);
  if (releasedAs !== null) return isTaken(releasedAs) ? null : releasedAs;
  const id = event.providerMessageId;
  const rows = known.get(id) ?? [];
  const earlier = taken.get(id);
  if (rows.length === 0 && earlier === undefined) return id;
  if (!namedBySender(event)) return null;
  if (rows.some((row) => isSame(event, row, channel)) || (earlier !== undefined && fingerprint(event) === fingerprint(earlier))) return null;
  const other = reusedId(event);
  return taken.has(other) || known.has(other) ? null : other;
}

/** Whether the id is the sender's own word: the plugin's provider vouches for nobody, so not for ids either. */
function namedBySender(event: InboundMessage): boolean {
  return event.direction === 'inbound' && event.authentication !== undefined;
}

/** The ids a message can be kept under. */
export function keptIds(event: InboundMessage): string[] {
  return namedBySender(event) ? [event.providerMessageId, reusedId(event)] : [event.providerMessageId];
}

/** Where the id was used before for another message: the same for the same content, so that this one too is taken in once. */
function reusedId(event: InboundMessage): string {
  return `${event.providerMessageId} again:${createHash('sha256').update(fingerprint(event)).digest('hex').slice(0, 16)}`;
}

function isSame(event: InboundMessage, row: KnownRow, channel: ArrivalChannel): boolean {
  // Our own mail that comes back, by a list or a group that this address is in.
  if (row.direction === 'OUTBOUND') return event.contact?.value === channel.address;
  const sender = row.sender === null ? '' : identityKey(row.sender);
  const sameWords = sender === senderOf(event) && (row.subject ?? '') === (event.subject ?? '') && row.text === event.text;
  // Of a filtered message the first of the text is kept, and no files.
  if (row.id === null) return sender === senderOf(event) && (row.subject ?? '') === filteredSubject(event) && row.text === filteredText(event);
  return sameWords && JSON.stringify(row.sizes ?? []) === JSON.stringify(sizesOf(event));
}

function fingerprint(event: InboundMessage): string {
  return JSON.stringify([event.providerMessageId, senderOf(event), event.subject ?? '', event.text, sizesOf(event)]);
}

function senderOf(event: InboundMessage): string {
  return event.contact === null ? '' : identityKey(event.contact);
}

/** Of the files that are listed with a message. */
function sizesOf(event: InboundMessage): (number | null)[] {
  return event.attachments.slice(0, 200).map((one) => one.bytes ?? null);
}

/** Characters of a filtered message that are kept; all of it is in the delivery. */
const FILTERED_TEXT = 20_000;
const FILTERED_SUBJECT = 1_000;

/** As a filtered message keeps it. */
export function filteredText(event: InboundMessage): string {
  return event.text.slice(0, FILTERED_TEXT).toWellFormed();
}

/** As a filtered message keeps it; empty: none. */
export function filteredSubject(event: InboundMessage): string {
  return (event.subject ?? '').slice(0, FILTERED_SUBJECT).toWellFormed();
}

/** What is here already, by its id; where an id is used again, also under the ids that such messages are kept under. */
async function readKnown(tx: Tx, channelId: string, arrived: readonly Arriving[]): Promise<ReadonlyMap<string | null, readonly KnownRow[]>> {
  const ids = arrived.flatMap(({ event, releasedAs }) => [event.providerMessageId, ...(releasedAs === null ? [] : [releasedAs])]);
  const first = await readRows(
    tx,
    channelId,
    ids,
    arrived.flatMap(({ event }) => ownId(event.outboundId)),
  );
  const used = new Set(first.map((row) => row.provider_message_id));
  const again = arrived.filter(
    ({ event }) =>
      namedBySender(event) && (used.has(event.providerMessageId) || ids.indexOf(event.providerMessageId) !== ids.lastIndexOf(event.providerMessageId)),
  );
  const second =
    again.length === 0
      ? []
      : await readRows(
          tx,
          channelId,
          again.map(({ event }) => reusedId(event)),
          [],
        );
  return Map.groupBy([...first, ...second], (row) => row.provider_message_id);
}

async function readRows(tx: Tx, channelId: string, ids: readonly string[], ownIds: readonly string[]): Promise<readonly KnownRow[]> {
  const { rows } = await sql<KnownRow>`
    select m.id, m.provider_message_id, m.conversation_id, m.direction, m.sender, m.subject, m.text, o.state,
      (select jsonb_agg(a.bytes order by a.position) from attachment a where a.message_id = m.id) as sizes
    from message m left join outbound o on o.message_id = m.id
    where m.channel_id = ${channelId} and (m.provider_message_id = any(${ids}::text[]) or m.id = any(${ownIds}::uuid[]))
    union all
    select null, f.provider_message_id, null, 'INBOUND', f.sender, f.subject, f.text, null, null from filtered_message f
    where f.channel_id = ${channelId} and f.provider_message_id = any(${ids}::text[])`.execute(tx);
  return rows;
}

async function settleEchoed(unit: Unit, channelId: string, known: Iterable<KnownRow>): Promise<void> {
  for (const row of known) {
    if (row.id === null || row.conversation_id === null || (row.state !== 'SENDING' && row.state !== 'MAYBE_SENT')) continue;
    await unit.tx
      .updateTable('outbound')
      .set({ state: 'SENT', sending_since: null, failure_code: null, failure_reason: null, updated_at: sql<Date>`now()` })
      .where('message_id', '=', row.id)
      .where('state', 'in', ['SENDING', 'MAYBE_SENT'])
      .execute();
    await deliveryChanged(unit, row.conversation_id, channelId, row.id, 'SENT');
  }
}

import type { AttachmentLimits, AttachmentRef, RawDelivery } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { FETCH_TRIES, refusalInWords, refuseFile, refuseFiles } from '#domain/attachments.ts';
import { distinctFileNames, normalType, safeFileName } from '#domain/file-names.ts';
import { storeBlob } from './blobs.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** Files of one message that are listed; of more the last one says how many there were. */
const MOST_LISTED = 200;

/** A message that came in, with what its event says is attached to it. */
export interface MessageFiles {
  readonly messageId: string;
  readonly refs: readonly AttachmentRef[];
}

/**
 * Lists what is attached to messages that came in: what the channel takes waits to be fetched, the rest is refused with the reason, and the message is kept
 * (CH-6). `limits`: null where the channel takes none. One statement for all.
 */
export async function recordInboundAttachments(
  unit: Unit,
  channel: { readonly key: string; readonly plugin: string },
  limits: AttachmentLimits | null,
  messages: readonly MessageFiles[],
): Promise<void> {
  const rows = messages.flatMap((message) => listed(message, limits));
  if (rows.length === 0) return;
  await sql`
    insert into attachment (id, message_id, position, file_name, type, bytes, content_id, ref, state, reason, channel_id)
    select n.id, n.message_id, n.position, n.file_name, n.type, n.bytes, n.content_id, n.ref, n.state, n.reason, m.channel_id
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, message_id uuid, position int, file_name text, type text, bytes bigint, content_id text,
      ref text, state text, reason text)
    join message m on m.id = n.message_id`.execute(unit.tx);
  if (rows.some((row) => row.state === 'WAITING')) unit.wake({ kind: 'attachments', channelKey: channel.key, plugin: channel.plugin });
}

function listed({ messageId, refs }: MessageFiles, limits: AttachmentLimits | null) {
  const shown = refs.slice(0, MOST_LISTED);
  const names = distinctFileNames(shown.map((ref, index) => safeFileName(ref.fileName, `attachment-${index + 1}`)));
  const files = shown.map((ref) => ({ type: normalType(ref.type), bytes: ref.bytes ?? null }));
  const refusals = refuseFiles(limits, files);
  return shown.map((ref, position) => {
    const last = position === MOST_LISTED - 1 && refs.length > MOST_LISTED;
    const refusal = refusals[position] ?? null;
    const reason = last ? `one of ${refs.length - MOST_LISTED + 1} more that are not listed` : refusal === null ? null : refusalInWords(refusal);
    return {
      id: newId(),
      message_id: messageId,
      position,
      file_name: names[position],
      ...files[position],
      content_id: ref.contentId?.slice(0, 500) ?? null,
      ref: ref.ref,
      state: reason === null ? 'WAITING' : 'REFUSED',
      reason,
    };
  });
}

/** An attachment somebody is fetching: nobody else does until the time for it is over. */
export interface FetchedFile {
  readonly attachmentId: string;
  readonly messageId: string;
  readonly type: string;
  readonly ref: AttachmentRef;
  /** Which try this is, counted before it began. */
  readonly tries: number;
}

/** Attachments of one delivery, or of one message that came without one. */
export interface TakenFiles {
  /** The delivery they came in, while it is kept. */
  readonly raw: RawDelivery | null;
  /** They came in a delivery, which was removed since. */
  readonly rawGone: boolean;
  readonly files: readonly FetchedFile[];
}

/** Seconds for which those who fetch an attachment have it for themselves; much longer than fetching may take. */
const FETCHING_SECONDS = 90;
/** Attachments looked at to find those that came together. */
const LOOK_AT = 500;

/**
 * The attachments of a channel that are fetched next, at most `limit` of one delivery, longest waiting first; their try is counted before it starts, so that one
 * which ends its process each time comes to an end. Undefined: none is due.
 */
export async function takeWaitingFiles(db: Db, channelId: string, limit: number): Promise<TakenFiles | undefined> {
  await failWornOut(db, channelId);
  const { rows } = await sql<TakenRow>`
    with due as (
      select a.id, a.position, m.id as message_id, m.raw_delivery_id, a.not_before
      from attachment a join message m on m.id = a.message_id
      where ${dueOn(channelId)} order by a.not_before, a.id limit ${LOOK_AT}
    ), first as (
      select message_id, raw_delivery_id from due order by not_before, id limit 1
    ), chosen as (
      select a.id, due.raw_delivery_id from attachment a join due on due.id = a.id, first
      where ${dueOn(channelId)} and coalesce(due.raw_delivery_id = first.raw_delivery_id, due.message_id = first.message_id)
      order by due.message_id, due.position limit ${limit} for no key update of a skip locked
    )
    update attachment a set tries = a.tries + 1, fetching_until = now() + make_interval(secs => ${FETCHING_SECONDS})
    from chosen where a.id = chosen.id
    returning a.id, a.message_id, a.position, a.file_name, a.type, a.bytes, a.content_id, a.ref, a.tries, chosen.raw_delivery_id`.execute(db);
  const [any] = rows;
  if (any === undefined) return undefined;
  const raw = any.raw_delivery_id === null ? null : await readDelivery(db, any.raw_delivery_id);
  return {
    raw,
    rawGone: any.raw_delivery_id !== null && raw === null,
    files: rows.toSorted((a, b) => a.message_id.localeCompare(b.message_id) || a.position - b.position).map(toFile),
  };
}

interface TakenRow {
  readonly id: string;
  readonly message_id: string;
  readonly position: number;
  readonly file_name: string;
  readonly type: string;
  readonly bytes: number | null;
  readonly content_id: string | null;
  readonly ref: string | null;
  readonly tries: number;
  readonly raw_delivery_id: number | null;
}

function toFile(row: TakenRow): FetchedFile {
  const ref: AttachmentRef = {
    ref: row.ref ?? '',
    fileName: row.file_name,
    type: row.type,
    ...(row.bytes === null ? {} : { bytes: row.bytes }),
    ...(row.content_id === null ? {} : { contentId: row.content_id }),
  };
  return { attachmentId: row.id, messageId: row.message_id, type: row.type, ref, tries: row.tries };
}

function dueOn(channelId: string) {
  return sql<boolean>`a.channel_id = ${channelId}::uuid and a.state = 'WAITING' and a.not_before <= now() and a.tries < ${FETCH_TRIES}
    and coalesce(a.fetching_until <= now(), true)`;
}

async function readDelivery(db: Db, id: number): Promise<RawDelivery | null> {
  const row = await db.selectFrom('raw_delivery').select(['method', 'url', 'headers', 'body', 'received_at']).where('id', '=', id).executeTakeFirst();
  if (row === undefined) return null;
  return { method: row.method, url: row.url, headers: row.headers, body: row.body, receivedAt: row.received_at.toISOString() };
}

async function failWornOut(db: Db, channelId: string): Promise<void> {
  const worn = await db
    .selectFrom('attachment')
    .select(['id', 'message_id', 'tries'])
    .where('channel_id', '=', channelId)
    .where('state', '=', 'WAITING')
    .where('tries', '>=', FETCH_TRIES)
    .where(sql<boolean>`coalesce(fetching_until <= now(), true)`)
    .limit(LOOK_AT)
    .execute();
  for (const { id, message_id: messageId, tries } of worn) {
    await settleFile(db, { attachmentId: id, messageId, tries }, { state: 'FAILED', reason: 'fetching it ended the worker or the thread each time' });
  }
}

type Claim = Pick<FetchedFile, 'attachmentId' | 'messageId' | 'tries'>;

/** Stores what was fetched, if it is not larger than the channel takes. What somebody else has settled meanwhile, or is trying anew, stays as it is. */
export async function storeFetched(
  db: Db,
  file: FetchedFile,
  limits: AttachmentLimits | null,
  content: Uint8Array,
): Promise<Committed<'STORED' | 'REFUSED' | null>> {
  const refusal = refuseFile(limits, { type: file.type, bytes: content.byteLength });
  if (refusal !== null) return settleFile(db, file, { state: 'REFUSED', reason: refusalInWords(refusal) });
  return settleFile(db, file, { state: 'STORED', content });
}

/** It will not be had. `reason`: a provider's code or a fixed phrase. */
export async function failFetch(db: Db, file: Claim, reason: string): Promise<Committed<'FAILED' | null>> {
  return settleFile(db, file, { state: 'FAILED', reason });
}

type Settled = { readonly state: 'REFUSED' | 'FAILED'; readonly reason: string } | { readonly state: 'STORED'; readonly content: Uint8Array };

async function settleFile<Outcome extends Settled>(
  db: Db,
  { attachmentId, messageId, tries }: Claim,
  outcome: Outcome,
): Promise<Committed<Outcome['state'] | null>> {
  return transact(db, { actor: 'CHANNEL' }, async (unit) => {
    const { tx } = unit;
    const mine = await tx
      .selectFrom('attachment')
      .select('id')
      .where('id', '=', attachmentId)
      .where('state', '=', 'WAITING')
      .where('tries', '=', tries)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (mine === undefined) return null;
    const blob = outcome.state === 'STORED' ? await storeBlob(tx, outcome.content) : null;
    await tx
      .updateTable('attachment')
      .set({
        state: outcome.state,
        reason: outcome.state === 'STORED' ? null : outcome.reason,
        fetching_until: null,
        ...(blob === null ? {} : { sha256: blob.sha256, bytes: blob.bytes }),
      })
      .where('id', '=', attachmentId)
      .execute();
    await tellSettled(unit, messageId, attachmentId, outcome.state);
    return outcome.state;
  });
}

/** Whoever looks at the conversation sees the attachment appear. */
async function tellSettled(unit: Unit, messageId: string, attachmentId: string, why: string): Promise<void> {
  const row = await unit.tx
    .selectFrom('message')
    .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
    .select(['message.channel_id', 'conversation.id', 'conversation.ticket_id', 'conversation.place_id'])
    .where('message.id', '=', messageId)
    .executeTakeFirstOrThrow();
  unit.record({
    kind: 'ATTACHMENT_SETTLED',
    channelId: row.channel_id,
    conversationId: row.id,
    ticketId: row.ticket_id,
    messageId,
    placeId: row.place_id,
    why,
    data: { attachmentId },
  });
}

/** It could not be had this time: it waits, and so, with `holdAll`, does everything else of its channel. */
export async function retryFetch(db: Db, file: Claim, seconds: number, options: { readonly holdAll: boolean }): Promise<void> {
  await db
    .updateTable('attachment')
    .set({ fetching_until: null, not_before: sql<Date>`now() + make_interval(secs => ${seconds})` })
    .where('id', '=', file.attachmentId)
    .where('state', '=', 'WAITING')
    .where('tries', '=', file.tries)
    .execute();
  if (!options.holdAll) return;
  await sql`
    update attachment set not_before = now() + make_interval(secs => ${seconds})
    where channel_id = (select channel_id from attachment where id = ${file.attachmentId}) and state = 'WAITING' and not_before < now() + make_interval(secs => ${seconds})`.execute(
    db,
  );
}

/** Takes back the try of those that were never begun. */
export async function untakeFiles(db: Db, files: readonly FetchedFile[]): Promise<void> {
  const rows = files.map(({ attachmentId, tries }) => ({ id: attachmentId, tries }));
  await sql`
    update attachment a set tries = a.tries - 1, fetching_until = null
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, tries int)
    where a.id = n.id and a.tries = n.tries and a.state = 'WAITING'`.execute(db);
}

/** What still waits on a channel, and when the next of it is due; null: nothing waits. */
export async function waitingFiles(db: Db, channelId: string): Promise<{ readonly remaining: number; readonly nextAt: Date | null }> {
  const { rows } = await sql<{ remaining: number; next_at: Date | null }>`
    select count(*) as remaining, min(greatest(not_before, fetching_until)) as next_at
    from attachment where channel_id = ${channelId} and state = 'WAITING'`.execute(db);
  return { remaining: rows[0]?.remaining ?? 0, nextAt: rows[0]?.next_at ?? null };
}

/** A stored attachment as it goes out with its message. */
export interface StoredFile {
  readonly sha256: Buffer;
  readonly fileName: string;
  readonly type: string;
  readonly bytes: number;
  readonly contentId?: string;
}

/** What goes out with a message, in the order in which it was attached. */
export async function storedFiles(db: Db | Tx, messageId: string): Promise<readonly StoredFile[]> {
  const rows = await db
    .selectFrom('attachment')
    .select(['sha256', 'file_name', 'type', 'bytes', 'content_id'])
    .where('message_id', '=', messageId)
    .where('state', '=', 'STORED')
    .orderBy('position')
    .execute();
  return rows.flatMap(({ sha256, file_name: fileName, type, bytes, content_id: contentId }) =>
    sha256 === null ? [] : [{ sha256, fileName, type, bytes: bytes ?? 0, ...(contentId === null ? {} : { contentId }) }],
  );
}

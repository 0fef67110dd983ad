import type { Capabilities, Identity, InboundEvent, RawDelivery } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { lockChannelShared, tryLockChannelShared, tryLockIntake } from '#db/locks.ts';
import { runPrepared, type Prepared } from '#db/prepared.ts';
import { askCatchUp } from './catch-up-request.ts';
import { addedBy, applyIdentities, holdNameless, peopleOf } from './contact-identities.ts';
import { holdContacts } from './contacts.ts';
import { readReleased } from './filtered.ts';
import type { ArrivedMessage } from './intake-batch.ts';
import { keptIds } from './intake-known.ts';
import { applyMessages, type Taken, threadKeys } from './intake-messages.ts';
import { ownId } from './own-ids.ts';
import { applyReceipts } from './receipts.ts';
import { NotFound, NotPossible } from './refusals.ts';
import type { SafeParts } from './safe-html.ts';
import type { Keys } from './secrets.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** How long an intake says ahead that it will look again; the doors wake it only when that is past. */
export const INTAKE_AHEAD_SECONDS = 3;

/** After this many tries a delivery is set aside (PLUG-11). */
export const MAX_TRIES = 3;

export interface Stored {
  readonly deliveryId: number;
  /** An intake is at work and will see it. */
  readonly intakeRunning: boolean;
}

const STORE_DELIVERY: Prepared = {
  name: 'store-delivery',
  text: `insert into raw_delivery (channel_id, method, url, headers, body, received_at) values ($1, $2, $3, $4, $5, $6)
    returning id, (select intake_until > now() from channel where id = $1) as running`,
};

/** Stores a delivery as it came: one statement; once it has resolved the provider may be told that it is taken (OPS-10). */
export async function storeDelivery(db: Db, channelId: string, raw: RawDelivery): Promise<Stored> {
  const values = [channelId, raw.method, keptText(raw.url), keptHeaders(raw.headers), toBuffer(raw.body), raw.receivedAt];
  const rows = await runPrepared<{ id: number; running: boolean }>(db, STORE_DELIVERY, values);
  const row = rows[0];
  if (row === undefined) throw new Error('the delivery was not stored');
  return { deliveryId: row.id, intakeRunning: row.running };
}

/** The same for several channels of which one delivery speaks: for all of them or, where this rejects, for none. In the order of `channelIds`. */
export async function storeDeliveryForAll(db: Db, channelIds: readonly string[], raw: RawDelivery): Promise<readonly Stored[]> {
  const { rows } = await sql<{ channel_id: string; id: number; running: boolean }>`
    with stored as (
      insert into raw_delivery (channel_id, method, url, headers, body, received_at)
      select channel_id, ${raw.method}, ${keptText(raw.url)}, ${keptHeaders(raw.headers)}::jsonb, ${toBuffer(raw.body)}::bytea, ${raw.receivedAt}::timestamptz
      from unnest(${[...channelIds]}::uuid[]) as channel_id
      returning id, channel_id
    ) select s.channel_id, s.id, h.intake_until > now() as running from stored s join channel h on h.id = s.channel_id`.execute(db);
  const byChannel = new Map(rows.map((row) => [row.channel_id, { deliveryId: row.id, intakeRunning: row.running }]));
  return channelIds.map((id) => {
    const stored = byChannel.get(id);
    if (stored === undefined) throw new Error('the delivery was not stored');
    return stored;
  });
}

export interface TakenDelivery {
  readonly id: number;
  /** How often parsing it was begun, this time included. */
  readonly tries: number;
  readonly raw: RawDelivery;
}

export interface TakenDeliveries {
  readonly channelId: string;
  readonly channelKey: string;
  readonly plugin: string;
  readonly deliveries: readonly TakenDelivery[];
}

/** Bytes of deliveries read at once. */
const TAKEN_BYTES = 32 * 1024 * 1024;

/**
 * The next deliveries to parse, oldest first, their try counted before it starts, so that one which kills its process is found out. One that was
 * begun before comes alone: it must not take others with it. Those begun `MAX_TRIES` times are set aside here. Undefined: no such channel.
 */
export async function takeDeliveries(db: Db, channelKey: string, limit: number): Promise<TakenDeliveries | undefined> {
  const channel = await db.selectFrom('channel').select(['id', 'key', 'plugin']).where('key', '=', channelKey).executeTakeFirst();
  if (channel === undefined) return undefined;
  await setAsideWornOut(db, channel.id);
  const { rows } = await sql<{ id: number; tries: number; method: string; url: string; headers: Record<string, string>; body: Buffer; received_at: Date }>`
    with next as (
      -- Not more than fits into memory, but always the first.
      select id, tries from (
        select id, tries, sum(octet_length(body)) over (order by id) - octet_length(body) as before
        from (select id, tries, body from raw_delivery where channel_id = ${channel.id} and state = 'WAITING'
          -- Nothing overtakes one whose last try may still go on.
          and id < coalesce((select min(id) from raw_delivery where channel_id = ${channel.id} and state = 'WAITING' and tries >= ${MAX_TRIES}), 9223372036854775807)
        order by id limit ${limit}) waiting
      ) sized where before < ${TAKEN_BYTES}
    ), alone as (
      select min(id) as id from next where tries > 0
    ), chosen as (
      -- The fresh ones before the first that was tried already; where that one is first, it alone.
      select next.id from next, alone
      where alone.id is null or next.id < alone.id or (next.id = alone.id and alone.id = (select min(id) from next))
    )
    update raw_delivery r set tries = r.tries + 1, taken_at = now()
    from chosen where r.id = chosen.id and r.state = 'WAITING'
    returning r.id, r.tries, r.method, r.url, r.headers, r.body, r.received_at`.execute(db);
  const deliveries = rows
    .toSorted((a, b) => a.id - b.id)
    .map((row) => ({
      id: row.id,
      tries: row.tries,
      raw: { method: row.method, url: row.url, headers: row.headers, body: row.body, receivedAt: row.received_at.toISOString() },
    }));
  return { channelId: channel.id, channelKey: channel.key, plugin: channel.plugin, deliveries };
}

/** Says that this channel's intake will look again within `seconds` (0: it has ended). */
export async function setIntakeUntil(db: Db, channelKey: string, seconds: number): Promise<void> {
  await sql`update channel set intake_until = now() + make_interval(secs => ${seconds}) where key = ${channelKey}`.execute(db);
}

export interface ParsedDelivery {
  readonly deliveryId: number;
  readonly receivedAt: string;
  readonly events: readonly InboundEvent[];
  /** What may be shown of each event's HTML, made where it was parsed; of what is missing here no HTML is shown. */
  readonly safe: readonly (SafeParts | null)[];
}

export interface IntakeDeps {
  readonly keys: Keys;
  readonly capabilities: Capabilities;
}

export interface Applied {
  /** Deliveries now settled. */
  readonly applied: number;
  /** True: another transaction is writing this channel's deliveries; nothing was done. */
  readonly busy: boolean;
}

/**
 * Takes parsed deliveries in, in order of arrival, in one transaction that also settles them: contacts, conversations, messages, tickets and events
 * are there all or none. Each delivery is checked to be still waiting, so one that was taken in meanwhile is passed over (MODEL-4, PLUG-7).
 */
export async function applyDeliveries(db: Db, deps: IntakeDeps, channelId: string, parsed: readonly ParsedDelivery[]): Promise<Committed<Applied>> {
  return transact(db, { actor: 'CHANNEL' }, async (unit) => {
    const { tx } = unit;
    const locked = await lockChannels(
      tx,
      channelId,
      parsed.flatMap((one) => one.events),
    );
    if (!(await tryLockIntake(tx, channelId))) return { applied: 0, busy: true };
    // Before the deliveries themselves: erasing a contact goes the same way (OPS-9).
    await holdContacts(tx, sendersOf(parsed));
    await holdNameless(
      tx,
      parsed.flatMap((one) => one.events),
    );
    const waiting = await tx
      .selectFrom('raw_delivery')
      .select(['id', 'released', 'recovered'])
      .where(sql<boolean>`id = any(${parsed.map((one) => one.deliveryId)}::bigint[])`)
      .where('state', '=', 'WAITING')
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    const still = new Set(waiting.map((row) => row.id));
    const deliveries = parsed.filter((one) => still.has(one.deliveryId));
    if (deliveries.length === 0) return { applied: 0, busy: false };
    const released = await readReleased(
      tx,
      waiting.flatMap((row) => (row.released ? [row.id] : [])),
    );
    const recovered = new Set(waiting.flatMap((row) => (row.recovered ? [row.id] : [])));
    const parsedEvents = deliveries.map((one) => ({ ...one, recovered: recovered.has(one.deliveryId) }));
    const taken = await takeEvents(unit, deps, { channelId, locked }, parsedEvents, released);
    await settle(tx, deps.capabilities, deliveries, taken);
    await countRecovered(
      unit,
      channelId,
      waiting.flatMap((row) => (row.recovered ? [taken.kept.get(row.id) ?? 0] : [])),
    );
    return { applied: deliveries.length, busy: false };
  });
}

/** Events as they were parsed, and with what they came. */
interface ParsedEvents extends Omit<ParsedDelivery, 'deliveryId'> {
  /** Null: they came of catching up, without a delivery. */
  readonly deliveryId: number | null;
  /** The delivery came of catching up. */
  readonly recovered?: boolean;
}

/** What every way in does with events that were not taken in before. The channel, its intake and the contacts are locked. */
async function takeEvents(
  unit: Unit,
  deps: IntakeDeps,
  { channelId, locked }: { readonly channelId: string; readonly locked: ReadonlySet<string> },
  parsed: readonly ParsedEvents[],
  released: ReadonlyMap<number, ReadonlySet<string>>,
): Promise<Taken> {
  const fresh = await onlyUnseen(unit.tx, deps, channelId, parsed, released);
  const events = fresh.flatMap((one) => one.events);
  await lockTouched(unit.tx, channelId, events, locked);
  const taken = await applyMessages(
    unit,
    deps.capabilities,
    channelId,
    fresh.flatMap((one) => one.messages),
    addedBy(events),
  );
  await applyIdentities(unit, channelId, events);
  await applyReceipts(unit, channelId, deps.capabilities.live === true, events);
  // What a page of catching up says of there being more is asked for anyway.
  const told = fresh.flatMap((one) => (one.deliveryId === null ? [] : one.events.flatMap((event) => (event.type === 'catch-up' ? [event.why] : []))));
  if (told.length > 0) await askCatchUp(unit, channelId, told.includes('gap') ? 'gap' : 'news');
  return taken;
}

/** Deliveries that came of catching up count once they are taken in; whoever waits for the last of them is woken. */
async function countRecovered(unit: Unit, channelId: string, fresh: readonly number[]): Promise<void> {
  if (fresh.length === 0) return;
  const sum = fresh.reduce((all, one) => all + one, 0);
  const channel = await unit.tx
    .updateTable('channel')
    .set((eb) => ({ catch_up_recovered: eb('catch_up_recovered', '+', sum) }))
    .where('id', '=', channelId)
    .where('catch_up_since', 'is not', null)
    .returning(['key', 'plugin'])
    .executeTakeFirst();
  if (channel !== undefined) unit.wake({ kind: 'catch-up', channelKey: channel.key, plugin: channel.plugin });
}

/** A page of what the provider held: events, and what is best parsed from what is stored. */
export interface ArrivedPage {
  readonly events: readonly InboundEvent[];
  readonly safe: readonly (SafeParts | null)[];
  readonly deliveries: readonly RawDelivery[];
}

/** Takes a page in, in the transaction that also advances the cursor (PLUG-7). `busy`: another transaction writes what comes in on this channel. */
export async function takePageIn(
  unit: Unit,
  deps: IntakeDeps,
  channelId: string,
  { events, safe, deliveries }: ArrivedPage,
): Promise<'busy' | { readonly fresh: number; readonly leftOut: number }> {
  const { tx } = unit;
  const locked = await lockChannels(tx, channelId, events);
  if (!(await tryLockIntake(tx, channelId))) return 'busy';
  const parsed: ParsedEvents = { deliveryId: null, receivedAt: new Date().toISOString(), events, safe };
  await holdContacts(tx, sendersOf([parsed]));
  const taken = await takeEvents(unit, deps, { channelId, locked }, [parsed], new Map());
  for (const raw of deliveries) {
    await sql`insert into raw_delivery (channel_id, method, url, headers, body, received_at, recovered)
      values (${channelId}, ${raw.method}, ${keptText(raw.url)}, ${keptHeaders(raw.headers)}::jsonb, ${toBuffer(raw.body)}, now(), true)`.execute(tx);
  }
  return { fresh: taken.kept.get(null) ?? 0, leftOut: events.filter((event) => !isTakenIn(deps.capabilities, event)).length };
}

function sendersOf(parsed: readonly ParsedEvents[]): Identity[] {
  return parsed.flatMap((one) => one.events.flatMap((event) => (event.type === 'message' ? (event.contact ?? []) : peopleOf(event))));
}

/**
 * Locks the channel, shared, and with it those by which the conversations go at present that messages are about to bring to it: a move that starts or ends must know where each
 * is. Returns which.
 */
async function lockChannels(tx: Tx, channelId: string, events: readonly InboundEvent[]): Promise<ReadonlySet<string>> {
  const keys = events.flatMap((event) => (event.type === 'message' ? threadKeys({ event }) : []));
  if (keys.length === 0) {
    await lockChannelShared(tx, channelId);
    return new Set([channelId]);
  }
  const { rows } = await sql<{ channel_id: string }>`
    select distinct c.channel_id from thread_key k join conversation c on c.id = k.conversation_id
    where k.channel_id = ${channelId} and k.key = any(${keys}::text[]) and c.channel_id <> ${channelId}`.execute(tx);
  const ids = [channelId, ...rows.map((row) => row.channel_id)].toSorted();
  for (const id of ids) await lockChannelShared(tx, id);
  return new Set(ids);
}

/** A conversation has gone on by another channel while its locks were waited for, and that one is being moved just now: tried again, nothing is lost. */
class GoneElsewhere extends Error {
  /** As PostgreSQL says that a transaction came at the wrong moment. */
  readonly code = '40001';
}

/** Locks every conversation a batch can touch, by thread key, by an id of ours or the provider's, or by contact, in id order. */
async function lockTouched(tx: Tx, channelId: string, events: readonly InboundEvent[], locked: ReadonlySet<string>): Promise<void> {
  const keys: string[] = [];
  const providerIds: string[] = [];
  const ownIds: string[] = [];
  const contacts: Identity[] = [];
  const changed: Identity[] = [];
  for (const event of events) {
    if (event.type === 'message') {
      keys.push(...threadKeys({ event }));
    }
    if (event.type === 'message' || event.type === 'receipt') {
      providerIds.push(event.providerMessageId);
      ownIds.push(...ownId(event.outboundId));
    }
    if (event.type === 'watermark') contacts.push(event.contact);
    changed.push(...peopleOf(event));
  }
  const { rows } = await sql<{ channel_id: string }>`
    select id, channel_id from conversation where id in (
      select conversation_id from thread_key where channel_id = ${channelId} and key = any(${keys}::text[])
      union all select conversation_id from message where channel_id = ${channelId} and provider_message_id = any(${providerIds}::text[])
      union all select conversation_id from message where id = any(${ownIds}::uuid[])
      union all select c.id from conversation c join contact_identity i on i.contact_id = c.contact_id
        join unnest(${contacts.map((one) => one.kind)}::text[], ${contacts.map((one) => one.value)}::text[]) as w (kind, value) on w.kind = i.kind and w.value = i.value
        where exists (select 1 from outbound o where o.conversation_id = c.id and o.channel_id = ${channelId})
      union all select c.id from conversation c join contact_identity i on i.contact_id = c.contact_id
        join unnest(${changed.map((one) => one.kind)}::text[], ${changed.map((one) => one.value)}::text[]) as w (kind, value) on w.kind = i.kind and w.value = i.value
        where c.channel_id = ${channelId} or c.origin_channel_id = ${channelId}
    ) order by id for no key update`.execute(tx);
  for (const id of new Set(rows.map((row) => row.channel_id))) {
    // Locks of channels come before the conversation's: with it held already, waiting for one could be for ever.
    if (!locked.has(id) && !(await tryLockChannelShared(tx, id))) throw new GoneElsewhere();
  }
}

/** A try that failed: the delivery waits for its next, or is set aside after the last (PLUG-11). `code` and `reason` hold no content. */
export async function failDelivery(db: Db, deliveryId: number, code: string, reason: string): Promise<Committed<{ setAside: boolean }>> {
  return transact(db, { actor: 'CHANNEL' }, async (unit) => {
    const row = await unit.tx
      .updateTable('raw_delivery')
      .set({
        failure_code: code,
        failure_reason: reason,
        state: sql<'WAITING' | 'SET_ASIDE'>`case when tries >= ${MAX_TRIES} then 'SET_ASIDE' else 'WAITING' end`,
        settled_at: sql<Date | null>`case when tries >= ${MAX_TRIES} then now() end`,
      })
      .where('id', '=', deliveryId)
      .where('state', '=', 'WAITING')
      .returning(['state', 'channel_id'])
      .executeTakeFirst();
    if (row?.state !== 'SET_ASIDE') return { setAside: false };
    unit.record({ kind: 'DELIVERY_SET_ASIDE', channelId: row.channel_id, why: code, data: { deliveryId } });
    return { setAside: true };
  });
}

/** Takes back the try counted for deliveries that were never begun, because one before them ended the thread. */
export async function untake(db: Db, deliveryIds: readonly number[]): Promise<void> {
  if (deliveryIds.length === 0) return;
  await sql`update raw_delivery set tries = tries - 1 where id = any(${deliveryIds}::bigint[]) and state = 'WAITING' and tries > 0`.execute(db);
}

/** Lets a delivery that was set aside be taken in again, once its plugin is mended (PLUG-11). Throws `NotFound`; `NotPossible` for an event of catching up, of which nothing was kept. */
export async function redeliver(unit: Unit, input: { readonly deliveryId: number }): Promise<{ deliveryId: number }> {
  const row = await unit.tx
    .updateTable('raw_delivery')
    .set({ state: 'WAITING', settled_at: null, tries: 0, failure_code: null, failure_reason: null })
    .where('id', '=', input.deliveryId)
    .where('state', '=', 'SET_ASIDE')
    .returning(['channel_id', sql<boolean>`recovered and body = ''`.as('empty')])
    .executeTakeFirst();
  if (row?.empty === true) throw new NotPossible('DELIVERY_NOT_KEPT');
  if (row === undefined) throw new NotFound('delivery set aside', String(input.deliveryId));
  const channel = await unit.tx.selectFrom('channel').select(['key', 'plugin']).where('id', '=', row.channel_id).executeTakeFirstOrThrow();
  unit.wake({ kind: 'intake', channelKey: channel.key, plugin: channel.plugin });
  return { deliveryId: input.deliveryId };
}

/**
 * Seconds a try may go on, its writing included. Several drains of a channel may run at once, for an activity outlives its workflow; each counts a try of its
 * own, so three tries alone do not say that it failed three times.
 */
const TAKEN_SECONDS = 20;

async function setAsideWornOut(db: Db, channelId: string): Promise<void> {
  const worn = await db
    .selectFrom('raw_delivery')
    .select('id')
    .where('channel_id', '=', channelId)
    .where('state', '=', 'WAITING')
    .where('tries', '>=', MAX_TRIES)
    .where(sql<boolean>`coalesce(taken_at < now() - make_interval(secs => ${TAKEN_SECONDS}), true)`)
    .execute();
  for (const { id } of worn) await failDelivery(db, id, 'Crashed', 'parsing it ended the process or the thread each time');
}

/**
 * Events not taken in before: their keyed hashes are written in this very transaction. A message that a person let pass was seen when it was
 * filtered, and comes through once more; what else its delivery brought does not.
 */
async function onlyUnseen(
  tx: Tx,
  { keys, capabilities }: IntakeDeps,
  channelId: string,
  deliveries: readonly ParsedEvents[],
  released: ReadonlyMap<number, ReadonlySet<string>>,
): Promise<readonly UnseenDelivery[]> {
  const hashes = new Map<string, Buffer>();
  for (const { events } of deliveries) {
    for (const event of events) if (isTakenIn(capabilities, event)) hashes.set(event.dedupeKey, keys.hashEventKey(event.dedupeKey));
  }
  if (hashes.size === 0) return [];
  const { rows } = await sql<{ key_hash: Buffer }>`
    insert into seen_event (channel_id, key_hash)
    select ${channelId}, hash from unnest(${[...hashes.values()]}::bytea[]) as hash
    on conflict do nothing returning key_hash`.execute(tx);
  const unseen = new Set(rows.map((row) => row.key_hash.toString('hex')));
  return deliveries.map(({ deliveryId, receivedAt, events, safe, recovered = deliveryId === null }) => {
    const passed = deliveryId === null ? undefined : released.get(deliveryId);
    const fresh = events.flatMap((event, at) => {
      // What is not taken in yet leaves no hash, so that its delivery can be taken in later.
      const isNew = unseen.delete(hashes.get(event.dedupeKey)?.toString('hex') ?? '');
      const releasedAs = event.type === 'message' ? (keptIds(event).find((id) => passed?.has(id)) ?? null) : null;
      return isNew || releasedAs !== null ? [{ event, safe: safe[at] ?? null, releasedAs }] : [];
    });
    return {
      deliveryId,
      receivedAt,
      events: fresh.map((one) => one.event),
      messages: fresh.flatMap(({ event, ...more }) => (event.type === 'message' ? [{ event, deliveryId, receivedAt, recovered, ...more }] : [])),
    };
  });
}

interface UnseenDelivery {
  readonly deliveryId: number | null;
  readonly events: readonly InboundEvent[];
  readonly messages: readonly ArrivedMessage[];
}

/** Event types this engine takes in; a delivery with another kind is kept and listed, not lost. */
const TAKEN_IN = new Set<InboundEvent['type']>(['message', 'receipt', 'watermark', 'health', 'typing', 'presence', 'identity-added', 'identity-changed']);

/** That there is something to fetch is taken in where the plugin can fetch it. */
function isTakenIn(capabilities: Capabilities, { type }: InboundEvent): boolean {
  return type === 'catch-up' ? capabilities.inbound.includes('catch-up') : TAKEN_IN.has(type);
}

/** What names somebody, and to which no message of ours refers: erasing them would not find it (OPS-9). */
const NAMES_SOMEBODY = new Set<InboundEvent['type']>(['message', 'watermark', 'typing', 'presence', 'identity-added', 'identity-changed']);

/** What brought no message that was not here already is emptied, where it names somebody. */
async function settle(tx: Tx, capabilities: Capabilities, deliveries: readonly ParsedDelivery[], { filtered, kept }: Taken): Promise<void> {
  const rows = deliveries.map((one) => {
    const unsupported = one.events.find((event) => !isTakenIn(capabilities, event));
    return {
      id: one.deliveryId,
      known: unsupported === undefined && one.events.some((event) => NAMES_SOMEBODY.has(event.type)) && !kept.has(one.deliveryId),
      state: unsupported === undefined ? 'DONE' : 'SET_ASIDE',
      code: unsupported === undefined ? (filtered.has(one.deliveryId) ? 'Filtered' : null) : 'Unsupported',
      reason: unsupported === undefined ? null : `events of type ${unsupported.type} are not taken in yet`,
    };
  });
  await sql`
    update raw_delivery r set state = n.state, failure_code = n.code, failure_reason = n.reason, settled_at = now(),
      body = case when n.known then ''::bytea else r.body end, headers = case when n.known then '{}'::jsonb else r.headers end
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (id bigint, known boolean, state text, code text, reason text)
    where r.id = n.id`.execute(tx);
}

/** Cleaned before it becomes JSON: in JSON, an escaped NUL and an escaped backslash before `u0000` look alike. */
function keptHeaders(headers: RawDelivery['headers']): string {
  return JSON.stringify(Object.fromEntries(Object.entries(headers).map(([name, value]) => [keptText(name), keptText(value)])));
}

/** What PostgreSQL can keep: no NUL, no half of a surrogate pair. */
function keptText(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

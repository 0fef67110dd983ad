import type { Failure, InboundEvent, RawDelivery } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { backOffSeconds } from '#domain/outbox.ts';
import { setHealth } from './channel-health.ts';
import { takePageIn, type IntakeDeps } from './intake.ts';
import type { SafeParts } from './safe-html.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** What a channel's catching up is to do next. */
export type CatchUpStep =
  /** Nothing is asked for. */
  | { readonly kind: 'idle' }
  /** Its provider wants patience, or what was fetched is still being taken in. `why`: a code. */
  | { readonly kind: 'wait'; readonly until: Date; readonly why: string }
  /** Everything was fetched: `finishCatchUp`. */
  | { readonly kind: 'finish' }
  | { readonly kind: 'fetch'; readonly from: CatchUpPlace };

/** From where a page is fetched, and how many requests that covers. */
export interface CatchUpPlace {
  readonly channelId: string;
  readonly cursor: string | null;
  readonly asked: number;
  /** How often in a row a page from here could not be used. */
  readonly tries: number;
}

/** Seconds between two looks at whether what was fetched has been taken in. */
const LOOK_AGAIN_SECONDS = 2;

/** What is next for a channel; a page that is to be fetched is noted as being fetched for `seconds`, so that nobody takes it for stuck meanwhile. */
export async function nextCatchUpStep(db: Db, channelKey: string, seconds: number): Promise<CatchUpStep> {
  const { rows } = await sql<{
    id: string;
    cursor: string | null;
    asked: number;
    fetched: number;
    after: Date;
    waits: boolean;
    held_by: string | null;
    parsing: boolean;
    tries: number;
  }>`
    select id, cursor, catch_up_tries as tries, catch_up_asked as asked, catch_up_fetched as fetched, catch_up_after as after, catch_up_after > now() as waits, catch_up_held_by as held_by,
      exists (select 1 from raw_delivery r where r.channel_id = channel.id and r.recovered and r.state = 'WAITING') as parsing
    from channel where key = ${channelKey} and catch_up_since is not null and disconnected_at is null`.execute(db);
  const [row] = rows;
  if (row === undefined) return { kind: 'idle' };
  if (row.fetched === row.asked) {
    return row.parsing ? { kind: 'wait', until: new Date(Date.now() + LOOK_AGAIN_SECONDS * 1000), why: 'BEING_TAKEN_IN' } : { kind: 'finish' };
  }
  if (row.waits) return { kind: 'wait', until: row.after, why: row.held_by ?? 'BACK_OFF' };
  await sql`update channel set catch_up_until = now() + make_interval(secs => ${seconds}) where id = ${row.id}::uuid`.execute(db);
  return { kind: 'fetch', from: { channelId: row.id, cursor: row.cursor, asked: row.asked, tries: row.tries } };
}

/** A page as it was checked: `safe` is what may be shown of each event's HTML. */
export interface CheckedPage {
  readonly events: readonly InboundEvent[];
  readonly safe: readonly (SafeParts | null)[];
  readonly deliveries: readonly RawDelivery[];
  readonly cursor: string | undefined;
  readonly more: boolean;
  /** What cannot be kept, and is passed over with this page. */
  readonly setAside?: readonly SetAsideEvent[];
}

/** An event that was given and cannot be kept. `reason` holds no content. */
export interface SetAsideEvent {
  readonly type: string;
  /** Its provider's id, by which it is found there; null: it has none. */
  readonly providerId: string | null;
  readonly code: 'Malformed' | 'NotApplied';
  readonly reason: string;
}

export interface PageApplied {
  /** `busy`: another transaction writes what comes in on this channel; `overtaken`: somebody else has taken this page in. Nothing was done then. */
  readonly outcome: 'applied' | 'busy' | 'overtaken';
  /** Messages that were not here before. */
  readonly fresh: number;
  /** Events of a kind that is not taken in yet. */
  readonly leftOut: number;
}

/** Somebody else has advanced the cursor: what this transaction wrote goes with it. */
class Overtaken extends Error {}

/**
 * Takes a page in and advances the cursor, in one transaction: the same way as what comes in by a door, so nothing is there twice, and the
 * cursor only moves on from the place the page was fetched from, so nothing is passed over (PLUG-7). What is best kept as it came is stored like any delivery.
 */
export async function applyPage(db: Db, deps: IntakeDeps, from: CatchUpPlace, page: CheckedPage): Promise<Committed<PageApplied>> {
  try {
    return await transact(db, { actor: 'CHANNEL' }, async (unit): Promise<PageApplied> => {
      const taken = await takePageIn(unit, deps, from.channelId, page);
      if (taken === 'busy') return { outcome: 'busy', fresh: 0, leftOut: 0 };
      const moved = await unit.tx
        .updateTable('channel')
        .set((eb) => ({
          cursor: page.cursor ?? from.cursor,
          catch_up_recovered: eb('catch_up_recovered', '+', taken.fresh),
          catch_up_fetched: page.more ? eb.ref('catch_up_fetched') : eb.val(from.asked),
          catch_up_after: sql<Date>`now()`,
          catch_up_until: null,
          catch_up_tries: 0,
          catch_up_held_by: null,
        }))
        .where('id', '=', from.channelId)
        .where(sql<boolean>`cursor is not distinct from ${from.cursor}::text`)
        .where('catch_up_since', 'is not', null)
        .where('disconnected_at', 'is', null)
        .returning(['key', 'plugin'])
        .executeTakeFirst();
      if (moved === undefined) throw new Overtaken();
      for (const event of page.setAside ?? []) await setEventAside(unit, from.channelId, event);
      if (page.deliveries.length > 0) unit.wake({ kind: 'intake', channelKey: moved.key, plugin: moved.plugin });
      return { outcome: 'applied', fresh: taken.fresh, leftOut: taken.leftOut };
    });
  } catch (error) {
    if (error instanceof Overtaken) return { value: { outcome: 'overtaken', fresh: 0, leftOut: 0 }, wakes: [] };
    throw error;
  }
}

/** Characters kept of a provider's id by which an event set aside is found there. */
const PROVIDER_ID_LENGTH = 200;

/** Listed as a delivery that was set aside is, by its provider's id and without content: there is nothing to redeliver, and its provider still has it. */
async function setEventAside(unit: Unit, channelId: string, { type, providerId, code, reason }: SetAsideEvent): Promise<void> {
  const name = (providerId ?? '').slice(0, PROVIDER_ID_LENGTH).replaceAll('\0', '').toWellFormed();
  const { id } = await unit.tx
    .insertInto('raw_delivery')
    .values({
      channel_id: channelId,
      method: 'CATCH-UP',
      url: `${type}:${name}`,
      headers: '{}',
      body: Buffer.alloc(0),
      received_at: sql<Date>`now()`,
      recovered: true,
      state: 'SET_ASIDE',
      settled_at: sql<Date>`now()`,
      failure_code: code,
      failure_reason: reason,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'DELIVERY_SET_ASIDE', channelId, why: code, data: { deliveryId: id } });
}

/** Ends a channel's catching up where everything was fetched and taken in and nothing was asked for meanwhile. How many messages a gap gave back is an event (EMAIL-9). */
export async function finishCatchUp(db: Db, channelKey: string): Promise<Committed<{ readonly recovered: number | null }>> {
  return transact(db, { actor: 'CHANNEL' }, async (unit) => {
    const { rows } = await sql<{ id: string; place_id: string; gap: boolean; recovered: number }>`
      with done as (
        select id, catch_up_gap as gap, catch_up_recovered as recovered from channel
        where key = ${channelKey} and catch_up_since is not null and catch_up_fetched = catch_up_asked for no key update
      )
      update channel c set catch_up_since = null, catch_up_gap = false, catch_up_recovered = 0
      from done where c.id = done.id and not exists (select 1 from raw_delivery r where r.channel_id = c.id and r.recovered and r.state = 'WAITING')
      returning c.id, c.place_id, done.gap, done.recovered`.execute(unit.tx);
    const [row] = rows;
    if (row === undefined) return { recovered: null };
    if (row.gap) unit.record({ kind: 'CAUGHT_UP', channelId: row.id, placeId: row.place_id, data: { recovered: row.recovered } });
    return { recovered: row.gap ? row.recovered : null };
  });
}

/** Seconds until a channel whose provider is lost is asked again; a check that succeeds has it asked at once. */
const LOST_SECONDS = 300;
/** Pages in a row that could not be used, after which that is trouble of the channel, and what of them cannot be written is passed over. */
export const UNUSABLE_THRICE = 3;

/** A page that could not be had: the channel waits, and where its provider is lost, its health says so (CH-4). */
export async function failCatchUp(db: Db, from: CatchUpPlace, failure: Failure): Promise<Committed<void>> {
  return transact(db, { actor: 'CHANNEL' }, async (unit) => {
    const row = await unit.tx
      .updateTable('channel')
      .set((eb) => ({ catch_up_tries: eb('catch_up_tries', '+', 1), catch_up_until: null, catch_up_held_by: failure.code }))
      .where('id', '=', from.channelId)
      .where(sql<boolean>`cursor is not distinct from ${from.cursor}::text`)
      .where('catch_up_since', 'is not', null)
      .returning('catch_up_tries')
      .executeTakeFirst();
    if (row === undefined) return;
    const seconds =
      failure.code === 'RateLimited' ? failure.retryAfterSeconds : failure.code === 'Disconnected' ? LOST_SECONDS : backOffSeconds(row.catch_up_tries);
    await sql`update channel set catch_up_after = now() + make_interval(secs => ${seconds}) where id = ${from.channelId}::uuid`.execute(unit.tx);
    if (failure.code === 'Disconnected') await setHealth(unit, from.channelId, 'DISCONNECTED', failure.reason);
    const unusable = failure.code !== 'Unavailable' && failure.code !== 'RateLimited' && failure.code !== 'Disconnected';
    if (unusable && row.catch_up_tries === UNUSABLE_THRICE) await setHealth(unit, from.channelId, 'DEGRADED', 'what the provider holds could not be read');
  });
}

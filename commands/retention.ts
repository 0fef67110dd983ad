import { sql, type RawBuilder } from 'kysely';
import type { Db } from '#db/database.ts';
import { dropOrphanBlobs } from './blobs.ts';
import { waiting } from './routing-retry.ts';

/** How long rows are kept that nobody reads any more, in days; the table in `docs/limits.md` is held against these. */
export const RETENTION_DAYS = {
  idempotencyKeys: 7,
  uploads: 1,
  rawDeliveries: 30,
  spam: 90,
  filtered: 90,
  systemMails: 30,
  webhookDeliveries: 30,
  placeActivity: 1,
  visitorPresence: 30,
  retryCauses: 1,
} as const;

export interface Removed {
  readonly idempotencyKeys: number;
  /** What users sent up and attached to nothing. */
  readonly uploads: number;
  readonly spam: number;
  /** Automatic mail that answered nothing. */
  readonly filtered: number;
  readonly rawDeliveries: number;
  /** The account's own mail, sent or not; what waits is younger. */
  readonly systemMails: number;
  /** Calls of webhooks that were taken or have failed. */
  readonly webhookDeliveries: number;
  /** When users last asked for something of a place. */
  readonly placeActivity: number;
  /** Visitors who have not been here for so long. */
  readonly visitorPresence: number;
  /** That somebody became free while nothing waited for it. */
  readonly retryCauses: number;
  /** Files to which nothing refers any more. */
  readonly files: number;
}

/** Removes what is past its time, at most `limit` rows of each kind, so that no call is a long one. Deliveries that wait or were set aside stay, and those of which an attachment is still to be fetched. */
export async function removeExpired(db: Db, limit: number): Promise<Removed> {
  const past = (column: string, days: number): RawBuilder<boolean> => sql<boolean>`${sql.ref(column)} < now() - make_interval(days => ${days})`;
  const removed = async (statement: RawBuilder<unknown>): Promise<number> => Number((await statement.execute(db)).numAffectedRows ?? 0);
  const filtered = (kind: 'SPAM' | 'FILTERED', days: number): Promise<number> =>
    removed(sql`delete from filtered_message where id in (
      select id from filtered_message where kind = ${kind} and ${past('received_at', days)} order by received_at, id limit ${limit})`);
  return {
    idempotencyKeys: await removed(sql`delete from idempotency_key where (caller, key) in (
      select caller, key from idempotency_key where ${past('created_at', RETENTION_DAYS.idempotencyKeys)} limit ${limit})`),
    uploads: await removed(sql`delete from upload where id in (select id from upload where ${past('created_at', RETENTION_DAYS.uploads)} limit ${limit})`),
    spam: await filtered('SPAM', RETENTION_DAYS.spam),
    filtered: await filtered('FILTERED', RETENTION_DAYS.filtered),
    // After these: the delivery of a filtered message lasts as long as the message, for it may yet be let pass.
    rawDeliveries: await removed(sql`delete from raw_delivery where id in (
      select id from raw_delivery r where state = 'DONE' and ${past('received_at', RETENTION_DAYS.rawDeliveries)}
        and not exists (select 1 from filtered_message f where f.raw_delivery_id = r.id)
        and id not in (select m.raw_delivery_id from attachment a join message m on m.id = a.message_id where a.state = 'WAITING' and m.raw_delivery_id is not null)
      limit ${limit})`),
    systemMails: await removed(sql`delete from system_mail where id in (
      select id from system_mail where ${past('created_at', RETENTION_DAYS.systemMails)} and state not in ('QUEUED', 'SENDING') order by created_at, id limit ${limit})`),
    webhookDeliveries: await removed(sql`delete from webhook_delivery where id in (
      select id from webhook_delivery where ${past('settled_at', RETENTION_DAYS.webhookDeliveries)} and state not in ('QUEUED', 'SENDING') order by settled_at, id limit ${limit} for update skip locked)`),
    placeActivity: await removed(sql`delete from place_activity where (place_id, user_id) in (
      select place_id, user_id from place_activity where ${past('at', RETENTION_DAYS.placeActivity)} limit ${limit})`),
    visitorPresence: await removed(sql`delete from visitor_presence where (channel_id, kind, value) in (
      select channel_id, kind, value from visitor_presence where not here and ${past('seen_at', RETENTION_DAYS.visitorPresence)} limit ${limit} for update skip locked)`),
    retryCauses: await removed(sql`delete from routing_retry_cause where id in (
      select id from routing_retry_cause where ${past('at', RETENTION_DAYS.retryCauses)} and not exists (select from (${waiting()}) w) limit ${limit})`),
    files: await dropOrphanBlobs(db, limit),
  };
}

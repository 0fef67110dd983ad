import { sql } from 'kysely';
import type { Db } from '#db/database.ts';
import { lockWebhookClaims } from '#db/locks.ts';
import type { WebhookDeliveryState } from '#db/schema.ts';
import { WEBHOOK_LIMITS, WEBHOOK_LOST_SECONDS, WEBHOOK_TRIES, type WebhookOutcome, type WebhookPayload } from '#domain/webhook.ts';
import { NotFound, NotPossible } from './refusals.ts';
import type { Unit } from './unit.ts';
import type { SealedSecrets } from './webhooks.ts';

/** One call that is to be made now: its row says `SENDING` already, and that is committed. */
export interface ClaimedDelivery extends SealedSecrets {
  readonly id: string;
  readonly attempt: number;
  /** How often it was tried since it was queued, this try among them. */
  readonly tries: number;
  readonly payload: WebhookPayload;
  readonly createdAt: Date;
  readonly url: string;
}

/**
 * Claims up to `limit` deliveries: `QUEUED → SENDING` is committed before anybody is called. No webhook has more than a few at once, and each has its first before any
 * has its second. What nobody is sending any more goes back before.
 */
export async function claimWebhookDeliveries(db: Db, limit: number): Promise<readonly ClaimedDelivery[]> {
  return db.transaction().execute(async (tx) => {
    await lockWebhookClaims(tx);
    await sql`
      update webhook_delivery set failure = 'NO_OUTCOME', not_before = now(),
        state = case when attempt - attempts_before < ${WEBHOOK_TRIES} then 'QUEUED' else 'FAILED' end,
        settled_at = case when attempt - attempts_before < ${WEBHOOK_TRIES} then null else now() end
      where state = 'SENDING' and tried_at < now() - make_interval(secs => ${WEBHOOK_LOST_SECONDS})`.execute(tx);
    const { rows } = await sql<ClaimedDelivery>`
      with busy as (select webhook_id, count(*) as calls from webhook_delivery where state = 'SENDING' group by webhook_id),
      next as materialized (
        select due.id from webhook w left join busy b on b.webhook_id = w.id
        cross join lateral (
          select q.id, q.not_before, row_number() over (order by q.not_before, q.id) + coalesce(b.calls, 0) as place
          from (select d.id, d.not_before from webhook_delivery d where d.webhook_id = w.id and d.state = 'QUEUED' and d.not_before <= now()
            order by d.not_before, d.id limit ${WEBHOOK_LIMITS.callsEach}) q
        ) due
        where w.deleted_at is null and due.place <= ${WEBHOOK_LIMITS.callsEach}
        order by due.place, due.not_before, due.id limit ${limit}
      )
      update webhook_delivery d set state = 'SENDING', attempt = d.attempt + 1, tried_at = clock_timestamp()
      from next, webhook w where d.id = next.id and d.state = 'QUEUED' and w.id = d.webhook_id
      returning d.id, d.attempt, d.attempt - d.attempts_before as tries, d.payload, d.created_at as "createdAt", w.id as "webhookId", w.url, w.secret,
        case when w.previous_until > now() then w.previous_secret end as "previousSecret"`.execute(tx);
    return rows;
  });
}

/** Writes the outcome of one try while it is `SENDING`. That it was taken is also believed later, of the same try. */
export async function settleWebhookDelivery(db: Db, { id, attempt }: Pick<ClaimedDelivery, 'id' | 'attempt'>, outcome: WebhookOutcome): Promise<boolean> {
  const open: readonly WebhookDeliveryState[] = outcome.kind === 'sent' ? ['SENDING', 'QUEUED', 'FAILED'] : ['SENDING'];
  const settled = await db
    .updateTable('webhook_delivery')
    .set(columnsOf(outcome))
    .where('id', '=', id)
    .where('attempt', '=', attempt)
    .where('state', 'in', open)
    .returning('id')
    .executeTakeFirst();
  return settled !== undefined;
}

function columnsOf(outcome: WebhookOutcome) {
  switch (outcome.kind) {
    case 'sent':
      return { state: 'SENT', failure: null, settled_at: sql<Date>`now()` } as const;
    case 'later':
      return { state: 'QUEUED', failure: outcome.failure, not_before: sql<Date>`now() + make_interval(secs => ${outcome.seconds})` } as const;
    case 'failed':
      return { state: 'FAILED', failure: outcome.failure, settled_at: sql<Date>`now()` } as const;
  }
}

/** How many are not settled, and when the first of them can go on (ISO 8601; null: none waits). */
export async function nextWebhookDelivery(db: Db): Promise<{ readonly remaining: number; readonly nextIso: string | null; readonly heldBy: string | null }> {
  // A webhook whose calls are all taken waits for one of them, however long its queue.
  const { rows } = await sql<{ remaining: number; next: Date; held_by: string | null }>`
    select sum(w.waiting) over ()::int as remaining, w.next, w.held_by
    from (
      select count(*) as waiting,
        least(min(tried_at) filter (where state = 'SENDING') + make_interval(secs => ${WEBHOOK_LOST_SECONDS}),
          case when count(*) filter (where state = 'SENDING') < ${WEBHOOK_LIMITS.callsEach} then min(not_before) filter (where state = 'QUEUED') end) as next,
        (array_agg(failure order by not_before, id))[1] as held_by
      from webhook_delivery where state in ('QUEUED', 'SENDING') group by webhook_id
    ) w order by w.next limit 1`.execute(db);
  const [row] = rows;
  return { remaining: row?.remaining ?? 0, nextIso: row?.next.toISOString() ?? null, heldBy: row?.held_by ?? null };
}

/** Tries what has failed again, with all its tries anew. Throws `NotFound`, `NotPossible` where it has not failed or its webhook was removed. */
export async function retryWebhookDelivery(unit: Unit, { deliveryId }: { readonly deliveryId: string }): Promise<{ readonly deliveryId: string }> {
  const delivery = await unit.tx
    .selectFrom('webhook_delivery')
    .innerJoin('webhook', 'webhook.id', 'webhook_delivery.webhook_id')
    .select(['webhook_delivery.id', 'webhook.deleted_at'])
    .where(sql<string>`webhook_delivery.id::text`, '=', deliveryId)
    .forShare('webhook')
    .executeTakeFirst();
  if (delivery === undefined) throw new NotFound('webhook delivery', deliveryId);
  if (delivery.deleted_at !== null) throw new NotPossible('RECIPIENT_GONE');
  const queued = await unit.tx
    .updateTable('webhook_delivery')
    .set((eb) => ({ state: 'QUEUED', settled_at: null, not_before: sql<Date>`now()`, attempts_before: eb.ref('attempt') }))
    .where('id', '=', delivery.id)
    .where('state', '=', 'FAILED')
    .returning('id')
    .executeTakeFirst();
  if (queued === undefined) throw new NotPossible('NOT_WAITING');
  unit.wake({ kind: 'webhooks' });
  return { deliveryId: delivery.id };
}

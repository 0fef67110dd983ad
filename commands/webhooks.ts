import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockSlaSettings, lockWebhookClaims } from '#db/locks.ts';
import { SECRET_PREFIX, WEBHOOK_LIMITS, webhookUrlProblem, type WebhookPayload } from '#domain/webhook.ts';
import { nameProblems } from './calendars.ts';
import { AlreadyExists, InvalidInput, NotFound, NotPossible } from './refusals.ts';
import type { Keys } from './secrets.ts';
import type { Unit } from './unit.ts';

export interface WebhookDeps {
  readonly keys: Keys;
}

export interface WebhookInput {
  /** None: a new one. */
  readonly webhookId?: string | null;
  readonly name: string;
  /** May hold a secret of the receiver's: it stands in no log, event or history. */
  readonly url: string;
}

/** Told once and stored sealed; null: it stays as it is. */
export interface SavedWebhook {
  readonly webhookId: string;
  readonly secret: string | null;
}

/**
 * Makes a webhook with a secret of its own, or gives one another name or address; what waits goes there then (SLA-12). Throws `InvalidInput` (each thing with
 * where), `NotFound`, `AlreadyExists`.
 */
export async function saveWebhook(unit: Unit, { keys }: WebhookDeps, input: WebhookInput): Promise<SavedWebhook> {
  const { tx } = unit;
  if (input.webhookId != null) await holdRow(tx, input.webhookId);
  await lockSlaSettings(tx);
  const before = input.webhookId == null ? undefined : await readRow(tx, input.webhookId);
  const name = input.name.trim();
  const url = input.url.trim();
  const wrongUrl = webhookUrlProblem(url);
  const problems = [...nameProblems(name), ...(wrongUrl === null ? [] : [{ path: 'url', message: wrongUrl }])];
  if (problems.length > 0) throw new InvalidInput(problems);
  if (before === undefined) await requireRoom(tx);
  await requireFreeName(tx, name, before?.id ?? null);
  if (before === undefined) {
    const id = newId();
    const secret = makeSecret();
    await tx
      .insertInto('webhook')
      .values({ id, name, url, secret: seal(keys, id, secret) })
      .execute();
    unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'WEBHOOK_MADE', data: { webhookId: id } });
    return { webhookId: id, secret };
  }
  if (before.name !== name || before.url !== url) {
    await tx.updateTable('webhook').set({ name, url }).where('id', '=', before.id).execute();
    unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'WEBHOOK_EDITED', data: { webhookId: before.id } });
  }
  return { webhookId: before.id, secret: null };
}

/** Gives a webhook another secret. The one before signs too for a day, so that the receiver can change theirs without missing a call. Throws `NotFound`. */
export async function rotateWebhookSecret(unit: Unit, { keys }: WebhookDeps, { webhookId }: { readonly webhookId: string }): Promise<SavedWebhook> {
  const { tx } = unit;
  await holdRow(tx, webhookId);
  await lockSlaSettings(tx);
  const { id } = await readRow(tx, webhookId);
  const secret = makeSecret();
  await tx
    .updateTable('webhook')
    .set((eb) => ({
      secret: seal(keys, id, secret),
      previous_secret: eb.ref('secret'),
      previous_until: sql<Date>`now() + make_interval(hours => ${WEBHOOK_LIMITS.rotationHours})`,
    }))
    .where('id', '=', id)
    .execute();
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'WEBHOOK_EDITED', data: { webhookId: id } });
  return { webhookId: id, secret };
}

/** Takes a webhook away, with its address and its secrets; what waits for it has failed. Throws `NotFound`, `NotPossible` while a policy names it. */
export async function deleteWebhook(unit: Unit, { webhookId }: { readonly webhookId: string }): Promise<{ readonly webhookId: string }> {
  const { tx } = unit;
  await holdRow(tx, webhookId);
  await lockSlaSettings(tx);
  const { id } = await readRow(tx, webhookId);
  const naming = await tx
    .selectFrom('sla_policy')
    .innerJoin('sla_terms', 'sla_terms.id', 'sla_policy.terms_id')
    .select('sla_policy.id')
    .where('sla_policy.deleted_at', 'is', null)
    .where(sql<boolean>`sla_terms.actions @> ${JSON.stringify([{ act: { kind: 'WEBHOOK', webhookId: id } }])}::jsonb`)
    .limit(1)
    .executeTakeFirst();
  if (naming !== undefined) throw new NotPossible('WEBHOOK_IN_USE');
  await tx
    .updateTable('webhook')
    .set({ deleted_at: sql<Date>`now()`, url: '', secret: Buffer.alloc(0), previous_secret: null, previous_until: null })
    .where('id', '=', id)
    .execute();
  // Nobody takes one of them meanwhile.
  await lockWebhookClaims(tx);
  // After the webhook's row, which whoever queues a delivery holds: none is added any more.
  await tx
    .updateTable('webhook_delivery')
    .set({ state: 'FAILED', failure: 'WEBHOOK_REMOVED', settled_at: sql<Date>`now()` })
    .where('webhook_id', '=', id)
    .where('state', 'in', ['QUEUED', 'SENDING'])
    .execute();
  unit.record({ kind: 'SLA_SETTINGS_CHANGED', why: 'WEBHOOK_REMOVED', data: { webhookId: id } });
  return { webhookId: id };
}

/** Queues a call of the type `test`, to see that the receiver takes it. Throws `NotFound`. */
export async function testWebhook(unit: Unit, { webhookId }: { readonly webhookId: string }): Promise<{ readonly deliveryId: string }> {
  const deliveryId = await queue(unit, webhookId, null, { type: 'test' });
  if (deliveryId === null) throw new NotFound('webhook', webhookId);
  return { deliveryId };
}

export interface QueuedWebhook {
  readonly webhookId: string;
  readonly ticketId: string;
  readonly payload: WebhookPayload;
}

/** Queues a call of a webhook, to be made after the commit and tried again where it fails (SLA-12). Nothing where the webhook was removed. */
export async function queueWebhook(unit: Unit, { webhookId, ticketId, payload }: QueuedWebhook): Promise<void> {
  await queue(unit, webhookId, ticketId, payload);
}

async function queue(unit: Unit, webhookId: string, ticketId: string | null, payload: WebhookPayload): Promise<string | null> {
  const webhook = await unit.tx
    .selectFrom('webhook')
    .select('id')
    .where(sql<string>`id::text`, '=', webhookId)
    .where('deleted_at', 'is', null)
    .forShare()
    .executeTakeFirst();
  if (webhook === undefined) return null;
  // A receiver that is away for long does not fill the table: what comes beyond is listed as failed, and can be tried again.
  const { waiting } = await unit.tx
    .selectFrom((eb) =>
      eb
        .selectFrom('webhook_delivery')
        .select('id')
        .where('webhook_id', '=', webhook.id)
        .where('state', 'in', ['QUEUED', 'SENDING'])
        .limit(WEBHOOK_LIMITS.waiting)
        .as('first'),
    )
    .select((eb) => eb.fn.countAll<number>().as('waiting'))
    .executeTakeFirstOrThrow();
  const full = waiting >= WEBHOOK_LIMITS.waiting;
  const { id } = await unit.tx
    .insertInto('webhook_delivery')
    .values({
      webhook_id: webhook.id,
      ticket_id: ticketId,
      payload: JSON.stringify(payload),
      ...(full ? { state: 'FAILED', failure: 'TOO_MANY_WAITING', settled_at: sql<Date>`now()` } : {}),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  if (!full) unit.wake({ kind: 'webhooks' });
  return id;
}

/** The sealed secrets that sign now. */
export interface SealedSecrets {
  readonly webhookId: string;
  readonly secret: Buffer;
  /** The one before, while its time is not over. */
  readonly previousSecret: Buffer | null;
}

/** The secrets that sign now, the newest first. Throws where they were sealed by another deployment's secret. */
export function openSecrets(keys: Keys, { webhookId, secret, previousSecret }: SealedSecrets): readonly string[] {
  return [secret, ...(previousSecret === null ? [] : [previousSecret])].map((sealed) => {
    const opened = keys.open(sealedFor(webhookId), sealed)['secret'];
    if (typeof opened !== 'string') throw new Error('a sealed secret of a webhook is none');
    return opened;
  });
}

/** What a webhook's secrets are sealed for: no channel can have this key. */
function sealedFor(webhookId: string): string {
  return `@webhook/${webhookId}`;
}

function seal(keys: Keys, webhookId: string, secret: string): Buffer {
  return keys.seal(sealedFor(webhookId), { secret });
}

/** `whsec_` and 256 random bits. */
function makeSecret(): string {
  return `${SECRET_PREFIX}${randomBytes(32).toString('base64')}`;
}

/** Its row comes before the settings: whoever queues a delivery has the row, and asks for the settings at its end. */
async function holdRow(tx: Tx, webhookId: string): Promise<void> {
  await tx
    .selectFrom('webhook')
    .select('id')
    .where(sql<string>`id::text`, '=', webhookId)
    .forNoKeyUpdate()
    .execute();
}

async function readRow(tx: Tx, webhookId: string) {
  const row = await tx
    .selectFrom('webhook')
    .select(['id', 'name', 'url'])
    .where(sql<string>`id::text`, '=', webhookId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new NotFound('webhook', webhookId);
  return row;
}

async function requireRoom(tx: Tx): Promise<void> {
  const { count } = await tx
    .selectFrom('webhook')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
  if (count >= WEBHOOK_LIMITS.webhooks) throw new InvalidInput([{ path: 'name', message: `at most ${WEBHOOK_LIMITS.webhooks} webhooks` }]);
}

async function requireFreeName(tx: Tx, name: string, own: string | null): Promise<void> {
  const taken = await tx
    .selectFrom('webhook')
    .select('id')
    .where(sql<boolean>`lower(name) = lower(${name})`)
    .where('deleted_at', 'is', null)
    .where(sql<boolean>`id is distinct from ${own}::uuid`)
    .executeTakeFirst();
  if (taken !== undefined) throw new AlreadyExists('webhook');
}

import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { claimWebhookDeliveries, nextWebhookDelivery, settleWebhookDelivery, type ClaimedDelivery } from '#commands/webhook-deliveries.ts';
import { openSecrets } from '#commands/webhooks.ts';
import { afterAnswer, afterFailure, webhookBody, webhookHeaders, type WebhookOutcome } from '#domain/webhook.ts';
import type { Engine } from './dependencies.ts';
import { throughTrouble } from './failures.ts';
import { LIMITS } from './limits.ts';

/** What one run of calls came to: counts, codes and moments. */
export interface WebhookRun {
  readonly sent: number;
  readonly notSent: number;
  /** Deliveries that are not settled. */
  readonly remaining: number;
  /** Why the last try of the first of them failed: a code. */
  readonly heldBy: string | null;
  /** ISO 8601; null: none waits. */
  readonly nextTryAtIso: string | null;
}

const HEARTBEAT_MS = 4_000;
/** While calls last: how often it is looked for what else came. */
const LOOK_MS = 250;

type Caller = Pick<Engine, 'db' | 'keys' | 'log' | 'now'>;

export function createWebhookActivities(engine: Engine) {
  return {
    /** Makes the calls of webhooks that are due, several at a time and few of each, and says what is left (SLA-12). */
    async callWebhooks(): Promise<WebhookRun> {
      const context = Context.current();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await callWaiting(engine, context.cancellationSignal);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One run, also outside Temporal (tests). `stop`: nobody waits for it any more. */
export async function callWaiting(engine: Caller, stop: AbortSignal = new AbortController().signal): Promise<WebhookRun> {
  const begun = engine.now();
  const kinds: WebhookOutcome['kind'][] = [];
  const failures: unknown[] = [];
  const calls = new Set<Promise<void>>();
  const begin = (delivery: ClaimedDelivery): void => {
    const call = callOne(engine, delivery, stop)
      .then((kind) => void kinds.push(kind))
      .catch((error: unknown) => void failures.push(error))
      .finally(() => calls.delete(call));
    calls.add(call);
  };
  // A slow call keeps nobody waiting: meanwhile the others go on, up to an end that comes before Temporal's.
  const goesOn = (): boolean => failures.length === 0 && !stop.aborted && engine.now() - begun < (calls.size > 0 ? LIMITS.webhookRunMs : LIMITS.drainMs);
  try {
    while (goesOn()) {
      const room = LIMITS.webhooksAtOnce - calls.size;
      for (const delivery of room > 0 ? await claimWebhookDeliveries(engine.db, room) : []) begin(delivery);
      if (calls.size === 0) break;
      await Promise.race([...calls, sleep(LOOK_MS)]);
    }
  } finally {
    await Promise.all(calls);
  }
  if (failures.length > 0) throw failures[0];
  const { remaining, nextIso, heldBy } = await nextWebhookDelivery(engine.db);
  const sent = kinds.filter((kind) => kind === 'sent').length;
  return { sent, notSent: kinds.length - sent, remaining, heldBy, nextTryAtIso: nextIso };
}

async function callOne(engine: Caller, delivery: ClaimedDelivery, stop: AbortSignal): Promise<WebhookOutcome['kind']> {
  const outcome = await post(engine, delivery, stop);
  // The receiver has said what it did: that is not forgotten because PostgreSQL is away for a moment.
  await throughTrouble(
    () => settleWebhookDelivery(engine.db, delivery, outcome),
    () => !stop.aborted,
  );
  const { id: deliveryId, webhookId, attempt } = delivery;
  engine.log.info({ deliveryId, webhookId, attempt, outcome: outcome.kind, failure: 'failure' in outcome ? outcome.failure : null }, 'a webhook was called');
  return outcome.kind;
}

/** Calls it once, within `webhookSeconds`. Never rejects, and nothing of an error is told but its code: its text holds the address. */
async function post({ keys, now }: Caller, delivery: ClaimedDelivery, stop: AbortSignal): Promise<WebhookOutcome> {
  const { id, tries, payload, createdAt, url } = delivery;
  let secrets: readonly string[];
  try {
    secrets = openSecrets(keys, delivery);
  } catch {
    return afterFailure('SECRET_UNREADABLE', tries);
  }
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), LIMITS.webhookSeconds * 1000);
  const body = webhookBody(payload, createdAt.toISOString());
  const signed = webhookHeaders({ id, seconds: Math.floor(now() / 1000), body }, secrets, hmac);
  try {
    const response = await fetch(url, {
      method: 'POST',
      // A redirect would take the call to somebody the admin has not named.
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'user-agent': 'Trunkline', ...signed },
      body,
      signal: AbortSignal.any([late.signal, stop]),
    });
    // Only whether it was taken counts: what else it says is not read.
    await response.body?.cancel().catch(() => undefined);
    return afterAnswer(response.status, tries);
  } catch (error) {
    if (late.signal.aborted) return afterFailure('TIME_OUT', tries);
    return afterFailure(stop.aborted ? 'STOPPED' : codeOf(error), tries);
  } finally {
    clearTimeout(timer);
  }
}

function hmac(key: string, text: string): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
}

/** Of the network or of TLS: `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
function codeOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code: unknown = cause instanceof Error ? Reflect.get(cause, 'code') : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : 'CONNECTION_FAILED';
}

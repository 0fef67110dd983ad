/** What is told to a webhook: ids, codes and moments only. */
export interface WebhookPayload {
  /** `sla.overdue`, `sla.due_soon`, `test`. */
  readonly type: string;
  readonly [name: string]: string | number | boolean | null;
}

/** What webhooks may be made of. */
export const WEBHOOK_LIMITS = {
  /** Deliveries of one webhook that wait; what comes beyond has failed at once. */
  waiting: 10_000,
  webhooks: 50,
  urlCharacters: 2_000,
  /** Calls of one webhook at the same time: a slow one keeps none of the others waiting. */
  callsEach: 3,
  /** Hours in which the secret before the newest signs too. */
  rotationHours: 24,
} as const;

/** Seconds after which nobody is sending any more what says `SENDING`; it is tried again then. */
export const WEBHOOK_LOST_SECONDS = 60;

const STEPS_SECONDS = [5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200] as const;

/** Tries of a delivery; after the last it has failed. */
export const WEBHOOK_TRIES = STEPS_SECONDS.length + 1;

/** Seconds until the next try after the n-th failed (1, 2, …): 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, 6 h, 12 h; null: it was the last. */
export function webhookBackOffSeconds(tries: number): number | null {
  return STEPS_SECONDS[tries - 1] ?? null;
}

/** What came of a try. Failures are codes. */
export type WebhookOutcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'later'; readonly seconds: number; readonly failure: string }
  | { readonly kind: 'failed'; readonly failure: string };

/** What follows from an answer: 2xx is a yes, 410 an end, all else may be another the next time. */
export function afterAnswer(status: number, tries: number): WebhookOutcome {
  if (status >= 200 && status <= 299) return { kind: 'sent' };
  return status === 410 ? { kind: 'failed', failure: 'HTTP_410' } : afterFailure(`HTTP_${status}`, tries);
}

/** What follows where there was no answer. */
export function afterFailure(failure: string, tries: number): WebhookOutcome {
  const seconds = webhookBackOffSeconds(tries);
  return seconds === null ? { kind: 'failed', failure } : { kind: 'later', seconds, failure };
}

/** The same text at every try, for the receiver may compare them. `at`: when it happened, ISO 8601. */
export function webhookBody({ type, ...data }: WebhookPayload, at: string): string {
  return JSON.stringify({ type, timestamp: at, data });
}

/** Before every secret, as Standard Webhooks has it; what follows is the key as base64. */
export const SECRET_PREFIX = 'whsec_';

/** HMAC-SHA256: the key comes as base64, and so does what it makes. */
export type Hmac = (key: string, text: string) => string;

export interface SignedCall {
  /** The delivery's: the same at every try. */
  readonly id: string;
  /** When it is tried, in seconds since 1970. */
  readonly seconds: number;
  readonly body: string;
}

/** The headers of Standard Webhooks, signed with each of the secrets. */
export function webhookHeaders({ id, seconds, body }: SignedCall, secrets: readonly string[], hmac: Hmac): Readonly<Record<string, string>> {
  const signatures = secrets.map((secret) => `v1,${hmac(secret.slice(SECRET_PREFIX.length), `${id}.${seconds}.${body}`)}`);
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': signatures.join(' ') };
}

/** Why this is no address of a webhook, in words that do not repeat it; null: it is one. */
export function webhookUrlProblem(text: string): string | null {
  if (text.length > WEBHOOK_LIMITS.urlCharacters) return `at most ${WEBHOOK_LIMITS.urlCharacters} characters`;
  if (!URL.canParse(text)) return 'must be a URL: https://…';
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    return 'must begin with https://; http:// only to this machine itself';
  if (url.username !== '' || url.password !== '') return 'must have no user name or password in it; the signature says who calls';
  return url.hash === '' ? null : 'must have no # in it: what follows it is never sent';
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

import { MAX_TRIES } from '#commands/intake.ts';
import { SEND_LIMIT_SECONDS } from '#domain/outbox.ts';

/** Every limit that keeps one channel's plugin from stopping the others, and one try from lasting for ever (PLUG-11). The documentation's table is checked against this. */
export const LIMITS = {
  /** Milliseconds one delivery may be parsed for; then its thread is ended. */
  parseMs: 5_000,
  /** Megabytes of heap, and again of buffers, a parsing thread may hold; then it is ended. */
  parseMegabytes: 256,
  /** Milliseconds a parsing thread may take to load its plugin. */
  parseStartMs: 20_000,
  /** Threads that parse at the same time, one a channel. */
  parseThreads: 16,
  /** Milliseconds an unused thread is kept warm. */
  parseIdleMs: 60_000,
  /** Events one delivery may give. */
  eventsPerDelivery: 1_000,
  /** Milliseconds a message's HTML may take to be made harmless; what takes longer is shown as text only. */
  sanitiseMs: 2_000,
  /** Characters of one text, or of one HTML, of a message. */
  bodyCharacters: 100_000_000,
  /** Thread keys of one kind of a message. */
  threadKeys: 1_000,
  /** Bytes, as UTF-8, of an identity, a thread key, a dedupe key or a provider's message id: they stand in indexes, which hold 2,704 a row. */
  keyBytes: 2_600,
  /** Checks of one sender's authentication. */
  authenticationChecks: 20,
  /** Tries of a delivery; after the last it is set aside and listed. */
  deliveryTries: MAX_TRIES,
  /** Deliveries read at once; while the first of them are written the others are parsed. */
  deliveriesTaken: 150,
  /** Deliveries written in one transaction. */
  deliveriesPerBatch: 50,
  /** Milliseconds one call of the drain goes on before it gives an account of itself. */
  drainMs: 10_000,
  /** Milliseconds without a delivery after which a channel's intake ends. */
  drainIdleMs: 1_000,
  /** Seconds `send` may take; then the outcome is unknown. */
  sendSeconds: SEND_LIMIT_SECONDS,
  /** Seconds `fetchAttachment` may take; then it is tried again later. */
  fetchSeconds: 30,
  /** Seconds `catchUp` may take for one page; then it is asked again later. */
  catchUpSeconds: 30,
  /** Deliveries one page of `catchUp` may bring beside its events. */
  deliveriesPerPage: 200,
  /** Mails of the account's own that are sent at the same time. */
  mailsAtOnce: 4,
  /** Calls of webhooks that are made at the same time. */
  webhooksAtOnce: 20,
  /** Seconds a webhook may take to answer; then it is called again later. */
  webhookSeconds: 10,
  /** Milliseconds after which a run of calls begins no further one, while others still last. */
  webhookRunMs: 60_000,
  /** Channels whose provider is asked at the same time whether they are still good. */
  checksAtOnce: 5,
  /** Channels checked by one call. */
  checksPerCall: 50,
  /** Channels renewed by one call. */
  renewalsPerCall: 50,
  /** What waited for somebody to become free, read at once to be decided again one by one. */
  retriesAtOnce: 50,
  /** Tickets woken by one call because their next moment is near. */
  wakesPerCall: 200,
  /** Repairs of one run of the guardian, most overdue first. */
  repairsPerRun: 500,
  /** Rows of each kind that are removed in one run of the guardian once they are past their time. */
  removalsPerRun: 1_000,
} as const;

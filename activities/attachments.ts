import { Context } from '@temporalio/activity';
import { isChannelFailure, type AttachmentLimits, type Failure, type Plugin } from '@trunkline/channel-sdk';
import { failFetch, retryFetch, storeFetched, takeWaitingFiles, untakeFiles, waitingFiles, type FetchedFile, type TakenFiles } from '#commands/attachments.ts';
import { loadChannel, type LoadedChannel } from '#commands/channel-settings.ts';
import { FETCH_TRIES } from '#domain/attachments.ts';
import { backOffSeconds } from '#domain/outbox.ts';
import type { Engine } from './dependencies.ts';
import { inCodes, throughTrouble } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';

/** What one call of the fetching did; counts and codes only. */
export interface Fetched {
  readonly stored: number;
  readonly refused: number;
  readonly failed: number;
  /** Attachments of the channel that still wait. */
  readonly remaining: number;
  /** ISO 8601; null: nothing waits, or the next is due now. */
  readonly nextTryAtIso: string | null;
  /** Why the last one that waits does: a code; null: none was tried in vain. */
  readonly heldBy: string | null;
}

const HEARTBEAT_MS = 4_000;
/** Taken out of one delivery at once. */
const EXTRACT_AT_ONCE = 100;
/** Asked of a provider at once. */
const FETCH_AT_ONCE = 4;
/** How often what was left is given back in vain before it waits its time out. */
const UNTAKE_TRIES = 4;

export function createAttachmentActivities(engine: Engine) {
  return {
    /** Fetches and stores what is attached to a channel's messages, until nothing more is due or ten seconds are over (CH-6). */
    async fetchAttachments(channelKey: string): Promise<Fetched> {
      const context = Context.current();
      context.heartbeat();
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await fetchDue(engine, channelKey, () => context.cancellationSignal.aborted);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

interface Round {
  readonly engine: Engine;
  readonly plugin: Plugin;
  readonly channel: LoadedChannel;
  readonly limits: AttachmentLimits | null;
  readonly tally: { STORED: number; REFUSED: number; FAILED: number; heldBy: string | null };
}

/** One call of it, also outside Temporal (tests). `stopped`: nobody waits for it any more. */
export async function fetchDue(engine: Engine, channelKey: string, stopped: () => boolean = () => false): Promise<Fetched> {
  const { db, keys, plugins, now } = engine;
  const tally: Round['tally'] = { STORED: 0, REFUSED: 0, FAILED: 0, heldBy: null };
  // Also once disconnected: what had arrived by then is kept, and its files may still be had.
  const channel = await loadChannel(db, keys, { key: channelKey }, { disconnectedToo: true });
  if (channel === undefined) return summed(tally, 0, null);
  const plugin = plugins.find((one) => one.key === channel.plugin);
  if (plugin === undefined) throw new Error('the config names no plugin that could fetch the attachments of this channel');
  const { capabilities } = plugin;
  const round: Round = { engine, plugin, channel, limits: capabilities.inboundAttachments ?? capabilities.outboundContent.attachments, tally };
  for (const end = now() + LIMITS.drainMs; now() < end && !stopped();) {
    const taken = await takeWaitingFiles(db, channel.id, plugin.extractAttachments === undefined ? FETCH_AT_ONCE : EXTRACT_AT_ONCE);
    if (taken === undefined) break;
    await fetchTaken(round, taken, stopped);
  }
  const { remaining, nextAt } = await waitingFiles(db, channel.id);
  return summed(tally, remaining, nextAt !== null && nextAt.getTime() > now() ? nextAt.toISOString() : null);
}

function summed({ STORED, REFUSED, FAILED, heldBy }: Round['tally'], remaining: number, nextTryAtIso: string | null): Fetched {
  return { stored: STORED, refused: REFUSED, failed: FAILED, remaining, nextTryAtIso, heldBy: remaining === 0 ? null : heldBy };
}

async function fetchTaken(round: Round, taken: TakenFiles, stopped: () => boolean): Promise<void> {
  const { db, log } = round.engine;
  const open = new Map(taken.files.map((file) => [file.attachmentId, file]));
  const done = (file: FetchedFile): void => void open.delete(file.attachmentId);
  try {
    if (round.plugin.extractAttachments !== undefined && (taken.raw !== null || taken.rawGone)) await extract(round, taken, done, stopped);
    else await fetchEach(round, taken, done);
  } finally {
    // PostgreSQL went away or the worker stops: that is no failed try of theirs.
    if (open.size > 0) {
      await throughTrouble(
        () => untakeFiles(db, [...open.values()]),
        (failures) => failures < UNTAKE_TRIES,
      ).catch((error: unknown) => log.warn(inCodes(error), 'attachments that were taken could not be given back; they wait their time out'));
    }
  }
}

/** What a delivery carries: taken out of it once for all, in a thread that may loop or swell without harm to others (PLUG-11). */
async function extract(round: Round, { raw, files }: TakenFiles, done: (file: FetchedFile) => void, stopped: () => boolean): Promise<void> {
  const { engine, channel } = round;
  const refs = files.map((file) => file.ref);
  const extracted = raw === null ? null : await engine.pool.extract(channel.plugin, channel.info, raw, refs);
  for (const [index, file] of files.entries()) {
    if (stopped()) return;
    if (extracted === null) await fail(round, file, 'the delivery it came with is gone');
    else if (!extracted.ok) await settleThreadFailure(round, file, extracted.code);
    else await settleContent(round, file, extracted.files[index] ?? null);
    done(file);
  }
}

async function settleContent(round: Round, file: FetchedFile, content: Uint8Array | null): Promise<void> {
  if (content === null) return fail(round, file, 'it is not in the delivery it came with');
  const { db } = round.engine;
  count(round, file, await storeFetched(db, file, round.limits, content));
}

/** A thread that ended may have been in the way of others; one that failed by itself fails again. */
async function settleThreadFailure(round: Round, file: FetchedFile, code: string): Promise<void> {
  const passes = code === 'TimedOut' || code === 'Crashed' || code === 'TooMuchMemory';
  if (passes) return retry(round, file, code, backOffSeconds(file.tries), false);
  return fail(round, file, `taking it out of its delivery failed: ${code}`);
}

/** What the provider keeps: a few at a time, each within its time. */
async function fetchEach(round: Round, { raw, files }: TakenFiles, done: (file: FetchedFile) => void): Promise<void> {
  const results = await Promise.allSettled(
    files.map(async (file) => {
      await fetchOne(round, file, raw);
      done(file);
    }),
  );
  const broken = results.find((result) => result.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
}

async function fetchOne(round: Round, file: FetchedFile, raw: TakenFiles['raw']): Promise<void> {
  const { plugin, engine } = round;
  const { fetchAttachment } = plugin;
  if (fetchAttachment === undefined) return fail(round, file, 'the plugin can not fetch it');
  let content: Uint8Array;
  try {
    content = await within((signal) => fetchAttachment.call(plugin, file.ref, contextOf(engine, plugin, round.channel, signal), raw));
    if (!(content instanceof Uint8Array)) return await fail(round, file, 'the plugin gave no file');
  } catch (error) {
    return settleFailure(round, file, failureOf(error));
  }
  count(round, file, await storeFetched(engine.db, file, round.limits, content));
}

async function settleFailure(round: Round, file: FetchedFile, failure: Failure | null): Promise<void> {
  switch (failure?.code) {
    case 'RateLimited':
      return retry(round, file, failure.code, failure.retryAfterSeconds, true);
    case 'Unavailable':
      return retry(round, file, failure.code, backOffSeconds(file.tries), false);
    case 'Rejected':
    case 'Disconnected':
    case 'MaybeSent':
      return fail(round, file, failure.reason);
    case 'Malformed':
    case 'Unauthentic':
    case 'OutsideWindow':
      return fail(round, file, `the plugin says ${failure.code}`);
    case undefined:
      return fail(round, file, 'the plugin failed unexpectedly');
  }
}

async function retry(round: Round, file: FetchedFile, code: string, seconds: number, holdAll: boolean): Promise<void> {
  if (file.tries >= FETCH_TRIES) return fail(round, file, `could not be had in ${FETCH_TRIES} tries: ${code}`);
  round.tally.heldBy = code;
  await retryFetch(round.engine.db, file, seconds, { holdAll });
}

async function fail(round: Round, file: FetchedFile, reason: string): Promise<void> {
  count(round, file, await failFetch(round.engine.db, file, reason));
}

function count({ engine, channel, tally }: Round, file: FetchedFile, { value }: Awaited<ReturnType<typeof storeFetched | typeof failFetch>>): void {
  if (value === null) return;
  tally[value] += 1;
  engine.log.info({ channel: channel.key, attachmentId: file.attachmentId, messageId: file.messageId, state: value }, 'an attachment was settled');
}

/** At most `fetchSeconds`, whether or not the plugin heeds its signal. */
async function within<Value>(run: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    controller.abort();
    late.reject(new TimeUp());
  }, LIMITS.fetchSeconds * 1000);
  try {
    return await Promise.race([run(controller.signal), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

class TimeUp extends Error {}

/** Null: what it threw is not of the contract, and its message may hold content. */
function failureOf(error: unknown): Failure | null {
  if (error instanceof TimeUp) return { code: 'Unavailable', reason: 'no answer in time' };
  return isChannelFailure(error) ? error.failure : null;
}

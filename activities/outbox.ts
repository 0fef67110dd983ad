import { Context } from '@temporalio/activity';
import {
  ChannelFailure,
  isChannelFailure,
  type Capabilities,
  type Failure,
  type OutboundMessage,
  type Plugin,
  type PluginContext,
  type ReservedIds,
  type SendReceipt,
} from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { loadChannel } from '#commands/channel-settings.ts';
import { claimNext, settleSend, type Claimed, type Outcome, type SendLimits } from '#commands/outbox.ts';
import { writtenOut } from '#domain/chatflow-replies.ts';
import { createPluginContext } from '#runtime/plugin-context.ts';
import type { Engine } from './dependencies.ts';
import { throughTrouble } from './failures.ts';
import { LIMITS } from './limits.ts';
import { contextOf } from './plugin-context.ts';
import { wake } from './wakes.ts';

export interface SendResult {
  /** What came of this call: a code. */
  readonly outcome: 'IDLE' | 'WAITS' | 'SENT' | 'FAILED' | 'UNKNOWN';
  readonly messageId: string | null;
  /** Why the first message waits: a code. */
  readonly heldBy: string | null;
  /** ISO 8601; null: the next can go at once. */
  readonly nextTryAtIso: string | null;
  /** Messages of the conversation that are not settled. */
  readonly remaining: number;
}

const HEARTBEAT_MS = 4_000;
/** Seconds since a send began for which its provider is asked again and again, while it can not answer; then a person decides. */
const ASK_FOR_SECONDS = 600;
/** Seconds between two of these questions, unless the provider wants more. */
const ASK_EVERY_SECONDS = 15;

export function createOutboxActivities(engine: Engine) {
  return {
    /** Sends the first message of a conversation that is not settled, once, and writes what came of it (CH-5). */
    async sendNext(conversationId: string): Promise<SendResult> {
      const context = Context.current();
      // Tells Temporal that its process lives, so that another takes over soon after it does not.
      const beat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        return await sendFirst(engine, conversationId, () => context.cancellationSignal.aborted);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** One step of an outbox, also outside Temporal (tests). `stopped`: nobody waits for it any more. */
export async function sendFirst(engine: Engine, conversationId: string, stopped: () => boolean = () => false): Promise<SendResult> {
  const channel = await loadSending(engine, conversationId);
  const result = (outcome: SendResult['outcome'], more: Partial<SendResult> = {}): Promise<SendResult> => summed(engine, conversationId, outcome, more);
  if (channel === null) return result('IDLE');
  let refused: unknown;
  const { value: claim, wakes } = await claimNext(
    engine.db,
    conversationId,
    (channelKey, message) => {
      if (channelKey !== channel.key) throw new ChannelChanged();
      try {
        return checkedIds(channel.reserve(message));
      } catch (error) {
        // It must not hold the conversation for ever: claimed all the same, and failed without being sent.
        refused = error ?? new Error('reserve threw');
        return undefined;
      }
    },
    () => channel.limits,
  );
  await wake(engine, wakes);
  if (claim.kind === 'idle') return result('IDLE');
  if (claim.kind === 'wait') {
    const { messageId, until, why } = claim;
    return result('WAITS', { messageId, heldBy: inWords(why), nextTryAtIso: why === 'FAILED' ? null : until });
  }
  const { claimed } = claim;
  const messageId = claimed.message.id;
  if (claim.kind === 'unknown') {
    const { notBefore } = await questionOf(engine, claimed);
    if (notBefore.getTime() > engine.now()) return result('WAITS', { messageId, heldBy: ASKING, nextTryAtIso: notBefore.toISOString() });
  }
  const outcome =
    refused === undefined
      ? await (claim.kind === 'send' ? channel.send(claimed) : channel.ask(claimed))
      : failed(failureOf(refused, { code: 'Malformed', where: 'reserve' }));
  if (outcome === 'ask-later') return result('UNKNOWN', { messageId });
  if ('askAgainSeconds' in outcome) {
    const nextTryAtIso = await askAgain(engine, claimed, outcome.askAgainSeconds);
    engine.log.info({ messageId, conversationId, attempt: claimed.attempt, nextTryAtIso }, 'the provider could not say what became of a message');
    return result('WAITS', { messageId, heldBy: ASKING, nextTryAtIso });
  }
  // The provider has said what it did: that is not forgotten because PostgreSQL is away for a moment.
  const settled = await throughTrouble(
    () => settleSend(engine.db, messageId, claimed.attempt, outcome),
    () => !stopped(),
  );
  await wake(engine, settled.wakes);
  const code = outcome.kind === 'sent' ? 'SENT' : outcome.failure.code;
  engine.log.info({ messageId, conversationId, channel: channel.key, attempt: claimed.attempt, outcome: code }, 'a message was tried');
  return result(outcome.kind === 'sent' ? 'SENT' : 'FAILED', { messageId, heldBy: outcome.kind === 'sent' ? null : inWords(code) });
}

interface SendingChannel {
  readonly key: string;
  readonly limits: SendLimits;
  reserve(message: OutboundMessage): ReservedIds | undefined;
  /** Sends it once. `ask-later`: nobody knows, and once the limit is over the provider can be asked. */
  send(claimed: Claimed): Promise<Outcome | 'ask-later'>;
  /** Asks for one whose outcome is unknown; without `findSent` a person decides. */
  ask(claimed: Claimed): Promise<Outcome | AskAgain>;
}

/** The provider can not say now; it is asked again after so long. */
interface AskAgain {
  readonly askAgainSeconds: number;
}

const ASKING = 'the provider is asked what became of it';

/** The channel of the first unsettled message, read before the claim's transaction begins: within it a second connection could be waited for, for ever. */
async function loadSending(engine: Engine, conversationId: string): Promise<SendingChannel | null> {
  const { db, keys, plugins } = engine;
  const { rows } = await sql<{ key: string; plugin: string }>`
    select h.key, h.plugin from outbound o join channel h on h.id = o.channel_id
    where o.conversation_id = ${conversationId} and o.state in ('QUEUED', 'SENDING') order by o.arrival limit 1`.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  const plugin = plugins.find((one) => one.key === row.plugin);
  const loaded = await loadChannel(db, keys, { key: row.key }, { disconnectedToo: true });
  if (loaded === undefined) return null;
  // Of the plugin that sends; naming ids depends on its arguments alone.
  const contextFor = (signal: AbortSignal): PluginContext<unknown> => contextOf(engine, plugin ?? { key: row.plugin }, loaded, signal);
  const bare = (): PluginContext<unknown> =>
    createPluginContext(loaded.info, {
      sign: (text) => keys.signFor(loaded.key, text),
      log: (message, fields) => engine.log.info({ ...fields }, message),
      now: engine.now,
    });
  return {
    key: row.key,
    limits: { windows: plugin?.capabilities.windows ?? [], rate: plugin?.capabilities.sendRate ?? {} },
    reserve: (message) => plugin?.reserve?.(message, bare()),
    send: (claimed) => sendOnce(plugin, claimed, contextFor),
    ask: (claimed) => askProvider(engine, plugin, claimed, contextFor),
  };
}

type ContextFor = (signal: AbortSignal) => PluginContext<unknown>;

/** As the contract has it: a file that can not be read now is the engine's trouble, and nothing was sent. */
function withReaders(message: OutboundMessage): OutboundMessage {
  const read = async (file: OutboundMessage['attachments'][number]): Promise<Uint8Array> => {
    try {
      return await file.read();
    } catch (cause) {
      throw new ChannelFailure({ code: 'Unavailable', reason: 'an attachment could not be read' }, { cause });
    }
  };
  return { ...message, attachments: message.attachments.map((file) => ({ ...file, read: () => read(file) })) };
}

/** Where the channel can not show choices they are written out (CHAT-5). */
function withShownReplies(capabilities: Capabilities | undefined, { quickReplies, ...message }: OutboundMessage): OutboundMessage {
  if (quickReplies === undefined) return message;
  return capabilities?.quickReplies === undefined ? { ...message, text: writtenOut(message.text, quickReplies) } : { ...message, quickReplies };
}

async function sendOnce(plugin: Plugin | undefined, { message }: Claimed, contextFor: ContextFor): Promise<Outcome | 'ask-later'> {
  const send = plugin?.send;
  if (send === undefined) return failed({ code: 'Unavailable', reason: 'the config names no plugin that can send this' });
  try {
    const receipt = await within((signal) => send.call(plugin, withReaders(withShownReplies(plugin?.capabilities, message)), contextFor(signal)));
    return { kind: 'sent', receipt: checkedReceipt(receipt) };
  } catch (error) {
    const failure = failureOf(error, { code: 'MaybeSent', reason: error instanceof TimeUp ? 'no answer in time' : 'the plugin failed unexpectedly' });
    // The request may still be on its way: it stays SENDING until its limit is over, and is asked for then.
    if (failure.code === 'MaybeSent' && plugin?.findSent !== undefined) return 'ask-later';
    return failed(failure);
  }
}

async function askProvider(engine: Engine, plugin: Plugin | undefined, claimed: Claimed, contextFor: ContextFor): Promise<Outcome | AskAgain> {
  const { message } = claimed;
  const unknown: Failure = { code: 'MaybeSent', reason: 'it was being sent when the worker stopped, or got no answer' };
  const find = plugin?.findSent;
  if (find === undefined) return failed(unknown);
  try {
    const receipt = await within((signal) => find.call(plugin, message, contextFor(signal)));
    if (receipt === undefined) return failed({ code: 'Unavailable', reason: 'the provider does not have it' });
    return { kind: 'sent', receipt: checkedReceipt(receipt) };
  } catch (error) {
    const failure = failureOf(error, error instanceof TimeUp ? { code: 'Unavailable', reason: 'no answer in time' } : unknown);
    if (failure.code === 'Unavailable' || failure.code === 'RateLimited') {
      const left = (await questionOf(engine, claimed)).askUntil - engine.now();
      const wanted = failure.code === 'RateLimited' ? Math.max(failure.retryAfterSeconds, ASK_EVERY_SECONDS) : ASK_EVERY_SECONDS;
      if (left > 0) return { askAgainSeconds: Math.min(wanted, Math.ceil(left / 1000)) };
    }
    // Nobody knows, and the provider can not say: a person decides, and the next message may pass.
    return failed(unknown);
  }
}

/** When the provider may be asked next of a message, and until when (milliseconds since 1970) that goes on. */
async function questionOf({ db }: Engine, { message, attempt }: Claimed): Promise<{ readonly notBefore: Date; readonly askUntil: number }> {
  const row = await db
    .selectFrom('outbound')
    .select(['not_before', 'sending_since'])
    .where('message_id', '=', message.id)
    .where('attempt', '=', attempt)
    .where('state', '=', 'SENDING')
    .executeTakeFirst();
  return { notBefore: row?.not_before ?? new Date(0), askUntil: (row?.sending_since?.getTime() ?? 0) + ASK_FOR_SECONDS * 1000 };
}

/** Keeps the next question in the row, so that a workflow started anew does not ask before. Returns when, in ISO 8601. */
async function askAgain({ db, now }: Engine, { message, attempt }: Claimed, seconds: number): Promise<string> {
  const at = new Date(now() + seconds * 1000);
  await db
    .updateTable('outbound')
    .set({ not_before: at })
    .where('message_id', '=', message.id)
    .where('attempt', '=', attempt)
    .where('state', '=', 'SENDING')
    .execute();
  return at.toISOString();
}

/** A receipt without an id is worse than none: nothing would ever be matched with it. */
function checkedReceipt(receipt: SendReceipt): SendReceipt {
  if (!areIds(receipt) || (receipt.state !== 'sent' && receipt.state !== 'delivered')) {
    throw new ChannelFailure({ code: 'MaybeSent', reason: 'the plugin gave no receipt' });
  }
  return receipt;
}

/** What can not be stored would hold the conversation for ever. */
function checkedIds(reserved: ReservedIds | undefined): ReservedIds | undefined {
  if (reserved !== undefined && !areIds(reserved)) throw new ChannelFailure({ code: 'Malformed', where: 'reserve' });
  return reserved;
}

function areIds(given: ReservedIds | undefined): boolean {
  return isId(given?.providerMessageId) && Array.isArray(given?.keys) && given.keys.length <= LIMITS.threadKeys && given.keys.every(isId);
}

/** As a thread key that comes in: PostgreSQL indexes them. */
function isId(given: unknown): boolean {
  return typeof given === 'string' && given !== '' && Buffer.byteLength(given) <= 2_000 && !given.includes('\0');
}

class TimeUp extends Error {}

/** At most `sendSeconds`, whether or not the plugin heeds its signal. */
async function within<Value>(run: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      controller.abort();
      reject(new TimeUp('no answer in time'));
    }, LIMITS.sendSeconds * 1000);
  });
  try {
    return await Promise.race([run(controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

function failureOf(error: unknown, otherwise: Failure): Failure {
  return isChannelFailure(error) ? error.failure : otherwise;
}

function failed(failure: Failure): Outcome {
  return { kind: 'failed', failure };
}

const IN_WORDS: Readonly<Record<string, string>> = {
  SEND_RATE: 'its channel sends no faster',
  RECIPIENT_RATE: 'its recipient was written to just now',
};

/** A code as people say it. */
function inWords(code: string): string {
  const words = IN_WORDS[code];
  if (words !== undefined) return words;
  return code
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();
}

async function summed(engine: Engine, conversationId: string, outcome: SendResult['outcome'], more: Partial<SendResult>): Promise<SendResult> {
  const { rows } = await sql<{ remaining: number }>`
    select count(*) as remaining from outbound where conversation_id = ${conversationId} and state in ('QUEUED', 'SENDING')`.execute(engine.db);
  return { outcome, messageId: null, heldBy: null, nextTryAtIso: null, ...more, remaining: rows[0]?.remaining ?? 0 };
}

/** Another message became the first between two reads; the activity is tried again. */
class ChannelChanged extends Error {
  constructor() {
    super('the channel to send by has changed meanwhile');
    this.name = 'ChannelChanged';
  }
}

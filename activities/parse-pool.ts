import type { AttachmentRef, ChannelInfo, InboundEvent, RawDelivery } from '@trunkline/channel-sdk';
import type { SafeParts } from '#commands/safe-html.ts';
import { LIMITS } from './limits.ts';
import { failed, startThread, type Answered, type Question, type ThreadHandle } from './thread-handle.ts';

/** What became of one delivery's parsing; `safe` is what may be shown of each event's HTML, empty where none brings any. `code` and `reason` hold no content; `oversized`: as `checkEvents` has it. */
export type Parsed =
  | { readonly ok: true; readonly events: readonly InboundEvent[]; readonly safe: readonly (SafeParts | null)[] }
  | { readonly ok: false; readonly code: string; readonly reason: string; readonly oversized?: readonly number[] };

/** What was taken out of a delivery, in the order that was asked for; null: it has none such. */
export type Extracted =
  | { readonly ok: true; readonly files: readonly (Uint8Array | null)[] }
  | { readonly ok: false; readonly code: string; readonly reason: string };

export interface ParsePool {
  /** Parses one delivery in a thread of its channel's own. Never rejects for what the plugin does. */
  parse(pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery): Promise<Parsed>;
  /** Has the thread of a channel load its plugin, so that no delivery waits for that with its try counted. Gives up where that takes long, or there is no room. */
  warm(pluginKey: string, channelKey: string): Promise<void>;
  /** Takes attachments out of one delivery, in another thread of the channel, so that what arrives is not held up. Never rejects for what the plugin does. */
  extract(pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery, refs: readonly AttachmentRef[]): Promise<Extracted>;
  /** Checks events that came without a delivery as those of one are, with the same limits. Never rejects for what the plugin gave. */
  check(pluginKey: string, channel: ChannelInfo<unknown>, given: readonly unknown[]): Promise<Parsed>;
  /** Ends every thread. */
  close(): Promise<void>;
}

/** Times and sizes, replaced in tests. */
export type ParseLimits = Readonly<Record<'parseMs' | 'sanitiseMs' | 'parseMegabytes' | 'parseStartMs' | 'parseThreads' | 'parseIdleMs', number>>;

/** Deliveries handed to a thread at once: it works on one, and finds the next without waiting for us. */
const AHEAD = 8;
/** Milliseconds a plugin's loading is waited for before a delivery's try is begun all the same. */
const WARM_MS = 5_000;

/**
 * Threads kept warm, one for each channel: a plugin that loops, crashes or swells takes its own channel's thread with it and no other
 * (PLUG-11). At most `parseThreads` at a time; the longest idle one makes room.
 */
export function createParsePool(configUrl: string, signingKey: (channelKey: string) => Uint8Array, limits: ParseLimits = LIMITS): ParsePool {
  const threads = new Map<string, ThreadHandle>();
  const lanes = new Map<string, Lane>();
  const waiting: (() => void)[] = [];
  let closed = false;

  /** Asks until the thread has come to it: one that ended at a question before it was not its doing. */
  async function askOne(name: string, pluginKey: string, question: Question): Promise<Answered> {
    for (;;) {
      if (closed) throw new Error('the parse pool is closed');
      const thread = threadOf(name, pluginKey);
      if (thread === null) {
        await new Promise<void>((resolve) => waiting.push(resolve));
        continue;
      }
      // In the same breath: a thread that nothing is asked of yet looks idle, and another channel would end it to make room for its own.
      const answered = await thread.ask(question);
      if (!thread.busy) waiting.shift()?.();
      if (answered !== 'unasked') return answered;
    }
  }

  /** The thread of that name, started where there is none; null where all are busy. */
  function threadOf(name: string, pluginKey: string): ThreadHandle | null {
    const own = threads.get(name);
    if (own !== undefined && !own.dead) return own;
    if (threads.size >= limits.parseThreads) {
      const idle = [...threads.values()].filter((one) => !one.busy).toSorted((x, y) => x.usedAt - y.usedAt)[0];
      if (idle === undefined) return null;
      void idle.end();
    }
    const thread = startThread({ configUrl, pluginKey }, limits, () => {
      if (threads.get(name) === thread) threads.delete(name);
      waiting.shift()?.();
    });
    threads.set(name, thread);
    return thread;
  }

  const sweep = setInterval(() => {
    for (const thread of threads.values()) if (!thread.busy && Date.now() - thread.usedAt > limits.parseIdleMs) void thread.end();
  }, 10_000);
  sweep.unref();

  /** In the order of asking for each name, a few ahead of the one that is being worked on. */
  async function inTurn(name: string, pluginKey: string, question: Question): Promise<Answered> {
    const lane = lanes.get(name) ?? { running: 0, queue: [] };
    lanes.set(name, lane);
    if (lane.running >= AHEAD) await new Promise<void>((resolve) => lane.queue.push(resolve));
    else lane.running += 1;
    try {
      return await askOne(name, pluginKey, question);
    } finally {
      const next = lane.queue.shift();
      // Whoever waits takes the place over.
      if (next !== undefined) next();
      else if ((lane.running -= 1) === 0) lanes.delete(name);
    }
  }

  return {
    async warm(pluginKey, channelKey) {
      const thread = closed ? null : threadOf(`${pluginKey}/${channelKey}`, pluginKey);
      if (thread === null) return;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, WARM_MS)));
      await Promise.race([thread.loaded, late]);
      clearTimeout(timer);
    },
    async parse(pluginKey, channel, raw) {
      const answered = await inTurn(`${pluginKey}/${channel.key}`, pluginKey, { channel, signingKey: signingKey(channel.key), raw });
      return 'files' in answered ? failed('Malformed', 'events') : answered;
    },
    async check(pluginKey, channel, given) {
      const answered = await inTurn(`${pluginKey}/${channel.key}/catch-up`, pluginKey, { channel, signingKey: signingKey(channel.key), raw: NOTHING, given });
      return 'files' in answered ? failed('Malformed', 'events') : answered;
    },
    async extract(pluginKey, channel, raw, refs) {
      const answered = await inTurn(`${pluginKey}/${channel.key}/attachments`, pluginKey, { channel, signingKey: signingKey(channel.key), raw, refs });
      if (!answered.ok) return answered;
      return 'files' in answered && answered.files.length === refs.length ? answered : failed('Malformed', 'attachments');
    },
    async close() {
      closed = true;
      clearInterval(sweep);
      for (const resolve of waiting.splice(0)) resolve();
      await Promise.all([...threads.values()].map((thread) => thread.end()));
    },
  };
}

const NOTHING: RawDelivery = { method: '', url: '', headers: {}, body: new Uint8Array(), receivedAt: '' };

/** How many of a name's questions are with its thread, and who waits to be the next. */
interface Lane {
  running: number;
  readonly queue: (() => void)[];
}

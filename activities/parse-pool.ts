import { Worker } from 'node:worker_threads';
import type { AttachmentRef, ChannelInfo, Failure, InboundEvent, RawDelivery } from '@trunkline/channel-sdk';
import type { SafeParts } from '#commands/safe-html.ts';
import { checkEvents, checkSafe } from './inbound-schema.ts';
import { LIMITS } from './limits.ts';
import type { ParseAnswer, ParseRequest, ThreadData } from './parse-messages.ts';

/** What became of one delivery's parsing; `safe` is what may be shown of each event's HTML, empty where none brings any. `code` and `reason` hold no content. */
export type Parsed =
  | { readonly ok: true; readonly events: readonly InboundEvent[]; readonly safe: readonly (SafeParts | null)[] }
  | { readonly ok: false; readonly code: string; readonly reason: string };

/** What was taken out of a delivery, in the order that was asked for; null: it has none such. */
export type Extracted =
  | { readonly ok: true; readonly files: readonly (Uint8Array | null)[] }
  | { readonly ok: false; readonly code: string; readonly reason: string };

export interface ParsePool {
  /** Parses one delivery in a thread of its channel's own. Never rejects for what the plugin does. */
  parse(pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery): Promise<Parsed>;
  /** Takes attachments out of one delivery, in another thread of the channel, so that what arrives is not held up. Never rejects for what the plugin does. */
  extract(pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery, refs: readonly AttachmentRef[]): Promise<Extracted>;
  /** Ends every thread. */
  close(): Promise<void>;
}

/** Times and sizes, replaced in tests. */
export type ParseLimits = Readonly<Record<'parseMs' | 'sanitiseMs' | 'parseMegabytes' | 'parseStartMs' | 'parseThreads' | 'parseIdleMs', number>>;

/** How often a busy thread's memory outside the heap is looked at: buffers do not count against the heap's own limit. */
const WATCH_MS = 200;

/**
 * Threads kept warm, one for each channel: a plugin that loops, crashes or swells takes its own channel's thread with it and no other
 * (PLUG-11). At most `parseThreads` at a time; the longest idle one makes room.
 */
export function createParsePool(configUrl: string, signingKey: (channelKey: string) => Uint8Array, limits: ParseLimits = LIMITS): ParsePool {
  const threads = new Map<string, Thread>();
  const queues = new Map<string, Promise<unknown>>();
  const waiting: (() => void)[] = [];
  let closed = false;

  async function acquire(name: string, pluginKey: string): Promise<Thread> {
    for (;;) {
      if (closed) throw new Error('the parse pool is closed');
      const own = threads.get(name);
      if (own !== undefined && !own.dead) {
        own.busy = true;
        return own;
      }
      if (threads.size >= limits.parseThreads) {
        const idle = [...threads.values()].filter((one) => !one.busy).toSorted((a, b) => a.usedAt - b.usedAt)[0];
        if (idle === undefined) {
          await new Promise<void>((resolve) => waiting.push(resolve));
          continue;
        }
        void idle.end();
      }
      const thread = startThread({ configUrl, pluginKey }, limits, () => {
        if (threads.get(name) === thread) threads.delete(name);
        waiting.shift()?.();
      });
      threads.set(name, thread);
      return thread;
    }
  }

  async function askOne(name: string, pluginKey: string, question: Question): Promise<Answered> {
    const thread = await acquire(name, pluginKey);
    try {
      return await thread.ask(question);
    } finally {
      thread.busy = false;
      thread.usedAt = Date.now();
      waiting.shift()?.();
    }
  }

  const sweep = setInterval(() => {
    for (const thread of threads.values()) if (!thread.busy && Date.now() - thread.usedAt > limits.parseIdleMs) void thread.end();
  }, 10_000);
  sweep.unref();

  /** One after the other for each name. */
  function inTurn(name: string, pluginKey: string, question: Question): Promise<Answered> {
    const ask = (): Promise<Answered> => askOne(name, pluginKey, question);
    const turn = (queues.get(name) ?? Promise.resolve()).then(ask, ask);
    queues.set(name, turn);
    const forget = (): void => void (queues.get(name) === turn && queues.delete(name));
    turn.then(forget, forget);
    return turn;
  }

  return {
    async parse(pluginKey, channel, raw) {
      const answered = await inTurn(`${pluginKey}/${channel.key}`, pluginKey, { channel, signingKey: signingKey(channel.key), raw });
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

type Question = Omit<ParseRequest, 'id'>;
type Answered = Parsed | Extracted;

interface Thread {
  busy: boolean;
  usedAt: number;
  readonly dead: boolean;
  ask(question: Question): Promise<Answered>;
  end(): Promise<void>;
}

function startThread(data: ThreadData, limits: ParseLimits, onGone: () => void): Thread {
  const worker = new Worker(new URL('./parse-thread.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: limits.parseMegabytes, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    // What a plugin prints may be content.
    stdout: true,
    stderr: true,
    env: {},
  });
  worker.stdout.resume();
  worker.stderr.resume();
  worker.unref();
  let nextId = 0;
  let dead = false;
  let settle: ((answered: Answered) => void) | undefined;
  let awaited = -1;
  /** The events of the delivery under way, while their HTML is made harmless. */
  let held: Extract<Parsed, { ok: true }> | undefined;
  let sanitising: NodeJS.Timeout | undefined;
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);

  const finish = (answered: Answered): void => {
    const done = settle;
    settle = undefined;
    held = undefined;
    clearTimeout(sanitising);
    done?.(answered);
  };
  const gone = (answered: Answered): void => {
    if (!dead) {
      dead = true;
      onGone();
    }
    ready.reject(new Error('the parsing thread ended before it was ready'));
    // Its events are there already: only the looks of their HTML are lost.
    finish(held ?? answered);
  };
  const end = async (reason: Answered = failed('Crashed', 'the parsing thread was ended')): Promise<void> => {
    gone(reason);
    await worker.terminate();
  };
  worker.on('message', (answer: ParseAnswer) => {
    if (answer.type === 'ready') ready.resolve();
    else if (answer.id !== awaited) return;
    else if (answer.type === 'safe') {
      if (held !== undefined) finish({ ...held, safe: checkSafe(answer.safe) });
    } else {
      const answered = readAnswer(answer);
      if (answer.type !== 'events' || !answer.html || !answered.ok || 'files' in answered) return finish(answered);
      held = answered;
      sanitising = deadline(limits.sanitiseMs, () => void end());
    }
  });
  worker.on('error', (error) => gone(crashed(error)));
  worker.on('exit', () => gone(failed('Crashed', 'the parsing thread ended')));

  return {
    busy: true,
    usedAt: Date.now(),
    get dead() {
      return dead;
    },
    async ask(question) {
      const timer = deadline(limits.parseStartMs, () => void end(failed('Crashed', 'the plugin did not load in time')));
      const outcome = Promise.withResolvers<Answered>();
      settle = outcome.resolve;
      try {
        await ready.promise;
      } catch {
        return await outcome.promise;
      } finally {
        clearTimeout(timer);
      }
      const id = (nextId += 1);
      awaited = id;
      const limit = deadline(limits.parseMs, () => void end(failed('TimedOut', `parse took more than ${limits.parseMs} ms`)));
      const watch = setInterval(() => {
        worker.getHeapStatistics().then(
          ({ external_memory: bytes }) => {
            if (id === awaited && settle !== undefined && bytes > limits.parseMegabytes * 1024 * 1024)
              void end(failed('TooMuchMemory', `parse held more than ${limits.parseMegabytes} MB`));
          },
          () => undefined,
        );
      }, WATCH_MS);
      try {
        const body = new Uint8Array(question.raw.body);
        const request: ParseRequest = { ...question, id, raw: { ...question.raw, body } };
        try {
          worker.postMessage(request, [body.buffer]);
        } catch {
          return failed('Malformed', "the channel's settings are not plain data");
        }
        return await outcome.promise;
      } finally {
        clearTimeout(limit);
        clearInterval(watch);
      }
    },
    end: () => end(),
  };
}

function readAnswer(answer: Exclude<ParseAnswer, { type: 'ready' | 'safe' }>): Answered {
  switch (answer.type) {
    case 'failure':
      return failed(answer.failure.code, reasonOf(answer.failure));
    case 'error':
      return failed('Unexpected', `the plugin threw ${answer.error}`);
    case 'files':
      return isFiles(answer.files) ? { ok: true, files: answer.files } : failed('Malformed', 'attachments');
    case 'events': {
      const checked = checkEvents(answer.events);
      return 'events' in checked ? { ok: true, events: checked.events, safe: [] } : failed('Malformed', checked.where);
    }
  }
}

function isFiles(given: unknown): given is readonly (Uint8Array | null)[] {
  return Array.isArray(given) && given.every((file) => file === null || file instanceof Uint8Array);
}

function reasonOf(failure: Failure): string {
  return failure.code === 'Malformed' ? failure.where : 'reason' in failure ? failure.reason : failure.code;
}

function crashed(error: unknown): Parsed {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return code === 'ERR_WORKER_OUT_OF_MEMORY' ? failed('TooMuchMemory', 'parse needed too much memory') : failed('Crashed', 'the parsing thread crashed');
}

function failed(code: string, reason: string): { readonly ok: false; readonly code: string; readonly reason: string } {
  return { ok: false, code, reason };
}

function deadline(milliseconds: number, run: () => void): NodeJS.Timeout {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return timer;
}

import { Worker } from 'node:worker_threads';
import type { ChannelInfo, Failure, InboundEvent, RawDelivery } from '@trunkline/channel-sdk';
import { checkEvents } from './inbound-schema.ts';
import { LIMITS } from './limits.ts';
import type { ParseAnswer, ParseRequest, ThreadData } from './parse-messages.ts';

/** What became of one delivery's parsing. `code` and `reason` hold no content. */
export type Parsed = { readonly ok: true; readonly events: readonly InboundEvent[] } | { readonly ok: false; readonly code: string; readonly reason: string };

export interface ParsePool {
  /** Parses one delivery in a thread of its channel's own. Never rejects for what the plugin does. */
  parse(pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery): Promise<Parsed>;
  /** Ends every thread. */
  close(): Promise<void>;
}

/** Times and sizes, replaced in tests. */
export type ParseLimits = Readonly<Record<'parseMs' | 'parseMegabytes' | 'parseStartMs' | 'parseThreads' | 'parseIdleMs', number>>;

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

  async function parseOne(name: string, pluginKey: string, channel: ChannelInfo<unknown>, raw: RawDelivery): Promise<Parsed> {
    const thread = await acquire(name, pluginKey);
    try {
      return await thread.parse(channel, signingKey(channel.key), raw);
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

  return {
    parse(pluginKey, channel, raw) {
      const name = `${pluginKey}/${channel.key}`;
      const turn = (queues.get(name) ?? Promise.resolve()).then(
        () => parseOne(name, pluginKey, channel, raw),
        () => parseOne(name, pluginKey, channel, raw),
      );
      queues.set(name, turn);
      const forget = (): void => void (queues.get(name) === turn && queues.delete(name));
      turn.then(forget, forget);
      return turn;
    },
    async close() {
      closed = true;
      clearInterval(sweep);
      for (const resolve of waiting.splice(0)) resolve();
      await Promise.all([...threads.values()].map((thread) => thread.end()));
    },
  };
}

interface Thread {
  busy: boolean;
  usedAt: number;
  readonly dead: boolean;
  parse(channel: ChannelInfo<unknown>, signingKey: Uint8Array, raw: RawDelivery): Promise<Parsed>;
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
  let settle: ((parsed: Parsed) => void) | undefined;
  let awaited = -1;
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);

  const finish = (parsed: Parsed): void => {
    const done = settle;
    settle = undefined;
    done?.(parsed);
  };
  const gone = (parsed: Parsed): void => {
    if (!dead) {
      dead = true;
      onGone();
    }
    ready.reject(new Error('the parsing thread ended before it was ready'));
    finish(parsed);
  };
  const end = async (reason: Parsed = failed('Crashed', 'the parsing thread was ended')): Promise<void> => {
    gone(reason);
    await worker.terminate();
  };
  worker.on('message', (answer: ParseAnswer) => {
    if (answer.type === 'ready') ready.resolve();
    else if (answer.id === awaited) finish(readAnswer(answer));
  });
  worker.on('error', (error) => gone(crashed(error)));
  worker.on('exit', () => gone(failed('Crashed', 'the parsing thread ended')));

  return {
    busy: true,
    usedAt: Date.now(),
    get dead() {
      return dead;
    },
    async parse(channel, signingKey, raw) {
      const timer = deadline(limits.parseStartMs, () => void end(failed('Crashed', 'the plugin did not load in time')));
      const outcome = Promise.withResolvers<Parsed>();
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
        const body = new Uint8Array(raw.body);
        const request: ParseRequest = { id, channel, signingKey, raw: { ...raw, body } };
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

function readAnswer(answer: Exclude<ParseAnswer, { type: 'ready' }>): Parsed {
  switch (answer.type) {
    case 'failure':
      return failed(answer.failure.code, reasonOf(answer.failure));
    case 'error':
      return failed('Unexpected', `the plugin threw ${answer.error}`);
    case 'events': {
      const checked = checkEvents(answer.events);
      return 'events' in checked ? { ok: true, events: checked.events } : failed('Malformed', checked.where);
    }
  }
}

function reasonOf(failure: Failure): string {
  return failure.code === 'Malformed' ? failure.where : 'reason' in failure ? failure.reason : failure.code;
}

function crashed(error: unknown): Parsed {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return code === 'ERR_WORKER_OUT_OF_MEMORY' ? failed('TooMuchMemory', 'parse needed too much memory') : failed('Crashed', 'the parsing thread crashed');
}

function failed(code: string, reason: string): Parsed {
  return { ok: false, code, reason };
}

function deadline(milliseconds: number, run: () => void): NodeJS.Timeout {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return timer;
}

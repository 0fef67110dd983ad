import { Worker } from 'node:worker_threads';
import type { Failure } from '@trunkline/channel-sdk';
import { checkEvents, checkSafe } from './inbound-schema.ts';
import type { ParseAnswer, ParseRequest, ThreadData } from './parse-messages.ts';
import type { Extracted, Parsed, ParseLimits } from './parse-pool.ts';

export type Question = Omit<ParseRequest, 'id'>;
export type Answered = Parsed | Extracted;

/** A parsing thread as the pool holds it. */
export interface ThreadHandle {
  /** Milliseconds since 1970: when it last answered. */
  readonly usedAt: number;
  /** Whether anything is asked of it just now. */
  readonly busy: boolean;
  readonly dead: boolean;
  /** Resolves once its plugin is loaded, or it has ended. */
  readonly loaded: Promise<void>;
  /** Questions are answered in the order of asking, one at a time. `unasked`: the thread ended before it came to this one, for no fault of its. */
  ask(question: Question): Promise<Answered | 'unasked'>;
  end(): Promise<void>;
}

/** One question on its way. Only the first of them is being worked on. */
interface Flight {
  readonly id: number;
  readonly settle: (answered: Answered | 'unasked') => void;
  /** Its events, while their HTML is made harmless. */
  held?: Extract<Parsed, { ok: true }>;
}

/** How often a busy thread's memory outside the heap is looked at: buffers do not count against the heap's own limit. */
const WATCH_MS = 200;
/** Milliseconds an answer to that is waited for before the thread is ended all the same. */
const ASKED_MS = 500;

/** Starts one. Whatever ends it costs the question it was at, and no other. */
export function startThread(data: ThreadData, limits: ParseLimits, onGone: () => void): ThreadHandle {
  const worker = new Worker(new URL('./parse-thread.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: limits.parseMegabytes, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    // What a plugin prints may be content.
    stdout: true,
    stderr: true,
    // The names of further plugins, which the config reads there too, and nothing secret.
    env: { TRUNKLINE_PLUGINS: process.env['TRUNKLINE_PLUGINS'] ?? '' },
  });
  worker.stdout.resume();
  worker.stderr.resume();
  worker.unref();
  const flights: Flight[] = [];
  let nextId = 0;
  let dead = false;
  let ready = false;
  const loaded = Promise.withResolvers<void>();
  let usedAt = Date.now();
  let limit: NodeJS.Timeout | undefined;
  let watch: NodeJS.Timeout | undefined;
  let asking: Promise<void> | undefined;
  /** Bytes the process held when the question that is worked on was begun. */
  let before = 0;

  /** What the first question may take: to be loaded at all, then to be parsed, then to be made harmless. */
  const restart = (milliseconds: number, answered: Answered): void => {
    clearTimeout(limit);
    limit = deadline(milliseconds, () => void end(answered));
  };
  const begin = (): void => {
    if (flights.length === 0) {
      clearTimeout(limit);
      clearInterval(watch);
      watch = undefined;
    } else if (ready) {
      before = process.memoryUsage.rss();
      restart(limits.parseMs, failed('TimedOut', `parse took more than ${limits.parseMs} ms`));
      watch ??= setInterval(look, WATCH_MS);
    } else {
      restart(limits.parseStartMs, failed('Crashed', 'the plugin did not load in time'));
    }
  };
  const look = (): void => {
    const id = flights[0]?.id;
    // Asked only where the process has grown by as much, and one question at a time: a thread that ends while it is asked can take the process with it.
    if (id === undefined || asking !== undefined || process.memoryUsage.rss() - before < limits.parseMegabytes * 1024 * 1024) return;
    asking = worker.getHeapStatistics().then(
      ({ external_memory: bytes }) => {
        asking = undefined;
        if (id === flights[0]?.id && bytes > limits.parseMegabytes * 1024 * 1024)
          void end(failed('TooMuchMemory', `parse held more than ${limits.parseMegabytes} MB`));
      },
      () => void (asking = undefined),
    );
  };
  const finish = (answered: Answered): void => {
    usedAt = Date.now();
    flights.shift()?.settle(answered);
    begin();
  };
  const gone = (answered: Answered): void => {
    clearTimeout(limit);
    clearInterval(watch);
    const [first, ...others] = flights.splice(0);
    if (!dead) {
      dead = true;
      loaded.resolve();
      onGone();
    }
    // Its events are there already: only the looks of their HTML are lost.
    first?.settle(first.held ?? answered);
    for (const other of others) other.settle('unasked');
  };
  const end = async (reason: Answered = failed('Crashed', 'the parsing thread was ended')): Promise<void> => {
    gone(reason);
    if (asking !== undefined) await Promise.race([asking, new Promise((resolve) => setTimeout(resolve, ASKED_MS))]);
    await worker.terminate();
  };
  worker.on('message', (answer: ParseAnswer) => {
    const [flight] = flights;
    if (answer.type === 'ready') {
      ready = true;
      loaded.resolve();
      begin();
    } else if (flight === undefined || answer.id !== flight.id) return;
    else if (answer.type === 'safe') {
      if (flight.held !== undefined) finish({ ...flight.held, safe: checkSafe(answer.safe) });
    } else {
      const answered = readAnswer(answer);
      if (answer.type !== 'events' || !answer.html || !answered.ok || 'files' in answered) return finish(answered);
      flight.held = answered;
      restart(limits.sanitiseMs, answered);
    }
  });
  worker.on('error', (error) => gone(crashed(error)));
  worker.on('exit', () => gone(failed('Crashed', 'the parsing thread ended')));

  return {
    get busy() {
      return flights.length > 0;
    },
    get usedAt() {
      return usedAt;
    },
    get dead() {
      return dead;
    },
    loaded: loaded.promise,
    ask(question) {
      if (dead) return Promise.resolve('unasked');
      const outcome = Promise.withResolvers<Answered | 'unasked'>();
      const id = (nextId += 1);
      const body = new Uint8Array(question.raw.body);
      const request: ParseRequest = { ...question, id, raw: { ...question.raw, body } };
      try {
        worker.postMessage(request, [body.buffer]);
      } catch {
        return Promise.resolve(failed('Malformed', "the channel's settings are not plain data"));
      }
      flights.push({ id, settle: outcome.resolve });
      if (flights.length === 1) begin();
      return outcome.promise;
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
      return 'events' in checked
        ? { ok: true, events: checked.events, safe: [] }
        : { ok: false, code: 'Malformed', reason: checked.where, oversized: checked.oversized };
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

export function failed(code: string, reason: string): { readonly ok: false; readonly code: string; readonly reason: string } {
  return { ok: false, code, reason };
}

function deadline(milliseconds: number, run: () => void): NodeJS.Timeout {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return timer;
}

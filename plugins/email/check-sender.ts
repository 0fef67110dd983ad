import { nothing, type Found, type Handover } from './check-messages.ts';
import { startCheckThread, type CheckThread, type Patience, type ResolveDns } from './check-worker.ts';
import type { Checked } from './checked.ts';
import { clientName, isLoopback } from './client-name.ts';

export interface SenderCheck {
  /** Never rejects, and takes at most `CHECK_MS`: what was not found out by then is a `temperror`. */
  check(mail: Uint8Array, handover: Handover): Promise<Checked>;
  close(): Promise<void>;
}

/** Milliseconds one mail's check may take, waiting for a thread included. */
export const CHECK_MS = 3_000;
/** The part of it that may be spent waiting for DNS. */
const DNS_PART = 0.8;
/** Bytes above which a mail has another thread than the small ones: only large mails can keep one busy for seconds. */
const SMALL_BYTES = 256 * 1024;
/** Mails at once in each of the two threads. */
const MOST_SMALL = 100;
const MOST_LARGE = 4;
/** Bytes of headers and number of signatures that are looked at; nobody honest has as many. */
const MOST_HEADER_BYTES = 256 * 1024;
const MOST_SIGNATURES = 20;

/**
 * Asks SPF, DKIM, DMARC and ARC about mails that come in. In threads of its own: a mail made for it can keep the library busy for
 * twenty seconds, and the process that takes mail in answers everybody else too.
 */
export function createSenderCheck(resolveDns: ResolveDns, checkMs = CHECK_MS): SenderCheck {
  const small = createLane(resolveDns, MOST_SMALL);
  const large = createLane(resolveDns, MOST_LARGE);
  // Loading takes a while: it need not be the first mail's.
  small.start();
  return {
    async check(mail, handover) {
      const patience = { dns: AbortSignal.timeout(checkMs * DNS_PART), thread: AbortSignal.timeout(checkMs) };
      const looked = whatToLookAt(mail);
      const lane = looked !== undefined && looked.length > SMALL_BYTES ? large : small;
      const [found, client] = await Promise.all([
        looked === undefined ? nothing('permerror') : lane.run(looked, handover, patience),
        Promise.race([clientName(handover.ip, resolveDns).catch(() => null), aborted(patience.dns)]),
      ]);
      return { client, local: isLoopback(handover.ip), ...found };
    },
    async close() {
      await Promise.all([small.close(), large.close()]);
    },
  };
}

interface Lane {
  start(): CheckThread;
  run(mail: Uint8Array, handover: Handover, patience: Patience): Promise<Found>;
  close(): Promise<void>;
}

/** One thread, started when it is needed and again after it had to be ended; whoever finds it full waits in order. */
function createLane(resolveDns: ResolveDns, most: number): Lane {
  const waiting: (() => void)[] = [];
  let thread: CheckThread | undefined;
  let under = 0;
  let closed = false;
  const start = (): CheckThread => {
    if (thread === undefined || thread.dead) thread = startCheckThread(resolveDns);
    return thread;
  };
  return {
    start,
    async run(mail, handover, patience) {
      while (under >= most && !patience.thread.aborted) await turn(waiting, patience.thread);
      if (closed || patience.thread.aborted) return nothing('temperror');
      under += 1;
      try {
        return await start().check(mail, handover, patience);
      } finally {
        under -= 1;
        waiting.shift()?.();
      }
    },
    async close() {
      closed = true;
      for (const resolve of waiting.splice(0)) resolve();
      await thread?.end();
    },
  };
}

/** Resolves when it is our turn, or too late. */
function turn(waiting: (() => void)[], late: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    late.addEventListener('abort', () => {
      const place = waiting.indexOf(resolve);
      if (place >= 0) waiting.splice(place, 1);
      resolve();
    });
  });
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null)));
}

/** All of it where something signs it, else its headers; undefined: too much of it. */
function whatToLookAt(mail: Uint8Array): Uint8Array | undefined {
  const text = Buffer.from(mail.buffer, mail.byteOffset, Math.min(mail.byteLength, MOST_HEADER_BYTES)).toString('latin1');
  const end = /^\r?\n|\n\r?\n/.exec(text);
  if (end === null && mail.byteLength > MOST_HEADER_BYTES) return undefined;
  const headers = end === null ? text : text.slice(0, end.index + end[0].length);
  const signatures = headers.match(/^(?:dkim|arc-message)-signature[ \t]*:/gim)?.length ?? 0;
  if (signatures > MOST_SIGNATURES) return undefined;
  return signatures === 0 ? mail.subarray(0, headers.length) : mail;
}

import { Worker } from 'node:worker_threads';
import type { ListenContext } from '@trunkline/channel-sdk';
import { nothing, type CheckAnswer, type CheckRequest, type Found, type Handover } from './check-messages.ts';

export type ResolveDns = ListenContext<unknown>['resolveDns'];

/** When to wait no longer: for DNS, so that what was found without it still counts; and for the thread, which is stuck then. */
export interface Patience {
  readonly dns: AbortSignal;
  readonly thread: AbortSignal;
}

/** A checking thread from outside; several mails at once, for most of the time is spent waiting for DNS. */
export interface CheckThread {
  readonly dead: boolean;
  /** Never rejects. Once patience is over a thread that had loaded is ended, and with it every mail it has. */
  check(mail: Uint8Array, handover: Handover, patience: Patience): Promise<Found>;
  end(): Promise<void>;
}

const MAX_HEAP_MB = 192;
/** DNS questions one mail may ask. */
const MOST_QUESTIONS = 100;

interface Job {
  readonly settle: (found: Found) => void;
  /** Rejects when DNS is waited for no longer. */
  readonly late: Promise<never>;
  questions: number;
}

/** Starts one. Its questions to DNS are asked here. */
export function startCheckThread(resolveDns: ResolveDns): CheckThread {
  const worker = new Worker(new URL('./check-thread.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    // What a library prints may be content.
    stdout: true,
    stderr: true,
    env: {},
  });
  worker.stdout.resume();
  worker.stderr.resume();
  worker.unref();
  const jobs = new Map<number, Job>();
  let lastJob = 0;
  let dead = false;
  let ready = false;
  const gone = (): void => {
    dead = true;
    for (const { settle } of jobs.values()) settle(nothing('temperror'));
  };
  const end = async (): Promise<void> => {
    gone();
    await worker.terminate();
  };
  const tell = (request: CheckRequest): void => worker.postMessage(request);
  const answer = async ({ job, question, name, rrtype }: Extract<CheckAnswer, { type: 'ask' }>): Promise<void> => {
    const asking = jobs.get(job);
    try {
      if (asking === undefined || (asking.questions += 1) > MOST_QUESTIONS) throw new Error('no more questions');
      tell({ type: 'answer', question, records: await Promise.race([resolveDns(name, rrtype), asking.late]) });
    } catch (error) {
      tell({ type: 'answer', question, code: codeOf(error) });
    }
  };
  worker.on('message', (said: CheckAnswer) => {
    if (said.type === 'ready') ready = true;
    else if (said.type === 'ask') void answer(said);
    else jobs.get(said.job)?.settle(said.found);
  });
  worker.on('error', gone);
  worker.on('exit', gone);
  return {
    get dead() {
      return dead;
    },
    async check(mail, handover, patience) {
      if (dead || patience.thread.aborted) return nothing('temperror');
      const job = (lastJob += 1);
      const found = Promise.withResolvers<Found>();
      const late = Promise.withResolvers<never>();
      late.promise.catch(() => undefined);
      const onLate = (): void => late.reject(new Error('DNS took too long'));
      // One that is still loading is not stuck: those who come after will have it.
      const onStuck = (): void => (ready ? void end() : found.resolve(nothing('temperror')));
      patience.dns.addEventListener('abort', onLate, { once: true });
      patience.thread.addEventListener('abort', onStuck, { once: true });
      jobs.set(job, { settle: found.resolve, late: late.promise, questions: 0 });
      // A copy of just these bytes: a view would take all of its buffer along.
      const bytes = new Uint8Array(mail);
      const request: CheckRequest = { type: 'check', job, mail: bytes, handover };
      worker.postMessage(request, [bytes.buffer]);
      try {
        return await found.promise;
      } finally {
        jobs.delete(job);
        patience.dns.removeEventListener('abort', onLate);
        patience.thread.removeEventListener('abort', onStuck);
      }
    },
    end,
  };
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : 'ETIMEOUT';
}

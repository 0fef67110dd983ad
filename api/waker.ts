import { wakeAll, type Waker } from '#workflows/contract.ts';
import type { Wake } from '#domain/wake.ts';
import type { TemporalSettings } from '#runtime/environment.ts';
import { createWaker, type TemporalWaker } from '#runtime/temporal-waker.ts';
import { connectClient, type TemporalClient } from '#runtime/temporal.ts';

/** Milliseconds to connect in. */
const CONNECT_MS = 3_000;
/** Milliseconds to wait after Temporal did not answer, so that every message does not try anew. */
const REST_MS = 2_000;

export interface LazyWaker extends Waker {
  close(): Promise<void>;
}

/** Connects when first needed, and again after Temporal was away: the API starts and serves without it (OPS-10). */
export function createLazyWaker(settings: TemporalSettings): LazyWaker {
  let connecting: Promise<{ readonly temporal: TemporalClient; readonly waker: TemporalWaker }> | undefined;
  let restUntil = 0;

  async function connected(): Promise<TemporalWaker> {
    if (connecting === undefined) {
      if (Date.now() < restUntil) throw new Error('Temporal did not answer a moment ago');
      connecting = connectClient(settings, CONNECT_MS).then((temporal) => ({ temporal, waker: createWaker(temporal.client) }));
      connecting.catch(() => {
        connecting = undefined;
        restUntil = Date.now() + REST_MS;
      });
    }
    return (await connecting).waker;
  }

  return {
    async signalWithStart(request) {
      await (await connected()).signalWithStart(request);
    },
    async close() {
      const open = await connecting?.catch(() => undefined);
      await open?.temporal.connection.close();
    },
  };
}

/** Fire and forget: the answer to the client never waits for Temporal, and the guardian finds what was lost. Logs workflow ids only. */
export function createDispatch(waker: Waker, onFailure: (workflowId: string) => void): (wakes: readonly Wake[]) => void {
  return (wakes) => {
    if (wakes.length > 0) void wakeAll(waker, wakes, onFailure);
  };
}

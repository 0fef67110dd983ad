import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type { RelayActivities } from './relay.ts';

const { push } = proxyActivities<RelayActivities>({ startToCloseTimeout: '30s' });

/** The baseline of the chat's way: a signal, an activity, nothing else. It waits on, so that no message pays for a start. */
export async function relay(): Promise<void> {
  const waiting: string[] = [];
  setHandler(defineSignal<[string]>('relay'), (what) => void waiting.push(what));
  for (;;) {
    await condition(() => waiting.length > 0);
    const next = waiting.shift();
    if (next !== undefined) await push(next);
  }
}

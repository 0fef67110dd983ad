import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type { RelayActivities } from './relay.ts';

const { push } = proxyActivities<RelayActivities>({ startToCloseTimeout: '30s' });

/** The baseline of the chat's way: a signal, an activity, nothing else. Ends once what was signalled is pushed. */
export async function relay(): Promise<void> {
  const waiting: string[] = [];
  setHandler(defineSignal<[string]>('relay'), (what) => void waiting.push(what));
  await condition(() => waiting.length > 0);
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await push(next);
}

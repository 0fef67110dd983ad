import type { Wake } from '#domain/wake.ts';
import { wakeAll } from '#workflows/contract.ts';
import type { Engine } from './dependencies.ts';

/** Wakes what a commit left to be woken. A wake that fails is a delay: the guardian reads the rows. */
export async function wake({ waker, log }: Pick<Engine, 'waker' | 'log'>, wakes: readonly Wake[]): Promise<void> {
  await wakeAll(waker, wakes, (workflowId) => log.warn({ workflowId }, 'could not wake a workflow; the guardian will'));
}

import { setHandler } from '@temporalio/workflow';
import { DESCRIPTIONS, explainQuery, statusQuery, wakeSignal } from './messages.ts';

/** What the queries answer with. */
export interface Answers {
  status(): string;
  explain(): Readonly<Record<string, string | number | boolean | null>>;
}

/** Whether somebody has woken this run since the flag was last lowered. */
export interface WakeFlag {
  raised: boolean;
}

/** Sets the three handlers every workflow that lasts has (OPS-5), before its first await: a signal that came with the start is not lost. */
export function handleMessages(answers: Answers): WakeFlag {
  const woken: WakeFlag = { raised: false };
  setHandler(wakeSignal, () => void (woken.raised = true), { description: DESCRIPTIONS.wake });
  setHandler(statusQuery, () => answers.status(), { description: DESCRIPTIONS.status });
  setHandler(explainQuery, () => answers.explain(), { description: DESCRIPTIONS.explain });
  return woken;
}

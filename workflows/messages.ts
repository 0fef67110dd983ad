import { defineQuery, defineSignal } from '@temporalio/workflow';
import { EXPLAIN_QUERY, STATUS_QUERY, WAKE_SIGNAL } from './contract.ts';

/** Look at the rows again. Nothing is in it, so nothing is lost with it. */
export const wakeSignal = defineSignal(WAKE_SIGNAL);
/** What it does now, in one word or two. */
export const statusQuery = defineQuery<string>(STATUS_QUERY);
/** Why, by ids and counts; what each field means stands in the docs of its workflow. */
export const explainQuery = defineQuery<Readonly<Record<string, string | number | boolean | null>>>(EXPLAIN_QUERY);

/** Shown in the UI beside the handlers. */
export const DESCRIPTIONS = {
  wake: 'Reads the rows again now. Safe at any time, any number of times.',
  status: 'What it does now.',
  explain: 'Why: ids and counts that can be looked up in the API.',
} as const;

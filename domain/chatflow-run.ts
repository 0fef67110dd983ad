import {
  CHATFLOW_LIMITS,
  firstHandOff,
  waits,
  type AskStep,
  type BotDefinition,
  type HandOffStep,
  type LiveDefinition,
  type SayStep,
  type Step,
} from './chatflow.ts';
import { holds, readAnswer, type Answers, type AnswerValue } from './chatflow-answers.ts';
import { chosen, isOfAnotherMessage, offered, wantsPerson, type QuickReply, type Said } from './chatflow-replies.ts';

/** Where a conversation stands in a chatflow. */
export interface RunState {
  /** `WAITING`: for what the visitor says to `step`. The others but `RUNNING` are ends. */
  readonly state: 'RUNNING' | 'WAITING' | 'HANDED_OFF' | 'ENDED' | 'ABANDONED';
  /** The step to be done, waited at or ended at; null: it ended at none. */
  readonly step: string | null;
  /** By ask step. */
  readonly answers: Answers;
  /** Answers to the step that were none. */
  readonly tries: number;
}

export type RunInput =
  /** Do the next step. */
  | { readonly kind: 'go' }
  /** The visitor has written. */
  | { readonly kind: 'said'; readonly said: Said }
  /** They have not, for too long. */
  | { readonly kind: 'give-up' };

/** What is to be done about it. */
export type Effect =
  | { readonly kind: 'say'; readonly text: string; readonly quickReplies: readonly QuickReply[] }
  | { readonly kind: 'set'; readonly of: 'contact' | 'ticket'; readonly property: string; readonly value: AnswerValue }
  | { readonly kind: 'create-ticket' }
  /** `step`: whose rule decides. */
  | { readonly kind: 'hand-off'; readonly step: string }
  /** Left to whoever takes it. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'close' };

export interface Advanced {
  readonly state: RunState;
  readonly effects: readonly Effect[];
}

/**
 * One step on: pure, from where it stands and what has happened to where it stands then and what is to be done. `go` does one step and not more, so a
 * definition that `checkBot` has taken comes to a question or an end after at most as many as it has.
 */
export function advance(definition: BotDefinition, at: RunState, input: RunInput): Advanced {
  const step = definition.steps.find(({ id }) => id === at.step);
  if (input.kind === 'said' && isPersonWanted(definition, at, step, input.said)) return toPerson(definition, at);
  if (at.state === 'RUNNING' && input.kind === 'go') {
    // Not of a definition that was checked: rather people than nobody.
    return step === undefined ? toPerson(definition, at) : perform(definition, step, at);
  }
  if (at.state !== 'WAITING' || input.kind === 'go') return { state: at, effects: [] };
  if (input.kind === 'give-up') return { state: { ...at, state: 'ABANDONED' }, effects: [] };
  // The buttons of earlier messages stay there with some providers.
  if (step !== undefined && isOfAnotherMessage(step, input.said)) return { state: at, effects: [] };
  if (step?.type === 'ask') return answered(definition, step, at, input.said);
  return step?.type === 'say' ? goOn(replied(step, input.said), at) : toPerson(definition, at);
}

/** A live chatflow's one step: its instant reply, without a way to people, for they are there already. */
export function advanceLive({ instantReply }: LiveDefinition, at: RunState): Advanced {
  const effects: readonly Effect[] = instantReply === undefined ? [] : [{ kind: 'say', text: instantReply, quickReplies: [] }];
  return { state: { ...at, state: 'ENDED' }, effects };
}

/** Numbers are meant for the list of the step that waits, and for no other. */
function isPersonWanted(definition: BotDefinition, { state }: RunState, step: Step | undefined, said: Said): boolean {
  return (state === 'RUNNING' || state === 'WAITING') && wantsPerson(definition, state === 'WAITING' ? step : undefined, said);
}

function toPerson(definition: BotDefinition, at: RunState): Advanced {
  const handOff = firstHandOff(definition);
  if (handOff === undefined) return { state: { ...at, state: 'HANDED_OFF', tries: 0 }, effects: [{ kind: 'leave' }] };
  return goOn(handOff.id, at);
}

function goOn(step: string, at: RunState, effects: readonly Effect[] = []): Advanced {
  return { state: { ...at, state: 'RUNNING', step, tries: 0 }, effects };
}

function perform(definition: BotDefinition, step: Step, at: RunState): Advanced {
  switch (step.type) {
    case 'say':
      return waits(step)
        ? { state: { ...at, state: 'WAITING', tries: 0 }, effects: [say(definition, step, step.text)] }
        : goOn(step.next, at, [say(definition, step, step.text)]);
    case 'ask':
      return { state: { ...at, state: 'WAITING', tries: 0 }, effects: [say(definition, step, step.text)] };
    case 'branch':
      return goOn(step.cases.find((one) => holds(one, at.answers))?.next ?? step.otherwise, at);
    case 'create-ticket':
      return goOn(step.next, at, [{ kind: 'create-ticket' }, ...ofTicket(definition, at.answers)]);
    case 'hand-off':
      return { state: { ...at, state: 'HANDED_OFF' }, effects: [...spoken(definition, step), { kind: 'hand-off', step: step.id }] };
    case 'end':
      return { state: { ...at, state: 'ENDED' }, effects: [...spoken(definition, step), { kind: step.close === true ? 'close' : 'leave' }] };
  }
}

function answered(definition: BotDefinition, step: AskStep, at: RunState, said: Said): Advanced {
  const value = readAnswer(step, said);
  if (value !== undefined) {
    const set: Effect = { kind: 'set', of: step.of, property: step.property, value };
    return goOn(step.next, { ...at, answers: { ...at.answers, [step.id]: value } }, [set]);
  }
  if (at.tries >= CHATFLOW_LIMITS.askedAgain) return toPerson(definition, at);
  const text = step.invalidText === undefined ? step.text : `${step.invalidText}\n\n${step.text}`;
  return { state: { ...at, tries: at.tries + 1 }, effects: [say(definition, step, text)] };
}

function replied(step: SayStep, said: Said): string {
  return step.quickReplies?.[chosen(step, said) ?? -1]?.next ?? step.next;
}

/** What was asked for the ticket before there was one. */
function ofTicket({ steps }: BotDefinition, answers: Answers): readonly Effect[] {
  return steps.flatMap((step): Effect[] => {
    const value = Object.hasOwn(answers, step.id) ? answers[step.id] : undefined;
    return step.type === 'ask' && step.of === 'ticket' && value !== undefined ? [{ kind: 'set', of: 'ticket', property: step.property, value }] : [];
  });
}

function spoken(definition: BotDefinition, step: HandOffStep | Extract<Step, { type: 'end' }>): readonly Effect[] {
  return step.text === undefined ? [] : [say(definition, step, step.text)];
}

function say(definition: BotDefinition, step: Step, text: string): Effect {
  return { kind: 'say', text, quickReplies: offered(definition, step) };
}

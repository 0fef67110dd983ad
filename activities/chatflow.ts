import { advanceRun, readRun, type ChatflowDue, type RunView } from '#commands/chatflow-runs.ts';
import { NotFound } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import type { Engine } from './dependencies.ts';
import { wake } from './wakes.ts';

/** What a chatflow's workflow knows of it: ids, codes and moments. */
export interface ChatflowView extends Omit<RunView, 'state' | 'chatflowId'> {
  /** False: none was ever begun there, or the conversation's contact was erased, and the rest says nothing. */
  readonly found: boolean;
  readonly state: RunView['state'] | null;
  readonly chatflowId: string | null;
}

/** Which run, and as it was seen: what has changed since is not done. */
export interface ChatflowTurn {
  readonly conversationId: string;
  readonly version: number;
}

export interface ChatflowDone {
  readonly done: boolean;
  readonly state: RunView['state'] | null;
}

export function createChatflowActivities(engine: Engine) {
  const doing = (due: ChatflowDue) => (turn: ChatflowTurn) => advanceOnce(engine, turn, due);
  return {
    /** One read of what is due in a conversation's chatflow and what its details show. */
    async readChatflow(conversationId: string): Promise<ChatflowView> {
      const run = await readRun(engine.db, conversationId);
      return run === undefined ? { ...GONE, conversationId } : { found: true, ...run };
    },
    /** Says what a step says. */
    sayStep: doing('say'),
    /** Asks what a step asks. */
    askStep: doing('ask'),
    /** Chooses the way by the answers so far. */
    branchStep: doing('branch'),
    /** Makes the conversation's ticket. */
    createTicketStep: doing('create-ticket'),
    /** Leaves the conversation to people by the step's own rule. */
    handOffStep: doing('hand-off'),
    /** Comes to its end. */
    endStep: doing('end'),
    /** Looks at the visitor's answer: keeps a valid one, asks again after another. */
    takeAnswer: doing('answer'),
    /** Leads to a person, as the visitor wished. */
    leadToPerson: doing('person'),
    /** Gives an unanswered question up. */
    giveUpStep: doing('give-up'),
    /** Ends it where its channel is off, or the conversation goes on by another. */
    stopChatflow: doing('stop'),
  };
}

const GONE: Omit<ChatflowView, 'conversationId'> = {
  found: false,
  chatflowId: null,
  state: null,
  step: null,
  due: null,
  waitUntilIso: null,
  tries: 0,
  version: 0,
};

/** One step, also outside Temporal (tests). A conversation without a ticket has no workflow that would decide its owner: it is decided here. */
export async function advanceOnce(engine: Pick<Engine, 'db' | 'plugins' | 'waker' | 'log'>, turn: ChatflowTurn, due: ChatflowDue): Promise<ChatflowDone> {
  const { value, wakes } = await advanceRun(engine.db, { ...turn, due }, engine.plugins);
  // The conversation's own workflow is the one that asked; it looks again anyway.
  await wake(
    engine,
    wakes.filter((one) => one.kind !== 'chatflow' || one.conversationId !== turn.conversationId),
  );
  if (value.decide) await decideNow(engine, turn.conversationId);
  return { done: value.done, state: value.state };
}

/** Should it fail, the open decision stays, and the guardian finds it. */
async function decideNow(engine: Pick<Engine, 'db' | 'plugins' | 'waker' | 'log'>, conversationId: string): Promise<void> {
  try {
    const decided = await decide(engine.db, { conversationId }, Math.random, engine.plugins);
    await wake(engine, decided.wakes);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
}

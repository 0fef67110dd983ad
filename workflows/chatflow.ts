import { condition, continueAsNew, proxyActivities, proxyLocalActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { ChatflowDone, ChatflowView } from '#activities/chatflow.ts';
import { handleMessages } from './handlers.ts';
import { millisecondsUntil, RETRY } from './options.ts';

// A read of one row: without a task queue in between it costs one marker in the history.
const { readChatflow } = proxyLocalActivities<Activities>({ startToCloseTimeout: '10s', retry: RETRY });
const activities = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry: RETRY });

/**
 * A conversation's chatflow: asks what is due, does it by an activity named for it, waits for the visitor or for the time at which a question is given up.
 * Completes when people have the conversation or the script is over; a message that goes on with it starts it again.
 */
export async function chatflow(conversationId: string): Promise<void> {
  let view: ChatflowView | null = null;
  let doing = 'reads where it stands';
  const woken = handleMessages({ status: () => doing, explain: () => explain(conversationId, view) });

  for (;;) {
    woken.raised = false;
    const seen: ChatflowView = await readChatflow.executeWithOptions({ summary: `reads where conversation ${conversationId} stands` }, [conversationId]);
    view = seen;
    setCurrentDetails(details(seen));
    if (seen.due !== null) {
      doing = inWords(seen);
      await perform(seen);
      // Many steps and answers make a long history.
      if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof chatflow>(conversationId);
      continue;
    }
    // The flag is read and the run ended in one breath, so a wake is either seen here or makes the server ask again.
    if (seen.waitUntilIso === null) {
      if (woken.raised) continue;
      doing = `is done: ${seen.state === null ? 'there is no chatflow' : seen.state.toLowerCase().replaceAll('_', ' ')}`;
      return;
    }
    doing = `waits for the answer to step ${seen.step} until ${seen.waitUntilIso}`;
    await condition(() => woken.raised, millisecondsUntil(seen.waitUntilIso), { summary: doing });
  }
}

function perform(view: ChatflowView): Promise<ChatflowDone> {
  const options = { summary: inWords(view) };
  const turn = [{ conversationId: view.conversationId, version: view.version }] as const;
  switch (view.due) {
    case 'say':
      return activities.sayStep.executeWithOptions(options, [...turn]);
    case 'ask':
      return activities.askStep.executeWithOptions(options, [...turn]);
    case 'branch':
      return activities.branchStep.executeWithOptions(options, [...turn]);
    case 'create-ticket':
      return activities.createTicketStep.executeWithOptions(options, [...turn]);
    case 'hand-off':
      return activities.handOffStep.executeWithOptions(options, [...turn]);
    case 'end':
      return activities.endStep.executeWithOptions(options, [...turn]);
    case 'answer':
      return activities.takeAnswer.executeWithOptions(options, [...turn]);
    case 'give-up':
      return activities.giveUpStep.executeWithOptions(options, [...turn]);
    case 'stop':
      return activities.stopChatflow.executeWithOptions(options, [...turn]);
    case 'person':
    case null:
      return activities.leadToPerson.executeWithOptions(options, [...turn]);
  }
}

/** What is done, by the step's id and never by its text. */
function inWords({ due, step }: ChatflowView): string {
  switch (due) {
    case 'say':
      return step === null ? 'says the instant reply' : `says step ${step}`;
    case 'ask':
      return `asks step ${step}`;
    case 'branch':
      return `chooses the way at step ${step}`;
    case 'create-ticket':
      return `makes the ticket at step ${step}`;
    case 'hand-off':
      return `hands off at step ${step}`;
    case 'end':
      return `ends at step ${step}`;
    case 'answer':
      return `looks at the answer to step ${step}`;
    case 'give-up':
      return `gives up waiting for the answer to step ${step}`;
    case 'stop':
      return 'stops: the channel is off, or the conversation goes on by another';
    case 'person':
    case null:
      return 'leads to a person';
  }
}

function details(view: ChatflowView): string {
  if (!view.found) return `Conversation \`${view.conversationId}\` has no chatflow.`;
  const lines = [`Conversation \`${view.conversationId}\`, chatflow \`${view.chatflowId}\`: **${view.state}**`, ''];
  if (view.step !== null) lines.push(`- Step: \`${view.step}\`${view.tries > 0 ? `, asked again ${view.tries} times` : ''}`);
  if (view.due !== null) lines.push(`- Now it ${inWords(view)}.`);
  else if (view.waitUntilIso !== null) lines.push(`- It waits for the visitor until ${view.waitUntilIso}.`);
  else lines.push('- It does nothing more.');
  return lines.join('\n');
}

function explain(conversationId: string, view: ChatflowView | null) {
  return {
    conversation: conversationId,
    chatflow: view?.chatflowId ?? null,
    state: view?.state ?? null,
    step: view?.step ?? null,
    due: view?.due ?? null,
    waitUntil: view?.waitUntilIso ?? null,
    tries: view?.tries ?? null,
    version: view?.version ?? null,
  };
}

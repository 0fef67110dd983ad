import { CancellationScope, condition, continueAsNew, proxyActivities, proxyLocalActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { MoveView } from '#activities/migration.ts';
import { handleMessages } from './handlers.ts';
import { migrationDetails } from './migration-details.ts';
import { RETRY } from './options.ts';
import { showMove } from './search-attributes.ts';

const { seeMove } = proxyLocalActivities<Activities>({ startToCloseTimeout: '10s', retry: RETRY });
const { startDueMove, beginRun, noteCancel } = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry: RETRY });
const { moveConversations, moveLeftOver } = proxyActivities<Activities>({ startToCloseTimeout: '2m', heartbeatTimeout: '15s', retry: RETRY });

/** How long a move whose hour has come waits for the one that runs, unless that wakes it. */
const ITS_TURN_MS = 15_000;
/** Events of one run; a move of a million conversations needs some dozen. */
const EVENTS_PER_RUN = 1_500;

/**
 * Moves a channel to the help desk (MIG-8 to MIG-16): waits for the hour that was set, then walks through the conversations until all are moved. Once it has started nothing stops
 * it: a cancel is noted and changes nothing, and ended in any other way it is begun anew by the guardian and goes on where the rows say it is.
 */
export async function channelMigration(channelKey: string, continues = false): Promise<void> {
  const asked = { cancel: false };
  const root = CancellationScope.current();
  root.cancelRequested.catch(() => void (asked.cancel = true));
  await CancellationScope.nonCancellable(async () => move(channelKey, continues, asked));
}

async function move(channelKey: string, continues: boolean, asked: { cancel: boolean }): Promise<void> {
  let doing = 'reads what is to be done';
  let view: MoveView | null = null;
  let waiting = false;
  let begun = false;
  let noted = false;
  /** Somebody woke it for what could not be moved: what it has just walked past itself was tried a moment ago. */
  let tries = true;
  const woken = handleMessages({ status: () => doing, explain: () => explain(channelKey, view, waiting) });

  for (;;) {
    if (woken.raised) tries = true;
    woken.raised = false;
    const seen: MoveView | null = await seeMove.executeWithOptions({ summary: `reads the move of channel ${channelKey}` }, [channelKey]);
    view = seen;
    if (seen !== null) showMove(seen.state);
    setCurrentDetails(migrationDetails(channelKey, seen, waiting));

    if (seen?.state === 'SCHEDULED') {
      if (isLong()) await continueAsNew<typeof channelMigration>(channelKey, continues);
      if (seen.startsInMs > 0) {
        doing = `waits until ${seen.startAtIso} to start the move`;
        await condition(() => woken.raised, seen.startsInMs, { summary: `the move of channel ${channelKey} starts at ${seen.startAtIso}` });
        continue;
      }
      doing = 'starts the move';
      const outcome = await startDueMove.executeWithOptions({ summary: `looks whether channel ${channelKey} can be moved, and starts` }, [channelKey]);
      if (outcome !== 'WAITS') continue;
      doing = 'waits until the move that runs has ended';
      await condition(() => woken.raised, ITS_TURN_MS, { summary: 'waits for the move that runs' });
      continue;
    }

    if (seen?.state === 'RUNNING') {
      const { migrationId } = seen;
      tries = false;
      if (!begun) {
        begun = true;
        await beginRun.executeWithOptions({ summary: `this run moves ${migrationId}` }, [migrationId, continues]);
      }
      doing = waiting ? 'moves conversations, slowly: live work goes first' : 'moves conversations';
      const summary = `moves the next conversations of channel ${channelKey}, ${seen.progress.moved} of ${seen.progress.found} moved`;
      ({ waiting } = await moveConversations.executeWithOptions({ summary }, [migrationId]));
      // Also one that came while the last of them were moved.
      if (asked.cancel && !noted) {
        noted = true;
        doing = 'notes that a cancel was asked for, and goes on';
        await noteCancel.executeWithOptions({ summary: 'a move can not be cancelled: noted, it goes on' }, [migrationId]);
      }
      if (isLong()) await continueAsNew<typeof channelMigration>(channelKey, true);
      continue;
    }

    if (seen?.state === 'COMPLETED_WITH_REMAINDER' && tries) {
      doing = 'tries again what could not be moved';
      tries = false;
      await moveLeftOver.executeWithOptions({ summary: `tries ${seen.progress.leftOver} again that could not be moved` }, [seen.migrationId]);
      continue;
    }
    if (!woken.raised) break;
  }
  doing = view === null ? 'is done: there is no move of this channel' : `is done: ${view.state}`;
}

function isLong(): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || historyLength > EVENTS_PER_RUN;
}

function explain(channelKey: string, view: MoveView | null, waiting: boolean) {
  const { progress } = view ?? {};
  return {
    channel: channelKey,
    migration: view?.migrationId ?? null,
    state: view?.state ?? null,
    phase: progress?.phase ?? null,
    found: progress?.found ?? null,
    moved: progress?.moved ?? null,
    remaining: progress?.remaining ?? null,
    leftOver: progress?.leftOver ?? null,
    waitsForLiveWork: waiting,
  };
}

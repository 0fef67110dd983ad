import { continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { ReevaluationProgress } from '#activities/sla.ts';
import { handleMessages } from './handlers.ts';
import { RETRY } from './options.ts';

const { reevaluateTickets, carryHorizon } = proxyActivities<Activities>({ startToCloseTimeout: '2m', heartbeatTimeout: '30s', retry: RETRY });

/** Brings the goals of open tickets up to what the policies say now (SLA-10). Ended and started again it goes on where the rows say it is. */
export async function slaReevaluation(reevaluationId: string): Promise<void> {
  let progress: ReevaluationProgress | null = null;
  let doing = 'looks at tickets';
  handleMessages({
    status: () => doing,
    explain: () => ({ reevaluation: reevaluationId, ...progress }),
  });
  do {
    doing = 'looks at tickets';
    progress = await reevaluateTickets.executeWithOptions({ summary: `brings the next tickets up to the policies, ${reevaluationId}` }, [reevaluationId]);
    setCurrentDetails(details(reevaluationId, progress));
    doing = 'wakes tickets whose moment is near';
    // The soonest first, so that a deadline of the next minutes does not wait for the last ticket.
    let carried = await carryHorizon.executeWithOptions({ summary: 'wakes tickets whose next moment is near' }, []);
    while (progress.done && carried.more) {
      carried = await carryHorizon.executeWithOptions({ summary: 'wakes tickets whose next moment is near' }, []);
    }
    if (!progress.done && workflowInfo().continueAsNewSuggested) await continueAsNew<typeof slaReevaluation>(reevaluationId);
  } while (!progress.done);
  doing = 'is done: every open ticket is up to the policies';
}

function details(reevaluationId: string, progress: ReevaluationProgress): string {
  if (!progress.found) return `There is no re-evaluation \`${reevaluationId}\`.`;
  const percent = progress.total === 0 || progress.done ? 100 : Math.min(99, Math.floor((100 * progress.lookedAt) / progress.total));
  return [
    `Open tickets are brought up to the SLA policies: **${progress.done ? 'done' : `${percent} %`}**`,
    '',
    '| open at the start | looked at | goals changed |',
    '| --- | --- | --- |',
    `| ${progress.total} | ${progress.lookedAt} | ${progress.changed} |`,
  ].join('\n');
}

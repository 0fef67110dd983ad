import { continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { MigrationSlaProgress } from '#activities/migration-sla.ts';
import { handleMessages } from './handlers.ts';
import { RETRY } from './options.ts';

const { measureMoved, carryHorizon } = proxyActivities<Activities>({ startToCloseTimeout: '2m', heartbeatTimeout: '30s', retry: RETRY });

/** Gives the tickets of a move that has ended their goals (MIG-20). Ended and started again it goes on where the rows say it is. */
export async function migrationSla(migrationId: string): Promise<void> {
  let progress: MigrationSlaProgress | null = null;
  let doing = 'looks at moved tickets';
  handleMessages({
    status: () => doing,
    explain: () => ({ migration: migrationId, ...progress }),
  });
  do {
    doing = 'looks at moved tickets';
    progress = await measureMoved.executeWithOptions({ summary: `gives the next moved tickets their goals, ${migrationId}` }, [migrationId]);
    setCurrentDetails(details(migrationId, progress));
    doing = 'wakes tickets whose moment is near';
    // The soonest first, so that a deadline of the next minutes does not wait for the last ticket.
    let carried = await carryHorizon.executeWithOptions({ summary: 'wakes tickets whose next moment is near' }, []);
    while (progress.done && carried.more) {
      carried = await carryHorizon.executeWithOptions({ summary: 'wakes tickets whose next moment is near' }, []);
    }
    if (!progress.done && workflowInfo().continueAsNewSuggested) await continueAsNew<typeof migrationSla>(migrationId);
  } while (!progress.done);
  doing = 'is done: every moved ticket has its goals';
}

function details(migrationId: string, progress: MigrationSlaProgress): string {
  if (!progress.found) return `There is no move \`${migrationId}\` whose tickets wait for their goals.`;
  const percent = progress.total === 0 || progress.done ? 100 : Math.min(99, Math.floor((100 * progress.lookedAt) / progress.total));
  return [
    `Moved tickets get their SLA goals: **${progress.done ? 'done' : `${percent} %`}**`,
    '',
    '| moved | looked at |',
    '| --- | --- |',
    `| ${progress.total} | ${progress.lookedAt} |`,
  ].join('\n');
}

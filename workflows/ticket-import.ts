import { continueAsNew, proxyActivities, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '#activities/index.ts';
import type { ImportProgress } from '#activities/ticket-import.ts';
import { handleMessages } from './handlers.ts';
import { RETRY } from './options.ts';

const { importTickets } = proxyActivities<Activities>({ startToCloseTimeout: '2m', heartbeatTimeout: '30s', retry: RETRY });

/** Takes a file of tickets in (MODEL-8). Ended and started again it goes on where the rows say it is: nothing comes in twice. */
export async function ticketImport(importId: string): Promise<void> {
  let progress: ImportProgress | null = null;
  handleMessages({
    status: () => (progress === null || progress.state === 'RUNNING' ? 'takes lines in' : `is over: ${progress.state}`),
    explain: () => ({ import: importId, ...progress }),
  });
  do {
    progress = await importTickets.executeWithOptions({ summary: `takes the next lines of import ${importId} in` }, [importId]);
    setCurrentDetails(details(importId, progress));
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof ticketImport>(importId);
  } while (progress.state === 'RUNNING');
}

function details(importId: string, progress: ImportProgress): string {
  if (!progress.found) return `There is no import \`${importId}\`.`;
  const percent = progress.bytes === 0 ? 100 : Math.floor((100 * progress.position) / progress.bytes);
  return [
    `Import \`${importId}\` of tickets: **${progress.state}**`,
    '',
    '| lines read | of the file | tickets made | known already | bad lines |',
    '| --- | --- | --- | --- | --- |',
    `| ${progress.line} | ${percent} % | ${progress.created} | ${progress.known} | ${progress.bad} |`,
  ].join('\n');
}

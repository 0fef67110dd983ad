import type { TicketView } from '#activities/tickets.ts';

/** The ticket's state in words, for Temporal's UI: ids only, which the API resolves for those who may see them (OPS-4). */
export function ticketDetails(view: TicketView): string {
  if (!view.found) return `There is no ticket ${view.number}.`;
  const lines = [`**Ticket ${view.number}** is ${view.closed ? 'closed' : 'open'}.`, '', `- ${ownerLine(view)}`];
  // The page shows about ten lines: what presses most comes first.
  for (const goal of view.goals ?? []) lines.push(`- ${goal}`);
  lines.push(`- ${waitsFor(view)}`);
  if (view.channelKey !== null) lines.push(`- It came by channel \`${view.channelKey}\`.`);
  return lines.join('\n');
}

function ownerLine(view: TicketView): string {
  if (view.ownerId === null) return `Nobody has it${view.ownerWhy === null ? '' : ` (${view.ownerWhy})`}.`;
  return `User \`${view.ownerId}\` has it${whyTheirs(view.ownerWhy ?? '', `user ${view.ownerId}`)}.`;
}

/** The reason without saying once more whose it is. */
function whyTheirs(why: string, who: string): string {
  const reason = why.startsWith(who) ? why.slice(who.length).trim() : why;
  if (reason === '') return '';
  return reason.startsWith('(') ? ` ${reason}` : `, who ${reason}`;
}

function waitsFor(view: TicketView): string {
  if (view.due === 'decide-owner') return 'Its owner is being decided.';
  if (view.due === 'reach-moment') return 'A deadline has come: who is to know is being told.';
  if (view.nextMomentIso !== null) return view.nextMomentSummary === null ? `It waits until ${view.nextMomentIso}.` : `It waits: ${view.nextMomentSummary}.`;
  if (view.closed) return 'It waits for nothing; a reply or a reopening starts it again.';
  return 'It waits until somebody changes its owner or its status.';
}

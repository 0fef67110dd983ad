import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { TicketView } from '#activities/tickets.ts';
import { SEARCH_ATTRIBUTES } from './contract.ts';

const owner = defineSearchAttributeKey(SEARCH_ATTRIBUTES.owner, SearchAttributeType.KEYWORD);
const status = defineSearchAttributeKey(SEARCH_ATTRIBUTES.ticketStatus, SearchAttributeType.KEYWORD);
const migration = defineSearchAttributeKey(SEARCH_ATTRIBUTES.migrationState, SearchAttributeType.KEYWORD);
const sla = defineSearchAttributeKey(SEARCH_ATTRIBUTES.slaState, SearchAttributeType.KEYWORD);

/** Makes a ticket's owner, status and goals findable; only what has changed, for each costs an event in the history. */
export function showTicket(view: TicketView): void {
  const shown = workflowInfo().typedSearchAttributes;
  const changes = [];
  if ((shown.get(owner) ?? null) !== view.ownerId) changes.push({ key: owner, value: view.ownerId });
  if ((shown.get(status) ?? null) !== view.statusCategory) changes.push({ key: status, value: view.statusCategory });
  if (view.slaState !== undefined && (shown.get(sla) ?? null) !== view.slaState) changes.push({ key: sla, value: view.slaState });
  if (changes.length > 0) upsertSearchAttributes(changes);
}

/** Makes the state of a move findable, likewise. */
export function showMove(state: string): void {
  if (workflowInfo().typedSearchAttributes.get(migration) !== state) upsertSearchAttributes([{ key: migration, value: state }]);
}

import { createTicket, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { Forbidden } from '#commands/refusals.ts';
import type { ApiContext } from '../../context.ts';
import { PriorityEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { PipelineRef, StatusRef, TicketRef } from '../refs.ts';
import { requireSeen } from '../require.ts';

const ticket = ({ ticketId }: { readonly ticketId: string }, { load }: ApiContext) => load.ticket.load(ticketId);

mutation('createTicket', {
  description: 'Makes a ticket without a conversation; it shows in the help desk and waits for triage. The viewer must have access to the help desk.',
  type: TicketRef,
  input: (t) => ({
    name: t.string({ required: true, description: 'Its name.' }),
    description: t.string({ description: 'What it is about.' }),
    pipelineId: t.globalID({ for: [PipelineRef], description: 'Its pipeline; none: the first, or that of the status.' }),
    statusId: t.globalID({ for: [StatusRef], description: 'Its status; none: the first open one.' }),
    priority: t.field({ type: PriorityEnum, description: 'How pressing it is; none: MEDIUM.' }),
    properties: t.field({ type: 'JSONObject', description: 'Its custom properties.' }),
  }),
  work: async (input, { unit, visible }) => {
    if (visible.helpDeskId === null) throw new Forbidden('access to the help desk');
    return createTicket(unit, {
      name: input.name,
      description: input.description ?? null,
      pipelineId: input.pipelineId?.id ?? null,
      statusId: input.statusId?.id ?? null,
      priority: input.priority ?? null,
      properties: input.properties ?? null,
      source: 'API',
    });
  },
  read: ticket,
});

mutation('setTicketStatus', {
  description: 'Sets a ticket’s status, of any pipeline. Crossing between open and closed takes its conversation along.',
  type: TicketRef,
  input: (t) => ({
    ticketId: t.globalID({ for: [TicketRef], required: true, description: 'Which ticket.' }),
    statusId: t.globalID({ for: [StatusRef], required: true, description: 'Its new status.' }),
  }),
  work: async ({ ticketId, statusId }, { unit, visible, context }) => {
    await requireSeen(unit.tx, visible, 'ticket', ticketId.id);
    return setTicketStatus(unit, { ticketId: ticketId.id, statusId: statusId.id }, context.deps.plugins);
  },
  read: ticket,
});

mutation('setTicketPriority', {
  description: 'Sets how pressing a ticket is.',
  type: TicketRef,
  input: (t) => ({
    ticketId: t.globalID({ for: [TicketRef], required: true, description: 'Which ticket.' }),
    priority: t.field({ type: PriorityEnum, required: true, description: 'Its new priority.' }),
  }),
  work: async ({ ticketId, priority }, { unit, visible }) => {
    await requireSeen(unit.tx, visible, 'ticket', ticketId.id);
    return setTicketPriority(unit, { ticketId: ticketId.id, priority });
  },
  read: ticket,
});

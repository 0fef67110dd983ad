import { sql } from 'kysely';
import { builder } from '../builder.ts';
import type { ApiContext } from '../context.ts';
import type { PageArguments } from '../page.ts';
import { promised } from '../promised.ts';
import type { TicketRow } from '../rows.ts';
import { CategoryEnum, ListOrderEnum, PriorityEnum, RunningStateEnum, SubjectAbsenceEnum, ThreadAbsenceEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import {
  ChannelRef,
  ContactRef,
  ConversationRef,
  DecisionConnection,
  DecisionRef,
  EventConnection,
  EventRef,
  PipelineRef,
  StatusRef,
  TeamRef,
  TicketConnection,
  TicketRef,
  UserRef,
} from './refs.ts';

builder.node(TicketRef, {
  description: 'The unit of help-desk work. Seen where its conversation lives; without a conversation, in the help desk.',
  id: { resolve: (ticket) => ticket.id },
  loadOne: async (id, context) => concerning(await context.load.ticket.load(id), context),
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'Its number, for people; unique, ascending, never changes.' }),
    name: t.exposeString('name', { description: 'Its name.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is about; null: nobody wrote it down.' }),
    pipeline: t.field({
      type: PipelineRef,
      description: 'Its pipeline.',
      resolve: async (ticket, _args, { load }) => promised(await load.pipeline.load(ticket.pipeline_id)),
    }),
    status: t.field({
      type: StatusRef,
      description: 'Its status in that pipeline.',
      resolve: async (ticket, _args, { load }) => promised(await load.status.load(ticket.status_id)),
    }),
    priority: t.field({ type: PriorityEnum, description: 'How pressing it is.', resolve: (ticket) => ticket.priority }),
    owner: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who it is assigned to, the same as its conversation’s; null: unassigned.',
      resolve: (ticket, _args, { load }) => (ticket.owner_id === null ? null : load.user.load(ticket.owner_id)),
    }),
    team: t.field({
      type: TeamRef,
      nullable: true,
      description: 'The team it was given to, else its owner’s primary team; null: neither.',
      resolve: async (ticket, _args, { load }) => {
        if (ticket.team_id !== null) return load.team.load(ticket.team_id);
        if (ticket.owner_id === null) return null;
        const primary = (await load.membershipsOf.load(ticket.owner_id)).find((one) => one.kind === 'PRIMARY');
        return primary === undefined ? null : load.team.load(primary.team_id);
      },
    }),
    source: t.exposeString('source', { description: 'Where it came from: a channel’s key, or API, IMPORT, INTEGRATION, WORKFLOW.' }),
    properties: t.field({ type: 'JSONObject', description: 'Its custom properties.', resolve: (ticket) => ticket.properties }),
    thread: t.field({
      type: ConversationRef,
      nullable: true,
      description: 'Its conversation; null: `threadAbsentBecause` says why.',
      resolve: (ticket, _args, { load }) => (ticket.conversation_id === null ? null : load.conversation.load(ticket.conversation_id)),
    }),
    threadAbsentBecause: t.field({
      type: ThreadAbsenceEnum,
      nullable: true,
      description: 'Why it has no thread; null: it has one.',
      resolve: (ticket) => (ticket.conversation_id === null ? 'NO_CONVERSATION' : null),
    }),
    subject: t.string({
      nullable: true,
      description: 'The subject of its conversation; null: `subjectAbsentBecause` says why.',
      resolve: async (ticket, _args, { load }) =>
        ticket.conversation_id === null ? null : promised(await load.conversation.load(ticket.conversation_id)).subject,
    }),
    subjectAbsentBecause: t.field({
      type: SubjectAbsenceEnum,
      nullable: true,
      description: 'Why there is no subject; null: there is one.',
      resolve: async (ticket, _args, { load }) => {
        if (ticket.conversation_id === null) return 'NO_CONVERSATION';
        return promised(await load.conversation.load(ticket.conversation_id)).subject === null ? 'CONVERSATION_HAS_NONE' : null;
      },
    }),
    channel: t.field({
      type: ChannelRef,
      nullable: true,
      description: 'The current channel of its conversation; null: no conversation, or the viewer may not see that channel.',
      resolve: async (ticket, _args, { load }) =>
        ticket.conversation_id === null ? null : load.channel.load(promised(await load.conversation.load(ticket.conversation_id)).channel_id),
    }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'The contact of its conversation; null: no conversation, or the sender could not be told.',
      resolve: async (ticket, _args, { load }) => {
        if (ticket.conversation_id === null) return null;
        const { contact_id } = promised(await load.conversation.load(ticket.conversation_id));
        return contact_id === null ? null : load.contact.load(contact_id);
      },
    }),
    linkedTicket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The closed ticket this one goes on from; null: none, or not to be seen.',
      resolve: (ticket, _args, { load }) => (ticket.linked_ticket_id === null ? null : load.ticket.load(ticket.linked_ticket_id)),
    }),
    routingDecisionPending: t.boolean({
      description: 'Whether automatic routing is still to decide.',
      resolve: (ticket) => ticket.route_pending_since !== null,
    }),
    createdAt: t.field({ type: 'DateTime', description: 'When it was made.', resolve: (ticket) => ticket.created_at }),
    closedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was closed; null: it is open.', resolve: (ticket) => ticket.closed_at }),
    timeline: t.connection(
      {
        type: EventRef,
        description: 'What happened to it and to its conversation: who, when and why, the oldest first.',
        resolve: (ticket, args, { load, db }) =>
          load.nestedPage('ticket.timeline', ticket.id, args, ORDERS.event, (parent) =>
            db
              .selectFrom('event')
              .selectAll('event')
              .where(sql<boolean>`(event.ticket_id = ${parent} or event.conversation_id = (select k.conversation_id from ticket k where k.id = ${parent}))`)
              .where('event.kind', '<>', 'NOTIFIED'),
          ),
      },
      EventConnection,
    ),
    routingDecisions: t.connection(
      {
        type: DecisionRef,
        description: 'Its automatic routing decisions with their explanations, the newest first.',
        resolve: (ticket, args, { load, db }) =>
          load.nestedPage('ticket.decisions', ticket.id, args, ORDERS.decision, (parent, visible) =>
            db.selectFrom('routing_decision').selectAll('routing_decision').where('routing_decision.ticket_id', '=', parent).where(visible.routing_decision),
          ),
      },
      DecisionConnection,
    ),
  }),
});

const FilterInput = builder.inputType('TicketFilter', {
  description: 'Which tickets; what is given must hold all together.',
  fields: (t) => ({
    unassigned: t.boolean({ description: 'true: only those nobody owns; false: only those somebody owns.' }),
    ownerId: t.globalID({ for: [UserRef], description: 'Only this user’s.' }),
    teamId: t.globalID({ for: [TeamRef], description: 'Only what was given to this team.' }),
    statusCategory: t.field({ type: CategoryEnum, description: 'Only open or only closed ones.' }),
    statusId: t.globalID({ for: [StatusRef], description: 'Only those of this status.' }),
    pipelineId: t.globalID({ for: [PipelineRef], description: 'Only those of this pipeline.' }),
    priority: t.field({ type: PriorityEnum, description: 'Only those of this priority.' }),
    channelId: t.globalID({ for: [ChannelRef], description: 'Only those whose conversation’s current channel this is.' }),
    hasThread: t.boolean({ description: 'true: only those with a conversation; false: only those without.' }),
    slaState: t.field({ type: RunningStateEnum, description: 'Only those whose most pressing running SLA goal stands like this.' }),
  }),
});

interface TicketFilterValue {
  readonly unassigned?: boolean | null | undefined;
  readonly ownerId?: { readonly id: string } | null | undefined;
  readonly teamId?: { readonly id: string } | null | undefined;
  readonly statusCategory?: 'OPEN' | 'CLOSED' | null | undefined;
  readonly statusId?: { readonly id: string } | null | undefined;
  readonly pipelineId?: { readonly id: string } | null | undefined;
  readonly priority?: 'LOW' | 'MEDIUM' | 'HIGH' | 'URGENT' | null | undefined;
  readonly channelId?: { readonly id: string } | null | undefined;
  readonly hasThread?: boolean | null | undefined;
  readonly slaState?: SlaRunningState | null | undefined;
}

/** Of a ticket's running goals the first of these counts. */
const MOST_PRESSING = ['OVERDUE', 'DUE_SOON', 'ACTIVE', 'PAUSED'] as const;
type SlaRunningState = (typeof MOST_PRESSING)[number];

function mostPressingIs(state: SlaRunningState) {
  const running = (states: readonly string[]) =>
    sql<boolean>`exists (select from sla_goal g where g.ticket_id = ticket.id and g.ended_at is null and g.state = any(${[...states]}::text[]))`;
  const above = MOST_PRESSING.slice(0, MOST_PRESSING.indexOf(state));
  return sql<boolean>`(${running([state])} and not ${running(above)})`;
}

/** The help desk's list: tickets whose conversation lives in the help desk, and tickets with no conversation (MODEL-9). */
export async function ticketList({ load, db, see, concerned }: ApiContext, args: PageArguments, filter: TicketFilterValue, newestFirst = false) {
  const visible = await see();
  if (visible.helpDeskId !== null) concerned.places.add(visible.helpDeskId);
  let query = db.selectFrom('ticket').leftJoin('conversation', 'conversation.id', 'ticket.conversation_id').selectAll('ticket').where(visible.helpDeskTicket);
  if (filter.unassigned != null) query = query.where('ticket.owner_id', filter.unassigned ? 'is' : 'is not', null);
  if (filter.ownerId != null) query = query.where('ticket.owner_id', '=', filter.ownerId.id);
  if (filter.teamId != null) query = query.where('ticket.team_id', '=', filter.teamId.id);
  if (filter.statusCategory != null) query = query.where('ticket.closed_at', filter.statusCategory === 'OPEN' ? 'is' : 'is not', null);
  if (filter.statusId != null) query = query.where('ticket.status_id', '=', filter.statusId.id);
  if (filter.pipelineId != null) query = query.where('ticket.pipeline_id', '=', filter.pipelineId.id);
  if (filter.priority != null) query = query.where('ticket.priority', '=', filter.priority);
  if (filter.channelId != null) query = query.where('conversation.channel_id', '=', filter.channelId.id);
  if (filter.hasThread != null) query = query.where('ticket.conversation_id', filter.hasThread ? 'is not' : 'is', null);
  if (filter.slaState != null) query = query.where(mostPressingIs(filter.slaState));
  return load.page(args, { ...ORDERS.ticket, descending: newestFirst }, query);
}

builder.queryField('tickets', (t) =>
  t.connection(
    {
      type: TicketRef,
      description:
        'The help desk’s tickets: those whose conversation lives in the help desk, and those with no conversation. Tickets of inbox conversations are reached from these. Unassigned ones, oldest first, are the triage list.',
      args: {
        filter: t.arg({ type: FilterInput, description: 'Which ones; none: all.' }),
        order: t.arg({ type: ListOrderEnum, defaultValue: 'OLDEST_FIRST', description: 'By when they were made.' }),
      },
      resolve: (_root, args, context) => ticketList(context, args, args.filter ?? {}, args.order === 'NEWEST_FIRST'),
    },
    TicketConnection,
  ),
);

builder.queryField('ticketByNumber', (t) =>
  t.field({
    type: TicketRef,
    nullable: true,
    description: 'The ticket with this number, wherever it lives; null where there is none or the viewer may not see it.',
    args: { number: t.arg.int({ required: true, description: 'Its number.' }) },
    resolve: async (_root, { number }, context) => concerning(await context.load.ticketByNumber.load(number), context),
  }),
);

/** Whoever asks for one ticket is active in its place (ROUTE-9). */
function concerning(ticket: TicketRow | null, { concerned }: ApiContext): TicketRow | null {
  if (ticket !== null) concerned.tickets.add(ticket.id);
  return ticket;
}

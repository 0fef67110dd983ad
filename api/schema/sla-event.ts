import { CursorTooOld, NotFound } from '#commands/refusals.ts';
import type { GoalKind, GoalState } from '#domain/sla.ts';
import { builder } from '../builder.ts';
import { positionOf, writeCursor } from '../feed.ts';
import type { EventRow } from '../rows.ts';
import { GoalKindEnum, GoalStateEnum } from './enums.ts';
import { EventRef, TicketRef } from './refs.ts';
import { AFTER, begin, items, unwrap } from './subscription.ts';

/** What an event says of a goal. */
interface SlaEvent {
  readonly event: EventRow;
  readonly goal: GoalKind;
  readonly round: number;
  readonly from: GoalState | null;
  readonly state: GoalState;
  readonly dueAt: Date | null;
  readonly overdueAt: Date | null;
}

const SlaEventRef = builder.objectRef<SlaEvent>('SlaEvent').implement({
  description: 'A goal of a ticket has another state or deadline.',
  fields: (t) => ({
    cursor: t.string({ description: 'Given as `after`, the stream goes on behind this item.', resolve: ({ event }) => writeCursor(positionOf(event)) }),
    event: t.field({ type: EventRef, description: 'What happened.', resolve: ({ event }) => event }),
    ticket: t.field({
      type: TicketRef,
      nullable: true,
      description: 'The ticket as it is now; null only while access is being taken away.',
      resolve: ({ event }, _args, { load }) => (event.ticket_id === null ? null : load.ticket.load(event.ticket_id)),
    }),
    goal: t.field({ type: GoalKindEnum, description: 'Which goal.', resolve: ({ goal }) => goal }),
    round: t.exposeInt('round', { description: 'Which of its kind on this ticket, from 1.' }),
    before: t.field({
      type: GoalStateEnum,
      nullable: true,
      description: 'How it stood before; the same as `state`: only its deadline or its policy is another. Null: it has just begun.',
      resolve: ({ from }) => from,
    }),
    state: t.field({ type: GoalStateEnum, description: 'How it stood then.', resolve: ({ state }) => state }),
    dueAt: t.field({ type: 'DateTime', nullable: true, description: 'Its deadline then; null: no time counted.', resolve: ({ dueAt }) => dueAt }),
    overdueAt: t.field({ type: 'DateTime', nullable: true, description: 'The deadline that had passed; null: none.', resolve: ({ overdueAt }) => overdueAt }),
  }),
});

builder.subscriptionField('slaEvents', (t) =>
  t.field({
    type: SlaEventRef,
    description: 'SLA goals of one ticket, or of all that the viewer sees, as they become due soon and overdue.',
    errors: { types: [CursorTooOld, NotFound], union: { name: 'SlaEventsItem', description: 'A change of a goal, or why there are none.' } },
    args: {
      ticketId: t.arg.globalID({ for: [TicketRef], description: 'Only of this one; none: of all that the viewer sees.' }),
      kinds: t.arg({ type: [GoalKindEnum], description: 'Only goals of these kinds; none: of all.' }),
      states: t.arg({ type: [GoalStateEnum], defaultValue: ['DUE_SOON', 'OVERDUE'], description: 'Only what comes to stand like this.' }),
      after: t.arg.string({ description: AFTER }),
    },
    subscribe: (_root, { ticketId, kinds, states, after }, context) => {
      const id = ticketId?.id ?? null;
      const isWanted = ({ goal, state }: SlaEvent) => (kinds?.includes(goal) ?? true) && (states?.includes(state) ?? true);
      return items(
        () => begin(context, after, id === null ? null : { what: 'ticket', id }, (event) => event.kind === CHANGED && (id === null || event.ticket_id === id)),
        (event) => {
          const told = slaEventOf(event);
          return told !== null && isWanted(told) ? told : null;
        },
      );
    },
    resolve: (item) => unwrap(item),
  }),
);

const CHANGED = 'SLA_GOAL_CHANGED';
const KINDS: readonly string[] = ['FIRST_REPLY', 'NEXT_REPLY', 'CLOSE'] satisfies GoalKind[];
const STATES: readonly string[] = ['ACTIVE', 'DUE_SOON', 'OVERDUE', 'PAUSED', 'COMPLETED_ON_TIME', 'COMPLETED_LATE', 'CANCELLED'] satisfies GoalState[];

/** As the event has it in its data; null: it is about no goal. */
function slaEventOf(event: EventRow): SlaEvent | null {
  const { goal, round, from, to, dueAt, overdueAt } = event.data;
  if (event.kind !== CHANGED || !isKind(goal) || !isState(to)) return null;
  return { event, goal, round: Number(round), from: isState(from) ? from : null, state: to, dueAt: moment(dueAt), overdueAt: moment(overdueAt) };
}

function isKind(value: unknown): value is GoalKind {
  return typeof value === 'string' && KINDS.includes(value);
}

function isState(value: unknown): value is GoalState {
  return typeof value === 'string' && STATES.includes(value);
}

function moment(value: unknown): Date | null {
  return typeof value === 'string' ? new Date(value) : null;
}

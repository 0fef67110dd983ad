import type { Tx } from '#db/database.ts';
import { NotFound } from './refusals.ts';
import type { Unit } from './unit.ts';

/** A conversation, a ticket, or a joined pair of them. */
export type SubjectRef = { readonly conversationId: string } | { readonly ticketId: string };

/** The pair as it stands under its locks; a ticket without a conversation has null there, and the reverse. */
export interface Subject {
  readonly conversationId: string | null;
  readonly ticketId: string | null;
  readonly ticketNumber: number | null;
  /** Of the one row it stands in (MODEL-2). */
  readonly ownerId: string | null;
  readonly teamId: string | null;
  readonly routePendingSince: Date | null;
  /** Since when it waits because nobody was free; null: it does not (ROUTE-13). */
  readonly nobodyFreeSince: Date | null;
  readonly open: boolean;
  readonly conversationOpen: boolean | null;
  readonly pipelineId: string | null;
  readonly statusId: string | null;
  readonly priority: string | null;
  /** Where it lives; the help desk for a ticket without a conversation. */
  readonly placeId: string;
  readonly channelId: string | null;
  readonly channelKey: string | null;
  readonly plugin: string | null;
}

/** Locks conversation, then ticket, and reads both. Throws `NotFound`. */
export async function lockSubject(tx: Tx, ref: SubjectRef): Promise<Subject> {
  let ticketId = 'ticketId' in ref ? ref.ticketId : null;
  let conversationId = 'conversationId' in ref ? ref.conversationId : null;
  if (ticketId !== null) {
    const found = await tx.selectFrom('ticket').select('conversation_id').where('id', '=', ticketId).executeTakeFirst();
    if (found === undefined) throw new NotFound('ticket', ticketId);
    conversationId = found.conversation_id;
  }
  // Locked by itself: in one statement with the channel, one that got another channel while the lock was waited for would not be found.
  if (conversationId !== null) await tx.selectFrom('conversation').select('id').where('id', '=', conversationId).forNoKeyUpdate().execute();
  const conversation =
    conversationId === null
      ? undefined
      : await tx
          .selectFrom('conversation')
          .innerJoin('channel', 'channel.id', 'conversation.channel_id')
          .select([
            'conversation.id',
            'conversation.ticket_id',
            'conversation.owner_id',
            'conversation.team_id',
            'conversation.status',
            'conversation.route_pending_since',
            'conversation.nobody_free_since',
            'conversation.place_id',
            'channel.id as channel_id',
            'channel.key',
            'channel.plugin',
          ])
          .where('conversation.id', '=', conversationId)
          .executeTakeFirst();
  if (conversationId !== null && conversation === undefined) throw new NotFound('conversation', conversationId);
  ticketId = conversation?.ticket_id ?? ticketId;
  const ticket =
    ticketId === null ? undefined : await tx.selectFrom('ticket').selectAll().where('id', '=', ticketId).forNoKeyUpdate().executeTakeFirstOrThrow();
  const holder = ticket ?? conversation;
  if (holder === undefined) throw new NotFound('conversation', conversationId ?? '');
  return {
    conversationId: conversation?.id ?? null,
    ticketId: ticket?.id ?? null,
    ticketNumber: ticket?.number ?? null,
    ownerId: holder.owner_id,
    teamId: holder.team_id,
    routePendingSince: holder.route_pending_since,
    nobodyFreeSince: holder.nobody_free_since,
    open: ticket === undefined ? conversation?.status === 'OPEN' : ticket.closed_at === null,
    conversationOpen: conversation === undefined ? null : conversation.status === 'OPEN',
    pipelineId: ticket?.pipeline_id ?? null,
    statusId: ticket?.status_id ?? null,
    priority: ticket?.priority ?? null,
    placeId: conversation?.place_id ?? (await helpDeskId(tx)),
    channelId: conversation?.channel_id ?? null,
    channelKey: conversation?.key ?? null,
    plugin: conversation?.plugin ?? null,
  };
}

/** The one help desk. */
export async function helpDeskId(tx: Tx): Promise<string> {
  const { id } = await tx.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  return id;
}

/** The ids an event of this subject carries. */
export function subjectIds(subject: Subject): { conversationId: string | null; ticketId: string | null; channelId: string | null; placeId: string } {
  return { conversationId: subject.conversationId, ticketId: subject.ticketId, channelId: subject.channelId, placeId: subject.placeId };
}

/** Lets the ticket's workflow look again: what it waits for, or what its details show, has changed. */
export function wakeTicket(unit: Unit, subject: Subject): void {
  if (subject.ticketNumber === null) return;
  unit.wake({ kind: 'ticket', number: subject.ticketNumber, channelKey: subject.channelKey, plugin: subject.plugin });
}

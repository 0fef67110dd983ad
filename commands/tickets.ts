import type { Plugin } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import type { Priority, StatusCategory } from '#db/schema.ts';
import { newId } from '#db/ids.ts';
import { lockChannelShared } from '#db/locks.ts';
import { explainInWords, type StoredExplanation } from '#domain/routing-words.ts';
import { onClose, reopeningStatus } from './automation.ts';
import { endRuns } from './chatflow-ends.ts';
import { holdContactOf } from './contacts.ts';
import { conversationName } from './migration-conversations.ts';
import { requireName } from './names.ts';
import { InvalidInput, NotFound, NotPossible } from './refusals.ts';
import { noteChannels, noteFreed } from './routing-retry.ts';
import { helpDeskId, lockSubject, subjectIds, wakeTicket, type Subject, type SubjectRef } from './subjects.ts';
import { transcriptOnClose } from './transcripts.ts';
import type { Unit } from './unit.ts';

export interface NewTicket {
  readonly name: string;
  readonly description?: string | null;
  /** Both or neither; without them the first pipeline and its first open status. */
  readonly pipelineId?: string | null;
  readonly statusId?: string | null;
  readonly priority?: Priority | null;
  readonly properties?: Readonly<Record<string, unknown>> | null;
  readonly source: 'API' | 'IMPORT' | 'INTEGRATION' | 'WORKFLOW';
}

/** A ticket from an outside channel: it has no conversation, shows in the help desk, and waits for triage (MODEL-8, MODEL-9). */
export async function createTicket(unit: Unit, input: NewTicket): Promise<{ ticketId: string }> {
  const name = requireName(input.name);
  const status = await resolveStatus(unit.tx, input.pipelineId ?? null, input.statusId ?? null);
  const placeId = await helpDeskId(unit.tx);
  const closed = status.category === 'CLOSED';
  const ticket = await unit.tx
    .insertInto('ticket')
    .values({
      id: newId(),
      name,
      description: input.description ?? null,
      pipeline_id: status.pipeline_id,
      status_id: status.id,
      priority: input.priority ?? 'MEDIUM',
      properties: JSON.stringify(input.properties ?? {}),
      source: input.source,
      closed_at: closed ? sql<Date>`now()` : null,
      route_pending_since: closed ? null : sql<Date>`now()`,
    })
    .returning(['id', 'number'])
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'TICKET_CREATED', ticketId: ticket.id, placeId, why: input.source });
  unit.wake({ kind: 'ticket', number: ticket.number, channelKey: null, plugin: null });
  return { ticketId: ticket.id };
}

/** Makes the ticket of an inbox conversation by its channel's ticket defaults; owner and open decision go over to it (CH-1, MODEL-2). */
export async function makeTicket(unit: Unit, input: { readonly conversationId: string }, why = 'BY_HAND'): Promise<{ ticketId: string }> {
  const { tx } = unit;
  const subject = await lockSubject(tx, input);
  if (subject.ticketId !== null) throw new NotPossible('HAS_TICKET');
  const { rows } = await sql<{ id: string; number: number }>`
    insert into ticket (id, conversation_id, name, pipeline_id, status_id, priority, properties, source, owner_id, team_id, route_pending_since, closed_at,
      nobody_free_since, nobody_free_pool)
    select ${newId()}, c.id, ${conversationName('c')},
      h.default_pipeline_id, s.id, h.default_priority, h.default_properties, h.key, c.owner_id, c.team_id, c.route_pending_since, c.closed_at,
      c.nobody_free_since, c.nobody_free_pool
    from conversation c join channel h on h.id = c.channel_id
    join lateral (
      select s.id from ticket_status s where s.pipeline_id = h.default_pipeline_id
        and (s.category = 'CLOSED') = (c.status = 'CLOSED') order by s.id <> h.default_status_id, s.position limit 1
    ) s on true
    where c.id = ${input.conversationId}
    returning id, number`.execute(tx);
  const ticket = rows[0];
  if (ticket === undefined) throw new NotFound('conversation', input.conversationId);
  await tx
    .updateTable('conversation')
    .set({ ticket_id: ticket.id, owner_id: null, team_id: null, route_pending_since: null, nobody_free_since: null, nobody_free_pool: null })
    .where('id', '=', input.conversationId)
    .execute();
  unit.record({ kind: 'TICKET_CREATED', ...subjectIds(subject), ticketId: ticket.id, why });
  unit.wake({ kind: 'ticket', number: ticket.number, channelKey: subject.channelKey, plugin: subject.plugin });
  return { ticketId: ticket.id };
}

/** Sets a status of any pipeline; crossing between open and closed takes the conversation along (MODEL-13). */
export async function setTicketStatus(
  unit: Unit,
  input: { readonly ticketId: string; readonly statusId: string },
  plugins: readonly Plugin[] = [],
): Promise<{ ticketId: string }> {
  await lockForClosing(unit.tx, input);
  const subject = await lockSubject(unit.tx, { ticketId: input.ticketId });
  const status = await unit.tx.selectFrom('ticket_status').selectAll().where('id', '=', input.statusId).executeTakeFirst();
  if (status === undefined) throw new NotFound('ticket status', input.statusId);
  await moveToStatus(unit, subject, status, 'BY_HAND', plugins);
  return { ticketId: input.ticketId };
}

/** Closes a conversation with its ticket, or a ticket alone; doing it twice changes nothing (MODEL-13). `plugins` say what closing has the channel do. */
export async function close(unit: Unit, ref: SubjectRef, why = 'BY_HAND', plugins: readonly Plugin[] = []): Promise<Subject> {
  await lockForClosing(unit.tx, ref);
  return setOpen(unit, ref, false, why, plugins);
}

/** Closing may write to the contact: the channel, shared, and the contact come before the conversation. Should the channel change in between, the outbox finds out whether it can send. */
async function lockForClosing(tx: Tx, ref: SubjectRef): Promise<void> {
  const query = tx.selectFrom('conversation').select(['id', 'channel_id']);
  const row = await ('ticketId' in ref ? query.where('ticket_id', '=', ref.ticketId) : query.where('id', '=', ref.conversationId)).executeTakeFirst();
  if (row === undefined) return;
  await lockChannelShared(tx, row.channel_id);
  await holdContactOf(tx, row.id);
}

/** Reopens likewise; `CONTACT_WROTE` gives the status that the channel names for it. */
export async function reopen(unit: Unit, ref: SubjectRef, why = 'BY_HAND'): Promise<Subject> {
  return setOpen(unit, ref, true, why, []);
}

export async function setTicketPriority(
  unit: Unit,
  input: { readonly ticketId: string; readonly priority: Priority },
  why = 'BY_HAND',
): Promise<{ ticketId: string }> {
  const subject = await lockSubject(unit.tx, { ticketId: input.ticketId });
  if (subject.priority !== input.priority) {
    await unit.tx
      .updateTable('ticket')
      .set((eb) => ({ priority: input.priority, version: eb('version', '+', 1) }))
      .where('id', '=', input.ticketId)
      .execute();
    unit.record({ kind: 'PRIORITY_CHANGED', ...subjectIds(subject), why, data: { from: subject.priority, to: input.priority } });
  }
  return { ticketId: input.ticketId };
}

async function setOpen(unit: Unit, ref: SubjectRef, open: boolean, why: string, plugins: readonly Plugin[]): Promise<Subject> {
  const subject = await lockSubject(unit.tx, ref);
  if (subject.open === open) return subject;
  if (subject.ticketId === null) {
    await setConversationOpen(unit, subject, open, why, plugins);
    return subject;
  }
  const named = why === 'CONTACT_WROTE' ? await reopeningStatus(unit.tx, subject) : undefined;
  // Else the first status of that category in the ticket's own pipeline (MODEL-13).
  const first = unit.tx
    .selectFrom('ticket_status')
    .selectAll()
    .where('pipeline_id', '=', subject.pipelineId)
    .where('category', '=', open ? 'OPEN' : 'CLOSED')
    .orderBy('position')
    .limit(1);
  await moveToStatus(unit, subject, named ?? (await first.executeTakeFirstOrThrow()), why, plugins);
  return subject;
}

interface StatusRow {
  readonly id: string;
  readonly pipeline_id: string;
  readonly category: StatusCategory;
}

async function moveToStatus(unit: Unit, subject: Subject, status: StatusRow, why: string, plugins: readonly Plugin[]): Promise<void> {
  if (subject.ticketId === null || subject.statusId === status.id) return;
  const closed = status.category === 'CLOSED';
  await unit.tx
    .updateTable('ticket')
    .set((eb) => ({
      status_id: status.id,
      pipeline_id: status.pipeline_id,
      closed_at: closed ? sql<Date>`coalesce(closed_at, now())` : null,
      // What is closed waits for nobody.
      ...(closed ? { route_pending_since: null } : {}),
      version: eb('version', '+', 1),
    }))
    .where('id', '=', subject.ticketId)
    .execute();
  unit.record({ kind: 'STATUS_CHANGED', ...subjectIds(subject), why, data: { from: subject.statusId, to: status.id, category: status.category } });
  if (closed && subject.open && subject.ownerId !== null) await noteFreed(unit, [subject.ownerId]);
  if (!closed && !subject.open) await noteWaitsAgain(unit, subject);
  wakeTicket(unit, subject);
  if (subject.conversationId !== null && subject.conversationOpen === closed) await setConversationOpen(unit, subject, !closed, why, plugins);
}

async function setConversationOpen(unit: Unit, subject: Subject, open: boolean, why: string, plugins: readonly Plugin[]): Promise<void> {
  await unit.tx
    .updateTable('conversation')
    .set((eb) => ({
      status: open ? 'OPEN' : 'CLOSED',
      closed_at: open ? null : sql<Date>`now()`,
      ...(open ? {} : { route_pending_since: null }),
      version: eb('version', '+', 1),
    }))
    .where('id', '=', subject.conversationId ?? '')
    .execute();
  // With a ticket the ticket's own event tells it.
  if (subject.ticketId === null) {
    unit.record({ kind: 'STATUS_CHANGED', ...subjectIds(subject), why, data: { category: open ? 'OPEN' : 'CLOSED' } });
    if (!open && subject.ownerId !== null) await noteFreed(unit, [subject.ownerId]);
    if (open) await noteWaitsAgain(unit, subject);
  }
  if (open) return;
  if (subject.conversationId !== null) await endRuns(unit, [subject.conversationId], 'ENDED', 'CLOSED');
  await onClose(unit, subject, plugins);
  await transcriptOnClose(unit, plugins, subject);
}

/** Who became free while it was closed was not asked about it (ROUTE-13). */
async function noteWaitsAgain(unit: Unit, { nobodyFreeSince, channelId }: Subject): Promise<void> {
  if (nobodyFreeSince !== null && channelId !== null) await noteChannels(unit, { channelId });
}

async function resolveStatus(tx: Tx, pipelineId: string | null, statusId: string | null): Promise<StatusRow> {
  if (statusId !== null) {
    const status = await tx.selectFrom('ticket_status').selectAll().where('id', '=', statusId).executeTakeFirst();
    if (status === undefined) throw new NotFound('ticket status', statusId);
    if (pipelineId !== null && status.pipeline_id !== pipelineId) {
      throw new InvalidInput([{ path: 'statusId', message: 'is a status of another pipeline' }]);
    }
    return status;
  }
  const status = await tx
    .selectFrom('ticket_status')
    .innerJoin('pipeline', 'pipeline.id', 'ticket_status.pipeline_id')
    .selectAll('ticket_status')
    .where('ticket_status.category', '=', 'OPEN')
    .$if(pipelineId !== null, (query) => query.where('pipeline.id', '=', pipelineId))
    .orderBy('pipeline.position')
    .orderBy('ticket_status.position')
    .limit(1)
    .executeTakeFirst();
  if (status === undefined) throw new NotFound('pipeline', pipelineId ?? '');
  return status;
}

/** What the ticket's workflow needs to know: ids, codes and moments. */
export interface TicketState {
  readonly number: number;
  readonly ticketId: string;
  readonly conversationId: string | null;
  readonly channelKey: string | null;
  readonly plugin: string | null;
  readonly category: StatusCategory;
  readonly statusId: string;
  readonly priority: Priority;
  readonly ownerId: string | null;
  readonly teamId: string | null;
  /** Why the owner has it, or why nobody has: one sentence by ids. */
  readonly ownerWhy: string;
  readonly due: 'DECIDE_OWNER' | null;
  readonly version: number;
}

/** One read of all that the ticket's workflow waits for and shows; undefined: the row is gone. */
export async function readTicketState(db: Db, number: number): Promise<TicketState | undefined> {
  const row = await db
    .selectFrom('ticket')
    .innerJoin('ticket_status', 'ticket_status.id', 'ticket.status_id')
    .leftJoin('conversation', 'conversation.id', 'ticket.conversation_id')
    .leftJoin('channel', 'channel.id', 'conversation.channel_id')
    .select([
      'ticket.number',
      'ticket.id',
      'ticket.conversation_id',
      'ticket.status_id',
      'ticket.priority',
      'ticket.owner_id',
      'ticket.team_id',
      'ticket.route_pending_since',
      'ticket.version',
      'ticket_status.category',
      'channel.key',
      'channel.plugin',
    ])
    .select((eb) => [
      eb
        .selectFrom('routing_decision')
        .select('explanation')
        .whereRef('routing_decision.ticket_id', '=', 'ticket.id')
        .orderBy('id', 'desc')
        .limit(1)
        .as('explanation'),
      eb
        .selectFrom('event')
        .select('why')
        .whereRef('event.ticket_id', '=', 'ticket.id')
        .where('kind', '=', 'OWNER_CHANGED')
        .orderBy('id', 'desc')
        .limit(1)
        .as('why'),
    ])
    .where('ticket.number', '=', number)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    number: row.number,
    ticketId: row.id,
    conversationId: row.conversation_id,
    channelKey: row.key,
    plugin: row.plugin,
    category: row.category,
    statusId: row.status_id,
    priority: row.priority,
    ownerId: row.owner_id,
    teamId: row.team_id,
    ownerWhy: ownerInWords(row.owner_id, row.route_pending_since, row.why, row.explanation),
    due: row.route_pending_since === null ? null : 'DECIDE_OWNER',
    version: row.version,
  };
}

function ownerInWords(ownerId: string | null, pending: Date | null, why: string | null, explanation: StoredExplanation | null): string {
  if (pending !== null) return 'the owner is not decided yet';
  if (why !== null && !DECIDED.has(why)) return ownerId === null ? `nobody (${why})` : `user ${ownerId} (${why})`;
  if (explanation !== null && explanation.ownerId === ownerId) return explainInWords(explanation);
  return ownerId === null ? 'unassigned' : `user ${ownerId}`;
}

/** Why an owner changed, where a stored decision stands behind it. */
const DECIDED: ReadonlySet<string> = new Set(['ROUTED', 'TEAM_MEMBER_PICKED', 'TEAM_NOBODY_ELIGIBLE']);

import type { InboundMessage } from '@trunkline/channel-sdk';
import type { Db } from '#db/database.ts';
import { applyDeliveries } from '#commands/intake.ts';
import { assign } from '#commands/owners.ts';
import { setAccessList } from '#commands/places.ts';
import { startMigration, type MigrationInput } from '#commands/migrations.ts';
import { endMove, walkOn } from '#commands/migration-walk.ts';
import { close, makeTicket } from '#commands/tickets.ts';
import { transact, type ActorRef, type Unit } from '#commands/unit.ts';
import { deliver, inbound, makeUser, plainCapabilities, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';

export const migrationContext = { plugins: [plainPlugin], keys: testKeys };

/** Statuses that a move may name: those of a pipeline of its own, so that they are no defaults. */
export interface Mapping {
  readonly openStatusId: string;
  readonly closedStatusId: string;
  readonly pipelineId: string;
}

export async function makeMapping(db: Db, name = 'Moved'): Promise<Mapping> {
  const { max } = await db
    .selectFrom('pipeline')
    .select((eb) => eb.fn.max('position').as('max'))
    .executeTakeFirstOrThrow();
  const pipeline = await db
    .insertInto('pipeline')
    .values({ name, position: max + 1 })
    .returning('id')
    .executeTakeFirstOrThrow();
  const status = (category: 'OPEN' | 'CLOSED', position: number) =>
    db
      .insertInto('ticket_status')
      .values({ pipeline_id: pipeline.id, name: `${category} moved`, category, position })
      .returning('id')
      .executeTakeFirstOrThrow();
  return { pipelineId: pipeline.id, openStatusId: (await status('OPEN', 1)).id, closedStatusId: (await status('CLOSED', 2)).id };
}

export async function run<T>(db: Db, work: (unit: Unit) => Promise<T>, actor: ActorRef = { actor: 'SYSTEM' }): Promise<T> {
  return (await transact(db, actor, work)).value;
}

export async function superAdmin(db: Db): Promise<string> {
  return makeUser(db, { role: 'SUPER_ADMIN' });
}

/** Gives the help desk's access to these alone. */
export async function onlyThese(db: Db, userIds: readonly string[]): Promise<void> {
  const { id } = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  await run(db, (unit) => setAccessList(unit, { placeId: id, access: { userIds, teamIds: [] } }));
}

export async function begin(db: Db, userId: string, input: MigrationInput): Promise<string> {
  return (await run(db, (unit) => startMigration(unit, migrationContext, input), { actor: 'USER', userId })).migrationId;
}

/** Walks until the move has ended; returns how many steps that took. */
export async function walkToTheEnd(db: Db, migrationId: string): Promise<number> {
  for (let steps = 1; ; steps += 1) {
    const { value } = await walkOn(db, migrationId);
    if (value.state === 'OVER') return steps;
    if (value.state === 'CHECK' && (await endMove(db, migrationId)).value) return steps;
  }
}

export interface Wanted {
  readonly ticket?: boolean;
  readonly closed?: boolean;
  readonly ownerId?: string;
  readonly subject?: string | null;
  readonly text?: string;
}

let counter = 0;

/** A conversation as its life would have made it: a mail comes, somebody gets it, a ticket is made, it is closed. */
export async function conversation(db: Db, channel: MadeChannel, { ticket = false, closed = false, ownerId, subject, text }: Wanted = {}): Promise<string> {
  counter += 1;
  const key = `conversation-${process.pid}-${counter}`;
  const message = inbound(`contact-${counter}@customers.example`, {
    providerMessageId: key,
    ...(subject === undefined ? {} : { subject: subject ?? '' }),
    ...(text === undefined ? {} : { text }),
  });
  await take(db, channel, [message]);
  const { conversation_id: conversationId } = await db.selectFrom('thread_key').select('conversation_id').where('key', '=', key).executeTakeFirstOrThrow();
  if (ownerId !== undefined) await run(db, (unit) => assign(unit, { conversationId }, { userId: ownerId }));
  if (ticket) await run(db, (unit) => makeTicket(unit, { conversationId }));
  if (closed) await run(db, (unit) => close(unit, { conversationId }));
  return conversationId;
}

/** The thread's key, by which a further message comes into it. */
export async function keyOf(db: Db, conversationId: string): Promise<string> {
  return (await db.selectFrom('thread_key').select('key').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow()).key;
}

export async function rowOf(db: Db, conversationId: string) {
  return db
    .selectFrom('conversation')
    .leftJoin('ticket', 'ticket.id', 'conversation.ticket_id')
    .leftJoin('ticket_status', 'ticket_status.id', 'ticket.status_id')
    .select([
      'conversation.place',
      'conversation.status',
      'conversation.ticket_id',
      'conversation.owner_id as conversation_owner',
      'conversation.started_at',
      'conversation.closed_at as conversation_closed_at',
      'conversation.channel_id',
      'ticket.owner_id',
      'ticket.name',
      'ticket.number',
      'ticket.version',
      'ticket.status_id',
      'ticket.pipeline_id',
      'ticket.created_at',
      'ticket.closed_at',
      'ticket.source',
      'ticket.priority',
      'ticket.properties',
      'ticket_status.category',
    ])
    .where('conversation.id', '=', conversationId)
    .executeTakeFirstOrThrow();
}

/** Takes a message in, again while another transaction writes what comes in on the channel: as the intake does. */
export async function arrive(db: Db, channel: MadeChannel, message: InboundMessage): Promise<void> {
  const parsed = await deliver(db, channel, [message]);
  for (;;) {
    const { value } = await applyDeliveries(db, { keys: testKeys, capabilities: plainCapabilities }, channel.id, [parsed]);
    if (!value.busy) return;
  }
}

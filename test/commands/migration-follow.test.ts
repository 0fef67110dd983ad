import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { comment, reply } from '#commands/conversations.ts';
import { followMoves } from '#commands/migration-follow.ts';
import { readReport } from '#commands/migration-report.ts';
import { retryRemainder } from '#commands/migration-walk.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { begin, conversation, keyOf, makeMapping, onlyThese, rowOf, run, superAdmin, walkToTheEnd } from './migration-support.ts';

let database: TestDatabase;
let admin: string;
let agent: string;
let moving: MadeChannel;
let other: MadeChannel;
let migrate: () => Promise<string>;

beforeEach(async () => {
  database = await testDatabase();
  const { db } = database;
  const { openStatusId, closedStatusId } = await makeMapping(db);
  [admin, agent] = await Promise.all([superAdmin(db), makeUser(db)]);
  moving = await makeChannel(db, { place: 'INBOX' });
  other = await makeChannel(db, { place: 'INBOX' });
  migrate = () => begin(db, admin, { channelId: moving.id, history: 'ALL', openStatusId, closedStatusId });
});
afterEach(async () => {
  const broken = (await checkInvariants(database.db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const answer = (conversationId: string, by: MadeChannel, userId = agent) =>
  run(database.db, (unit) => reply(unit, [plainPlugin], { conversationId, text: 'An answer', channelId: by.id }), { actor: 'USER', userId });
const how = async (conversationId: string) =>
  (await database.db.selectFrom('channel_migration_conversation').select('how').where('conversation_id', '=', conversationId).execute()).map((row) => row.how);
/** A conversation of `other` whose contact can be answered by the moving channel too. */
const elsewhere = () => conversation(database.db, other);

describe('while a move runs', () => {
  it('moves a conversation with the message that comes into it, in one transaction [MIG-11]', async () => {
    const { db } = database;
    const id = await conversation(db, moving, { ownerId: agent });
    const migrationId = await migrate();
    const { wakes } = await take(db, moving, [inbound('again@customers.example', { joins: [await keyOf(db, id)] })]);
    const row = await rowOf(db, id);
    expect(row).toMatchObject({ place: 'HELP_DESK', owner_id: agent, ticket_id: expect.any(String) });
    // Its workflow shows it; and who sees the help desk alone sees the message's own event.
    expect(wakes).toContainEqual(expect.objectContaining({ kind: 'ticket', number: row.number }));
    const helpDesk = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
    const newest = await db
      .selectFrom('event')
      .selectAll()
      .where('conversation_id', '=', id)
      .where('kind', '=', 'MESSAGE_RECEIVED')
      .orderBy('id', 'desc')
      .executeTakeFirstOrThrow();
    expect(newest).toMatchObject({ ticket_id: row.ticket_id, place_id: helpDesk.id });
    await walkToTheEnd(db, migrationId);
    expect(await how(id)).toEqual(['PULLED_FORWARD']);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 1, movedWithNewTicket: 1, pulledForward: 1, leftOver: 0 });
  });

  it('moves it with an answer of ours too, and keeps its ticket [MIG-11]', async () => {
    const { db } = database;
    const id = await conversation(db, moving, { ticket: true });
    const before = await rowOf(db, id);
    await migrate();
    await answer(id, moving);
    expect(await rowOf(db, id)).toMatchObject({ place: 'HELP_DESK', ticket_id: before.ticket_id, number: before.number, status_id: before.status_id });
  });

  it('an internal comment moves nothing [MIG-11]', async () => {
    const { db } = database;
    const id = await conversation(db, moving);
    await migrate();
    await run(db, (unit) => comment(unit, { conversationId: id, text: 'Between us' }), { actor: 'USER', userId: agent });
    expect((await rowOf(db, id)).place).toBe('INBOX');
  });

  it('takes along what comes to it from another channel, and leaves what goes to one [MIG-13, MIG-11]', async () => {
    const { db } = database;
    const [comes, goes, stays] = [await elsewhere(), await conversation(db, moving), await conversation(db, moving)];
    const migrationId = await migrate();
    await answer(comes, moving);
    await answer(goes, other);
    await walkToTheEnd(db, migrationId);
    expect([(await rowOf(db, comes)).place, (await rowOf(db, goes)).place, (await rowOf(db, stays)).place]).toEqual(['HELP_DESK', 'INBOX', 'HELP_DESK']);
    expect([await how(comes), await how(goes), await how(stays)]).toEqual([['JOINED'], ['GONE'], ['WALKED']]);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 2, joined: 1, gone: 1, movedWithNewTicket: 2, leftOver: 0 });
  });

  it('counts once what goes and comes back [MIG-21]', async () => {
    const { db } = database;
    const id = await conversation(db, moving);
    const migrationId = await migrate();
    await answer(id, other);
    await answer(id, moving);
    await walkToTheEnd(db, migrationId);
    expect(await how(id)).toEqual(['PULLED_FORWARD']);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 1, joined: 0, gone: 0, movedWithNewTicket: 1 });
  });

  it('keeps the message of a conversation that can not be moved, in the inbox, and lists it [MIG-16]', async () => {
    const { db } = database;
    const id = await conversation(db, moving);
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    await db.updateTable('conversation').set({ subject: 'unmovable' }).where('id', '=', id).execute();
    const migrationId = await migrate();
    await answer(id, moving);
    expect((await rowOf(db, id)).place).toBe('INBOX');
    expect(await db.selectFrom('message').select('id').where('conversation_id', '=', id).execute()).toHaveLength(2);
    await walkToTheEnd(db, migrationId);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 1, movedWithNewTicket: 0, leftOver: 1 });
    // It leaves for another channel: then it is none of the move's any more.
    await answer(id, other);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 0, gone: 1, leftOver: 0 });
  });
});

describe('after a move', () => {
  it('a conversation of an inbox that goes on through the channel follows it to the help desk [MODEL-10]', async () => {
    const { db } = database;
    await onlyThese(db, [admin]);
    const id = await conversation(db, other, { ownerId: agent });
    const migrationId = await migrate();
    await walkToTheEnd(db, migrationId);
    // Whoever has no access to the help desk can not answer through its channels.
    await answer(id, moving, admin);
    expect(await rowOf(db, id)).toMatchObject({ place: 'HELP_DESK' });
    expect(await how(id)).toEqual(['FOLLOWED']);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 0, followed: 1, movedWithNewTicket: 0 });
  });

  it('what follows to nobody is told to those who are told of such, and its owner can have something else, unless it was muted [MIG-17, MODEL-12, ROUTE-13]', async () => {
    const { db } = database;
    const named = await makeUser(db);
    await onlyThese(db, [admin, named]);
    await db
      .updateTable('channel')
      .set({ unassigned_notice_user_ids: [named], retry_when_available: true })
      .where('id', '=', moving.id)
      .execute();
    const [first, second] = [await conversation(db, other, { ownerId: agent }), await conversation(db, other, { ownerId: agent })];
    const migrationId = await migrate();
    await walkToTheEnd(db, migrationId);
    await db.deleteFrom('routing_retry_cause').execute();
    const told = () => db.selectFrom('notification').select(['user_id', 'conversation_id']).where('kind', '=', 'TICKET_UNASSIGNED').execute();
    await answer(first, moving, admin);
    expect(await told()).toEqual([{ user_id: named, conversation_id: first }]);
    expect(await db.selectFrom('routing_retry_cause').select('user_id').execute()).toEqual([{ user_id: agent }]);
    await db.updateTable('channel_migration').set({ muted: true }).where('id', '=', migrationId).execute();
    await answer(second, moving, admin);
    expect((await rowOf(db, second)).place).toBe('HELP_DESK');
    expect(await told()).toHaveLength(1);
  });

  it('of two at once, one that follows and can not be moved and the last that was left over, neither is forgotten [MIG-16]', async () => {
    const { db } = database;
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    const [left, comes] = [await conversation(db, moving), await conversation(db, other)];
    const subject = (id: string, to: string) => db.updateTable('conversation').set({ subject: to }).where('id', '=', id).execute();
    await subject(left, 'unmovable');
    await subject(comes, 'unmovable');
    const migrationId = await migrate();
    await walkToTheEnd(db, migrationId);
    await subject(left, 'movable');
    let following: Promise<unknown> | undefined;
    // What was left over is moved in a transaction that is open while the other comes.
    await run(
      db,
      async (unit) => {
        await reply(unit, [plainPlugin], { conversationId: left, text: 'An answer', channelId: moving.id });
        await followMoves(unit, [{ kind: 'MESSAGE_WRITTEN', conversationId: left }]);
        following = answer(comes, moving, admin);
        await eventually(async () => {
          const { rows } = await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
          expect(rows).toHaveLength(1);
        });
      },
      { actor: 'USER', userId: admin },
    );
    await following;
    expect(await db.selectFrom('channel_migration').select('state').execute()).toEqual([{ state: 'COMPLETED_WITH_REMAINDER' }]);
    expect(await db.selectFrom('channel_migration_remainder').select('conversation_id').execute()).toEqual([{ conversation_id: comes }]);
  });

  it('what follows and can not be moved is listed and tried again like the rest [MIG-16, MODEL-10]', async () => {
    const { db } = database;
    const id = await conversation(db, other);
    const migrationId = await migrate();
    await walkToTheEnd(db, migrationId);
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    await db.updateTable('conversation').set({ subject: 'unmovable' }).where('id', '=', id).execute();
    await answer(id, moving, admin);
    expect((await rowOf(db, id)).place).toBe('INBOX');
    expect(await readReport(db, migrationId)).toMatchObject({ found: 1, leftOver: 1 });
    await db.updateTable('conversation').set({ subject: 'movable' }).where('id', '=', id).execute();
    expect((await retryRemainder(db, migrationId)).value).toEqual({ tried: 1, moved: 1 });
    expect((await rowOf(db, id)).place).toBe('HELP_DESK');
    expect(await db.selectFrom('channel_migration').select('state').execute()).toEqual([{ state: 'COMPLETED' }]);
  });

  it('a mail to the old thread lands on the moved ticket [MIG-22]', async () => {
    const { db } = database;
    const id = await conversation(db, moving);
    const key = await keyOf(db, id);
    await walkToTheEnd(db, await migrate());
    const { ticket_id: ticketId } = await rowOf(db, id);
    await take(db, moving, [inbound('again@customers.example', { joins: [key] })]);
    const messages = await db
      .selectFrom('message')
      .innerJoin('conversation', 'conversation.id', 'message.conversation_id')
      .select('ticket_id')
      .where('conversation.id', '=', id)
      .execute();
    expect(messages).toEqual([{ ticket_id: ticketId }, { ticket_id: ticketId }]);
  });

  it('what goes on through another channel stays where it is [MODEL-10]', async () => {
    const { db } = database;
    const id = await elsewhere();
    await walkToTheEnd(db, await migrate());
    await answer(id, other);
    expect((await rowOf(db, id)).place).toBe('INBOX');
  });
});

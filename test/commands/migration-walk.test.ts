import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { INVARIANTS } from '#db/invariants.ts';
import { lockChannelShared } from '#db/locks.ts';
import { reply } from '#commands/conversations.ts';
import { readReport, recount } from '#commands/migration-report.ts';
import { endMove, retryRemainder, walkOn } from '#commands/migration-walk.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { arrive, begin, conversation, keyOf, makeMapping, onlyThese, rowOf, run, superAdmin, walkToTheEnd, type Mapping } from './migration-support.ts';

let database: TestDatabase;
let mapping: Mapping;
let admin: string;
let inside: string;
let outside: string;
let channel: MadeChannel;

beforeEach(async () => {
  database = await testDatabase();
  const { db } = database;
  mapping = await makeMapping(db);
  [admin, inside, outside] = await Promise.all([superAdmin(db), makeUser(db), makeUser(db)]);
  channel = await makeChannel(db, { place: 'INBOX' });
});
afterEach(() => database.drop());

const all = () => ({ channelId: channel.id, history: 'ALL' as const, openStatusId: mapping.openStatusId, closedStatusId: mapping.closedStatusId });

async function violations(): Promise<string[]> {
  const found: string[] = [];
  for (const { rule, holds, count } of INVARIANTS) {
    const { rows } = await sql.raw<{ violations: number }>(count).execute(database.db);
    if (rows[0]?.violations !== 0) found.push(`${rule}: ${holds}`);
  }
  return found;
}

describe('what becomes of a conversation', () => {
  it('makes a ticket with date, name, status, owner and defaults of a conversation that has none [MIG-9]', async () => {
    const { db } = database;
    await onlyThese(db, [inside, admin]);
    await db
      .updateTable('channel')
      .set({ default_priority: 'HIGH', default_properties: JSON.stringify({ region: 'north' }) })
      .where('id', '=', channel.id)
      .execute();
    const open = await conversation(db, channel, { ownerId: inside, subject: 'The printer burns' });
    const closed = await conversation(db, channel, { ownerId: outside, closed: true, subject: null, text: 'It does not print any more' });
    const before = await rowOf(db, open);
    const closedBefore = await rowOf(db, closed);
    await walkToTheEnd(db, await begin(db, admin, all()));
    expect(await rowOf(db, open)).toMatchObject({
      place: 'HELP_DESK',
      conversation_owner: null,
      owner_id: inside,
      name: 'The printer burns',
      status_id: mapping.openStatusId,
      pipeline_id: mapping.pipelineId,
      created_at: before.started_at,
      closed_at: null,
      source: channel.key,
      priority: 'HIGH',
      properties: { region: 'north' },
    });
    expect(await rowOf(db, closed)).toMatchObject({
      owner_id: null,
      name: 'It does not print any more',
      status_id: mapping.closedStatusId,
      closed_at: closedBefore.conversation_closed_at,
      category: 'CLOSED',
    });
    expect(await violations()).toEqual([]);
  });

  it('leaves a ticket that is there as it is, status and an owner without access too [MIG-9]', async () => {
    const { db } = database;
    await onlyThese(db, [inside, admin]);
    const ids = [await conversation(db, channel, { ticket: true, ownerId: outside }), await conversation(db, channel, { ticket: true, closed: true })];
    const before = await Promise.all(ids.map((id) => rowOf(db, id)));
    await walkToTheEnd(db, await begin(db, admin, all()));
    const after = await Promise.all(ids.map((id) => rowOf(db, id)));
    expect(after).toEqual(before.map((row) => ({ ...row, place: 'HELP_DESK' })));
    expect(await violations()).toEqual([]);
  });

  it('tells of each on its timeline, and of an owner who has lost it [MIG-9, MODEL-7]', async () => {
    const { db } = database;
    await onlyThese(db, [inside, admin]);
    const id = await conversation(db, channel, { ownerId: outside });
    const migrationId = await begin(db, admin, all());
    await walkToTheEnd(db, migrationId);
    const events = await db
      .selectFrom('event')
      .innerJoin('place', 'place.id', 'event.place_id')
      .select(['event.kind', 'why', 'event.actor', 'place.kind as seenIn', 'data'])
      .where('conversation_id', '=', id)
      .where('why', 'in', ['MOVED', 'NO_ACCESS'])
      .execute();
    expect(events.map(({ kind, why, actor, seenIn }) => [kind, why, actor, seenIn]).toSorted()).toEqual([
      ['OWNER_CHANGED', 'NO_ACCESS', 'SYSTEM', 'HELP_DESK'],
      ['PLACE_CHANGED', 'MOVED', 'SYSTEM', 'HELP_DESK'],
      ['TICKET_CREATED', 'MOVED', 'SYSTEM', 'HELP_DESK'],
    ]);
    expect(events.find(({ kind }) => kind === 'OWNER_CHANGED')?.data).toMatchObject({ migrationId, from: outside, to: null });
  });

  it('decides no owner, and fires no automation, because of the move [MIG-9]', async () => {
    const { db } = database;
    const ruled = await makeChannel(db, { place: 'INBOX', rule: { users: [inside] } });
    const id = await conversation(db, ruled, {});
    // As if it had been left to nobody by a person.
    await db.updateTable('conversation').set({ route_pending_since: null }).where('id', '=', id).execute();
    await walkToTheEnd(db, await begin(db, admin, { ...all(), channelId: ruled.id }));
    const ticket = await db.selectFrom('ticket').selectAll().where('conversation_id', '=', id).executeTakeFirstOrThrow();
    expect([ticket.owner_id, ticket.route_pending_since]).toEqual([null, null]);
    expect(await db.selectFrom('routing_decision').selectAll().execute()).toEqual([]);
  });

  it('takes conversations by their current channel, whole [MIG-10]', async () => {
    const { db } = database;
    const other = await makeChannel(db, { place: 'INBOX' });
    const [here, gone, come] = [await conversation(db, channel), await conversation(db, channel), await conversation(db, other)];
    // Its contact goes on by the other channel.
    await take(db, other, [inbound('a@customers.example', { joins: [] })]);
    await db.updateTable('conversation').set({ channel_id: other.id }).where('id', '=', gone).execute();
    await db.updateTable('conversation').set({ channel_id: channel.id }).where('id', '=', come).execute();
    await walkToTheEnd(db, await begin(db, admin, all()));
    expect([(await rowOf(db, here)).place, (await rowOf(db, gone)).place, (await rowOf(db, come)).place]).toEqual(['HELP_DESK', 'INBOX', 'HELP_DESK']);
    const messages = await db.selectFrom('message').select('channel_id').where('conversation_id', '=', come).execute();
    expect(messages.map((one) => one.channel_id)).toEqual([other.id]);
  });
});

describe('the walk', () => {
  it('moves each once, however many walk at the same time, while messages come, are answered, and new ones begin [MIG-13, MIG-14]', async () => {
    const { db } = database;
    const ids: string[] = [];
    for (let n = 0; n < 120; n += 1)
      ids.push(await conversation(db, channel, { ticket: n % 3 === 0, closed: n % 4 === 0, ...(n % 2 === 0 ? { ownerId: inside } : {}) }));
    const keys = await Promise.all(ids.slice(60).map((id) => keyOf(db, id)));
    const migrationId = await begin(db, admin, all());
    await db.updateTable('channel_migration').set({ batch_size: 7 }).where('id', '=', migrationId).execute();
    let over = false;
    let moving = (): void => undefined;
    const begun = new Promise<void>((resolve) => void (moving = resolve));
    const walkers = Array.from({ length: 4 }, async () => {
      await begun;
      while (!over) {
        const { value } = await walkOn(db, migrationId);
        if (value.state === 'OVER' || (value.state === 'CHECK' && (await endMove(db, migrationId)).value)) over = true;
      }
    });
    // The first few are pulled forward for certain; the rest come as they come.
    const written = async (n: number): Promise<void> => {
      if (n % 2 === 0) await arrive(db, channel, inbound(`late-${n}@customers.example`, { joins: [keys[n] ?? ''] }));
      else await run(db, (unit) => reply(unit, [plainPlugin], { conversationId: ids[60 + n] ?? '', text: 'An answer' }), { actor: 'USER', userId: admin });
      if (n % 10 === 0) await arrive(db, channel, inbound(`new-${n}@customers.example`));
    };
    for (let n = 0; n < 4; n += 1) await written(n);
    moving();
    await Promise.all([...walkers, ...Array.from({ length: 56 }, (_, n) => written(n + 4))]);
    const moved = await db.selectFrom('event').select('conversation_id').where('kind', '=', 'PLACE_CHANGED').execute();
    expect(moved.map((one) => one.conversation_id).toSorted()).toEqual(ids.toSorted());
    const report = await readReport(db, migrationId);
    expect(report.found).toBe(120);
    expect(report.movedWithTicket + report.movedWithNewTicket + report.leftOver).toBe(120);
    expect(report.pulledForward).toBeGreaterThanOrEqual(4);
    expect(report.arrived).toBeGreaterThanOrEqual(1);
    const { movedWithTicket, movedWithNewTicket, arrived } = report;
    expect(await recount(db, migrationId)).toMatchObject({ movedWithTicket, movedWithNewTicket, arrived, astray: 0, inInbox: 0 });
    expect(await violations()).toEqual([]);
  });

  it('passes over what somebody holds, and does not end before it is moved too [MIG-13]', async () => {
    const { db } = database;
    const ids = [await conversation(db, channel), await conversation(db, channel), await conversation(db, channel)];
    const migrationId = await begin(db, admin, all());
    const held = ids[1] ?? '';
    let ended = true;
    await db.transaction().execute(async (tx) => {
      await tx.selectFrom('conversation').select('id').where('id', '=', held).forUpdate().execute();
      for (let step = 0; step < 6; step += 1) await walkOn(db, migrationId);
      ended = (await endMove(db, migrationId)).value;
    });
    expect(ended).toBe(false);
    expect((await rowOf(db, held)).place).toBe('INBOX');
    await walkToTheEnd(db, migrationId);
    expect((await rowOf(db, held)).place).toBe('HELP_DESK');
    expect((await readReport(db, migrationId)).movedWithNewTicket).toBe(3);
  });

  it('looks once more with the channel locked before it ends [MIG-13]', async () => {
    const { db } = database;
    const other = await makeChannel(db, { place: 'INBOX' });
    const comes = await conversation(db, other);
    const migrationId = await begin(db, admin, all());
    let ending: Promise<boolean> | undefined;
    await db.transaction().execute(async (tx) => {
      await lockChannelShared(tx, channel.id);
      ending = endMove(db, migrationId).then(({ value }) => value);
      await eventually(async () => {
        const { rows } =
          await sql`select from pg_locks l join pg_database d on d.oid = l.database where not l.granted and l.locktype = 'advisory' and d.datname = current_database()`.execute(
            db,
          );
        expect(rows).toHaveLength(1);
      });
      // Nothing was there when it looked before.
      await tx.updateTable('conversation').set({ channel_id: channel.id }).where('id', '=', comes).execute();
    });
    expect(await ending).toBe(false);
    await walkToTheEnd(db, migrationId);
    expect((await rowOf(db, comes)).place).toBe('HELP_DESK');
  });
});

describe('what can not be moved', () => {
  it('costs the rest little, however many they are [MIG-16]', async () => {
    const { db } = database;
    const ids: string[] = [];
    for (let n = 0; n < 60; n += 1) ids.push(await conversation(db, channel));
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    const bad = ids.filter((_, n) => n % 12 === 5);
    await db.updateTable('conversation').set({ subject: 'unmovable' }).where('id', 'in', bad).execute();
    const migrationId = await begin(db, admin, all());
    const steps = await walkToTheEnd(db, migrationId);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 60, movedWithNewTicket: 55, leftOver: 5 });
    // Each is found by halving, not by one step for every conversation.
    expect(steps).toBeLessThan(60 + 20);
  });

  it('does not stop the rest, is listed with its reason, and moves once it is mended [MIG-16]', async () => {
    const { db } = database;
    const ids: string[] = [];
    for (let n = 0; n < 30; n += 1) ids.push(await conversation(db, channel));
    const bad = ids[11] ?? '';
    // A row that PostgreSQL will not have moved: its new ticket has no name it would take.
    await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(db);
    await db.updateTable('conversation').set({ subject: 'unmovable' }).where('id', '=', bad).execute();
    const migrationId = await begin(db, admin, all());
    await walkToTheEnd(db, migrationId);
    const state = () => db.selectFrom('channel_migration').select('state').where('id', '=', migrationId).executeTakeFirstOrThrow();
    expect(await state()).toEqual({ state: 'COMPLETED_WITH_REMAINDER' });
    expect(await db.selectFrom('channel_migration_remainder').select(['conversation_id', 'reason']).execute()).toEqual([
      { conversation_id: bad, reason: '23514' },
    ]);
    expect(await readReport(db, migrationId)).toMatchObject({ found: 30, movedWithNewTicket: 29, leftOver: 1 });
    // Usable in the inbox all the same: a message comes into it.
    await take(db, channel, [inbound('bad@customers.example', { joins: [await keyOf(db, bad)] })]);
    expect((await rowOf(db, bad)).place).toBe('INBOX');
    // Not tried again while nothing has changed.
    expect((await retryRemainder(db, migrationId)).value).toEqual({ tried: 0, moved: 0 });
    await db.updateTable('conversation').set({ subject: 'movable' }).where('id', '=', bad).execute();
    expect((await retryRemainder(db, migrationId)).value).toEqual({ tried: 1, moved: 1 });
    expect(await state()).toEqual({ state: 'COMPLETED' });
    expect(await readReport(db, migrationId)).toMatchObject({ found: 30, movedWithNewTicket: 30, leftOver: 0 });
    expect((await rowOf(db, bad)).place).toBe('HELP_DESK');
  });
});

import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reply } from '#commands/conversations.ts';
import { readReport } from '#commands/migration-report.ts';
import { startDue, startMigration, withdrawMigration, type MigrationInput } from '#commands/migrations.ts';
import { setAccessList } from '#commands/places.ts';
import { setRole } from '#commands/people.ts';
import { AlreadyExists, AlreadyStarted, ChannelNotMovable, Forbidden, InvalidInput, MigrationAlreadyRunning, NotFound } from '#commands/refusals.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/wait.ts';
import { inbound, makeChannel, makeUser, plainPlugin, take, testKeys, type MadeChannel } from '../support/fixtures.ts';
import {
  arrive,
  begin,
  conversation,
  keyOf,
  makeMapping,
  migrationContext,
  onlyThese,
  rowOf,
  run,
  superAdmin,
  walkToTheEnd,
  type Mapping,
} from './migration-support.ts';

let database: TestDatabase;
let mapping: Mapping;
let admin: string;
let channel: MadeChannel;

beforeEach(async () => {
  database = await testDatabase();
  mapping = await makeMapping(database.db);
  admin = await superAdmin(database.db);
  channel = await makeChannel(database.db, { place: 'INBOX' });
});
afterEach(() => database.drop());

const all = (more: Partial<MigrationInput> = {}): MigrationInput => ({
  channelId: channel.id,
  history: 'ALL',
  openStatusId: mapping.openStatusId,
  closedStatusId: mapping.closedStatusId,
  ...more,
});
const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString();
const channelRow = () => database.db.selectFrom('channel').selectAll().where('id', '=', channel.id).executeTakeFirstOrThrow();
const moves = () => database.db.selectFrom('channel_migration').select(['id', 'state', 'withdrawn_why', 'channel_id']).orderBy('asked_at').execute();
const hourCame = (id: string) =>
  database.db
    .updateTable('channel_migration')
    .set({ start_at: sql<Date>`now() - interval '1 second'` })
    .where('id', '=', id)
    .execute();

describe('who may start one, and of which channel', () => {
  it('refuses an admin and an agent who sees the channel, and knows no channel to who does not see it [MIG-1]', async () => {
    const { db } = database;
    const [anAdmin, agent, stranger] = [await makeUser(db, { role: 'ADMIN' }), await makeUser(db), await makeUser(db)];
    await run(db, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds: [agent], teamIds: [] } }));
    await expect(begin(db, anAdmin, all())).rejects.toBeInstanceOf(Forbidden);
    await expect(begin(db, agent, all())).rejects.toBeInstanceOf(Forbidden);
    await expect(begin(db, stranger, all())).rejects.toBeInstanceOf(NotFound);
    await expect(begin(db, admin, all({ channelId: 'none' }))).rejects.toBeInstanceOf(NotFound);
    expect(await moves()).toEqual([]);
  });

  it('refuses a channel in the help desk, a disconnected one and one whose plugin says it can not be moved, each with its reason [MIG-2]', async () => {
    const { db } = database;
    const there = await makeChannel(db, { place: 'HELP_DESK' });
    const gone = await makeChannel(db, { place: 'INBOX' });
    await db
      .updateTable('channel')
      .set({ disconnected_at: sql<Date>`now()` })
      .where('id', '=', gone.id)
      .execute();
    const fixed = {
      ...plainPlugin,
      capabilities: { ...plainPlugin.capabilities, movable: { allowed: false as const, reason: 'disconnect it, then connect it to the help desk' } },
    };
    const refused = (channelId: string, plugins = [plainPlugin]) =>
      run(db, (unit) => startMigration(unit, { plugins, keys: testKeys }, all({ channelId })), { actor: 'USER', userId: admin }).catch((error: unknown) =>
        error instanceof ChannelNotMovable ? error.obstacles.map(({ code, reason }) => [code, reason]) : error,
      );
    expect(await refused(there.id)).toEqual([['ALREADY_THERE', expect.any(String)]]);
    expect(await refused(gone.id)).toEqual([['DISCONNECTED', expect.any(String)]]);
    expect(await refused(channel.id, [fixed])).toEqual([['NOT_MOVABLE', 'disconnect it, then connect it to the help desk']]);
    expect(await moves()).toEqual([]);
  });

  it('names every wrong choice of statuses, and changes nothing [MIG-4]', async () => {
    const { db } = database;
    const other = await makeMapping(db, 'Another');
    const problems = (input: Partial<MigrationInput>) =>
      begin(db, admin, all(input)).then(
        () => [],
        (error: unknown) => (error instanceof InvalidInput ? error.problems.map(({ path }) => path) : [error]),
      );
    expect(await problems({ openStatusId: null, closedStatusId: null })).toEqual(['openStatusId', 'closedStatusId']);
    expect(await problems({ openStatusId: mapping.closedStatusId, closedStatusId: mapping.openStatusId })).toEqual(['openStatusId', 'closedStatusId']);
    expect(await problems({ openStatusId: other.openStatusId })).toEqual(['closedStatusId']);
    expect(await problems({ openStatusId: 'no such status' })).toEqual(['openStatusId']);
    expect(await problems({ history: 'NONE' })).toEqual(['openStatusId', 'closedStatusId']);
    expect(await problems({ startAt: 'soon' })).toEqual(['startAt']);
    expect((await channelRow()).place).toBe('INBOX');
    expect(await moves()).toEqual([]);
  });
});

describe('one at a time', () => {
  it('starts exactly one of a hundred at the same moment; the others are told which one runs [MIG-3]', async () => {
    const { db } = database;
    const channels = [channel, ...(await Promise.all(Array.from({ length: 9 }, () => makeChannel(db, { place: 'INBOX' }))))];
    const results = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => begin(db, admin, all({ channelId: channels[n % 10]?.id ?? '' }))));
    const started = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(started).toHaveLength(1);
    const rows = await moves();
    expect(rows).toEqual([expect.objectContaining({ id: started[0], state: 'RUNNING' })]);
    const told = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    for (const reason of told) {
      expect(reason).toBeInstanceOf(MigrationAlreadyRunning);
      expect(reason).toMatchObject({ migrationId: started[0], channelId: rows[0]?.channel_id });
    }
    expect(await db.selectFrom('channel').select('id').where('place', '=', 'HELP_DESK').execute()).toHaveLength(1);
  });

  it('is free again once the one that ran has ended [MIG-3]', async () => {
    const { db } = database;
    const other = await makeChannel(db, { place: 'INBOX' });
    const first = await begin(db, admin, all());
    await expect(begin(db, admin, all({ channelId: other.id }))).rejects.toBeInstanceOf(MigrationAlreadyRunning);
    await walkToTheEnd(db, first);
    await expect(begin(db, admin, all({ channelId: other.id }))).resolves.toEqual(expect.any(String));
  });
});

describe('set for later', () => {
  it('can be withdrawn until it starts, and never after; of both at once one wins [MIG-7]', async () => {
    const { db } = database;
    const ids: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      const one = await makeChannel(db, { place: 'INBOX' });
      const id = await begin(db, admin, { channelId: one.id, history: 'NONE', startAt: tomorrow() });
      ids.push(id);
      await hourCame(id);
      const withdrawn = run(db, (unit) => withdrawMigration(unit, { migrationId: id }), { actor: 'USER', userId: admin }).then(
        () => 'WITHDRAWN',
        (error: unknown) => (error instanceof AlreadyStarted ? 'TOO_LATE' : String(error)),
      );
      const [said, { value }] = await Promise.all([withdrawn, startDue(db, migrationContext, one.key)]);
      expect([`WITHDRAWN NOTHING`, 'TOO_LATE STARTED']).toContain(`${said} ${value}`);
    }
    const rows = await moves();
    expect(rows.map(({ state }) => state).every((state) => state === 'WITHDRAWN' || state === 'COMPLETED')).toBe(true);
    expect(rows).toHaveLength(ids.length);
  });

  it('starts at its hour, not before, and waits for the one that runs [MIG-7]', async () => {
    const { db } = database;
    const other = await makeChannel(db, { place: 'INBOX' });
    const running = await begin(db, admin, all({ channelId: other.id }));
    const id = await begin(db, admin, all({ startAt: tomorrow() }));
    expect((await startDue(db, migrationContext, channel.key)).value).toBe('NOT_YET');
    await hourCame(id);
    expect((await startDue(db, migrationContext, channel.key)).value).toBe('WAITS');
    expect((await channelRow()).place).toBe('INBOX');
    await walkToTheEnd(db, running);
    expect((await startDue(db, migrationContext, channel.key)).value).toBe('STARTED');
    expect((await startDue(db, migrationContext, channel.key)).value).toBe('NOTHING');
    expect((await channelRow()).place).toBe('HELP_DESK');
  });

  it('is withdrawn where it can not be moved by then, or who set it is no super admin any more, and they are told [MIG-7]', async () => {
    const { db } = database;
    const second = await superAdmin(db);
    const other = await makeChannel(db, { place: 'INBOX' });
    const ids = [await begin(db, second, all({ startAt: tomorrow() })), await begin(db, admin, all({ channelId: other.id, startAt: tomorrow() }))];
    for (const id of ids) await hourCame(id);
    await run(db, (unit) => setRole(unit, { userId: second, role: 'AGENT' }));
    await db
      .updateTable('channel')
      .set({ disconnected_at: sql<Date>`now()` })
      .where('id', '=', other.id)
      .execute();
    expect((await startDue(db, migrationContext, channel.key)).value).toBe('WITHDRAWN');
    expect((await startDue(db, migrationContext, other.key)).value).toBe('WITHDRAWN');
    expect((await moves()).map(({ state, withdrawn_why: why }) => [state, why])).toEqual([
      ['WITHDRAWN', 'NOT_SUPER_ADMIN'],
      ['WITHDRAWN', 'NOT_ELIGIBLE'],
    ]);
    const told = await db.selectFrom('notification').select(['user_id', 'kind', 'migration_id']).orderBy('id').execute();
    expect(told).toEqual([
      { user_id: second, kind: 'MIGRATION_WITHDRAWN', migration_id: ids[0] },
      { user_id: admin, kind: 'MIGRATION_WITHDRAWN', migration_id: ids[1] },
    ]);
  });

  it('waits for a plugin that can not say, and is withdrawn after an hour [MIG-7]', async () => {
    const { db } = database;
    const id = await begin(db, admin, all({ startAt: tomorrow() }));
    await hourCame(id);
    const without = { ...migrationContext, plugins: [] };
    expect((await startDue(db, without, channel.key)).value).toBe('WAITS');
    await db
      .updateTable('channel_migration')
      .set({ start_at: sql<Date>`now() - interval '61 min'` })
      .where('id', '=', id)
      .execute();
    expect((await startDue(db, without, channel.key)).value).toBe('WITHDRAWN');
  });

  it('gives way to one that starts now; a channel has one that is set for later at most [MIG-7]', async () => {
    const { db } = database;
    await begin(db, admin, all({ startAt: tomorrow() }));
    await expect(begin(db, admin, all({ startAt: tomorrow() }))).rejects.toBeInstanceOf(AlreadyExists);
    await begin(db, admin, all());
    expect((await moves()).map(({ state, withdrawn_why: why }) => [state, why])).toEqual([
      ['WITHDRAWN', 'STARTED_ANOTHER'],
      ['RUNNING', null],
    ]);
  });
});

describe('from the moment it starts', () => {
  it('lets no conversation fall between, whatever arrives at that instant [MIG-8]', async () => {
    const { db } = database;
    for (let n = 0; n < 5; n += 1) await arrive(db, channel, inbound(`before${n}@customers.example`));
    const arriving = Array.from({ length: 40 }, (_, n) => arrive(db, channel, inbound(`a${n}@customers.example`)));
    const [id] = await Promise.all([begin(db, admin, all()), ...arriving]);
    for (let n = 0; n < 5; n += 1) await arrive(db, channel, inbound(`after${n}@customers.example`));
    await walkToTheEnd(db, id);
    const rows = await db.selectFrom('conversation').select(['place', 'ticket_id']).execute();
    expect(rows).toHaveLength(50);
    expect(rows.every(({ place, ticket_id: ticketId }) => place === 'HELP_DESK' && ticketId !== null)).toBe(true);
    const report = await readReport(db, id);
    expect(report.movedWithNewTicket + report.arrived).toBe(rows.length);
    expect(report.found).toBe(report.movedWithNewTicket);
    expect(report.arrived).toBeGreaterThanOrEqual(5);
  });

  it('counts what leaves the channel at that very instant either before it or after [MIG-21]', async () => {
    const { db } = database;
    const other = await makeChannel(db, { place: 'INBOX' });
    const id = await conversation(db, other);
    const key = await keyOf(db, id);
    const by = { actor: 'USER', userId: admin } as const;
    await run(db, (unit) => reply(unit, [plainPlugin], { conversationId: id, text: 'An answer', channelId: channel.id }), by);
    let arriving: Promise<void> | undefined;
    const migrationId = await run(
      db,
      async (unit) => {
        const started = await startMigration(unit, migrationContext, all());
        arriving = arrive(db, other, inbound('again@customers.example', { joins: [key] }));
        await eventually(async () => {
          const { rows } =
            await sql`select from pg_locks l join pg_database d on d.oid = l.database where not l.granted and l.locktype = 'advisory' and d.datname = current_database()`.execute(
              db,
            );
          expect(rows).toHaveLength(1);
        });
        return started.migrationId;
      },
      by,
    );
    await arriving;
    await walkToTheEnd(db, migrationId);
    expect((await rowOf(db, id)).place).toBe('INBOX');
    expect(await readReport(db, migrationId)).toMatchObject({ found: 0, gone: 1, movedWithNewTicket: 0, leftOver: 0 });
  });

  it('has new conversations arrive in the help desk with a ticket, and counts them apart [MIG-8, MIG-21]', async () => {
    const { db } = database;
    await conversation(db, channel);
    const id = await begin(db, admin, all());
    const late = await conversation(db, channel);
    expect(await rowOf(db, late)).toMatchObject({ place: 'HELP_DESK', ticket_id: expect.any(String) });
    await walkToTheEnd(db, id);
    expect(await readReport(db, id)).toMatchObject({ found: 1, movedWithNewTicket: 1, arrived: 1 });
  });

  it('changes no setting of the channel [MIG-12]', async () => {
    const { db } = database;
    await db.updateTable('channel').set({ create_tickets: true, on_close_message: 'Goodbye', enabled: false }).where('id', '=', channel.id).execute();
    const { place: _before, place_id: _beforeId, ...before } = await channelRow();
    await walkToTheEnd(db, await begin(db, admin, all()));
    const { place, place_id: _afterId, ...after } = await channelRow();
    expect(after).toEqual(before);
    expect(place).toBe('HELP_DESK');
  });

  it('without history ends with its first transaction, and old conversations stay with their replies [MIG-13, MIG-22]', async () => {
    const { db } = database;
    const old = await conversation(db, channel);
    const id = await begin(db, admin, { channelId: channel.id, history: 'NONE' });
    expect((await moves())[0]).toMatchObject({ id, state: 'COMPLETED' });
    await take(db, channel, [inbound('again@customers.example', { joins: [await keyOf(db, old)] })]);
    expect(await rowOf(db, old)).toMatchObject({ place: 'INBOX', ticket_id: null });
    expect(await db.selectFrom('message').select('id').where('conversation_id', '=', old).execute()).toHaveLength(2);
    expect((await rowOf(db, await conversation(db, channel))).place).toBe('HELP_DESK');
    expect(await readReport(db, id)).toMatchObject({ found: 0, movedWithNewTicket: 0, leftOver: 0, arrived: 0 });
  });

  it('is never undone: the database itself refuses the way back, and to forget or stop it [MIG-14, MIG-15]', async () => {
    const { db } = database;
    const id = await conversation(db, channel);
    const migrationId = await begin(db, admin, all());
    await walkToTheEnd(db, migrationId);
    const inbox = await db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
    const back = { place: 'INBOX' as const, place_id: inbox.id };
    await expect(db.updateTable('channel').set(back).where('id', '=', channel.id).execute()).rejects.toThrow('nothing returns from the help desk');
    await expect(db.updateTable('conversation').set(back).where('id', '=', id).execute()).rejects.toThrow('nothing returns from the help desk');
    await expect(
      db.updateTable('channel_migration').set({ started_at: null, state: 'SCHEDULED', ended_at: null }).where('id', '=', migrationId).execute(),
    ).rejects.toThrow('is not undone');
    await expect(db.deleteFrom('channel_migration').where('id', '=', migrationId).execute()).rejects.toThrow('never removed');
    await expect(begin(db, admin, all())).rejects.toBeInstanceOf(ChannelNotMovable);
  });
});

describe('who is told when it has ended', () => {
  const told = () => database.db.selectFrom('notification').select(['user_id', 'kind', 'count', 'migration_id', 'ticket_id']).orderBy('user_id').execute();

  it('tells each user once a kind, with counts, and nobody before [MIG-17]', async () => {
    const { db } = database;
    const [one, two, named] = [await makeUser(db), await makeUser(db), await makeUser(db)];
    await db
      .updateTable('channel')
      .set({ unassigned_notice_user_ids: [named] })
      .where('id', '=', channel.id)
      .execute();
    for (const ownerId of [one, one, two]) await conversation(db, channel, { ownerId });
    for (let n = 0; n < 4; n += 1) await conversation(db, channel);
    // A ticket that was there already is no news, nor is one for which somebody is being chosen.
    await conversation(db, channel, { ownerId: one, ticket: true });
    const beingChosen = await conversation(db, channel);
    await db.updateTable('conversation').set({ route_pending_since: null }).where('id', '<>', beingChosen).execute();
    await db.deleteFrom('system_mail').execute();
    await db.deleteFrom('notification').execute();
    const migrationId = await begin(db, admin, all());
    expect(await told()).toEqual([]);
    await walkToTheEnd(db, migrationId);
    const expected = [
      { user_id: one, kind: 'TICKET_ASSIGNED', count: 2 },
      { user_id: two, kind: 'TICKET_ASSIGNED', count: 1 },
      { user_id: named, kind: 'TICKET_UNASSIGNED', count: 4 },
    ];
    expect(await told()).toEqual(
      expected.map((row) => ({ ...row, migration_id: migrationId, ticket_id: null })).toSorted((a, b) => (a.user_id < b.user_id ? -1 : 1)),
    );
    expect(await db.selectFrom('system_mail').select('user_id').execute()).toHaveLength(3);
  });

  it('tells nobody where it was muted for this move; what arrives meanwhile is told as always [MIG-17]', async () => {
    const { db } = database;
    const one = await makeUser(db);
    await conversation(db, channel, { ownerId: one });
    await db.deleteFrom('notification').execute();
    const id = await begin(db, admin, all({ muted: true }));
    const late = await conversation(db, channel, { ownerId: one });
    await walkToTheEnd(db, id);
    const { ticket_id: ticketId } = await rowOf(db, late);
    expect(await told()).toEqual([expect.objectContaining({ user_id: one, kind: 'TICKET_ASSIGNED', ticket_id: ticketId, migration_id: null })]);
    expect(await db.selectFrom('notification_off').selectAll().execute()).toEqual([]);
  });
});

it('gives what was lost back to who can have something else, once the move has ended [MIG-9, ROUTE-13]', async () => {
  const { db } = database;
  const [outside, inside] = [await makeUser(db), await makeUser(db)];
  await onlyThese(db, [admin, inside]);
  await db.updateTable('channel').set({ retry_when_available: true }).where('id', '=', channel.id).execute();
  await conversation(db, channel, { ownerId: outside });
  await db.deleteFrom('routing_retry_cause').execute();
  await walkToTheEnd(db, await begin(db, admin, all()));
  expect(await db.selectFrom('routing_retry_cause').select('user_id').execute()).toEqual([{ user_id: outside }]);
});

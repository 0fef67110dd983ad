import { afterAll, beforeAll, expect, it } from 'vitest';
import { comment, reply, startConversation } from '#commands/conversations.ts';
import { assign } from '#commands/owners.ts';
import { ChangedMeanwhile, NotAssignable, NotPossible } from '#commands/refusals.ts';
import { decide } from '#commands/routing.ts';
import { close, createTicket, makeTicket, reopen, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, makeTeam, makeUser, plainPlugin, take, type MadeChannel, type TestChannel } from '../support/fixtures.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
});
afterAll(async () => {
  const broken = (await checkInvariants(db)).filter((one) => one.violations !== 0);
  await database.drop();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const as = <T>(userId: string, work: (unit: Unit) => Promise<T>) => transact(db, { actor: 'USER', userId }, work);

async function arrived(options: TestChannel = {}): Promise<{ channel: MadeChannel; conversationId: string; ticketId: string | null }> {
  const channel = await makeChannel(db, options);
  await take(db, channel, [inbound('someone@out.example')]);
  const row = await db.selectFrom('conversation').select(['id', 'ticket_id']).where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  return { channel, conversationId: row.id, ticketId: row.ticket_id };
}

const holder = (conversationId: string) =>
  db.selectFrom('assignment').select(['owner_id', 'team_id']).where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
const eventsOf = (conversationId: string, kind: string) =>
  db.selectFrom('event').selectAll().where('conversation_id', '=', conversationId).where('kind', '=', kind).orderBy('id').execute();

it('leaves it unassigned by the rule nobody, explains it, and tells those with access [ROUTE-1, ROUTE-6, MODEL-12, ROUTE-14]', async () => {
  const watcher = await makeUser(db);
  const { conversationId, ticketId } = await arrived();
  const { value } = await decide(db, { conversationId }, Math.random);
  expect(value).toMatchObject({ decided: true, ownerId: null });
  const [decision] = await db.selectFrom('routing_decision').selectAll().where('ticket_id', '=', ticketId).execute();
  expect(decision?.explanation).toMatchObject({ rule: 'NOBODY', outcome: 'RULE_IS_NOBODY' });
  const told = await db.selectFrom('notification').select('kind').where('ticket_id', '=', ticketId).where('user_id', '=', watcher).execute();
  expect(told).toEqual([{ kind: 'TICKET_UNASSIGNED' }]);
});

it('tells those whom the rule names where nobody of them was free, and all with access where none of them is there [MODEL-12]', async () => {
  const [away, member, extra, stranger] = await Promise.all([
    makeUser(db, { availability: 'AWAY' }),
    makeUser(db, { availability: 'AWAY' }),
    makeUser(db),
    makeUser(db),
  ]);
  const rule = { users: [away], teams: [await makeTeam(db, { primary: [member], extra: [extra] })] };
  const told = async (ticketId: string | null) =>
    (await db.selectFrom('notification').select('user_id').where('ticket_id', '=', ticketId).where('kind', '=', 'TICKET_UNASSIGNED').execute()).map(
      (one) => one.user_id,
    );
  const first = await arrived({ rule });
  expect((await decide(db, { conversationId: first.conversationId }, Math.random)).value.ownerId).toBeNull();
  expect((await told(first.ticketId)).toSorted()).toEqual([away, member].toSorted());
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', 'in', [away, member]).execute();
  const second = await arrived({ rule });
  expect((await decide(db, { conversationId: second.conversationId }, Math.random)).value.ownerId).toBeNull();
  expect(await told(second.ticketId)).toEqual(expect.arrayContaining([extra, stranger]));
});

it('decides once, however many decide at once [ROUTE-15]', async () => {
  const pool = await Promise.all(Array.from({ length: 5 }, () => makeUser(db)));
  const { conversationId } = await arrived({ rule: { users: pool } });
  const answers = await Promise.all(Array.from({ length: 10 }, () => decide(db, { conversationId }, Math.random)));
  expect(answers.filter((one) => one.value.decided)).toHaveLength(1);
  expect(await eventsOf(conversationId, 'OWNER_CHANGED')).toHaveLength(1);
  expect(pool).toContain((await holder(conversationId)).owner_id);
});

it('chooses only those with seat, access and activity: named users and primary members of named teams [ROUTE-4, MODEL-11]', async () => {
  const [poor, gone, extra, primary] = await Promise.all([makeUser(db, { seat: 'NONE' }), makeUser(db), makeUser(db), makeUser(db)]);
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone).execute();
  const team = await makeTeam(db, { primary: [primary], extra: [extra] });
  for (let turn = 0; turn < 5; turn += 1) {
    const { conversationId, ticketId } = await arrived({ rule: { users: [poor, gone], teams: [team] } });
    await decide(db, { conversationId }, Math.random);
    expect((await holder(conversationId)).owner_id).toBe(primary);
    const [decision] = await db.selectFrom('routing_decision').selectAll().where('ticket_id', '=', ticketId).execute();
    expect(decision?.explanation).toMatchObject({ eligible: 1, leftOut: { NO_SEAT: 1, DEACTIVATED: 1 } });
  }
});

it('assigns to available users only, unless that is switched off [ROUTE-5]', async () => {
  const away = await makeUser(db, { availability: 'AWAY' });
  const waiting = await arrived({ rule: { users: [away] } });
  const ignoring = await arrived({ rule: { users: [away], availableOnly: false } });
  await decide(db, { conversationId: waiting.conversationId }, Math.random);
  await decide(db, { conversationId: ignoring.conversationId }, Math.random);
  expect((await holder(waiting.conversationId)).owner_id).toBeNull();
  expect((await holder(ignoring.conversationId)).owner_id).toBe(away);
});

it('gives it to the first who replies, of many at once [ROUTE-2]', async () => {
  const users = await Promise.all(Array.from({ length: 6 }, () => makeUser(db)));
  const { conversationId } = await arrived();
  await Promise.all(users.map((user) => as(user, (unit) => reply(unit, [plainPlugin], { conversationId, text: 'I take this' }))));
  const changes = await eventsOf(conversationId, 'OWNER_CHANGED');
  expect(changes).toHaveLength(1);
  const [first] = await eventsOf(conversationId, 'MESSAGE_WRITTEN');
  expect((await holder(conversationId)).owner_id).toBe(first?.actor_user_id);
});

it('does not give it to who only comments [ROUTE-2]', async () => {
  const user = await makeUser(db);
  const { conversationId } = await arrived();
  await as(user, (unit) => comment(unit, { conversationId, text: 'looks odd' }));
  expect((await holder(conversationId)).owner_id).toBeNull();
});

it('lets one of two win who assign at once; the other gets a conflict [ROUTE-2]', async () => {
  const [one, two] = await Promise.all([makeUser(db), makeUser(db)]);
  const { conversationId } = await arrived();
  const results = await Promise.allSettled([one, two].map((user) => as(user, (unit) => assign(unit, { conversationId }, { userId: user }, { ownerId: null }))));
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  const lost = results.find((result) => result.status === 'rejected');
  expect(lost?.reason).toBeInstanceOf(ChangedMeanwhile);
  expect((lost?.reason as ChangedMeanwhile).ownerId).toBe((await holder(conversationId)).owner_id);
});

it('lets one of two win who give one to two teams at once, also where nobody of either can have it [ROUTE-3]', async () => {
  const boss = await makeUser(db);
  const { conversationId } = await arrived();
  const teams = [await makeTeam(db, {}), await makeTeam(db, {})];
  const results = await Promise.allSettled(
    teams.map((teamId) => as(boss, (unit) => assign(unit, { conversationId }, { teamId }, { ownerId: null, teamId: null }))),
  );
  expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  for (const one of results) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(ChangedMeanwhile);
  expect((await holder(conversationId)).team_id).toBe(teams[results.findIndex(({ status }) => status === 'fulfilled')]);
});

it('gives a team’s ticket to its least busy eligible primary member, or leaves it with the team [ROUTE-3]', async () => {
  const boss = await makeUser(db);
  const [busy, free, extra] = await Promise.all([makeUser(db), makeUser(db), makeUser(db)]);
  const team = await makeTeam(db, { primary: [busy, free], extra: [extra] });
  const first = await arrived();
  await as(boss, (unit) => assign(unit, { conversationId: first.conversationId }, { userId: busy }));
  const second = await arrived();
  await as(boss, (unit) => assign(unit, { conversationId: second.conversationId }, { teamId: team }));
  expect(await holder(second.conversationId)).toEqual({ owner_id: free, team_id: team });
  const none = await makeTeam(db, { primary: [await makeUser(db, { availability: 'AWAY' })] });
  await as(boss, (unit) => assign(unit, { conversationId: second.conversationId }, { teamId: none }));
  expect(await holder(second.conversationId)).toEqual({ owner_id: null, team_id: none });
});

it('can assign only primary members of the teams a place is for [ROUTE-3, MODEL-11]', async () => {
  const [boss, primary, extra] = await Promise.all([makeUser(db), makeUser(db), makeUser(db)]);
  const team = await makeTeam(db, { primary: [primary], extra: [extra] });
  const inbox = await db.insertInto('place').values({ kind: 'INBOX', name: 'Closed circle' }).returning('id').executeTakeFirstOrThrow();
  await db.insertInto('access_entry').values({ place_id: inbox.id, team_id: team }).execute();
  const channel = await makeChannel(db, { place: 'INBOX' });
  await db.updateTable('channel').set({ place_id: inbox.id }).where('id', '=', channel.id).execute();
  await take(db, channel, [inbound('circle@out.example')]);
  const { id } = await db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).executeTakeFirstOrThrow();
  await expect(as(boss, (unit) => assign(unit, { conversationId: id }, { userId: extra }))).rejects.toBeInstanceOf(NotAssignable);
  await as(boss, (unit) => assign(unit, { conversationId: id }, { userId: primary }));
  expect((await holder(id)).owner_id).toBe(primary);
});

it('keeps one owner for conversation and ticket, also when a ticket is made later [MODEL-1, MODEL-2, CH-1]', async () => {
  const user = await makeUser(db);
  const { conversationId } = await arrived({ place: 'INBOX' });
  await as(user, (unit) => assign(unit, { conversationId }, { userId: user }));
  const { value } = await as(user, (unit) => makeTicket(unit, { conversationId }));
  const ticket = await db.selectFrom('ticket').selectAll().where('id', '=', value.ticketId).executeTakeFirstOrThrow();
  expect(ticket.owner_id).toBe(user);
  await expect(as(user, (unit) => makeTicket(unit, { conversationId }))).rejects.toBeInstanceOf(NotPossible);
  await as(user, (unit) => assign(unit, { ticketId: value.ticketId }, null));
  expect((await holder(conversationId)).owner_id).toBeNull();
});

it('never parts a conversation from its ticket, by the database itself [MODEL-1]', async () => {
  const { conversationId, ticketId } = await arrived();
  await expect(db.updateTable('conversation').set({ ticket_id: null }).where('id', '=', conversationId).execute()).rejects.toThrow(/stay joined/);
  await expect(db.updateTable('ticket').set({ conversation_id: null }).where('id', '=', ticketId).execute()).rejects.toThrow(
    /keeps its number and its conversation/,
  );
});

it('never lets anything return from the help desk, by the database itself [MODEL-10]', async () => {
  const { channel, conversationId } = await arrived({ place: 'HELP_DESK' });
  const inbox = await db.selectFrom('place').select('id').where('kind', '=', 'INBOX').executeTakeFirstOrThrow();
  const back = { place: 'INBOX' as const, place_id: inbox.id };
  await expect(db.updateTable('conversation').set(back).where('id', '=', conversationId).execute()).rejects.toThrow(/nothing returns/);
  await expect(db.updateTable('channel').set(back).where('id', '=', channel.id).execute()).rejects.toThrow(/nothing returns/);
});

it('closes and reopens ticket and conversation together, from either side [MODEL-13]', async () => {
  const user = await makeUser(db);
  const { conversationId, ticketId } = await arrived();
  const states = async () => {
    const row = await db
      .selectFrom('ticket')
      .innerJoin('ticket_status', 'ticket_status.id', 'ticket.status_id')
      .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
      .select(['ticket_status.category', 'conversation.status'])
      .where('ticket.id', '=', ticketId)
      .executeTakeFirstOrThrow();
    return [row.category, row.status];
  };
  await as(user, (unit) => close(unit, { conversationId }));
  expect(await states()).toEqual(['CLOSED', 'CLOSED']);
  await as(user, (unit) => reopen(unit, { ticketId: ticketId ?? '' }));
  expect(await states()).toEqual(['OPEN', 'OPEN']);
  const closedStatus = await db.selectFrom('ticket_status').select('id').where('category', '=', 'CLOSED').executeTakeFirstOrThrow();
  await as(user, (unit) => setTicketStatus(unit, { ticketId: ticketId ?? '', statusId: closedStatus.id }));
  expect(await states()).toEqual(['CLOSED', 'CLOSED']);
});

it('keeps every change of owner, status and priority with who, when and why [MODEL-7]', async () => {
  const user = await makeUser(db);
  const { conversationId, ticketId } = await arrived();
  await as(user, (unit) => assign(unit, { conversationId }, { userId: user }));
  await as(user, (unit) => setTicketPriority(unit, { ticketId: ticketId ?? '', priority: 'URGENT' }));
  await as(user, (unit) => close(unit, { conversationId }));
  for (const kind of ['OWNER_CHANGED', 'PRIORITY_CHANGED', 'STATUS_CHANGED']) {
    const [event] = await eventsOf(conversationId, kind);
    expect(event).toMatchObject({ actor: 'USER', actor_user_id: user, why: 'BY_HAND' });
  }
});

it('refuses to rewrite or remove events, by the database itself [MODEL-7]', async () => {
  const { conversationId } = await arrived();
  await expect(db.updateTable('event').set({ why: 'x' }).where('conversation_id', '=', conversationId).execute()).rejects.toThrow(/never removed or rewritten/);
  await expect(db.deleteFrom('event').where('conversation_id', '=', conversationId).execute()).rejects.toThrow(/never removed or rewritten/);
});

it('makes a ticket from outside any channel that waits for triage [MODEL-8, ROUTE-1]', async () => {
  const user = await makeUser(db);
  const { value, wakes } = await as(user, (unit) => createTicket(unit, { name: 'From the API', source: 'API', properties: { order: 7 } }));
  const ticket = await db.selectFrom('ticket').selectAll().where('id', '=', value.ticketId).executeTakeFirstOrThrow();
  expect(ticket).toMatchObject({ conversation_id: null, name: 'From the API', properties: { order: 7 }, owner_id: null });
  expect(wakes).toEqual([{ kind: 'ticket', number: ticket.number, channelKey: null, plugin: null }]);
  await decide(db, { ticketId: ticket.id }, Math.random);
  expect((await db.selectFrom('ticket').select('route_pending_since').where('id', '=', ticket.id).executeTakeFirstOrThrow()).route_pending_since).toBeNull();
});

it('starts a conversation for its sender, with a ticket in the help desk only [CH-11]', async () => {
  const user = await makeUser(db);
  for (const place of ['HELP_DESK', 'INBOX'] as const) {
    const channel = await makeChannel(db, { place });
    const { value, wakes } = await as(user, (unit) =>
      startConversation(unit, [plainPlugin], {
        channelId: channel.id,
        to: { kind: 'email-address', value: ' New@Out.example ' },
        subject: 'Hello',
        text: 'We write first',
      }),
    );
    const row = await db.selectFrom('conversation').selectAll().where('id', '=', value.conversationId).executeTakeFirstOrThrow();
    expect(row.ticket_id === null).toBe(place === 'INBOX');
    expect((await holder(row.id)).owner_id).toBe(user);
    expect(wakes.map((wake) => wake.kind)).toContain('outbox');
    const identity = await db.selectFrom('contact_identity').select('value').where('contact_id', '=', row.contact_id).executeTakeFirstOrThrow();
    expect(identity.value).toBe('new@out.example');
  }
});

it('refuses to start one where the plugin can not [CH-11]', async () => {
  const user = await makeUser(db);
  const channel = await makeChannel(db);
  const replying = { ...plainPlugin, capabilities: { ...plainPlugin.capabilities, outbound: 'reply' as const } };
  const attempt = as(user, (unit) =>
    startConversation(unit, [replying], { channelId: channel.id, to: { kind: 'email-address', value: 'n@out.example' }, text: 'hi' }),
  );
  await expect(attempt).rejects.toMatchObject({ reason: 'CHANNEL_CANNOT_START' });
});

it('goes on through the channel of its newest message, comments not counted, and keeps the one it began on [MODEL-5]', async () => {
  const user = await makeUser(db);
  const { channel, conversationId } = await arrived();
  const other = await makeChannel(db);
  await db.insertInto('thread_key').values({ channel_id: other.id, key: 'crossing', conversation_id: conversationId }).execute();
  await take(db, other, [inbound('someone@out.example', { joins: ['crossing'] })]);
  await as(user, (unit) => comment(unit, { conversationId, text: 'now over there' }));
  const row = await db.selectFrom('conversation').select(['channel_id', 'origin_channel_id']).where('id', '=', conversationId).executeTakeFirstOrThrow();
  expect(row).toEqual({ channel_id: other.id, origin_channel_id: channel.id });
  const { value } = await as(user, (unit) => reply(unit, [plainPlugin], { conversationId, text: 'answered' }));
  const sent = await db.selectFrom('outbound').select('channel_id').where('message_id', '=', value.messageId).executeTakeFirstOrThrow();
  expect(sent.channel_id).toBe(other.id);
});

it('tells the new owner, but nobody of what they did themselves, and nothing that is switched off [MODEL-12]', async () => {
  const [boss, quiet, loud] = await Promise.all([makeUser(db), makeUser(db), makeUser(db)]);
  await db.insertInto('notification_off').values({ user_id: quiet, kind: 'TICKET_ASSIGNED' }).execute();
  for (const user of [boss, quiet, loud]) {
    const { conversationId } = await arrived();
    await as(boss, (unit) => assign(unit, { conversationId }, { userId: user }));
  }
  const told = await db
    .selectFrom('notification')
    .select('user_id')
    .where('kind', '=', 'TICKET_ASSIGNED')
    .where('user_id', 'in', [boss, quiet, loud])
    .execute();
  expect(told).toEqual([{ user_id: loud }]);
});

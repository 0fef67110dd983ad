import { definePlugin, type Capabilities } from '@trunkline/channel-sdk';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { eligibility } from '#commands/migration-obstacles.ts';
import { preflight, PREFLIGHT_PARTS, type PreflightInput } from '#commands/migration-preflight.ts';
import { NotFound } from '#commands/refusals.ts';
import { openDatabase, type Db } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import type { HandOffRule, Step } from '#domain/chatflow.ts';
import { flowPlugin, makeFlow, makeFlowChannel } from '../support/chatflow.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { makeChannel, makeTeam, makeUser, plainCapabilities, plainPlugin, testKeys, type MadeChannel } from '../support/fixtures.ts';
import { goal, makePolicy } from './sla-support.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  await clearHelpDesk(db);
});
afterAll(() => database.drop());

/** Replies by another channel, as a form does. */
const formCapabilities: Capabilities = { ...plainCapabilities, outbound: 'none', typing: false, repliesThrough: 'email-address' };
const { send: _send, ...plain } = plainPlugin;
const formPlugin = definePlugin({ ...plain, key: 'pages', name: 'Pages', capabilities: formCapabilities });
const stayingPlugin = definePlugin({
  ...plainPlugin,
  key: 'staying',
  capabilities: { ...plainCapabilities, movable: { allowed: false, reason: 'Disconnect it, then connect it to the help desk.' } },
});
const sayingPlugin = definePlugin({
  ...plainPlugin,
  key: 'saying',
  settings: z.object({ address: z.string(), says: z.array(z.string()).optional(), users: z.array(z.string()).optional() }),
  migrationProblems: (settings) => {
    const { says = [] } = settings as { says?: string[] };
    if (says.includes('breaks')) throw new Error('a secret of the settings');
    return says;
  },
  routingTargets: (settings) => ({ userIds: (settings as { users?: string[] }).users ?? [], teamIds: [] }),
});
const plugins = [plainPlugin, flowPlugin, formPlugin, stayingPlugin, sayingPlugin];
const context = { plugins, keys: testKeys };

const obstaclesOf = (channelId: string) => eligibility(db, context, channelId);
const foretell = (channel: { readonly id: string }, more: Omit<PreflightInput, 'channelId'> = {}, of = db) =>
  preflight(of, context, { channelId: channel.id, ...more });

async function clearHelpDesk(of: Db): Promise<void> {
  await sql`delete from access_entry where place_id in (select id from place where kind = 'HELP_DESK')`.execute(of);
}

/** Gives access to the help desk. */
async function admit(who: { readonly userId: string } | { readonly teamId: string }): Promise<void> {
  const { id } = await db.selectFrom('place').select('id').where('kind', '=', 'HELP_DESK').executeTakeFirstOrThrow();
  await db
    .insertInto('access_entry')
    .values({ place_id: id, user_id: 'userId' in who ? who.userId : null, team_id: 'teamId' in who ? who.teamId : null })
    .execute();
}

async function admitted(): Promise<string> {
  const userId = await makeUser(db);
  await admit({ userId });
  return userId;
}

async function deactivate(userId: string): Promise<string> {
  await db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', userId).execute();
  return userId;
}

const inInbox = (more: Parameters<typeof makeChannel>[1] = {}) => makeChannel(db, { place: 'INBOX', ...more });

interface Made {
  readonly open?: boolean;
  readonly ticket?: boolean;
  readonly ownerId?: string | null;
  readonly startedAt?: Date;
  readonly origin?: MadeChannel;
}

async function makeConversation(channel: MadeChannel, { open = true, ticket = false, ownerId = null, startedAt, origin }: Made = {}, of = db): Promise<string> {
  return of.transaction().execute(async (tx) => {
    const { id } = await tx
      .insertInto('conversation')
      .values({
        channel_id: channel.id,
        origin_channel_id: (origin ?? channel).id,
        place_id: channel.placeId,
        place: 'INBOX',
        status: open ? 'OPEN' : 'CLOSED',
        closed_at: open ? null : new Date(),
        subject: 'A subject',
        owner_id: ticket ? null : ownerId,
        ...(startedAt === undefined ? {} : { started_at: startedAt }),
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    if (!ticket) return id;
    const { rows } = await sql<{ id: string }>`insert into ticket (conversation_id, name, pipeline_id, status_id, priority, owner_id, source, closed_at)
      select ${id}, 'A ticket', h.default_pipeline_id, h.default_status_id, 'MEDIUM', ${ownerId}, h.key, ${open ? null : new Date()} from channel h where h.id = ${channel.id}
      returning id`.execute(tx);
    await tx
      .updateTable('conversation')
      .set({ ticket_id: rows[0]?.id ?? '' })
      .where('id', '=', id)
      .execute();
    return id;
  });
}

async function makeMessage(
  conversationId: string,
  channel: MadeChannel,
  more: { readonly outbound?: boolean; readonly automatic?: boolean; readonly at?: Date } = {},
) {
  const at = more.at ?? new Date();
  const outbound = more.outbound ?? false;
  await db
    .insertInto('message')
    .values({
      conversation_id: conversationId,
      channel_id: channel.id,
      direction: outbound ? 'OUTBOUND' : 'INBOUND',
      automatic: more.automatic ?? false,
      provider_message_id: newId(),
      text: 'Some words',
      occurred_at: at,
      received_at: at,
    })
    .execute();
}

const HELLO: Step = { id: 'hello', type: 'say', text: 'Hello', next: 'people' };
const bot = (...rules: readonly HandOffRule[]) => ({
  start: 'hello',
  steps: [HELLO, ...rules.map((rule, index): Step => ({ id: index === 0 ? 'people' : `people-${index}`, type: 'hand-off', rule }))],
});
const flowChannel = (definition: object) => makeFlowChannel(db, definition, { place: 'INBOX' });

describe('what stands in the way', () => {
  it('is nothing for a connected channel of a movable plugin in an inbox [MIG-2]', async () => {
    expect(await obstaclesOf((await inInbox()).id)).toEqual([]);
    await expect(obstaclesOf(newId())).rejects.toThrow(NotFound);
  });

  it('is the place, the connection and what the plugin declares, each with its reason [MIG-2]', async () => {
    const there = await makeChannel(db);
    expect(await obstaclesOf(there.id)).toMatchObject([{ code: 'ALREADY_THERE' }]);
    const staying = await inInbox({ plugin: 'staying' });
    await db.updateTable('channel').set({ disconnected_at: new Date() }).where('id', '=', staying.id).execute();
    expect(await obstaclesOf(staying.id)).toMatchObject([
      { code: 'DISCONNECTED' },
      { code: 'NOT_MOVABLE', reason: 'Disconnect it, then connect it to the help desk.' },
    ]);
    expect(await obstaclesOf((await inInbox({ plugin: 'gone' })).id)).toMatchObject([{ code: 'PLUGIN', reason: 'its plugin is not configured' }]);
  });

  it('is what the plugin says of its settings, and that it can not say [MIG-2]', async () => {
    const channel = await inInbox({ plugin: 'saying' });
    const set = (settings: object) =>
      db
        .updateTable('channel')
        .set({ settings: JSON.stringify({ address: 'one', ...settings }) })
        .where('id', '=', channel.id)
        .execute();
    await set({ says: ['A line stays.', 'So does another.'] });
    expect(await obstaclesOf(channel.id)).toMatchObject([
      { code: 'PLUGIN_SAYS', reason: 'A line stays.' },
      { code: 'PLUGIN_SAYS', reason: 'So does another.' },
    ]);
    await set({ says: ['breaks'] });
    expect(await obstaclesOf(channel.id)).toMatchObject([{ code: 'PLUGIN', reason: 'its plugin could not say' }]);
    // Targets that its own settings name are held to the same as a hand-off.
    const outside = await makeUser(db);
    await set({ users: [outside] });
    expect(await obstaclesOf(channel.id)).toMatchObject([{ code: 'BOT_WITHOUT_HAND_OFF', chatflowId: null, step: null, userId: outside, why: 'NO_ACCESS' }]);
    await set({ users: [outside, await admitted()] });
    expect(await obstaclesOf(channel.id)).toEqual([]);
  });

  it('is a bot that hands off to nobody who has access and a paid seat, each failing point named [MIG-5]', async () => {
    const users = {
      NO_SEAT: await makeUser(db, { seat: 'NONE' }),
      NO_ACCESS: await makeUser(db),
      DEACTIVATED: await deactivate(await makeUser(db)),
    };
    await admit({ userId: users.NO_SEAT });
    await admit({ userId: users.DEACTIVATED });
    const channel = await flowChannel(bot({ kind: 'SPECIFIC', userIds: [users.NO_SEAT, users.NO_ACCESS] }, { kind: 'SPECIFIC', userIds: [users.DEACTIVATED] }));
    const about = { code: 'BOT_WITHOUT_HAND_OFF', chatflowId: channel.flowId, teamId: null };
    expect(await obstaclesOf(channel.id)).toMatchObject([
      { ...about, step: 'people', userId: users.NO_SEAT, why: 'NO_SEAT' },
      { ...about, step: 'people', userId: users.NO_ACCESS, why: 'NO_ACCESS' },
      { ...about, step: 'people-1', userId: users.DEACTIVATED, why: 'DEACTIVATED' },
    ]);
  });

  it('is none of these once one of its hand-offs reaches one user [MIG-5]', async () => {
    const reached = await admitted();
    const outside = await makeUser(db);
    const channel = await flowChannel(bot({ kind: 'NOBODY' }, { kind: 'SPECIFIC', userIds: [outside, reached] }));
    expect(await obstaclesOf(channel.id)).toEqual([]);
    const owner = await flowChannel(bot({ kind: 'CONTACT_OWNER', defaultUserId: reached }));
    expect(await obstaclesOf(owner.id)).toEqual([]);
  });

  it('counts a team by its primary members alone [MIG-5]', async () => {
    const [primary, extra] = [await makeUser(db), await makeUser(db)];
    const team = await makeTeam(db, { primary: [primary], extra: [extra] });
    const empty = await makeTeam(db, { extra: [extra] });
    await admit({ userId: extra });
    const channel = await flowChannel(bot({ kind: 'SPECIFIC', teamIds: [team, empty] }));
    const about = { code: 'BOT_WITHOUT_HAND_OFF', chatflowId: channel.flowId, step: 'people' };
    expect(await obstaclesOf(channel.id)).toMatchObject([
      { ...about, teamId: team, userId: primary, why: 'NO_ACCESS' },
      { ...about, teamId: empty, userId: null, why: 'NO_PRIMARY_MEMBER' },
    ]);
    await admit({ teamId: team });
    expect(await obstaclesOf(channel.id)).toEqual([]);
  });

  it('is a hand-off that names nobody, and a bot that has none at all [MIG-5]', async () => {
    const channel = await flowChannel(bot({ kind: 'CONTACT_OWNER' }, { kind: 'NOBODY' }));
    const about = { code: 'BOT_WITHOUT_HAND_OFF', userId: null, teamId: null };
    expect(await obstaclesOf(channel.id)).toMatchObject([
      { ...about, step: 'people', why: 'NOBODY_NAMED' },
      { ...about, step: 'people-1', why: 'NOBODY_NAMED' },
    ]);
    const end: Step = { id: 'people', type: 'end' };
    const without = await flowChannel({ start: 'hello', steps: [HELLO, end] });
    expect(await obstaclesOf(without.id)).toMatchObject([{ ...about, chatflowId: without.flowId, step: null, why: 'NO_STEP' }]);
  });

  it('is a step that makes a ticket; a chatflow that is off or has no steps says nothing [MIG-5]', async () => {
    const reached = await admitted();
    const { start, steps } = bot({ kind: 'SPECIFIC', userIds: [reached] });
    const ticketing = { start, steps: [{ id: 'ticket', type: 'create-ticket', next: 'hello' } satisfies Step, ...steps] };
    const channel = await flowChannel(ticketing);
    expect(await obstaclesOf(channel.id)).toMatchObject([{ code: 'BOT_CREATES_TICKET', chatflowId: channel.flowId, step: 'ticket', why: null }]);
    await db.updateTable('chatflow').set({ enabled: false }).where('id', '=', channel.flowId).execute();
    await makeFlow(db, channel.id, { instantReply: 'Hello' }, 'a-link');
    expect(await obstaclesOf(channel.id)).toEqual([]);
  });

  it('is found in as many statements for fifty chatflows as for one [MIG-5]', async () => {
    const channel = await flowChannel(bot({ kind: 'SPECIFIC', userIds: [await makeUser(db)] }));
    const statements: string[] = [];
    const counted = openDatabase(database.url, { max: 1, onStatement: (text) => void statements.push(text) });
    const once = await eligibility(counted, context, channel.id);
    const [taken] = [statements.length];
    for (let at = 0; at < 49; at += 1) {
      await makeFlow(db, channel.id, bot({ kind: 'SPECIFIC', userIds: [await makeUser(db)], teamIds: [await makeTeam(db, {})] }), `entry-${at}`);
    }
    statements.length = 0;
    const all = await eligibility(counted, context, channel.id);
    await counted.destroy();
    expect([once.length, all.length]).toEqual([1, 1 + 49 * 2]);
    expect(statements).toHaveLength(taken);
  });
});

/** Two owners and every case once or more: open and closed, with and without ticket, of somebody with access, without, of nobody. */
async function everyCase() {
  const channel = await inInbox();
  const [insider, outsider, gone] = [await admitted(), await makeUser(db), await admitted()];
  await deactivate(gone);
  const made = new Map<string, Made>();
  const make = async (times: number, more: Made): Promise<void> => {
    for (let at = 0; at < times; at += 1) made.set(await makeConversation(channel, more), more);
  };
  await make(3, { ownerId: insider });
  await make(2, { ownerId: insider, open: false, ticket: true });
  await make(1, { ownerId: insider, ticket: true });
  await make(4, { ownerId: outsider });
  await make(1, { ownerId: outsider, open: false });
  await make(2, { ownerId: outsider, ticket: true });
  await make(1, { ownerId: outsider, open: false, ticket: true });
  await make(1, { ownerId: gone, open: false });
  await make(1, { ownerId: insider, open: false });
  await make(1, {});
  await make(30, { open: false });
  await make(1, { ticket: true });
  await make(2, { open: false, ticket: true });
  // Elsewhere, and so not moved.
  await makeConversation(await inInbox(), { ownerId: outsider });
  return { channel, insider, outsider, gone, made };
}

describe('what would be moved', () => {
  it('counts conversations with and without ticket, open and closed [MIG-6]', async () => {
    const { channel } = await everyCase();
    const told = await foretell(channel);
    expect(await told.conversations()).toEqual({ total: 50, withTicket: { open: 4, closed: 5 }, withoutTicket: { open: 8, closed: 33 } });
    await expect(foretell({ id: newId() })).rejects.toThrow(NotFound);
  });

  it('counts what becomes nobody’s and what keeps an owner who can not see it, by owner [MIG-6]', async () => {
    const { channel, outsider, gone } = await everyCase();
    expect(await (await foretell(channel)).owners()).toEqual({
      owners: [
        { userId: outsider, becomeUnassigned: 5, keptTickets: 3 },
        { userId: gone, becomeUnassigned: 1, keptTickets: 0 },
      ],
      becomeUnassigned: 6,
      keptTickets: 3,
    });
  });

  it('shows twenty across all the cases, with what each becomes and why [MIG-6]', async () => {
    const { channel, insider, outsider, made } = await everyCase();
    const [open, closed] = [newId(), newId()];
    await sql`insert into conversation (channel_id, origin_channel_id, place_id, place, status, closed_at)
      select ${channel.id}, ${channel.id}, ${channel.placeId}, 'INBOX', 'CLOSED', now() from generate_series(1, 400)`.execute(db);
    const samples = await (await foretell(channel, { openStatusId: open, closedStatusId: closed })).samples();
    expect(samples).toHaveLength(20);
    expect(new Set(samples.map(({ conversationId }) => conversationId)).size).toBe(20);
    // Twelve cases there are, and each is among them, however long ago it was.
    const cases = (list: readonly { open: boolean; ticketId: string | null; owner: string }[]) =>
      new Set(list.map((one) => `${one.open} ${one.ticketId !== null} ${one.owner}`));
    expect(cases(samples).size).toBe(12);
    for (const { conversationId, ticketId, becomes, open: isOpen, createdAt, sentence } of samples) {
      const was = made.get(conversationId) ?? { open: false };
      expect([isOpen, ticketId !== null]).toEqual([was.open ?? true, was.ticket ?? false]);
      const row = await db.selectFrom('conversation').selectAll().where('id', '=', conversationId).executeTakeFirstOrThrow();
      if (was.ticket === true) {
        const ticket = await db.selectFrom('ticket').selectAll().where('id', '=', row.ticket_id).executeTakeFirstOrThrow();
        expect(becomes).toEqual({ ticket: 'KEPT', ownerId: was.ownerId ?? null, statusId: ticket.status_id, why: 'TICKET_KEPT' });
        expect(createdAt).toEqual(ticket.created_at);
        expect(sentence).toContain(`ticket ${ticket.id} is kept`);
        continue;
      }
      const statusId = isOpen ? open : closed;
      const owner = was.ownerId ?? null;
      const why = owner === null ? 'NOBODY_HAD_IT' : owner === insider ? 'OWNER_HAS_ACCESS' : 'OWNER_WITHOUT_ACCESS';
      expect(becomes).toEqual({ ticket: 'NEW', ownerId: owner === insider ? insider : null, statusId, why });
      expect(createdAt).toEqual(row.started_at);
      expect(sentence).toContain(owner ?? 'nobody');
    }
    expect(samples.some(({ ownerId }) => ownerId === outsider)).toBe(true);
  });

  it('is nothing without history, and takes no time [MIG-6] [MIG-4]', async () => {
    const { channel } = await everyCase();
    const told = await foretell(channel, { history: 'NONE' });
    expect(await told.conversations()).toMatchObject({ total: 0 });
    expect(await told.owners()).toEqual({ owners: [], becomeUnassigned: 0, keptTickets: 0 });
    expect(await told.samples()).toEqual([]);
    expect(await told.duration()).toMatchObject({ basis: 'NOTHING_TO_MOVE', estimatedMs: 0 });
    const codes = async (history: 'ALL' | 'NONE') => (await (await foretell(channel, { history })).irreversible()).map(({ code }) => code);
    expect(await codes('NONE')).toContain('HISTORY_ASKED_ONCE');
    expect(await codes('ALL')).toEqual(['NOT_STOPPED', 'STAYS_IN_HELP_DESK', 'TICKETS_MADE', 'HELP_DESK_ACCESS', 'ADDRESS_BEGINS_ANEW']);
  });
});

describe('who would miss what', () => {
  it('names those who see the inbox and not the help desk [MIG-6]', async () => {
    const [both, inboxOnly, extra, left] = [await admitted(), await makeUser(db), await makeUser(db), await deactivate(await makeUser(db))];
    const team = await makeTeam(db, { extra: [extra] });
    const inbox = await db
      .insertInto('place')
      .values({ kind: 'INBOX', name: `Inbox ${newId()}` })
      .returning('id')
      .executeTakeFirstOrThrow();
    for (const userId of [both, inboxOnly, left]) await db.insertInto('access_entry').values({ place_id: inbox.id, user_id: userId, team_id: null }).execute();
    await db.insertInto('access_entry').values({ place_id: inbox.id, user_id: null, team_id: team }).execute();
    const channel = await inInbox();
    await db.updateTable('channel').set({ place_id: inbox.id }).where('id', '=', channel.id).execute();
    expect(await (await foretell(channel)).agents()).toEqual([inboxOnly, extra].toSorted());
    await admit({ teamId: team });
    expect(await (await foretell(channel)).agents()).toEqual([inboxOnly]);
  });

  it('names whom rule, default user and hand-offs name without access or a seat, and where [MIG-6]', async () => {
    const [fine, outside, seatless] = [await admitted(), await makeUser(db), await makeUser(db, { seat: 'NONE' })];
    await admit({ userId: seatless });
    const member = await makeUser(db);
    const [team, empty] = [await makeTeam(db, { primary: [fine, member] }), await makeTeam(db, {})];
    const channel = await makeFlowChannel(db, bot({ kind: 'SPECIFIC', userIds: [fine, seatless] }), {
      place: 'INBOX',
      rule: { users: [fine, outside], teams: [team, empty] },
    });
    const none = { chatflowId: null, step: null, userId: null, teamId: null };
    const found = await (await foretell(channel)).routing();
    expect(found).toHaveLength(4);
    expect(found).toEqual(
      expect.arrayContaining([
        { ...none, where: 'RULE', userId: outside, lack: 'NO_ACCESS' },
        { ...none, where: 'RULE', userId: member, teamId: team, lack: 'NO_ACCESS' },
        { ...none, where: 'RULE', teamId: empty, lack: 'NO_PRIMARY_MEMBER' },
        { ...none, where: 'HAND_OFF', chatflowId: channel.flowId, step: 'people', userId: seatless, lack: 'NO_SEAT' },
      ]),
    );
    const owned = await inInbox();
    await sql`update routing_rule set kind = 'CONTACT_OWNER', method = null, default_user_id = ${outside} where id = ${owned.ruleId}`.execute(db);
    expect(await (await foretell(owned)).routing()).toEqual([{ ...none, where: 'DEFAULT_USER', userId: outside, lack: 'NO_ACCESS' }]);
  });

  it('warns where there is no SLA policy [MIG-6]', async () => {
    const channel = await inInbox();
    expect(await (await foretell(channel)).sla()).toEqual({ policies: 0, warning: 'NO_SLA_POLICY' });
    const policyId = await makePolicy(db, { targets: [goal('FIRST_REPLY', 60)] });
    expect(await (await foretell(channel)).sla()).toEqual({ policies: 1, warning: null });
    await db.updateTable('sla_policy').set({ deleted_at: new Date() }).where('id', '=', policyId).execute();
    expect(await (await foretell(channel)).sla()).toMatchObject({ warning: 'NO_SLA_POLICY' });
  });

  it('names the email channels by which agents answered what began here, with how many went on there [MIG-6] [MIG-10]', async () => {
    const [form, mail, unanswered, moved, off] = [await inInbox({ plugin: 'pages' }), await inInbox(), await inInbox(), await makeChannel(db), await inInbox()];
    await db.updateTable('channel').set({ disconnected_at: new Date() }).where('id', '=', off.id).execute();
    for (const by of [mail, mail, off]) {
      const id = await makeConversation(by, { origin: form });
      await makeMessage(id, form);
      await makeMessage(id, by, { outbound: true });
    }
    // Only a machine wrote by this one.
    await makeMessage(await makeConversation(unanswered, { origin: form }), unanswered, { outbound: true, automatic: true });
    await makeMessage(await makeConversation({ ...moved, placeId: form.placeId }, { origin: form }), moved, { outbound: true });
    await makeMessage(await makeConversation(mail), mail, { outbound: true });
    expect(await (await foretell(form)).alsoMove()).toEqual([{ channelId: mail.id, conversations: 2 }]);
    expect(await (await foretell(mail)).alsoMove()).toEqual([]);
  });
});

describe('when', () => {
  const HOUR = 3_600_000;

  it('counts what came in by the hour of four weeks, and finds when the least would [MIG-6]', async () => {
    const channel = await inInbox();
    const conversation = await makeConversation(channel);
    const full = Math.floor(Date.now() / HOUR) * HOUR;
    const at = (hoursAgo: number): Date => new Date(full - hoursAgo * HOUR + 60_000);
    // All hours of a week but one, and what does not count: what is too old, what is of the hour that runs, what was sent.
    const agos = Array.from({ length: 168 }, (_, index) => index + 1).filter((ago) => ago !== 100);
    for (const ago of [...agos, 1, 674]) await makeMessage(conversation, channel, { at: at(ago) });
    await makeMessage(conversation, channel, { at: new Date(Math.max(full, Date.now() - 1_000)) });
    await makeMessage(conversation, channel, { at: at(5), outbound: true });
    const { hours, quiet } = await (await foretell(channel)).volume();
    // An hour may have gone by since.
    const last = hours[671]?.at.getTime() ?? 0;
    const countAgo = (ago: number) => hours.find((one) => one.at.getTime() === full - ago * HOUR)?.count;
    expect([full - HOUR, full]).toContain(last);
    expect(hours.map((one) => one.at.getTime())).toEqual(Array.from({ length: 672 }, (_, index) => last - (671 - index) * HOUR));
    expect([countAgo(1), countAgo(2), countAgo(5), countAgo(100), countAgo(168), countAgo(169)]).toEqual([2, 1, 1, 0, 1, 0]);
    expect(hours.slice(0, 671).reduce((sum, { count }) => sum + count, 0) + (last === full ? 0 : 2)).toBe(168);
    expect(quiet).toEqual({ startAt: new Date(full + 68 * HOUR), expected: 0 });
  });

  it('measures the rate on rows of the same shape, with the walk’s own statement, where nothing was moved before [MIG-6]', async () => {
    const { channel } = await everyCase();
    const { estimatedMs, ratePerSecond, ...rest } = await (await foretell(channel)).duration();
    expect(rest).toEqual({ count: 50, basis: 'MEASURED', migrationId: null });
    expect(ratePerSecond).toBeGreaterThan(0);
    expect(estimatedMs).toBe(Math.ceil((50 / (ratePerSecond ?? 0)) * 1000));
  });

  it('reckons by the rate of the last move, without what that waited [MIG-6]', async () => {
    const own = await testDatabase();
    try {
      const asked = await makeUser(own.db);
      const channels = [
        await makeChannel(own.db),
        await makeChannel(own.db),
        await makeChannel(own.db),
        await makeChannel(own.db, { place: 'INBOX' }),
      ] as const;
      const moved = async (channel: MadeChannel, seconds: number, walked: number, ago: number, history = 'ALL'): Promise<string> => {
        const { rows } = await sql<{ id: string }>`
          insert into channel_migration (channel_id, state, history, pipeline_id, open_status_id, closed_status_id, asked_by, started_at, ended_at, walked, waited_ms, phase)
          select ${channel.id}, 'COMPLETED', ${history}, case ${history} when 'ALL' then p.id end,
            (select id from ticket_status where pipeline_id = p.id and category = 'OPEN' and ${history} = 'ALL' limit 1),
            (select id from ticket_status where pipeline_id = p.id and category = 'CLOSED' and ${history} = 'ALL' limit 1), ${asked},
            now() - make_interval(secs => ${seconds + ago}::int), now() - make_interval(secs => ${ago}::int), ${walked}, 2000, 'ENDED'
          from pipeline p order by p.position limit 1 returning id`.execute(own.db);
        return rows[0]?.id ?? '';
      };
      await moved(channels[0], 100, 10, 500);
      const last = await moved(channels[1], 12, 5_000, 100);
      await moved(channels[2], 1, 0, 10, 'NONE');
      for (let at = 0; at < 3; at += 1) await makeConversation(channels[3], {}, own.db);
      const told = await foretell(channels[3], {}, own.db);
      const duration = await told.duration();
      expect(duration).toMatchObject({ count: 3, basis: 'LAST_MOVE', migrationId: last });
      // 5,000 in 12 s, of which it waited 2.
      expect(duration.ratePerSecond).toBeCloseTo(500, 3);
      expect(duration.estimatedMs).toBe(6);
    } finally {
      await own.drop();
    }
  });
});

/** Every row of every table, and every number that was given out. */
async function everything(): Promise<unknown> {
  const { rows: tables } = await sql<{
    name: string;
  }>`select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`.execute(db);
  const contents: Record<string, string | null> = {};
  for (const { name } of tables) {
    const { rows } = await sql<{ hash: string | null }>`select md5(string_agg(t::text, '|' order by t::text)) as hash from ${sql.table(name)} t`.execute(db);
    contents[name] = rows[0]?.hash ?? null;
  }
  const { rows: numbers } = await sql`select schemaname, sequencename, last_value from pg_sequences order by 1, 2`.execute(db);
  const { rows: temporary } = await sql`select relname from pg_class where relpersistence = 't'`.execute(db);
  return { contents, numbers, temporary };
}

it('changes nothing: no row, no number, no table, whatever is asked, many at once [MIG-6]', async () => {
  const { channel } = await everyCase();
  await makeFlow(db, channel.id, bot({ kind: 'SPECIFIC', userIds: [await makeUser(db)] }));
  const before = await everything();
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      const told = await foretell(channel);
      for (const part of PREFLIGHT_PARTS) expect(await told[part](), part).toBeDefined();
    }),
  );
  expect(await everything()).toEqual(before);
});

it('reads what several parts need once, and nothing before it is asked for [MIG-6]', async () => {
  const { channel } = await everyCase();
  const statements: string[] = [];
  const counted = openDatabase(database.url, { max: 4, onStatement: (text) => void statements.push(text) });
  const told = await foretell(channel, {}, counted);
  expect(statements).toHaveLength(1);
  await Promise.all([told.conversations(), told.owners(), told.samples(), told.conversations(), told.volume()]);
  await counted.destroy();
  expect(statements.filter((text) => text.includes('any_value'))).toHaveLength(1);
});

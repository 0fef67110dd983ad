import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reply } from '#commands/conversations.ts';
import { migrationSlaBatch } from '#commands/migration-sla.ts';
import { assign } from '#commands/owners.ts';
import { setAccessList } from '#commands/places.ts';
import { deletePolicy } from '#commands/sla-policies.ts';
import { close, setTicketPriority, setTicketStatus } from '#commands/tickets.ts';
import { LIMITS } from '#api/limits.ts';
import { inbound, makeChannel, plainPlugin, take, type MadeChannel } from '../support/fixtures.ts';
import { begin, superAdmin, walkToTheEnd } from '../commands/migration-support.ts';
import { age, goal, makePolicy, moment, run, type TestPolicy } from '../commands/sla-support.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
let channel: MadeChannel;
/** The policy of all tickets that no other is for. */
let policyId: string;
let urgentId: string;
let count = 0;

beforeAll(async () => {
  world = await openWorld();
  agent = await world.user();
  channel = await makeChannel(world.db);
  urgentId = await makePolicy(world.db, {
    name: 'for urgent ones',
    conditions: [{ property: 'priority', operator: 'IS', values: ['URGENT'] }],
    targets: [goal('CLOSE', 30)],
  });
  policyId = await makePolicy(world.db, { name: 'for all', targets: [goal('FIRST_REPLY', 60, { dueSoon: 20 }), goal('NEXT_REPLY', 60), goal('CLOSE', 600)] });
});
afterAll(() => world?.close());

interface Arrived {
  readonly ticketId: string;
  readonly gid: string;
  readonly conversationId: string;
  readonly thread: string;
}

async function arrives(on: MadeChannel = channel): Promise<Arrived> {
  count += 1;
  const thread = `thread-${count}`;
  await take(world.db, on, [inbound(`c${count}@out.example`, { thread: { joins: [thread], keys: [thread] } })]);
  const { conversation_id: conversationId } = await world.db
    .selectFrom('thread_key')
    .select('conversation_id')
    .where('key', '=', thread)
    .executeTakeFirstOrThrow();
  const { id } = await world.db.selectFrom('ticket').select('id').where('conversation_id', '=', conversationId).executeTakeFirstOrThrow();
  return { ticketId: id, gid: globalId('Ticket', id), conversationId, thread };
}

/** A policy for the tickets of a new channel, before all others. */
async function channelWith(policy: TestPolicy): Promise<{ readonly own: MadeChannel; readonly ownId: string }> {
  const own = await makeChannel(world.db);
  const ownId = await makePolicy(world.db, { conditions: [{ property: 'source', operator: 'IS', values: [own.key] }], ...policy });
  await world.db
    .updateTable('sla_policy')
    .set((eb) => ({ position: eb('position', '+', 1) }))
    .execute();
  await world.db.updateTable('sla_policy').set({ position: 1 }).where('id', '=', ownId).execute();
  return { own, ownId };
}

const byAgent = () => ({ actor: 'USER' as const, userId: agent.id });
const replies = (one: Arrived) => run(world.db, byAgent(), (unit) => reply(unit, [plainPlugin], { conversationId: one.conversationId, text: 'an answer' }));
const writes = (one: Arrived) => take(world.db, channel, [inbound(`again${count}@out.example`, { joins: [one.thread] })]);
const closes = (one: Arrived) => run(world.db, byAgent(), (unit) => close(unit, { ticketId: one.ticketId }));
const nodes = (connection: Json | undefined): Json[] => ((connection?.['edges'] ?? []) as unknown as Json[]).map((edge) => edge['node'] as Json);
const list = (value: Json | undefined): Json[] => (value ?? []) as unknown as Json[];

const GOALS = `slaPolicy { id name } nextSlaDeadline slaPending
  slaGoals { goal round state startedAt minutes usedMinutes remainingMinutes dueAt dueSoonAt overdueAt endedAt reason policy { id name } }`;

async function read(one: Arrived, who: Person = agent): Promise<Json | undefined> {
  return (await who.ask(`query ($id: ID!) { node(id: $id) { ... on Ticket { ${GOALS} } } }`, { id: one.gid }))['node'];
}

async function goalOf(one: Arrived, kind: string, round = 1): Promise<Json> {
  const found = list((await read(one))?.['slaGoals']).find((each) => text(each['goal']) === kind && Number(each['round']) === round);
  if (found === undefined) throw new Error(`the ticket has no goal ${kind} ${round}`);
  return found;
}

const minutesBetween = (from: Json | undefined, to: Json | undefined) => (Date.parse(text(to)) - Date.parse(text(from))) / 60_000;

describe('the goals of a ticket', () => {
  it('show how much they have taken by now, what is left, and when they are due [SLA-1, SLA-4]', async () => {
    const one = await arrives();
    await age(world.db, one.ticketId, 15);
    const first = await goalOf(one, 'FIRST_REPLY');
    expect(first).toMatchObject({ round: 1, state: 'ACTIVE', minutes: 60, overdueAt: null, endedAt: null, reason: null });
    expect(first['policy']).toEqual({ id: globalId('SlaPolicy', policyId), name: 'for all' });
    expect(Number(first['usedMinutes'])).toBeGreaterThanOrEqual(15);
    expect(Number(first['usedMinutes']) + Number(first['remainingMinutes'])).toBeCloseTo(60, 6);
    expect([minutesBetween(first['startedAt'], first['dueAt']), minutesBetween(first['startedAt'], first['dueSoonAt'])]).toEqual([60, 40]);
    expect(Number((await goalOf(one, 'FIRST_REPLY'))['usedMinutes'])).toBeGreaterThan(Number(first['usedMinutes']));
    await replies(one);
    const done = await goalOf(one, 'FIRST_REPLY');
    expect(done).toMatchObject({ state: 'COMPLETED_ON_TIME', remainingMinutes: null, dueAt: null });
    expect(await goalOf(one, 'FIRST_REPLY')).toEqual(done);
  });

  it('count by the hours of their policy alone [SLA-3]', async () => {
    const { db } = world;
    const { id: calendarId } = await db
      .insertInto('business_calendar')
      .values({ name: 'today never', time_zone: 'UTC' })
      .returning('id')
      .executeTakeFirstOrThrow();
    const weekday = ((new Date().getUTCDay() + 2) % 7) + 1;
    await db.insertInto('calendar_period').values({ calendar_id: calendarId, weekday, from_minute: 0, to_minute: 1440 }).execute();
    const { own } = await channelWith({ targets: [goal('CLOSE', 60)], calendarId });
    const one = await arrives(own);
    await age(db, one.ticketId, 30);
    expect(await goalOf(one, 'CLOSE')).toMatchObject({ state: 'ACTIVE', minutes: 60, usedMinutes: 0, remainingMinutes: 60 });
  });

  it('keep the deadline that passed, and end late; cancelled they say why; of running ones the soonest deadline is the next [SLA-4, SLA-8]', async () => {
    const one = await arrives();
    await age(world.db, one.ticketId, 61);
    await moment(world.db, one.ticketId);
    const overdue = await goalOf(one, 'FIRST_REPLY');
    expect(overdue).toMatchObject({ state: 'OVERDUE', overdueAt: overdue['dueAt'] });
    expect(Number(overdue['remainingMinutes'])).toBeLessThan(-0.9);
    expect((await read(one))?.['nextSlaDeadline']).toBe(overdue['dueAt']);
    await replies(one);
    expect(await goalOf(one, 'FIRST_REPLY')).toMatchObject({ state: 'COMPLETED_LATE', overdueAt: overdue['overdueAt'] });
    expect((await read(one))?.['nextSlaDeadline']).toBe((await goalOf(one, 'CLOSE'))['dueAt']);
    await writes(one);
    await closes(one);
    expect(await goalOf(one, 'NEXT_REPLY')).toMatchObject({ state: 'CANCELLED', reason: 'CLOSED' });
    expect(await read(one)).toMatchObject({ nextSlaDeadline: null, slaPolicy: { name: 'for all' } });
  });

  it('are measured by the policy that applies now, also one that is removed since; without one there is none [SLA-9]', async () => {
    const { db } = world;
    const one = await arrives();
    await run(db, byAgent(), (unit) => setTicketPriority(unit, { ticketId: one.ticketId, priority: 'URGENT' }));
    expect(await read(one)).toMatchObject({ slaPolicy: { id: globalId('SlaPolicy', urgentId) } });
    expect(await goalOf(one, 'CLOSE')).toMatchObject({ minutes: 30, policy: { name: 'for urgent ones' } });
    expect(await goalOf(one, 'FIRST_REPLY')).toMatchObject({ state: 'CANCELLED', reason: 'NOT_IN_POLICY', policy: { name: 'for all' } });
    const { own, ownId } = await channelWith({ name: 'soon gone', targets: [goal('CLOSE', 90)] });
    const other = await arrives(own);
    await run(db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId: ownId }, 'NEW_TICKETS'));
    expect(await goalOf(other, 'CLOSE')).toMatchObject({ state: 'ACTIVE', minutes: 90, policy: { name: 'soon gone' } });
    const inbox = await arrives(await makeChannel(db, { place: 'INBOX', createTickets: true }));
    expect(await read(inbox)).toEqual({ slaPolicy: null, nextSlaDeadline: null, slaPending: false, slaGoals: [] });
  });

  it('are shown up to a limit: those that run, and the newest of the others [API-7]', async () => {
    const one = await arrives();
    const { db } = world;
    const rounds = LIMITS.ticketGoals + 10;
    const model = await db.selectFrom('sla_goal').selectAll().where('ticket_id', '=', one.ticketId).where('kind', '=', 'CLOSE').executeTakeFirstOrThrow();
    await db
      .insertInto('sla_goal')
      .values(
        Array.from({ length: rounds }, (_, index) => ({
          ...model,
          kind: 'NEXT_REPLY' as const,
          round: index + 1,
          state: 'COMPLETED_ON_TIME' as const,
          counting_since: null,
          due_at: null,
          started_at: new Date(model.started_at.getTime() + (index + 1) * 1_000),
          ended_at: new Date(model.started_at.getTime() + (index + 2) * 1_000),
        })),
      )
      .execute();
    const shown = list((await read(one))?.['slaGoals']).map((each) => `${text(each['goal'])} ${text(each['round'])}`);
    expect(shown).toHaveLength(LIMITS.ticketGoals);
    expect(shown.slice(0, 2).toSorted()).toEqual(['CLOSE 1', 'FIRST_REPLY 1']);
    expect([shown[2], shown.at(-1)]).toEqual([`NEXT_REPLY ${rounds - LIMITS.ticketGoals + 3}`, `NEXT_REPLY ${rounds}`]);
    await db.deleteFrom('sla_goal').where('ticket_id', '=', one.ticketId).where('kind', '=', 'NEXT_REPLY').execute();
  });

  it('are still to come where a move has just brought the ticket, and are there once it was measured [MIG-20]', async () => {
    const { db } = world;
    const inbox = await makeChannel(db, { place: 'INBOX', createTickets: true });
    const [one, other] = [await arrives(inbox), await arrives(channel)];
    const status = (category: 'OPEN' | 'CLOSED') =>
      db
        .selectFrom('ticket_status')
        .innerJoin('channel', 'channel.default_pipeline_id', 'ticket_status.pipeline_id')
        .select('ticket_status.id')
        .where('channel.id', '=', inbox.id)
        .where('category', '=', category)
        .executeTakeFirstOrThrow();
    const [openStatusId, closedStatusId] = [(await status('OPEN')).id, (await status('CLOSED')).id];
    const migrationId = await begin(db, await superAdmin(db), { channelId: inbox.id, history: 'ALL', openStatusId, closedStatusId });
    await walkToTheEnd(db, migrationId);
    expect(await read(one)).toEqual({ slaPolicy: null, nextSlaDeadline: null, slaPending: true, slaGoals: [] });
    expect(await read(other)).toMatchObject({ slaPending: false });
    while (!(await migrationSlaBatch(db, migrationId)).value.done);
    expect(await read(one)).toMatchObject({ slaPending: false, slaPolicy: { name: 'for all' } });
    expect(await goalOf(one, 'CLOSE')).toMatchObject({ state: 'ACTIVE', minutes: 600 });
  });

  it('of many tickets are read with as many statements as of few [API-8]', async () => {
    for (let index = 0; index < 12; index += 1) await arrives();
    const cost = async (first: number) => {
      world.statements.length = 0;
      const { tickets } = await agent.ask(`{ tickets(first: ${first}, order: NEWEST_FIRST) { edges { node { ${GOALS} } } } }`);
      expect(nodes(tickets).filter((ticket) => list(ticket['slaGoals']).length > 0)).toHaveLength(first);
      return world.statements.length;
    };
    await cost(12);
    expect(await cost(12)).toBe(await cost(2));
  });

  it('leave their lives on the timeline of the ticket [SLA-4]', async () => {
    const one = await arrives();
    await replies(one);
    await closes(one);
    const { node } = await agent.ask(
      'query ($id: ID!) { node(id: $id) { ... on Ticket { timeline(first: 100) { edges { node { kind why actor data } } } } } }',
      { id: one.gid },
    );
    const told = nodes(node?.['timeline']).filter((event) => text(event['kind']) === 'SLA_GOAL_CHANGED');
    expect(told.map((event) => `${text(event['data']?.['goal'])} ${text(event['why'])} by ${text(event['actor'])}`)).toEqual([
      'CLOSE ACTIVE by SYSTEM',
      'FIRST_REPLY ACTIVE by SYSTEM',
      'FIRST_REPLY COMPLETED_ON_TIME by SYSTEM',
      'CLOSE COMPLETED_ON_TIME by SYSTEM',
    ]);
  });
});

describe('the list of tickets', () => {
  it('is narrowed to those whose most pressing running goal stands as asked, page by page [SLA-4, API-2]', async () => {
    const { db } = world;
    const { default_pipeline_id: pipeline } = await db
      .selectFrom('channel')
      .select('default_pipeline_id')
      .where('id', '=', channel.id)
      .executeTakeFirstOrThrow();
    const { id: waiting } = await db
      .insertInto('ticket_status')
      .values({ pipeline_id: pipeline, name: 'waits', category: 'OPEN', position: 70 })
      .returning('id')
      .executeTakeFirstOrThrow();
    const { own } = await channelWith({ targets: [goal('FIRST_REPLY', 60, { dueSoon: 20 }), goal('CLOSE', 600)], pauseStatusIds: [waiting] });
    const [active, closed, resting] = [await arrives(own), await arrives(own), await arrives(own)];
    const [soon, overdue, late] = [await arrives(own), await arrives(own), await arrives(own)];
    await age(db, soon.ticketId, 45);
    await age(db, overdue.ticketId, 61);
    await age(db, late.ticketId, 61);
    for (const { ticketId } of [soon, overdue, late]) await moment(db, ticketId);
    await closes(closed);
    await run(db, byAgent(), (unit) => setTicketStatus(unit, { ticketId: resting.ticketId, statusId: waiting }));
    const ids = async (slaState: string) => {
      const found: string[] = [];
      let after: Json | undefined;
      do {
        const { tickets } = await agent.ask(
          `query ($id: ID!, $after: String) { tickets(first: 1, after: $after, filter: { channelId: $id, slaState: ${slaState} }) { pageInfo { hasNextPage endCursor } edges { node { id } } } }`,
          { id: globalId('Channel', own.id), after },
        );
        found.push(...nodes(tickets).map((node) => text(node['id'])));
        after = tickets?.['pageInfo']?.['hasNextPage'] === (true as unknown as Json) ? tickets['pageInfo']['endCursor'] : undefined;
      } while (after !== undefined);
      return found;
    };
    expect(await ids('ACTIVE')).toEqual([active.gid]);
    // Its close is not due for long.
    expect(await ids('DUE_SOON')).toEqual([soon.gid]);
    expect((await ids('OVERDUE')).toSorted()).toEqual([overdue.gid, late.gid].toSorted());
    expect(await ids('PAUSED')).toEqual([resting.gid]);
  });
});

const STREAM = `subscription ($id: ID, $after: String, $kinds: [SlaGoalKind!], $states: [SlaGoalState!]) {
  slaEvents(ticketId: $id, after: $after, kinds: $kinds, states: $states) { __typename ... on SlaEvent {
    cursor goal round before state dueAt overdueAt event { kind } ticket { id slaGoals { goal state } } } } }`;
const DEFAULTS = STREAM.replace(', $states: [SlaGoalState!]', '').replace(', states: $states', '');

async function cursorNow(who: Person): Promise<string> {
  return text((await who.ask('{ events { ... on FeedPage { cursor } } }'))['events']?.['cursor']);
}

/** Who has access to the help desk. */
async function access(userIds: readonly string[]): Promise<void> {
  await run(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { userIds, teamIds: [] } }));
}

async function everyone(): Promise<void> {
  await run(world.db, { actor: 'SYSTEM' }, (unit) => setAccessList(unit, { placeId: channel.placeId, access: { everyone: true } }));
}

describe('the stream of SLA events', () => {
  it('tells who has access of goals that become due soon and overdue, and goes on behind its last item [SLA-12, API-3]', async () => {
    const after = await cursorNow(agent);
    const one = await arrives();
    await age(world.db, one.ticketId, 45);
    await moment(world.db, one.ticketId);
    await age(world.db, one.ticketId, 20);
    await moment(world.db, one.ticketId);
    await replies(one);
    const stream = agent.listen(DEFAULTS, { id: one.gid, after });
    const soon = (await stream.next())?.['slaEvents'];
    expect(soon).toMatchObject({ goal: 'FIRST_REPLY', round: 1, before: 'ACTIVE', state: 'DUE_SOON', overdueAt: null, event: { kind: 'SLA_GOAL_CHANGED' } });
    const overdue = (await stream.next())?.['slaEvents'];
    expect(overdue).toMatchObject({ goal: 'FIRST_REPLY', before: 'DUE_SOON', state: 'OVERDUE', ticket: { id: one.gid } });
    expect(overdue?.['overdueAt']).toBe(overdue?.['dueAt']);
    // The ticket as it is by now.
    expect(list(overdue?.['ticket']?.['slaGoals'])).toContainEqual({ goal: 'FIRST_REPLY', state: 'COMPLETED_LATE' });
    stream.close();
    const again = agent.listen(DEFAULTS, { after: soon?.['cursor'] });
    expect((await again.next())?.['slaEvents']).toMatchObject({ cursor: overdue?.['cursor'], state: 'OVERDUE' });
    again.close();
  });

  it('tells of the kinds and states that are asked for, in the order in which they came about [SLA-4, API-3]', async () => {
    const after = await cursorNow(agent);
    const one = await arrives();
    await replies(one);
    await closes(one);
    const told = async (variables: Readonly<Record<string, unknown>>, most: number) => {
      const stream = agent.listen(STREAM, { id: one.gid, after, ...variables });
      const found: string[] = [];
      while (found.length < most) {
        const item = (await stream.next())?.['slaEvents'];
        found.push(`${text(item?.['goal'])} ${text(item?.['state'])}`);
      }
      stream.close();
      return found;
    };
    const all = ['CLOSE ACTIVE', 'FIRST_REPLY ACTIVE', 'FIRST_REPLY COMPLETED_ON_TIME', 'CLOSE COMPLETED_ON_TIME'];
    expect(await told({ states: ['ACTIVE', 'COMPLETED_ON_TIME'] }, 4)).toEqual(all);
    expect(await told({ states: ['ACTIVE', 'COMPLETED_ON_TIME'], kinds: ['CLOSE'] }, 2)).toEqual([all[0], all[3]]);
    expect(await told({ states: ['COMPLETED_ON_TIME'], kinds: ['FIRST_REPLY'] }, 1)).toEqual([all[2]]);
  });

  it('does not begin about what may not be seen or behind a cursor of none of ours, and ends once access is lost [API-3, API-6]', async () => {
    const { db } = world;
    const [stranger, leaving] = [await world.user(), await world.user()];
    const one = await arrives();
    await access([agent.id, leaving.id]);
    const hidden = stranger.listen(DEFAULTS, { id: one.gid });
    expect(await hidden.next()).toEqual({ slaEvents: { __typename: 'NotFound' } });
    expect(await hidden.next()).toBeNull();
    const lost = leaving.listen(DEFAULTS, { after: 'bm9uZQ' });
    expect(await lost.next()).toEqual({ slaEvents: { __typename: 'CursorTooOld' } });
    const seen = leaving.listen(DEFAULTS, { after: await cursorNow(leaving) });
    await age(db, one.ticketId, 61);
    await moment(db, one.ticketId);
    expect((await seen.next())?.['slaEvents']).toMatchObject({ state: 'OVERDUE', ticket: { id: one.gid } });
    await access([agent.id]);
    const other = await arrives();
    await age(db, other.ticketId, 61);
    await moment(db, other.ticketId);
    expect(await seen.next()).toBeNull();
    await everyone();
  });
});

const REPORT = `query ($from: DateTime!, $to: DateTime!, $by: SlaReportGrouping!, $channelId: ID, $ownerId: ID, $policyId: ID, $goal: SlaGoalKind, $timeZone: String) {
  slaReport(from: $from, to: $to, by: $by, channelId: $channelId, ownerId: $ownerId, policyId: $policyId, goal: $goal, timeZone: $timeZone) {
    __typename ... on Forbidden { needs } ... on InvalidInput { problems { path } }
    ... on SlaReport { lines { goal onTime late cancelled overdueNow onTimePercent medianMinutes p90Minutes beginsOn channel { id } owner { id } policy { id } } } } }`;

describe('the report of SLA goals', () => {
  it('says of each group and goal how many were on time, late, cancelled and are overdue, and how long they took [SLA-15]', async () => {
    const { db } = world;
    const { own, ownId } = await channelWith({ targets: [goal('FIRST_REPLY', 60), goal('CLOSE', 600)] });
    const [prompt, slow, waits] = [await arrives(own), await arrives(own), await arrives(own)];
    await age(db, prompt.ticketId, 20);
    await replies(prompt);
    await age(db, slow.ticketId, 100);
    await replies(slow);
    await run(db, byAgent(), (unit) => assign(unit, { ticketId: waits.ticketId }, { userId: agent.id }));
    await age(db, waits.ticketId, 61);
    await moment(db, waits.ticketId);
    const asked = { from: new Date(Date.now() - 86_400_000), to: new Date(Date.now() + 86_400_000), channelId: globalId('Channel', own.id) };
    const lines = async (more: Readonly<Record<string, unknown>>) => list((await agent.ask(REPORT, { ...asked, ...more }))['slaReport']?.['lines']);
    const nothing = { channel: null, owner: null, policy: null, beginsOn: null };
    const [line, ...others] = await lines({ by: 'CHANNEL' });
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      ...nothing,
      goal: 'FIRST_REPLY',
      onTime: 1,
      late: 1,
      cancelled: 0,
      overdueNow: 1,
      onTimePercent: 50,
      channel: { id: asked.channelId },
    });
    expect(Number(line?.['medianMinutes'])).toBeGreaterThanOrEqual(60);
    expect(Number(line?.['p90Minutes'])).toBeGreaterThanOrEqual(92);
    const counts = { onTime: 1, late: 1, overdueNow: 1 };
    expect(await lines({ by: 'OWNER', ownerId: agent.gid })).toMatchObject([{ ...nothing, ...counts, owner: { id: agent.gid } }]);
    const policy = globalId('SlaPolicy', ownId);
    expect(await lines({ by: 'POLICY', policyId: policy, goal: 'FIRST_REPLY' })).toMatchObject([{ ...nothing, ...counts, policy: { id: policy } }]);
    const months = await lines({ by: 'MONTH', timeZone: 'Pacific/Auckland' });
    for (const month of months) expect(text(month['beginsOn'])).toMatch(/^\d{4}-\d\d-01$/);
    expect(await lines({ by: 'CHANNEL', goal: 'CLOSE' })).toEqual([]);
  });

  it('is refused to who has no access to the help desk, whatever their role [API-6]', async () => {
    await access([agent.id]);
    for (const role of ['AGENT', 'SUPER_ADMIN'] as const) {
      const answer = await (await world.user({ role })).ask(REPORT, { from: new Date(0), to: new Date(1), by: 'OWNER' });
      expect(answer['slaReport']).toEqual({ __typename: 'Forbidden', needs: 'access to the help desk' });
    }
    await everyone();
  });

  it('says what is wrong with what is asked [SLA-15, API-7]', async () => {
    const from = new Date(0);
    const asked = await agent.ask(REPORT, { from, to: new Date(401 * 86_400_000), by: 'DAY', timeZone: 'Nowhere' });
    expect(asked['slaReport']).toEqual({ __typename: 'InvalidInput', problems: [{ path: 'to' }, { path: 'timeZone' }] });
  });

  it('of many groups costs as many statements as of few [API-8]', async () => {
    const cost = async () => {
      world.statements.length = 0;
      const answer = await agent.ask(REPORT, { from: new Date(Date.now() - 86_400_000), to: new Date(Date.now() + 86_400_000), by: 'CHANNEL' });
      return { statements: world.statements.length, groups: new Set(list(answer['slaReport']?.['lines']).map((line) => text(line['channel']?.['id']))).size };
    };
    await closes(await arrives());
    const few = await cost();
    for (let index = 0; index < 5; index += 1) await closes(await arrives(await makeChannel(world.db)));
    const many = await cost();
    expect(many.groups).toBe(few.groups + 5);
    expect(many.statements).toBe(few.statements);
  });
});

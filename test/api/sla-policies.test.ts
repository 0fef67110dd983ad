import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reevaluateBatch } from '#commands/sla-reevaluation.ts';
import { makeChannel, makeTeam, inbound, take } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let admin: Person;
beforeAll(async () => {
  world = await openWorld();
  admin = await world.user({ role: 'ADMIN' });
});
afterAll(() => world?.close());

const SAVE_CALENDAR = `mutation ($input: SaveBusinessCalendarInput!) { saveBusinessCalendar(input: $input) { __typename
  ... on InvalidInput { problems { path message } } ... on ChangedMeanwhile { what } ... on AlreadyExists { what }
  ... on SavedBusinessCalendar { reevaluation { id } calendar { id name version timeZone periods { weekday from to } holidays { date name } policies { id } } } } }`;
const SAVE = `mutation ($input: SaveSlaPolicyInput!) { saveSlaPolicy(input: $input) { __typename
  ... on InvalidInput { problems { path message } } ... on ChangedMeanwhile { what } ... on AlreadyExists { what } ... on NotAssignable { targets { reason } }
  ... on SavedSlaPolicy { reevaluation { id why state total startedBy { id } } policy { id number name position version calendar { id }
    conditions { property operator values } targets { goal priority minutes dueSoonMinutes } pauseStatuses { id }
    actions { on goal setPriority notifyUsers { id } notifyTeams { id } webhookId
      assignRule { method users { id } targets { user { id } eligible reason } } } } } } }`;
const DELETE = `mutation ($input: DeleteSlaPolicyInput!) { deleteSlaPolicy(input: $input) { __typename ... on RemovedSlaPolicy { removedId reevaluation { why } } } }`;

const OPEN_ALL_DAY = [{ weekday: 'MONDAY', from: '00:00', to: '24:00' }];
const hours = (more: object = {}) => ({ timeZone: 'Europe/Berlin', periods: OPEN_ALL_DAY, applyTo: 'NEW_TICKETS', ...more });
const closing = (more: object = {}) => ({ targets: [{ goal: 'CLOSE', minutes: 60 }], applyTo: 'NEW_TICKETS', ...more });
const paths = (answer: Json | undefined): unknown => (answer?.['problems'] as unknown as { path: string }[] | undefined)?.map(({ path }) => path);

let names = 0;
const unique = (): string => `name ${(names += 1)}`;

async function saveCalendar(input: object): Promise<Json> {
  return (await admin.ask(SAVE_CALENDAR, { input: { name: unique(), ...hours(), ...input } }))['saveBusinessCalendar'] ?? {};
}
async function savePolicy(input: object): Promise<Json> {
  return (await admin.ask(SAVE, { input: { name: unique(), ...closing(), ...input } }))['saveSlaPolicy'] ?? {};
}
const idOf = (saved: Json, what: 'policy' | 'calendar'): string => text(saved[what]?.['id']);

describe('calendars', () => {
  it('makes one with split shifts and holidays, edits it, says who goes by it, and keeps it while somebody does [SLA-3]', async () => {
    const periods = [
      { weekday: 'MONDAY', from: '09:00', to: '12:30' },
      { weekday: 'MONDAY', from: '13:30', to: '24:00' },
    ];
    const holidays = [
      { date: '2026-12-25', name: 'Christmas' },
      { date: '2026-12-26', name: null },
    ];
    const saved = await saveCalendar({ name: ' Office ', periods: periods.toReversed(), holidays: holidays.toReversed() });
    expect(saved).toMatchObject({
      __typename: 'SavedBusinessCalendar',
      reevaluation: null,
      calendar: { name: 'Office', version: 1, timeZone: 'Europe/Berlin', periods, holidays, policies: [] },
    });
    const calendarId = idOf(saved, 'calendar');
    const policyId = idOf(await savePolicy({ calendarId }), 'policy');
    const edited = await saveCalendar({
      calendarId,
      expectedVersion: 1,
      name: 'Office',
      timeZone: 'America/New_York',
      holidays: [],
      applyTo: 'OPEN_TICKETS_TOO',
    });
    expect(edited['calendar']).toMatchObject({ id: calendarId, version: 2, timeZone: 'America/New_York', holidays: [], policies: [{ id: policyId }] });
    expect(text(edited['reevaluation']?.['id'])).not.toBe('');
    expect(await saveCalendar({ calendarId, expectedVersion: 1 })).toEqual({ __typename: 'ChangedMeanwhile', what: 'calendar' });

    const agent = await world.user();
    const listed = await agent.ask('{ businessCalendars(first: 100) { edges { node { id name } } } }');
    expect(listed).toMatchObject({ businessCalendars: { edges: expect.arrayContaining([{ node: { id: calendarId, name: 'Office' } }]) } });

    const REMOVE = 'mutation ($id: ID!) { deleteBusinessCalendar(input: { calendarId: $id }) { __typename ... on NotPossible { reason } } }';
    expect(await admin.ask(REMOVE, { id: calendarId })).toEqual({ deleteBusinessCalendar: { __typename: 'NotPossible', reason: 'CALENDAR_IN_USE' } });
    await admin.ask(DELETE, { input: { policyId, applyTo: 'NEW_TICKETS' } });
    expect(await admin.ask(REMOVE, { id: calendarId })).toEqual({ deleteBusinessCalendar: { __typename: 'RemovedBusinessCalendar' } });
    expect(await admin.ask(REMOVE, { id: calendarId })).toEqual({ deleteBusinessCalendar: { __typename: 'NotFound' } });
  });

  it('names everything that is wrong with one [SLA-3]', async () => {
    const wrong = await saveCalendar({
      name: '',
      timeZone: 'Europe/Nowhere',
      periods: [
        { weekday: 'MONDAY', from: '09:00', to: '12:00' },
        { weekday: 'MONDAY', from: '11:59', to: '13:00' },
        { weekday: 'TUESDAY', from: '18:00', to: '08:00' },
        { weekday: 'TUESDAY', from: '9', to: '24:01' },
      ],
      holidays: [{ date: '2026-02-30' }, { date: '2026-05-01' }, { date: '2026-05-01' }, { date: '0000-01-01' }],
    });
    expect(wrong['__typename']).toBe('InvalidInput');
    expect(wrong['problems']).toEqual([
      { path: 'name', message: 'must not be empty' },
      { path: 'timeZone', message: 'there is no such time zone: take a name like Europe/Berlin' },
      { path: 'periods.1', message: 'overlaps period 0' },
      { path: 'periods.2.to', message: 'must be later than from; a period over midnight is two' },
      { path: 'periods.3.from', message: 'must be a time from 00:00 to 24:00' },
      { path: 'periods.3.to', message: 'must be a time from 00:00 to 24:00' },
      { path: 'holidays.0', message: 'must be a date like 2026-12-25' },
      { path: 'holidays.2', message: 'is named twice' },
      { path: 'holidays.3', message: 'must be a date like 2026-12-25' },
    ]);
    expect(await saveCalendar({ periods: [] })).toEqual({
      __typename: 'InvalidInput',
      problems: [{ path: 'periods', message: 'there are no open hours: no time would ever pass' }],
    });
  });

  it('refuses hours by which a goal of a policy could never be missed, when either is saved [SLA-3]', async () => {
    const minuteAWeek = [{ weekday: 'MONDAY', from: '09:00', to: '09:01' }];
    const calendarId = idOf(await saveCalendar({ periods: minuteAWeek }), 'calendar');
    const tooLong = await savePolicy({ calendarId, targets: [{ goal: 'CLOSE', minutes: 3_000 }] });
    expect(tooLong).toEqual({
      __typename: 'InvalidInput',
      problems: [{ path: 'targets.0.minutes', message: 'is longer than the calendar offers in twenty years' }],
    });
    const roomy = idOf(await saveCalendar({}), 'calendar');
    const saved = await savePolicy({ calendarId: roomy, targets: [{ goal: 'CLOSE', minutes: 3_000 }] });
    const number = text(saved['policy']?.['number']);
    expect(await saveCalendar({ calendarId: roomy, periods: minuteAWeek })).toEqual({
      __typename: 'InvalidInput',
      problems: [{ path: 'periods', message: `a goal of policy ${number} would be longer than the calendar offers in twenty years` }],
    });
  });
});

describe('policies', () => {
  it('makes one with all it can have and reads it back, global ids for ids [SLA-1] [SLA-2] [SLA-5] [SLA-12]', async () => {
    const agent = await world.user();
    const team = globalId('Team', await makeTeam(world.db, { primary: [agent.id] }));
    const status = await world.db.selectFrom('ticket_status').selectAll().where('category', '=', 'OPEN').executeTakeFirstOrThrow();
    const webhook = await world.db
      .insertInto('webhook')
      .values({ name: unique(), url: 'https://hooks.example/', secret: Buffer.alloc(32) })
      .returning('id')
      .executeTakeFirstOrThrow();
    const conditions = [
      { property: 'pipeline', operator: 'IS', values: [globalId('Pipeline', status.pipeline_id)] },
      { property: 'team', operator: 'IN', values: [team] },
      { property: 'priority', operator: 'IN', values: ['HIGH', 'URGENT'] },
      { property: 'properties.plan', operator: 'CONTAINS', values: ['gold'] },
    ];
    const targets = [
      { goal: 'FIRST_REPLY', priority: null, minutes: 60, dueSoonMinutes: 15 },
      { goal: 'FIRST_REPLY', priority: 'URGENT', minutes: 10, dueSoonMinutes: 0 },
      { goal: 'CLOSE', priority: null, minutes: 2_880, dueSoonMinutes: 240 },
    ];
    const nothing = { setPriority: null, assignRule: null, notifyUsers: [], notifyTeams: [], webhookId: null };
    const webhookId = globalId('Webhook', webhook.id);
    const saved = await savePolicy({
      name: 'Gold',
      conditions,
      targets,
      pauseStatusIds: [globalId('TicketStatus', status.id)],
      actions: [
        { on: 'DUE_SOON', goal: 'CLOSE', setPriority: 'URGENT' },
        { on: 'OVERDUE', assignRule: { kind: 'SPECIFIC', method: 'ROUND_ROBIN', userIds: [agent.gid] } },
        { on: 'OVERDUE', notify: { userIds: [agent.gid], teamIds: [team] } },
        { on: 'OVERDUE', webhookId },
      ],
    });
    expect(saved['policy']).toMatchObject({
      name: 'Gold',
      version: 1,
      calendar: null,
      conditions,
      targets,
      pauseStatuses: [{ id: globalId('TicketStatus', status.id) }],
      actions: [
        { ...nothing, on: 'DUE_SOON', goal: 'CLOSE', setPriority: 'URGENT' },
        {
          ...nothing,
          on: 'OVERDUE',
          goal: null,
          assignRule: { method: 'ROUND_ROBIN', users: [{ id: agent.gid }], targets: [{ user: { id: agent.gid }, eligible: true, reason: null }] },
        },
        { ...nothing, on: 'OVERDUE', goal: null, notifyUsers: [{ id: agent.gid }], notifyTeams: [{ id: team }] },
        { ...nothing, on: 'OVERDUE', goal: null, webhookId },
      ],
    });
    const seen = await agent.ask('query ($id: ID!) { node(id: $id) { ... on SlaPolicy { name removedAt actions { assignRule { users { id } } } } } }', {
      id: idOf(saved, 'policy'),
    });
    expect(seen['node']).toMatchObject({ name: 'Gold', removedAt: null, actions: [{}, { assignRule: { users: [{ id: agent.gid }] } }, {}, {}] });
    await admin.ask(DELETE, { input: { policyId: idOf(saved, 'policy'), applyTo: 'NEW_TICKETS' } });
  });

  it('names everything that is wrong with one, and saves nothing of it [SLA-1] [SLA-2] [SLA-12]', async () => {
    const before = await world.db.selectFrom('sla_terms').select('id').execute();
    const nowhere = '00000000-0000-7000-8000-000000000000';
    const closed = await world.db.selectFrom('ticket_status').select('id').where('category', '=', 'CLOSED').executeTakeFirstOrThrow();
    const wrong = await savePolicy({
      name: ' ',
      calendarId: globalId('BusinessCalendar', nowhere),
      conditions: [
        { property: 'pipeline', operator: 'IS', values: ['Sales'] },
        { property: 'team', operator: 'IS', values: [globalId('Team', nowhere)] },
        { property: 'mood', operator: 'IS', values: ['bad'] },
        { property: 'priority', operator: 'CONTAINS', values: ['HIGH'] },
      ],
      targets: [
        { goal: 'CLOSE', minutes: 0 },
        { goal: 'FIRST_REPLY', minutes: 10, dueSoonMinutes: 10 },
        { goal: 'FIRST_REPLY', minutes: 10, dueSoonMinutes: -1 },
        { goal: 'CLOSE', priority: 'LOW', minutes: 1_000_000 },
      ],
      pauseStatusIds: [globalId('TicketStatus', closed.id)],
      actions: [
        { on: 'OVERDUE' },
        { on: 'OVERDUE', setPriority: 'HIGH', webhookId: 'x' },
        { on: 'OVERDUE', goal: 'NEXT_REPLY', notify: {} },
        { on: 'OVERDUE', assignRule: { kind: 'NOBODY' } },
        { on: 'OVERDUE', notify: { userIds: [globalId('User', nowhere)] } },
      ],
    });
    expect(wrong['__typename']).toBe('InvalidInput');
    expect(paths(wrong)).toEqual([
      'name',
      'calendarId',
      'conditions.2.property',
      'conditions.3.operator',
      'targets.0.minutes',
      'targets.1.dueSoonMinutes',
      'targets.2',
      'targets.2.dueSoonMinutes',
      'targets.3.minutes',
      'actions.2.goal',
      'conditions.0.values.0',
      'conditions.1.values.0',
      'pauseStatusIds.0',
      'actions.0',
      'actions.1',
      'actions.1.webhookId',
      'actions.2.notify',
      'actions.3.assignRule.kind',
      'actions.4.notify.userIds.0',
    ]);
    expect(await world.db.selectFrom('sla_terms').select('id').execute()).toHaveLength(before.length);
    expect(paths(await savePolicy({ targets: [] }))).toEqual(['targets']);
    expect(paths(await savePolicy({ targets: Array.from({ length: 16 }, () => ({ goal: 'CLOSE', minutes: 1 })) }))).toEqual(['targets']);
    const poor = await world.user({ seat: 'NONE' });
    const rule = { kind: 'SPECIFIC', userIds: [poor.gid] };
    expect(await savePolicy({ actions: [{ on: 'OVERDUE', assignRule: rule }] })).toEqual({ __typename: 'NotAssignable', targets: [{ reason: 'NO_SEAT' }] });
  });

  it('lists them in the order in which they are tried, which is given as a whole [SLA-2]', async () => {
    const [one, two] = [idOf(await savePolicy({}), 'policy'), idOf(await savePolicy({}), 'policy')];
    const all = async (): Promise<string[]> => {
      const { slaPolicies } = await admin.ask('{ slaPolicies(first: 100) { edges { node { id } } } }');
      return (slaPolicies?.['edges'] as unknown as { node: { id: string } }[]).map(({ node }) => node.id);
    };
    const before = await all();
    expect(before.slice(-2)).toEqual([one, two]);
    const ORDER = `mutation ($input: OrderSlaPoliciesInput!) { orderSlaPolicies(input: $input) { __typename ... on InvalidInput { problems { path } }
      ... on OrderedSlaPolicies { policies { id } reevaluation { why } } } }`;
    const order = async (policyIds: readonly string[], applyTo = 'NEW_TICKETS') =>
      (await admin.ask(ORDER, { input: { policyIds, applyTo } }))['orderSlaPolicies'];
    const reversed = before.toReversed();
    expect(await order(reversed, 'OPEN_TICKETS_TOO')).toEqual({
      __typename: 'OrderedSlaPolicies',
      policies: reversed.map((id) => ({ id })),
      reevaluation: { why: 'POLICIES_ORDERED' },
    });
    expect(await all()).toEqual(reversed);
    expect(await order(reversed.slice(1))).toEqual({ __typename: 'InvalidInput', problems: [{ path: 'policyIds' }] });
    expect(await order([one, one, ...reversed])).toMatchObject({ problems: [{ path: 'policyIds.1' }, { path: `policyIds.${2 + reversed.indexOf(one)}` }] });
    const removed = await admin.ask(DELETE, { input: { policyId: one, applyTo: 'OPEN_TICKETS_TOO' } });
    expect(removed).toEqual({ deleteSlaPolicy: { __typename: 'RemovedSlaPolicy', removedId: one, reevaluation: { why: 'POLICY_DELETED' } } });
    expect(await all()).not.toContain(one);
    expect((await admin.ask('query ($id: ID!) { node(id: $id) { ... on SlaPolicy { removedAt } } }', { id: one }))['node']?.['removedAt']).toBeTypeOf('string');
  });

  it('asks for which tickets it holds: without the answer the document is no good [SLA-10]', async () => {
    const answer = await admin.raw('mutation { saveSlaPolicy(input: { name: "x", targets: [{ goal: CLOSE, minutes: 1 }] }) { __typename } }');
    expect(answer.errors.map(({ message }) => message)).toEqual([expect.stringContaining('applyTo')]);
  });
});

describe('at once', () => {
  it('of twenty edits of the same version exactly one wins [SLA-2]', async () => {
    const policyId = idOf(await savePolicy({}), 'policy');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => savePolicy({ policyId, expectedVersion: 1, targets: [{ goal: 'CLOSE', minutes: 100 + at }] })),
    );
    const won = answers.filter((one) => text(one['__typename']) === 'SavedSlaPolicy');
    expect(won).toHaveLength(1);
    expect(answers.filter((one) => text(one['__typename']) === 'ChangedMeanwhile')).toHaveLength(19);
    expect(won[0]?.['policy']).toMatchObject({ version: 2 });
    const kept = await admin.ask('query ($id: ID!) { node(id: $id) { ... on SlaPolicy { version targets { minutes } } } }', { id: policyId });
    const targets = won[0]?.['policy']?.['targets'] as unknown as { minutes: number }[];
    expect(kept['node']).toEqual({ version: 2, targets: [{ minutes: targets[0]?.minutes }] });

    const calendarId = idOf(await saveCalendar({}), 'calendar');
    const calendars = await Promise.all(Array.from({ length: 20 }, () => saveCalendar({ calendarId, expectedVersion: 1 })));
    expect(calendars.filter((one) => text(one['__typename']) === 'SavedBusinessCalendar')).toHaveLength(1);
    expect(calendars.filter((one) => text(one['__typename']) === 'ChangedMeanwhile')).toHaveLength(19);
  });

  it('of those who make the same name exactly one does [SLA-2]', async () => {
    const name = unique();
    const policies = await Promise.all(Array.from({ length: 8 }, (_, at) => savePolicy({ name: at % 2 === 0 ? name : name.toUpperCase() })));
    expect(policies.map((one) => one['__typename']).toSorted()).toEqual([...Array<string>(7).fill('AlreadyExists'), 'SavedSlaPolicy']);
    const calendars = await Promise.all(Array.from({ length: 8 }, () => saveCalendar({ name })));
    expect(calendars.map((one) => one['__typename']).toSorted()).toEqual([...Array<string>(7).fill('AlreadyExists'), 'SavedBusinessCalendar']);
  });

  it('the same key twice saves once and answers the same, the re-evaluation too [SLA-10] [API-4]', async () => {
    const input = { name: unique(), idempotencyKey: unique().replace(' ', '-'), applyTo: 'OPEN_TICKETS_TOO' };
    const [first, second] = [await savePolicy(input), await savePolicy(input)];
    expect(second).toEqual(first);
    expect(text(first['reevaluation']?.['id'])).not.toBe('');
  });
});

describe('open tickets too', () => {
  it('answers with what was started, whose progress is read by id, and which the feed tells admins of, and nobody else [SLA-10]', async () => {
    await world.db.updateTable('sla_policy').set({ deleted_at: new Date() }).where('deleted_at', 'is', null).execute();
    const channel = await makeChannel(world.db);
    await take(world.db, channel, [inbound('one@outside.example'), inbound('two@outside.example')]);
    const agent = await world.user();
    const FEED = 'subscription ($after: String) { events(after: $after) { ... on FeedItem { event { kind why data } } } }';
    const { events } = await admin.ask('{ events { ... on FeedPage { cursor } } }');
    const feed = admin.listen(FEED, { after: events?.['cursor'] });
    // What an older transaction held back comes after the place that was the newest: what was started before is passed over.
    const nextOf = async (reevaluationId: string): Promise<Json> => {
      for (;;) {
        const event = (await feed.next())?.['events']?.['event'];
        if (event === undefined) throw new Error('the feed ended');
        if (text(event['kind']) === 'SLA_REEVALUATION_CHANGED' && text(event['data']?.['reevaluationId']) === reevaluationId) return event;
      }
    };

    const saved = await savePolicy({ applyTo: 'OPEN_TICKETS_TOO' });
    expect(saved['reevaluation']).toMatchObject({ why: 'POLICY_SAVED', state: 'RUNNING', total: 2, startedBy: { id: admin.gid } });
    const id = text(saved['reevaluation']?.['id']);
    const rowId = Buffer.from(id, 'base64').toString().split(':')[1] ?? '';
    expect(await nextOf(rowId)).toMatchObject({ why: 'STARTED' });
    expect(world.wakes).toContainEqual({ kind: 'sla-reevaluation', reevaluationId: rowId });

    const PROGRESS = 'query ($id: ID!) { node(id: $id) { ... on SlaReevaluation { state total lookedAt changed percent startedAt endedAt } } }';
    expect((await admin.ask(PROGRESS, { id }))['node']).toMatchObject({ state: 'RUNNING', total: 2, lookedAt: 0, changed: 0, percent: 0, endedAt: null });
    await reevaluateBatch(world.db, rowId);
    expect(await nextOf(rowId)).toMatchObject({ why: 'DONE', data: { lookedAt: 2, changed: 2 } });
    feed.close();
    const done = (await admin.ask(PROGRESS, { id }))['node'];
    expect(done).toMatchObject({ state: 'DONE', total: 2, lookedAt: 2, changed: 2, percent: 100 });
    expect(text(done?.['endedAt'])).not.toBe('');
    expect(await agent.ask(PROGRESS, { id })).toEqual({ node: null });
    expect(await agent.ask('{ slaReevaluations { edges { node { id } } } }')).toEqual({ slaReevaluations: { edges: [] } });
  });

  it('is started by hand, and the newest is listed first [SLA-10]', async () => {
    const { reevaluateSla } = await admin.ask('mutation { reevaluateSla(input: {}) { __typename ... on SlaReevaluation { id why } } }');
    expect(reevaluateSla).toMatchObject({ __typename: 'SlaReevaluation', why: 'BY_HAND' });
    const { slaReevaluations } = await admin.ask('{ slaReevaluations(first: 2) { edges { node { id why } } } }');
    expect(slaReevaluations?.['edges']).toMatchObject([{ node: { id: reevaluateSla?.['id'] } }, {}]);
    const agent = await world.user();
    const refused = await agent.ask('mutation { reevaluateSla(input: {}) { __typename ... on Forbidden { needs } } }');
    expect(refused).toEqual({ reevaluateSla: { __typename: 'Forbidden', needs: 'the role admin' } });
  });

  it('starts none where it holds for new tickets only, or no policy goes by the calendar [SLA-10]', async () => {
    const count = async () => (await world.db.selectFrom('sla_reevaluation').select('id').execute()).length;
    const before = await count();
    expect(await savePolicy({})).toMatchObject({ reevaluation: null });
    expect(await saveCalendar({ applyTo: 'OPEN_TICKETS_TOO' })).toMatchObject({ reevaluation: null });
    expect(await count()).toBe(before);
  });
});

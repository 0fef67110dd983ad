import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePolicy, goal } from '../commands/sla-support.ts';
import { createTicket } from '#commands/tickets.ts';
import { transact } from '#commands/unit.ts';
import { inbound, makeChannel, makeTeam, take } from '../support/fixtures.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
beforeAll(async () => {
  world = await openWorld();
  agent = await world.user();
});
afterAll(() => world?.close());

const PREVIEW = `query ($policyId: ID, $policy: SlaPolicyDraft, $calendarId: ID, $calendar: BusinessCalendarDraft, $at: DateTime!, $priority: Priority, $first: Int) {
  previewSla(policyId: $policyId, policy: $policy, calendarId: $calendarId, calendar: $calendar, at: $at, priority: $priority) { __typename
    ... on InvalidInput { problems { path message } } ... on NotFound { what }
    ... on SlaPreview { timeZone goals { goal minutes dueSoonMinutes dueAt dueAtClock dueSoonAt dueSoonAtClock whole
      days(first: $first) { date weekday minutes minutesSoFar shiftHours shift stretches { from to fromClock toClock } } } } } }`;
const preview = async (input: object): Promise<Json> => (await agent.ask(PREVIEW, { at: '2026-03-27T15:00:00Z', ...input }))['previewSla'] ?? {};
const problems = async (input: object): Promise<unknown> => {
  const answer = await preview(input);
  expect(answer['__typename']).toBe('InvalidInput');
  return answer['problems'];
};
const closing = (minutes: number, more: object = {}) => ({ targets: [{ goal: 'CLOSE', minutes, ...more }] });
const berlin = (...periods: readonly (readonly [string, string, string])[]) => ({
  timeZone: 'Europe/Berlin',
  periods: periods.map(([weekday, from, to]) => ({ weekday, from, to })),
});

it('shows how a deadline comes about over the night in which the clocks are put forward, by instants and by the clock [SLA-3]', async () => {
  const calendar = berlin(['FRIDAY', '09:00', '12:30'], ['FRIDAY', '13:30', '18:00'], ['SUNDAY', '00:00', '06:00'], ['MONDAY', '20:00', '24:00']);
  const answer = await preview({ policy: closing(600, { dueSoonMinutes: 300 }), calendar });
  expect(answer).toEqual({
    __typename: 'SlaPreview',
    timeZone: 'Europe/Berlin',
    goals: [
      {
        goal: 'CLOSE',
        minutes: 600,
        dueSoonMinutes: 300,
        dueAt: '2026-03-30T21:00:00.000Z',
        dueAtClock: 'Mon 30 Mar 23:00 Europe/Berlin',
        dueSoonAt: '2026-03-29T02:00:00.000Z',
        dueSoonAtClock: 'Sun 29 Mar 04:00 Europe/Berlin',
        whole: true,
        days: [
          {
            date: '2026-03-27',
            weekday: 'FRIDAY',
            minutes: 120,
            minutesSoFar: 120,
            shiftHours: 0,
            shift: null,
            stretches: [{ from: '2026-03-27T15:00:00.000Z', to: '2026-03-27T17:00:00.000Z', fromClock: '16:00', toClock: '18:00' }],
          },
          {
            date: '2026-03-29',
            weekday: 'SUNDAY',
            minutes: 300,
            minutesSoFar: 420,
            shiftHours: -1,
            shift: 'the clocks are put forward by 1 hour',
            stretches: [
              { from: '2026-03-28T23:00:00.000Z', to: '2026-03-29T01:00:00.000Z', fromClock: '00:00', toClock: '02:00' },
              { from: '2026-03-29T01:00:00.000Z', to: '2026-03-29T04:00:00.000Z', fromClock: '03:00', toClock: '06:00' },
            ],
          },
          {
            date: '2026-03-30',
            weekday: 'MONDAY',
            minutes: 180,
            minutesSoFar: 600,
            shiftHours: 0,
            shift: null,
            stretches: [{ from: '2026-03-30T18:00:00.000Z', to: '2026-03-30T21:00:00.000Z', fromClock: '20:00', toClock: '23:00' }],
          },
        ],
      },
    ],
  });
});

it('says it also where they are put back, and where it is half an hour [SLA-3]', async () => {
  const nights = { periods: [{ weekday: 'SUNDAY', from: '00:00', to: '06:00' }] };
  const shifts = async (timeZone: string, at: string) => {
    const answer = await preview({ policy: closing(300), calendar: { ...nights, timeZone }, at });
    const [first] = answer['goals'] as unknown as { days: { minutes: number; shift: string | null }[] }[];
    return first?.days.map(({ shift }) => shift);
  };
  expect(await shifts('Europe/Berlin', '2026-10-24T12:00:00Z')).toEqual(['the clocks are put back by 1 hour']);
  expect(await shifts('Australia/Lord_Howe', '2026-04-04T00:00:00Z')).toEqual(['the clocks are put back by 30 minutes']);
});

it('asks what the priority has of its own, else what all have; without a calendar all time counts and is told in UTC [SLA-2] [SLA-3]', async () => {
  const policyId = globalId(
    'SlaPolicy',
    await makePolicy(world.db, { targets: [goal('FIRST_REPLY', 60), goal('FIRST_REPLY', 10, { priority: 'URGENT' }), goal('CLOSE', 1_440)] }),
  );
  const told = async (priority?: string) => {
    const { timeZone, goals } = await preview({ policyId, ...(priority === undefined ? {} : { priority }) });
    expect(timeZone).toBe('UTC');
    return (goals as unknown as { goal: string; dueAt: string; dueSoonAt: string | null }[]).map((one) => [one.goal, one.dueAt, one.dueSoonAt]);
  };
  expect(await told('URGENT')).toEqual([
    ['FIRST_REPLY', '2026-03-27T15:10:00.000Z', null],
    ['CLOSE', '2026-03-28T15:00:00.000Z', null],
  ]);
  expect(await told('LOW')).toEqual(await told());
  expect(await told()).toEqual([
    ['FIRST_REPLY', '2026-03-27T16:00:00.000Z', null],
    ['CLOSE', '2026-03-28T15:00:00.000Z', null],
  ]);
});

it('goes by a saved calendar or a typed one in place of the policy’s own [SLA-3]', async () => {
  const admin = await world.user({ role: 'ADMIN' });
  const SAVE = 'mutation ($input: SaveBusinessCalendarInput!) { saveBusinessCalendar(input: $input) { ... on SavedBusinessCalendar { calendar { id } } } }';
  const saved = await admin.ask(SAVE, {
    input: { name: 'Mondays', ...berlin(['MONDAY', '09:00', '10:00']), holidays: [{ date: '2026-03-30' }], applyTo: 'NEW_TICKETS' },
  });
  const calendarId = text(saved['saveBusinessCalendar']?.['calendar']?.['id']);
  const id = Buffer.from(calendarId, 'base64').toString().split(':')[1] ?? '';
  const policyId = globalId('SlaPolicy', await makePolicy(world.db, { targets: [goal('CLOSE', 30)], calendarId: id }));
  const dueAt = async (input: object) => (await preview({ policyId, ...input }))['goals'] as unknown;
  expect(await dueAt({})).toMatchObject([{ dueAtClock: 'Mon 6 Apr 09:30 Europe/Berlin' }]);
  expect(await preview({ policy: closing(60), calendarId })).toMatchObject({ goals: [{ dueAtClock: 'Mon 6 Apr 10:00 Europe/Berlin' }] });
  expect(await dueAt({ calendar: berlin(['TUESDAY', '09:00', '10:00']) })).toMatchObject([{ dueAtClock: 'Tue 31 Mar 09:30 Europe/Berlin' }]);
});

it('refuses all that is wrong, each thing by its path: hours, zones, dates, goals, and what is named twice or not at all [SLA-3]', async () => {
  const policy = closing(60);
  expect(await problems({ policy, calendar: berlin(['MONDAY', '09:00', '12:00'], ['MONDAY', '11:00', '13:00']) })).toEqual([
    { path: 'calendar.periods.1', message: 'overlaps period 0' },
  ]);
  expect(await problems({ policy, calendar: berlin(['MONDAY', '17:00', '09:00']) })).toEqual([
    { path: 'calendar.periods.0.to', message: 'must be later than from; a period over midnight is two' },
  ]);
  expect(await problems({ policy, calendar: { ...berlin(['MONDAY', '09:00', '17:00']), timeZone: 'Mars/Olympus' } })).toEqual([
    { path: 'calendar.timeZone', message: 'there is no such time zone: take a name like Europe/Berlin' },
  ]);
  expect(await problems({ policy, calendar: berlin() })).toEqual([{ path: 'calendar.periods', message: 'there are no open hours: no time would ever pass' }]);
  expect(await problems({ policy: closing(3_000), calendar: berlin(['MONDAY', '09:00', '09:01']) })).toEqual([
    { path: 'policy.targets.0.minutes', message: 'is longer than the calendar offers in twenty years' },
  ]);
  const saved = globalId('SlaPolicy', await makePolicy(world.db, { targets: [goal('CLOSE', 3_000)] }));
  expect(await problems({ policyId: saved, calendar: berlin(['MONDAY', '09:00', '09:01']) })).toEqual([
    { path: 'calendar', message: 'the goal of close is longer than the calendar offers in twenty years' },
  ]);
  const everything = {
    policy: { ...closing(0), conditions: [{ property: 'pipeline', operator: 'IS', values: ['x'] }], actions: [{ on: 'OVERDUE' }] },
    calendar: { ...berlin(['MONDAY', '9', '24:30']), holidays: [{ date: '2026-13-01' }] },
    at: '2300-01-01T00:00:00Z',
  };
  expect(((await problems(everything)) as { path: string }[]).map(({ path }) => path)).toEqual([
    'at',
    'calendar.periods.0.from',
    'calendar.periods.0.to',
    'calendar.holidays.0',
    'policy.targets.0.minutes',
    'policy.conditions.0.values.0',
    'policy.actions.0',
  ]);
  expect(await problems({})).toMatchObject([{ path: 'policyId' }]);
  const gone = globalId('BusinessCalendar', '00000000-0000-7000-8000-000000000000');
  expect(await problems({ policyId: saved, policy, calendarId: gone, calendar: berlin(['MONDAY', '09:00', '17:00']) })).toMatchObject([
    { path: 'policy' },
    { path: 'calendar' },
  ]);
  expect(await preview({ policy, calendarId: gone })).toEqual({ __typename: 'NotFound', what: 'calendar' });
});

it('lists as many days as are asked for, and says where they do not reach the deadline [SLA-3]', async () => {
  const policy = closing(60 * 60);
  const calendar = berlin(['MONDAY', '09:00', '10:00']);
  const [short] = (await preview({ policy, calendar, first: 2 }))['goals'] as unknown as { days: object[]; whole: boolean; dueAt: string }[];
  expect(short).toMatchObject({ days: [{ date: '2026-03-30' }, { date: '2026-04-06' }], whole: false, dueAt: '2027-05-17T08:00:00.000Z' });
  const [all] = (await preview({ policy, calendar, first: 100 }))['goals'] as unknown as { days: { shiftHours: number; minutesSoFar: number }[] }[];
  expect(all?.days).toHaveLength(57);
  expect(all?.days.at(-1)).toMatchObject({ shiftHours: 0, minutesSoFar: 57 * 60 });
});

const FOR = `query ($ticketId: ID, $priority: Priority, $pipelineId: ID, $teamId: ID, $source: String, $properties: JSONObject) {
  slaPolicyFor(ticketId: $ticketId, priority: $priority, pipelineId: $pipelineId, teamId: $teamId, source: $source, properties: $properties) { __typename
    ... on InvalidInput { problems { path } }
    ... on SlaPolicyFor { why policy { name } targets { goal minutes } passedOver { policy { name } condition { property values } } } } }`;

it('says which policy applies to a described ticket or one that there is, and which condition of each before it does not hold [SLA-2] [SLA-11]', async () => {
  await world.db.updateTable('sla_policy').set({ deleted_at: new Date() }).where('deleted_at', 'is', null).execute();
  const teamId = await makeTeam(world.db, {});
  const team = globalId('Team', teamId);
  const channel = await makeChannel(world.db);
  await makePolicy(world.db, { name: 'team', conditions: [{ property: 'team', operator: 'IS', values: [teamId] }], targets: [goal('CLOSE', 10)] });
  await makePolicy(world.db, {
    name: 'gold by the channel',
    conditions: [
      { property: 'source', operator: 'IS', values: [channel.key] },
      { property: 'properties.plan', operator: 'IS', values: ['gold'] },
    ],
    targets: [goal('CLOSE', 20), goal('CLOSE', 5, { priority: 'URGENT' })],
  });
  await makePolicy(world.db, { name: 'high', conditions: [{ property: 'priority', operator: 'IN', values: ['HIGH'] }], targets: [goal('CLOSE', 30)] });
  const asked = async (input: object): Promise<Json> => (await agent.ask(FOR, input as Record<string, unknown>))['slaPolicyFor'] ?? {};

  const notTeam = { policy: { name: 'team' }, condition: { property: 'team', values: [team] } };
  const notGold = { policy: { name: 'gold by the channel' }, condition: { property: 'properties.plan', values: ['gold'] } };
  expect(await asked({ teamId: team })).toMatchObject({ why: 'MATCHES', policy: { name: 'team' }, passedOver: [] });
  expect(await asked({ source: channel.key, properties: { plan: 'Gold' }, priority: 'URGENT' })).toMatchObject({
    why: 'MATCHES',
    policy: { name: 'gold by the channel' },
    targets: [{ goal: 'CLOSE', minutes: 5 }],
    passedOver: [notTeam],
  });
  expect(await asked({ source: channel.key, priority: 'HIGH' })).toMatchObject({ policy: { name: 'high' }, passedOver: [notTeam, notGold] });
  expect(await asked({})).toMatchObject({ why: 'NONE_MATCHES', policy: null, targets: [], passedOver: [notTeam, {}, { policy: { name: 'high' } }] });

  await take(world.db, channel, [inbound('somebody@outside.example')]);
  const ticket = await world.db.selectFrom('ticket').select('id').where('conversation_id', 'is not', null).executeTakeFirstOrThrow();
  const ticketId = globalId('Ticket', ticket.id);
  expect(await asked({ ticketId })).toMatchObject({ why: 'NONE_MATCHES', passedOver: [notTeam, notGold, {}] });
  await world.db.updateTable('ticket').set({ properties: '{"plan": "gold"}' }).where('id', '=', ticket.id).execute();
  expect(await asked({ ticketId })).toMatchObject({ why: 'MATCHES', policy: { name: 'gold by the channel' }, targets: [{ minutes: 20 }] });

  const { value: lone } = await transact(world.db, { actor: 'SYSTEM' }, (unit) => createTicket(unit, { name: 'Lone', source: 'API' }));
  expect(await asked({ ticketId: globalId('Ticket', lone.ticketId) })).toMatchObject({ why: 'NO_CONVERSATION', policy: null, passedOver: [] });
  const elsewhere = await makeChannel(world.db, { place: 'INBOX', createTickets: true });
  await take(world.db, elsewhere, [inbound('another@outside.example')]);
  const inInbox = await world.db
    .selectFrom('ticket')
    .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
    .select('ticket.id')
    .where('conversation.channel_id', '=', elsewhere.id)
    .executeTakeFirstOrThrow();
  expect(await asked({ ticketId: globalId('Ticket', inInbox.id) })).toMatchObject({ why: 'NOT_IN_HELP_DESK' });

  const nowhere = '00000000-0000-7000-8000-000000000000';
  expect(await asked({ ticketId, priority: 'HIGH', teamId: team })).toEqual({
    __typename: 'InvalidInput',
    problems: [{ path: 'teamId' }, { path: 'priority' }],
  });
  expect(await asked({ pipelineId: globalId('Pipeline', nowhere), teamId: globalId('Team', nowhere) })).toEqual({
    __typename: 'InvalidInput',
    problems: [{ path: 'pipelineId' }, { path: 'teamId' }],
  });
  expect(await asked({ ticketId: globalId('Ticket', nowhere) })).toEqual({ __typename: 'NotFound' });
});

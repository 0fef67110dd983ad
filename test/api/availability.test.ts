import { afterAll, beforeAll, expect, it } from 'vitest';
import { decide } from '#commands/routing.ts';
import { arriving, ruled } from '../commands/routing-support.ts';
import { globalId, openWorld, type Json, type Person, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const USER = `__typename ... on User { id availability availabilityUntil availabilitySetAt timeZone workingHours { weekday from to } outOfOffice { id from to } }
  ... on InvalidInput { problems { path } } ... on Forbidden { needs }`;
const change = (who: Person, name: string, input: object): Promise<Json | undefined> =>
  who
    .ask(`mutation ($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { ${USER} } }`, { input })
    .then((data) => data[name]);
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

it('sets one’s own hours with their zone, absences and override, and says until when it holds [ROUTE-12, API-1]', async () => {
  const agent = await world.user();
  const days = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'];
  const periods = days.map((weekday) => ({ weekday, from: '00:00', to: '24:00' }));
  expect(await change(agent, 'setWorkingHours', { periods, timeZone: 'Europe/Berlin' })).toMatchObject({
    timeZone: 'Europe/Berlin',
    workingHours: periods,
    availability: 'AVAILABLE',
    availabilityUntil: null,
  });
  const [from, to] = [inHours(2), inHours(5)];
  expect(await change(agent, 'addOutOfOffice', { from, to })).toMatchObject({ availabilityUntil: from, outOfOffice: [{ from, to }] });
  expect(await change(agent, 'setAvailability', { availability: 'AWAY' })).toMatchObject({
    availability: 'AWAY',
    availabilityUntil: from,
    availabilitySetAt: expect.any(String),
  });
  const cleared = await change(agent, 'clearAvailability', {});
  expect(cleared).toMatchObject({ availability: 'AVAILABLE', availabilitySetAt: null });
  const outOfOfficeId = cleared?.['outOfOffice']?.[0]?.['id'];
  expect(await change(agent, 'removeOutOfOffice', { outOfOfficeId })).toMatchObject({ outOfOffice: [], availabilityUntil: null });
});

it('answers every wrong field by its path, and refuses what is somebody else’s to who is no admin [ROUTE-12, API-2, API-6]', async () => {
  const [agent, other, admin] = [await world.user(), await world.user(), await world.user({ role: 'ADMIN' })];
  const periods = [
    { weekday: 'MONDAY', from: '08:00', to: '12:00' },
    { weekday: 'MONDAY', from: '11:00', to: '10:00' },
  ];
  expect(await change(agent, 'setWorkingHours', { periods, timeZone: '+02:00' })).toEqual({
    __typename: 'InvalidInput',
    problems: [{ path: 'periods.1.to' }, { path: 'timeZone' }],
  });
  expect(await change(agent, 'addOutOfOffice', { from: inHours(2), to: inHours(1) })).toMatchObject({ problems: [{ path: 'to' }] });
  expect(await change(agent, 'setWorkingHours', { userId: other.gid, periods: [] })).toMatchObject({ __typename: 'Forbidden' });
  const theirs = await change(admin, 'addOutOfOffice', { userId: other.gid, from: inHours(1), to: inHours(2) });
  expect(theirs).toMatchObject({ id: other.gid });
  const outOfOfficeId = theirs?.['outOfOffice']?.[0]?.['id'];
  expect(await change(agent, 'removeOutOfOffice', { outOfOfficeId })).toMatchObject({ __typename: 'Forbidden' });
  expect(await change(admin, 'removeOutOfOffice', { outOfOfficeId })).toMatchObject({ id: other.gid, outOfOffice: [] });
});

it('reads hours and absences of any number of users with as many statements as of one [API-8]', async () => {
  const list = '{ users(first: 100) { edges { node { workingHours { weekday } outOfOffice { id } } } } }';
  const reader = await world.user();
  const count = async () => {
    world.statements.length = 0;
    await reader.ask(list);
    return world.statements.length;
  };
  const before = await count();
  for (let index = 0; index < 10; index += 1) {
    const one = await world.user();
    await change(one, 'setWorkingHours', { periods: [{ weekday: 'SUNDAY', from: '10:00', to: '11:00' }] });
  }
  expect(await count()).toBe(before);
});

it('lets a channel decide again what nobody was free for, off until said, and wakes what waits [ROUTE-13, API-1]', async () => {
  const [admin, agent] = [await world.user({ role: 'ADMIN' }), await world.user({ availability: 'AWAY' })];
  const channel = await ruled(world.db, { users: [agent.id] });
  const [conversationId = ''] = await arriving(world.db, channel, 1);
  await decide(world.db, { conversationId }, Math.random);
  const channelId = globalId('Channel', channel.id);
  expect(await admin.ask('query ($id: ID!) { node(id: $id) { ... on Channel { retryWhenAvailable } } }', { id: channelId })).toEqual({
    node: { retryWhenAvailable: false },
  });
  const update = 'mutation ($input: UpdateChannelInput!) { updateChannel(input: $input) { __typename ... on Channel { retryWhenAvailable } } }';
  expect(await admin.ask(update, { input: { channelId, retryWhenAvailable: true } })).toEqual({
    updateChannel: { __typename: 'Channel', retryWhenAvailable: true },
  });
  expect(world.wakes).toContainEqual({ kind: 'routing-retry' });
  expect(await agent.ask(update, { input: { channelId, retryWhenAvailable: false } })).toMatchObject({ updateChannel: { __typename: 'Forbidden' } });
});

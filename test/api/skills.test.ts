import { afterAll, beforeAll, expect, it } from 'vitest';
import { arriving, ruled } from '../commands/routing-support.ts';
import { makeTeam } from '../support/fixtures.ts';
import { globalId, openWorld, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

const SAVE = 'mutation ($input: SaveSkillInput!) { saveSkill(input: $input) { __typename ... on Skill { id category name } } }';
const RULE = `mutation ($input: SetRoutingRuleInput!) { setRoutingRule(input: $input) { __typename ... on InvalidInput { problems { path } }
  ... on Channel { routingRule { method skillRules { position otherwise skills { name } conditions { property operator values } } targets { user { id } team { id } eligible reason } } } } }`;

it('makes skills, gives them to users, lists them, and routes by them [ROUTE-11, API-1]', async () => {
  const [admin, agent] = [await world.user({ role: 'ADMIN' }), await world.user()];
  const { saveSkill: made } = await admin.ask(SAVE, { input: { category: 'Language', name: 'fr' } });
  expect(made).toMatchObject({ __typename: 'Skill', category: 'language', name: 'fr' });
  expect(await admin.ask(SAVE, { input: { category: 'language', name: 'FR' } })).toMatchObject({ saveSkill: { __typename: 'AlreadyExists' } });
  const skillId = made?.['id'];
  const GIVE = 'mutation ($input: SetUserSkillsInput!) { setUserSkills(input: $input) { ... on User { skills { id } } } }';
  expect(await admin.ask(GIVE, { input: { userId: agent.gid, skillIds: [skillId] } })).toEqual({ setUserSkills: { skills: [{ id: skillId }] } });
  const listed = await agent.ask('{ skills(first: 10, category: "language") { edges { node { id name } } } }');
  expect(listed).toEqual({ skills: { edges: [{ node: { id: skillId, name: 'fr' } }] } });

  const channel = await ruled(world.db, { kind: 'NOBODY' });
  const pipeline = await world.db.selectFrom('pipeline').select('id').executeTakeFirstOrThrow();
  const conditions = [
    { property: 'pipeline', operator: 'IS', values: [globalId('Pipeline', pipeline.id)] },
    { property: 'properties.language', operator: 'CONTAINS', values: ['french'] },
  ];
  const rule = {
    kind: 'SPECIFIC',
    method: 'ROUND_ROBIN',
    userIds: [admin.gid, agent.gid],
    skillRules: [{ conditions, skillIds: [skillId], otherwise: 'WAIT' }],
  };
  const saved = await admin.ask(RULE, { input: { channelId: globalId('Channel', channel.id), rule } });
  expect(saved['setRoutingRule']).toMatchObject({
    routingRule: { method: 'ROUND_ROBIN', skillRules: [{ position: 1, otherwise: 'WAIT', skills: [{ name: 'fr' }], conditions }] },
  });
  await world.db.updateTable('channel').set({ default_properties: '{"language": "in French"}' }).where('id', '=', channel.id).execute();
  const { previewRouting } = await admin.ask(
    'query ($id: ID!) { previewRouting(channelId: $id) { ... on RoutingPreview { chosen { id } words candidates { reason } } } }',
    { id: globalId('Channel', channel.id) },
  );
  expect(previewRouting).toMatchObject({ chosen: { id: agent.gid }, candidates: [{ reason: null }, { reason: 'MISSING_SKILL' }] });
  expect(previewRouting?.['words']).toContain('by skill rule 1');

  const wrong = { ...rule, skillRules: [{ conditions: [{ property: 'pipeline', operator: 'IS', values: ['Sales'] }], skillIds: [], otherwise: 'WAIT' }] };
  expect((await admin.ask(RULE, { input: { channelId: globalId('Channel', channel.id), rule: wrong } }))['setRoutingRule']).toEqual({
    __typename: 'InvalidInput',
    problems: [{ path: 'rule.skillRules.0.skillIds' }, { path: 'rule.skillRules.0.conditions.0.values.0' }],
  });
  const DELETE = 'mutation ($id: ID!) { deleteSkill(input: { skillId: $id }) { __typename ... on NotPossible { reason } ... on RemovedSkill { removedId } } }';
  expect(await admin.ask(DELETE, { id: skillId })).toEqual({ deleteSkill: { __typename: 'NotPossible', reason: 'SKILL_IN_USE' } });
});

it('sets and shows limits, null takes one away [ROUTE-11, API-1]', async () => {
  const [admin, agent] = [await world.user({ role: 'ADMIN' }), await world.user()];
  const SET = `mutation ($input: SetCapacityInput!) { setCapacity(input: $input) { __typename ... on InvalidInput { problems { path } }
    ... on User { capacity { total voice messaging written } } } }`;
  const set = async (limits: object) => (await admin.ask(SET, { input: { userId: agent.gid, ...limits } }))['setCapacity'];
  expect(await set({ total: 5, messaging: 2 })).toMatchObject({ capacity: { total: 5, voice: null, messaging: 2, written: null } });
  expect(await set({ messaging: null })).toMatchObject({ capacity: { total: 5, messaging: null } });
  expect(await set({ written: -1 })).toEqual({ __typename: 'InvalidInput', problems: [{ path: 'written' }] });
});

it('says of each whom a rule names whether they can get something, and why not; nothing is stuck [ROUTE-4]', async () => {
  const admin = await world.user({ role: 'ADMIN' });
  const [fine, gone, poor] = [await world.user(), await world.user(), await world.user()];
  const team = await makeTeam(world.db, { primary: [poor.id] });
  const channel = await ruled(world.db, { users: [fine.id, gone.id, poor.id], teams: [team] });
  await world.db.updateTable('app_user').set({ deactivated_at: new Date() }).where('id', '=', gone.id).execute();
  await world.db.updateTable('app_user').set({ seat: 'NONE' }).where('id', '=', poor.id).execute();
  const shown = await admin.ask(
    'query ($id: ID!) { node(id: $id) { ... on Channel { routingRule { targets { user { id } team { id } eligible reason } } } } }',
    { id: globalId('Channel', channel.id) },
  );
  const targets = [
    { user: { id: fine.gid }, team: null, eligible: true, reason: null },
    { user: { id: gone.gid }, team: null, eligible: false, reason: 'DEACTIVATED' },
    { user: { id: poor.gid }, team: null, eligible: false, reason: 'NO_SEAT' },
    { user: null, team: { id: globalId('Team', team) }, eligible: false, reason: 'NOBODY_ASSIGNABLE' },
  ];
  const rule = shown['node']?.['routingRule'];
  expect(rule).toEqual({ targets: expect.arrayContaining(targets) });
  expect(await arriving(world.db, channel, 1)).toHaveLength(1);
  const { previewRouting } = await admin.ask('query ($id: ID!) { previewRouting(channelId: $id) { ... on RoutingPreview { chosen { id } } } }', {
    id: globalId('Channel', channel.id),
  });
  expect(previewRouting).toEqual({ chosen: { id: fine.gid } });
});

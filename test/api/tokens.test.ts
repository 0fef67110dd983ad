import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashToken } from '#commands/secrets.ts';
import { makeToken, maybeToken } from '#commands/tokens.ts';
import { ROLES, scopeOf } from '#api/roles.ts';
import { eventually } from '../support/wait.ts';
import { as, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let agent: Person;
let other: Person;
let superAdmin: Person;

beforeAll(async () => {
  world = await openWorld();
  [agent, other] = [await world.user(), await world.user()];
  superAdmin = await world.user({ role: 'SUPER_ADMIN' });
});
afterAll(() => world?.close());

const CREATE = `mutation ($input: CreateApiTokenInput!) { createApiToken(input: $input) {
  __typename ... on NewApiToken { token apiToken { id scopes expiresAt createdBy { id } } } ... on Forbidden { needs } ... on InvalidInput { problems { path } } } }`;
const REVOKE = 'mutation ($input: RevokeApiTokenInput!) { revokeApiToken(input: $input) { __typename ... on ApiToken { revokedAt revokedBy { id } } } }';
const LIST = 'query ($userId: ID, $all: Boolean) { apiTokens(userId: $userId, includeRevoked: $all) { edges { node { id name user { id } lastUsedAt } } } }';

async function make(who: Person, input: object): Promise<{ readonly made: Json; readonly person: Person; readonly id: string }> {
  const made = (await who.ask(CREATE, { input: { name: 'x', ...input } }))['createApiToken'];
  if (made === undefined) throw new Error('no answer');
  if (String(made['__typename']) !== 'NewApiToken') throw new Error(JSON.stringify(made));
  return { made, person: as(world.endpoint, who.id, text(made['token'])), id: text(made['apiToken']?.['id']) };
}
const tried = async (who: Person, input: object) => (await who.ask(CREATE, { input: { name: 'x', ...input } }))['createApiToken'];
const listed = async (who: Person, variables: object = {}) =>
  ((await who.ask(LIST, { ...variables }))['apiTokens']?.['edges'] as unknown as { node: { id: string; name: string; user: { id: string } } }[]).map(
    ({ node }) => node,
  );

test('a token has a prefix and a checksum by which scanners know it; what fails the check is not looked for [API-5]', async () => {
  for (let index = 0; index < 200; index += 1) {
    const token = makeToken();
    expect(token).toMatch(/^tlk_[0-9A-Za-z]{49}$/);
    expect(maybeToken(token)).toBe(true);
    const at = 4 + (index % 49);
    const mistyped = `${token.slice(0, at)}${token[at] === 'x' ? 'y' : 'x'}${token.slice(at + 1)}`;
    expect(maybeToken(mistyped)).toBe(false);
  }
  world.statements.length = 0;
  const wrong = `${makeToken().slice(0, -6)}000000`;
  expect((await as(world.endpoint, agent.id, wrong).raw('{ viewer { user { id } } }')).status).toBe(401);
  expect(world.statements.filter((text) => text.includes('api_token'))).toEqual([]);
});

test('the secret is shown once, also where twenty ask at once with one idempotency key, and stands nowhere in the database [API-4] [API-5]', async () => {
  const input = { name: 'once', idempotencyKey: 'token-once' };
  const answers = await Promise.all(Array.from({ length: 20 }, async () => (await agent.ask(CREATE, { input }))['createApiToken']));
  const shown = answers.map((answer) => answer?.['token'] as unknown).filter((token) => token !== null);
  expect(shown).toHaveLength(1);
  expect(new Set(answers.map((answer) => text(answer?.['apiToken']?.['id']))).size).toBe(1);
  const secret = String(shown[0]);
  const rows = await world.db.selectFrom('api_token').selectAll().where('name', '=', 'once').execute();
  expect(rows).toHaveLength(1);
  expect(rows[0]?.token_hash.equals(hashToken(secret))).toBe(true);
  const kept = await world.db.selectFrom('idempotency_key').selectAll().execute();
  const events = await world.db.selectFrom('event').selectAll().execute();
  expect(JSON.stringify([rows, kept, events])).not.toContain(secret);
});

test('one makes, lists and revokes one’s own tokens; a super admin anybody’s; another’s is not found [API-5] [API-6]', async () => {
  const mine = await make(agent, { name: 'mine' });
  expect(mine.made['apiToken']).toMatchObject({ scopes: ['ALL'], expiresAt: null, createdBy: { id: agent.gid } });
  expect((await listed(agent)).map(({ id }) => id)).toContain(mine.id);
  expect((await listed(superAdmin, { userId: agent.gid })).map(({ id }) => id)).toContain(mine.id);
  expect(await listed(other, { userId: agent.gid })).toEqual([]);
  expect((await other.ask('query ($id: ID!) { node(id: $id) { id } }', { id: mine.id }))['node']).toBeNull();
  expect((await other.ask(REVOKE, { input: { tokenId: mine.id } }))['revokeApiToken']).toEqual({ __typename: 'NotFound' });
  expect(await tried(other, { userId: agent.gid })).toMatchObject({ __typename: 'Forbidden', needs: 'the role super admin, for somebody else' });
  const theirs = await superAdmin.ask(CREATE, { input: { name: 'made by another', userId: agent.gid } });
  expect(theirs['createApiToken']).toMatchObject({ __typename: 'NewApiToken', apiToken: { createdBy: { id: superAdmin.gid } } });
  expect((await superAdmin.ask(REVOKE, { input: { tokenId: mine.id } }))['revokeApiToken']).toMatchObject({ revokedBy: { id: superAdmin.gid } });
  expect((await mine.person.raw('{ viewer { user { id } } }')).status).toBe(401);
  expect((await listed(agent)).map(({ id }) => id)).not.toContain(mine.id);
  expect((await listed(agent, { all: true })).map(({ id }) => id)).toContain(mine.id);
  // Twice is once.
  const before = (await agent.ask(REVOKE, { input: { tokenId: mine.id } }))['revokeApiToken'];
  expect(before).toMatchObject({ __typename: 'ApiToken', revokedBy: { id: superAdmin.gid } });
});

test('a token does what its scopes say and never more than its user’s role; every token reads [API-5] [API-6]', async () => {
  const scoped = {
    READ: (await make(superAdmin, { scopes: ['READ'] })).person,
    WORK: (await make(superAdmin, { scopes: ['WORK'] })).person,
    CONFIGURE: (await make(superAdmin, { scopes: ['CONFIGURE'] })).person,
    PEOPLE: (await make(superAdmin, { scopes: ['PEOPLE', 'WORK'] })).person,
    ALL: (await make(superAdmin, { scopes: ['ALL'] })).person,
  };
  const tries = {
    work: ['mutation { createTicket(input: {name: "scope"}) { __typename ... on Forbidden { needs } } }', 'createTicket'],
    configure: ['mutation ($n: String!) { createInbox(input: {name: $n}) { __typename ... on Forbidden { needs } } }', 'createInbox'],
    people: ['mutation ($n: String!) { createTeam(input: {name: $n}) { __typename ... on Forbidden { needs } } }', 'createTeam'],
  } as const;
  const may = { READ: [], WORK: ['work'], CONFIGURE: ['configure'], PEOPLE: ['work', 'people'], ALL: ['work', 'configure', 'people'] } as const;
  for (const [name, who] of Object.entries(scoped)) {
    expect((await who.ask('{ users { edges { node { id } } } }'))['users']).toBeDefined();
    for (const [scope, [query, field]] of Object.entries(tries)) {
      const answer = (await who.ask(query, query.includes('$n') ? { n: `${name}-${scope}` } : {}))[field];
      const allowed = (may[name as keyof typeof may] as readonly string[]).includes(scope);
      if (allowed) expect(answer, `${name} ${scope}`).not.toHaveProperty('needs');
      else expect(answer, `${name} ${scope}`).toEqual({ __typename: 'Forbidden', needs: `a token with the scope ${scope}` });
    }
  }
  // A scope adds nothing to a role.
  const agents = (await make(agent, { scopes: ['PEOPLE', 'CONFIGURE', 'WORK'] })).person;
  expect((await agents.ask('mutation { createTeam(input: {name: "no"}) { __typename ... on Forbidden { needs } } }'))['createTeam']).toEqual({
    __typename: 'Forbidden',
    needs: 'the role super admin',
  });
});

test('a token makes none that may more than itself or outlives it, so a stolen one can not be grown [API-5]', async () => {
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  const worker = (await make(agent, { scopes: ['WORK'] })).person;
  expect(await tried(worker, {})).toMatchObject({ __typename: 'Forbidden', needs: 'a token with the scope people' });
  const short = (await make(superAdmin, { scopes: ['PEOPLE', 'WORK'], expiresAt: inAnHour })).person;
  for (const more of [{ scopes: ['ALL'] }, { scopes: ['CONFIGURE'] }, { scopes: ['PEOPLE', 'CONFIGURE'] }]) {
    expect(await tried(short, more)).toMatchObject({ __typename: 'Forbidden', needs: 'a token that has the scopes it gives' });
  }
  expect(await tried(short, { expiresAt: new Date(Date.now() + 7_200_000).toISOString() })).toMatchObject({ __typename: 'Forbidden' });
  const child = await make(short, {});
  expect(child.made['apiToken']).toMatchObject({ scopes: ['PEOPLE', 'WORK'], expiresAt: inAnHour });
  expect(await tried(agent, { scopes: [] })).toMatchObject({ __typename: 'InvalidInput', problems: [{ path: 'scopes' }] });
  expect(await tried(agent, { expiresAt: '2020-01-01T00:00:00Z' })).toMatchObject({ __typename: 'InvalidInput', problems: [{ path: 'expiresAt' }] });
});

test('a stolen token is refused from the moment it is revoked, its streams end, and its replayed key does nothing more [API-3] [API-4] [API-5]', async () => {
  const thief = await make(agent, { name: 'stolen' });
  const body = 'mutation { createTicket(input: {name: "stolen", idempotencyKey: "stolen-1"}) { __typename ... on Ticket { id } } }';
  const first = await thief.person.ask(body);
  const stream = thief.person.listen('subscription { events { __typename } }');
  await eventually(async () => {
    expect((await thief.person.raw('{ viewer { user { id } } }')).status).toBe(200);
  });
  await agent.ask(REVOKE, { input: { tokenId: thief.id } });
  expect((await thief.person.raw(body)).status).toBe(401);
  // Whatever was on its way comes first; then it is over.
  for (let item = await stream.next(); item !== null; item = await stream.next()) expect(item).toHaveProperty('events');
  // A replayed request of the owner themselves does nothing twice.
  expect(await agent.ask(body)).toEqual(first);
  const { rows } = { rows: await world.db.selectFrom('ticket').select('id').where('name', '=', 'stolen').execute() };
  expect(rows).toHaveLength(1);
});

test('a token that is over is refused, and a stream it began ends [API-3] [API-5]', async () => {
  const soon = await make(agent, { expiresAt: new Date(Date.now() + 2_000).toISOString() });
  const stream = soon.person.listen('subscription { events { __typename } }');
  for (let item = await stream.next(); item !== null; item = await stream.next()) expect(item).toHaveProperty('events');
  expect((await soon.person.raw('{ viewer { user { id } } }')).status).toBe(401);
});

test('when a token was last used is kept, at most once a minute [API-5]', async () => {
  const used = await make(agent, { name: 'used' });
  for (let index = 0; index < 5; index += 1) await used.person.ask('{ viewer { user { id } } }');
  await eventually(async () => {
    const [row] = (await listed(agent)).filter(({ id }) => id === used.id);
    expect(row).toMatchObject({ lastUsedAt: expect.any(String) });
  });
});

test('every mutation has a scope [API-5]', () => {
  const scopes = Object.keys(ROLES).map((name) => scopeOf(name as keyof typeof ROLES));
  expect(new Set(scopes)).toEqual(new Set(['work', 'configure', 'people']));
});

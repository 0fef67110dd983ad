import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { LIMITS, RATES } from '#api/limits.ts';
import { makeChannel } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { as, globalId, openWorld, type Person, type World } from './support.ts';

let world: World;
let agent: Person;

beforeAll(async () => {
  world = await openWorld({ corsOrigins: ['https://desk.example'], rates: { ...RATES, callerPerMinute: 100_000 } });
  agent = await world.user({ role: 'SUPER_ADMIN' });
  await makeChannel(world.db);
});
beforeEach(() => {
  world.errors.length = 0;
});
afterAll(() => world?.close());

interface Came {
  readonly status: number;
  readonly headers: Headers;
  readonly errors: readonly { readonly message: string; readonly extensions?: Readonly<Record<string, unknown>> }[];
}

async function send(body: unknown, headers: Readonly<Record<string, string>> = {}, at = world): Promise<Came> {
  const response = await fetch(at.endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${agent.token}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const answer = (await response.json()) as { errors?: Came['errors'] };
  return { status: response.status, headers: response.headers, errors: answer.errors ?? [] };
}

test('each limit of a request is held, and the error names it with its number [API-7]', async () => {
  const many = (count: number, text: (index: number) => string) => Array.from({ length: count }, (_, index) => text(index)).join(' ');
  const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
  const teams = 'mutation ($ids: [ID!]!) { setTeamMembers(input: {teamId: "x", primaryUserIds: $ids}) { __typename } }';
  const beyond: Readonly<Record<string, unknown>> = {
    aliases: { query: `{ viewer { user { ${many(LIMITS.aliases + 1, (index) => `a${index}: id`)} } } }` },
    rootFields: { query: `{ ${many(LIMITS.rootFields + 1, (index) => `a${index}: __typename`)} }` },
    documentCharacters: { query: `{ viewer { user { id } } }${' '.repeat(LIMITS.documentCharacters)}` },
    documentTokens: { query: `{ users { edges { node { ${'id '.repeat(LIMITS.documentTokens)} } } } }` },
    breadth: { query: `{ users { edges { node { ${'id '.repeat(LIMITS.breadth + 1)} } } } }` },
    variables: { query: '{ __typename }', variables: Object.fromEntries(Array.from({ length: LIMITS.variables + 1 }, (_, index) => [`v${index}`, 1])) },
    inputDepth: { query: '{ __typename }', variables: { deep: nested(LIMITS.inputDepth + 1) } },
    listInput: { query: teams, variables: { ids: Array.from({ length: LIMITS.listInput + 1 }, () => 'x') } },
    pageSize: { query: `{ users(first: ${LIMITS.pageSize + 1}) { edges { node { id } } } }` },
    idCharacters: { query: 'query ($id: ID!) { node(id: $id) { id } }', variables: { id: 'x'.repeat(LIMITS.idCharacters + 1) } },
  };
  for (const [limit, body] of Object.entries(beyond)) {
    const { errors } = await send(body);
    expect(errors[0]?.extensions, limit).toMatchObject({ code: 'LIMIT_EXCEEDED', limit });
    expect(errors[0]?.extensions?.['max'], limit).toBe(LIMITS[limit as keyof typeof LIMITS]);
    expect(errors[0]?.message, limit).toContain(String(LIMITS[limit as keyof typeof LIMITS]));
  }
  expect(world.errors).toEqual([]);
});

test('the candidates of decisions count as often as there may be, listed or in one piece [API-7, ROUTE-14]', async () => {
  const query = (decisions: number, fields: string) =>
    `{ tickets(first: 100) { edges { node { routingDecisions(first: ${decisions}) { edges { node { ${fields} } } } } } } }`;
  for (const [decisions, fields] of [
    [90, 'explanation'],
    [5, 'candidates { outcome reason }'],
  ] as const) {
    expect((await send({ query: query(decisions, fields) })).errors[0]?.extensions, fields).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'complexity' });
  }
  for (const [decisions, fields] of [
    [7, 'explanation'],
    [1, 'candidates { outcome reason }'],
    [90, 'words'],
  ] as const) {
    expect((await send({ query: query(decisions, fields) })).errors, fields).toEqual([]);
  }
});

test('exactly at a limit it is served [API-7]', async () => {
  const many = (count: number, text: (index: number) => string) => Array.from({ length: count }, (_, index) => text(index)).join(' ');
  for (const query of [
    `{ viewer { user { ${many(LIMITS.aliases, (index) => `a${index}: id`)} } } }`,
    `{ ${many(LIMITS.rootFields, (index) => `a${index}: __typename`)} }`,
    `{ users(first: ${LIMITS.pageSize}) { edges { node { id } } } }`,
  ]) {
    expect((await send({ query })).errors, query.slice(0, 60)).toEqual([]);
  }
});

test('root fields are counted through fragments, literals as variables, and fragments that multiply cost no time [API-7]', async () => {
  const spread = `query { ${'...a '.repeat(5)} } fragment a on Query { ${Array.from({ length: 5 }, (_, index) => `a${index}: __typename`).join(' ')} }`;
  expect((await send({ query: spread })).errors[0]?.extensions).toMatchObject({ limit: 'rootFields' });
  const deep = `{ node(id: ${'['.repeat(LIMITS.inputDepth + 1)}1${']'.repeat(LIMITS.inputDepth + 1)}) { id } }`;
  expect((await send({ query: deep })).errors.map((error) => error.extensions?.['limit'])).toContain('inputDepth');
  const long = `{ nodes(ids: [${'"x" '.repeat(LIMITS.listInput + 1)}]) { id } }`;
  expect((await send({ query: long })).errors.map((error) => error.extensions?.['limit'])).toContain('listInput');
  // Each spreads the next twice: written out it would be 2^40 fields.
  const bomb = `{ users { edges { node { ...f0 } } } } ${Array.from({ length: 40 }, (_, index) => `fragment f${index} on User { ...f${index + 1} teams { team { id } } ...f${index + 1} }`).join(' ')} fragment f40 on User { id }`;
  expect((await send({ query: bomb })).errors[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  const circle = '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }';
  expect((await send({ query: circle })).errors[0]?.message).toMatch(/cannot spread/i);
  const introspection = `{ __schema { types { ${'fields { type { '.repeat(8)} name ${'} } '.repeat(8)} } } }`;
  expect((await send({ query: introspection })).errors.length).toBeGreaterThan(0);
  expect(world.errors).toEqual([]);
});

test('several operations in one request are refused: batching is off [API-7]', async () => {
  const { status, errors } = await send([{ query: '{ __typename }' }, { query: '{ __typename }' }]);
  expect(status).toBe(400);
  expect(errors).toHaveLength(1);
});

test('ids of a megabyte, of another type, negative or with SQL in them are the client’s mistake, in every form [API-7]', async () => {
  const id = (text: string) => Buffer.from(text).toString('base64');
  const odd = [
    '',
    ' ',
    'x'.repeat(1_000_000),
    id('Ticket:'),
    id('Ticket:-1'),
    id('Ticket:1'),
    id("Ticket:' or '1'='1"),
    id('Ticket:00000000-0000-0000-0000-000000000000; drop table ticket'),
    id('Event:99999999999999999999999'),
    id('Event:-5'),
    id('Delivery:1e9'),
    id('__proto__:1'),
    id('constructor:00000000-0000-7000-8000-000000000000'),
    id('Nothing:00000000-0000-7000-8000-000000000000'),
    id('Query:00000000-0000-7000-8000-000000000000'),
    id('Plugin:__proto__'),
    id('Plugin:'),
    id(`Plugin:${'x'.repeat(300)}`),
    '../../etc/passwd',
    '💥',
  ];
  for (const one of odd) {
    for (const [query, variables] of [
      ['query ($id: ID!) { node(id: $id) { id } }', { id: one }],
      ['query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: [one] }],
      ['mutation ($id: ID!) { setTicketPriority(input: {ticketId: $id, priority: LOW}) { __typename } }', { id: one }],
      ['subscription ($id: ID!) { ticketChanged(ticketId: $id) { __typename } }', { id: one }],
    ] as const) {
      const answer = await send({ query, variables });
      expect(answer.status, one.slice(0, 40)).toBeLessThan(500);
      for (const error of answer.errors) expect(error.extensions?.['code'], `${one.slice(0, 40)} ${error.message.slice(0, 200)}`).not.toBe('UNEXPECTED');
    }
  }
  // Another type's id where a ticket's is wanted.
  const wrong = await send({
    query: 'mutation ($id: ID!) { setTicketPriority(input: {ticketId: $id, priority: LOW}) { __typename } }',
    variables: { id: agent.gid },
  });
  expect(wrong.errors.length).toBe(1);
  expect(world.errors).toEqual([]);
});

test('cursors that nobody gave out are refused and never reach a statement that fails on them [API-7]', async () => {
  const cursor = (keys: unknown) => Buffer.from(JSON.stringify(keys)).toString('base64url');
  const uuid = '00000000-0000-7000-8000-000000000000';
  const odd = [
    'x',
    'x'.repeat(1_000_000),
    cursor([]),
    cursor(['a', 'b', 'c']),
    cursor(['9999-99-99 99:99:99+00', uuid]),
    cursor(['2024-02-30 10:00:00+00', uuid]),
    cursor(['-infinity', uuid]),
    cursor(['2024-01-01 00:00:00+00', '-'.repeat(36)]),
    cursor(['2024-01-01 00:00:00+99:99:99', uuid]),
    cursor([{ toString: 'x' }, uuid]),
    cursor(['999999-12-31 23:59:59+00', uuid]),
    cursor(['--------------------------------00aa']),
    cursor(['99999999999']),
  ];
  for (const after of odd) {
    for (const query of [
      'query ($after: String) { tickets(after: $after) { edges { node { id } } } }',
      'query ($after: String) { users(after: $after) { edges { node { id } } } }',
      'query ($after: String) { pipelines(after: $after) { edges { node { id } } } }',
      'query ($after: String) { events(after: $after) { __typename } }',
    ]) {
      const answer = await send({ query, variables: { after } });
      expect(answer.status).toBeLessThan(500);
      for (const error of answer.errors) expect(error.extensions?.['code'], `${after.slice(0, 60)} ${query}`).not.toBe('UNEXPECTED');
    }
  }
  expect(world.errors).toEqual([]);
});

test('a NUL, which no text of the database can hold, is refused wherever it stands [API-7]', async () => {
  for (const body of [
    { query: 'mutation ($name: String!) { createTicket(input: {name: $name}) { __typename } }', variables: { name: 'a\0b' } },
    { query: 'mutation { createTicket(input: {name: "a\\u0000b"}) { __typename } }' },
    { query: '{ __typename }', variables: { deep: [{ 'a\0': 1 }] } },
  ]) {
    const { status, errors } = await send(body);
    expect(status).toBeLessThan(500);
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  }
});

test('what is no request at all is told so, and nested a hundred thousand deep it ends nothing [API-7]', async () => {
  for (const body of ['', '{', 'null', '42', '"x"', '{"query": 1}', `{"query":"{__typename}","variables":${'['.repeat(100_000)}${']'.repeat(100_000)}}`]) {
    const { status } = await send(body);
    expect(status, body.slice(0, 40)).toBeGreaterThanOrEqual(400);
    expect(status, body.slice(0, 40)).toBeLessThan(500);
  }
  const braces = await send({ query: '{a'.repeat(900) + '}'.repeat(900) });
  expect(braces.errors.length).toBeGreaterThan(0);
  expect(world.errors).toEqual([]);
  expect((await send({ query: '{ __typename }' })).status).toBe(200);
});

test('only named origins may call from a browser, without cookies; GET, which a link can do, asks nothing [API-7]', async () => {
  const ask = (origin: string) =>
    fetch(world.endpoint, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' },
    });
  const open = await ask('https://desk.example');
  expect(open.status).toBe(204);
  expect(open.headers.get('access-control-allow-origin')).toBe('https://desk.example');
  expect(open.headers.get('access-control-allow-headers')).toContain('authorization, content-type');
  expect(open.headers.get('access-control-allow-credentials')).toBeNull();
  expect(open.headers.get('vary')).toContain('origin');
  for (const origin of ['https://elsewhere.example', 'https://desk.example.evil.example', 'http://desk.example', 'null', 'https://desk.example:8443']) {
    const closed = await ask(origin);
    expect(closed.status, origin).toBe(403);
    expect(closed.headers.get('access-control-allow-origin'), origin).toBeNull();
  }
  const called = await send({ query: '{ __typename }' }, { origin: 'https://desk.example' });
  expect(called.headers.get('access-control-allow-origin')).toBe('https://desk.example');
  // Also where it is refused, or the page could not read why.
  const refused = await send({ query: '{ __typename }' }, { origin: 'https://desk.example', authorization: 'Bearer wrong-token' });
  expect(refused.status).toBe(401);
  expect(refused.headers.get('access-control-allow-origin')).toBe('https://desk.example');
  expect((await send({ query: '{ __typename }' }, { origin: 'https://elsewhere.example' })).headers.get('access-control-allow-origin')).toBeNull();
  const got = await fetch(`${world.endpoint}?query={__typename}`, { headers: { authorization: `Bearer ${agent.token}` } });
  expect(got.status).toBe(405);
  expect(got.headers.get('allow')).toBe('POST');
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    expect((await fetch(world.endpoint, { method, headers: { authorization: `Bearer ${agent.token}` } })).status, method).toBe(405);
  }
});

test('a caller beyond the rate gets 429 with Retry-After and the limit’s name, whichever token they use and whichever process they ask [API-7]', async () => {
  const slow = await openWorld({ rates: { ...RATES, callerPerMinute: 20 } });
  try {
    const caller = await slow.user();
    const elsewhere = await slow.sibling();
    const made = await caller.ask('mutation { createApiToken(input: {name: "second"}) { ... on NewApiToken { token } } }');
    const second = as(elsewhere.endpoint, caller.id, String(made['createApiToken']?.['token']));
    const statuses: number[] = [];
    for (let index = 0; index < 30; index += 1) statuses.push((await (index % 2 === 0 ? caller : second).raw('{ __typename }')).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(19);
    expect(statuses.filter((status) => status === 429)).toHaveLength(11);
    const response = await fetch(slow.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${caller.token}` },
      body: '{"query":"{__typename}"}',
    });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'callerPerMinute' } }] });
    // Somebody else is not held up, and who is refused asks the database nothing.
    slow.statements.length = 0;
    for (let index = 0; index < 20; index += 1) await caller.raw('{ __typename }');
    expect(slow.statements).toEqual([]);
    expect((await (await slow.user()).raw('{ __typename }')).status).toBe(200);
  } finally {
    await slow.close();
  }
});

test('an address that guesses tokens is shut out before the database is asked; whoever was let in there before goes on [API-5] [API-7]', async () => {
  const guarded = await openWorld({ rates: { ...RATES, unauthenticatedPerMinute: 10 }, trustedProxies: ['127.0.0.1'] });
  try {
    const neighbour = await guarded.user();
    const guess = (address: string, token: string) =>
      fetch(guarded.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'x-forwarded-for': address },
        body: '{"query":"{__typename}"}',
      });
    expect((await guess('198.51.100.1', neighbour.token)).status).toBe(200);
    const statuses: number[] = [];
    for (let index = 0; index < 15; index += 1) statuses.push((await guess('198.51.100.1', `guess-number-${index}`)).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), ...Array.from({ length: 5 }, () => 429)]);
    const refused = await guess('198.51.100.1', 'another-guess');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { limit: 'unauthenticatedPerMinute' } }] });
    guarded.statements.length = 0;
    for (let index = 0; index < 20; index += 1) await guess('198.51.100.1', `more-${index}-guesses`);
    expect(guarded.statements).toEqual([]);
    // Behind the same address, known already; and another address.
    expect((await guess('198.51.100.1', neighbour.token)).status).toBe(200);
    expect((await guess('198.51.100.2', (await guarded.user()).token)).status).toBe(200);
    // A fresh token there waits.
    expect((await guess('198.51.100.1', (await guarded.user()).token)).status).toBe(429);
  } finally {
    await guarded.close();
  }
});

test('one user’s open streams are bounded, and one that ends makes room [API-7]', async () => {
  const listener = await world.user();
  const streams: AbortController[] = [];
  const open = async ({ token } = listener) => {
    const over = new AbortController();
    streams.push(over);
    return fetch(world.endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'subscription { events { __typename } }' }),
      signal: over.signal,
    });
  };
  try {
    for (let index = 0; index < LIMITS.streamsPerUser; index += 1) expect((await open()).status).toBe(200);
    const refused = await open();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await refused.text()).toContain('"limit":"streamsPerUser"');
    // Another user has their own.
    expect((await open(await world.user())).status).toBe(200);
    streams.shift()?.abort();
    await eventually(async () => {
      expect((await open()).status).toBe(200);
    });
  } finally {
    for (const stream of streams) stream.abort();
  }
});

test('an id that names a type and a key that fit is looked up, and nothing else [API-7]', async () => {
  const found = await agent.ask('query ($id: ID!) { node(id: $id) { id } }', { id: globalId('User', agent.id) });
  expect(found['node']).toEqual({ id: agent.gid });
});

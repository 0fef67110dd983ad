import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureDevelopmentAccount } from '#commands/development.ts';
import { globalId } from '#api/builder.ts';
import { portFinder } from '#scripts/servers/ports.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { postAnnounced } from '../support/http.ts';
import { eventually } from '../support/wait.ts';
import { as, text, type Json, type Person, type Stream } from './support.ts';

interface Running {
  readonly child: ChildProcess;
  readonly endpoint: string;
  readonly base: string;
}

let database: TestDatabase;
let one: Running;
let two: Running;
let admin: { readonly id: string; readonly token: string };

beforeAll(async () => {
  database = await testDatabase();
  const { token, userId } = await ensureDevelopmentAccount(database.db);
  admin = { id: userId, token };
  [one, two] = await Promise.all([start(), start()]);
});
afterAll(async () => {
  for (const running of [one, two]) {
    if (running === undefined || running.child.exitCode !== null) continue;
    running.child.kill('SIGKILL');
    await once(running.child, 'exit');
  }
  await database?.drop();
});

/** A real api process as an operator starts it, in production mode; nothing answers where it looks for Temporal. */
async function start(): Promise<Running> {
  const port = await portFinder().any();
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../api/main.ts', import.meta.url))], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: `127.0.0.1:${await portFinder().any()}`,
      PORT: String(port),
      SMTP_PORT: '0',
      TRUNKLINE_SECRET: 'cd'.repeat(32),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const base = `http://127.0.0.1:${port}`;
  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`ended at start:\n${output}`);
      expect((await fetch(`${base}/healthz`)).status).toBe(200);
    },
    { timeoutMs: 200_000 },
  );
  return { child, base, endpoint: `${base}/graphql` };
}

const at = (running: Running, who: { readonly id: string; readonly token: string } = admin): Person => as(running.endpoint, who.id, who.token);

const EVENTS = 'subscription ($after: String) { events(after: $after) { __typename ... on FeedItem { cursor event { id ticket { name } } } } }';
const CREATE = 'mutation ($name: String!) { createTicket(input: {name: $name}) { ... on Ticket { id } } }';

interface Seen {
  readonly id: string;
  readonly name: string | null;
  readonly cursor: string;
}

async function nextOf(stream: Stream): Promise<Seen | null> {
  const item = await stream.next();
  if (item === null) return null;
  const { event, cursor } = item['events'] as unknown as { event: { id: string; ticket: { name: string } | null }; cursor: string };
  return { id: event.id, name: event.ticket?.name ?? null, cursor };
}

async function cursorNow(): Promise<string> {
  return text((await at(one).ask('{ events { ... on FeedPage { cursor } } }'))['events']?.['cursor']);
}

test('two processes: a stream of either sees what was done at the other, everything once and in one order [API-3]', async () => {
  const after = await cursorNow();
  const streams = [at(one).listen(EVENTS, { after }), at(two).listen(EVENTS, { after })];
  const each = 40;
  await Promise.all(
    [one, two].flatMap((running, process) =>
      Array.from({ length: 4 }, async (_, writer) => {
        for (let index = 0; index < each / 4; index += 1) await at(running).ask(CREATE, { name: `p${process}-w${writer}-${index}` });
      }),
    ),
  );
  const orders: string[][] = [];
  for (const stream of streams) {
    const ids: string[] = [];
    const names = new Set<string>();
    while (names.size < 2 * each) {
      const seen = await nextOf(stream);
      if (seen === null) throw new Error('the stream ended');
      ids.push(seen.id);
      if (seen.name !== null) names.add(seen.name);
    }
    stream.close();
    expect(new Set(ids).size).toBe(ids.length);
    orders.push(ids);
  }
  const [first = [], second = []] = orders;
  const length = Math.min(first.length, second.length);
  expect(first.slice(0, length)).toEqual(second.slice(0, length));
});

test('a reader that goes from process to process while others write resumes with its cursor: no gap, no repeat [API-3]', async () => {
  const after = await cursorNow();
  const total = 120;
  let written = 0;
  const writing = Promise.all(
    [one, two, one, two].map(async (running, writer) => {
      for (let index = 0; index < total / 4; index += 1) {
        await at(running).ask(CREATE, { name: `r-${writer}-${index}` });
        written += 1;
      }
    }),
  );
  const ids: string[] = [];
  const names: string[] = [];
  let cursor = after;
  let hops = 0;
  while (names.length < total) {
    const stream = at(hops % 2 === 0 ? one : two).listen(EVENTS, { after: cursor });
    // A handful, then the connection is lost in the middle of whatever comes.
    for (let index = 0; index < 9 && names.length < total; index += 1) {
      const seen = await nextOf(stream);
      if (seen === null) throw new Error('the stream ended');
      ids.push(seen.id);
      cursor = seen.cursor;
      if (seen.name?.startsWith('r-') === true) names.push(seen.name);
    }
    stream.close();
    hops += 1;
  }
  await writing;
  expect(written).toBe(total);
  expect(hops).toBeGreaterThan(10);
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(names).size).toBe(total);
});

test('a process that dies takes nothing along: its reader goes on at the other where it was [API-3] [OPS-10]', async () => {
  const third = await start();
  const after = await cursorNow();
  const stream = at(third).listen(EVENTS, { after });
  await at(one).ask(CREATE, { name: 'before the end' });
  const seen = await nextOf(stream);
  expect(seen?.name).toBe('before the end');
  third.child.kill('SIGKILL');
  await once(third.child, 'exit');
  await at(two).ask(CREATE, { name: 'after the end' });
  const again = at(one).listen(EVENTS, { after: seen?.cursor });
  expect((await nextOf(again))?.name).toBe('after the end');
  again.close();
});

test('a cursor nobody gave out is CursorTooOld at either process, as the stream’s only item [API-3]', async () => {
  for (const running of [one, two]) {
    for (const after of ['garbage', Buffer.from('3,999999').toString('base64url')]) {
      const stream = at(running).listen(EVENTS, { after });
      expect(await stream.next()).toEqual({ events: { __typename: 'CursorTooOld' } });
      expect(await stream.next()).toBeNull();
    }
  }
});

test('access taken away, a token revoked and a user deactivated at one process end the streams at the other, within ten seconds [API-3] [API-5] [API-6]', async () => {
  const people: { readonly person: Person; readonly tokenId: string }[] = [];
  const { places } = await at(one).ask('{ places { edges { node { id kind } } } }');
  const helpDesk = (places?.['edges'] as unknown as { node: { id: string; kind: string } }[]).find(({ node }) => node.kind === 'HELP_DESK')?.node.id;
  for (let index = 0; index < 4; index += 1) {
    const { createUser } = await at(one).ask('mutation ($e: String!) { createUser(input: {email: $e, name: "x"}) { ... on User { id } } }', {
      e: `streamer-${index}@inside.example`,
    });
    const { createApiToken } = await at(one).ask(
      'mutation ($id: ID!) { createApiToken(input: {userId: $id, name: "x"}) { ... on NewApiToken { token apiToken { id } } } }',
      { id: createUser?.['id'] },
    );
    people.push({
      person: as(two.endpoint, text(createUser?.['id']), text(createApiToken?.['token'])),
      tokenId: text(createApiToken?.['apiToken']?.['id']),
    });
  }
  const [stays, loses, revoked, deactivated] = people;
  if (stays === undefined || loses === undefined || revoked === undefined || deactivated === undefined) throw new Error('four people');
  const allow = (members: readonly Person[]) =>
    at(one).ask('mutation ($p: ID!, $u: [ID!]!) { setAccessList(input: {placeId: $p, access: {userIds: $u}}) { __typename } }', {
      p: helpDesk,
      u: [at(one).gid, ...members.map(({ id }) => id)],
    });
  await allow(people.map(({ person }) => person));
  const streams = people.map(({ person }) => person.listen(EVENTS, { after: undefined }));
  // Everybody is listening once everybody has heard.
  const heard = streams.map(async (stream) => {
    for (;;) {
      const seen = await nextOf(stream);
      if (seen?.name === 'everybody hears') return;
    }
  });
  let all = false;
  const everybody = Promise.all(heard).then(() => {
    all = true;
  });
  await eventually(async () => {
    await at(one).ask(CREATE, { name: 'everybody hears' });
    expect(all).toBe(true);
  });
  await everybody;
  const began = Date.now();
  await allow([stays.person, revoked.person, deactivated.person]);
  await at(one).ask('mutation ($t: ID!) { revokeApiToken(input: {tokenId: $t}) { __typename } }', { t: revoked.tokenId });
  await at(one).ask('mutation ($u: ID!) { deactivateUser(input: {userId: $u}) { __typename } }', { u: deactivated.person.id });
  for (const stream of streams.slice(1)) {
    let item: Json | null;
    do item = await stream.next();
    while (item !== null);
  }
  expect(Date.now() - began).toBeLessThan(30_000);
  await at(one).ask(CREATE, { name: 'who stays hears on' });
  const [staying] = streams;
  for (;;) {
    const seen = staying === undefined ? null : await nextOf(staying);
    if (seen === null) throw new Error('the stream ended');
    if (seen.name === 'who stays hears on') break;
  }
  staying?.close();
  expect((await revoked.person.raw('{ viewer { user { id } } }')).status).toBe(401);
  expect((await deactivated.person.raw('{ viewer { user { id } } }')).status).toBe(401);
});

test('one idempotency key sent to both processes at once does it once [API-3] [API-4]', async () => {
  const body = 'mutation ($k: String!) { createTicket(input: {name: "both", idempotencyKey: $k}) { ... on Ticket { id } } }';
  for (let round = 0; round < 10; round += 1) {
    const answers = await Promise.all([one, two, one, two].map((running) => at(running).ask(body, { k: `both-${round}` })));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  }
  expect(await database.db.selectFrom('ticket').select('id').where('name', '=', 'both').execute()).toHaveLength(10);
});

test('every answer of a real process carries the headers that keep browsers careful [API-7]', async () => {
  const asked = [
    fetch(`${one.base}/healthz`),
    fetch(`${one.base}/nothing`),
    fetch(one.endpoint),
    fetch(one.endpoint, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
      body: '{"query":"{__typename}"}',
    }),
    postAnnounced(one.endpoint, 3_000_000),
    fetch(`${one.base}/hooks/nothing/nothing`, { method: 'POST', body: 'x' }),
  ];
  for (const response of await Promise.all(asked)) {
    expect(response.headers.get('x-content-type-options'), response.url).toBe('nosniff');
    expect(response.headers.get('referrer-policy'), response.url).toBe('no-referrer');
    expect(response.headers.get('content-security-policy'), response.url).toContain("frame-ancestors 'none'");
    expect(response.headers.get('cache-control'), response.url).toContain('no-store');
    expect(response.headers.get('x-powered-by'), response.url).toBeNull();
  }
  expect(globalId('User', admin.id)).toBe(at(one).gid);
});

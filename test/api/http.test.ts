import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '#api/limits.ts';
import { postAnnounced } from '../support/http.ts';
import { openWorld, type Person, type World } from './support.ts';

let world: World;
let production: World;
let agent: Person;

beforeAll(async () => {
  world = await openWorld({ graphiql: true });
  production = await openWorld();
  agent = await world.user();
});
afterAll(async () => {
  await world?.close();
  await production?.close();
});

const page = (endpoint: string) => fetch(endpoint, { headers: { accept: 'text/html' } });

test('GraphiQL is there in development, without anything from elsewhere, and not in production [API-7]', async () => {
  const response = await page(world.endpoint);
  expect(response.status).toBe(200);
  const html = await response.text();
  expect(html).toContain('Trunkline');
  // Its streams go by GET unless told, which is closed; and no other page may show it in a frame.
  expect(html).toMatch(/"method":\s*"POST"/);
  expect(response.headers.get('content-security-policy')).toBe("frame-ancestors 'none'");
  expect(html).not.toMatch(/(src|href)=["']https?:/i);
  expect((await page(production.endpoint)).status).toBe(405);
});

test('a form of another site can not post: only JSON is taken, and no origin is allowed [API-7]', async () => {
  const send = (type: string) =>
    fetch(world.endpoint, {
      method: 'POST',
      headers: { 'content-type': type, authorization: `Bearer ${agent.token}`, origin: 'https://elsewhere.example' },
      body: JSON.stringify({ query: '{ viewer { user { id } } }' }),
    });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) expect((await send(type)).status).toBe(415);
  const allowed = await send('application/json');
  expect(allowed.status).toBe(200);
  expect(allowed.headers.get('access-control-allow-origin')).toBeNull();
});

test('a mutation can not be asked for by GET [API-10]', async () => {
  const url = `${world.endpoint}?query=${encodeURIComponent('mutation { createTeam(input: {name: "x"}) { __typename } }')}`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${agent.token}`, accept: 'application/json' } });
  expect(response.status).toBe(405);
});

test('a body above the limit is refused, naming the limit [API-7]', async () => {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${agent.token}` };
  const response = await postAnnounced(world.endpoint, LIMITS.bodyBytes + 1, headers);
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] });
});

test('a body whose length is not told is bounded too, and one below the limit is read [API-7]', async () => {
  const send = (body: Buffer) =>
    new Promise<{ readonly status: number | undefined; readonly text: string }>((resolve, reject) => {
      const asked = request(world.endpoint, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${agent.token}` } });
      asked.on('response', (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode, text }));
      });
      asked.on('error', reject);
      // In pieces, so that it is chunked.
      for (let at = 0; at < body.length; at += 65_536) asked.write(body.subarray(at, at + 65_536));
      // What is one byte too large does not end: it is refused for that byte, and nothing is left unread.
      if (body.length <= LIMITS.bodyBytes) asked.end();
    });
  const query = '{ viewer { user { id } } }';
  expect(await send(Buffer.from(JSON.stringify({ query, variables: { x: 'x'.repeat(1_000) } })))).toEqual({
    status: 200,
    text: JSON.stringify({ data: { viewer: { user: { id: agent.gid } } } }),
  });
  const refused = await send(Buffer.alloc(LIMITS.bodyBytes + 1, 'x'));
  expect(refused.status).toBe(413);
  expect(refused.text).toContain('bodyBytes');
});

test('a syntax error, an unknown field and a wrong variable are the client’s, not masked [API-2]', async () => {
  for (const query of ['{', '{ nothing }', 'query ($n: Int!) { ticketByNumber(number: $n) { id } }']) {
    const { errors } = await agent.raw(query);
    expect(errors[0]?.message).not.toMatch(/Unexpected error/);
    expect(errors.length).toBeGreaterThan(0);
  }
  expect(world.errors).toEqual([]);
});

import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { serve, type ServerType } from '@hono/node-server';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attachmentLink, judgeLink } from '#api/attachment-links.ts';
import { createFileDoors } from '#api/doors/files.ts';
import { createGate } from '#api/gate.ts';
import { LIMITS } from '#api/limits.ts';
import { secured } from '#api/security-headers.ts';
import { readWholeBlob } from '#commands/blobs.ts';
import { comment } from '#commands/conversations.ts';
import { removeExpired } from '#commands/retention.ts';
import { transact } from '#commands/unit.ts';
import { UNUSED_UPLOADS } from '#commands/uploads.ts';
import { openWorld, type Person, type World } from '../api/support.ts';
import { inbound, makeChannel, take, testKeys } from '../support/fixtures.ts';

let world: World;
let base: string;
let agent: Person;
/** Sees no place at all. */
let outsider: Person;
let conversationId: string;

beforeAll(async () => {
  world = await openWorld();
  base = new URL(world.endpoint).origin;
  agent = await world.user();
  outsider = await world.user();
  await world.db.deleteFrom('access_entry').execute();
  const channel = await makeChannel(world.db, { place: 'HELP_DESK' });
  await world.db.insertInto('access_entry').values({ place_id: channel.placeId, user_id: agent.id }).execute();
  await take(world.db, channel, [inbound('somebody@out.example')]);
  conversationId = (await world.db.selectFrom('conversation').select('id').executeTakeFirstOrThrow()).id;
});
afterAll(() => world?.close());

interface Sent {
  readonly status: number;
  readonly body: { readonly id: string; readonly fileName: string; readonly type: string; readonly bytes: number };
}

async function send(content: BodyInit, headers: Readonly<Record<string, string>> = {}, who: Person | null = agent): Promise<Sent> {
  const response = await fetch(`${base}/uploads`, {
    method: 'POST',
    headers: { ...(who === null ? {} : { authorization: `Bearer ${who.token}` }), 'content-type': 'text/plain', ...headers },
    body: content,
  });
  return { status: response.status, body: (await response.json()) as Sent['body'] };
}

/** A stored attachment of a comment; its id. */
async function attached(content: Uint8Array, described: Readonly<Record<string, string>> = {}): Promise<string> {
  const { body } = await send(Buffer.from(content), described);
  const { value } = await transact(world.db, { actor: 'USER', userId: agent.id }, (unit) =>
    comment(unit, { conversationId, text: 'see', uploadIds: [body.id] }),
  );
  return (await world.db.selectFrom('attachment').select('id').where('message_id', '=', value.messageId).executeTakeFirstOrThrow()).id;
}

interface Asked {
  readonly who?: Person;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
const get = (path: string, { who, method = 'GET', headers = {} }: Asked = {}) =>
  fetch(`${base}${path}`, { method, headers: { ...headers, ...(who === undefined ? {} : { authorization: `Bearer ${who.token}` }) } });
const link = (id: string, now?: number) => attachmentLink({ keys: testKeys }, id, now);
const uploads = () => world.db.selectFrom('upload').selectAll().execute();

test('a file is sent up with a token, under a safe name, and is there byte for byte [CH-6]', async () => {
  const content = randomBytes(3_000_000);
  const { status, body } = await send(content, { 'content-type': 'Image/PNG; x=y', 'x-file-name': encodeURIComponent('../größe\u202E.png') });
  expect(status).toBe(201);
  expect(body).toEqual({ id: body.id, fileName: 'größe.png', type: 'image/png', bytes: content.length });
  const row = (await uploads()).find((one) => one.id === body.id);
  expect(row).toMatchObject({ user_id: agent.id, file_name: 'größe.png', bytes: content.length });
  expect((await readWholeBlob(world.db, row?.sha256 ?? Buffer.alloc(0))).equals(content)).toBe(true);
});

test.each([
  [{ 'content-disposition': 'attachment; filename="a \\"b\\".txt"' }, 'a _b_.txt'],
  [{ 'content-disposition': "attachment; filename=old.txt; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt" }, 'größe.txt'],
  [{ 'content-disposition': 'attachment; filename=plain.txt' }, 'plain.txt'],
  [{}, 'attachment'],
])('a file that comes with %j is called %j [CH-6]', async (headers, fileName) => {
  expect((await send('x', headers)).body.fileName).toBe(fileName);
});

test('an empty file is a file [CH-6]', async () => {
  expect(await send('')).toMatchObject({ status: 201, body: { bytes: 0 } });
});

test('who has no token, or one that may only read, sends nothing up: a page of somebody else can not either [API-5, API-7]', async () => {
  const before = (await uploads()).length;
  expect((await send('x', {}, null)).status).toBe(401);
  expect((await send('x', { authorization: 'Basic YTpi', cookie: 'session=1' }, null)).status).toBe(401);
  const reader = await world.user();
  await world.db
    .updateTable('api_token')
    .set({ scopes: ['read'] })
    .where('user_id', '=', reader.id)
    .execute();
  expect((await send('x', {}, reader)).status).toBe(403);
  // No origin is let in unless it is named.
  const asked = await fetch(`${base}/uploads`, { method: 'OPTIONS', headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } });
  expect(asked.status).toBe(403);
  expect(asked.headers.get('access-control-allow-origin')).toBeNull();
  expect((await uploads()).length).toBe(before);
});

test('what is no file by itself is refused with the reason [CH-6]', async () => {
  expect(await send('--x', { 'content-type': 'multipart/form-data; boundary=x' })).toMatchObject({
    status: 415,
    body: { errors: [{ message: 'send the file itself as the body, as it is' }] },
  });
  expect((await send('x', { 'content-encoding': 'gzip' })).status).toBe(415);
  expect((await send('x', { 'x-file-name': '%ff%zz' })).status).toBe(400);
});

test('a file of 50 MB is taken, one byte more is refused with the limit, and nothing of it is kept [CH-6, API-7]', async () => {
  const largest = Buffer.alloc(LIMITS.uploadBytes, 7);
  const taken = await send(largest);
  expect(taken).toMatchObject({ status: 201, body: { bytes: LIMITS.uploadBytes } });
  const blobs = async () => (await world.db.selectFrom('blob').select('sha256').execute()).length;
  const before = await blobs();
  const answer = { status: 413, body: { errors: [{ extensions: { limit: 'uploadBytes', max: LIMITS.uploadBytes } }] } };
  expect(await told(LIMITS.uploadBytes + 1)).toMatchObject(answer);
  expect(await untold(LIMITS.uploadBytes + 1)).toMatchObject(answer);
  expect(await blobs()).toBe(before);
});

/** A file whose size is told: refused before it is read. */
const told = (bytes: number) => sendRaw([`content-length: ${bytes}`], 'x'.repeat(1_000));

/** A file whose size nobody told: refused where it exceeds the limit. */
function untold(bytes: number) {
  const chunk = Buffer.alloc(1_048_576, 1);
  const framed = Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);
  return sendRaw(['transfer-encoding: chunked'], ...Array.from({ length: Math.ceil(bytes / chunk.length) }, () => framed));
}

/** Over a bare connection, for clients hide what they send; reads the answer while it still sends. */
async function sendRaw(headers: readonly string[], ...parts: readonly (string | Buffer)[]): Promise<Sent> {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  let answer = '';
  const ended = new Promise<void>((resolve) => {
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
  });
  const answered = new Promise((resolve) => socket.once('data', resolve));
  socket.write(`POST /uploads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${agent.token}\r\ncontent-type: text/plain\r\n${headers.join('\r\n')}\r\n\r\n`);
  for (const part of parts) {
    if (socket.destroyed || answer !== '') break;
    if (!socket.write(part)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), ended, answered]);
  }
  await ended;
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), body: JSON.parse(/\{.*\}/s.exec(body)?.[0] ?? '{}') as Sent['body'] };
}

test('a sender who goes away in the middle leaves nothing [CH-6]', async () => {
  const before = (await uploads()).length;
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  socket.write(`POST /uploads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${agent.token}\r\ncontent-length: 1000\r\n\r\nhalf of it`);
  await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  expect((await send('after it')).status).toBe(201);
  expect((await uploads()).length).toBe(before + 1);
});

test('many that send the same file at once each have their upload of one stored file [CH-6]', async () => {
  const content = randomBytes(100_000);
  const sent = await Promise.all(Array.from({ length: 30 }, (_, index) => send(content, { 'x-file-name': `${index}.bin` })));
  expect(sent.map((one) => one.status)).toEqual(sent.map(() => 201));
  const sha256 = createHash('sha256').update(content).digest();
  expect((await uploads()).filter((one) => one.sha256.equals(sha256))).toHaveLength(30);
});

test('a user has a hundred files that belong to nothing, however many they send at once, and after a day none [CH-6, API-7]', async () => {
  const hoarder = await world.user();
  const sent = await Promise.all(Array.from({ length: UNUSED_UPLOADS + 12 }, () => send('x', {}, hoarder)));
  expect(sent.filter((one) => one.status === 201)).toHaveLength(UNUSED_UPLOADS);
  expect(sent.find((one) => one.status === 429)?.body).toMatchObject({ errors: [{ extensions: { code: 'LIMIT_EXCEEDED', max: UNUSED_UPLOADS } }] });
  await sql`update upload set created_at = now() - interval '25 hours' where user_id = ${hoarder.id}`.execute(world.db);
  await removeExpired(world.db, 1_000);
  expect((await uploads()).filter((one) => one.user_id === hoarder.id)).toEqual([]);
  expect((await send('x', {}, hoarder)).status).toBe(201);
});

test('an attachment is given to whoever sees its message, and not found by anybody else [CH-6, API-6]', async () => {
  const content = randomBytes(2_500_000);
  const id = await attached(content, { 'content-type': 'application/pdf', 'x-file-name': encodeURIComponent('größe "1".pdf') });
  const response = await get(`/attachments/${id}`, { who: agent });
  expect(response.status).toBe(200);
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/pdf',
    'content-length': '2500000',
    'content-disposition': `attachment; filename="gr__e _1_.pdf"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20_1_.pdf`,
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
    etag: `"${createHash('sha256').update(content).digest('hex')}"`,
  });
  for (const path of [`/attachments/${id}`, `/attachments/${crypto.randomUUID()}`, '/attachments/x', `/attachments/${id.toUpperCase()}`]) {
    expect((await get(path, { who: outsider })).status).toBe(404);
  }
  expect((await get(`/attachments/${id}`)).status).toBe(401);
});

test('what is not stored is not found, whoever asks [CH-6]', async () => {
  const id = await attached(Buffer.from('x'));
  await sql`update attachment set state = 'FAILED', reason = 'a test', sha256 = null where id = ${id}`.execute(world.db);
  expect((await get(`/attachments/${id}`, { who: agent })).status).toBe(404);
  expect((await get(link(id))).status).toBe(404);
});

test('HEAD says the same without the file; who has it already is told so [CH-6]', async () => {
  const id = await attached(Buffer.from('twelve bytes'));
  const head = await get(`/attachments/${id}`, { who: agent, method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '12', '']);
  const etag = head.headers.get('etag') ?? '';
  const again = await get(`/attachments/${id}`, { who: agent, headers: { 'if-none-match': `"other", W/${etag}` } });
  expect([again.status, await again.text()]).toEqual([304, '']);
  // Not even that it is unchanged is told to who may not see it.
  expect((await get(`/attachments/${id}`, { who: outsider, headers: { 'if-none-match': etag } })).status).toBe(404);
});

test.each([
  ['image/png', 'inline', 'image/png'],
  ['image/jpeg', 'inline', 'image/jpeg'],
  ['image/gif', 'inline', 'image/gif'],
  ['image/webp', 'inline', 'image/webp'],
  ['image/svg+xml', 'attachment', 'application/octet-stream'],
  ['text/html', 'attachment', 'application/octet-stream'],
  ['application/xhtml+xml', 'attachment', 'application/octet-stream'],
  ['application/xml', 'attachment', 'application/octet-stream'],
  ['text/xml', 'attachment', 'application/octet-stream'],
  ['text/javascript', 'attachment', 'application/octet-stream'],
  ['application/javascript', 'attachment', 'application/octet-stream'],
  ['application/x-javascript', 'attachment', 'application/octet-stream'],
  ['application/x-ecmascript', 'attachment', 'application/octet-stream'],
  ['application/x-shockwave-flash', 'attachment', 'application/octet-stream'],
  ['application/x-anything', 'attachment', 'application/octet-stream'],
  ['message/rfc822', 'attachment', 'application/octet-stream'],
  ['multipart/related', 'attachment', 'application/octet-stream'],
  ['application/pdf', 'attachment', 'application/pdf'],
  ['text/plain', 'attachment', 'text/plain'],
  ['application/zip', 'attachment', 'application/zip'],
  [
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'attachment',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  ],
])('%s is given out as %s of type %s: only a picture that can not act is shown in place [CH-6]', async (type, how, as) => {
  const id = await attached(Buffer.from('<script>alert(1)</script>'));
  // As a mail may say it of anything; an upload could not be multipart.
  await world.db.updateTable('attachment').set({ type }).where('id', '=', id).execute();
  const response = await get(link(id));
  expect(response.headers.get('content-disposition')).toMatch(new RegExp(`^${how};`));
  expect(response.headers.get('content-type')).toBe(as);
  expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
});

test('a link gives the file without a token for a quarter of an hour, and for nothing else [CH-6]', async () => {
  const [id, other] = [await attached(Buffer.from('linked')), await attached(Buffer.from('other'))];
  const response = await get(link(id));
  expect([response.status, await response.text()]).toEqual([200, 'linked']);
  expect(response.headers.get('cache-control')).toBe('private, max-age=900, immutable');
  const over = await get(link(id, Date.now() - 900_000));
  expect([over.status, await over.json()]).toEqual([
    410,
    { errors: [{ message: 'the time of this link is up: ask for a new one', extensions: { code: 'LINK_OVER' } }] },
  ]);
  const query = link(id).split('?')[1] ?? '';
  for (const forged of [
    `/attachments/${other}?${query}`,
    `/attachments/${id}?${query.replace(/until=\d+/, `until=${Math.floor(Date.now() / 1000) + 5_000}`)}`,
    `/attachments/${id}?${query.slice(0, -1)}`,
    `/attachments/${id}?until=x&sig=`,
    `/attachments/${id}?sig=${'a'.repeat(52)}`,
  ]) {
    expect((await get(forged)).status).toBe(404);
  }
});

test('a link counts for ten to fifteen minutes, and stays the same for five so that a browser keeps the picture [CH-6]', () => {
  for (let second = 0; second < 600; second += 7) {
    const now = 1_790_000_000_000 + second * 1000;
    const { searchParams } = new URL(link('id', now), 'http://x');
    const parts = { until: searchParams.get('until') ?? '', signature: searchParams.get('sig') ?? '' };
    expect(judgeLink(testKeys, 'id', parts, now + 600_000)).toBe('good');
    expect(judgeLink(testKeys, 'id', parts, now + 900_001)).toBe('over');
  }
  expect(link('id', 1_790_000_100_000)).toBe(link('id', 1_790_000_399_000));
});

test('behind the whole server an answer has the file’s own headers, and a file that turns out not to be whole is broken off [CH-6]', async () => {
  const id = await attached(randomBytes(2_200_000));
  const gate = createGate({ db: world.db, onError: () => 'test' });
  const doors = createFileDoors({ db: world.db, keys: testKeys, gate, corsOrigins: ['https://desk.example'] });
  const server = await new Promise<ServerType>((resolve) => {
    const started = serve({ fetch: secured((request) => doors.fetch(request), 'https://desk.example'), hostname: '127.0.0.1', port: 0 }, () =>
      resolve(started),
    );
  });
  try {
    const address = server.address();
    const at = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    const response = await fetch(`${at}${link(id)}`, { headers: { origin: 'https://desk.example' } });
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(response.headers.get('cache-control')).toBe('private, max-age=900, immutable');
    expect(response.headers.get('access-control-allow-origin')).toBe('https://desk.example');
    expect((await response.arrayBuffer()).byteLength).toBe(2_200_000);
    const asked = await fetch(`${at}/uploads`, {
      method: 'OPTIONS',
      headers: { origin: 'https://desk.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-file-name' },
    });
    expect([asked.status, asked.headers.get('access-control-allow-headers')]).toEqual([204, 'authorization, content-type, x-file-name']);
    await sql`delete from blob_piece where place = 1 and sha256 = (select sha256 from attachment where id = ${id})`.execute(world.db);
    const broken = fetch(`${at}${link(id)}`).then((one) => one.arrayBuffer());
    await expect(broken).rejects.toThrow();
  } finally {
    server.close();
  }
});

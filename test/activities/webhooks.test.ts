import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { callWaiting } from '#activities/webhooks.ts';
import { keysFrom } from '#commands/secrets.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { deleteWebhook, queueWebhook, rotateWebhookSecret, saveWebhook, testWebhook } from '#commands/webhooks.ts';
import type { Db } from '#db/database.ts';
import { WEBHOOK_LIMITS, WEBHOOK_TRIES } from '#domain/webhook.ts';
import { age, goal, makePolicy, moment } from '../commands/sla-support.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, take, testKeys } from '../support/fixtures.ts';
import { eventually } from '../support/wait.ts';
import { openReceiver, type Receiver } from '../support/webhook-receiver.ts';

const lines: object[] = [];
const log = {
  info: (fields: object) => void lines.push(fields),
  warn: (fields: object) => void lines.push(fields),
  error: (fields: object) => void lines.push(fields),
};

let database: TestDatabase;
let db: Db;
let ticketId: string;
const receivers: Receiver[] = [];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  await take(db, await makeChannel(db), [inbound('one@out.example')]);
  ticketId = (await db.selectFrom('ticket').select('id').executeTakeFirstOrThrow()).id;
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.deleteFrom('webhook_delivery').execute();
  await db.deleteFrom('webhook').execute();
  lines.length = 0;
});
afterEach(async () => {
  for (const one of receivers.splice(0)) await one.close();
});

const engine = () => ({ db, keys: testKeys, log, now: () => Date.now() });
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
const receiver = async (...args: Parameters<typeof openReceiver>): Promise<Receiver> => {
  const made = await openReceiver(...args);
  receivers.push(made);
  return made;
};
const webhook = async (url: string) => {
  const { webhookId, secret } = await run((unit) => saveWebhook(unit, { keys: testKeys }, { name: randomBytes(6).toString('hex'), url }));
  return { webhookId, secret: secret ?? '' };
};
const queue = (webhookId: string, round = 1) =>
  run((unit) => queueWebhook(unit, { webhookId, ticketId, payload: { type: 'sla.overdue', ticket: 7, goal: 'CLOSE', round, open: true, policy: null } }));
const rows = (webhookId: string) => db.selectFrom('webhook_delivery').selectAll().where('webhook_id', '=', webhookId).orderBy('id').execute();
const row = async (webhookId: string) => {
  const [first] = await rows(webhookId);
  if (first === undefined) throw new Error('there is no delivery');
  return first;
};
/** In place of waiting for its time. */
const due = () => sql`update webhook_delivery set not_before = now() where state = 'QUEUED'`.execute(db);

it('posts a signed call that the receiver can check, and logs ids and codes only [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId, secret } = await webhook(`${fake.url}?token=marked-token`);
  fake.secrets.add(secret).add(`whsec_${Buffer.alloc(32).toString('base64')}`);
  await queue(webhookId);
  expect(await callWaiting(engine())).toEqual({ sent: 1, notSent: 0, remaining: 0, heldBy: null, nextTryAtIso: null });
  const delivery = await row(webhookId);
  expect(delivery).toMatchObject({ state: 'SENT', attempt: 1, failure: null, settled_at: expect.any(Date) });
  expect(fake.calls).toHaveLength(1);
  const [call] = fake.calls;
  expect(call).toMatchObject({ id: delivery.id, path: '/hook?token=marked-token', signedBy: [secret] });
  expect(call?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Trunkline' });
  expect(JSON.parse(call?.body ?? '')).toEqual({
    type: 'sla.overdue',
    timestamp: delivery.created_at.toISOString(),
    data: { ticket: 7, goal: 'CLOSE', round: 1, open: true, policy: null },
  });
  expect(lines).toEqual([{ deliveryId: delivery.id, webhookId, attempt: 1, outcome: 'sent', failure: null }]);
});

it('a test says that it is one and nothing else [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId, secret } = await webhook(fake.url);
  fake.secrets.add(secret);
  await run((unit) => testWebhook(unit, { webhookId }));
  await callWaiting(engine());
  expect(JSON.parse(fake.calls[0]?.body ?? '')).toEqual({ type: 'test', timestamp: expect.any(String), data: {} });
  expect(fake.calls[0]?.signedBy).toEqual([secret]);
});

it('signs with the secret before as well while its time lasts, so either will do [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId, secret } = await webhook(fake.url);
  const { secret: newer } = await run((unit) => rotateWebhookSecret(unit, { keys: testKeys }, { webhookId }));
  fake.secrets.add(secret).add(newer ?? '');
  await queue(webhookId);
  await callWaiting(engine());
  await sql`update webhook set previous_until = now() - interval '1 s'`.execute(db);
  await queue(webhookId);
  await callWaiting(engine());
  expect(fake.calls.map(({ signedBy }) => signedBy)).toEqual([[secret, newer], [newer]]);
});

it('what is not taken is tried again with the same id and body, and has failed after the last try [SLA-12]', async () => {
  const fake = await receiver(() => 503);
  const { webhookId, secret } = await webhook(fake.url);
  fake.secrets.add(secret);
  await queue(webhookId);
  const waits = [5, 30, 120, 600, 3_600, 10_800, 21_600, 43_200];
  for (const [index, wait] of waits.entries()) {
    expect(await callWaiting(engine())).toMatchObject({ sent: 0, notSent: 1, remaining: 1, heldBy: 'HTTP_503', nextTryAtIso: expect.any(String) });
    const { rows: ahead } = await sql<{ seconds: number }>`select extract(epoch from not_before - tried_at)::float8 as seconds from webhook_delivery`.execute(
      db,
    );
    expect(ahead[0]?.seconds).toBeGreaterThanOrEqual(wait - 0.1);
    expect(ahead[0]?.seconds).toBeLessThan(wait + 20);
    expect(await row(webhookId)).toMatchObject({ state: 'QUEUED', attempt: index + 1, failure: 'HTTP_503' });
    // Not before its time.
    expect(await callWaiting(engine())).toMatchObject({ notSent: 0, remaining: 1 });
    await due();
  }
  expect(await callWaiting(engine())).toMatchObject({ notSent: 1, remaining: 0, nextTryAtIso: null });
  expect(await row(webhookId)).toMatchObject({ state: 'FAILED', attempt: WEBHOOK_TRIES, failure: 'HTTP_503' });
  expect(fake.calls).toHaveLength(WEBHOOK_TRIES);
  expect(new Set(fake.calls.map(({ id, body }) => `${id} ${body}`)).size).toBe(1);
  expect(fake.calls.every(({ signedBy }) => signedBy.includes(secret))).toBe(true);
});

it('410 is the end at once; a redirect is not followed [SLA-12]', async () => {
  const fake = await receiver(({ path }) => (path === '/gone' ? 410 : (response) => void response.writeHead(307, { location: '/elsewhere' }).end('moved')));
  const gone = await webhook(fake.url.replace('/hook', '/gone'));
  const moved = await webhook(fake.url);
  await queue(gone.webhookId);
  await queue(moved.webhookId);
  expect(await callWaiting(engine())).toMatchObject({ sent: 0, notSent: 2, remaining: 1 });
  expect(await row(gone.webhookId)).toMatchObject({ state: 'FAILED', failure: 'HTTP_410', attempt: 1 });
  expect(await row(moved.webhookId)).toMatchObject({ state: 'QUEUED', failure: 'HTTP_307' });
  expect(fake.calls.map(({ path }) => path).toSorted()).toEqual(['/gone', '/hook']);
});

it('an answer without an end is not waited for, nor read [SLA-12]', async () => {
  let ended = false;
  const fake = await receiver(() => (response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    const more = setInterval(() => response.write('marked answer '.repeat(1_000)), 5);
    response.once('close', () => {
      clearInterval(more);
      ended = true;
    });
  });
  const { webhookId } = await webhook(fake.url);
  await queue(webhookId);
  expect(await callWaiting(engine())).toMatchObject({ sent: 1 });
  await eventually(() => ended);
  expect(JSON.stringify(lines)).not.toContain('marked');
});

it('who can not be reached, or hangs up, is called again, and only a code is told [SLA-12]', async () => {
  const away = await openReceiver();
  await away.close();
  const cutting = await receiver(() => (response) => void response.socket?.destroy());
  const [refused, cut] = [await webhook(`${away.url}?marked`), await webhook(`${cutting.url}?marked`)];
  await queue(refused.webhookId);
  await queue(cut.webhookId);
  expect(await callWaiting(engine())).toMatchObject({ sent: 0, notSent: 2, remaining: 2 });
  expect(await row(refused.webhookId)).toMatchObject({ state: 'QUEUED', failure: 'ECONNREFUSED' });
  expect(await row(cut.webhookId)).toMatchObject({ state: 'QUEUED', failure: expect.stringMatching(/^(UND_ERR_SOCKET|ECONNRESET)$/) });
  expect(JSON.stringify(lines)).not.toMatch(/marked|127\.0\.0\.1/);
});

it('one that hangs keeps no other waiting, has few calls at once, and is called again after ten seconds [SLA-12]', async () => {
  const hanging = await receiver(() => () => undefined);
  const fine = await receiver();
  const [slow, quick] = [await webhook(hanging.url), await webhook(fine.url)];
  for (let index = 1; index <= 10; index += 1) await queue(slow.webhookId, index);
  const running = callWaiting(engine());
  await eventually(() => hanging.open.now === WEBHOOK_LIMITS.callsEach);
  // Queued while they hang.
  for (let index = 1; index <= 10; index += 1) await queue(quick.webhookId, index);
  await eventually(() => fine.calls.length === 10);
  expect(hanging.open.now).toBe(WEBHOOK_LIMITS.callsEach);
  await eventually(async () => (await rows(slow.webhookId)).some(({ failure }) => failure === 'TIME_OUT'));
  await run((unit) => deleteWebhook(unit, { webhookId: slow.webhookId }));
  await hanging.close();
  expect(await running).toMatchObject({ sent: 10, remaining: 0 });
  expect(hanging.open.most).toBe(WEBHOOK_LIMITS.callsEach);
  for (const one of await rows(slow.webhookId)) expect(one).toMatchObject({ state: 'FAILED', failure: 'WEBHOOK_REMOVED' });
});

it('makes each call once, however many run at once, and few of one webhook at a time [SLA-12]', async () => {
  const fakes = await Promise.all(Array.from({ length: 4 }, () => receiver()));
  for (const fake of fakes) {
    const { webhookId, secret } = await webhook(fake.url);
    fake.secrets.add(secret);
    for (let index = 1; index <= 15; index += 1) await queue(webhookId, index);
  }
  const runs = await Promise.all(Array.from({ length: 5 }, () => callWaiting(engine())));
  expect(runs.reduce((sum, one) => sum + one.sent, 0)).toBe(60);
  for (const fake of fakes) {
    expect(fake.calls).toHaveLength(15);
    expect(new Set(fake.calls.map(({ id }) => id)).size).toBe(15);
    expect(fake.calls.every(({ signedBy }) => signedBy.length === 1)).toBe(true);
    expect(fake.open.most).toBeLessThanOrEqual(WEBHOOK_LIMITS.callsEach);
  }
});

it('what was being sent when its process died is sent again, by the same id [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId, secret } = await webhook(fake.url);
  fake.secrets.add(secret);
  await queue(webhookId, 1);
  await queue(webhookId, 2);
  const [died, young] = await rows(webhookId);
  await sql`update webhook_delivery set state = 'SENDING', attempt = 1, tried_at = now() - interval '61 s' where id = ${died?.id ?? ''}`.execute(db);
  await sql`update webhook_delivery set state = 'SENDING', attempt = 1, tried_at = now() - interval '10 s' where id = ${young?.id ?? ''}`.execute(db);
  const result = await callWaiting(engine());
  expect(result).toMatchObject({ sent: 1, remaining: 1 });
  // It is looked for again once that one may be taken for lost, not before.
  expect(Date.parse(result.nextTryAtIso ?? '')).toBeGreaterThan(Date.now() + 30_000);
  expect(fake.calls.map(({ id }) => id)).toEqual([died?.id]);
  expect(await rows(webhookId)).toMatchObject([{ state: 'SENT', attempt: 2 }, { state: 'SENDING' }]);
});

it('a secret that does not open calls nobody, and is tried again [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId } = await webhook(fake.url);
  await queue(webhookId);
  const others = keysFrom('cd'.repeat(32));
  expect(await callWaiting({ ...engine(), keys: others })).toMatchObject({ sent: 0, remaining: 1, heldBy: 'SECRET_UNREADABLE' });
  expect(fake.calls).toEqual([]);
  await due();
  expect(await callWaiting(engine())).toMatchObject({ sent: 1 });
});

it('stopped, it ends at once, and what hung is tried again [SLA-12]', async () => {
  const hanging = await receiver(() => () => undefined);
  const { webhookId } = await webhook(hanging.url);
  await queue(webhookId);
  const stop = new AbortController();
  const running = callWaiting(engine(), stop.signal);
  await eventually(() => hanging.open.now === 1);
  stop.abort();
  expect(await running).toMatchObject({ sent: 0, notSent: 1, remaining: 1 });
  expect(await row(webhookId)).toMatchObject({ state: 'QUEUED', failure: 'STOPPED' });
});

it('a goal that is due soon, then overdue, calls the webhook its policy names, each once, with the real deadline [SLA-12]', async () => {
  const fake = await receiver();
  const { webhookId, secret } = await webhook(fake.url);
  fake.secrets.add(secret);
  const actions = [
    { on: 'DUE_SOON', webhookId },
    { on: 'OVERDUE', goal: 'CLOSE', webhookId },
  ] as const;
  await makePolicy(db, { targets: [goal('CLOSE', 60, { dueSoon: 20 })], actions });
  const channel = await makeChannel(db);
  await take(db, channel, [inbound('two@out.example')]);
  const ticket = await db
    .selectFrom('ticket')
    .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
    .select(['ticket.id', 'ticket.number'])
    .where('conversation.channel_id', '=', channel.id)
    .executeTakeFirstOrThrow();
  for (const minutes of [45, 30]) {
    await age(db, ticket.id, minutes);
    await moment(db, ticket.id);
    await moment(db, ticket.id);
  }
  expect(await callWaiting(engine())).toMatchObject({ sent: 2, remaining: 0 });
  const { due_at: dueAt } = await db.selectFrom('sla_goal').select('due_at').where('ticket_id', '=', ticket.id).executeTakeFirstOrThrow();
  const said = fake.calls.map(({ body }) => JSON.parse(body) as { readonly type: string; readonly data: object });
  expect(said.map(({ type }) => type).toSorted()).toEqual(['sla.due_soon', 'sla.overdue']);
  expect(said.find(({ type }) => type === 'sla.overdue')?.data).toEqual({
    ticket: ticket.number,
    goal: 'CLOSE',
    round: 1,
    policy: expect.any(Number),
    dueAt: dueAt?.toISOString(),
    firedAt: expect.any(String),
    open: true,
  });
  expect(fake.calls.every(({ signedBy }) => signedBy.includes(secret))).toBe(true);
  expect(JSON.stringify(fake.calls)).not.toContain('out.example');
});

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sql } from 'kysely';
import { findStuck } from '#commands/guardian.ts';
import { AlreadyExists, InvalidInput, NotFound, NotPossible } from '#commands/refusals.ts';
import { removeExpired } from '#commands/retention.ts';
import { claimWebhookDeliveries, nextWebhookDelivery, retryWebhookDelivery, settleWebhookDelivery } from '#commands/webhook-deliveries.ts';
import { deleteWebhook, openSecrets, queueWebhook, rotateWebhookSecret, saveWebhook, testWebhook } from '#commands/webhooks.ts';
import { transact, type Unit } from '#commands/unit.ts';
import type { Db } from '#db/database.ts';
import { checkInvariants } from '#db/invariants.ts';
import { WEBHOOK_LIMITS, WEBHOOK_TRIES } from '#domain/webhook.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { inbound, makeChannel, take, testKeys } from '../support/fixtures.ts';
import { goal, makePolicy } from './sla-support.ts';

let database: TestDatabase;
let db: Db;
let ticketId: string;
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  await take(db, await makeChannel(db), [inbound('one@out.example')]);
  ticketId = (await db.selectFrom('ticket').select('id').executeTakeFirstOrThrow()).id;
});
afterAll(() => database.drop());
beforeEach(async () => {
  await db.deleteFrom('webhook_delivery').execute();
  await sql`update webhook set deleted_at = now() where deleted_at is null`.execute(db);
  await sql`update sla_policy set deleted_at = now() where deleted_at is null`.execute(db);
});

const deps = { keys: testKeys };
const URL_MARK = 'https://hooks.acme.example/marked-path?token=marked-token';
const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => (await transact(db, { actor: 'SYSTEM' }, work)).value;
let made = 0;
const make = async (name = `hook ${(made += 1)}`) => run((unit) => saveWebhook(unit, deps, { name, url: URL_MARK }));
const queue = async (webhookId: string, count = 1) => {
  for (let index = 0; index < count; index += 1) await run((unit) => queueWebhook(unit, { webhookId, ticketId, payload: { type: 'sla.overdue', ticket: 1 } }));
};
const row = (webhookId: string) => db.selectFrom('webhook').selectAll().where('id', '=', webhookId).executeTakeFirstOrThrow();
const deliveries = (webhookId: string) => db.selectFrom('webhook_delivery').selectAll().where('webhook_id', '=', webhookId).orderBy('created_at').execute();
const delivery = async (webhookId: string) => {
  const [first] = await deliveries(webhookId);
  if (first === undefined) throw new Error('there is no delivery');
  return first;
};
const secretsOf = async (webhookId: string) => {
  const { secret, previous_secret: previousSecret } = await row(webhookId);
  return openSecrets(testKeys, { webhookId, secret, previousSecret });
};
const events = async () =>
  (await db.selectFrom('event').select(['why', 'data']).where('kind', '=', 'SLA_SETTINGS_CHANGED').orderBy('id').execute()).map(({ why, data }) => ({
    why,
    data,
  }));

it('has a secret of 256 bits that is told once, kept sealed and in no event; its name is there once [SLA-12]', async () => {
  const { webhookId, secret } = await make('Pager');
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(await secretsOf(webhookId)).toEqual([secret]);
  const kept = await row(webhookId);
  expect(kept.secret.toString('latin1')).not.toContain(secret?.slice(6));
  // Sealed for this row: in another it does not open.
  expect(() => openSecrets(testKeys, { webhookId: ticketId, secret: kept.secret, previousSecret: null })).toThrow();
  await expect(make('pager')).rejects.toThrow(AlreadyExists);
  const other = await make('Other');
  expect(other.secret).not.toBe(secret);
  await expect(run((unit) => saveWebhook(unit, deps, { webhookId: other.webhookId, name: ' PAGER ', url: URL_MARK }))).rejects.toThrow(AlreadyExists);
  expect(JSON.stringify(await events())).not.toMatch(/marked|whsec/);
});

it('is renamed and led elsewhere without another secret, what waits going there; what changes nothing leaves no event [SLA-12]', async () => {
  const { webhookId, secret } = await make();
  await queue(webhookId);
  const before = (await events()).length;
  const input = { webhookId, name: ' New name ', url: 'http://localhost:9000/x' };
  expect(await run((unit) => saveWebhook(unit, deps, input))).toEqual({ webhookId, secret: null });
  await run((unit) => saveWebhook(unit, deps, input));
  expect(await row(webhookId)).toMatchObject({ name: 'New name', url: 'http://localhost:9000/x' });
  expect(await secretsOf(webhookId)).toEqual([secret]);
  expect((await events()).slice(before)).toEqual([{ why: 'WEBHOOK_EDITED', data: { webhookId } }]);
  expect(await claimWebhookDeliveries(db, 5)).toMatchObject([{ webhookId, url: 'http://localhost:9000/x' }]);
  await expect(run((unit) => saveWebhook(unit, deps, { webhookId: ticketId, name: 'x', url: URL_MARK }))).rejects.toThrow(NotFound);
  await expect(run((unit) => saveWebhook(unit, deps, { webhookId: 'no id', name: 'x', url: URL_MARK }))).rejects.toThrow(NotFound);
});

it('names every wrong field, and repeats no address [SLA-12]', async () => {
  const refused = await run((unit) => saveWebhook(unit, deps, { name: '  ', url: 'http://hooks.acme.example/marked' })).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(InvalidInput);
  expect((refused as InvalidInput).problems.map(({ path }) => path)).toEqual(['name', 'url']);
  expect((refused as InvalidInput).message).not.toContain('marked');
});

it('there are at most as many as the limit says, also when two are made at once [SLA-12]', async () => {
  for (let index = 1; index < WEBHOOK_LIMITS.webhooks; index += 1) await make();
  const results = await Promise.allSettled([make(), make(), make()]);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(InvalidInput);
});

it('of several that take one name at once one has it [SLA-12]', async () => {
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => make('the same')));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(AlreadyExists);
});

it('another secret signs first, and the one before as well until its time is over [SLA-12]', async () => {
  const { webhookId, secret: first } = await make();
  const { secret: second } = await run((unit) => rotateWebhookSecret(unit, deps, { webhookId }));
  expect(second).not.toBe(first);
  await queue(webhookId, 2);
  const [claimed] = await claimWebhookDeliveries(db, 1);
  expect(claimed && openSecrets(testKeys, claimed)).toEqual([second, first]);
  await sql`update webhook set previous_until = now() - interval '1 s' where id = ${webhookId}`.execute(db);
  const [later] = await claimWebhookDeliveries(db, 1);
  expect(later && openSecrets(testKeys, later)).toEqual([second]);
  expect((await events()).at(-1)).toEqual({ why: 'WEBHOOK_EDITED', data: { webhookId } });
  await expect(run((unit) => rotateWebhookSecret(unit, deps, { webhookId: ticketId }))).rejects.toThrow(NotFound);
});

it('stays while a policy names it in what it says now; earlier terms and removed policies do not count [SLA-12]', async () => {
  const { webhookId } = await make();
  const { webhookId: other } = await make();
  const targets = [goal('CLOSE', 60)];
  const policyId = await makePolicy(db, { targets, actions: [{ on: 'OVERDUE', webhookId }] });
  const remove = () => run((unit) => deleteWebhook(unit, { webhookId }));
  await expect(remove()).rejects.toThrow(new NotPossible('WEBHOOK_IN_USE'));
  await makePolicy(db, {
    policyId,
    targets,
    actions: [
      { on: 'OVERDUE', setPriority: 'HIGH' },
      { on: 'DUE_SOON', webhookId: other },
    ],
  });
  await remove();
  await expect(remove()).rejects.toThrow(NotFound);
  expect((await events()).at(-1)).toEqual({ why: 'WEBHOOK_REMOVED', data: { webhookId } });
  const kept = await row(webhookId);
  expect(kept).toMatchObject({ url: '', previous_secret: null, deleted_at: expect.any(Date) });
  expect(kept.secret).toHaveLength(0);
  await expect(run((unit) => deleteWebhook(unit, { webhookId: other }))).rejects.toThrow(new NotPossible('WEBHOOK_IN_USE'));
  await sql`update sla_policy set deleted_at = now() where id = ${policyId}`.execute(db);
  await run((unit) => deleteWebhook(unit, { webhookId: other }));
});

it('a webhook is not removed behind a policy that comes to name it at the same moment, nor the other way round [SLA-12]', async () => {
  for (let round = 0; round < 10; round += 1) {
    const { webhookId } = await make();
    const results = await Promise.allSettled([
      makePolicy(db, { targets: [goal('CLOSE', 60)], actions: [{ on: 'OVERDUE', webhookId }] }),
      run((unit) => deleteWebhook(unit, { webhookId })),
    ]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  }
  expect((await checkInvariants(db)).filter((one) => one.invariant.rule === 'SLA-12' && one.violations !== 0)).toEqual([]);
});

it('what waits for a removed webhook has failed, also what is queued at the same moment, and nothing is queued after [SLA-12]', async () => {
  for (let round = 0; round < 10; round += 1) {
    const { webhookId } = await make();
    await queue(webhookId, 2);
    await claimWebhookDeliveries(db, 1);
    await Promise.all([queue(webhookId), run((unit) => deleteWebhook(unit, { webhookId })), queue(webhookId)]);
    await queue(webhookId);
    const all = await deliveries(webhookId);
    expect(all.length).toBeGreaterThanOrEqual(2);
    for (const one of all) expect(one).toMatchObject({ state: 'FAILED', failure: 'WEBHOOK_REMOVED', settled_at: expect.any(Date) });
    await expect(run((unit) => testWebhook(unit, { webhookId }))).rejects.toThrow(NotFound);
  }
  expect(await claimWebhookDeliveries(db, 10)).toEqual([]);
});

it('a test is a delivery of no ticket, and wakes who calls [SLA-12]', async () => {
  const { webhookId } = await make();
  const { value, wakes } = await transact(db, { actor: 'SYSTEM' }, (unit) => testWebhook(unit, { webhookId }));
  expect(wakes).toEqual([{ kind: 'webhooks' }]);
  expect(await delivery(webhookId)).toMatchObject({ id: value.deliveryId, ticket_id: null, payload: { type: 'test' }, state: 'QUEUED', attempt: 0 });
});

it('claims a few of each webhook, every one its first before any its second, however many claim at once [SLA-12]', async () => {
  const [slow, quick, other] = [await make(), await make(), await make()];
  await queue(slow.webhookId, 40);
  await queue(quick.webhookId, 2);
  await queue(other.webhookId, 1);
  const first = await claimWebhookDeliveries(db, 4);
  expect(first.map(({ webhookId }) => webhookId).toSorted()).toEqual([slow.webhookId, slow.webhookId, quick.webhookId, other.webhookId].toSorted());
  const rest = (await Promise.all(Array.from({ length: 6 }, () => claimWebhookDeliveries(db, 20)))).flat();
  const all = [...first, ...rest];
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  const count = (webhookId: string) => all.filter((one) => one.webhookId === webhookId).length;
  expect([count(slow.webhookId), count(quick.webhookId), count(other.webhookId)]).toEqual([WEBHOOK_LIMITS.callsEach, 2, 1]);
  // One of its calls is over: there is room for another.
  const [mine] = all.filter((one) => one.webhookId === slow.webhookId);
  if (mine !== undefined) await settleWebhookDelivery(db, mine, { kind: 'sent' });
  expect((await claimWebhookDeliveries(db, 20)).map(({ webhookId }) => webhookId)).toEqual([slow.webhookId]);
});

it('an outcome counts for its own try only; that it was taken is believed later too [SLA-12]', async () => {
  const { webhookId } = await make();
  await queue(webhookId);
  const [first] = await claimWebhookDeliveries(db, 1);
  if (first === undefined) throw new Error('nothing was claimed');
  expect(await settleWebhookDelivery(db, first, { kind: 'later', seconds: 0, failure: 'HTTP_500' })).toBe(true);
  expect(await settleWebhookDelivery(db, first, { kind: 'failed', failure: 'HTTP_410' })).toBe(false);
  const [second] = await claimWebhookDeliveries(db, 1);
  expect(second).toMatchObject({ id: first.id, attempt: 2, tries: 2 });
  expect(await settleWebhookDelivery(db, first, { kind: 'sent' })).toBe(false);
  expect(await settleWebhookDelivery(db, first, { kind: 'later', seconds: 60, failure: 'TIME_OUT' })).toBe(false);
  expect(await delivery(webhookId)).toMatchObject({ state: 'SENDING', attempt: 2 });
  // Its process came back after it was taken for lost.
  await sql`update webhook_delivery set tried_at = now() - interval '61 s'`.execute(db);
  await sql`update webhook set deleted_at = now() where id <> ${webhookId} and deleted_at is null`.execute(db);
  const [third] = await claimWebhookDeliveries(db, 1);
  expect(third).toMatchObject({ id: first.id, attempt: 3 });
  if (second === undefined || third === undefined) throw new Error('nothing was claimed');
  expect(await settleWebhookDelivery(db, second, { kind: 'sent' })).toBe(false);
  expect(await settleWebhookDelivery(db, third, { kind: 'failed', failure: 'HTTP_410' })).toBe(true);
  expect(await settleWebhookDelivery(db, third, { kind: 'sent' })).toBe(true);
  expect(await delivery(webhookId)).toMatchObject({ state: 'SENT', failure: null, attempt: 3 });
});

it('what nobody sends any more is tried again, as often as anything else [SLA-12]', async () => {
  const { webhookId } = await make();
  await queue(webhookId, 2);
  await claimWebhookDeliveries(db, 2);
  await sql`update webhook_delivery set tried_at = now() - interval '45 s'`.execute(db);
  expect(await claimWebhookDeliveries(db, 5)).toEqual([]);
  const [last, other] = await deliveries(webhookId);
  await sql`update webhook_delivery set tried_at = now() - interval '61 s'`.execute(db);
  await sql`update webhook_delivery set attempt = ${WEBHOOK_TRIES} where id = ${last?.id ?? ''}`.execute(db);
  expect(await claimWebhookDeliveries(db, 5)).toMatchObject([{ id: other?.id, attempt: 2 }]);
  expect(await delivery(webhookId)).toMatchObject({ state: 'FAILED', failure: 'NO_OUTCOME', attempt: WEBHOOK_TRIES, settled_at: expect.any(Date) });
});

it('says when the next can go on: a webhook with all its calls taken waits for one of them [SLA-12]', async () => {
  expect(await nextWebhookDelivery(db)).toEqual({ remaining: 0, nextIso: null, heldBy: null });
  const { webhookId } = await make();
  await queue(webhookId, 5);
  const now = async () => (await sql<{ at: Date }>`select now() as at`.execute(db)).rows[0]?.at.getTime() ?? 0;
  const next = async () => Date.parse((await nextWebhookDelivery(db)).nextIso ?? '');
  expect(await next()).toBeLessThanOrEqual(await now());
  await claimWebhookDeliveries(db, 10);
  expect(await next()).toBeGreaterThan((await now()) + 50_000);
  expect(await nextWebhookDelivery(db)).toMatchObject({ remaining: 5, heldBy: null });
  // Another one's is not held back by it.
  const other = await make();
  await queue(other.webhookId);
  expect(await next()).toBeLessThanOrEqual(await now());
  const [theirs] = await claimWebhookDeliveries(db, 10);
  if (theirs === undefined) throw new Error('nothing was claimed');
  await settleWebhookDelivery(db, theirs, { kind: 'later', seconds: 30, failure: 'HTTP_503' });
  expect(await nextWebhookDelivery(db)).toMatchObject({ remaining: 6, heldBy: 'HTTP_503' });
});

it('what has failed is tried again by a person, with all its tries anew; nothing else is [SLA-12]', async () => {
  const { webhookId } = await make();
  await queue(webhookId);
  const { id: deliveryId } = await delivery(webhookId);
  const retry = () => transact(db, { actor: 'SYSTEM' }, (unit) => retryWebhookDelivery(unit, { deliveryId }));
  await expect(retry()).rejects.toThrow(new NotPossible('NOT_WAITING'));
  await sql`update webhook_delivery set state = 'FAILED', attempt = 9, failure = 'HTTP_500', settled_at = now(), tried_at = now()`.execute(db);
  const results = await Promise.allSettled([retry(), retry(), retry()]);
  expect(results.filter(({ status }) => status === 'fulfilled')).toMatchObject([{ value: { wakes: [{ kind: 'webhooks' }] } }]);
  expect(await claimWebhookDeliveries(db, 5)).toMatchObject([{ id: deliveryId, attempt: 10, tries: 1 }]);
  await expect(run((unit) => retryWebhookDelivery(unit, { deliveryId: ticketId }))).rejects.toThrow(NotFound);
  await run((unit) => deleteWebhook(unit, { webhookId }));
  await expect(retry()).rejects.toThrow(new NotPossible('RECIPIENT_GONE'));
});

it('the guardian finds what waits 30 s too long and what is stuck, and leaves alone what waits for its time or for others [SLA-12] [OPS-10]', async () => {
  const stuck = async () => (await findStuck(db, 10)).stuck.filter(({ wake }) => wake.kind === 'webhooks');
  const { webhookId } = await make();
  await queue(webhookId, 2);
  expect(await stuck()).toEqual([]);
  await sql`update webhook_delivery set not_before = now() - interval '40 s'`.execute(db);
  expect(await stuck()).toEqual([{ wake: { kind: 'webhooks' }, overdueSeconds: expect.any(Number), why: 'WEBHOOK_WAITS' }]);
  // One of them was tried just now: it goes on.
  await claimWebhookDeliveries(db, 1);
  expect(await stuck()).toEqual([]);
  await sql`update webhook_delivery set not_before = now() + interval '1 h' where state = 'QUEUED'`.execute(db);
  await sql`update webhook_delivery set tried_at = now() - interval '80 s' where state = 'SENDING'`.execute(db);
  expect(await stuck()).toEqual([]);
  await sql`update webhook_delivery set tried_at = now() - interval '100 s' where state = 'SENDING'`.execute(db);
  expect((await stuck())[0]?.overdueSeconds).toBeCloseTo(10, -1);
  await sql`update webhook_delivery set state = 'SENT', settled_at = now()`.execute(db);
  expect(await stuck()).toEqual([]);
});

it('what is settled is removed after 30 days, what waits is not [SLA-12]', async () => {
  const { webhookId } = await make();
  await queue(webhookId, 5);
  const [sent, failed, young] = (await deliveries(webhookId)).map(({ id }) => id);
  const set = (id: string | undefined, state: string, days: number) =>
    sql`update webhook_delivery set state = ${state}, failure = 'HTTP_500', settled_at = now() - make_interval(days => ${days}) where id = ${id ?? ''}`.execute(
      db,
    );
  await sql`update webhook_delivery set created_at = now() - interval '40 days'`.execute(db);
  await set(sent, 'SENT', 31);
  await set(failed, 'FAILED', 31);
  await set(young, 'SENT', 29);
  expect(await removeExpired(db, 100)).toMatchObject({ webhookDeliveries: 2 });
  expect((await deliveries(webhookId)).map(({ state }) => state).toSorted()).toEqual(['QUEUED', 'QUEUED', 'SENT']);
});

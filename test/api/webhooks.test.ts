import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { callWaiting } from '#activities/webhooks.ts';
import { testKeys } from '../support/fixtures.ts';
import { openReceiver, type Receiver } from '../support/webhook-receiver.ts';
import { globalId, openWorld, text, type Json, type Person, type World } from './support.ts';

let world: World;
let admin: Person;
let agent: Person;
let receiver: Receiver;
let status = 204;
beforeAll(async () => {
  world = await openWorld();
  admin = await world.user({ role: 'ADMIN' });
  agent = await world.user();
  receiver = await openReceiver(() => status);
});
afterAll(async () => {
  await world?.close();
  await receiver?.close();
});
beforeEach(async () => {
  await world.db.deleteFrom('webhook_delivery').execute();
  await world.db.deleteFrom('webhook').execute();
  receiver.calls.length = 0;
  receiver.secrets.clear();
  status = 204;
});

const REFUSALS = `... on Forbidden { needs } ... on InvalidInput { problems { path message } }`;
const WEBHOOK = 'id name url previousSecretUntil';
const DELIVERY = 'id messageId type state attempts failure nextTryAt settledAt webhook { name } ticket { number }';
const SAVE = `mutation ($input: SaveWebhookInput!) { saveWebhook(input: $input) { __typename ... on SavedWebhook { secret webhook { ${WEBHOOK} } }
  ... on AlreadyExists { what } ${REFUSALS} } }`;
const ROTATE = `mutation ($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) { __typename ... on SavedWebhook { secret webhook { ${WEBHOOK} } } } }`;
const REMOVE = `mutation ($input: DeleteWebhookInput!) { deleteWebhook(input: $input) { __typename ... on RemovedWebhook { removedId } ... on NotPossible { reason } } }`;
const TEST = `mutation ($input: TestWebhookInput!) { testWebhook(input: $input) { __typename ... on WebhookDelivery { ${DELIVERY} } } }`;
const RETRY = `mutation ($input: RetryWebhookDeliveryInput!) { retryWebhookDelivery(input: $input) { __typename ... on WebhookDelivery { ${DELIVERY} }
  ... on NotPossible { reason } } }`;
const LIST = `{ webhooks { edges { node { ${WEBHOOK} } } } }`;
const DELIVERIES = `query ($webhookId: ID, $state: WebhookDeliveryState) { webhookDeliveries(webhookId: $webhookId, state: $state) { edges { node { ${DELIVERY} } } } }`;

const save = async (who: Person, input: object) => (await who.ask(SAVE, { input }))['saveWebhook'];
const make = async (name = 'Pager') => {
  const saved = await save(admin, { name, url: receiver.url });
  const secret = text(saved?.['secret']);
  receiver.secrets.add(secret);
  return { webhookId: text(saved?.['webhook']?.['id']), secret };
};
const nodes = (answer: Json, field: string) => (answer[field]?.['edges'] as unknown as { node: Json }[]).map(({ node }) => node);
const call = () =>
  callWaiting({ db: world.db, keys: testKeys, log: { info: () => undefined, warn: () => undefined, error: () => undefined }, now: () => Date.now() });

test('an admin makes one and is shown its secret once, also where ten ask at once with one key; it stands nowhere as it is [SLA-12] [API-4]', async () => {
  const input = { name: 'Once', url: receiver.url, idempotencyKey: 'webhook-once' };
  const answers = await Promise.all(Array.from({ length: 10 }, () => save(admin, input)));
  const shown = answers.map((answer) => answer?.['secret'] as unknown).filter((secret) => secret !== null);
  expect(shown).toHaveLength(1);
  const secret = String(shown[0]);
  expect(secret).toMatch(/^whsec_/);
  expect(new Set(answers.map((answer) => text(answer?.['webhook']?.['id']))).size).toBe(1);
  const kept = [
    ...(await world.db.selectFrom('webhook').select('secret').execute()).map((row) => row.secret.toString('latin1')),
    ...(await world.db.selectFrom('idempotency_key').selectAll().execute()),
    ...(await world.db.selectFrom('event').selectAll().execute()),
  ];
  expect(JSON.stringify(kept)).not.toContain(secret.slice(6));
  // Nor is the address in an event or under the key.
  expect(JSON.stringify(kept)).not.toContain('/hook');
});

test('it is listed for admins, edited without another secret, and refused with every wrong field named [SLA-12] [API-6]', async () => {
  const { webhookId } = await make();
  expect(await save(admin, { webhookId, name: 'Renamed', url: 'https://hooks.acme.example/x' })).toEqual({
    __typename: 'SavedWebhook',
    secret: null,
    webhook: { id: webhookId, name: 'Renamed', url: 'https://hooks.acme.example/x', previousSecretUntil: null },
  });
  expect(nodes(await admin.ask(LIST), 'webhooks')).toEqual([
    { id: webhookId, name: 'Renamed', url: 'https://hooks.acme.example/x', previousSecretUntil: null },
  ]);
  expect(await agent.ask(LIST)).toEqual({ webhooks: { edges: [] } });
  expect(await agent.ask('query ($id: ID!) { node(id: $id) { id } }', { id: webhookId })).toEqual({ node: null });
  expect(await save(agent, { name: 'x', url: receiver.url })).toEqual({ __typename: 'Forbidden', needs: 'the role admin' });
  expect(await save(admin, { name: '', url: 'http://acme.example' })).toMatchObject({
    __typename: 'InvalidInput',
    problems: [{ path: 'name' }, { path: 'url' }],
  });
  expect(await save(admin, { name: 'RENAMED', url: receiver.url })).toEqual({ __typename: 'AlreadyExists', what: 'webhook' });
});

test('a test shows that the receiver takes it; the list says of each how far it has come [SLA-12] [API-6]', async () => {
  const { webhookId, secret } = await make();
  world.wakes.length = 0;
  const tested = (await admin.ask(TEST, { input: { webhookId } }))['testWebhook'];
  expect(tested).toMatchObject({
    __typename: 'WebhookDelivery',
    type: 'test',
    state: 'QUEUED',
    attempts: 0,
    failure: null,
    webhook: { name: 'Pager' },
    ticket: null,
  });
  expect(world.wakes).toEqual([{ kind: 'webhooks' }]);
  await call();
  expect(receiver.calls).toMatchObject([{ id: text(tested?.['messageId']), signedBy: [secret] }]);
  status = 410;
  const second = (await admin.ask(TEST, { input: { webhookId } }))['testWebhook'];
  await call();
  const list = nodes(await admin.ask(DELIVERIES, { webhookId }), 'webhookDeliveries');
  expect(list).toMatchObject([
    { id: text(second?.['id']), state: 'FAILED', attempts: 1, failure: 'HTTP_410', settledAt: expect.any(String), nextTryAt: null },
    { id: text(tested?.['id']), state: 'SENT', attempts: 1, failure: null },
  ]);
  expect(nodes(await admin.ask(DELIVERIES, { state: 'FAILED' }), 'webhookDeliveries')).toHaveLength(1);
  expect(await agent.ask(DELIVERIES)).toEqual({ webhookDeliveries: { edges: [] } });
  expect(await agent.ask('query ($id: ID!) { node(id: $id) { id } }', { id: text(tested?.['id']) })).toEqual({ node: null });
  // Only what has failed is tried again.
  status = 204;
  const retry = async (id: Json | undefined) => (await admin.ask(RETRY, { input: { webhookDeliveryId: text(id) } }))['retryWebhookDelivery'];
  expect(await retry(tested?.['id'])).toEqual({ __typename: 'NotPossible', reason: 'NOT_WAITING' });
  expect(await retry(second?.['id'])).toMatchObject({ __typename: 'WebhookDelivery', state: 'QUEUED', attempts: 1, nextTryAt: expect.any(String) });
  await call();
  expect(nodes(await admin.ask(DELIVERIES, { state: 'FAILED' }), 'webhookDeliveries')).toEqual([]);
  expect(receiver.calls.at(-1)?.id).toBe(text(second?.['messageId']));
});

test('another secret is shown once, and the one before counts for a day yet [SLA-12]', async () => {
  const { webhookId, secret } = await make();
  const input = { webhookId, idempotencyKey: 'rotate-once' };
  const rotated = (await admin.ask(ROTATE, { input }))['rotateWebhookSecret'];
  expect(rotated).toMatchObject({ secret: expect.stringMatching(/^whsec_/), webhook: { previousSecretUntil: expect.any(String) } });
  expect(text(rotated?.['secret'])).not.toBe(secret);
  expect((await admin.ask(ROTATE, { input }))['rotateWebhookSecret']).toMatchObject({ secret: null });
  receiver.secrets.add(text(rotated?.['secret']));
  await admin.ask(TEST, { input: { webhookId } });
  await call();
  expect(receiver.calls.map(({ signedBy }) => signedBy.length)).toEqual([2]);
});

test('a removed one is gone, its calls are still listed, and have failed [SLA-12]', async () => {
  const { webhookId } = await make();
  const tested = (await admin.ask(TEST, { input: { webhookId } }))['testWebhook'];
  expect((await admin.ask(REMOVE, { input: { webhookId } }))['deleteWebhook']).toEqual({ __typename: 'RemovedWebhook', removedId: webhookId });
  expect((await admin.ask(REMOVE, { input: { webhookId } }))['deleteWebhook']).toEqual({ __typename: 'NotFound' });
  expect(await admin.ask(LIST)).toEqual({ webhooks: { edges: [] } });
  expect(nodes(await admin.ask(DELIVERIES), 'webhookDeliveries')).toMatchObject([
    { id: text(tested?.['id']), state: 'FAILED', failure: 'WEBHOOK_REMOVED', webhook: null },
  ]);
  const input = { webhookDeliveryId: text(tested?.['id']) };
  expect((await admin.ask(RETRY, { input }))['retryWebhookDelivery']).toEqual({ __typename: 'NotPossible', reason: 'RECIPIENT_GONE' });
  expect((await admin.ask(TEST, { input: { webhookId: globalId('Webhook', admin.id) } }))['testWebhook']).toEqual({ __typename: 'NotFound' });
});

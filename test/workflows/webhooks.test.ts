import { afterAll, beforeAll, expect, test } from 'vitest';
import { transact, type Unit } from '#commands/unit.ts';
import { queueWebhook, saveWebhook } from '#commands/webhooks.ts';
import { EXPLAIN_QUERY, WEBHOOKS_WORKFLOW } from '#workflows/contract.ts';
import { openReceiver, type Receiver } from '../support/webhook-receiver.ts';
import { everyString } from './every-string.ts';
import { openWorld, until, type World } from './world.ts';

let world: World;
let receiver: Receiver;
let status = 204;
let refused = 0;
beforeAll(async () => {
  world = await openWorld();
  receiver = await openReceiver(() => {
    if (status === 503) refused += 1;
    return status;
  });
});
afterAll(async () => {
  await world?.close();
  await receiver?.close();
});

const run = async <T>(work: (unit: Unit) => Promise<T>): Promise<T> => world.commit(await transact(world.db, { actor: 'SYSTEM' }, work));
const handle = () => world.client.workflow.getHandle(WEBHOOKS_WORKFLOW);
const states = async () =>
  (await world.db.selectFrom('webhook_delivery').select('state').orderBy('created_at').orderBy('id').execute()).map(({ state }) => state);

test('a delivery that is queued wakes its workflow, which calls, says what it waits for, tries again by itself, and ends [SLA-12]', async () => {
  const channel = await world.connect('HELP_DESK');
  await world.deliver(channel, { do: 'message', id: 'one', from: 'visitor-one', text: 'hello' });
  const ticket = await until('the ticket', () => world.db.selectFrom('ticket').select(['id', 'number']).executeTakeFirst());
  const saved = await run((unit) => saveWebhook(unit, { keys: world.keys }, { name: 'xmarkedx hook', url: `${receiver.url}?token=xmarkedx` }));
  receiver.secrets.add(saved.secret ?? '');
  const queue = () =>
    run((unit) =>
      queueWebhook(unit, { webhookId: saved.webhookId, ticketId: ticket.id, payload: { type: 'sla.overdue', ticket: ticket.number, goal: 'CLOSE' } }),
    );
  await queue();
  await until('it is sent', async () => (await states())[0] === 'SENT');
  await until('the workflow ends', async () => (await handle().describe()).status.name === 'COMPLETED');

  status = 503;
  await queue();
  const explained = await until('it waits', async () => {
    const found: unknown = await handle().query(EXPLAIN_QUERY);
    return typeof found === 'object' && found !== null && 'heldBy' in found && found.heldBy === 'HTTP_503' ? found : undefined;
  });
  expect(explained).toMatchObject({ remaining: 1, nextTry: expect.any(String) });
  // Another one that comes meanwhile does not wait for it.
  status = 204;
  await queue();
  await until('the other is sent', async () => (await states())[2] === 'SENT');
  // By its own timer, five seconds later.
  await until('it is sent', async () => (await states())[1] === 'SENT', 40);
  await until('the workflow ends', async () => (await handle().describe()).status.name === 'COMPLETED');

  // Ids, counts and codes: neither an address nor a name, nor a secret.
  const said = everyString(await handle().fetchHistory());
  expect(said).toContain('tries again at');
  for (const all of [said, world.logged.join('\n')]) {
    expect(all).not.toContain('xmarkedx');
    expect(all).not.toContain(receiver.url);
    expect(all).not.toContain(saved.secret?.slice(6));
  }
  expect(world.logged.join('\n')).toContain('a webhook was called');
  // Each once, and the one again as often as it was refused.
  expect(refused).toBeGreaterThanOrEqual(1);
  expect(receiver.calls).toHaveLength(3 + refused);
  expect(receiver.calls.every(({ signedBy }) => signedBy.length === 1)).toBe(true);
});

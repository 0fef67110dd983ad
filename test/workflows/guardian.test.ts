import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { GUARDIAN_SCHEDULE, intakeWorkflowId, outboxWorkflowId, ticketWorkflowId } from '#workflows/contract.ts';
import { keepGuardianSchedule } from '#worker/schedule.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld({ workers: false });
  channel = await world.connect('HELP_DESK');
});
afterEach(() => world?.stopWorkers());
afterAll(() => world?.close());

const longAgo = (table: string, column: string) =>
  sql`update ${sql.table(table)} set ${sql.ref(column)} = ${sql.ref(column)} - interval '60 s' where ${sql.ref(column)} is not null`.execute(world.db);
const ticketOf = (key: string) =>
  world.db
    .selectFrom('ticket')
    .innerJoin('thread_key', 'thread_key.conversation_id', 'ticket.conversation_id')
    .select(['ticket.id', 'ticket.number', 'ticket.owner_id', 'ticket.conversation_id'])
    .where('thread_key.key', '=', key)
    .executeTakeFirst();

test('a delivery of which Temporal was never told is a delay and not a loss [OPS-10]', async () => {
  await world.deliver(channel, { do: 'message', id: 'lost-1', from: 'lost', text: 'hello' }, { wake: false });
  expect((await runGuardianOnce(world.set.engine)).woken).toEqual([]);
  await longAgo('raw_delivery', 'received_at');
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toEqual([intakeWorkflowId(channel.key)]);
  await world.startWorkers();
  await until('the owner', async () => (await ticketOf('lost'))?.owner_id === world.userId);
});

test('a terminated ticket workflow is started anew, its decision made', async () => {
  await world.startWorkers();
  await world.deliver(channel, { do: 'message', id: 'ended-1', from: 'ended', text: 'hello' });
  const ticket = await until('the owner', async () => {
    const row = await ticketOf('ended');
    return row?.owner_id === world.userId && row;
  });
  await world.client.workflow.getHandle(ticketWorkflowId(ticket.number)).terminate('somebody');
  await sql`update ticket set owner_id = null, route_pending_since = now() - interval '60 s' where id = ${ticket.id}`.execute(world.db);
  await runGuardianOnce(world.set.engine);
  await until('the owner again', async () => (await ticketOf('ended'))?.owner_id === world.userId);
});

test('a workflow that a wake does not help by the next look is ended and started anew', async () => {
  await world.deliver(channel, { do: 'message', id: 'paused-1', from: 'paused', text: 'hello' });
  await longAgo('raw_delivery', 'received_at');
  // Nothing moves: no worker runs, as if the activity were paused.
  const first = await runGuardianOnce(world.set.engine);
  const handle = world.client.workflow.getHandle(intakeWorkflowId(channel.key));
  const { runId } = await handle.describe();
  const second = await runGuardianOnce(world.set.engine, first.woken);
  expect(second.restarted).toBe(1);
  expect((await handle.describe()).runId).not.toBe(runId);
  await world.startWorkers();
  await until('it is in', async () => ticketOf('paused'));
});

test('an outbox of which Temporal was never told sends, but what is held back on record is left alone', async () => {
  await world.startWorkers();
  await world.deliver(channel, { do: 'message', id: 'out-1', from: 'out', text: 'hello' });
  const ticket = await until('the ticket', () => ticketOf('out'));
  const conversationId = ticket.conversation_id ?? '';
  const message = await world.reply(conversationId, 'an answer', { wake: false });
  await longAgo('outbound', 'queued_at');
  await sql`update outbound set not_before = now() + interval '1 h' where message_id = ${message}`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).not.toContain(outboxWorkflowId(conversationId));
  await sql`update outbound set not_before = now() - interval '1 h' where message_id = ${message}`.execute(world.db);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toContain(outboxWorkflowId(conversationId));
  await until(
    'it is sent',
    async () => (await world.db.selectFrom('outbound').select('state').where('message_id', '=', message).executeTakeFirst())?.state === 'SENT',
  );
});

test('its schedule is made when it is missing, unpaused when somebody paused it, and runs', async () => {
  await world.startWorkers();
  const now = () => Date.now();
  expect(await keepGuardianSchedule(world.client, now)).toBe('made');
  expect(await keepGuardianSchedule(world.client, now)).toBeNull();
  const handle = world.client.schedule.getHandle(GUARDIAN_SCHEDULE);
  await handle.pause('somebody');
  expect(await keepGuardianSchedule(world.client, now)).toBe('unpaused');
  await world.deliver(channel, { do: 'message', id: 'sched-1', from: 'sched', text: 'hello' }, { wake: false });
  await longAgo('raw_delivery', 'received_at');
  await until('the schedule mends it', async () => ticketOf('sched'), 45);
  expect(await keepGuardianSchedule(world.client, () => Date.now() + 600_000)).toBe('made anew');
  await handle.delete();
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { close } from '#commands/tickets.ts';
import { assign } from '#commands/owners.ts';
import { transact } from '#commands/unit.ts';
import { ticketWorkflowId } from '#workflows/contract.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld();
  channel = await world.connect('HELP_DESK');
});
afterAll(() => world?.close());

async function newTicket(name: string): Promise<{ id: string; number: number }> {
  await world.deliver(channel, { do: 'message', id: name, from: name, text: 'hello' });
  return until('the ticket', () =>
    world.db
      .selectFrom('ticket')
      .innerJoin('conversation', 'conversation.id', 'ticket.conversation_id')
      .innerJoin('thread_key', 'thread_key.conversation_id', 'conversation.id')
      .select(['ticket.id', 'ticket.number'])
      .where('thread_key.key', '=', name)
      .executeTakeFirst(),
  );
}

const owner = async (id: string) => (await world.db.selectFrom('ticket').select('owner_id').where('id', '=', id).executeTakeFirst())?.owner_id;

test('a new ticket gets its owner decided by the rule, by its own workflow, and says so in Temporal [OPS-4] [OPS-5]', async () => {
  const ticket = await newTicket('ada');
  expect(await until('the owner', () => owner(ticket.id))).toBe(world.userId);
  const handle = world.client.workflow.getHandle(ticketWorkflowId(ticket.number));
  await until('the workflow waits', async () => (await handle.query<string>('status')) === 'waits until something changes');
  expect(await handle.query('explain')).toMatchObject({ ticket: ticket.number, owner: world.userId, status: 'OPEN', channel: channel.key });
  const description = await handle.describe();
  expect(await description.staticSummary()).toContain(`ticket ${ticket.number}`);
  const attributes = Object.fromEntries(description.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]));
  expect(attributes).toMatchObject({
    TrunklineOwner: world.userId,
    TrunklineTicketStatus: 'OPEN',
    TrunklineTicket: ticket.number,
    TrunklineChannel: channel.key,
  });
  const metadata = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
  expect(metadata.currentDetails).toContain(`User \`${world.userId}\` has it`);
  const decisions = await world.db.selectFrom('routing_decision').select('id').where('ticket_id', '=', ticket.id).execute();
  expect(decisions).toHaveLength(1);
});

test('a wake while it is idle makes it read the rows again, and a closed ticket completes it until the next wake', async () => {
  const ticket = await newTicket('bob');
  await until('the owner', () => owner(ticket.id));
  const handle = world.client.workflow.getHandle(ticketWorkflowId(ticket.number));
  const by = { actor: 'USER', userId: world.userId } as const;
  await world.commit(await transact(world.db, by, (unit) => assign(unit, { ticketId: ticket.id }, null)));
  await until('the new owner shows', async () => (await handle.query<{ owner: string | null }>('explain')).owner === null);
  await world.commit(await transact(world.db, by, (unit) => close(unit, { ticketId: ticket.id })));
  await until('it completes', async () => (await handle.describe()).status.name === 'COMPLETED');
  await world.waker.signalWithStart({
    workflowType: 'ticket',
    workflowId: ticketWorkflowId(ticket.number),
    args: [ticket.number],
    summary: 'again',
    searchAttributes: {},
  });
  await until('it completes again', async () => (await handle.describe()).status.name === 'COMPLETED');
});

test('a ticket whose row is gone ends its workflow quietly', async () => {
  await world.waker.signalWithStart({ workflowType: 'ticket', workflowId: 'ticket/999999', args: [999_999], summary: 'gone', searchAttributes: {} });
  const handle = world.client.workflow.getHandle('ticket/999999');
  await until('it completes', async () => (await handle.describe()).status.name === 'COMPLETED');
});

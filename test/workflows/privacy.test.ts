import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { everyString } from './every-string.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

/** In every name, address and text that is planted. */
const MARK = 'xmarkedx';

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld();
  channel = await world.connect('HELP_DESK');
});
afterAll(() => world?.close());

/** Whatever an operator of Temporal can read: histories, what the list shows, what is pending, and what queries and details say. */
async function everythingInTemporal(): Promise<string> {
  const all: string[] = [];
  for await (const { workflowId, runId } of world.client.workflow.list()) {
    const handle = world.client.workflow.getHandle(workflowId, runId);
    const description = await handle.describe();
    all.push(everyString(await handle.fetchHistory()), everyString(description.raw));
    for (const query of ['status', 'explain', '__temporal_workflow_metadata', '__stack_trace']) {
      if (description.status.name === 'RUNNING') all.push(everyString(await handle.query(query)));
    }
  }
  return all.join('\n');
}

test('no name, address or text reaches a history, a failure, a summary, the visibility store or a log [OPS-4] [OPS-7] [OPS-9]', async () => {
  await sql`update channel set name = ${`${MARK} channel`} where id = ${channel.id}`.execute(world.db);
  await sql`update app_user set name = ${`${MARK} agent`}`.execute(world.db);
  // An error of PostgreSQL that quotes a customer, as a unique violation does, while an owner is decided.
  await sql`
    create function quote_customer() returns trigger language plpgsql as $$
    begin raise unique_violation using message = 'Key (email)=(xmarkedx@customer.example) already exists'; end $$`.execute(world.db);
  await sql`create trigger quote before insert on routing_decision for each row execute function quote_customer()`.execute(world.db);

  await world.deliver(channel, { do: 'message', id: `${MARK}-id`, from: `${MARK}@customer.example`, name: `${MARK} Customer`, text: `${MARK} text` });
  const ticket = await until('the ticket', () => world.db.selectFrom('ticket').select(['number', 'conversation_id', 'owner_id']).executeTakeFirst());
  const handle = world.client.workflow.getHandle(`ticket/${ticket.number}`);
  await until('the decision fails', async () => ((await handle.describe()).raw.pendingActivities ?? []).some((one) => (one.attempt ?? 0) > 1));
  const failing = await everythingInTemporal();
  await sql`drop trigger quote on routing_decision`.execute(world.db);
  await until('the decision is made', async () => (await world.db.selectFrom('ticket').select('owner_id').executeTakeFirst())?.owner_id);

  for (const kind of ['throw', 'wrong'] as const) await world.deliver(channel, { do: kind });
  const conversationId = ticket.conversation_id ?? '';
  for (const code of ['Unexpected', 'Rejected', 'MaybeSent']) await world.reply(conversationId, `${code} always ${MARK} reply`);
  await world.reply(conversationId, `${MARK} reply`);
  await until(
    'all is settled',
    async () => {
      const { rows } = await sql<{ open: number }>`
      select (select count(*) from outbound where state in ('QUEUED', 'SENDING')) + (select count(*) from raw_delivery where state = 'WAITING') as open`.execute(
        world.db,
      );
      return rows[0]?.open === 0;
    },
    40,
  );
  const settled = await everythingInTemporal();

  // What is searched is really there: else nothing would be found in nothing.
  expect(failing).toContain('Unexpected');
  expect(settled).toContain(`decides who gets ticket ${ticket.number}`);
  expect(settled).toContain(`sends the messages of conversation ${conversationId}`);
  expect(settled).toContain(world.userId);
  const logs = world.logged.join('\n');
  expect(logs).toContain('errorId');
  expect(logs).toContain('a message was tried');
  for (const text of [failing, settled, logs]) {
    expect(text.split('\n').filter((line) => /xmarkedx|SECRET-TEXT|customer\.example/i.test(line))).toEqual([]);
  }
});

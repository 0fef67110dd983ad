import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { savePolicy, deletePolicy } from '#commands/sla-policies.ts';
import type { ApplyTo } from '#commands/sla-reevaluation.ts';
import { transact } from '#commands/unit.ts';
import type { PolicyTarget } from '#domain/sla-policy.ts';
import { EXPLAIN_QUERY, slaReevaluationWorkflowId, STATUS_QUERY, ticketWorkflowId } from '#workflows/contract.ts';
import { inbound, take } from '../support/fixtures.ts';
import { everyString } from './every-string.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

vi.setConfig({ testTimeout: 400_000 });

let world: World;
let channel: Channel;
beforeAll(async () => {
  world = await openWorld();
  channel = await world.connect('HELP_DESK');
});
beforeEach(async () => {
  await world.startWorkers();
  const there = await world.db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  for (const { id } of there) await transact(world.db, { actor: 'SYSTEM' }, (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
});
afterAll(() => world?.close());

let policies = 0;

/** A policy whose goals take seconds: days are the domain's to be tested with. Its number. */
async function policy(targets: readonly Pick<PolicyTarget, 'kind' | 'durationMs' | 'dueSoonMs'>[], applyTo: ApplyTo = 'NEW_TICKETS'): Promise<number> {
  policies += 1;
  const { policyId } = await world.commit(
    await transact(world.db, { actor: 'USER', userId: world.userId }, (unit) =>
      savePolicy(
        unit,
        {
          name: `Xpolicyx ${policies}`,
          conditions: [],
          targets: targets.map((one) => ({ ...one, priority: null })),
          pauseStatusIds: [],
          actions: [],
        },
        applyTo,
      ),
    ),
  );
  return (await world.db.selectFrom('sla_policy').select('number').where('id', '=', policyId).executeTakeFirstOrThrow()).number;
}

async function arrives(key: string): Promise<{ readonly id: string; readonly number: number; readonly conversationId: string }> {
  await world.deliver(channel, { do: 'message', id: key, from: key, text: 'xmarkedx' });
  const row = await until('the ticket', () =>
    world.db
      .selectFrom('ticket')
      .innerJoin('thread_key', 'thread_key.conversation_id', 'ticket.conversation_id')
      .select(['ticket.id', 'ticket.number', 'ticket.conversation_id'])
      .where('thread_key.key', '=', key)
      .executeTakeFirst(),
  );
  return { id: row.id, number: row.number, conversationId: row.conversation_id ?? '' };
}

const handleOf = (number: number) => world.client.workflow.getHandle(ticketWorkflowId(number));
const goal = async (ticketId: string, kind: 'FIRST_REPLY' | 'CLOSE' = 'FIRST_REPLY') =>
  world.db.selectFrom('sla_goal').selectAll().where('ticket_id', '=', ticketId).where('kind', '=', kind).executeTakeFirst();
const stateOf = async (ticketId: string, kind: 'FIRST_REPLY' | 'CLOSE' = 'FIRST_REPLY') => (await goal(ticketId, kind))?.state;
const details = async (number: number) => (await handleOf(number).query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? '';
const slaState = async (number: number) =>
  (await handleOf(number).describe()).typedSearchAttributes.getAll().find(({ key }) => key.name === 'TrunklineSlaState')?.value;

test('a ticket waits for the nearest of its goals by a timer that says so, tells its owner, and shows all of them [SLA-13, SLA-12, OPS-4]', async () => {
  const number = await policy([
    { kind: 'FIRST_REPLY', durationMs: 12_000, dueSoonMs: 8_000 },
    { kind: 'CLOSE', durationMs: 3_600_000, dueSoonMs: 0 },
  ]);
  const ticket = await arrives('timer');
  await until('it is due soon', async () => (await stateOf(ticket.id)) === 'DUE_SOON', 60);
  await until('it is overdue', async () => (await stateOf(ticket.id)) === 'OVERDUE', 60);
  await until('it says so', async () => (await slaState(ticket.number)) === 'OVERDUE', 60);
  const shown = await until('the details', async () => {
    const text = await details(ticket.number);
    return text.includes('overdue') ? text : undefined;
  });
  expect(shown).toMatch(new RegExp(`first reply \\(policy ${number}\\) is \\*\\*overdue\\*\\* since \\w{3} \\d+ \\w{3} \\d\\d:\\d\\d UTC`));
  expect(shown).toMatch(new RegExp(`close \\(policy ${number}\\) is due \\w{3} \\d+ \\w{3} \\d\\d:\\d\\d UTC`));
  const said = everyString(await handleOf(ticket.number).fetchHistory());
  expect(said).toMatch(new RegExp(`first reply due soon from \\w{3} \\d+ \\w{3} \\d\\d:\\d\\d UTC, policy ${number}`));
  expect(said).toMatch(new RegExp(`first reply due \\w{3} \\d+ \\w{3} \\d\\d:\\d\\d UTC, policy ${number}`));
  expect(said).not.toMatch(/xmarkedx|Xpolicyx|Test Admin|test\.example/);
  const told = await world.db
    .selectFrom('notification')
    .select('kind')
    .where('ticket_id', '=', ticket.id)
    .where('kind', 'like', 'SLA%' as never)
    .execute();
  expect(told.map(({ kind }) => kind).toSorted()).toEqual(['SLA_DUE_SOON', 'SLA_OVERDUE']);
  await world.reply(ticket.conversationId, 'an answer');
  await until('it shows that it is no longer', async () => !(await details(ticket.number)).includes('overdue'));
  expect(await stateOf(ticket.id)).toBe('COMPLETED_LATE');
  await until('its state is that of what still runs', async () => (await slaState(ticket.number)) === 'ACTIVE');
});

test('a thousand deadlines pass while no worker runs: each fires once, late, with the real deadline [SLA-13, OPS-10]', async () => {
  await policy([{ kind: 'CLOSE', durationMs: 2_000, dueSoonMs: 1_000 }]);
  await world.stopWorkers();
  // Off: nobody is chosen for what comes, which is another matter.
  await world.db.updateTable('channel').set({ enabled: false }).where('id', '=', channel.id).execute();
  const place = await world.db
    .selectFrom('channel')
    .select(['id', 'key', 'place_id', 'routing_rule_id'])
    .where('id', '=', channel.id)
    .executeTakeFirstOrThrow();
  const before = await world.db
    .selectFrom('ticket')
    .select((eb) => eb.fn.max('number').as('number'))
    .executeTakeFirstOrThrow();
  const made = { id: place.id, key: place.key, placeId: place.place_id, ruleId: place.routing_rule_id };
  for (let done = 0; done < 1_000; done += 50) {
    const messages = Array.from({ length: 50 }, (_, index) => inbound(`down${done + index}@out.example`));
    await take(world.db, made, messages);
  }
  await world.db.updateTable('channel').set({ enabled: true }).where('id', '=', channel.id).execute();
  const tickets = await world.db
    .selectFrom('ticket')
    .select(['id', 'number'])
    .where('number', '>', before.number ?? 0)
    .execute();
  expect(tickets).toHaveLength(1_000);
  // Half of them have a workflow that waits, as after an outage; the others are found by the guardian.
  for (const { number } of tickets.slice(0, 500)) {
    await world.commit({ value: null, wakes: [{ kind: 'ticket', number, channelKey: channel.key, plugin: 'scripted' }] });
  }
  const ids = tickets.map(({ id }) => id);
  await sql`
    select pg_sleep(greatest(0, extract(epoch from (select max(due_at) from sla_goal where ticket_id = any(${ids}::uuid[])) - clock_timestamp())))`.execute(
    world.db,
  );
  await world.startWorkers();
  const left = async () => {
    const { rows } = await sql<{
      n: number;
    }>`select count(*)::int as n from sla_goal where ticket_id = any(${ids}::uuid[]) and overdue_fired_at is null`.execute(world.db);
    return rows[0]?.n ?? -1;
  };
  await until('what had a workflow has fired', async () => (await left()) <= 500, 180);
  await until(
    'all have fired',
    async () => {
      if ((await left()) === 0) return true;
      await runGuardianOnce(world.set.engine);
      return false;
    },
    180,
  );
  const { rows } = await sql<{ events: number; goals: number; told: number; exact: number; due_soon: number }>`
    select (select count(*)::int from event e where e.ticket_id = any(${ids}::uuid[]) and e.kind = 'SLA_GOAL_CHANGED' and e.why = 'OVERDUE') as events,
      (select count(*)::int from notification n where n.ticket_id = any(${ids}::uuid[]) and n.kind = 'SLA_OVERDUE') as told,
      (select count(*)::int from notification n where n.ticket_id = any(${ids}::uuid[]) and n.kind = 'SLA_DUE_SOON') as due_soon,
      count(*)::int as goals, count(*) filter (where g.overdue_at = g.started_at + interval '2 s')::int as exact
    from sla_goal g where g.ticket_id = any(${ids}::uuid[])`.execute(world.db);
  expect(rows).toEqual([{ events: 1_000, goals: 1_000, told: 1_000, exact: 1_000, due_soon: 0 }]);
});

test('terminated with running goals it is started again by the guardian, with the same deadlines [SLA-13, OPS-12]', async () => {
  await policy([{ kind: 'FIRST_REPLY', durationMs: 10_000, dueSoonMs: 0 }]);
  const ticket = await arrives('terminated');
  const due = (await until('the goal', () => goal(ticket.id))).due_at;
  await until('it waits', async () => {
    const status = await handleOf(ticket.number)
      .query<string>(STATUS_QUERY)
      .catch(() => '');
    return status.startsWith('waits until');
  });
  await handleOf(ticket.number).terminate('somebody');
  await sql`select pg_sleep(greatest(0, extract(epoch from ${due}::timestamptz - clock_timestamp())))`.execute(world.db);
  expect(await stateOf(ticket.id)).toBe('ACTIVE');
  await until(
    'the guardian has found it',
    async () => (await runGuardianOnce(world.set.engine)).woken.some(({ workflowId }) => workflowId === ticketWorkflowId(ticket.number)),
    30,
  );
  await until('it is overdue', async () => (await stateOf(ticket.id)) === 'OVERDUE');
  expect((await goal(ticket.id))?.overdue_at).toEqual(due);
});

test('open tickets are brought up to a saved policy in the background, which says how far it is, and near deadlines fire [SLA-10, OPS-4, OPS-5]', async () => {
  const ticket = await arrives('before the policy');
  expect(await goal(ticket.id, 'CLOSE')).toBeUndefined();
  await policy([{ kind: 'CLOSE', durationMs: 8_000, dueSoonMs: 0 }], 'OPEN_TICKETS_TOO');
  const { id } = await world.db.selectFrom('sla_reevaluation').select('id').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
  const handle = world.client.workflow.getHandle(slaReevaluationWorkflowId(id));
  await until('it completes', async () => (await handle.describe()).status.name === 'COMPLETED');
  const row = await world.db.selectFrom('sla_reevaluation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  expect([row.state, row.looked_at]).toEqual(['DONE', row.total]);
  expect(await handle.query(EXPLAIN_QUERY)).toMatchObject({ reevaluation: id, done: true, lookedAt: row.total });
  expect((await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails).toContain('**done**');
  await until('the new deadline fires', async () => (await goal(ticket.id, 'CLOSE'))?.state === 'OVERDUE', 90);
});

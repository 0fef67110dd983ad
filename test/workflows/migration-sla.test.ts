import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { startMigration } from '#commands/migrations.ts';
import { deletePolicy, savePolicy } from '#commands/sla-policies.ts';
import { transact } from '#commands/unit.ts';
import { checkInvariants } from '#db/invariants.ts';
import { EXPLAIN_QUERY, migrationSlaWorkflowId, STATUS_QUERY } from '#workflows/contract.ts';
import { makeMapping } from '../commands/migration-support.ts';
import { everyString } from './every-string.ts';
import scripted from './scripted-config.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

vi.setConfig({ testTimeout: 400_000, hookTimeout: 60_000 });

let world: World;
let channel: Channel;
let worlds = 0;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.startWorkers();
  channel = await world.connect('INBOX');
});
afterAll(async () => {
  const broken = world === undefined ? [] : (await checkInvariants(world.db)).filter((one) => one.violations !== 0);
  await world?.close();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

const byAdmin = () => ({ actor: 'USER' as const, userId: world.userId });

/** A policy whose close takes seconds: days are the domain's to be tested with. */
async function policy(durationMs: number): Promise<void> {
  const there = await world.db.selectFrom('sla_policy').select('id').where('deleted_at', 'is', null).execute();
  for (const { id } of there) await transact(world.db, byAdmin(), (unit) => deletePolicy(unit, { policyId: id }, 'NEW_TICKETS'));
  worlds += 1;
  const targets = [{ kind: 'CLOSE' as const, priority: null, durationMs, dueSoonMs: 0 }];
  await transact(world.db, byAdmin(), (unit) =>
    savePolicy(unit, { name: `Xpolicyx ${worlds}`, conditions: [], targets, pauseStatusIds: [], actions: [] }, 'NEW_TICKETS'),
  );
}

async function conversations(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await world.deliver(channel, { do: 'message', id: `${channel.key}-${n}`, from: `${channel.key}-xmarkedx-${n}`, text: 'xmarkedx' });
  }
  const there = () => world.db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).execute();
  await until('all are taken in', async () => (await there()).length === count);
}

async function moves(): Promise<string> {
  const { openStatusId, closedStatusId } = await makeMapping(world.db, `Moved ${channel.key}`);
  const input = { channelId: channel.id, history: 'ALL', openStatusId, closedStatusId } as const;
  const committed = await transact(world.db, byAdmin(), (unit) => startMigration(unit, { plugins: scripted.plugins, keys: world.keys }, input));
  return (await world.commit(committed)).migrationId;
}

const handleOf = (id: string) => world.client.workflow.getHandle(migrationSlaWorkflowId(id));
const passOf = async (id: string) => world.db.selectFrom('channel_migration_sla').selectAll().where('migration_id', '=', id).executeTakeFirst();

async function goals(): Promise<readonly { readonly state: string; readonly told: boolean }[]> {
  const { rows } = await sql<{ state: string; told: boolean }>`
    select g.state, g.overdue_fired_at is not null as told from sla_goal g join ticket t on t.id = g.ticket_id join conversation c on c.id = t.conversation_id
    where c.channel_id = ${channel.id}`.execute(world.db);
  return rows;
}

const told = async () => (await world.db.selectFrom('notification').select('id').where('kind', 'in', ['SLA_OVERDUE', 'SLA_DUE_SOON']).execute()).length;

test('moved tickets get their goals once the move has ended, it says how far it is, and near deadlines fire [MIG-20, SLA-13, OPS-4, OPS-5]', async () => {
  await policy(90_000);
  await conversations(12);
  const id = await moves();
  await until('the pass is done', async () => (await passOf(id))?.state === 'DONE');
  const handle = handleOf(id);
  await until('it completes', async () => (await handle.describe()).status.name === 'COMPLETED');
  expect(await handle.query(EXPLAIN_QUERY)).toEqual({ migration: id, found: true, done: true, total: 12, lookedAt: 12 });
  expect(await handle.query(STATUS_QUERY)).toBe('is done: every moved ticket has its goals');
  const shown = (await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails;
  expect(shown).toContain('**done**');
  expect(shown).toContain('| 12 | 12 |');
  expect(everyString(await handle.fetchHistory())).not.toMatch(/xmarkedx|Xpolicyx|Test Admin|test\.example/);
  expect(await goals()).toHaveLength(12);
  // Nobody woke them one by one: the pass did, for their moments are near.
  await until('their deadlines fire', async () => (await goals()).every((one) => one.state === 'OVERDUE' && one.told), 240);
  expect(await told()).toBe(12);
});

test('what was overdue when it was moved fires nothing, and is told once with a count [MIG-20, SLA-11, MIG-17]', async () => {
  await policy(1);
  await conversations(5);
  const before = await told();
  const id = await moves();
  await until('it completes', async () => (await passOf(id))?.state === 'DONE' && (await handleOf(id).describe()).status.name === 'COMPLETED');
  expect(await goals()).toEqual(Array.from({ length: 5 }, () => ({ state: 'OVERDUE', told: true })));
  await runGuardianOnce(world.set.engine);
  expect(await told()).toBe(before + 1);
  const one = await world.db
    .selectFrom('notification')
    .select(['user_id', 'count', 'ticket_id'])
    .where('migration_id', '=', id)
    .where('kind', '=', 'SLA_OVERDUE')
    .execute();
  expect(one).toEqual([{ user_id: world.userId, count: 5, ticket_id: null }]);
});

test('ended by somebody, or never woken, it is started by the guardian and goes on where the rows say it is [MIG-20, OPS-12]', async () => {
  await policy(3_600_000);
  await conversations(3);
  const id = await moves();
  await until('it completes', async () => (await passOf(id))?.state === 'DONE' && (await handleOf(id).describe()).status.name === 'COMPLETED');
  // As if it had been ended before it came to the last two.
  const { conversation_id: first } = await world.db
    .selectFrom('channel_migration_conversation')
    .select('conversation_id')
    .where('migration_id', '=', id)
    .orderBy('conversation_id')
    .limit(1)
    .executeTakeFirstOrThrow();
  await sql`
    with late as (select t.id from ticket t join conversation c on c.id = t.conversation_id where c.channel_id = ${channel.id} and c.id <> ${first}),
      goals as (delete from sla_goal where ticket_id in (select id from late)), tickets as (delete from sla_ticket where ticket_id in (select id from late))
    update channel_migration_sla set state = 'RUNNING', ended_at = null, position = ${first}, looked_at = 1, progressed_at = now() - interval '25 s'
    where migration_id = ${id}`.execute(world.db);
  const { woken } = await runGuardianOnce(world.set.engine);
  expect(woken.map((one) => one.workflowId)).toContain(migrationSlaWorkflowId(id));
  await until('it is done', async () => (await passOf(id))?.state === 'DONE');
  expect((await passOf(id))?.looked_at).toBe(3);
  expect(await goals()).toEqual(Array.from({ length: 3 }, () => ({ state: 'ACTIVE', told: false })));
  const { rows } = await sql<{ version: number }>`
    select s.version from sla_ticket s join ticket t on t.id = s.ticket_id join conversation c on c.id = t.conversation_id where c.channel_id = ${channel.id}`.execute(
    world.db,
  );
  expect(rows.map(({ version }) => version)).toEqual([1, 1, 1]);
});

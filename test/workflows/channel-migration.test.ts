import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { readReport, recount } from '#commands/migration-report.ts';
import { startMigration, withdrawMigration, type MigrationInput } from '#commands/migrations.ts';
import { transact } from '#commands/unit.ts';
import { checkInvariants } from '#db/invariants.ts';
import { channelMigrationWorkflowId, EXPLAIN_QUERY, STATUS_QUERY } from '#workflows/contract.ts';
import { makeMapping } from '../commands/migration-support.ts';
import { everyString } from './every-string.ts';
import scripted from './scripted-config.ts';
import { openWorld, until, type Channel, type World } from './world.ts';

vi.setConfig({ testTimeout: 400_000 });

let world: World;
let channel: Channel;
let statuses: { readonly openStatusId: string; readonly closedStatusId: string };
let worlds = 0;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.startWorkers();
  channel = await world.connect('INBOX');
  worlds += 1;
  const { openStatusId, closedStatusId } = await makeMapping(world.db, `Moved ${worlds}`);
  statuses = { openStatusId, closedStatusId };
});
afterAll(async () => {
  const broken = world === undefined ? [] : (await checkInvariants(world.db)).filter((one) => one.violations !== 0);
  await world?.close();
  expect(broken.map((one) => `${one.invariant.rule} ${one.invariant.holds}: ${one.violations}`)).toEqual([]);
});

/** As many conversations as asked for, each begun by a contact. */
async function conversations(count: number): Promise<string[]> {
  for (let n = 0; n < count; n += 1)
    await world.deliver(channel, { do: 'message', id: `${channel.key}-${n}`, from: `${channel.key}-xmarkedx-${n}`, text: 'xmarkedx' });
  const found = async () =>
    (await world.db.selectFrom('conversation').select('id').where('channel_id', '=', channel.id).orderBy('id').execute()).map(({ id }) => id);
  return until('all are taken in', async () => ((await found()).length === count ? found() : false));
}

async function start(more: Partial<MigrationInput> = {}): Promise<string> {
  const committed = await transact(world.db, { actor: 'USER', userId: world.userId }, (unit) =>
    startMigration(unit, { plugins: scripted.plugins, keys: world.keys }, { channelId: channel.id, history: 'ALL', ...statuses, ...more }),
  );
  return (await world.commit(committed)).migrationId;
}

const handle = () => world.client.workflow.getHandle(channelMigrationWorkflowId(channel.key));
const rowOf = (id: string) => world.db.selectFrom('channel_migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const stateOf = async (id: string) => (await rowOf(id)).state;
const details = async () => (await handle().query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? '';
/** As if the guardian looked half a minute later. */
async function guardianLater(id: string, before: Parameters<typeof runGuardianOnce>[1] = []) {
  await sql`update channel_migration set progressed_at = now() - interval '30 s' where id = ${id}`.execute(world.db);
  return runGuardianOnce(world.set.engine, before);
}
/** Does something while one of its conversations is held by somebody, so that the move can not end. */
async function whileHeld(conversationId: string, work: () => Promise<void>): Promise<void> {
  await world.db.transaction().execute(async (tx) => {
    await sql`set local transaction_timeout = 0`.execute(tx);
    await tx.selectFrom('conversation').select('id').where('id', '=', conversationId).forUpdate().execute();
    await work();
  });
}
const moved = async (id: string) =>
  (await world.db.selectFrom('channel_migration_conversation').select('conversation_id').where('migration_id', '=', id).execute()).map(
    (row) => row.conversation_id,
  );

test('moves all, says how far it is in words, and its history holds no personal data [MIG-13, MIG-24, OPS-4, OPS-5]', async () => {
  const ids = await conversations(30);
  const id = await start();
  await until('it has ended', async () => (await stateOf(id)) === 'COMPLETED');
  await until('its workflow completes', async () => (await handle().describe()).status.name === 'COMPLETED');
  expect((await moved(id)).toSorted()).toEqual(ids.toSorted());
  expect(await details()).toContain('is moved to the help desk');
  expect(await details()).toContain('| 30 | 30 | 0 | 0 | 0 |');
  expect(await handle().query(EXPLAIN_QUERY)).toMatchObject({ migration: id, state: 'COMPLETED', found: 30, moved: 30 });
  expect((await handle().describe()).typedSearchAttributes.getAll().find(({ key }) => key.name === 'TrunklineMigrationState')?.value).toBe('COMPLETED');
  const { events } = await handle().fetchHistory();
  expect(events?.length).toBeLessThan(2_000);
  expect(everyString(events)).not.toContain('xmarkedx');
  expect(everyString(events)).toContain(channel.key);
  await until(
    'the goals are seen to',
    async () => (await world.db.selectFrom('channel_migration_sla').select('state').where('migration_id', '=', id).executeTakeFirst())?.state === 'DONE',
  );
});

test('a cancel is noted and ignored; terminated, reset, deleted or paused it goes on where it was, and moves nothing twice [MIG-14, MIG-21, OPS-12]', async () => {
  const ids = await conversations(30);
  let id = '';
  await whileHeld(ids[7] ?? '', async () => {
    id = await start();
    await until('the others are moved', async () => (await moved(id)).length === 29);

    await handle().cancel();
    const run = (await handle().describe()).runId;
    const noted = () =>
      world.db.selectFrom('channel_migration_run').select('run_id').where('migration_id', '=', id).where('cancel_asked_at', 'is not', null).execute();
    await until('the cancel is noted', async () => (await noted()).length === 1);
    expect((await handle().describe()).status.name).toBe('RUNNING');
    expect((await handle().describe()).runId).toBe(run);

    await handle().terminate('somebody');
    await until('the guardian starts it anew', async () => {
      await guardianLater(id);
      return (await handle().describe()).runId !== run;
    });
    await until(
      'the new run has said so',
      async () =>
        (await world.db.selectFrom('channel_migration_run').select('how').where('migration_id', '=', id).where('how', '=', 'RESTARTED').execute()).length === 1,
    );

    const { runId } = await handle().describe();
    await world.client.workflowService.resetWorkflowExecution({
      namespace: world.namespace,
      workflowExecution: { workflowId: channelMigrationWorkflowId(channel.key), runId },
      workflowTaskFinishEventId: 4 as never,
      requestId: 'reset-of-a-move',
      reason: 'a test',
    });
    await until('the reset run moves on', async () => (await handle().describe()).runId !== runId && (await handle().describe()).status.name === 'RUNNING');

    await world.client.workflowService.deleteWorkflowExecution({
      namespace: world.namespace,
      workflowExecution: { workflowId: channelMigrationWorkflowId(channel.key) },
    });
    await until('it is gone', async () =>
      handle()
        .describe()
        .then(
          () => false,
          () => true,
        ),
    );
    await guardianLater(id);
    await until('it is back', async () =>
      handle()
        .describe()
        .then(
          ({ status }) => status.name === 'RUNNING',
          () => false,
        ),
    );
  });
  await until('it has ended', async () => (await stateOf(id)) === 'COMPLETED');
  expect((await moved(id)).toSorted()).toEqual(ids.toSorted());
  const placed = await world.db.selectFrom('event').select('conversation_id').where('kind', '=', 'PLACE_CHANGED').where('conversation_id', 'in', ids).execute();
  expect(placed).toHaveLength(30);
  const report = await readReport(world.db, id);
  expect(report).toMatchObject({ found: 30, movedWithNewTicket: 30, leftOver: 0, cancelsSurvived: 1 });
  expect(report.restarts).toBeGreaterThanOrEqual(2);
  expect(await recount(world.db, id)).toMatchObject({ movedWithNewTicket: 30, astray: 0, inInbox: 0 });
});

test('a cancel that comes while the last are moved is noted too [MIG-14, MIG-21]', async () => {
  await conversations(3);
  await world.stopWorkers();
  const id = await start();
  await handle().cancel();
  await world.startWorkers();
  await until('it has ended', async () => (await stateOf(id)) === 'COMPLETED');
  await until('its workflow completes', async () => (await handle().describe()).status.name === 'COMPLETED');
  expect((await readReport(world.db, id)).cancelsSurvived).toBe(1);
});

test('with a workflow that moves nothing the guardian ends it at its second look and starts it anew [MIG-14]', async () => {
  await conversations(3);
  await world.stopWorkers();
  const id = await start();
  const first = await guardianLater(id);
  const { runId } = await handle().describe();
  // The row says it stands still since the same moment.
  const second = await runGuardianOnce(world.set.engine, first.woken);
  expect(second.restarted).toBe(1);
  expect((await handle().describe()).runId).not.toBe(runId);
  await world.startWorkers();
  await until('it has ended', async () => (await stateOf(id)) === 'COMPLETED');
});

test('set for later it waits by a timer that says so, can be withdrawn, and starts at its hour [MIG-7]', async () => {
  await conversations(2);
  const withdrawn = await start({ startAt: new Date(Date.now() + 3_600_000).toISOString() });
  await until('it waits', async () => (await handle().query<string>(STATUS_QUERY)).startsWith('waits until'));
  expect(await details()).toContain('will be moved to the help desk at');
  await world.commit(await transact(world.db, { actor: 'USER', userId: world.userId }, (unit) => withdrawMigration(unit, { migrationId: withdrawn })));
  await until('its workflow ends', async () => (await handle().describe()).status.name === 'COMPLETED');
  expect(await stateOf(withdrawn)).toBe('WITHDRAWN');
  const id = await start({ startAt: new Date(Date.now() + 10_000).toISOString() });
  expect(await stateOf(id)).toBe('SCHEDULED');
  await until('it has ended', async () => (await stateOf(id)) === 'COMPLETED');
  const { started_at: startedAt, start_at: startAt } = await rowOf(id);
  expect(startedAt?.getTime()).toBeGreaterThanOrEqual(startAt.getTime());
});

test('what is left over is tried again by the guardian once its row is another, and then the move is complete [MIG-16]', async () => {
  const ids = await conversations(5);
  await sql`alter table ticket add constraint made_bad check (name <> 'unmovable') not valid`.execute(world.db);
  await world.db
    .updateTable('conversation')
    .set({ subject: 'unmovable' })
    .where('id', '=', ids[2] ?? '')
    .execute();
  const id = await start();
  await until('it has ended with one left over', async () => (await stateOf(id)) === 'COMPLETED_WITH_REMAINDER');
  const workflowId = channelMigrationWorkflowId(channel.key);
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).not.toContain(workflowId);
  await world.db
    .updateTable('conversation')
    .set({ subject: 'movable' })
    .where('id', '=', ids[2] ?? '')
    .execute();
  expect((await runGuardianOnce(world.set.engine)).woken.map((one) => one.workflowId)).toContain(workflowId);
  await until('it is complete', async () => (await stateOf(id)) === 'COMPLETED');
  expect((await readReport(world.db, id)).movedWithNewTicket).toBe(5);
});

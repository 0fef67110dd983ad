import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runGuardianOnce } from '#activities/guardian.ts';
import { storeBlob } from '#commands/blobs.ts';
import { importBatch, startTicketImport } from '#commands/ticket-import.ts';
import { transact } from '#commands/unit.ts';
import { BULK_TASK_QUEUE, EXPLAIN_QUERY, ticketImportWorkflowId } from '#workflows/contract.ts';
import { openWorld, until, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ workers: false });
});
afterEach(() => world?.stopWorkers());
afterAll(() => world?.close());

const MARK = 'quagmire';
const LINES = 1_200;

async function start(): Promise<string> {
  const lines = Array.from({ length: LINES }, (_, index) => JSON.stringify(index % 100 === 0 ? { description: MARK } : { name: `${MARK} ${index}` }));
  const { sha256, bytes } = await storeBlob(world.db, Buffer.from(lines.join('\n')));
  const row = { user_id: world.userId, sha256, file_name: 'tickets.ndjson', type: 'application/x-ndjson', bytes };
  const { id: uploadId } = await world.db.insertInto('upload').values(row).returning('id').executeTakeFirstOrThrow();
  const { importId } = await world.commit(
    await transact(world.db, { actor: 'USER', userId: world.userId }, (unit) =>
      startTicketImport(unit, { uploadId, userId: world.userId, format: 'NDJSON', source: MARK }),
    ),
  );
  return importId;
}

const stateOf = (id: string) => world.db.selectFrom('ticket_import').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const ticketsOf = (id: string) => world.db.selectFrom('ticket').select('id').where('import_id', '=', id).execute();

test('an import runs on the bulk queue, shows its progress as a table, and holds no text of its file [MODEL-8, OPS-4, OPS-5]', async () => {
  await world.startWorkers();
  const id = await start();
  await until('it is done', async () => (await stateOf(id)).state === 'DONE');
  expect(await ticketsOf(id)).toHaveLength(LINES - 12);
  const handle = world.client.workflow.getHandle(ticketImportWorkflowId(id));
  await handle.result();
  const described = await handle.describe();
  expect(described.taskQueue).toBe(BULK_TASK_QUEUE);
  expect(await handle.query(EXPLAIN_QUERY)).toMatchObject({ import: id, state: 'DONE', created: LINES - 12, bad: 12 });
  expect(JSON.stringify(await handle.fetchHistory())).not.toContain(Buffer.from(MARK).toString('base64').slice(0, 8));
  const history = await handle.fetchHistory();
  const payloads = (history.events ?? []).flatMap((event) => event.activityTaskCompletedEventAttributes?.result?.payloads ?? []);
  for (const payload of payloads) expect(Buffer.from(payload.data ?? []).toString('utf8')).not.toContain(MARK);
});

test('one that was terminated half way is begun anew by the guardian and takes nothing in twice [MODEL-8, OPS-10]', async () => {
  const id = await start();
  // Nobody works: the first batch is done by hand, as by an activity whose workflow was ended meanwhile.
  await importBatch(world.db, id);
  await world.client.workflow.getHandle(ticketImportWorkflowId(id)).terminate('by hand');
  await sql`update ticket_import set progressed_at = now() - interval '60 s' where id = ${id}`.execute(world.db);
  const { woken } = await runGuardianOnce(world.set.engine);
  expect(woken.map((one) => one.workflowId)).toContain(ticketImportWorkflowId(id));
  await world.startWorkers();
  await until('it is done', async () => (await stateOf(id)).state === 'DONE');
  expect(await stateOf(id)).toMatchObject({ created: LINES - 12, bad: 12, known: 0, line: LINES });
  expect(await ticketsOf(id)).toHaveLength(LINES - 12);
});

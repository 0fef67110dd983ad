import { afterAll, beforeAll, expect, it } from 'vitest';
import { addStatus, createPipeline, renameStatus, type StatusInput } from '#commands/pipelines.ts';
import { AlreadyExists, InvalidInput } from '#commands/refusals.ts';
import { transact, type Unit } from '#commands/unit.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());

async function run<T>(work: (unit: Unit) => Promise<T>): Promise<T> {
  return (await transact(database.db, { actor: 'SYSTEM' }, work)).value;
}
const OPEN_CLOSED: readonly StatusInput[] = [
  { name: 'Begin', category: 'OPEN' },
  { name: 'End', category: 'CLOSED' },
];

it('keeps statuses in order and needs one open and one closed, so that a ticket can begin and end [MODEL-13]', async () => {
  const { pipelineId } = await run((unit) => createPipeline(unit, { name: 'Sales', statuses: OPEN_CLOSED }));
  await run((unit) => addStatus(unit, { pipelineId, name: 'Later', category: 'OPEN' }));
  const rows = await database.db.selectFrom('ticket_status').select('name').where('pipeline_id', '=', pipelineId).orderBy('position').execute();
  expect(rows.map(({ name }) => name)).toEqual(['Begin', 'End', 'Later']);
  for (const category of ['OPEN', 'CLOSED'] as const) {
    const statuses = OPEN_CLOSED.filter((one) => one.category !== category);
    const lacking = run((unit) => createPipeline(unit, { name: `No ${category}`, statuses }));
    await expect(lacking).rejects.toMatchObject({ problems: [{ path: 'statuses', message: `at least one of category ${category}` }] });
  }
});

it('gives pipelines and statuses made at once places of their own, and one name to one of them [MODEL-13]', async () => {
  const names = ['One', 'Two', 'Three', 'Four', 'one'];
  const results = await Promise.allSettled(names.map((name) => run((unit) => createPipeline(unit, { name, statuses: OPEN_CLOSED }))));
  expect(results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toEqual([expect.any(AlreadyExists)]);
  const made = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const pipelineId = made[0]?.pipelineId ?? '';
  await Promise.all(['a', 'b', 'c', 'd'].map((name) => run((unit) => addStatus(unit, { pipelineId, name, category: 'OPEN' }))));
  await expect(run((unit) => addStatus(unit, { pipelineId, name: 'A', category: 'OPEN' }))).rejects.toBeInstanceOf(AlreadyExists);
});

it('renames a status, but not to a name its pipeline has [MODEL-13]', async () => {
  const { pipelineId, statusIds } = await run((unit) => createPipeline(unit, { name: 'Names', statuses: OPEN_CLOSED }));
  const statusId = statusIds[0] ?? '';
  await run((unit) => renameStatus(unit, { statusId, name: 'BEGIN' }));
  await expect(run((unit) => renameStatus(unit, { statusId, name: 'end' }))).rejects.toBeInstanceOf(AlreadyExists);
  await expect(run((unit) => renameStatus(unit, { statusId, name: ' ' }))).rejects.toBeInstanceOf(InvalidInput);
  const rows = await database.db.selectFrom('ticket_status').select('name').where('pipeline_id', '=', pipelineId).orderBy('position').execute();
  expect(rows.map(({ name }) => name)).toEqual(['BEGIN', 'End']);
});

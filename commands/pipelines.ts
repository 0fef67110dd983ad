import { sql } from 'kysely';
import type { Tx } from '#db/database.ts';
import type { StatusCategory } from '#db/schema.ts';
import { requireName } from './names.ts';
import { AlreadyExists, InvalidInput, NotFound, type Problem } from './refusals.ts';
import type { Unit } from './unit.ts';

export interface StatusInput {
  readonly name: string;
  readonly category: StatusCategory;
}

/** Creates a pipeline with its statuses in order: tickets begin in one that is open and end in one that is closed, so both must be there. Throws `InvalidInput`, `AlreadyExists`. */
export async function createPipeline(
  unit: Unit,
  input: { readonly name: string; readonly statuses: readonly StatusInput[] },
): Promise<{ readonly pipelineId: string; readonly statusIds: readonly string[] }> {
  const { tx } = unit;
  const problems = statusProblems(input.statuses);
  if (input.name.trim() === '') problems.unshift({ path: 'name', message: 'must not be empty' });
  if (problems.length > 0) throw new InvalidInput(problems);
  // One after the other: two that read the same last position would both take the next.
  await tx.selectFrom('pipeline').select('id').orderBy('id').forNoKeyUpdate().execute();
  const pipeline = await tx
    .insertInto('pipeline')
    .values({ name: input.name.trim(), position: sql<number>`(select coalesce(max(position), 0) + 1 from pipeline)` })
    .onConflict((conflict) => conflict.expression(sql`lower(name)`).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (pipeline === undefined) throw new AlreadyExists('pipeline');
  const statuses = await tx
    .insertInto('ticket_status')
    .values(input.statuses.map(({ name, category }, index) => ({ pipeline_id: pipeline.id, name: name.trim(), category, position: index + 1 })))
    .returning('id')
    .execute();
  unit.record({ kind: 'PIPELINES_CHANGED', why: 'PIPELINE_CREATED', data: { pipelineId: pipeline.id } });
  return { pipelineId: pipeline.id, statusIds: statuses.map(({ id }) => id) };
}

/** Adds a status at the pipeline's end. Throws `NotFound`, `InvalidInput`, `AlreadyExists`. */
export async function addStatus(
  unit: Unit,
  { pipelineId, name, category }: { readonly pipelineId: string } & StatusInput,
): Promise<{ readonly statusId: string }> {
  const { tx } = unit;
  const trimmed = requireName(name);
  await lockPipeline(tx, pipelineId);
  const status = await tx
    .insertInto('ticket_status')
    .values({
      pipeline_id: pipelineId,
      name: trimmed,
      category,
      position: sql<number>`(select coalesce(max(position), 0) + 1 from ticket_status where pipeline_id = ${pipelineId})`,
    })
    .onConflict((conflict) => conflict.expression(sql`pipeline_id, lower(name)`).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (status === undefined) throw new AlreadyExists('status');
  unit.record({ kind: 'PIPELINES_CHANGED', why: 'STATUS_ADDED', data: { pipelineId, statusId: status.id } });
  return { statusId: status.id };
}

/** Renames a status; tickets in it stay in it. Throws `NotFound`, `InvalidInput`, `AlreadyExists`. */
export async function renameStatus(unit: Unit, { statusId, name }: { readonly statusId: string; readonly name: string }): Promise<void> {
  const { tx } = unit;
  const trimmed = requireName(name);
  const status = await tx
    .selectFrom('ticket_status')
    .select('pipeline_id')
    .where(sql<string>`id::text`, '=', statusId)
    .executeTakeFirst();
  if (status === undefined) throw new NotFound('status', statusId);
  await lockPipeline(tx, status.pipeline_id);
  const other = await tx
    .selectFrom('ticket_status')
    .select('id')
    .where('pipeline_id', '=', status.pipeline_id)
    .where('id', '<>', statusId)
    .where(sql<boolean>`lower(name) = lower(${trimmed})`)
    .executeTakeFirst();
  if (other !== undefined) throw new AlreadyExists('status');
  await tx.updateTable('ticket_status').set({ name: trimmed }).where('id', '=', statusId).execute();
  unit.record({ kind: 'PIPELINES_CHANGED', why: 'STATUS_RENAMED', data: { pipelineId: status.pipeline_id, statusId } });
}

function statusProblems(statuses: readonly StatusInput[]): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  for (const [index, status] of statuses.entries()) {
    const name = status.name.trim().toLowerCase();
    if (name === '') problems.push({ path: `statuses.${index}.name`, message: 'must not be empty' });
    else if (names.has(name)) problems.push({ path: `statuses.${index}.name`, message: 'is there twice' });
    names.add(name);
  }
  for (const category of ['OPEN', 'CLOSED'] as const) {
    if (!statuses.some((one) => one.category === category)) problems.push({ path: 'statuses', message: `at least one of category ${category}` });
  }
  return problems;
}

/** Changes of one pipeline's statuses come one after the other. */
async function lockPipeline(tx: Tx, pipelineId: string): Promise<void> {
  const pipeline = await tx
    .selectFrom('pipeline')
    .select('id')
    .where(sql<string>`id::text`, '=', pipelineId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (pipeline === undefined) throw new NotFound('pipeline', pipelineId);
}

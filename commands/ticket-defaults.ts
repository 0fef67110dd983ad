import type { Tx } from '#db/database.ts';
import type { Priority } from '#db/schema.ts';
import type { Problem } from './refusals.ts';

/** What a channel's new tickets begin with (CH-1). */
export interface TicketDefaultsInput {
  readonly pipelineId?: string;
  readonly statusId?: string;
  readonly priority?: Priority;
  readonly properties?: Readonly<Record<string, unknown>>;
}

export interface TicketDefaults {
  readonly default_pipeline_id: string;
  readonly default_status_id: string;
  readonly default_priority?: Priority;
  readonly default_properties?: string;
}

/** What was chosen with the rest filled in: a status alone tells its pipeline, a pipeline alone begins with its first open status. Problems name the field. */
export async function chooseTicketDefaults(
  tx: Tx,
  input: TicketDefaultsInput,
  before?: { readonly default_pipeline_id: string; readonly default_status_id: string },
): Promise<TicketDefaults | { readonly problems: readonly Problem[] }> {
  const statuses = await tx
    .selectFrom('ticket_status')
    .innerJoin('pipeline', 'pipeline.id', 'ticket_status.pipeline_id')
    .select(['ticket_status.id', 'ticket_status.pipeline_id', 'ticket_status.category'])
    .orderBy('pipeline.position')
    .orderBy('ticket_status.position')
    .execute();
  const { pipelineId, statusId = pipelineId === undefined ? before?.default_status_id : undefined } = input;
  const inPipeline = pipelineId === undefined ? statuses : statuses.filter((one) => one.pipeline_id === pipelineId);
  if (inPipeline.length === 0) return { problems: [{ path: 'ticketDefaults.pipelineId', message: 'there is no such pipeline' }] };
  const status = statusId === undefined ? inPipeline.find((one) => one.category === 'OPEN') : inPipeline.find((one) => one.id === statusId);
  if (status === undefined) {
    const message = pipelineId === undefined ? 'there is no such status' : 'there is no such status in this pipeline';
    return { problems: [{ path: 'ticketDefaults.statusId', message }] };
  }
  return {
    default_pipeline_id: status.pipeline_id,
    default_status_id: status.id,
    ...(input.priority === undefined ? {} : { default_priority: input.priority }),
    ...(input.properties === undefined ? {} : { default_properties: JSON.stringify(input.properties) }),
  };
}

import { addStatus, createPipeline } from '#commands/pipelines.ts';
import { AlreadyExists } from '#commands/refusals.ts';
import { builder } from '../../builder.ts';
import { CategoryEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { PipelineRef, StatusRef } from '../refs.ts';

const StatusInputRef = builder.inputType('NewStatusInput', {
  description: 'A status to make.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name, unique in the pipeline.' }),
    category: t.field({ type: CategoryEnum, required: true, description: 'Whether work goes on in it.' }),
  }),
});

mutation('createPipeline', {
  description: 'Makes a pipeline with its statuses in this order: at least one open and one closed.',
  type: PipelineRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    name: t.string({ required: true, description: 'Its name, unique without regard to case.' }),
    statuses: t.field({ type: [StatusInputRef], required: true, description: 'Its statuses in order.' }),
  }),
  work: async ({ name, statuses }, { unit }) => {
    const { pipelineId } = await createPipeline(unit, { name, statuses });
    return { pipelineId };
  },
  read: ({ pipelineId }, { load }) => load.pipeline.load(pipelineId),
});

mutation('addStatus', {
  description: 'Adds a status at the end of a pipeline.',
  type: StatusRef,
  refusals: [AlreadyExists],
  input: (t) => ({
    pipelineId: t.globalID({ for: [PipelineRef], required: true, description: 'Which pipeline.' }),
    name: t.string({ required: true, description: 'Its name, unique in the pipeline.' }),
    category: t.field({ type: CategoryEnum, required: true, description: 'Whether work goes on in it.' }),
  }),
  work: ({ pipelineId, name, category }, { unit }) => addStatus(unit, { pipelineId: pipelineId.id, name, category }),
  read: ({ statusId }, { load }) => load.status.load(statusId),
});

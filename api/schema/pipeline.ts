import { builder } from '../builder.ts';
import { CategoryEnum } from './enums.ts';
import { promised } from '../promised.ts';
import { ORDERS } from './orders.ts';
import { PipelineConnection, PipelineRef, StatusRef } from './refs.ts';

builder.node(StatusRef, {
  description: 'One step of a pipeline.',
  id: { resolve: (status) => status.id },
  loadOne: (id, { load }) => load.status.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, unique in the pipeline.' }),
    category: t.field({ type: CategoryEnum, description: 'Whether work goes on in it.', resolve: (status) => status.category }),
    position: t.exposeInt('position', { description: 'Where it stands in the pipeline, ascending.' }),
    pipeline: t.field({
      type: PipelineRef,
      description: 'The pipeline it is a step of.',
      resolve: async (status, _args, { load }) => promised(await load.pipeline.load(status.pipeline_id)),
    }),
  }),
});

builder.node(PipelineRef, {
  description: 'The ordered statuses of a kind of ticket. Any user sees all pipelines.',
  id: { resolve: (pipeline) => pipeline.id },
  loadOne: (id, { load }) => load.pipeline.load(id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, unique without regard to case.' }),
    position: t.exposeInt('position', { description: 'Where it stands among the pipelines, ascending; the first is the default.' }),
    statuses: t.field({
      type: [StatusRef],
      description: 'Its statuses in their order.',
      resolve: (pipeline, _args, { load }) => load.statusesOf.load(pipeline.id),
    }),
  }),
});

builder.queryField('pipelines', (t) =>
  t.connection(
    {
      type: PipelineRef,
      description: 'All pipelines in their order.',
      resolve: (_root, args, { load, db }) => load.page(args, ORDERS.pipeline, db.selectFrom('pipeline').selectAll('pipeline')),
    },
    PipelineConnection,
  ),
);

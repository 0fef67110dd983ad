import { previewTicketImport, type ImportPreview } from '#commands/ticket-import.ts';
import { Forbidden, NotFound } from '#commands/refusals.ts';
import type { ImportProblem } from '#domain/ticket-import.ts';
import { builder } from '../builder.ts';
import { reaches } from '../roles.ts';
import { ImportFormatEnum, ImportStateEnum, PriorityEnum } from './enums.ts';
import { ORDERS } from './orders.ts';
import { PipelineRef, StatusRef, TicketImportConnection, TicketImportRef, UserRef } from './refs.ts';
import { promised } from '../promised.ts';

/** Bad lines that a preview or a page of problems shows at most. */
const MOST_LINES = 100;

const ProblemRef = builder.objectRef<ImportProblem>('TicketImportLineProblem').implement({
  description: 'One thing that is wrong with a line. What stands there is not repeated.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'The column or field; “line” where the line as a whole can not be read.' }),
    message: t.exposeString('message', { description: 'What is wrong.' }),
  }),
});

interface BadLine {
  readonly line: number;
  readonly problems: readonly ImportProblem[];
}

const BadLineRef = builder.objectRef<BadLine>('TicketImportBadLine').implement({
  description: 'A line that made no ticket.',
  fields: (t) => ({
    line: t.exposeInt('line', { description: 'Its number in the file, from 1.' }),
    problems: t.field({ type: [ProblemRef], description: 'All that is wrong with it.', resolve: (bad) => [...bad.problems] }),
  }),
});

builder.node(TicketImportRef, {
  description: 'A file of tickets that is being taken in, or was. Admins see it.',
  id: { resolve: (one) => one.id },
  loadOne: (id, { load }) => load.ticketImport.load(id),
  fields: (t) => ({
    source: t.exposeString('name', { description: 'Where the tickets come from; an external id is known within its source only.' }),
    format: t.field({ type: ImportFormatEnum, description: 'How the file is written.', resolve: (one) => one.format }),
    state: t.field({ type: ImportStateEnum, description: 'How far it is.', resolve: (one) => one.state }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why the file can not be read any further; null: it can, or it was read whole.' }),
    startedBy: t.field({
      type: UserRef,
      description: 'Who began it.',
      resolve: async (one, _args, { load }) => promised(await load.user.load(one.user_id)),
    }),
    pipeline: t.field({
      type: PipelineRef,
      description: 'Whose statuses its lines name.',
      resolve: async (one, _args, { load }) => promised(await load.pipeline.load(one.pipeline_id)),
    }),
    percent: t.int({
      description: 'Of the file’s bytes read, in whole percent.',
      resolve: (one) => (one.bytes === 0 ? 100 : Math.floor((100 * one.position) / one.bytes)),
    }),
    linesRead: t.exposeInt('line', { description: 'Lines read, blank ones and the header among them.' }),
    created: t.exposeInt('created', { description: 'Tickets made.' }),
    known: t.exposeInt('known', { description: 'Lines whose external id this source had brought before; their tickets were left as they are.' }),
    bad: t.exposeInt('bad', { description: 'Lines that made no ticket.' }),
    badLines: t.field({
      type: [BadLineRef],
      description: `The bad lines in the file’s order, at most ${MOST_LINES} at once; the first 10,000 are kept.`,
      args: {
        first: t.arg.int({ defaultValue: 20, description: `How many, at most ${MOST_LINES}.` }),
        afterLine: t.arg.int({ defaultValue: 0, description: 'Only those after this line.' }),
      },
      complexity: ({ first }) => ({ field: 1, multiplier: first ?? 20 }),
      resolve: async (one, { first, afterLine }, { db }) => {
        const rows = await db
          .selectFrom('ticket_import_problem')
          .select(['line', 'problems'])
          .where('import_id', '=', one.id)
          .where('line', '>', afterLine ?? 0)
          .orderBy('line')
          .limit(Math.min(Math.max(first ?? 20, 0), MOST_LINES))
          .execute();
        return rows.map(({ line, problems }) => ({ line, problems: problems as readonly ImportProblem[] }));
      },
    }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.', resolve: (one) => one.started_at }),
    endedAt: t.field({ type: 'DateTime', nullable: true, description: 'When it was over; null: it is not.', resolve: (one) => one.ended_at }),
  }),
});

builder.queryField('ticketImports', (t) =>
  t.connection(
    {
      type: TicketImportRef,
      description: 'Imports of tickets, the newest first. Empty to those who are no admin.',
      resolve: async (_root, args, { load, db, see }) => {
        const visible = await see();
        return load.page(args, ORDERS.ticketImport, db.selectFrom('ticket_import').selectAll().where(visible.ticket_import));
      },
    },
    TicketImportConnection,
  ),
);

type PreviewLine = ImportPreview['lines'][number];

const PreviewLineRef = builder.objectRef<PreviewLine>('TicketImportPreviewLine').implement({
  description: 'What a line would become.',
  fields: (t) => ({
    line: t.exposeInt('line', { description: 'Its number in the file, from 1.' }),
    problems: t.field({ type: [ProblemRef], description: 'Why it would make no ticket; empty: it would.', resolve: (one) => [...one.problems] }),
    name: t.string({ nullable: true, description: 'The ticket’s name; null: none would be made.', resolve: (one) => one.ticket?.name ?? null }),
    externalId: t.string({
      nullable: true,
      description: 'What it is called where it comes from; null: nothing.',
      resolve: (one) => one.ticket?.externalId ?? null,
    }),
    status: t.field({
      type: StatusRef,
      nullable: true,
      description: 'Its status; null: none would be made.',
      resolve: (one, _args, { load }) => (one.ticket === null ? null : load.status.load(one.ticket.statusId)),
    }),
    priority: t.field({
      type: PriorityEnum,
      nullable: true,
      description: 'How pressing it is; null: none would be made.',
      resolve: (one) => one.ticket?.priority ?? null,
    }),
    owner: t.field({
      type: UserRef,
      nullable: true,
      description: 'Who would have it; null: nobody.',
      resolve: (one, _args, { load }) => (one.ticket?.ownerId == null ? null : load.user.load(one.ticket.ownerId)),
    }),
    properties: t.field({
      type: 'JSONObject',
      nullable: true,
      description: 'Its custom properties; null: none would be made.',
      resolve: (one) => one.ticket?.properties ?? null,
    }),
  }),
});

const PreviewRef = builder.objectRef<ImportPreview>('TicketImportPreview').implement({
  description: 'What the first lines of a file would become. Nothing is written.',
  fields: (t) => ({
    columns: t.stringList({
      nullable: true,
      description: 'The columns of a table, as its header names them; null: the file is no table, or has no header.',
      resolve: (preview) => preview.columns?.slice(1) ?? null,
    }),
    lines: t.field({ type: [PreviewLineRef], description: 'The first lines in the file’s order.', resolve: (preview) => [...preview.lines] }),
  }),
});

builder.queryField('ticketImportPreview', (t) =>
  t.field({
    type: PreviewRef,
    description: 'Reads the first lines of a file the viewer has sent up, as an import would. Needs the role admin.',
    errors: { types: [Forbidden, NotFound], union: { name: 'TicketImportPreviewResult', description: 'The preview, or why not.' } },
    args: {
      uploadId: t.arg.string({ required: true, description: 'The upload, as its door answered.' }),
      format: t.arg({ type: ImportFormatEnum, required: true, description: 'How the file is written.' }),
      pipelineId: t.arg.globalID({ for: [PipelineRef], description: 'Whose statuses the lines name; none: the first.' }),
      lines: t.arg.int({ defaultValue: 20, description: `How many lines, at most ${MOST_LINES}.` }),
    },
    complexity: ({ lines }) => ({ field: 5, multiplier: lines ?? 20 }),
    resolve: (_root, { uploadId, format, pipelineId, lines }, { db, viewer }) => {
      if (!reaches(viewer.role, 'ADMIN')) throw new Forbidden('the role admin');
      const most = Math.min(Math.max(lines ?? 20, 1), MOST_LINES);
      return previewTicketImport(db, { uploadId, userId: viewer.userId, format, pipelineId: pipelineId?.id ?? null }, most);
    },
  }),
);

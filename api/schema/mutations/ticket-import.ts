import { startTicketImport } from '#commands/ticket-import.ts';
import { ImportFormatEnum } from '../enums.ts';
import { mutation } from '../mutation.ts';
import { PipelineRef, TicketImportRef } from '../refs.ts';

mutation('startTicketImport', {
  description:
    'Begins to take a file of tickets in, line by line; what is wrong with a line is listed, and the rest goes on. The tickets have no conversation and show in the help desk; nobody is told of them one by one.',
  type: TicketImportRef,
  input: (t) => ({
    uploadId: t.string({ required: true, description: 'The upload, as its door answered.' }),
    format: t.field({ type: ImportFormatEnum, required: true, description: 'How the file is written.' }),
    source: t.string({
      required: true,
      description: 'Where the tickets come from. A line whose external id this source has brought before makes no second ticket.',
    }),
    pipelineId: t.globalID({ for: [PipelineRef], description: 'Whose statuses the lines name; none: the first.' }),
  }),
  work: ({ uploadId, format, source, pipelineId }, { unit, context: { viewer } }) =>
    startTicketImport(unit, { uploadId, userId: viewer.userId, format, source, pipelineId: pipelineId?.id ?? null }),
  read: ({ importId }, { load }) => load.ticketImport.load(importId),
});

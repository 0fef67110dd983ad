import { sql } from 'kysely';
import type { Db, Tx } from '#db/database.ts';
import { newId } from '#db/ids.ts';
import { lockImportSource } from '#db/locks.ts';
import type { ImportFormat, ImportState } from '#db/schema.ts';
import { readTicketLine, type ImportNames, type ImportProblem, type ImportedTicket } from '#domain/ticket-import.ts';
import { readBlobRange } from './blobs.ts';
import { readCsvLines, readHeader, readNdjsonLines, type FileSlice, type ReadSlice } from './import-files.ts';
import { InvalidInput, NotFound } from './refusals.ts';
import { helpDeskId } from './subjects.ts';
import { transact, type Committed, type Unit } from './unit.ts';

/** Lines taken in one transaction, at most. */
const LINES_PER_BATCH = 500;
/** Bytes read at once; doubled, up to the largest, where not one line ends in them. */
const SLICE_BYTES = 256 * 1024;
const LARGEST_SLICE_BYTES = 4 * 1024 * 1024;
/** Bad lines that are named; the rest is counted. */
const MOST_PROBLEMS = 10_000;

export interface StartImport {
  /** A file the caller has sent up. */
  readonly uploadId: string;
  readonly userId: string;
  readonly format: ImportFormat;
  /** Where the tickets come from: an external id is known within its source only. */
  readonly source: string;
  readonly pipelineId?: string | null;
}

/** Begins an import; the workflow takes the lines in. The file stays where it is until the import is over. Throws `NotFound`, `InvalidInput`. */
export async function startTicketImport(unit: Unit, input: StartImport): Promise<{ importId: string }> {
  const source = input.source.trim();
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,59}$/u.test(source)) {
    throw new InvalidInput([{ path: 'source', message: 'one to sixty letters, digits, blanks, dots, dashes and underlines' }]);
  }
  const { upload, pipelineId } = await readStart(unit.tx, input);
  const { id } = await unit.tx
    .insertInto('ticket_import')
    .values({ id: newId(), user_id: input.userId, name: source, format: input.format, sha256: upload.sha256, pipeline_id: pipelineId, bytes: upload.bytes })
    .returning('id')
    .executeTakeFirstOrThrow();
  unit.record({ kind: 'TICKET_IMPORT_CHANGED', placeId: await helpDeskId(unit.tx), why: 'STARTED', data: { importId: id } });
  unit.wake({ kind: 'ticket-import', importId: id });
  return { importId: id };
}

async function readStart(tx: Tx | Db, input: Pick<StartImport, 'uploadId' | 'userId' | 'pipelineId'>) {
  const upload = await tx
    .selectFrom('upload')
    .select(['sha256', 'bytes'])
    .where(sql<string>`id::text`, '=', input.uploadId)
    .where('user_id', '=', input.userId)
    .executeTakeFirst();
  if (upload === undefined) throw new NotFound('upload', input.uploadId);
  const pipeline = await tx
    .selectFrom('pipeline')
    .select('id')
    .$if(input.pipelineId != null, (query) => query.where(sql<string>`id::text`, '=', input.pipelineId ?? ''))
    .orderBy('position')
    .limit(1)
    .executeTakeFirst();
  if (pipeline === undefined) throw new NotFound('pipeline', input.pipelineId ?? '');
  return { upload, pipelineId: pipeline.id };
}

/** What the first lines of a file would become: told before anything is done. */
export interface ImportPreview {
  readonly columns: readonly string[] | null;
  readonly lines: readonly { readonly line: number; readonly ticket: ImportedTicket | null; readonly problems: readonly ImportProblem[] }[];
}

/** Reads the first lines as an import would, and writes nothing. Throws `NotFound`. */
export async function previewTicketImport(db: Db, input: Omit<StartImport, 'source'>, lines: number): Promise<ImportPreview> {
  const { upload, pipelineId } = await readStart(db, input);
  const names = await readNames(db, pipelineId);
  const file: FileState = { sha256: upload.sha256, bytes: upload.bytes, format: input.format, position: 0, line: 0, header: null };
  const { read, header } = await readLines(db, file, lines);
  const now = Date.now();
  return {
    columns: header,
    lines: read.lines.slice(0, lines).map(({ line, record, problems }) => {
      const result = record === null ? { problems } : readTicketLine(record, names, now);
      return 'ticket' in result ? { line, ticket: result.ticket, problems: [] } : { line, ticket: null, problems: result.problems };
    }),
  };
}

/** How far an import has come; the details of its workflow and the API show it. */
export interface ImportProgress {
  readonly found: boolean;
  readonly state: ImportState;
  readonly bytes: number;
  readonly position: number;
  readonly line: number;
  readonly created: number;
  readonly known: number;
  readonly bad: number;
}

const GONE: ImportProgress = { found: false, state: 'DONE', bytes: 0, position: 0, line: 0, created: 0, known: 0, bad: 0 };

/**
 * Takes the next lines in: their tickets, their problems, the counters and the place in the file in one transaction, so that a batch is done once
 * however often it is tried. Two at once: the second finds that the place has moved, and does nothing.
 */
export async function importBatch(db: Db, importId: string): Promise<Committed<ImportProgress>> {
  const row = await readImport(db, importId);
  if (row === undefined) return { value: GONE, wakes: [] };
  if (row.state !== 'RUNNING') return { value: progressOf(row), wakes: [] };
  const names = await readNames(db, row.pipeline_id);
  if (row.sha256 === null) return { value: progressOf(row), wakes: [] };
  const { read, header } = await readLines(db, { ...row, sha256: row.sha256 }, LINES_PER_BATCH);
  const tickets: (ImportedTicket & { readonly line: number })[] = [];
  const bad: { readonly line: number; readonly problems: readonly ImportProblem[] }[] = [];
  const now = Date.now();
  for (const { line, record, problems } of read.lines) {
    const result = record === null ? { problems } : readTicketLine(record, names, now);
    if ('ticket' in result) tickets.push({ ...result.ticket, line });
    else bad.push({ line, problems: result.problems });
  }
  return transact(db, { actor: 'USER', userId: row.user_id }, async (unit) => {
    await lockImportSource(unit.tx, row.name);
    const held = await unit.tx.selectFrom('ticket_import').selectAll().where('id', '=', importId).forNoKeyUpdate().executeTakeFirst();
    if (held === undefined) return GONE;
    if (held.state !== 'RUNNING' || held.position !== row.position) return progressOf(held);
    const created = await writeTickets(unit, held.name, importId, tickets);
    const room = Math.max(0, MOST_PROBLEMS - held.bad);
    if (bad.length > 0 && room > 0) {
      await unit.tx
        .insertInto('ticket_import_problem')
        .values(bad.slice(0, room).map(({ line, problems }) => ({ import_id: importId, line, problems: JSON.stringify(problems) })))
        .execute();
    }
    const ended = read.failure !== null || read.end >= held.bytes;
    const after = await unit.tx
      .updateTable('ticket_import')
      .set((eb) => ({
        position: read.end,
        line: read.line,
        header: header === null ? null : JSON.stringify(header),
        created: eb('created', '+', created),
        known: eb('known', '+', tickets.length - created),
        bad: eb('bad', '+', bad.length),
        progressed_at: sql<Date>`now()`,
        ...(ended
          ? { sha256: null, state: read.failure === null ? ('DONE' as const) : ('FAILED' as const), reason: read.failure, ended_at: sql<Date>`now()` }
          : {}),
      }))
      .where('id', '=', importId)
      .returningAll()
      .executeTakeFirstOrThrow();
    unit.record({ kind: 'TICKET_IMPORT_CHANGED', placeId: await helpDeskId(unit.tx), why: after.state, data: { importId, line: after.line } });
    return progressOf(after);
  });
}

interface FileState {
  readonly sha256: Buffer;
  readonly bytes: number;
  readonly format: ImportFormat;
  readonly position: number;
  readonly line: number;
  readonly header: readonly string[] | null;
}

/** The next lines from where the import stands; a table's first line is its header. */
async function readLines(db: Db, file: FileState, limit: number): Promise<{ readonly read: ReadSlice; readonly header: readonly string[] | null }> {
  for (let length = SLICE_BYTES; ; length *= 2) {
    const bytes = await readBlobRange(db, file.sha256, file.position, Math.min(length, file.bytes - file.position));
    const slice: FileSlice = { bytes, from: file.position, line: file.line, last: file.position + bytes.length >= file.bytes };
    const header = file.format === 'CSV' ? (file.header ?? (await readHeader(slice))) : null;
    const read = file.format === 'CSV' ? await readCsvLines(slice, header, file.header === null, limit) : readNdjsonLines(slice, limit);
    if (read.lines.length > 0 || read.end > file.position || read.failure !== null || slice.last) return { read, header };
    if (length >= LARGEST_SLICE_BYTES) return { read: { ...read, failure: `line ${file.line + 1} and what follows is not readable: it does not end` }, header };
  }
}

/** Whom and what a line may name; read anew for every batch, for people come and go. */
async function readNames(db: Db, pipelineId: string): Promise<ImportNames> {
  const statuses = await db.selectFrom('ticket_status').selectAll().where('pipeline_id', '=', pipelineId).orderBy('position').execute();
  const users = await db
    .selectFrom('app_user')
    .innerJoin('place_assignable', 'place_assignable.user_id', 'app_user.id')
    .innerJoin('place', 'place.id', 'place_assignable.place_id')
    .select(['app_user.id', 'app_user.email'])
    .where('place.kind', '=', 'HELP_DESK')
    .where('app_user.deactivated_at', 'is', null)
    .execute();
  const first = (category: 'OPEN' | 'CLOSED'): { readonly id: string } => {
    const status = statuses.find((one) => one.category === category);
    if (status === undefined) throw new NotFound('status', category);
    return { id: status.id };
  };
  return {
    statuses: new Map(statuses.map((one) => [one.name.toLowerCase(), { id: one.id, closed: one.category === 'CLOSED' }])),
    firstOpen: first('OPEN'),
    firstClosed: first('CLOSED'),
    owners: new Map(users.map((one) => [one.email, one.id])),
  };
}

/** One statement; what its source has brought before is left as it is. Nobody is told ticket by ticket, and none waits for triage. Returns how many are new. */
async function writeTickets(unit: Unit, source: string, importId: string, tickets: readonly (ImportedTicket & { readonly line: number })[]): Promise<number> {
  if (tickets.length === 0) return 0;
  const rows = tickets.map((one) => ({
    id: newId(),
    line: one.line,
    external_id: one.externalId === null ? null : `${source}/${one.externalId}`,
    name: one.name,
    description: one.description,
    status_id: one.statusId,
    priority: one.priority,
    owner_id: one.ownerId,
    properties: one.properties,
    created_at: one.createdAt,
    closed_at: one.closedAt,
    closed: one.closed,
  }));
  const { rows: made } = await sql<{ id: string; owner_id: string | null }>`
    insert into ticket (id, name, description, pipeline_id, status_id, priority, owner_id, source, properties, created_at, closed_at, external_id, import_id)
    select n.id, n.name, n.description, s.pipeline_id, n.status_id, n.priority, n.owner_id, 'IMPORT', n.properties,
      coalesce(n.created_at, now()), case when n.closed then coalesce(n.closed_at, now()) end, n.external_id, ${importId}
    from json_to_recordset(${JSON.stringify(rows)}::json) as n (id uuid, line int, external_id text, name text, description text, status_id uuid, priority text,
      owner_id uuid, properties jsonb, created_at timestamptz, closed_at timestamptz, closed boolean)
    join ticket_status s on s.id = n.status_id
    order by n.line
    on conflict (source, external_id) where external_id is not null do nothing
    returning id, owner_id`.execute(unit.tx);
  const placeId = await helpDeskId(unit.tx);
  for (const { id, owner_id: ownerId } of made) {
    unit.record({ kind: 'TICKET_CREATED', ticketId: id, placeId, why: 'IMPORT' });
    if (ownerId !== null) {
      unit.record({
        kind: 'OWNER_CHANGED',
        ticketId: id,
        placeId,
        userId: ownerId,
        why: 'IMPORT',
        data: { from: null, to: ownerId, fromTeam: null, toTeam: null },
      });
    }
  }
  return made.length;
}

async function readImport(db: Db, importId: string) {
  return db.selectFrom('ticket_import').selectAll().where('id', '=', importId).executeTakeFirst();
}

function progressOf(row: Omit<ImportProgress, 'found'>): ImportProgress {
  const { state, bytes, position, line, created, known, bad } = row;
  return { found: true, state, bytes, position, line, created, known, bad };
}
